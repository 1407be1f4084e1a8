// The list of keys, page by page.

import { $, element, setText } from "./dom.js";
import { askJSON, inWords, sentence } from "./api.js";
import { plural } from "./format.js";
import { readKey } from "./keybytes.js";
import { openKey } from "./key.js";

const PAGE_KEYS = 50;

let listing = { prefix: "", cursors: [""], next: "" }; // cursors: of the pages up to the one shown
let asked = 0; // the list that was asked for last is the one to show

async function list(prefix, cursors) {
  const mine = ++asked;
  const parts = [`limit=${PAGE_KEYS}`];
  if (prefix) parts.push(`prefix=${encodeURIComponent(prefix.toWellFormed())}`);
  const cursor = cursors.at(-1);
  if (cursor) parts.push(`cursor=${encodeURIComponent(cursor)}`);
  $("next").disabled = $("previous").disabled = true;
  setText($("list-status"), "Looking …");
  try {
    const page = await askJSON(`db?${parts.join("&")}`);
    if (mine !== asked) return;
    listing = { prefix, cursors, next: page.cursor ?? "" };
    showKeys(page.keys ?? []);
  } catch (error) {
    if (mine !== asked) return;
    setText($("list-status"), sentence(inWords(error)));
  }
  $("next").disabled = listing.next === "";
  $("previous").disabled = listing.cursors.length < 2;
}

function showKeys(keys) {
  $("keys").replaceChildren(...keys.map((listed) => {
    const key = readKey(listed);
    const made = element("button", key.encoded ? "encoded" : "", key.label);
    made.type = "button";
    if (key.encoded) made.title = "No plain text: shown percent-encoded";
    made.addEventListener("click", () => openKey(key));
    const item = element("li", "", made);
    item.dataset.segment = key.segment;
    return item;
  }));
  $("keys").scrollTop = 0;
  showCount();
}

function showCount() {
  const keys = $("keys").children.length;
  const page = listing.cursors.length > 1 || listing.next ? `Page ${listing.cursors.length}: ` : "";
  const none = listing.prefix ? "No key starts so." : "There is no key yet.";
  setText($("list-status"), keys === 0 && !listing.next ? none : `${page}${plural(keys, "key")}${listing.next ? ", and there are more" : ""}.`);
}

$("list-form").addEventListener("submit", (event) => {
  event.preventDefault();
  list($("prefix").value, [""]);
});
$("next").addEventListener("click", () => list(listing.prefix, [...listing.cursors, listing.next]));
$("previous").addEventListener("click", () => list(listing.prefix, listing.cursors.slice(0, -1)));

// The list is one stop of the tabulator's, as it were: arrows go up and down in it.
$("keys").addEventListener("keydown", (event) => {
  const item = document.activeElement.closest("#keys li");
  const to = { ArrowDown: item?.nextElementSibling, ArrowUp: item?.previousElementSibling, Home: $("keys").firstElementChild, End: $("keys").lastElementChild };
  if (!(event.key in to)) return;
  event.preventDefault();
  to[event.key]?.firstElementChild.focus();
});

$("prefix").addEventListener("keydown", (event) => {
  if (event.key !== "ArrowDown") return;
  event.preventDefault();
  $("keys").querySelector("button")?.focus();
});

/** listAtFirst fills the list when it is seen for the first time. */
export function listAtFirst() {
  if (asked === 0) list("", [""]);
}

// What the form finds to be gone is in the list no more.
document.addEventListener("absent", ({ detail: segment }) => {
  const gone = [...$("keys").children].filter((item) => item.dataset.segment === segment);
  gone.forEach((item) => item.remove());
  if (gone.length > 0) showCount();
});

// The key that is open is marked.
document.addEventListener("opened", ({ detail: segment }) => {
  for (const item of $("keys").children) {
    if (item.dataset.segment === segment) item.firstElementChild.setAttribute("aria-current", "true");
    else item.firstElementChild.removeAttribute("aria-current");
  }
});

document.addEventListener("token", () => { if (asked > 0) list($("prefix").value, [""]); });
