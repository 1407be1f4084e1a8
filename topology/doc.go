// Package topology is what the cluster is, as this node sees it. It knows who is a member and is
// reached, and by which rings nodes read and write. It knows for what this node has authority, and
// what time it is.
//
// Each member has a prober, which asks it how it is. In a large cluster one of each two nodes asks.
// The answer, like the question, is what the member states of
// itself: rings, clocks, whom it takes for down. One place, step, works out what follows. Package
// rebalance says by which rings to go. step writes the conclusions on the placement.Board, and
// operations and anti-entropy go by that. The topology sees no operation.
//
//	members.go    who is a member, and who was
//	member.go     one of them: the way to it, and the belief in it
//	belief.go     what is known of a member, and how far it is trusted: pure
//	topology.go   what others call; state.go, what the lock guards
//	prober.go     asks one member, again and again; pace.go, how often; strain.go, for how long
//	pair.go       what a question proves; pacer.go, what is done once in a while
//	heard.go      what follows when one has said something
//	step.go       a step of the protocol by which rings change
//	rings.go      the rings that are known, and who is on them
//	claim.go      how this node gets authority for a ring
//	primacy.go    how it gets to decide
//	evict.go      which members are dead
//	clocks.go     what time it is
//	stamps.go     how far apart members stamp
//	serve.go      what others ask
//	standing.go   how all members stand: whom they count on, and what they hold
//	loss.go       what would be lost if some stopped: pure
//
// docs/design/membership.md has the protocol, and why it is right.
//
// Invariants:
//
//   - A peer goes down, and comes back, under the mu of its member. So what this node states of it
//     is never half of before and half of after.
//   - What a member says to hold is believed only if it has acknowledged every suspicion epoch:
//     each time that this node took it for down.
//   - This node acknowledges that it was taken for down after it gave up what it holds (the fence).
//     It does so before the node that took it for down takes part again.
//
// Concurrency: all exported methods are safe. Topology.mu guards the rings and who is a member. A
// member's mu may be taken under it, and a peer's under that. No lock is held across I/O, but for a
// line of the log. Each member has a prober goroutine, which its peer runs and waits for. Another
// goroutine closes a peer that is no member any more. Close waits for all.
package topology
