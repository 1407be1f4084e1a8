// What all parts of the page use: elements, figures in words, and speaking with the node.

export const $ = (id) => document.getElementById(id);

// element makes <name class="…">children</name>; children are elements or text.
export function element(name, className, ...children) {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

export function setText(cell, text) {
  if (cell.textContent !== text) cell.textContent = text;
}

// --- speaking with the node -------------------------------------------------

const TOKEN = "httpdhs-token";

export class Unauthorized extends Error {}

export async function ask(path, options = {}, timeoutMs = 65_000) {
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

export async function askJSON(path, timeoutMs) {
  const response = await ask(path, { headers: { Accept: "application/json" } }, timeoutMs);
  if (!response.ok) throw new Error(await errorText(response));
  return response.json();
}

// errorText is what the answer says is wrong: its JSON's error, or its status.
export async function errorText(response) {
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

export function inWords(error) {
  return error.name === "TimeoutError" ? "the node did not answer in time" : error.message;
}

export function sentence(text) {
  const start = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(start) ? start : `${start}.`;
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
  document.dispatchEvent(new Event("token"));
});

export function trouble(text) {
  if ($("trouble").textContent !== text) $("trouble").textContent = text;
  $("trouble").hidden = text === "";
}

// --- figures ----------------------------------------------------------------

export const count = (n) => Number(n ?? 0).toLocaleString("en");

export function bytes(n) {
  n = Number(n ?? 0);
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (n >= 1024 && unit < units.length - 1) { n /= 1024; unit++; }
  return `${unit === 0 || n >= 100 ? Math.round(n) : n.toFixed(1)} ${units[unit]}`;
}

export function percent(part, whole) {
  return whole > 0 ? `${(100 * part / whole).toFixed(1)} %` : "";
}

export function since(started, now) {
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
