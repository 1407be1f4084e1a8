// What the page has seen: rates and latencies, from the differences of counters, for the last 15
// minutes. It is kept in the page alone: a reload forgets it, and while the tab is hidden nothing is
// asked and nothing added.

export const SPAN_MS = 15 * 60 * 1000;
const SAMPLES_MAX = 600; // of one series, however often it is asked

// What kinds of operation count as. Those of many keys have no part in the latency of one.
const READS = ["get", "list"];
const WRITES = ["put", "delete", "update", "load"];
const SINGLE = ["get", "put", "delete", "update", "resp"];

/**
 * @typedef {{kind: string, count: number, errors: number, seconds: number, buckets: number[]}} Operation
 * @typedef {{name: string, error?: string, time?: string, started?: string, connections?: number,
 *   operations?: Operation[], hot_partitions?: {partition: number, reads: number, writes: number}[]}} NodeStats
 *   counters since the node was started
 * @typedef {{t: number, reads: number, writes: number, others: number, errors: number,
 *   p50: number|null, p99: number|null}} Sample
 *   t is the page's clock in ms; rates are a second, latencies in seconds (null: nothing to measure)
 * @typedef {{seconds: number, operations: Operation[]}} Difference
 */

/**
 * difference is what a node did between two documents. It is null where that cannot be told. A node
 * that was started between the two has done what its counters have; one whose counters fell, and
 * that does not say that it was started, has done nobody knows what.
 * @param {NodeStats|undefined} before @param {NodeStats} after @returns {Difference|null}
 */
export function difference(before, after) {
  if (!before?.operations || !after.operations) return null;
  const restarted = before.started !== after.started;
  const seconds = (Date.parse(after.time) - Date.parse(restarted ? after.started : before.time)) / 1000;
  if (!(seconds > 0)) return null;
  const was = new Map(restarted ? [] : before.operations.map((operation) => [operation.kind, operation]));
  const operations = after.operations.map((now) => {
    const then = was.get(now.kind);
    if (!then) return now;
    return {
      kind: now.kind, count: now.count - then.count, errors: now.errors - then.errors, seconds: now.seconds - then.seconds,
      buckets: now.buckets.map((n, index) => n - (then.buckets[index] ?? 0)),
    };
  });
  const fell = operations.some(({ count, errors, buckets }) => count < 0 || errors < 0 || buckets.some((n) => n < 0));
  return fell ? null : { seconds, operations };
}

/** added is the sum of buckets. */
function added(all) {
  const sum = [];
  for (const buckets of all) buckets.forEach((n, index) => { sum[index] = (sum[index] ?? 0) + n; });
  return sum;
}

/**
 * percentile is the latency that a part of all stayed below, between the bounds of its bucket; beyond
 * the last bound it is that bound, since no more is known.
 * @param {number[]} bounds @param {number[]} buckets one more than there are bounds @param {number} part
 */
export function percentile(bounds, buckets, part) {
  const all = buckets.reduce((sum, n) => sum + n, 0);
  if (all === 0) return null;
  let left = part * all;
  for (let index = 0; index < bounds.length; index++) {
    const low = index === 0 ? 0 : bounds[index - 1];
    if (buckets[index] > 0 && left <= buckets[index]) return low + (bounds[index] - low) * left / buckets[index];
    left -= buckets[index];
  }
  return bounds.at(-1) ?? null;
}

/** @param {Difference[]} differences of one node, or of all @returns {Sample} */
export function sampleOf(t, bounds, differences) {
  const sum = (kinds, what) => differences.reduce((all, { seconds, operations }) =>
    all + operations.filter(({ kind }) => !kinds || kinds.includes(kind)).reduce((n, operation) => n + operation[what], 0) / seconds, 0);
  const [reads, writes] = [sum(READS, "count"), sum(WRITES, "count")];
  const buckets = added(differences.flatMap(({ operations }) =>
    operations.filter(({ kind }) => SINGLE.includes(kind)).map((operation) => operation.buckets)));
  return {
    t, reads, writes, others: Math.max(0, sum(null, "count") - reads - writes), errors: sum(null, "errors"),
    p50: percentile(bounds, buckets, 0.5), p99: percentile(bounds, buckets, 0.99),
  };
}

/** Series is a list of samples that ends 15 minutes ago. */
export class Series {
  samples = [];

  add(sample) {
    this.samples.push(sample);
    const from = this.samples.findIndex(({ t }) => t > sample.t - SPAN_MS);
    this.samples.splice(0, Math.max(from, this.samples.length - SAMPLES_MAX));
  }

  get last() { return this.samples.at(-1); }
}

/** History has a series of the cluster and one of each node, and what is needed to go on. */
export class History {
  cluster = new Series(); // of samples of all nodes, with what GET /cluster says in sum
  #nodes = new Map(); // name -> { series, stats: the last that it said, difference: the last }
  bounds = [];

  /**
   * add takes the documents of one poll.
   * @param {number} t @param {object} totals of the cluster: what a chart shows of them
   * @param {{bounds: number[], nodes: NodeStats[]}|null} stats null: they could not be read
   */
  add(t, totals, stats) {
    const differences = [];
    const told = new Set();
    this.bounds = stats?.bounds ?? this.bounds;
    for (const node of stats?.nodes ?? []) {
      told.add(node.name);
      const known = this.#nodes.get(node.name) ?? { series: new Series(), stats: undefined, difference: null };
      this.#nodes.set(node.name, known);
      known.error = node.error ?? "";
      known.difference = difference(known.stats, node);
      if (node.operations) known.stats = node;
      if (!known.difference) continue;
      known.series.add(sampleOf(t, this.bounds, [known.difference]));
      differences.push(known.difference);
    }
    for (const name of this.#nodes.keys()) if (stats && !told.has(name)) this.#nodes.delete(name);
    this.cluster.add({ ...(differences.length > 0 ? sampleOf(t, this.bounds, differences) : { t }), ...totals });
  }

  /** node is what is known of a node; one that is not known has no samples. */
  node(name) {
    return this.#nodes.get(name) ?? { series: new Series(), stats: undefined, difference: null, error: "" };
  }

  /** hot is the partitions that are asked for most, hottest first, each summed over the nodes. */
  hot() {
    const sums = new Map();
    for (const { stats, error } of this.#nodes.values()) {
      for (const { partition, reads, writes } of error ? [] : stats?.hot_partitions ?? []) {
        const sum = sums.get(partition) ?? { partition, reads: 0, writes: 0 };
        sums.set(partition, { partition, reads: sum.reads + reads, writes: sum.writes + writes });
      }
    }
    return [...sums.values()].sort((a, b) => b.reads + b.writes - a.reads - a.writes).slice(0, 10);
  }
}
