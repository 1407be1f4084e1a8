// Package antientropy makes this node hold what it is to hold, and nothing else. It compares the
// digests of partitions with other owners, and fetches the records of the buckets that differ (a
// pull). It hands over the partitions that this node does not own.
//
// Merging decides what is kept. So a pull never undoes a write, needs no lock on a partition, and
// may be broken off at any point: what has come is not fetched again. Fetching and handing over are
// paced, so that requests keep their latency.
//
// One goroutine, the loop, does one thing after the other:
//
//   - It has the topology advance, and claim the rings that this node is to hold. A claim pulls
//     what the topology says, from whom it says.
//   - It fetches what was refused, for want of room or by limits, when there is room again.
//   - It looks for drift: a comparison with one random peer every driftEvery finds what queues have
//     dropped and faults have lost. After a peer was restarted it is a comparison with all.
//   - It hands over what this node does not own, and drops it once each owner has confirmed it.
//
// Concurrency: all exported methods are safe. There is no lock: what the loop notes is its own, and
// the rest are atomics. Close ends the loop and waits.
package antientropy
