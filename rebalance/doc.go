// Package rebalance decides, while the ring changes, by which ring a node reads, to the owners of which rings it writes,
// and which rings it may claim to hold. It is a state machine with no I/O, no clock and no goroutine: what peers state goes in,
// what this node states comes out. docs/design/membership.md has the protocol, and why it is right.
//
// Rings are opaque here: a [Ring] is a fingerprint. What is behind it (who owns what) is asked of the caller where it matters.
//
// Invariants, which the tests check over all orders of messages of small clusters:
//
//   - A node that holds a ring is written to by every live node.
//   - Of two nodes that may decide a condition on the same key, one is down to the other.
//   - A ring that somebody live holds and somebody live reads by is not let go by anybody.
//
// Concurrency: none. The caller guards a [State] with its own lock.
package rebalance
