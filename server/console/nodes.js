// The nodes: the table of all, and one in detail.

import { $, button, element, facts, keep, meter, setText, table, tableRow } from "./dom.js";
import { bytes, count, latency, percent, plural, rate, since } from "./format.js";
import { sparkline } from "./chart.js";
import { percentile } from "./history.js";
import { isFull, latencies, levelOf, throughput } from "./overview.js";
import { askToLeave, askToRemove, askWhetherSafe } from "./actions.js";
import { paint, swatch } from "./tint.js";

/**
 * @typedef {{used: number, max?: number, live: number, dead: number, index: number, segments: number, evicted?: number}} Memory
 * @typedef {{name: string, state: string, reason?: string, down_since?: string, zone?: string, weight: number, keys: number,
 *   bytes: number, tombstones: number, memory: Memory, disk?: {bytes: number, unsynced: number, max?: number, failing: boolean},
 *   primary_partitions: number, replica_partitions: number, target_partitions?: number, hint_bytes: number, under_replicated?: number,
 *   moving?: {partitions: number, done: number, bytes: number, bytes_left: number, rate: number, seconds_left: number},
 *   hand_over?: number, version?: string, started?: string, resp?: string}} Node as GET /cluster has it
 */

const STATE_SIGNS = { active: "●", joining: "◐", leaving: "◑", down: "○" };

const addressOf = (name) => `#/node/${encodeURIComponent(name)}`;

/** stateOf is an element with a node's state: a sign, a word and a colour. */
function showState(made, state) {
  made.className = `state ${state}`;
  setText(made, `${STATE_SIGNS[state] ?? "?"} ${state}`);
}

function noteOf(node, now) {
  const words = [node.reason, node.state === "down" && node.down_since ? `for ${since(new Date(node.down_since), now)}` : ""];
  return words.filter(Boolean).join("; ");
}

const memoryWords = ({ used, max }) => (max > 0 ? `${bytes(used)} of ${bytes(max)}` : bytes(used));

function upFor(node, now) {
  return node.started && node.state !== "down" ? since(new Date(node.started), now) : "–";
}

// --- the table --------------------------------------------------------------

const COLUMNS = [
  { label: "Node", className: "wide" },
  { label: "State", className: "state-cell" },
  { label: "Operations", className: "num", title: "A second, all kinds" },
  { label: "p99", className: "num", title: "The latency that 99 % of the operations on single keys stayed below" },
  { label: "Keys", className: "num" },
  { label: "Memory", className: "num", title: "What the node's store takes, of its --max-memory" },
  { label: "Under-replicated", className: "num sometimes", title: "Keys of the node with fewer copies in sync than there should be" },
  { label: "Hints", className: "num sometimes", title: "Writes that the node that answers keeps for this one until it is back" },
  { label: "Version" },
  { label: "Up for", className: "num" },
];

const nodesTable = table("Nodes of the cluster", COLUMNS);
nodesTable.body.id = "nodes";
$("nodes-table").append(nodesTable.root);

const rows = new Map(); // node name -> its row, kept so that a poll does not disturb a selection

function newRow(name) {
  const { root, cells } = tableRow(COLUMNS);
  const [nameCell, state, operations, slow, keys, memory, lacking, hints, version, up] = cells;
  const mark = swatch();
  const link = element("a", "node-name", name);
  link.href = addressOf(name);
  link.title = name;
  const zone = element("span", "note");
  nameCell.append(element("span", "node-cell", mark, link, zone));
  const [stateText, reason] = [element("span"), element("span", "note")];
  state.append(element("span", "", stateText, reason));
  const [perSecond, line] = [element("span"), sparkline((sample) => sample.reads + sample.writes + sample.others, "line-1")];
  operations.append(element("span", "pair", perSecond, line.root));
  const [used, bar] = [element("span"), meter("")];
  memory.append(element("span", "pair stacked", used, bar.root));
  const versionText = element("span", "clip");
  version.append(versionText);
  return { root, mark, zone, stateText, reason, perSecond, line, slow, keys, used, bar, lacking, hints, versionText, up };
}

function showRow(node, cluster, history, colours, now) {
  const row = rows.get(node.name);
  paint(row.mark, colours.of.get(node.name));
  const zone = [node.zone ? `zone ${node.zone}` : "", node.name === cluster.node ? "answers here" : ""].filter(Boolean).join(", ");
  setText(row.zone, zone);
  row.zone.hidden = zone === "";
  showState(row.stateText, node.state);
  const note = noteOf(node, now);
  setText(row.reason, note);
  row.reason.hidden = note === "";
  const { series, error } = history.node(node.name);
  const last = node.state === "down" || error ? undefined : series.last;
  setText(row.perSecond, last ? rate(last.reads + last.writes + last.others) : "–");
  row.line.show(series.samples, now);
  setText(row.slow, latency(last?.p99));
  setText(row.keys, count(node.keys));
  setText(row.used, memoryWords(node.memory));
  const part = node.memory.max > 0 ? node.memory.used / node.memory.max : 0;
  row.bar.root.hidden = !(node.memory.max > 0);
  row.bar.show(part, node.memory.evicted && part >= 0.85 ? "" : levelOf(part), `${percent(part, 1)} of its memory`);
  setText(row.lacking, node.under_replicated === undefined ? "–" : count(node.under_replicated));
  row.lacking.classList.toggle("warn", node.under_replicated > 0);
  row.lacking.classList.toggle("idle", !(node.under_replicated > 0));
  setText(row.hints, node.hint_bytes > 0 ? bytes(node.hint_bytes) : "–");
  row.hints.classList.toggle("warn", node.hint_bytes > 0);
  row.hints.classList.toggle("idle", !(node.hint_bytes > 0)); // a card leaves it out
  setText(row.versionText, node.version || "–");
  row.versionText.title = node.version ?? "";
  setText(row.up, upFor(node, now));
}

/** showNodes shows the table of the nodes. */
export function showNodes(cluster, history, colours, now) {
  keep(nodesTable.body, rows, cluster.nodes.map(({ name }) => name), newRow);
  cluster.nodes.forEach((node) => showRow(node, cluster, history, colours, now));
}

// --- one node ---------------------------------------------------------------

const charts = [throughput(), latencies()];
$("node-charts").append(...charts.map(({ root }) => root));

const KINDS = {
  get: "Get", put: "Put", delete: "Delete", update: "Update", list: "List", batch: "Batch", load: "Load", resp: "Redis commands",
};
const KIND_COLUMNS = [
  { label: "Operation" },
  { label: "A second", className: "num" },
  { label: "p50", className: "num" },
  { label: "p99", className: "num" },
  { label: "Since the start", className: "num" },
  { label: "Of them 5xx", className: "num" },
];
const kindsTable = table("Operations of the node", KIND_COLUMNS);
$("node-kinds").append(kindsTable.root);
const kindRows = new Map();

function showKinds({ stats, difference, error }, bounds, down) {
  const operations = (stats?.operations ?? []).filter(({ count: n }) => n > 0);
  keep(kindsTable.body, kindRows, operations.map(({ kind }) => kind), () => tableRow(KIND_COLUMNS));
  for (const operation of operations) {
    const lately = down || error ? undefined : difference?.operations.find(({ kind }) => kind === operation.kind);
    const texts = [
      KINDS[operation.kind] ?? operation.kind, lately ? rate(lately.count / difference.seconds) : "–",
      latency(lately && percentile(bounds, lately.buckets, 0.5)), latency(lately && percentile(bounds, lately.buckets, 0.99)),
      count(operation.count), count(operation.errors),
    ];
    const { cells } = kindRows.get(operation.kind);
    texts.forEach((text, index) => setText(cells[index], text));
    cells[5].classList.toggle("bad", operation.errors > 0);
  }
  setText($("node-kinds-note"), error ? `It could not be asked: ${error}.` : !stats ? "Nothing is known of its operations yet." : operations.length === 0 ? "It has carried out none since its start." : "");
}

const memoryBar = element("div", "stack");
memoryBar.setAttribute("role", "img");

/** memoryParts are what a store takes, in the order of the bar. */
function memoryParts({ live, dead, segments, index, used, max }) {
  const parts = [["values and keys", live, "line-1"], ["index", index, "line-3"], ["gone, to be used again", dead, "line-5"],
    ["not used yet", Math.max(0, segments - live - dead), "line-0"]];
  return max > 0 ? [...parts, ["free", Math.max(0, max - used), "none"]] : parts;
}

function showMemory(node) {
  const parts = memoryParts(node.memory);
  const all = parts.reduce((sum, [, n]) => sum + n, 0);
  while (memoryBar.children.length < parts.length) memoryBar.append(element("span"));
  [...memoryBar.children].forEach((made, index) => {
    const [, n, className] = parts[index] ?? ["", 0, ""];
    made.className = className;
    made.style.flexGrow = all > 0 ? n / all : 0;
    made.hidden = n === 0;
  });
  memoryBar.setAttribute("aria-label", parts.map(([label, n]) => `${label} ${bytes(n)}`).join(", "));
  const legend = parts.map(([label, n, className]) => element("span", "", element("i", `key ${className}`), `${label} `, element("b", "", bytes(n))));
  $("node-memory").replaceChildren(element("p", "", memoryWords(node.memory), isFull(node) ? ": full, writes that need more are refused" : ""),
    memoryBar, element("div", "legend", ...legend));
}

function factsOf(node, cluster) {
  const started = node.started ? new Date(node.started) : null;
  const owns = node.primary_partitions + node.replica_partitions;
  const pairs = [
    ["Zone", node.zone || "none"], ["Weight", count(node.weight)],
    ["Primary of", `${plural(node.primary_partitions, "partition")} (${percent(node.primary_partitions, cluster.partitions)})`],
    ["Further copies of", plural(node.replica_partitions, "partition")],
    ["Keys", `${count(node.keys)}, ${bytes(node.bytes)}`], ["Deleted, remembered", count(node.tombstones)],
  ];
  if (cluster.target) pairs.push(["After the change", `${plural(node.target_partitions ?? 0, "partition")} instead of ${count(owns)}`]);
  if (node.disk) pairs.push(["On disk", `${bytes(node.disk.bytes)}${node.disk.max > 0 ? ` of ${bytes(node.disk.max)}` : ""}${node.disk.failing ? ", and it fails" : ""}`]);
  if (node.memory.evicted) pairs.push(["Evicted", plural(node.memory.evicted, "key")]);
  if (node.resp) pairs.push(["Redis protocol at", node.resp]);
  pairs.push(["Version", node.version || "–"], ["Started", started ? started.toLocaleString() : "–"]);
  return pairs;
}

let shownFacts = "";
let shownButtons = "";

/** showNode shows one node; one that is not a member any more is said to be none. */
export function showNode(name, cluster, history, colours, now) {
  const node = cluster.nodes.find((one) => one.name === name);
  setText($("node-title"), name);
  $("node-gone").hidden = node !== undefined;
  $("node-there").hidden = node === undefined;
  if (!node) return;
  $("node-swatch").replaceChildren(swatch(colours.of.get(name)));
  showState($("node-state"), node.state);
  setText($("node-note"), [noteOf(node, now), node.name === cluster.node ? "it answers here" : "", node.state === "down" ? "" : `up for ${upFor(node, now)}`]
    .filter(Boolean).join("; "));
  const known = history.node(name);
  charts.forEach((one) => one.show(known.series.samples, now));
  showKinds(known, history.bounds, node.state === "down");
  showMemory(node);
  const pairs = factsOf(node, cluster);
  if (JSON.stringify(pairs) !== shownFacts) $("node-facts").replaceChildren(...facts(pairs));
  shownFacts = JSON.stringify(pairs);
  const buttons = JSON.stringify([name, node.state, cluster.node]);
  if (buttons !== shownButtons) $("node-buttons").replaceChildren(...actionsOf(node, cluster));
  shownButtons = buttons;
}

function actionsOf(node, cluster) {
  if (node.state === "down") return [button("Remove…", "danger", () => askToRemove(node.name))];
  const safe = button("Safe to stop?", "", () => askWhetherSafe(node.name));
  return node.state === "leaving" ? [safe] : [safe, button("Leave…", "danger", () => askToLeave(node.name, cluster.node))];
}
