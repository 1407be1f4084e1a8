// A value on the page: as text, as JSON with line breaks, in hex, or as an image. However large it
// is, the page shows a bounded part of it.

import { button, element } from "./dom.js";
import { bytes, count } from "./format.js";
import { asText, hexDump, imageType } from "./keybytes.js";

const SHOWN_BYTES_MAX = 64 * 1024;
const JSON_BYTES_MAX = 1024 * 1024; // beyond it JSON is shown as the text that it is
const JSON_TOKENS_MAX = 8000;

const JSON_TOKEN = /"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g;

/**
 * prettyJSON gives JSON line breaks and colours. Its numbers and strings stay as they are written:
 * none goes through a number of JavaScript, which would round it. null: it is no JSON.
 * @returns {{nodes: Node[], whole: boolean}|null} whole: not cut
 */
export function prettyJSON(text) {
  try {
    JSON.parse(text);
  } catch {
    return null;
  }
  const nodes = [];
  const tokens = text.match(JSON_TOKEN) ?? [];
  let depth = 0;
  const line = () => `\n${"  ".repeat(depth)}`;
  tokens.slice(0, JSON_TOKENS_MAX).forEach((token, index) => {
    const next = tokens[index + 1];
    if (token === "{" || token === "[") {
      const empty = next === "}" || next === "]";
      if (!empty) depth++;
      nodes.push(empty ? token : token + line());
    } else if (token === "}" || token === "]") {
      const empty = tokens[index - 1] === "{" || tokens[index - 1] === "[";
      if (!empty) depth--;
      nodes.push(empty ? token : line() + token);
    } else if (token === ",") nodes.push(token + line());
    else if (token === ":") nodes.push(": ");
    else nodes.push(element("span", classOf(token, next), token));
  });
  return { nodes, whole: tokens.length <= JSON_TOKENS_MAX };
}

function classOf(token, next) {
  if (token.startsWith('"')) return next === ":" ? "json-name" : "json-string";
  return /^[-\d]/.test(token) ? "json-number" : "json-word";
}

// Of an image there is an address in the page, which is given up with it.
let imageAddress = "";

function dropImage() {
  if (imageAddress) URL.revokeObjectURL(imageAddress);
  imageAddress = "";
}

function imageView(data, type, note) {
  dropImage();
  imageAddress = URL.createObjectURL(new Blob([data], { type }));
  const image = element("img");
  image.alt = "The value as an image";
  image.addEventListener("load", () => note(`${count(image.naturalWidth)} × ${count(image.naturalHeight)} pixels`));
  image.addEventListener("error", () => note("the browser cannot show it as an image"));
  image.src = imageAddress;
  return element("div", "image", image);
}

function textBlock(className, ...children) {
  const block = element("pre", className, ...children);
  block.tabIndex = 0;
  block.setAttribute("aria-label", "Value");
  return block;
}

/** download gives the browser a value as a file. */
function download(data, name) {
  const link = element("a");
  link.href = URL.createObjectURL(new Blob([data], { type: "application/octet-stream" }));
  link.download = name.replaceAll(/[^\w.-]+/g, "_").slice(-80) || "value";
  link.click();
  URL.revokeObjectURL(link.href);
}

/**
 * showValue makes the elements for a value: what it is, the ways to show it, and it.
 * @param {Uint8Array} data
 * @param {{type: string, name: string, size: string}} of its type, the key, and its size in words
 */
export function showValue(data, { type, name, size }) {
  dropImage();
  if (data.length === 0) return [element("p", "quiet", "The value is empty.")];
  const start = data.subarray(0, SHOWN_BYTES_MAX);
  const cut = start.length < data.length ? `the first ${bytes(start.length)} shown` : "";
  // Where the shown part ends, a character may be cut in two.
  const text = asText(cut ? start.subarray(0, lastStart(start)) : start);
  const whole = data.length <= JSON_BYTES_MAX && text !== null && looksLikeJSON(text, type) ? asText(data) : null;
  const pretty = whole === null ? null : prettyJSON(whole);
  const image = imageType(data, type);

  const note = element("span", "quiet");
  const say = (...words) => { note.textContent = [size, ...words].filter(Boolean).join(", "); };
  const views = {
    image: ["Image", image && (() => { say(); return imageView(data, image, say); })],
    json: ["JSON", pretty && (() => { say(pretty.whole ? "" : "its beginning shown"); return textBlock("", ...pretty.nodes); })],
    text: ["Text", () => { say(cut); return textBlock("", text ?? new TextDecoder().decode(start)); }],
    hex: ["Hex", () => { say(cut); return textBlock("hex", hexDump(start)); }],
  };
  const there = Object.keys(views).filter((view) => views[view][1]);
  const first = image ? "image" : pretty ? "json" : text !== null ? "text" : "hex";

  const place = element("div");
  const buttons = new Map(there.map((view) => [view, button(views[view][0], "", () => choose(view))]));
  function choose(view) {
    for (const [other, made] of buttons) made.setAttribute("aria-pressed", other === view);
    dropImage();
    place.replaceChildren(views[view][1]());
  }
  choose(first);
  const group = element("div", "choice", ...buttons.values());
  group.setAttribute("role", "group");
  group.setAttribute("aria-label", "Show as");
  return [element("div", "buttons value-head", group, note, button("Download", "quiet-button", () => download(data, name))), place];
}

const looksLikeJSON = (text, type) => /^[^;]*\bjson\b/i.test(type) || /^\s*[{[]/.test(text);

/** lastStart is where the last character of UTF-8 begins that may be cut. */
function lastStart(data) {
  let at = data.length - 1;
  while (at > data.length - 4 && (data[at] & 0xc0) === 0x80) at--;
  return data[at] >= 0xc0 ? at : data.length;
}
