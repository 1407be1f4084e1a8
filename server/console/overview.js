// The cluster at a glance: its health in a sentence, charts, tiles with sparklines, and what moves.

import { $, element, keep, meter, setAttribute, setText } from "./dom.js";
import { bytes, count, latency, listed, percent, plural, rate, short, since, span } from "./format.js";
import { chart, sparkline } from "./chart.js";

/** @typedef {import("./nodes.js").Node} Node */
/** @typedef {{node: string, ring: string, target?: string, replicas: number, partitions: number, partitioner: string, nodes: Node[]}} Cluster */

const isUp = (node) => node.state !== "down";

/** isFull says that writes which need more memory are refused: less than a 32nd is left. A node that evicts makes room. */
export const isFull = ({ memory }) => memory.max > 0 && memory.used >= memory.max - memory.max / 32 && !memory.evicted;

/**
 * keysOf is how many live keys there are, of two counts that are never too large the larger one. No key
 * has more copies in sync than there are nodes for them. And of the copies that it is to have, each is in
 * sync or lacking; a key that lacks several counts for one.
 * @param {Cluster} cluster
 */
function keysOf({ nodes, replicas }) {
  const sum = (all, of) => all.reduce((whole, node) => whole + (of(node) ?? 0), 0);
  const owners = nodes.filter((node) => node.primary_partitions + node.replica_partitions > 0);
  const inSync = owners.filter((node) => isUp(node) && node.state !== "joining");
  const copies = sum(inSync, (node) => node.keys);
  const lacking = sum(nodes, (node) => node.under_replicated);
  const of = (among) => Math.max(1, Math.min(replicas, among.length));
  return Math.round(Math.max(copies / of(inSync), (copies + lacking) / of(owners)));
}

/**
 * totals is what charts show of a document of the cluster.
 * @param {Cluster} cluster
 */
export function totals(cluster) {
  const up = cluster.nodes.filter(isUp);
  const sum = (of) => up.reduce((all, node) => all + (of(node) ?? 0), 0);
  const told = cluster.nodes.some((node) => node.under_replicated !== undefined);
  return {
    keys: keysOf(cluster), copies: sum((node) => node.keys), data: sum((node) => node.bytes), used: sum((node) => node.memory.used),
    max: up.every((node) => node.memory.max > 0) ? sum((node) => node.memory.max) : 0,
    hints: cluster.nodes.reduce((all, node) => all + node.hint_bytes, 0),
    under: told ? sum((node) => node.under_replicated) : null,
  };
}

// --- health -----------------------------------------------------------------

/**
 * problems are what a person has to know of, worst first: a level and a sentence.
 * @param {Cluster} cluster @returns {["bad"|"warn", string][]}
 */
export function problems(cluster, now = Date.now()) {
  const { nodes } = cluster;
  const found = [];
  const of = (level, list, text) => { if (list.length > 0) found.push([level, text(list)]); };
  const names = (list) => listed(list.map(({ name }) => name));
  const are = (list) => (list.length === 1 ? "is" : "are");
  of("bad", nodes.filter((node) => !isUp(node)), (list) => {
    const [first] = list.map((node) => node.down_since).filter(Boolean).sort();
    return `${names(list)} ${are(list)} down${first ? `, for ${since(new Date(first), now)}` : ""}.`;
  });
  of("bad", nodes.filter((node) => isUp(node) && node.disk?.failing), (list) => `The disk of ${names(list)} fails: writes are refused there.`);
  of("bad", nodes.filter((node) => isUp(node) && isFull(node)), (list) =>
    `The memory of ${names(list)} is full: writes that need more are refused.`);
  const { under } = totals(cluster);
  if (under > 0) found.push(["warn", `${plural(under, "key")} ${under === 1 ? "has" : "have"} fewer than ${plural(cluster.replicas, "copy", "copies")} in sync.`]);
  of("warn", nodes.filter(({ state }) => state === "joining"), (list) => `${names(list)} ${are(list)} joining.`);
  of("warn", nodes.filter(({ state }) => state === "leaving"), (list) => `${names(list)} ${are(list)} leaving.`);
  if (cluster.target && found.length === 0) found.push(["warn", "The ring is changing."]);
  const versions = new Set(nodes.filter(isUp).map(({ version }) => version));
  if (versions.size > 1) found.push(["warn", `The nodes run ${versions.size} versions.`]);
  return found;
}

function healthy(cluster) {
  const { nodes, replicas } = cluster;
  const each = totals(cluster).under === 0 ? `, and every key has its ${plural(Math.min(replicas, nodes.length), "copy", "copies")}` : "";
  return `${nodes.length === 1 ? "The node is" : `All ${nodes.length} nodes are`} up${each}.`;
}

const SIGNS = { good: "✓", warn: "!", bad: "✕" };
const TITLES = { good: "Healthy", warn: "Attention", bad: "Trouble" };

const problemLines = new Map(); // a sentence without its figures -> its line, so that what has not changed is not read out again

function showHealth(cluster) {
  const found = problems(cluster);
  const level = found[0]?.[0] ?? "good";
  $("health").dataset.level = level;
  setText($("health-sign"), SIGNS[level]);
  setText($("health-title"), TITLES[level]);
  setText($("health-text"), found.length > 0 ? "" : healthy(cluster));
  keep($("health-list"), problemLines, found.map(([, text]) => text.replaceAll(/\d/g, "#")), () => ({ root: element("li") }));
  for (const [severity, text] of found) {
    const { root } = problemLines.get(text.replaceAll(/\d/g, "#"));
    root.className = severity;
    setText(root, text);
  }
  const up = cluster.nodes.filter(isUp).length;
  setText($("facts"), [
    `${up} of ${plural(cluster.nodes.length, "node")} up`, plural(cluster.replicas, "copy of each key", "copies of each key"),
    `${plural(cluster.partitions, "partition")} by ${cluster.partitioner}`,
  ].join(" · "));
}

// --- charts and tiles -------------------------------------------------------

/** throughput and latencies are the charts of the cluster, and those of a node. */
export const throughput = () => chart({
  title: "Operations", least: 10, format: rate, lines: [
    { label: "reads", className: "line-1", value: (sample) => sample.reads ?? null },
    { label: "writes", className: "line-2", value: (sample) => sample.writes ?? null },
    { label: "batches and Redis", className: "line-3", value: (sample) => sample.others ?? null },
  ],
});

export const latencies = () => chart({
  title: "Latency of single keys", least: 0.001, format: latency, lines: [
    { label: "p50", className: "line-1", value: (sample) => sample.p50 ?? null },
    { label: "p99", className: "line-4", value: (sample) => sample.p99 ?? null },
  ],
});

const charts = [throughput(), latencies()];
$("charts").append(...charts.map(({ root }) => root));

/**
 * tile has a figure, what it means, and a sparkline.
 * @param {string} label @param {(sample: object) => number|null} value @param {string} className of the line
 */
function tile(label, value, className, title) {
  const figure = element("b", "figure");
  const note = element("span", "quiet");
  const line = sparkline(value, className);
  const root = element("div", "tile", element("h3", "", label), figure, note, line.root);
  root.title = title;
  $("tiles").append(root);
  return (text, words, level, samples, now) => {
    setText(figure, text);
    setText(note, words);
    root.dataset.level = level;
    line.show(samples, now);
  };
}

const tiles = {
  errors: tile("Errors", (sample) => sample.errors ?? null, "line-4", "Operations a second that nodes answered with 5xx"),
  keys: tile("Keys", (sample) => sample.keys, "line-1", "Live keys, each counted once however many copies it has"),
  memory: tile("Memory", (sample) => sample.used, "line-3", "What the stores take, of their --max-memory"),
  under: tile("Under-replicated", (sample) => sample.under, "line-2", "Keys with fewer copies in sync than there should be"),
  hints: tile("Hints", (sample) => sample.hints, "line-2", "Writes that the node that answers keeps for others until they are back"),
  connections: tile("Connections", (sample) => sample.connections, "line-1", "Connections of clients and of other nodes, to all nodes"),
};

function showTiles(cluster, history, now) {
  const { samples, last } = history.cluster;
  const show = (name, text, words, level = "") => tiles[name](text, words, level, samples, now);
  show("errors", rate(last.errors), last.errors > 0 ? "answered with 5xx" : last.errors === 0 ? "none lately" : "not known", last.errors > 0 ? "bad" : "");
  show("keys", short(last.keys), `${plural(last.copies, "copy", "copies")}, ${bytes(last.data)}`);
  const fullest = cluster.nodes.filter((node) => isUp(node) && node.memory.max > 0)
    .sort((a, b) => b.memory.used / b.memory.max - a.memory.used / a.memory.max)[0];
  const full = fullest ? fullest.memory.used / fullest.memory.max : 0;
  show("memory", bytes(last.used), fullest ? `${last.max > 0 ? `of ${bytes(last.max)}, ` : ""}fullest ${percent(full, 1)}` : "without a bound", levelOf(full));
  show("under", last.under === null ? "–" : short(last.under), last.under > 0 ? "keys lack a copy in sync" : last.under === 0 ? "every copy is in sync" : "not known",
    last.under > 0 ? "warn" : "");
  show("hints", bytes(last.hints), last.hints > 0 ? "kept for nodes to come back" : "none waiting", last.hints > 0 ? "warn" : "");
  show("connections", last.connections === null ? "–" : short(last.connections), "of clients and nodes");
}

/** levelOf is how bad it is that so much of a memory is taken. */
export const levelOf = (part) => (part >= 31 / 32 ? "bad" : part >= 0.85 ? "warn" : "");

// --- what moves -------------------------------------------------------------

const moves = new Map(); // node and direction -> its line

/**
 * moving is what a node has under way, each with the part that is done; null: that is not known.
 * @param {Node} node @returns {{key: string, text: string, left: string, part: number|null}[]}
 */
function moving(node) {
  const found = [];
  if (isUp(node) && node.moving) {
    const { done, partitions, bytes: got, bytes_left: rest, rate: speed, seconds_left: seconds } = node.moving;
    const left = done > 0 ? `${bytes(rest)} to go at ${bytes(speed)}/s, ${span(Math.ceil(seconds))} left` : "begins";
    found.push({ key: `${node.name} in`, text: `fetches ${plural(partitions, "partition")}, ${count(done)} done, ${bytes(got)}`, left, part: partitions > 0 ? done / partitions : 1 });
  }
  if (isUp(node) && node.hand_over > 0) found.push({ key: `${node.name} out`, text: `has ${plural(node.hand_over, "partition")} to hand over`, left: "", part: null });
  return found;
}

function showMoves(cluster, colours, swatchOf) {
  const found = cluster.nodes.flatMap((node) => moving(node).map((one) => ({ ...one, node })));
  $("moves").hidden = found.length === 0 && !cluster.target;
  setText($("moves-ring"), cluster.target ? `The ring ${cluster.ring} is changing to ${cluster.target}.` : "");
  keep($("moves-list"), moves, found.map(({ key }) => key), () => {
    const bar = meter("wide");
    const [mark, name, text, left] = [element("span"), element("b", "name"), element("span", "text"), element("span", "left quiet")];
    return { root: element("li", "", mark, name, text, bar.root, left), bar, mark, name, text, left };
  });
  for (const { key, node, text, left, part } of found) {
    const line = moves.get(key);
    line.mark.replaceChildren(swatchOf(colours.of.get(node.name)));
    setText(line.name, node.name);
    line.name.title = node.name;
    setText(line.text, text);
    setText(line.left, left);
    line.bar.root.hidden = part === null;
    line.bar.show(part ?? 0, "", `${percent(part ?? 0, 1)} done`);
  }
}

/** showOverview shows a document of the cluster, and what has been seen of it. */
export function showOverview(cluster, history, colours, swatchOf, now) {
  showHealth(cluster);
  charts.forEach((one) => one.show(history.cluster.samples, now));
  showTiles(cluster, history, now);
  showMoves(cluster, colours, swatchOf);
}

/** showStatsTrouble says why there are no rates; "" takes it away. */
export function showStatsTrouble(text) {
  setText($("stats-trouble"), text);
  setAttribute($("stats-trouble"), "role", "status");
  $("stats-trouble").hidden = text === "";
}
