// Package simnet runs a cluster in one process over a network in memory, does it all kinds of harm,
// and checks what clients saw and what is left. Everything that is drawn comes from one number, the
// seed.
//
// A run has four parts: the nodes start and get in sync; clients work while faults come and go;
// everything is healed, and the cluster has to come to rest in a bounded time; every key is read at
// every node, and every store is looked into. [Run] does that and returns a [History]; [Check] is a
// pure function that says what is wrong with it. The properties are stated where they are checked,
// in check.go.
//
// The nodes are real: replicate.Coordinator over shard.Store, with real queues, probers and sync.
// What is ours is the transport, the wall clocks, and the door in front of a node: a node that is
// stopped lets nobody in or out. A layer around each store notes what was stored when. Run has to
// be called in a bubble of testing/synctest: time passes when all goroutines wait, so a minute of
// faults takes some milliseconds. Only one bubble at a time may run in a process, and [Flush]
// belongs between two of them, since package replicate pools what has timers.
//
// In about half of the runs members come and go too ([Coming]): nodes join through members that are
// up, leave, are removed by an operator or by a majority, and come back. Then each node has a real
// membership.Membership: its hellos go over the same network. Who is to run is the operators' to
// say; at the end those are the members, to all of them.
//
// Some runs have crowds ([Crowd]): clients at all nodes that write the same few keys, before all
// faults and among them. Some have links that lag, for minutes even, without being down; replicas
// that have no memory left for a while; and members that join and die before they have their share.
// In some, nodes are slow to start: answers come before they know who the members are, or by which
// ring they go.
//
// What a seed fixes: the shape of the cluster, its clocks, the faults, and the changes of members
// and their times. It fixes what each client asks of whom and when, and the fate of the n-th
// message on each way between two nodes. What it does not fix: which of several goroutines that are
// ready at the same instant goes first, and which case of a select that has several wins. As delays
// have the grain of a nanosecond, few things happen at the same instant; the tests run each seed
// with GOMAXPROCS=1 and without asynchronous preemption, which removes most of the rest. Of 12
// seeds 11 repeated to the last answer.
//
// Concurrency: Run starts goroutines and waits for all of them. A History is for one goroutine.
package simnet
