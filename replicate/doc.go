// Package replicate makes the owners of a key agree.
//
// A Coordinator takes a kv.Call, stamps its writes, applies what this node
// owns to its own store and hands the rest to the queues of the peers that own
// it, then waits until each operation has reached its level. A Peer is another
// node as this one sees it: one queue, one sender that keeps one batch in
// flight, one prober. Exchange is the other end: it answers what peers send.
//
// Who owns what may change at any time. A view (view.go) is what an operation
// goes by: the owners of all rings that are written, those that readers ask
// first. change.go takes the steps of package rebalance, which says which rings
// these are; claim.go and pull.go get the node authority for a ring, handover.go
// gives away what it does not own any more, evict.go finds the dead. A node
// that has authority for a partition lacks nothing of it, and it alone says that
// a key does not exist. docs/design/membership.md has the protocol.
//
// Batching is natural, as in group commit: the sender sends at once when it is
// idle; while a batch is in flight the next one gathers; then they swap. A
// request alone carries its batch in its own goroutine. No timer is involved. A
// peer that is down keeps its queue: that is the hint, and there is no second
// mechanism. What queues lose, and what a restart forgets, sync fetches from
// the other owners (sync.go, pull.go).
//
// Invariants:
//
//   - Every ticket that entered a queue is resolved exactly once: with the
//     peer's answer, or with a failure when the peer goes down or the node
//     stops. A waiter that gave up leaves its tickets to be resolved later.
//   - A record leaves a queue when the peer has acknowledged it, when the peer
//     called its batch malformed, or, oldest first and counted, when the queue
//     of a peer that is down is at its bound.
//   - A write is acknowledged by owners alone; what comes to another node is kept
//     and handed over. Nothing is dropped before all its owners have confirmed it.
//   - An operation has no effect after kv.ErrOverloaded. After any other
//     failure of a write it may still appear.
//   - No lock is held across I/O, and none of a queue together with one of a
//     waiter.
//
// What this package needs of others it declares: Store and peer.Transport. All
// exported methods are safe for concurrent use.
package replicate
