package replicate

import "sync/atomic"

// counters tell what the coordinator did since it was made.
type counters struct {
	writes, reads, hedges, restamps, repairs, pulled, pulledBytes, handedOver, refused, unavailable, timeouts, overloads atomic.Int64
}

// Counters are the coordinator's counts of operations since the start.
type Counters struct {
	Writes, Reads int64
	Hedges        int64 // reads that asked one more owner, since the first took long
	Restamps      int64 // writes stamped again because a newer version was there
	Repairs       int64 // records sent to replicas that a read found behind
	Pulled        int64 // records fetched by sync
	HandedOver    int64 // records given to the owners that this node is not
	Refused       int64 // records of peers beyond this node's limits, or its belief in their clocks
	Unavailable   int64 // operations that met too few replicas
	Timeouts      int64 // operations that met their deadline
	Overloads     int64 // operations refused because a queue was full
}

// Counters are the counts since the start.
func (c *Coordinator) Counters() Counters {
	n := &c.counters
	return Counters{
		Writes: n.writes.Load(), Reads: n.reads.Load(), Hedges: n.hedges.Load(), Restamps: n.restamps.Load(),
		Repairs: n.repairs.Load(), Pulled: n.pulled.Load(), HandedOver: n.handedOver.Load(), Refused: n.refused.Load(), Unavailable: n.unavailable.Load(),
		Timeouts: n.timeouts.Load(), Overloads: n.overloads.Load(),
	}
}
