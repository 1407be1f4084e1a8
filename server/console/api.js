// Speaking with the node that served the page, and no other: requests, the token, and errors in
// words. What the others know, the node is asked for.

import { $ } from "./dom.js";

const TOKEN = "httpdhs-token";

export class Unauthorized extends Error {}

/**
 * ask sends a request with the token of this tab. It throws Unauthorized where that is wanted, after
 * it has asked for it, and an Error in words where there is no answer.
 */
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

/** askJSON reads a document. A status in also is an answer too, and no error. */
export async function askJSON(path, timeoutMs, also = []) {
  const response = await ask(path, { headers: { Accept: "application/json" } }, timeoutMs);
  if (!response.ok && !also.includes(response.status)) throw new Error(await errorText(response));
  return response.json();
}

/** errorText is what the answer says is wrong: its JSON's error, or its status. */
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

// --- the token --------------------------------------------------------------

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

/** trouble shows what is wrong at the top of the page; "" takes it away. */
export function trouble(text) {
  if ($("trouble").textContent !== text) $("trouble").textContent = text;
  $("trouble").hidden = text === "";
}
