// Package placement is what this node goes by now: who owns a partition, which peers lead to the
// owners, whether this node has authority for it, and what it has refused of it.
//
// The topology works that out and writes it on a [Board]. Operations and anti-entropy read it
// there, without a lock and without waiting. An operation goes by one [View] from its beginning to
// its end, however the rings change meanwhile.
//
// Invariants:
//
//   - A View never changes. One that was replaced lives until the operations that go by it have
//     left it.
//   - Authority for a partition means that every acknowledged write of it is here, or was refused
//     and noted. It is a lease: it lapses when this node may have been taken for down.
//
// Concurrency: all methods are safe. The methods that write a Board are the topology's alone.
package placement
