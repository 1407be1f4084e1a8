// The console: what the public HTTP API says, put on a page. Everything that
// comes from the cluster goes into the document as text, never as markup.

const POLL_MS = 2000;
const SHOWN_BYTES_MAX = 64 * 1024;
const PAGE_KEYS = 50;

const $ = (id) => document.getElementById(id);

// element makes <name class="…">children</name>; children are elements or text.
function element(name, className, ...children) {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

// --- speaking with the node -------------------------------------------------

const TOKEN = "httpdhs-token";

class Unauthorized extends Error {}

async function ask(path, options = {}, timeoutMs = 65_000) {
  const headers = new Headers(options.headers);
  const token = sessionStorage.getItem(TOKEN);
  if (token) headers.set("Authorization", `Bearer ${token}`);
  const response = await fetch(path, {
    ...options, headers, cache: "no-store", redirect: "error", signal: AbortSignal.timeout(timeoutMs),
  }).catch((error) => {
    throw error instanceof TypeError ? new Error("the node cannot be reached") : error;
  });
  if (response.status === 401) {
    askForToken(token !== null);
    throw new Unauthorized("The cluster asks for a token.");
  }
  return response;
}

async function askJSON(path, timeoutMs) {
  const response = await ask(path, { headers: { Accept: "application/json" } }, timeoutMs);
  if (!response.ok) throw new Error(await errorText(response));
  return response.json();
}

// errorText is what the answer says is wrong: its JSON's error, or its status.
async function errorText(response) {
  const text = await response.text();
  try {
    const said = JSON.parse(text);
    if (said.error) {
      const acks = said.required === undefined ? "" : ` (${said.acks} of ${said.required} replicas)`;
      return said.error + acks + (said.outcome === "unknown" ? ". The write may still appear" : "");
    }
  } catch { /* not ours */ }
  return `${response.status} ${response.statusText}`.trim();
}

function inWords(error) {
  return error.name === "TimeoutError" ? "the node did not answer in time" : error.message;
}

function askForToken(wasWrong) {
  sessionStorage.removeItem(TOKEN);
  if (!$("auth").hidden) return;
  $("auth").hidden = false;
  trouble(wasWrong ? "The token was not accepted." : "");
  $("token").focus();
}

$("auth").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem(TOKEN, $("token").value.trim());
  $("token").value = "";
  $("auth").hidden = true;
  trouble("");
  poll();
});

function trouble(text) {
  if ($("trouble").textContent !== text) $("trouble").textContent = text;
  $("trouble").hidden = text === "";
}

// --- figures ----------------------------------------------------------------

const count = (n) => Number(n ?? 0).toLocaleString("en");

function bytes(n) {
  n = Number(n ?? 0);
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (n >= 1024 && unit < units.length - 1) { n /= 1024; unit++; }
  return `${unit === 0 || n >= 100 ? Math.round(n) : n.toFixed(1)} ${units[unit]}`;
}

function percent(part, whole) {
  return whole > 0 ? `${(100 * part / whole).toFixed(1)} %` : "";
}

function since(started, now) {
  const seconds = Math.max(0, Math.floor((now - started) / 1000));
  const parts = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const first = parts.findIndex(([size]) => seconds >= size);
  if (first < 0) return "0 s";
  let rest = seconds;
  return parts.slice(first, first + 2).map(([size, name]) => {
    const n = Math.floor(rest / size);
    rest -= n * size;
    return `${n} ${name}`;
  }).join(" ");
}

// --- the cluster ------------------------------------------------------------

const STATE_SIGNS = { active: "●", joining: "◐", leaving: "◑", down: "○" };
const HUES = 8;

const rows = new Map(); // node name -> its row, kept so that a poll does not disturb a selection

function setText(cell, text) {
  if (cell.textContent !== text) cell.textContent = text;
}

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

// --- keys as bytes and as addresses -----------------------------------------

// percentEncode writes any bytes as one segment of a path.
function percentEncode(key) {
  return Array.from(key, (byte) => {
    const char = String.fromCharCode(byte);
    return /[A-Za-z0-9\-._~]/.test(char) ? char : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }).join("");
}

// percentDecode reads what percentEncode wrote, or anything else that is
// percent-encoded once.
function percentDecode(text) {
  if (/%(?![0-9A-Fa-f]{2})/.test(text)) throw new Error("A % has to be followed by two hex digits.");
  const decoded = [];
  for (let rest = text; rest !== "";) {
    const plain = /^[^%]*/.exec(rest)[0];
    decoded.push(...new TextEncoder().encode(plain));
    rest = rest.slice(plain.length);
    if (rest !== "") {
      decoded.push(parseInt(rest.slice(1, 3), 16));
      rest = rest.slice(3);
    }
  }
  return Uint8Array.from(decoded);
}

function keyPath(before) {
  const text = $("key").value;
  const segment = percentEncode($("key-encoded").checked ? percentDecode(text) : new TextEncoder().encode(text));
  if (segment === "") throw new Error("The key is empty.");
  if (segment === "." || segment === "..") {
    throw new Error(`A browser cannot ask for the key “${segment}”: it takes it for a step in the path, however it is ` +
      `written. Use the command line: httpdhs get ${segment}, or curl --path-as-is.`);
  }
  return before + segment;
}

function utf8(data) {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(data);
  } catch {
    return null;
  }
}

// --- one key ----------------------------------------------------------------

const SHOWN_HEADERS = ["ETag", "X-Dht-Acks", "Content-Type", "Last-Modified", "Expires", "X-Dht-Node", "Retry-After"];

$("key-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const action = event.submitter?.value ?? "get";
  const buttons = $("key-form").querySelectorAll("button");
  buttons.forEach((button) => { button.disabled = true; });
  try {
    if (action === "owners") showOwners(await askJSON(keyPath("cluster/key/"), 10_000));
    else await doKey(action);
  } catch (error) {
    showResult(element("p", "outcome bad", sentence(inWords(error))));
  } finally {
    buttons.forEach((button) => { button.disabled = false; });
    event.submitter?.focus({ preventScroll: true });
  }
});

function sentence(text) {
  const start = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(start) ? start : `${start}.`;
}

async function doKey(action) {
  const query = [];
  const option = (name, value) => value && query.push(`${name}=${encodeURIComponent(value)}`);
  option(action === "get" ? "r" : "w", $("level").value);
  const options = { method: action.toUpperCase() };
  if (action === "put") {
    option("ttl", $("ttl").value.trim());
    options.body = new TextEncoder().encode($("value").value);
    options.headers = { "Content-Type": $("type").value.trim() || "application/octet-stream" };
  }
  const path = keyPath("db/") + (query.length > 0 ? `?${query.join("&")}` : "");
  const began = performance.now();
  const response = await ask(path, options);
  const body = response.ok ? new Uint8Array(await response.arrayBuffer()) : null;
  const tookMs = performance.now() - began;

  const headline = element("p", `outcome ${response.ok ? "good" : "bad"}`, outcome(action, response.status),
    element("span", "quiet", ` ${response.status} ${response.statusText} in ${tookMs.toFixed(1)} ms`));
  const parts = [headline];
  if (!response.ok) parts.push(element("p", "", sentence(await errorText(response))));
  const headers = SHOWN_HEADERS.filter((name) => response.headers.has(name) && (response.ok || !name.startsWith("Content")));
  if (headers.length > 0) {
    parts.push(element("dl", "facts", ...headers.map((name) =>
      element("div", "", element("dt", "", name), element("dd", "", response.headers.get(name))))));
  }
  if (response.ok && action === "get") parts.push(...showValue(body));
  showResult(...parts);
}

function outcome(action, status) {
  if (status === 404) return "No such key.";
  if (status >= 400) return "That did not work.";
  if (action === "delete") return "Deleted.";
  if (action === "put") return status === 201 ? "Stored as a new key." : "Stored in place of another value.";
  return "Found.";
}

function showResult(...parts) {
  $("result").replaceChildren(...parts);
}

// showValue shows a value as text where it is text, as hex where it is not,
// and lets one look at it the other way.
function showValue(data) {
  const shown = data.subarray(0, SHOWN_BYTES_MAX);
  const text = shown.length < data.length ? new TextDecoder().decode(shown) : utf8(shown);
  const isText = text !== null && !/[\u0000-\u0008\u000e-\u001f\u007f]/.test(text);
  const block = element("pre");
  block.tabIndex = 0;
  block.setAttribute("aria-label", "Value");
  const size = `${count(data.length)} bytes` + (shown.length < data.length ? `, the first ${count(shown.length)} shown` : "");
  const other = element("button");
  other.type = "button";
  let asHex = !isText;
  const draw = () => {
    block.classList.toggle("hex", asHex);
    block.textContent = asHex ? hexDump(shown) : text ?? new TextDecoder().decode(shown);
    other.textContent = asHex ? "Show as text" : "Show as hex";
  };
  other.addEventListener("click", () => { asHex = !asHex; draw(); });
  draw();
  if (data.length === 0) return [element("p", "quiet", "The value is empty.")];
  return [block, element("div", "buttons", other, element("span", "quiet", size))];
}

function hexDump(data) {
  const lines = [];
  for (let at = 0; at < data.length; at += 16) {
    const line = Array.from(data.subarray(at, at + 16));
    const hex = line.map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
    const chars = line.map((byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : ".")).join("");
    lines.push(`${at.toString(16).padStart(6, "0")}  ${hex.padEnd(47)}  ${chars}`);
  }
  return lines.join("\n");
}

function showOwners(answer) {
  const head = ["Owner", "State", "Holds", "Version", "Bytes", "Expires"];
  const lines = answer.owners.map((owner, index) => [
    index === 0 ? `${owner.node} (primary)` : owner.node,
    owner.state,
    owner.error ? owner.error : owner.tombstone ? "a tombstone" : owner.found ? "a value" : "nothing",
    owner.version ?? "–",
    owner.found && !owner.tombstone ? count(owner.size) : "–",
    owner.expires ? new Date(owner.expires).toLocaleString() : "–",
  ]);
  const withRole = (made, role) => { made.setAttribute("role", role); return made; };
  const cell = (text, index) => {
    const made = withRole(element("td", "", text), "cell");
    made.dataset.label = head[index];
    return made;
  };
  const row = (cells) => withRole(element("tr", "", ...cells), "row");
  const headCells = head.map((text) => {
    const made = withRole(element("th", "", text), "columnheader");
    made.scope = "col";
    return made;
  });
  showResult(
    element("p", "outcome", `Partition ${answer.partition}`, element("span", "quiet", ` hash ${answer.hash}`)),
    withRole(element("table", "stacks",
      withRole(element("thead", "", row(headCells)), "rowgroup"),
      withRole(element("tbody", "", ...lines.map((line) => row(line.map(cell)))), "rowgroup")), "table"),
  );
}

// --- the list of keys -------------------------------------------------------

let listing = { prefix: "", cursors: [""], next: "" }; // cursors: of the pages up to the one shown

async function list(prefix, cursors) {
  const parts = [`limit=${PAGE_KEYS}`];
  if (prefix) parts.push(`prefix=${encodeURIComponent(prefix.toWellFormed())}`);
  const cursor = cursors.at(-1);
  if (cursor) parts.push(`cursor=${encodeURIComponent(cursor)}`);
  $("next").disabled = $("previous").disabled = true;
  try {
    const page = await askJSON(`db?${parts.join("&")}`);
    listing = { prefix, cursors, next: page.cursor ?? "" };
    showKeys(page.keys ?? []);
  } catch (error) {
    setText($("list-status"), sentence(inWords(error)));
  }
  $("next").disabled = listing.next === "";
  $("previous").disabled = listing.cursors.length < 2;
}

function showKeys(keys) {
  $("keys").replaceChildren(...keys.map((item) => {
    const key = readKey(item);
    const button = element("button", "", key.label);
    button.type = "button";
    button.addEventListener("click", () => {
      $("key").value = key.input;
      $("key-encoded").checked = key.encoded;
      $("key-form").requestSubmit($("key-form").querySelector("button[value=get]"));
    });
    return element("li", "", button);
  }));
  $("keys").scrollTop = 0;
  const page = listing.cursors.length > 1 || listing.next ? `Page ${listing.cursors.length}: ` : "";
  const found = `${count(keys.length)} ${keys.length === 1 ? "key" : "keys"}`;
  setText($("list-status"), keys.length === 0 && !listing.next ? "No key starts so." : `${page}${found}.`);
}

// readKey takes a key as the list gives it: as text, or in base64 if it is not
// text. Line breaks and the like would be lost in an input, so such a key is
// put there percent-encoded.
function readKey(item) {
  const text = typeof item === "string" ? item : item.key;
  if (text !== undefined && !/[\u0000-\u001f\u007f]/.test(text)) return { label: text, input: text, encoded: false };
  const data = text !== undefined ? new TextEncoder().encode(text)
    : Uint8Array.from(atob(item.key_base64), (char) => char.charCodeAt(0));
  const encoded = percentEncode(data);
  return { label: encoded, input: encoded, encoded: true };
}

$("list-form").addEventListener("submit", (event) => {
  event.preventDefault();
  list($("prefix").value, [""]);
});
$("next").addEventListener("click", () => list(listing.prefix, [...listing.cursors, listing.next]));
$("previous").addEventListener("click", () => list(listing.prefix, listing.cursors.slice(0, -1)));

poll();
