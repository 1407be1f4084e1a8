// Package rebalance decides, while the ring changes, which ring a node reads by, which rings it
// writes to, and which rings it may claim to hold. It is a state machine with no I/O, no clock and
// no goroutine: what peers state goes in, what this node states comes out.
// docs/design/membership.md has the protocol, and why it is right.
//
// Rings are opaque here: a [Ring] is a fingerprint. What is behind it (who owns what) is asked of
// the caller where it matters.
//
// Invariants, which the tests check in small clusters. They go through random orders of messages,
// and through all that depart a little from a fair one:
//
//   - A node that holds a ring is written to by every live node that coordinates.
//   - A node that has authority for a partition has every acknowledged write of it.
//   - Of two nodes that may decide a condition on the same key, one is down to the other.
//   - When nothing else happens any more, all read and write by the target, and hold it.
//
// A split is an exception: one of two nodes takes the other for down, and that node has not
// acknowledged it yet.
//
// Concurrency: none. The caller guards a [State] with its own lock.
package rebalance
