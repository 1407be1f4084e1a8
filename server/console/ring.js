// The ring as a picture. Stripes are the partition table, once around: the wide circle is the primary
// of each partition, the circles inside it the further copies, a thin line around all the primary's
// zone. Where stripes would be too narrow to be told apart, a sector is drawn for each node instead,
// as wide as its share, and the partitions are a thin circle around.

import { $, element, facts, keep, setAttribute, setText, svg } from "./dom.js";
import { MIDDLE, PRIMARY, SIZE, arc, holdings, isFine, places, point, stripes } from "./circle.js";
import { count, listed, percent, plural, rate } from "./format.js";
import { paint, swatch } from "./tint.js";

const COPY = 11; // how thick the circle of a further copy is
const COPIES_MAX = 4; // circles of them
const ZONE = { outer: 166, inner: 162 }; // of stripes
const TRACK = { outer: 165, inner: 159 }; // the partitions, where there are sectors
const SECTOR = { outer: 152, inner: 102 };
const SECTOR_ZONE = { outer: 152, inner: 143 }; // the zones of sectors, which begin inside them
const ZONE_GAP = 3;
const HOT = 167; // where the tips of the marks are
const GAP_MIN = 6; // units: sectors that are wider on average have a gap between them
const LEGEND_FEW = 9; // lines that fit beside the picture

/** @typedef {import("./circle.js").Ring} Ring */

/**
 * @typedef {object} Shown
 * @property {Ring} ring
 * @property {object} colours as tints has them
 * @property {{partition: number, reads: number, writes: number}[]} hot
 * @property {{zone: string|null, tint?: object, members: number[]}[]} groups the nodes in the order of the legend; null: there are no zones
 * @property {{primary: number, copies: number}[]} held by node
 * @property {{outer: number, inner: number}|null} band of the sectors; null: there are stripes
 * @property {Map<number, {from: number, to: number}>} sectors by node
 */

/** @type {Shown|null} */
let shown = null;
let chosen = 0; // the partition that is read out
let read = null; // the node that is read out instead
let kept = null; // a node that is looked for: its pieces stand out

const selection = svg("path", { class: "chosen" });
const marks = svg("g", { class: "hot" });
const words = [svg("text", { x: MIDDLE, y: MIDDLE - 4, class: "large" }), svg("text", { x: MIDDLE, y: MIDDLE + 18, class: "small" })];

function groupsOf(ring, { zones }) {
  const all = ring.nodes.map((_, index) => index);
  if (zones.length === 0) return [{ zone: null, members: all }];
  return zones.map(({ zone, tint }) => ({ zone, tint, members: all.filter((index) => (ring.nodes[index].zone ?? "") === zone) }));
}

const primariesOf = ({ members }) => members.reduce((sum, index) => sum + shown.held[index].primary, 0);
const zoneWords = (zone) => (zone === "" ? "no zone" : `zone ${zone}`);
const primaryWords = (n) => `${count(n)} of ${plural(shown.ring.partitions, "partition")}`;
const shareWords = (n) => `${primaryWords(n)} (${percent(n, shown.ring.partitions)})`;

/** piece makes a part of the picture in a colour; index: of the node that it is of. */
function piece(className, d, tint, index) {
  const path = svg("path", { d, class: `tinted ${className}` });
  paint(path, tint);
  if (index !== undefined) path.dataset.node = shown.ring.nodes[index].name;
  return path;
}

/** zoneLine makes the part that is a zone's. */
function zoneLine(className, d, zone, tint) {
  const path = piece(className, d, tint);
  path.dataset.zone = zone;
  return path;
}

const tintOf = (index) => shown.colours.of.get(shown.ring.nodes[index].name);

function striped() {
  const { ring, groups } = shown;
  const nodes = (band, ownerOf) => [...stripes(ring, band, ownerOf)].map(([index, d]) => piece("stripe", d, tintOf(index), index));
  const pieces = nodes(PRIMARY, (owners) => owners[0]);
  const copies = Math.min(Math.max(...ring.owners.map((owners) => owners.length)) - 1, COPIES_MAX);
  for (let copy = 1; copy <= copies; copy++) {
    const outer = PRIMARY.inner - 3 - (copy - 1) * (COPY + 2);
    pieces.push(...nodes({ outer, inner: outer - COPY }, (owners) => owners[copy]));
  }
  if (groups[0].zone === null) return pieces;
  const tints = new Map(groups.map(({ zone, tint }) => [zone, tint]));
  const zones = stripes(ring, ZONE, (owners) => owners.length > 0 ? ring.nodes[owners[0]].zone ?? "" : undefined);
  return [...pieces, ...[...zones].map(([zone, d]) => zoneLine("stripe", d, zone, tints.get(zone)))];
}

function sectored() {
  const { ring, groups, held, band, sectors } = shown;
  const pieces = [svg("path", { class: "track", d: arc(TRACK, { from: 0, to: 1 }) })];
  const titled = (path, text) => { path.append(svg("title", {}, text)); return path; };
  for (const [index, place] of sectors) {
    const path = piece("sector", arc(band, place), tintOf(index), index);
    pieces.push(titled(path, `${ring.nodes[index].name}: primary of ${shareWords(held[index].primary)}`));
  }
  if (groups[0].zone === null) return pieces;
  places(groups.map(primariesOf), ring.partitions).forEach((place, at) => {
    if (place.from === place.to) return;
    const { zone, tint } = groups[at];
    const path = zoneLine("sector", arc(SECTOR_ZONE, place), zone, tint);
    pieces.push(titled(path, `${zoneWords(zone)}: primary of ${shareWords(primariesOf(groups[at]))}`));
  });
  return pieces;
}

/** caption says what the picture shows. */
function caption() {
  const { ring, groups, band } = shown;
  const zones = groups[0].zone !== null;
  if (band) {
    return `A sector is a node, as wide as its share of the ${count(ring.partitions)} partitions: those it is the primary of. ` +
      (zones ? "The circle around the sectors is their zones. " : "") +
      "The thin circle outside is the partitions in their order: a line marks the one that is read out, whose primary is outlined, and a triangle a hot one.";
  }
  return "Once around are the partitions in their order. The wide circle is the primary of each" +
    (ring.owners.some((owners) => owners.length > 1) ? ", and inside it are the further copies" : "") +
    `. ${zones ? "The line outside is the primary's zone. " : ""}A triangle marks a hot one.`;
}

/** showRing draws a partition table; colours are those of tints. @param {Ring} ring */
export function showRing(ring, colours) {
  const groups = groupsOf(ring, colours);
  const held = holdings(ring);
  const band = !isFine(ring) ? null : groups[0].zone === null ? SECTOR : { ...SECTOR, outer: SECTOR_ZONE.inner - ZONE_GAP };
  const order = groups.flatMap(({ members }) => members);
  const at = places(order.map((index) => held[index].primary), ring.partitions);
  const sectors = new Map(order.map((index, i) => [index, at[i]]).filter(([, { from, to }]) => to > from));
  shown = { ring, colours, hot: shown?.hot ?? [], groups, held, band, sectors };
  chosen = Math.min(chosen, ring.partitions - 1);
  setText(words[0], count(ring.partitions));
  setText(words[1], ring.partitions === 1 ? "partition" : "partitions");
  $("ring").replaceChildren(...(band ? sectored() : striped()), selection, marks, ...words);
  $("ring").classList.toggle("gaps", band !== null && Math.PI * (band.outer + band.inner) / sectors.size > GAP_MIN);
  setAttribute($("ring"), "aria-valuemax", ring.partitions - 1);
  setText($("ring-caption"), caption());
  showLegend();
  showHot(shown.hot);
  const index = ring.nodes.findIndex(({ name }) => name === read);
  choose(chosen);
  if (band && index >= 0) readNode(index);
}

function showLegend() {
  const { ring, colours, groups, held } = shown;
  const lines = groups.flatMap((group) => {
    const nodes = group.members.map((index) => {
      const { name } = ring.nodes[index];
      const label = element("span", "name", name);
      label.title = name;
      const { primary } = held[index];
      const entry = element("button", "entry", swatch(colours.of.get(name)), label, element("span", "quiet", percent(primary, ring.partitions)));
      entry.type = "button";
      entry.title = `${name}: primary of ${primaryWords(primary)}`;
      entry.addEventListener("click", () => keepNode(name));
      entry.addEventListener("pointerenter", () => standOut(name));
      entry.addEventListener("pointerleave", () => standOut(kept));
      entry.dataset.node = name;
      return element("li", "", entry);
    });
    if (group.zone === null) return nodes;
    const share = element("span", "", percent(primariesOf(group), ring.partitions));
    return [element("li", "zone", swatch(group.tint), element("span", "name", zoneWords(group.zone)), share), ...nodes];
  });
  $("ring-legend").replaceChildren(...lines);
  $("ring-parts").classList.toggle("many", lines.length > LEGEND_FEW);
  if (!ring.nodes.some(({ name }) => name === kept)) kept = null;
  standOut(kept);
}

/** keepNode has a node stand out until it is named again. */
function keepNode(name) {
  kept = kept === name ? null : name;
  standOut(kept);
}

/** standOut leaves a node's pieces as they are and pales the others; null: none is pale. */
function standOut(name) {
  for (const path of $("ring").querySelectorAll("path.tinted")) path.classList.toggle("pale", name !== null && path.dataset.node !== name);
  for (const entry of $("ring-legend").querySelectorAll("button")) setAttribute(entry, "aria-pressed", entry.dataset.node === kept);
}

const inWords = ({ name, zone }) => name + (zone ? ` (zone ${zone})` : "");

function readOut(title, pairs, d) {
  setAttribute(selection, "d", d);
  setText($("ring-range"), title);
  $("ring-facts").replaceChildren(...facts(pairs));
}

/** readNode reads out a node, for whoever points at its sector. */
function readNode(index) {
  const { ring, held, band, sectors } = shown;
  read = ring.nodes[index].name;
  const { primary, copies } = held[index];
  readOut(inWords(ring.nodes[index]), [["Primary of", shareWords(primary)], ["Further copies of", plural(copies, "partition")]],
    sectors.has(index) ? arc(band, sectors.get(index)) : "");
}

/** choose reads out a partition, and those beside it that have the same owners. */
function choose(partition) {
  const { ring, hot, band, sectors } = shown;
  read = null;
  chosen = (partition + ring.partitions) % ring.partitions;
  const owners = ring.owners[chosen];
  const same = (other) => String(ring.owners[other]) === String(owners);
  let [from, to] = [chosen, chosen];
  while (from > 0 && same(from - 1)) from--;
  while (to < ring.partitions - 1 && same(to + 1)) to++;
  const circle = band ? TRACK : PRIMARY;
  const place = arc({ outer: circle.outer + 3, inner: circle.inner - 3 }, { from: from / ring.partitions, to: (to + 1) / ring.partitions });
  const named = (index) => inWords(ring.nodes[index]);
  const range = from === to ? `Partition ${from}` : `Partitions ${from} to ${to}`;
  const load = hot.find((one) => one.partition === chosen);
  const pairs = [
    ["Primary", owners.length > 0 ? named(owners[0]) : "none"],
    ["Copies", owners.length > 1 ? listed(owners.slice(1).map(named), 8) : "none"],
  ];
  if (load) pairs.push([`Partition ${chosen} is hot`, `${rate(load.reads)} reads, ${rate(load.writes)} writes`]);
  readOut(range, pairs, place + (band && owners.length > 0 ? arc(band, sectors.get(owners[0])) : ""));
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
    return svg("path", { d: `M${point(HOT, turn)}L${point(SIZE / 2, turn - 0.008)}L${point(SIZE / 2, turn + 0.008)}Z` });
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

/** pointedAt is the partition or the node that the pointer is at; {}: neither. */
function pointedAt(event) {
  const box = $("ring").getBoundingClientRect();
  const [x, y] = [(event.clientX - box.left) / box.width - 0.5, (event.clientY - box.top) / box.height - 0.5];
  const radius = Math.hypot(x, y) * SIZE;
  const turn = (Math.atan2(y, x) / (2 * Math.PI) + 1.25) % 1;
  const { ring, band, sectors } = shown;
  if (radius > MIDDLE || radius < (band ? band.inner : 60)) return {};
  if (!band || radius > (SECTOR.outer + TRACK.inner) / 2) return { partition: Math.floor(turn * ring.partitions) };
  return { node: [...sectors.keys()].find((index) => sectors.get(index).to > turn) };
}

for (const kind of ["pointermove", "pointerdown"]) {
  $("ring").addEventListener(kind, (event) => {
    const { partition, node } = shown ? pointedAt(event) : {};
    if (partition !== undefined) choose(partition);
    if (node !== undefined) readNode(node);
  });
}

$("ring").addEventListener("click", (event) => {
  const { node } = shown ? pointedAt(event) : {};
  if (node !== undefined) keepNode(shown.ring.nodes[node].name);
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
