// The console: what the public HTTP API says, put on a page. Everything that comes from the cluster
// goes into the document as text, never as markup. This part asks every two seconds, and knows which
// view is open.

import { $, setText } from "./dom.js";
import { Unauthorized, askJSON, inWords, trouble } from "./api.js";
import { span } from "./format.js";
import { History } from "./history.js";
import { showHot, showRing } from "./ring.js";
import { showNode, showNodes } from "./nodes.js";
import { showOverview, showStatsTrouble, totals } from "./overview.js";
import { openSegment } from "./key.js";
import { listAtFirst } from "./list.js";
import { swatch, tints } from "./tint.js";

const POLL_MS = 2000;
const LATE_MS = 6000; // without an answer for so long, the page says so
const ASK_MS = 10_000;

const history = new History();
let cluster = null; // the last that was read
let readAt = 0; // when
let shownRing = ""; // its fingerprint and colours

// --- asking -----------------------------------------------------------------

let timer = 0;
let polling = false;

async function poll() {
  clearTimeout(timer);
  if (polling) return;
  polling = true;
  const [read, stats] = await Promise.allSettled([askJSON("cluster", ASK_MS), askJSON("cluster/stats", ASK_MS)]);
  if (read.status === "fulfilled") {
    trouble("");
    take(read.value, stats);
    await readRing();
  } else if (!(read.reason instanceof Unauthorized)) {
    const from = cluster ? ` What is shown is from ${new Date(readAt).toLocaleTimeString()}.` : "";
    trouble(`Cannot read the state of the cluster: ${inWords(read.reason)}.${from} Trying again.`);
  }
  polling = false;
  showFreshness();
  if ($("auth").hidden && !document.hidden) timer = setTimeout(poll, POLL_MS);
}

function take(read, stats) {
  cluster = read;
  readAt = Date.now();
  const said = stats.status === "fulfilled" ? stats.value : null;
  const told = said?.nodes?.filter(({ error }) => !error) ?? [];
  const connections = told.length > 0 ? told.reduce((sum, node) => sum + node.connections, 0) : null;
  history.add(readAt, { ...totals(read), connections }, said);
  showStatsTrouble(said || stats.reason instanceof Unauthorized ? "" : `There are no rates now: ${inWords(stats.reason)}.`);
  show();
}

async function readRing() {
  const { of, zones } = tints(cluster.nodes);
  const wanted = JSON.stringify([cluster.ring, [...of], zones]);
  if (wanted === shownRing || !cluster.ring) return;
  try {
    showRing(await askJSON("cluster/ring", ASK_MS), { of, zones });
    showHot(history.hot());
    shownRing = wanted;
    setText($("ring-trouble"), "");
  } catch (error) {
    setText($("ring-trouble"), `The ring cannot be read: ${inWords(error)}.`);
  }
}

function showFreshness() {
  const late = cluster !== null && Date.now() - readAt > LATE_MS;
  document.body.classList.toggle("stale", late);
  setText($("answering"), cluster === null ? "asking …" : late ? `nothing heard for ${span((Date.now() - readAt) / 1000)}` : `as ${cluster.node} sees it`);
}

setInterval(showFreshness, 1000);

document.addEventListener("visibilitychange", () => {
  if (!document.hidden && $("auth").hidden) poll();
});
document.addEventListener("token", poll);
document.addEventListener("changed", poll);

// --- views ------------------------------------------------------------------

const VIEWS = ["cluster", "node", "keys"];

/** place is the view that the address names, and what is in it. */
function place() {
  const [, view = "", rest = ""] = /^#\/([a-z]+)\/?(.*)$/s.exec(location.hash) ?? [];
  return { view: VIEWS.includes(view) ? view : "cluster", rest };
}

function nodeName(rest) {
  try {
    return decodeURIComponent(rest);
  } catch {
    return rest;
  }
}

function show() {
  if (!cluster) return;
  const now = Date.now();
  const colours = tints(cluster.nodes);
  const { view, rest } = place();
  document.title = `httpdhs – ${cluster.node}`;
  showOverview(cluster, history, colours, swatch, now);
  showNodes(cluster, history, colours, now);
  showHot(history.hot());
  if (view === "node") showNode(nodeName(rest), cluster, history, colours, now);
}

function go() {
  const { view, rest } = place();
  for (const one of VIEWS) $(`view-${one}`).hidden = one !== view;
  for (const link of $("views").children) {
    const here = link.hash === `#/${view === "node" ? "cluster" : view}`;
    if (here) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  show();
  if (view !== "keys") return;
  listAtFirst();
  if (rest) openSegment(rest);
}

window.addEventListener("hashchange", () => { go(); window.scrollTo(0, 0); });

// --- theme and keys of the keyboard -----------------------------------------

const THEMES = { "": "Auto", light: "Light", dark: "Dark" };

function showTheme() {
  setText($("theme"), THEMES[document.documentElement.dataset.theme ?? ""]);
}

$("theme").addEventListener("click", () => {
  const all = Object.keys(THEMES);
  const next = all[(all.indexOf(document.documentElement.dataset.theme ?? "") + 1) % all.length];
  if (next) document.documentElement.dataset.theme = next;
  else delete document.documentElement.dataset.theme;
  try {
    localStorage.setItem("httpdhs-theme", next);
  } catch { /* then it is for this page alone */ }
  showTheme();
});

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest?.("input, textarea, select, dialog");
  if (typing || event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.key === "/") {
    if (place().view !== "keys") location.hash = "#/keys";
    go();
    $("prefix").focus();
    $("prefix").select();
  } else if (event.key === "?") {
    $("help").showModal();
  } else if (event.key === "Escape" && place().view === "node") {
    location.hash = "#/cluster";
  } else {
    return;
  }
  event.preventDefault();
});

$("shortcuts").addEventListener("click", () => $("help").showModal());
$("help-no").addEventListener("click", () => $("help").close());

showTheme();
go();
poll();
