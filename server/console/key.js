// One key: the form, the editor, and what came of a request.

import { $, button, confirmed, element, facts, setText } from "./dom.js";
import { ask, errorText, inWords, sentence } from "./api.js";
import { bytes, count, plural, span } from "./format.js";
import { asText, keyOfSegment, percentDecode, percentEncode } from "./keybytes.js";
import { dropOwners, showOwners } from "./owners.js";
import { showValue } from "./value.js";

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

// --- what was shown, and the editor -----------------------------------------

const EDITED_BYTES_MAX = 1024 * 1024;

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
    const back = button("Bring back what was typed", "", () => { openEditor(true); $("value").value = typed; back.disabled = true; });
    notes.push(element("div", "buttons", back));
  }
  return notes;
}

// --- one key ----------------------------------------------------------------

// Headers of an answer that are shown, and as what.
const SHOWN_HEADERS = {
  "Content-Type": "Type", "Content-Encoding": "Coding", "Last-Modified": "Written", Expires: "Expires", ETag: "Version",
  "X-Dht-Acks": "Copies written", "X-Dht-Node": "Answered by", "Retry-After": "Try again after",
};

// submit does what the button of an action does.
function submit(action) {
  $("key-form").requestSubmit($("key-form").querySelector(`button[value=${action}]`));
}

/** openKey shows a key: what readKey gives. */
export function openKey({ input, encoded }) {
  $("key").value = input;
  $("key-encoded").checked = encoded;
  submit("get");
  if (matchMedia("(max-width: 68rem)").matches) $("key-title").scrollIntoView(); // it is below the list
}

/** openSegment shows the key of an address. */
export function openSegment(segment) {
  if (shown.segment === segment) return;
  try {
    openKey(keyOfSegment(segment));
  } catch (error) {
    showResult(element("p", "outcome bad", sentence(inWords(error))));
  }
}

function openEditor(open) {
  $("editor").hidden = !open;
  $("edit").setAttribute("aria-expanded", open);
}

$("edit").addEventListener("click", () => {
  openEditor($("editor").hidden);
  if (!$("editor").hidden) $("value").focus();
});

const actions = { get, put, expire, delete: remove };

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
    // A button that was disabled has lost the focus. Who has gone elsewhere meanwhile stays there.
    if (document.activeElement === document.body) event.submitter?.focus({ preventScroll: true });
  }
});

// opened tells the rest of the page which key is shown, and has its address be that of the page.
function opened(segment) {
  if (location.hash.startsWith("#/keys")) history.replaceState(null, "", `#/keys/${segment}`);
  document.dispatchEvent(new CustomEvent("opened", { detail: segment }));
  showOwners(segment);
}

async function get(segment) {
  const answer = await look(segment);
  const { ok, headers } = answer.response;
  const notes = ok ? edit(answer.body, headers.get("Content-Type") ?? "") : [];
  if (answer.response.status === 404 && $("value").value === filled) setEditor("", $("type").defaultValue);
  await report("get", answer, ok ? [...notes, ...valueParts(answer)] : []);
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
    const words = [`${plural(was.bytes, "byte is", "bytes are")} replaced with ${count(body.length)}.`];
    if (!was.edited) words.push("They were not in the editor.");
    if (was.coding !== coding) words.push(`They are coded (Content-Encoding: ${was.coding}); the new ones are stored without a coding, as they are in the editor.`);
    if (was.expires && !ttl) words.push(`They expire at ${new Date(was.expires).toLocaleString()}; without a time to live the new ones do not.`);
    if (!await confirmed(`Replace the value of “${$("key").value}”?`, "Replace", words.join(" "))) return;
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
    await report("get", answer, answer.response.ok ? valueParts(answer) : []);
  }
  const was = known(segment) ?? nothing;
  if (!was.etag) return;
  if (!await confirmed(`Delete “${$("key").value}”?`, "Delete", `Its value has ${plural(was.bytes, "byte")}.`)) return;
  const answer = await request("DELETE", segment, { w: $("level").value }, condition(was));
  if (answer.response.ok) absent(segment);
  await report("delete", answer, []);
}

// expire asks for another time to live, and gives it to the value that was shown.
async function expire(segment) {
  if (!known(segment)?.etag) await get(segment);
  const was = known(segment) ?? nothing;
  if (!was.etag) return;
  const ttl = await askForExpiry(was.expires);
  if (!ttl) return;
  const answer = await request("POST", segment, { w: $("level").value, ttl }, condition(was));
  if (!answer.response.ok) return report("expire", answer, []);
  const etag = answer.response.headers.get("ETag");
  const { edited } = was;
  const now = await look(segment);
  if (shown.etag === etag) shown.edited = edited; // the value is the one that was shown
  return report("expire", now, now.response.ok ? valueParts(now) : []);
}

function askForExpiry(expires) {
  setText($("expiry-now"), expires ? `It expires at ${new Date(expires).toLocaleString()}.` : "It does not expire.");
  $("expiry").returnValue = "";
  $("expiry").showModal();
  return new Promise((resolve) => {
    $("expiry").addEventListener("close", () => resolve($("expiry").returnValue === "yes" ? $("expiry-ttl").value.trim() : ""), { once: true });
  });
}

$("expiry-form").addEventListener("submit", (event) => { event.preventDefault(); $("expiry").close("yes"); });
$("expiry-no").addEventListener("click", () => $("expiry").close(""));

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
  const names = Object.keys(SHOWN_HEADERS).filter((name) => headers.has(name) && (ok || !name.startsWith("Content")));
  if (names.length > 0) {
    said.push(element("dl", "facts", ...facts(names.map((name) => [SHOWN_HEADERS[name], headerValue(name, headers.get(name))]))));
  }
  if (status === 412) said.push(...otherwise(action, segment, headers.has("ETag")));
  showResult(...said, ...parts);
  if (ok || status === 404 || status === 412) opened(segment);
}

// headerValue is a header for people: times in their own zone, and how long is left of a value.
function headerValue(name, value) {
  if (name === "ETag") return element("span", "mono", value.replaceAll('"', ""));
  if (name !== "Expires" && name !== "Last-Modified") return value;
  const at = new Date(value);
  const made = element("time", "", name === "Expires" ? leftUntil(at) : at.toLocaleString());
  made.dateTime = at.toISOString();
  if (name === "Expires") {
    made.title = at.toLocaleString();
    made.id = "expires-left";
  }
  return made;
}

const leftUntil = (at) => (at > Date.now() ? `in ${span(Math.ceil((at - Date.now()) / 1000))}` : "it has expired");

setInterval(() => {
  const made = document.getElementById("expires-left");
  if (made) setText(made, leftUntil(new Date(made.dateTime)));
}, 1000);

function outcome(action, status) {
  if (status === 404) return "No such key.";
  if (status === 412) return "Nothing was changed.";
  if (status >= 400) return "That did not work.";
  if (action === "delete") return "Deleted.";
  if (action === "expire") return "It has another time to live.";
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
  const load = button("Load what is there", "", () => submit("get"));
  return [element("p", "", why), element("div", "buttons", load)];
}

function showResult(...parts) {
  $("result").replaceChildren(...parts);
  dropOwners();
}

// valueParts are the elements for a value.
function valueParts({ body, response }) {
  const { bytes: stored, coding, decoded } = shown;
  if (body === null) {
    return [element("p", "", `The browser cannot show the ${plural(stored, "byte")} of this value: they did not arrive whole, or are not what ` +
      `Content-Encoding says, which is ${coding}. curl shows them as they are.`)];
  }
  const size = plural(body.length, "byte") + (body.length >= 10_000 ? ` (${bytes(body.length)})` : "") +
    (decoded ? `, decoded from ${count(stored)} of ${coding}` : "");
  return showValue(body, { type: response.headers.get("Content-Type") ?? "", name: $("key").value, size });
}
