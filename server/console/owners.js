// The copies of a key: who owns it, and which version each owner has.

import { $, element, table, tableRow } from "./dom.js";
import { askJSON, inWords, sentence } from "./api.js";
import { bytes, plural } from "./format.js";

const COLUMNS = [
  { label: "Owner", className: "wide" }, { label: "Holds" }, { label: "Version" }, { label: "Written" }, { label: "Size", className: "num" },
  { label: "Expires" },
];

/**
 * @typedef {{node: string, state: string, found: boolean, version?: string, modified?: string, size: number, expires?: string,
 *   tombstone?: boolean, error?: string}} Owner
 */

/** verdict says in a sentence whether the copies are the same. @param {Owner[]} owners */
function verdict(owners) {
  const told = owners.filter(({ error }) => !error);
  const versions = new Set(told.map(({ found, version }) => (found ? version : "")));
  if (told.length < owners.length) return ["warn", `${plural(owners.length - told.length, "owner")} did not answer.`];
  if (versions.size > 1) return ["warn", "The copies differ. The newest version wins, and the others are repaired."];
  if (!told.some(({ found }) => found)) return ["", "No owner has it."];
  return ["good", owners.length === 1 ? "Its one owner has it." : `All ${owners.length} copies are the same.`];
}

function holds({ error, tombstone, found }) {
  if (error) return error;
  return tombstone ? "a deletion" : found ? "a value" : "nothing";
}

const time = (at) => (at ? new Date(at).toLocaleString() : "–");

let asked = 0;

/** showOwners asks for the owners of a key and shows them. */
export async function showOwners(segment) {
  const mine = ++asked;
  try {
    const { partition, hash, owners } = await askJSON(`cluster/key/${segment}`, 10_000);
    if (mine !== asked) return;
    const { root, body } = table("Owners of the key", COLUMNS);
    owners.forEach((owner, index) => {
      const { root: row, cells } = tableRow(COLUMNS);
      const link = element("a", "", owner.node);
      link.href = `#/node/${encodeURIComponent(owner.node)}`;
      const role = [index === 0 ? "primary" : "copy", owner.state === "active" ? "" : owner.state].filter(Boolean).join(", ");
      cells[0].append(element("span", "", link, element("span", "note", role)));
      const there = owner.found && !owner.tombstone;
      [holds(owner), owner.version ?? "–", time(owner.modified), there ? bytes(owner.size) : "–", time(owner.expires)]
        .forEach((text, at) => { cells[at + 1].textContent = text; });
      cells[2].classList.add("mono");
      body.append(row);
    });
    const [level, words] = verdict(owners);
    $("owners").replaceChildren(element("h3", "", "Copies"),
      element("p", "", element("b", level, words), element("span", "quiet", ` Partition ${partition}, hash ${hash}.`)), root);
  } catch (error) {
    if (mine === asked) $("owners").replaceChildren(element("h3", "", "Copies"), element("p", "bad", sentence(inWords(error))));
  }
}

/** dropOwners clears them. */
export function dropOwners() {
  asked++;
  $("owners").replaceChildren();
}
