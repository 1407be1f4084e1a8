package replicate

import "sync/atomic"

// Counters count since the start.
type Counters struct {
	Writes, Reads atomic.Int64
	Hedges        atomic.Int64 // reads that asked one more owner, since the first took long
	Restamps      atomic.Int64 // writes stamped again because a newer version was there
	Repairs       atomic.Int64 // records sent to replicas that a read found behind
	Refused       atomic.Int64 // records of peers beyond this node's limits, or stamped too far ahead
	Unavailable   atomic.Int64 // operations that met too few replicas
	Timeouts      atomic.Int64 // operations that met their deadline
	Overloads     atomic.Int64 // operations refused because a queue was full
}
