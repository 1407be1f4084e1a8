// The shapes of the ring's picture, on circles: stripes for partitions, sectors for the shares of
// nodes, and which of the two can be told apart.

export const SIZE = 360; // of the picture, in its units: about as many pixels
export const MIDDLE = SIZE / 2;
export const PRIMARY = { outer: 158, inner: 122 }; // of stripes
const FINE = 2; // units: stripes that are narrower than this are noise
const STEPS_MAX = 2048; // stripes that are drawn; of more partitions some are left out

/**
 * @typedef {{partitions: number, replicas: number, nodes: {name: string, zone?: string}[], owners: number[][]}} Ring
 * @typedef {{outer: number, inner: number}} Band the radii of a circle
 * @typedef {{from: number, to: number}} Place a part of a turn, 0 to 1
 */

/** point is where a part of a turn is, in the words of a path. */
export function point(radius, turn) {
  const angle = 2 * Math.PI * turn - Math.PI / 2;
  return `${(MIDDLE + radius * Math.cos(angle)).toFixed(2)} ${(MIDDLE + radius * Math.sin(angle)).toFixed(2)}`;
}

/** arc is a piece of a circle, between two parts of a turn. @param {Band} band @param {Place} place */
export function arc({ outer, inner }, { from, to }) {
  if (to - from > 0.9999) return arc({ outer, inner }, { from: 0, to: 0.5 }) + arc({ outer, inner }, { from: 0.5, to: 1 });
  const large = to - from > 0.5 ? 1 : 0;
  return `M${point(outer, from)}A${outer} ${outer} 0 ${large} 1 ${point(outer, to)}` +
    `L${point(inner, to)}A${inner} ${inner} 0 ${large} 0 ${point(inner, from)}Z`;
}

/**
 * stripes draws a circle: of each run of partitions that have the same owner one piece, all pieces of
 * an owner in one path.
 * @param {Ring} ring @param {Band} band @param {(owners: number[]) => *} ownerOf
 */
export function stripes(ring, band, ownerOf) {
  const steps = Math.min(ring.partitions, STEPS_MAX);
  const at = (step) => ownerOf(ring.owners[Math.floor(step * ring.partitions / steps)]);
  const drawn = new Map();
  for (let from = 0; from < steps;) {
    const owner = at(from);
    let to = from + 1;
    while (to < steps && at(to) === owner) to++;
    if (owner !== undefined) drawn.set(owner, (drawn.get(owner) ?? "") + arc(band, { from: from / steps, to: to / steps }));
    from = to;
  }
  return drawn;
}

/** isFine says that the stripes of the primaries are too narrow on average to be told apart. @param {Ring} ring */
export function isFine(ring) {
  const runs = ring.owners.filter(([primary], partition) => ring.owners.at(partition - 1)[0] !== primary).length;
  return Math.PI * (PRIMARY.outer + PRIMARY.inner) / Math.max(1, runs) < FINE;
}

/** holdings are of how many partitions each node is the primary, and a further copy. @param {Ring} ring */
export function holdings(ring) {
  const held = ring.nodes.map(() => ({ primary: 0, copies: 0 }));
  for (const [primary, ...copies] of ring.owners) {
    if (primary !== undefined) held[primary].primary++;
    for (const copy of copies) held[copy].copies++;
  }
  return held;
}

/** places puts parts of a whole one after the other around a circle. @param {number[]} parts @returns {Place[]} */
export function places(parts, whole) {
  let sum = 0;
  return parts.map((part) => ({ from: sum / whole, to: (sum += part) / whole }));
}
