package resp

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"httpdhs/internal/histogram"
)

// Stats is what a server has counted since its start.
type Stats struct {
	Commands   int64 // that were read
	Calls      int64 // of the store
	Operations int64 // in them

	FailedCalls int64            // of which an operation failed, and not by the client's fault
	CallTimes   histogram.Counts // nanoseconds that calls took in the store, by histogram.Latencies

	Conns         int64 // open connections
	AcceptedConns int64 // and those turned away
	RejectedConns int64 // turned away at MaxConns
	SlowConns     int64 // closed for their clients were too slow
	Malformed     int64 // connections closed for what was no command
	Panics        int64 // handlers that panicked
	Overloaded    int64 // commands refused at MaxInBytes or MaxOutBytes

	InBytes, OutBytes int64 // read and written
	InHeld, OutHeld   int64 // of commands and answers in memory, beyond 16 KiB each
	UnknownOutcomes   int64 // writes answered with UNKNOWN
	Gets, Hits        int64 // keys that were read, and those of them that were there
}

// callStripes is among how many counters the connections are dealt, so that those of different
// cores seldom write to the same memory.
const callStripes = 16

type counters struct {
	times [callStripes]struct {
		failed atomic.Int64
		took   histogram.Histogram
		_      [64]byte // a cache line
	}
	commands, calls, operations, rejectedConns, slowConns, malformed, panics, overloaded atomic.Int64
	inBytes, outBytes, unknownOutcomes, gets, hits                                       atomic.Int64
}

// Stats reads the counters; cheap enough for every scrape.
func (s *Server) Stats() Stats {
	k := &s.counters
	st := Stats{
		Commands: k.commands.Load(), Calls: k.calls.Load(), Operations: k.operations.Load(),
		AcceptedConns: s.lastID.Load(), RejectedConns: k.rejectedConns.Load(), SlowConns: k.slowConns.Load(),
		Malformed: k.malformed.Load(), Panics: k.panics.Load(), Overloaded: k.overloaded.Load(),
		InBytes: k.inBytes.Load(), OutBytes: k.outBytes.Load(),
		InHeld: s.in.used.Load(), OutHeld: s.out.used.Load(),
		UnknownOutcomes: k.unknownOutcomes.Load(), Gets: k.gets.Load(), Hits: k.hits.Load(),
	}
	for i := range k.times {
		st.FailedCalls += k.times[i].failed.Load()
		k.times[i].took.AddTo(&st.CallTimes)
	}
	s.mu.Lock()
	st.Conns = int64(len(s.mu.conns))
	s.mu.Unlock()
	return st
}

// journal logs what anybody can bring about: once a second at most.
type journal struct {
	log  *slog.Logger
	last atomic.Int64 // Unix milliseconds
	held atomic.Int64
}

func (j *journal) note(msg string, args ...any)  { j.say(slog.LevelWarn, msg, args) }
func (j *journal) debug(msg string, args ...any) { j.say(slog.LevelDebug, msg, args) }

func (j *journal) say(level slog.Level, msg string, args []any) {
	const every = 1000
	now, last := time.Now().UnixMilli(), j.last.Load()
	if now-last < every || !j.last.CompareAndSwap(last, now) {
		j.held.Add(1)
		return
	}
	j.log.Log(context.Background(), level, msg, append(args, "more_since_last", j.held.Swap(0))...)
}
