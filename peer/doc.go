// Package peer is the way to one other node: pooled connections, a queue of what is to be sent, and
// one batch of it in flight.
//
// Batching is natural, as in group commit. The sender sends at once when it is idle. While a batch
// is in flight the next one gathers; then they swap. A request alone carries its batch in its own
// goroutine. No timer is involved.
//
// A peer is down, recovering or up. It does not decide that: a [Detector] does, and says so by
// MarkDown and MarkBack. A peer that is down keeps its queue. That is the hint of a hinted handoff,
// and there is no second mechanism. What is asked past the queue (Ask, Probe) is not kept.
//
// Invariants:
//
//   - Every ticket that entered a queue is resolved exactly once: with the peer's answer, or with a
//     failure when the peer goes down or is closed.
//   - A record leaves a queue when the peer has acknowledged it, when the peer called its batch
//     malformed, or, oldest first and counted, when the queue of a peer that is not up is at its
//     bound.
//   - A message is sent a second time by itself once, where a connection broke: a peer that was
//     restarted closes those it had. Whoever tries again after that decides so.
//
// Concurrency: all exported methods are safe. mu guards the queue, its flight and the state. No
// lock is held across I/O, or while a ticket is resolved or the detector called. A peer runs one
// goroutine, the sender, and what is given to Go; Close ends them and waits.
package peer
