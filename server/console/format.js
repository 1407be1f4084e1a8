// Figures in words.

export const count = (n) => Number(n ?? 0).toLocaleString("en");

export function bytes(n) {
  n = Number(n ?? 0);
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let unit = 0;
  while (n >= 1024 && unit < units.length - 1) { n /= 1024; unit++; }
  return `${unit === 0 || n >= 100 ? Math.round(n) : n.toFixed(1)} ${units[unit]}`;
}

export function percent(part, whole) {
  return whole > 0 ? `${(100 * part / whole).toFixed(1)} %` : "";
}

/** short is a number of three digits with a letter: 12.3k. */
export function short(n) {
  const units = ["", "k", "M", "G"];
  let unit = 0;
  while (n >= 999.5 && unit < units.length - 1) { n /= 1000; unit++; }
  if (n >= 99.95 || n === 0) return `${Math.round(n)}${units[unit]}`;
  return `${Number(n.toFixed(n >= 9.995 || unit === 0 ? 1 : 2))}${units[unit]}`;
}

/** rate is how many a second; null: it is not known. */
export const rate = (n) => (n === null || n === undefined ? "–" : `${short(n)}/s`);

/** latency is a duration in seconds; null: there was nothing to measure. */
export function latency(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  const [n, unit] = seconds < 0.001 ? [seconds * 1e6, "µs"] : seconds < 1 ? [seconds * 1e3, "ms"] : [seconds, "s"];
  return `${n >= 100 ? Math.round(n) : Number(n.toFixed(n >= 10 ? 1 : 2))} ${unit}`;
}

const PARTS = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];

/** span is a number of seconds in at most two units. */
export function span(seconds) {
  let rest = Math.max(0, Math.floor(seconds));
  const first = PARTS.findIndex(([size]) => rest >= size);
  if (first < 0) return "0 s";
  return PARTS.slice(first, first + 2).map(([size, name]) => {
    const n = Math.floor(rest / size);
    rest -= n * size;
    return [n, name];
  }).filter(([n], index) => index === 0 || n > 0).map((pair) => pair.join(" ")).join(" ");
}

export const since = (started, now) => span((now - started) / 1000);

/** plural is a count with its noun: 1 node, 2 nodes. */
export const plural = (n, noun, nouns = `${noun}s`) => `${count(n)} ${n === 1 ? noun : nouns}`;

/** listed joins names to a phrase, and says how many more there are beyond a few. */
export function listed(names, most = 3) {
  if (names.length <= 1) return names.join("");
  const some = names.length > most ? names.slice(0, most - 1) : names.slice(0, -1);
  const last = names.length > most ? `${names.length - some.length} more` : names.at(-1);
  return `${some.join(", ")} and ${last}`;
}
