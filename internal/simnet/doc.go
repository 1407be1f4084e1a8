// Package simnet runs a cluster in one process over a network in memory, does it all kinds of harm,
// and checks what clients saw and what is left. One number, the seed, decides everything that is
// drawn.
//
// A run has four parts:
//
//   - The nodes start and get in sync.
//   - Clients work while faults come and go.
//   - Everything is healed, and the cluster has to come to rest in a bounded time.
//   - Every key is read at every node, and every store is looked into.
//
// [Run] does that and returns a [History]. [Check] is a pure function that says what is wrong with
// it. check.go states the properties.
//
// The nodes are real: a dataplane.Plane over a shard.Store each, with real queues, probers and
// anti-entropy. Simulated are the transport and the wall clocks. A door stands in front of each
// node: a node that is stopped lets nobody in or out. A layer around each store notes what was
// stored when.
//
// Run has to be called in a bubble of testing/synctest. Time passes there when all goroutines wait,
// so a minute of faults takes some milliseconds. Only one bubble at a time may run in a process.
// [Flush] belongs between two of them, since the packages simulated pool what has timers.
//
// In about half of the runs members come and go too ([Coming]). Nodes join through members that are
// up, and leave. An operator or a majority removes some, and some come back. Then each node has a
// real membership.Membership, and its hellos go over the same network. The operators decide which
// nodes are to run. At the end those are the members, to all of them.
//
// Some runs have more:
//
//   - Crowds ([Crowd]): clients at all nodes write the same few keys, before all faults and among
//     them.
//   - Links that lag, for minutes even, without being down.
//   - Replicas that have no memory left for a while.
//   - Members that join and die before they have their share.
//   - Names ([Names]): the nodes find each other by one, which is late and often cannot be looked
//     up, and one is restarted meanwhile. There are never two clusters.
//   - Nodes that are slow to start: answers come before they know who the members are, or by which
//     ring they go.
//
// In about half of the runs nodes have disks ([Disks]): a disk.Log each, on a file system of
// package crashfs that outlives the node. Then a node that crashes is killed, loses its power, or
// is stopped in good order, by itself or with all others at once. It starts with what its disk
// has, and goes through the stages of node/start.go. Disks fail, are full, or are slow for a
// while. Some runs take minutes, in which tombstones are collected. There nodes are away for
// longer than the grace, and get the disks that they had a while ago. What has to last is worked
// out from what was stored and when, and not from what is found (ledger.go).
//
// A seed fixes:
//
//   - the shape of the cluster, its clocks, and the faults;
//   - the changes of members and their times;
//   - what each client asks of whom and when;
//   - the fate of the n-th message on each way between two nodes.
//
// A seed does not fix which of several goroutines goes first that are ready at the same instant,
// nor which case of a select wins that has several. Delays have the grain of a nanosecond, so few
// things happen at the same instant. The tests run each seed with GOMAXPROCS=1 and without
// asynchronous preemption, which removes most of the rest. Of 12 seeds 11 repeated to the last
// answer.
//
// Concurrency: Run starts goroutines and waits for all of them. A History is for one goroutine.
package simnet
