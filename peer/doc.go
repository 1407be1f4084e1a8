// Package peer is the way to one other node: pooled connections, a queue of what is to be sent, and
// one batch of it in flight.
//
// Batching is natural, as in group commit. An idle sender sends at once. While a batch is in flight
// the next one gathers. When the answer comes, the sender takes that one. A lone request carries
// its batch in its own goroutine. No timer is involved.
//
// A peer is down, recovering or up. A [Detector] decides that, and says so by MarkDown and
// MarkBack. A peer that is down keeps its queue. These are the hints of hinted handoff: there is no
// second mechanism. What is asked past the queue (Ask, AskAtOnce) is not kept.
//
// Invariants:
//
//   - Every ticket that entered a queue is resolved exactly once: with the peer's answer, or with a
//     failure when the peer goes down or is closed.
//   - Until the peer is closed a record leaves its queue for one of three reasons. The peer has
//     acknowledged it. Or the peer called its batch malformed. Or the peer is not up and its queue
//     is at its bound: then the oldest records are dropped, and counted.
//   - A message is sent a second time where a connection broke: a peer that was restarted has
//     closed those it had. That happens once. Any further try is the caller's decision.
//
// Concurrency: all exported methods are safe. mu guards the queue, its flight and the state. No
// lock is held across I/O, or while a ticket is resolved or the detector called. A peer runs one
// goroutine, the sender, and those of Go. Close ends them and waits.
package peer
