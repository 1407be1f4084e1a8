// Lines over time, drawn with SVG: charts with a scale and a legend, and sparklines without. Both
// show from the first sample to now, and 15 minutes at most.

import { element, setAttribute, setText, svg } from "./dom.js";
import { span } from "./format.js";
import { SPAN_MS } from "./history.js";

const SPAN_MIN_MS = 60_000;
const GAP_MS = 15_000; // a longer silence is shown as one
const WIDTH = 600; // in units of the picture, which is stretched to what room there is
const HEIGHT = 100;

/** @typedef {{t: number}} Sample with a number, or null, for each line */

const spanOf = (samples, now) => Math.min(SPAN_MS, Math.max(SPAN_MIN_MS, now - (samples[0]?.t ?? now)));

/** paths is the line of one value, and the area below it; it is broken where nothing is known. */
function paths(samples, value, now, top) {
  const width = spanOf(samples, now);
  let line = "";
  let area = "";
  let before = null;
  for (const sample of samples) {
    const y = value(sample);
    if (y === null || y === undefined) continue;
    const at = [WIDTH * (1 - (now - sample.t) / width), HEIGHT * (1 - Math.min(1, y / top))].map((n) => n.toFixed(1));
    if (before !== null && sample.t - before.t <= GAP_MS) {
      line += `L${at}`;
      area += `L${at}`;
    } else {
      if (before !== null) area += `V${HEIGHT}Z`;
      line += `M${at}h.1`; // a sample alone is a dot
      area += `M${at[0]},${HEIGHT}L${at}`;
    }
    before = { t: sample.t };
  }
  return { line, area: before === null ? "" : `${area}V${HEIGHT}Z` };
}

/** roundUp is the next number of 1, 2 or 5 with zeros. */
function roundUp(n) {
  const power = 10 ** Math.floor(Math.log10(n));
  return [1, 2, 5, 10].find((step) => n <= step * power * (1 + 1e-9)) * power;
}

function picture() {
  return svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" });
}

/**
 * sparkline is a small picture of one value; its number stands beside it.
 * @param {(sample: Sample) => number|null} value @param {string} className
 */
export function sparkline(value, className) {
  const area = svg("path", { class: "area" });
  const line = svg("path", { class: "line" });
  const root = picture();
  root.setAttribute("class", `spark ${className}`);
  root.append(area, line);
  return {
    root,
    show(samples, now) {
      // Some room above; and a value that hardly changes is no mountain.
      const top = 1.15 * samples.reduce((most, sample) => Math.max(most, value(sample) ?? 0), 0) || 1;
      const drawn = paths(samples, value, now, top);
      setAttribute(area, "d", drawn.area);
      setAttribute(line, "d", drawn.line);
    },
  };
}

/**
 * chart is a picture of some values with a scale. Its legend has their figures: the last, or those
 * under the pointer.
 * @param {{title: string, lines: {label: string, className: string, value: (sample: Sample) => number|null}[],
 *   least: number, format: (n: number|null) => string}} of least: the top of the scale where all is less
 */
export function chart({ title, lines, least, format }) {
  const figures = lines.map(({ className }) => element("b", className));
  const when = element("span", "quiet when");
  const legend = element("div", "legend", ...lines.map(({ label, className }, index) =>
    element("span", "", element("i", `key ${className}`), `${label} `, figures[index])), when);
  const top = element("span", "scale top");
  const middle = element("span", "scale middle");
  const from = element("span", "scale from");
  const to = element("span", "scale to", "now");
  const drawing = picture();
  for (const y of [0.5, HEIGHT / 2, HEIGHT - 0.5]) drawing.append(svg("path", { class: "grid", d: `M0 ${y}H${WIDTH}` }));
  const drawn = lines.map(({ className }) => {
    const made = { area: svg("path", { class: `area ${className}` }), line: svg("path", { class: `line ${className}` }) };
    drawing.append(made.area, made.line);
    return made;
  });
  const cross = svg("path", { class: "cross" });
  drawing.append(cross);
  const plot = element("div", "plot", drawing, top, middle, from, to);
  const root = element("figure", "chart", element("figcaption", "", element("h3", "", title), legend), plot);
  let shown = { samples: [], now: 0 };
  let pointed = null; // where the pointer is, from 0 to 1

  function showFigures() {
    const { samples, now } = shown;
    let sample = samples.at(-1);
    if (pointed !== null && sample) {
      const t = now - (1 - pointed) * spanOf(samples, now);
      sample = samples.reduce((near, one) => (Math.abs(one.t - t) < Math.abs(near.t - t) ? one : near));
      setAttribute(cross, "d", `M${(WIDTH * (1 - (now - sample.t) / spanOf(samples, now))).toFixed(1)} 0V${HEIGHT}`);
    } else {
      cross.removeAttribute("d");
    }
    lines.forEach(({ value }, index) => setText(figures[index], format((sample && value(sample)) ?? null)));
    setText(when, pointed !== null && sample ? `at ${new Date(sample.t).toLocaleTimeString()}` : "");
  }

  plot.addEventListener("pointermove", (event) => {
    const box = plot.getBoundingClientRect();
    pointed = (event.clientX - box.left) / box.width;
    showFigures();
  });
  plot.addEventListener("pointerleave", () => { pointed = null; showFigures(); });

  return {
    root,
    show(samples, now) {
      shown = { samples, now };
      const most = samples.reduce((n, sample) => Math.max(n, ...lines.map(({ value }) => value(sample) ?? 0)), least);
      const limit = roundUp(most);
      lines.forEach(({ value }, index) => {
        const { line, area } = paths(samples, value, now, limit);
        setAttribute(drawn[index].line, "d", line);
        setAttribute(drawn[index].area, "d", area);
      });
      setText(top, format(limit));
      setText(middle, format(limit / 2));
      setText(from, `${span(spanOf(samples, now) / 1000)} ago`);
      showFigures();
    },
  };
}
