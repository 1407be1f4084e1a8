package server

import "httpdhs/internal/histogram"

// The classes that requests are counted in.
const (
	classGet = iota
	classHead
	classPut
	classDelete
	classPost
	classOther
	classes
)

// Classes are the names of the first index of Stats.Requests.
var Classes = [classes]string{"get", "head", "put", "delete", "post", "other"}

// Stats is what a server has counted since its start.
type Stats struct {
	// Requests that were answered, by class (see Classes) and by the first
	// digit of the status.
	Requests [classes][6]int64

	// Operations are those that were begun, and those that were refused with a 5xx before.
	Operations [Operations]OperationStats

	Conns         int64 // open connections
	RejectedConns int64 // turned away at MaxConns
	EvictedConns  int64 // closed at MaxConns to make room
	SlowConns     int64 // timeouts of slow clients
	Malformed     int64 // requests that could not be read
	Panics        int64 // handlers that panicked
	Overloaded    int64 // requests refused at MaxInFlightBytes or MaxAnswerBytes

	// Messages between nodes that were not taken, by why: all reasons there are.
	RefusedMessages map[string]int64

	InFlightBytes     int64 // request bodies of clients in memory
	PeerInFlightBytes int64 // request bodies of other nodes in memory
	AnswerBytes       int64 // large answers that clients have still to take
}

// OperationStats are the operations of a kind.
type OperationStats struct {
	Errors int64            // answered with a 5xx
	Took   histogram.Counts // nanoseconds, by histogram.Latencies
}

// Stats reads the counters; cheap enough for every scrape.
func (s *Server) Stats() Stats {
	k := &s.journal.counters
	st := Stats{
		RefusedMessages:   make(map[string]int64, len(messageFaults)),
		RejectedConns:     k.rejectedConns.Load(),
		EvictedConns:      k.evictedConns.Load(),
		SlowConns:         k.slowConns.Load(),
		Malformed:         k.malformed.Load(),
		Panics:            k.panics.Load(),
		Overloaded:        k.overloaded.Load(),
		InFlightBytes:     s.clientBytes.used.Load(),
		PeerInFlightBytes: s.peerBytes.used.Load() + s.smallBytes.used.Load() + s.strangeBytes.used.Load(),
		AnswerBytes:       s.answerBytes.used.Load(),
	}
	k.tallies.addTo(&st)
	for i := range k.refusedMessages {
		st.RefusedMessages[messageFaults[i].name] = k.refusedMessages[i].Load()
	}
	s.mu.Lock()
	st.Conns = int64(len(s.mu.conns))
	s.mu.Unlock()
	return st
}
