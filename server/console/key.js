// One key: its bytes and its address, the form, the editor, and what came of a request.

import { $, ask, askJSON, count, element, errorText, inWords, sentence, setText } from "./node.js";

// --- keys as bytes and as addresses -----------------------------------------

// percentEncode writes any bytes as one segment of a path.
export function percentEncode(key) {
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

// keySegment is the key in the form as a segment of a path.
function keySegment() {
  const text = $("key").value;
  const segment = percentEncode($("key-encoded").checked ? percentDecode(text) : new TextEncoder().encode(text));
  if (segment === "") throw new Error("The key is empty.");
  if (segment === "." || segment === "..") {
    throw new Error(`A browser cannot ask for the key “${segment}”: it takes it for a step in the path, however it is ` +
      `written. Use the command line: httpdhs get ${segment}, or curl --path-as-is.`);
  }
  return segment;
}

function utf8(data) {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(data);
  } catch {
    return null;
  }
}

// --- what was shown, and the editor -----------------------------------------

const SHOWN_BYTES_MAX = 64 * 1024;
const EDITED_BYTES_MAX = 1024 * 1024;
const CONTROLS = /[\u0000-\u0008\u000e-\u001f\u007f]/;

// shown is what the page knows of the key that it asked for last. A write changes that and nothing
// else: it sends etag as If-Match, or If-None-Match: * where that is "", which is no value.
const nothing = {
  segment: "", etag: "", expires: "",
  bytes: 0, // as they are stored
  caching: "", // the Cache-Control that it was put with
  coding: "", // its Content-Encoding
  decoded: false, // the browser has undone the coding, or has failed to
  edited: true, // the editor has had all of the value
};
let shown = nothing;

const known = (segment) => (shown.segment === segment ? shown : undefined);

let filled = ""; // the editor's text as it was loaded or stored last
let lineEnd = "\n"; // of the value: an editor has but this one

const editorBytes = () => new TextEncoder().encode($("value").value.replaceAll("\n", lineEnd));

function setEditor(text, type, end = "\n") {
  lineEnd = end;
  $("value").value = text;
  filled = $("value").value;
  $("type").value = type;
}

// edit puts a value into the editor, and says what the user has to know of that. What an editor
// would change, for it is no text, stays out of it, and so does what the browser has not got (null).
function edit(data, type) {
  const typed = $("value").value === filled ? "" : $("value").value;
  const text = data !== null && data.length <= EDITED_BYTES_MAX ? asText(data) : null;
  setEditor(text ?? "", type, text?.includes("\r\n") ? "\r\n" : "\n");
  const written = editorBytes();
  shown.edited = data !== null && written.length === data.length && written.every((byte, at) => byte === data[at]);
  const notes = [];
  if (!shown.edited) {
    setEditor("", type);
    const why = data === null ? "the browser has not got the value" : "it would change this value, which is large or no plain text";
    notes.push(element("p", "quiet", `The editor is empty: ${why}.`));
  }
  if (typed !== "") {
    const back = element("button", "", "Bring back what was typed");
    back.type = "button";
    back.addEventListener("click", () => { $("value").value = typed; back.disabled = true; });
    notes.push(element("div", "buttons", back));
  }
  return notes;
}

// asText is a value as text; null: it is none.
function asText(data) {
  const text = utf8(data);
  return text !== null && !CONTROLS.test(text) ? text : null;
}

// confirmed asks before a value is replaced or deleted.
function confirmed(title, text, yes) {
  setText($("confirm-title"), title);
  setText($("confirm-text"), text);
  setText($("confirm-yes"), yes);
  $("confirm").returnValue = "";
  $("confirm").showModal();
  return new Promise((resolve) => {
    $("confirm").addEventListener("close", () => resolve($("confirm").returnValue === "yes"), { once: true });
  });
}

$("confirm-yes").addEventListener("click", () => $("confirm").close("yes"));
$("confirm-no").addEventListener("click", () => $("confirm").close("no"));

// --- one key ----------------------------------------------------------------

const SHOWN_HEADERS = ["ETag", "X-Dht-Acks", "Content-Type", "Content-Encoding", "Last-Modified", "Expires", "X-Dht-Node", "Retry-After"];

// submit does what the button of an action does.
export function submit(action) {
  $("key-form").requestSubmit($("key-form").querySelector(`button[value=${action}]`));
}

const actions = { get, put, delete: remove, owners };

$("key-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const action = event.submitter?.value ?? "get";
  const buttons = $("key-form").querySelectorAll("button");
  buttons.forEach((button) => { button.disabled = true; });
  try {
    await actions[action](keySegment());
  } catch (error) {
    showResult(element("p", "outcome bad", sentence(inWords(error))));
  } finally {
    buttons.forEach((button) => { button.disabled = false; });
    event.submitter?.focus({ preventScroll: true });
  }
});

async function get(segment) {
  const answer = await look(segment);
  const { ok, headers } = answer.response;
  const notes = ok ? edit(answer.body, headers.get("Content-Type") ?? "") : [];
  if (answer.response.status === 404 && $("value").value === filled) setEditor("", $("type").defaultValue);
  await report("get", answer, ok ? [...notes, ...showValue(answer.body)] : []);
}

// Codings that one browser or another undoes; what it does with others can be seen by the length.
const UNDONE = /^(x-)?(gzip|compress)$|^(deflate|br|zstd|dcb|dcz)$/i;

// look reads a key, remembers what is there, and leaves the editor alone.
async function look(segment) {
  const answer = await request("GET", segment, { r: $("level").value });
  const { ok, status, headers } = answer.response;
  if (status === 404) absent(segment);
  if (!ok) return answer;
  const caching = headers.get("Cache-Control") ?? "";
  const coding = headers.get("Content-Encoding") ?? "";
  const bytes = Number(headers.get("Content-Length"));
  shown = {
    segment, etag: headers.get("ETag"), expires: headers.get("Expires") ?? "", bytes, coding,
    caching: /^(private, )?no-cache, no-transform$/.test(caching) ? "" : caching, // what a node answers with by itself
    decoded: coding !== "" && (answer.body?.length !== bytes || coding.split(",").some((one) => UNDONE.test(one.trim()))),
    edited: false,
  };
  return answer;
}

async function put(segment) {
  const was = known(segment) ?? nothing;
  const body = editorBytes();
  const ttl = $("ttl").value.trim();
  const type = $("type").value.trim() || "application/octet-stream";
  if (FORMS.test(type)) throw new Error(`A value cannot have the content type of a form, ${type}: choose another.`);
  // What is in the editor is coded if what came into it was.
  const coding = was.edited && !was.decoded ? was.coding : "";
  if (was.etag) {
    const words = [`${count(was.bytes)} bytes are replaced with ${count(body.length)}.`];
    if (!was.edited) words.push("They were not in the editor.");
    if (was.coding !== coding) words.push(`They are coded (Content-Encoding: ${was.coding}); the new ones are stored without a coding, as they are in the editor.`);
    if (was.expires && !ttl) words.push(`They expire at ${new Date(was.expires).toLocaleString()}; without a time to live the new ones do not.`);
    if (!await confirmed(`Replace the value of “${$("key").value}”?`, words.join(" "), "Replace")) return;
  }
  const headers = { ...condition(was), "Content-Type": type };
  if (was.caching) headers["Cache-Control"] = was.caching;
  if (coding) headers["Content-Encoding"] = coding;
  const answer = await request("PUT", segment, { w: $("level").value, ttl }, headers, body);
  if (answer.response.ok) {
    shown = { ...nothing, segment, etag: answer.response.headers.get("ETag"), bytes: body.length, caching: was.caching, coding };
    filled = $("value").value;
  }
  await report("put", answer, []);
}

// FORMS are the types that a node takes for those of the request, and not of the value in it.
const FORMS = /^\s*(application\/x-www-form-urlencoded|multipart\/form-data)\s*(;|$)/i;

async function remove(segment) {
  if (!known(segment)?.etag) { // who deletes sees what
    const answer = await look(segment);
    await report("get", answer, answer.response.ok ? showValue(answer.body) : []);
  }
  const was = known(segment) ?? nothing;
  if (!was.etag) return;
  if (!await confirmed(`Delete “${$("key").value}”?`, `Its value has ${count(was.bytes)} bytes.`, "Delete")) return;
  const answer = await request("DELETE", segment, { w: $("level").value }, condition(was));
  if (answer.response.ok) absent(segment);
  await report("delete", answer, []);
}

async function owners(segment) {
  showOwners(await askJSON(`cluster/key/${segment}`, 10_000));
}

function absent(segment) {
  shown = { ...nothing, segment };
  document.dispatchEvent(new CustomEvent("absent", { detail: segment }));
}

// condition is that a key is as it was shown; one that was not is taken for new.
function condition(was) {
  return was.etag ? { "If-Match": was.etag } : { "If-None-Match": "*" };
}

async function request(method, segment, parameters, headers = {}, body = undefined) {
  const query = Object.entries(parameters).filter(([, value]) => value).map(([name, value]) => `${name}=${encodeURIComponent(value)}`);
  const began = performance.now();
  const response = await ask(`db/${segment}${query.length > 0 ? "?" : ""}${query.join("&")}`, { method, headers, body });
  const got = response.ok ? await bodyOf(response) : null;
  return { response, segment, body: got, tookMs: performance.now() - began };
}

// bodyOf is null for a value that is not what its Content-Encoding says: the browser gives nothing of it.
async function bodyOf(response) {
  try {
    return new Uint8Array(await response.arrayBuffer());
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    if (response.headers.has("Content-Encoding")) return null;
    throw new Error("the connection broke before all of the value was there");
  }
}

// report shows what came of a request: the outcome, what is wrong, the headers, and parts.
async function report(action, { response, segment, tookMs }, parts) {
  const { ok, status, statusText, headers } = response;
  const said = [element("p", `outcome ${ok ? "good" : "bad"}`, outcome(action, status),
    element("span", "quiet", ` ${status} ${statusText} in ${tookMs.toFixed(1)} ms`))];
  if (!ok && status !== 412) said.push(element("p", "", sentence(await errorText(response))));
  const names = SHOWN_HEADERS.filter((name) => headers.has(name) && (ok || !name.startsWith("Content")));
  if (names.length > 0) {
    said.push(element("dl", "facts", ...names.map((name) =>
      element("div", "", element("dt", "", name), element("dd", "", headers.get(name))))));
  }
  if (status === 412) said.push(...otherwise(action, segment, headers.has("ETag")));
  showResult(...said, ...parts);
}

function outcome(action, status) {
  if (status === 404) return "No such key.";
  if (status === 412) return "Nothing was changed.";
  if (status >= 400) return "That did not work.";
  if (action === "delete") return "Deleted.";
  if (action === "put") return status === 201 ? "Stored as a new key." : "Stored in place of another value.";
  return "Found.";
}

// otherwise says why a condition did not hold, and offers to look at what there is.
function otherwise(action, segment, there) {
  if (!there) {
    absent(segment);
    const again = action === "put" ? " Put stores it as a new key now." : "";
    return [element("p", "", `There is no value any more: it has expired, or somebody else has deleted it.${again}`)];
  }
  const why = known(segment)?.etag ? "Somebody else has changed this key since it was shown here."
    : "There is a value under this key, which was not shown here.";
  const load = element("button", "", "Load what is there");
  load.type = "button";
  load.addEventListener("click", () => submit("get"));
  return [element("p", "", why), element("div", "buttons", load)];
}

function showResult(...parts) {
  $("result").replaceChildren(...parts);
}

// showValue shows a value as text where it is text, as hex where it is not,
// and lets one look at it the other way.
function showValue(data) {
  const { bytes, coding, decoded } = shown;
  if (data === null) {
    return [element("p", "", `The browser cannot show the ${count(bytes)} bytes of this value: they did not arrive whole, or are not what ` +
      `Content-Encoding says, which is ${coding}. curl shows them as they are.`)];
  }
  const start = data.subarray(0, SHOWN_BYTES_MAX);
  // Where the shown part ends, a character may be cut in two.
  const text = asText(start) ?? (start.length < data.length ? new TextDecoder().decode(start) : null);
  const isText = text !== null && !CONTROLS.test(text);
  const block = element("pre");
  block.tabIndex = 0;
  block.setAttribute("aria-label", "Value");
  const size = `${count(data.length)} bytes` + (decoded ? `, decoded from ${count(bytes)} of ${coding}` : "") +
    (start.length < data.length ? `, the first ${count(start.length)} shown` : "");
  const other = element("button");
  other.type = "button";
  let asHex = !isText;
  const draw = () => {
    block.classList.toggle("hex", asHex);
    block.textContent = asHex ? hexDump(start) : text ?? new TextDecoder().decode(start);
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
