// The list of keys, page by page.

import { $, askJSON, count, element, inWords, sentence, setText } from "./node.js";
import { percentEncode, submit } from "./key.js";

const PAGE_KEYS = 50;

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
  $("keys").replaceChildren(...keys.map((listed) => {
    const key = readKey(listed);
    const button = element("button", "", key.label);
    button.type = "button";
    button.addEventListener("click", () => {
      $("key").value = key.input;
      $("key-encoded").checked = key.encoded;
      submit("get");
    });
    const item = element("li", "", button);
    item.dataset.segment = key.segment;
    return item;
  }));
  $("keys").scrollTop = 0;
  showCount();
}

function showCount() {
  const keys = $("keys").children.length;
  const page = listing.cursors.length > 1 || listing.next ? `Page ${listing.cursors.length}: ` : "";
  const found = `${count(keys)} ${keys === 1 ? "key" : "keys"}`;
  setText($("list-status"), keys === 0 && !listing.next ? "No key starts so." : `${page}${found}.`);
}

// readKey takes a key as the list gives it: as text, or in base64 if it is not
// text. Line breaks and the like would be lost in an input, so such a key is
// put there percent-encoded.
function readKey(item) {
  const text = typeof item === "string" ? item : item.key;
  const data = text !== undefined ? new TextEncoder().encode(text)
    : Uint8Array.from(atob(item.key_base64), (char) => char.charCodeAt(0));
  const segment = percentEncode(data);
  if (text !== undefined && !/[\u0000-\u001f\u007f]/.test(text)) return { segment, label: text, input: text, encoded: false };
  return { segment, label: segment, input: segment, encoded: true };
}

$("list-form").addEventListener("submit", (event) => {
  event.preventDefault();
  list($("prefix").value, [""]);
});
$("next").addEventListener("click", () => list(listing.prefix, [...listing.cursors, listing.next]));
$("previous").addEventListener("click", () => list(listing.prefix, listing.cursors.slice(0, -1)));

// What the form finds to be gone is in the list no more.
document.addEventListener("absent", ({ detail: segment }) => {
  const gone = [...$("keys").children].filter((item) => item.dataset.segment === segment);
  gone.forEach((item) => item.remove());
  if (gone.length > 0) showCount();
});
