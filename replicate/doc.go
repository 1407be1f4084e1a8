// Package replicate makes the owners of a key agree: it carries out the operations of clients.
//
// A [Coordinator] takes a kv.Call and stamps its writes. It applies what this node owns to its own
// store, and queues the rest for the peers that own it. Then it waits until each operation has
// reached its level. [Coordinator.List] goes through the keys of the cluster.
// [Coordinator.ServeBatch] is the other end: it carries out what peers send.
//
// Who owns what may change at any time. An attempt at an operation goes by one placement.View.
// Where that could not bring it to its level, the next attempt goes by the next view, until the
// deadline. The coordinator alone tries again. [Topology] is what else this package needs to know
// of the cluster.
//
//	coordinator.go  a call: attempts, and what comes of it
//	attempt.go      one attempt, by one view
//	pending.go      what a call waits for; operation.go, where one operation stands
//	write.go, decide.go, read.go, quorum.go   the phases of an operation
//	run.go          operations on a key that are decided together; ruling.go, what came of that
//	bulk.go         writes of a call that are merged together; order.go, in which order
//	hedge.go        reads that ask one more owner
//	outwait.go      answers that wait for the clocks of others
//	replica.go      this node's own store
//	serve.go        batches of others
//	list.go, locate.go   pages of keys, and what owners hold of one
//
// Invariants:
//
//   - Owners alone acknowledge a write. What comes to another node is kept and handed over.
//   - An operation has no effect after kv.ErrOverloaded. After any other failure of a write it may
//     still appear.
//   - A waiter that gave up leaves its tickets to be resolved later.
//   - No lock is held across I/O. The lock of a queue and that of a waiter are never held together.
//
// Concurrency: all exported methods are safe. pending.mu guards where the operations of one call
// stand. The package has no goroutines but those of a request that asks several peers at once.
package replicate
