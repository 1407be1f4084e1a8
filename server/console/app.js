// The console: what the public HTTP API says, put on a page. Everything that
// comes from the cluster goes into the document as text, never as markup. This
// part shows the cluster; keys and their list have files of their own.

import { $, Unauthorized, askJSON, bytes, count, element, inWords, percent, setText, since, trouble } from "./node.js";
import "./list.js";

const POLL_MS = 2000;

const STATE_SIGNS = { active: "●", joining: "◐", leaving: "◑", down: "○" };
const HUES = 8;

const rows = new Map(); // node name -> its row, kept so that a poll does not disturb a selection

function newRow() {
  const row = element("tr");
  row.setAttribute("role", "row");
  const cells = {};
  const columns = {
    name: "Node", state: "State", keys: "Keys", data: "Data", memory: "Memory", primary: "Primary of", replica: "Replica of",
    hints: "Hints", version: "Version", up: "Up for",
  };
  for (const [column, label] of Object.entries(columns)) {
    const cell = element("td", ["keys", "data", "memory", "primary", "replica", "hints"].includes(column) ? "num" : "");
    cell.setAttribute("role", "cell");
    cell.dataset.label = label;
    cells[column] = cell;
    row.append(cell);
  }
  const swatch = element("span", "swatch");
  swatch.setAttribute("aria-hidden", "true");
  const name = element("span");
  cells.name.append(element("span", "", swatch, name));
  const state = element("span", "state");
  const reason = element("span", "note");
  cells.state.append(element("span", "", state, reason));
  const up = element("time");
  cells.up.append(up);
  return { row, cells, swatch, name, state, reason, up };
}

function showNode(node, index, cluster, now) {
  const shown = rows.get(node.name) ?? newRow();
  rows.set(node.name, shown);
  const { row, cells } = shown;
  shown.swatch.className = `swatch hue-${index % HUES}`;
  setText(shown.name, node.name === cluster.node ? `${node.name} (this one)` : node.name);
  shown.state.className = `state ${node.state}`;
  setText(shown.state, `${STATE_SIGNS[node.state] ?? "?"} ${node.state}`);
  const note = [node.reason, moves(node)].filter(Boolean).join("; ");
  setText(shown.reason, note);
  shown.reason.hidden = note === "";
  setText(cells.keys, count(node.keys));
  setText(cells.data, bytes(node.bytes));
  setText(cells.memory, memoryOf(node.memory));
  setText(cells.primary, `${count(node.primary_partitions)} (${percent(node.primary_partitions, cluster.partitions)})`);
  const owns = node.primary_partitions + node.replica_partitions;
  const next = cluster.target && (node.target_partitions ?? 0) !== owns ? ` (${count(owns)} → ${count(node.target_partitions)} in all)` : "";
  setText(cells.replica, count(node.replica_partitions) + next);
  setText(cells.hints, node.hint_bytes > 0 ? bytes(node.hint_bytes) : "–");
  setText(cells.version, node.version || "–");
  const started = node.started ? new Date(node.started) : null;
  if (started) {
    shown.up.dateTime = started.toISOString();
    shown.up.title = `since ${started.toLocaleString()}`;
  }
  setText(shown.up, started && node.state !== "down" ? since(started, now) : "–");
  return row;
}

// memoryOf says how much memory a node's store takes, and of how much.
function memoryOf(memory) {
  const { used, max } = memory;
  return max > 0 ? `${bytes(used)} of ${bytes(max)} (${percent(used, max)})` : bytes(used);
}

// moves says what is on its way to a node and from it; a node that is down last said so, and it is no longer so.
function moves(node) {
  if (node.state === "down") return "";
  const words = [];
  if (node.moving) {
    const { done, partitions, bytes_left, seconds_left } = node.moving;
    const left = done > 0 ? `, ${bytes(bytes_left)} to go, ${Math.ceil(seconds_left)} s left` : "";
    words.push(`fetches ${count(done)} of ${count(partitions)} partitions${left}`);
  }
  if (node.hand_over > 0) words.push(`${count(node.hand_over)} partitions to hand over`);
  return words.join("; ");
}

function showShare(cluster) {
  const words = [];
  const parts = cluster.nodes.map((node, index) => {
    const share = percent(node.primary_partitions, cluster.partitions);
    words.push(`${node.name} ${share}`);
    const part = element("div", `hue-${index % HUES}`, node.primary_partitions * 12 >= cluster.partitions ? share : "");
    part.style.flexGrow = node.primary_partitions;
    part.title = `${node.name}: primary of ${node.primary_partitions} of ${cluster.partitions} partitions`;
    part.hidden = node.primary_partitions === 0;
    return part;
  });
  $("share").replaceChildren(...parts);
  $("share").setAttribute("aria-label", `Share of partitions: ${words.join(", ")}`);
}

function showFacts(cluster) {
  const up = cluster.nodes.filter((node) => node.state !== "down").length;
  const facts = [
    ["Nodes up", `${up} of ${cluster.nodes.length}`],
    ["Copies of each key", count(cluster.replicas)],
    ["Partitions", `${count(cluster.partitions)}, ${cluster.partitioner}`],
    ["Ring", cluster.target ? `${cluster.ring}, changing to ${cluster.target}` : cluster.ring],
  ];
  const pairs = facts.map(([name, value]) => element("div", "", element("dt", "", name), element("dd", "", value)));
  if ($("facts").textContent !== facts.flat().join("")) $("facts").replaceChildren(...pairs);
}

let shownShare = "";

function showCluster(cluster) {
  const now = Date.now();
  document.title = `httpdhs – ${cluster.node}`;
  setText($("answering"), `as ${cluster.node} sees it`);
  showFacts(cluster);
  const share = JSON.stringify(cluster.nodes.map((node) => [node.name, node.primary_partitions]));
  if (share !== shownShare) showShare(cluster);
  shownShare = share;
  cluster.nodes.forEach((node, index) => {
    const row = showNode(node, index, cluster, now);
    if ($("nodes").children[index] !== row) $("nodes").insertBefore(row, $("nodes").children[index] ?? null);
  });
  const names = new Set(cluster.nodes.map((node) => node.name));
  for (const [name, { row }] of rows) {
    if (!names.has(name)) {
      row.remove();
      rows.delete(name);
    }
  }
}

let timer = 0;
let polling = false;

async function poll() {
  clearTimeout(timer);
  if (polling) return;
  polling = true;
  try {
    showCluster(await askJSON("cluster", 10_000));
    $("cluster").classList.remove("stale");
    trouble("");
  } catch (error) {
    $("cluster").classList.add("stale");
    if (!(error instanceof Unauthorized)) trouble(`Cannot read the state of the cluster: ${inWords(error)}. Trying again.`);
  } finally {
    polling = false;
  }
  if ($("auth").hidden && !document.hidden) timer = setTimeout(poll, POLL_MS);
}

document.addEventListener("visibilitychange", () => {
  if (!document.hidden && $("auth").hidden) poll();
});

document.addEventListener("token", poll);

poll();
