// Making elements. Text is only ever put in as text.

export const $ = (id) => document.getElementById(id);

/** element makes <name class="…">children</name>; children are elements or text. */
export function element(name, className, ...children) {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

/** svg makes an element of SVG with attributes, as element does for HTML. */
export function svg(name, attributes = {}, ...children) {
  const made = document.createElementNS($("logo").namespaceURI, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/** button makes a button that does something when it is pressed. */
export function button(label, className, pressed) {
  const made = element("button", className, label);
  made.type = "button";
  made.addEventListener("click", pressed);
  return made;
}

/** setText leaves a text alone that is the same, so that a poll does not disturb a selection. */
export function setText(cell, text) {
  if (cell.textContent !== text) cell.textContent = text;
}

/** setAttribute does so for an attribute. */
export function setAttribute(made, name, value) {
  if (made.getAttribute(name) !== String(value)) made.setAttribute(name, value);
}

/** facts are pairs of a name and a value, as a list; a value is an element or text. */
export function facts(pairs) {
  return pairs.map(([name, value]) => element("div", "", element("dt", "", name), element("dd", "", value)));
}

/**
 * keep makes a parent's children those of a list, in its order, and makes and drops no more than it
 * has to: a focus or a selection in a child that stays is not lost.
 * @param {Element} parent
 * @param {Map<string, {root: Element}>} made what has been made, by key
 * @param {string[]} keys
 * @param {(key: string) => {root: Element}} make
 */
export function keep(parent, made, keys, make) {
  const wanted = new Set(keys);
  for (const [key, { root }] of made) {
    if (wanted.has(key)) continue;
    root.remove();
    made.delete(key);
  }
  keys.forEach((key, index) => {
    if (!made.has(key)) made.set(key, make(key));
    const { root } = made.get(key);
    if (parent.children[index] !== root) parent.insertBefore(root, parent.children[index] ?? null);
  });
}

/**
 * table makes a table that a narrow window shows as cards: each cell has the name of its column. The
 * roles are written down because a browser forgets them when the rows become blocks.
 * @param {string} caption
 * @param {{label: string, className?: string, title?: string}[]} columns
 */
export function table(caption, columns) {
  const head = element("tr");
  head.setAttribute("role", "row");
  for (const { label, className, title } of columns) {
    const cell = element("th", className ?? "", label);
    cell.scope = "col";
    cell.setAttribute("role", "columnheader");
    if (title) cell.title = title;
    head.append(cell);
  }
  const groups = [element("thead", "", head), element("tbody")];
  groups.forEach((group) => group.setAttribute("role", "rowgroup"));
  const root = element("table", "cards", element("caption", "unseen", caption), ...groups);
  root.setAttribute("role", "table");
  return { root, body: groups[1] };
}

/** tableRow makes a row of such a table, of as many empty cells as there are columns. */
export function tableRow(columns) {
  const cells = columns.map(({ label, className }) => {
    const cell = element("td", className ?? "");
    cell.setAttribute("role", "cell");
    cell.dataset.label = label;
    return cell;
  });
  const root = element("tr", "", ...cells);
  root.setAttribute("role", "row");
  return { root, cells };
}

/** meter makes a bar for a part of a whole, with words for those who do not see it. */
export function meter(className) {
  const fill = element("span", "fill");
  const root = element("span", `meter ${className ?? ""}`, fill);
  root.setAttribute("role", "img");
  return {
    root,
    /** show fills the bar to a part between 0 and 1; level is "", "warn" or "bad". */
    show(part, level, words) {
      const width = `${Math.max(0, Math.min(1, part || 0)) * 100}%`;
      if (fill.style.width !== width) fill.style.width = width;
      root.dataset.level = level;
      setAttribute(root, "aria-label", words);
    },
  };
}

/**
 * confirmed asks before something is done that cannot be undone, and is true for a yes. Parts are
 * elements or text.
 */
export function confirmed(title, yes, ...parts) {
  setText($("confirm-title"), title);
  $("confirm-text").replaceChildren(...parts);
  setText($("confirm-yes"), yes);
  $("confirm").returnValue = "";
  $("confirm").showModal();
  return new Promise((resolve) => {
    $("confirm").addEventListener("close", () => resolve($("confirm").returnValue === "yes"), { once: true });
  });
}

$("confirm-yes").addEventListener("click", () => $("confirm").close("yes"));
$("confirm-no").addEventListener("click", () => $("confirm").close("no"));
