package main

import "cmp"

// What a process takes beside its store and what it counts: the runtime, the program, and the
// structures of an empty node, which were measured. A share of the limit is for the kernel, which
// counts its own buffers of sockets and files into a control group, and for what is not known.
const (
	planNode         = 16 << 20 // on the heap
	planProcess      = 16 << 20 // beside it
	planReserveShare = 32

	// planStorePercent is the share of the limit that the store has where nothing is said.
	planStorePercent = 70

	// planTombstones is the part of its bound that a store may take past it: for tombstones.
	planTombstones = 20

	// planGarbage is the part of the heap that stays free of what is counted. Garbage that is not
	// collected yet is there, and what a buffer held before it grew.
	planGarbage = 4

	// planConn is what a connection takes that has something to do: its buffers and its stack.
	planConn = 40 << 10
)

// What is left beyond the least of everything is dealt out in parts: two to the requests and two to
// the answers of each protocol, two to the queues to other nodes, one to messages of these, and one
// to connections.
// Beyond the most nothing is gained, and with less than the least nothing works.
const (
	planBudgetMost  = 256 << 20
	planQueuesMost  = 1 << 30
	planSegmentMost = 64 << 20
	planConnsMost   = 8192
	planConnsLeast  = 128

	planMessage      = 1 << 20 // of another node, beside a value in it
	planSegmentShare = 64      // of the limit
)

// memoryAsked is what a plan goes by.
type memoryAsked struct {
	limit             int64 // of the process, in bytes
	store             int64 // bytes; storeDefault: nothing was said; 0: no bound
	requests, answers int64 // bytes; 0: nothing was said
	value             int64 // the largest
	resp, disk        bool  // whether the node speaks the Redis protocol; whether it has a disk
}

const storeDefault = -1

// memoryPlan is how a limit is shared out, in bytes.
type memoryPlan struct {
	store    int64 // 0: no bound
	requests int64 // of clients, in each protocol
	answers  int64 // in each protocol
	alone    int64 // one answer, while there is no other
	messages int64 // of other nodes
	queues   int64 // to all other nodes together
	segment  int64 // of the log on the disk
	conns    int   // of clients, in each protocol

	heap      int64 // the bound of Go's heap
	all       int64 // the sum: what the process may take
	storeFits int64 // the largest store with which the sum is within the limit
}

// planMemory shares out a limit. What was asked for is so, even where it does not fit. What was not
// is worked out of what is left, but never so small that nothing works: requests have room for one
// of the largest values, and for the buffers in between; answers for one, and for what it takes in
// JSON. So a plan may come to more than the limit: all says so.
func planMemory(a memoryAsked) memoryPlan {
	p := leastMemory(a)
	fixed := int64(planNode + planProcess + a.limit/planReserveShare)
	if a.disk {
		fixed += diskMemory(p.segment)
	}
	usual := a.limit / 100 * planStorePercent
	p.storeFits = max(withoutTombstones(a.limit-fixed-withGarbage(p.work(a.resp))), 0)
	p.store = a.store
	if a.store == storeDefault {
		p.store = max(min(usual, p.storeFits), a.limit/8)
	}
	taken := p.store
	if taken == 0 { // it has no bound: the rest is what it would be by default
		taken = min(usual, p.storeFits)
	}
	fixed += withTombstones(taken)
	p.deal(a, withoutGarbage(a.limit-fixed)-p.work(a.resp))
	p.all = fixed + withGarbage(p.work(a.resp))
	p.heap = planNode + withGarbage(p.work(a.resp))
	if a.disk {
		p.heap += diskMemory(p.segment)
	}
	p.heap = min(max(p.heap, p.heap+a.limit-p.all), a.limit) // beyond the limit it would bound nothing
	return p
}

// leastMemory is a plan with the least of everything that was not asked for.
func leastMemory(a memoryAsked) memoryPlan {
	value := a.value + a.value/2
	p := memoryPlan{
		requests: cmp.Or(a.requests, value),
		answers:  cmp.Or(a.answers, 3*a.value),
		alone:    3 * a.value, // a value that was found, and what it takes in JSON
		queues:   value, messages: a.value + planMessage, conns: planConnsLeast,
	}
	if a.disk {
		p.segment = min(max(a.limit/planSegmentShare, a.value), planSegmentMost)
	}
	return p
}

// deal gives each what was not asked for its parts of what is left, up to its most.
func (p *memoryPlan) deal(a memoryAsked, left int64) {
	protocols, parts := int64(1), int64(2+1+1)
	if a.resp {
		protocols, parts = 2, parts+1
	}
	if a.requests == 0 {
		parts += 2 * protocols
	}
	if a.answers == 0 {
		parts += 2 * protocols
	}
	part := max(left, 0) / parts
	if a.requests == 0 {
		p.requests = max(min(p.requests+2*part, planBudgetMost), p.requests)
	}
	if a.answers == 0 {
		p.answers = max(min(p.answers+2*part, planBudgetMost), p.answers)
	}
	p.queues = max(min(p.queues+2*part, planQueuesMost), p.queues)
	p.messages = max(min(p.messages+part, planBudgetMost), p.messages)
	p.conns = int(min(planConnsLeast+part/planConn, planConnsMost))
}

// work is what is counted while requests are answered.
func (p *memoryPlan) work(resp bool) int64 {
	sum := p.requests + max(p.answers, p.alone) + int64(p.conns)*planConn
	if resp {
		sum *= 2
	}
	return sum + p.messages + p.queues
}

// diskMemory is what the log of a disk takes at most: the segment that is cleaned, and what waits
// to be written in its stripes. While it is loaded there are two segments, and no clients.
func diskMemory(segment int64) int64 { return 3 * segment }

func withGarbage(n int64) int64       { return n + n/(planGarbage-1) }
func withoutGarbage(n int64) int64    { return n - n/planGarbage }
func withTombstones(n int64) int64    { return n + n/planTombstones }
func withoutTombstones(n int64) int64 { return n - n/(planTombstones+1) }
