// What is done to a node: it leaves, or is removed. The page asks first what the cluster would lose
// with it, and shows that with the question.

import { $, element, setText } from "./dom.js";
import { ask, askJSON, errorText, inWords, sentence } from "./api.js";
import { bytes, plural, span } from "./format.js";

const segmentOf = (name) => encodeURIComponent(name);

/**
 * isSafe asks whether a node may be stopped.
 * @returns {Promise<{safe: boolean|null, reason: string, waits: {node: string, reason: string, seconds_left?: number}[]}>}
 *   safe is null where it could not be found out; waits are what has to come to pass first
 */
async function isSafe(name) {
  try {
    const { safe, reason, waits } = await askJSON(`cluster/safe-to-stop?nodes=${segmentOf(name)}`, 15_000, [409]);
    return { safe, reason: reason ?? "", waits: waits ?? [] };
  } catch (error) {
    return { safe: null, reason: inWords(error), waits: [] };
  }
}

const ANSWERS = {
  true: ["good", "✓ Safe to stop", "No key would lose its last copy in sync."],
  false: ["bad", "✕ Not safe to stop", "Keys would lose copies."],
  null: ["warn", "? It is not known whether it is safe to stop", ""],
};

let asked = 0; // questions so far: an answer to an earlier one is of no use

/** question opens the dialog: what is asked, the answer on safety, and a button if there is something to do. */
function question({ name, title, text, label, act, parts = [] }) {
  const mine = ++asked;
  setText($("node-ask-title"), title);
  setText($("node-ask-name"), name);
  $("node-ask-text").replaceChildren(...text.map((one) => element("p", "", one)), ...parts);
  const safety = $("node-ask-safety");
  safety.dataset.level = "";
  safety.replaceChildren("Asking the cluster whether it is safe to stop …");
  const yes = $("node-ask-yes");
  yes.hidden = !act;
  yes.disabled = true; // until the answer is there
  setText(yes, label ?? "");
  yes.onclick = async () => {
    yes.disabled = true;
    $("node-ask-text").replaceChildren(...(await act()).map((one) => element("p", "", one)));
    yes.hidden = true;
    document.dispatchEvent(new Event("changed"));
  };
  $("node-ask").showModal();
  isSafe(name).then(({ safe, reason, waits }) => {
    if (mine !== asked) return;
    const [level, head, otherwise] = ANSWERS[String(safe)];
    safety.dataset.level = level;
    safety.replaceChildren(element("b", "", head), element("span", "", reason ? sentence(reason) : otherwise),
      ...waits.map(({ node, reason: why, seconds_left: seconds }) =>
        element("span", "note", `${node}: ${why}${seconds ? `, ${span(Math.ceil(seconds))} left` : ""}`)));
    yes.disabled = false;
  });
}

export function askWhetherSafe(name) {
  question({
    name, title: "Safe to stop?", text: [
      "A node that is stopped comes back with what it has on its disk, or empty. Until then the other copies of its keys are all there are.",
    ],
  });
}

export function askToRemove(name) {
  question({
    name, title: "Remove this node?", label: "Remove", act: () => done("DELETE", `cluster/nodes/${segmentOf(name)}`,
      () => ["It is off the ring. The others make its copies again among themselves."]),
    text: [
      "It is down. Off the ring, it is no member any more, and the others make its copies again among themselves. " +
        "If it is to come back, start it again instead.",
    ],
  });
}

export function askToLeave(name, answering) {
  const text = ["To leave is more than to stop: it hands over all that it holds first, then it is off the ring and its process ends. Requests go on meanwhile."];
  if (name === answering) {
    question({ name, title: "Let this node leave?", label: "Leave", text, act: () => done("POST", "cluster/leave", (said) =>
      [`It is leaving, with ${plural(said.partitions, "partition")} and ${bytes(said.bytes)} to hand over. This page ends with it: open that of another node to follow.`]) });
    return;
  }
  const link = element("a", "", `its own console`);
  link.href = `${location.protocol}//${name}/#/node/${segmentOf(name)}`;
  const command = element("code", "", `httpdhs leave ${name}`);
  question({
    name, title: "Let this node leave?", text, parts: [
      element("p", "", "A node is asked itself. Open ", link, ", if your browser reaches it by its name, or run"), element("pre", "", command),
    ],
  });
}

/** done sends a request, and says what came of it. */
async function done(method, path, words) {
  try {
    const response = await ask(path, { method });
    if (!response.ok) return [`That did not work: ${sentence(await errorText(response))}`];
    return words(response.status === 204 ? null : await response.json());
  } catch (error) {
    return [`That did not work: ${sentence(inWords(error))}`];
  }
}

$("node-ask-no").addEventListener("click", () => $("node-ask").close());
