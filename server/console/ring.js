// The ring as a picture: the partition table, once around. The outer circle is the primary of each
// partition, the circles inside it the further copies, and a thin line around all the primary's zone.

import { $, element, facts, keep, setAttribute, setText, svg } from "./dom.js";
import { count, listed, percent, plural, rate } from "./format.js";
import { paint, swatch } from "./tint.js";

const SIZE = 360; // of the picture, in its units
const MIDDLE = SIZE / 2;
const PRIMARY = { outer: 158, inner: 122 };
const COPY = 11; // how thick the circle of a further copy is
const COPIES_MAX = 4; // circles of them
const ZONE = { outer: 166, inner: 162 };
const STEPS_MAX = 2048; // parts that are drawn; of more partitions some are left out

/**
 * @typedef {{partitions: number, replicas: number, nodes: {name: string, zone?: string}[], owners: number[][]}} Ring
 */

const point = (radius, turn) => {
  const angle = 2 * Math.PI * turn - Math.PI / 2;
  return `${(MIDDLE + radius * Math.cos(angle)).toFixed(2)} ${(MIDDLE + radius * Math.sin(angle)).toFixed(2)}`;
};

/** arc is a piece of a circle, between two parts of a turn. */
function arc({ outer, inner }, from, to) {
  if (to - from > 0.999) return arc({ outer, inner }, 0, 0.5) + arc({ outer, inner }, 0.5, 1);
  const large = to - from > 0.5 ? 1 : 0;
  return `M${point(outer, from)}A${outer} ${outer} 0 ${large} 1 ${point(outer, to)}` +
    `L${point(inner, to)}A${inner} ${inner} 0 ${large} 0 ${point(inner, from)}Z`;
}

/** arcs draws a circle: of each run of partitions that have the same owner one piece, all pieces of an owner in one path. */
function arcs(ring, band, ownerOf) {
  const steps = Math.min(ring.partitions, STEPS_MAX);
  const at = (step) => ownerOf(ring.owners[Math.floor(step * ring.partitions / steps)]);
  const drawn = new Map();
  for (let from = 0; from < steps;) {
    const owner = at(from);
    let to = from + 1;
    while (to < steps && at(to) === owner) to++;
    if (owner !== undefined) drawn.set(owner, (drawn.get(owner) ?? "") + arc(band, from / steps, to / steps));
    from = to;
  }
  return drawn;
}

let shown = null; // { ring, colours, hot }
let chosen = 0; // the partition that is read out
let kept = null; // a node that is looked for: its pieces stand out

const selection = svg("path", { class: "chosen" });
const marks = svg("g", { class: "hot" });
const words = [svg("text", { x: MIDDLE, y: MIDDLE - 4, class: "large" }), svg("text", { x: MIDDLE, y: MIDDLE + 18, class: "small" })];

/** showRing draws a partition table; colours are those of tints. */
export function showRing(ring, colours) {
  shown = { ring, colours, hot: shown?.hot ?? [] };
  chosen = Math.min(chosen, ring.partitions - 1);
  const pieces = [];
  const draw = (band, ownerOf, tintOf, nameOf) => {
    for (const [owner, d] of arcs(ring, band, ownerOf)) {
      const path = svg("path", { d, class: "tinted" });
      paint(path, tintOf(owner));
      if (nameOf) path.dataset.node = nameOf(owner);
      pieces.push(path);
    }
  };
  const name = (index) => ring.nodes[index].name;
  const tint = (index) => colours.of.get(name(index));
  draw(PRIMARY, (owners) => owners[0], tint, name);
  const copies = Math.min(Math.max(...ring.owners.map((owners) => owners.length)) - 1, COPIES_MAX);
  for (let copy = 1; copy <= copies; copy++) {
    const outer = PRIMARY.inner - 3 - (copy - 1) * (COPY + 2);
    draw({ outer, inner: outer - COPY }, (owners) => owners[copy], tint, name);
  }
  if (colours.zones.length > 0) {
    const zones = new Map(colours.zones.map(({ zone, tint: colour }) => [zone, colour]));
    draw(ZONE, (owners) => ring.nodes[owners[0]]?.zone ?? "", (zone) => zones.get(zone));
  }
  setText(words[0], count(ring.partitions));
  setText(words[1], ring.partitions === 1 ? "partition" : "partitions");
  $("ring").replaceChildren(...pieces, selection, marks, ...words);
  setAttribute($("ring"), "aria-valuemax", ring.partitions - 1);
  showLegend();
  showHot(shown.hot);
  choose(chosen);
}

function showLegend() {
  const { ring, colours } = shown;
  const primaries = ring.nodes.map(() => 0);
  for (const owners of ring.owners) if (owners.length > 0) primaries[owners[0]]++;
  const groups = colours.zones.length > 0 ? colours.zones : [{ zone: null }];
  $("ring-legend").replaceChildren(...groups.flatMap(({ zone, tint }) => {
    const lines = ring.nodes.flatMap((node, index) => {
      if (zone !== null && (node.zone ?? "") !== zone) return [];
      const label = element("span", "name", node.name);
      label.title = node.name;
      const entry = element("button", "entry", swatch(colours.of.get(node.name)), label, element("span", "quiet", percent(primaries[index], ring.partitions)));
      entry.type = "button";
      entry.title = `${node.name}: primary of ${count(primaries[index])} of ${plural(ring.partitions, "partition")}`;
      entry.setAttribute("aria-pressed", "false");
      entry.addEventListener("click", () => { kept = kept === node.name ? null : node.name; standOut(kept); });
      entry.addEventListener("pointerenter", () => standOut(node.name));
      entry.addEventListener("pointerleave", () => standOut(kept));
      entry.dataset.node = node.name;
      return [element("li", "", entry)];
    });
    if (zone === null) return lines;
    const label = zone === "" ? "no zone" : `zone ${zone}`;
    return [element("li", "zone", swatch(tint), element("span", "name", label)), ...lines];
  }));
  if (!ring.nodes.some(({ name }) => name === kept)) kept = null;
  standOut(kept);
}

/** standOut leaves a node's pieces as they are and pales the others; null: none is pale. */
function standOut(name) {
  for (const path of $("ring").querySelectorAll("path.tinted")) path.classList.toggle("pale", name !== null && path.dataset.node !== name);
  for (const entry of $("ring-legend").querySelectorAll("button")) setAttribute(entry, "aria-pressed", entry.dataset.node === kept);
}

/** choose reads out a partition, and those beside it that have the same owners. */
function choose(partition) {
  const { ring, hot } = shown;
  chosen = (partition + ring.partitions) % ring.partitions;
  const owners = ring.owners[chosen];
  const same = (other) => String(ring.owners[other]) === String(owners);
  let [from, to] = [chosen, chosen];
  while (from > 0 && same(from - 1)) from--;
  while (to < ring.partitions - 1 && same(to + 1)) to++;
  selection.setAttribute("d", arc({ outer: PRIMARY.outer + 3, inner: PRIMARY.outer - 3 - (PRIMARY.outer - PRIMARY.inner) }, from / ring.partitions, (to + 1) / ring.partitions));
  const inWords = (index) => ring.nodes[index].name + (ring.nodes[index].zone ? ` (zone ${ring.nodes[index].zone})` : "");
  const range = from === to ? `Partition ${from}` : `Partitions ${from} to ${to}`;
  const load = hot.find((one) => one.partition === chosen);
  const pairs = [
    ["Primary", owners.length > 0 ? inWords(owners[0]) : "none"],
    ["Copies", owners.length > 1 ? listed(owners.slice(1).map(inWords), 8) : "none"],
  ];
  if (load) pairs.push([`Partition ${chosen} is hot`, `${rate(load.reads)} reads, ${rate(load.writes)} writes`]);
  setText($("ring-range"), range);
  $("ring-facts").replaceChildren(...facts(pairs));
  setAttribute($("ring"), "aria-valuenow", chosen);
  setAttribute($("ring"), "aria-valuetext", `${range}: ${pairs.map((pair) => pair.join(" ")).join(", ")}`);
}

const rows = new Map(); // partition -> its line in the list

/** showHot marks partitions at the ring and lists them. */
export function showHot(hot) {
  if (!shown) return;
  shown.hot = hot;
  const { ring, colours } = shown;
  marks.replaceChildren(...hot.map(({ partition }) => {
    const turn = (partition + 0.5) / ring.partitions;
    return svg("path", { d: `M${point(ZONE.outer + 1, turn)}L${point(SIZE / 2, turn - 0.008)}L${point(SIZE / 2, turn + 0.008)}Z` });
  }));
  const most = Math.max(1, ...hot.map(({ reads, writes }) => reads + writes));
  keep($("hot"), rows, hot.map(({ partition }) => String(partition)), (partition) => {
    const bar = element("span", "fill");
    const mark = swatch();
    const [primary, load] = [element("span", "name"), element("span", "num")];
    const entry = element("button", "entry", mark, element("b", "", partition), primary, load, element("span", "meter", bar));
    entry.type = "button";
    entry.title = "Show it at the ring";
    entry.addEventListener("click", () => choose(Number(partition)));
    return { root: element("li", "", entry), bar, mark, primary, load };
  });
  for (const { partition, reads, writes } of hot) {
    const { bar, mark, primary, load } = rows.get(String(partition));
    const owner = ring.nodes[ring.owners[partition]?.[0]];
    paint(mark, colours.of.get(owner?.name));
    setText(primary, owner?.name ?? "");
    primary.title = owner?.name ?? "";
    setText(load, `${rate(reads)} reads, ${rate(writes)} writes`);
    bar.style.width = `${100 * (reads + writes) / most}%`;
  }
  $("hot-none").hidden = hot.length > 0;
}

$("ring").addEventListener("pointermove", (event) => {
  if (!shown) return;
  const box = $("ring").getBoundingClientRect();
  const [x, y] = [(event.clientX - box.left) / box.width - 0.5, (event.clientY - box.top) / box.height - 0.5];
  const radius = Math.hypot(x, y) * SIZE;
  if (radius < 60 || radius > ZONE.outer + 8) return;
  const turn = (Math.atan2(y, x) / (2 * Math.PI) + 1.25) % 1;
  choose(Math.floor(turn * shown.ring.partitions));
});

const STEPS = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 16, PageDown: -16 };

$("ring").addEventListener("keydown", (event) => {
  if (!shown) return;
  if (event.key in STEPS) choose(chosen + STEPS[event.key]);
  else if (event.key === "Home") choose(0);
  else if (event.key === "End") choose(shown.ring.partitions - 1);
  else return;
  event.preventDefault();
});
