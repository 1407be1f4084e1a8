package main

import (
	"time"

	"httpdhs/bench"
	"httpdhs/workshop/rig"
)

// What is counted of the servers, for an operation: the suffixes of the figures.
const (
	cpu         = " CPU µs"
	voluntary   = " voluntary"
	involuntary = " involuntary"
	faults      = " faults"
	syscalls    = " syscalls"
)

// meter counts what servers do for an operation, between two moments of a load: all that the system
// counts for nothing or, while system calls are traced, these alone.
type meter struct {
	*house
	servers []string

	at      time.Time // of the first moment
	done    float64   // operations until then
	effort  rig.Effort
	stop    func() (float64, error) // ends the trace
	figures figures                 // nil before the second moment
	err     error
}

func (m *meter) begin(done float64) {
	m.at, m.done = time.Now(), done
	if m.tracing {
		m.stop, m.err = m.Syscalls(m.servers...)
	} else {
		m.effort, m.err = m.EffortOf(m.servers...)
	}
}

func (m *meter) end(done float64) {
	if m.err != nil {
		return
	}
	n := done - m.done
	if m.tracing {
		rate := n / time.Since(m.at).Seconds()
		var calls float64
		calls, m.err = m.stop()
		m.figures = figures{syscalls: calls / rate}
		return
	}
	var now rig.Effort
	now, m.err = m.EffortOf(m.servers...)
	e := now.Since(m.effort)
	m.figures = figures{
		cpu: float64(e.CPU.Nanoseconds()) / 1e3 / n, voluntary: e.Voluntary / n, involuntary: e.Involuntary / n,
		faults: e.Faults / n,
	}
}

// lastStretch is how long before its end a load is looked at for the second time: more than it
// takes from one report of its progress to the next.
const lastStretch = 300 * time.Millisecond

// progress begins with the first report after the warm-up, and ends with one of the last.
func (m *meter) progress(p bench.Progress) {
	switch {
	case p.Phase != "measuring" || m.err != nil || m.figures != nil:
	case m.at.IsZero():
		m.begin(float64(p.Done))
	case p.Elapsed > p.Total-lastStretch:
		m.end(float64(p.Done))
	}
}

// around measures a load that tells nothing before its end, servers included.
func (h *house) around(servers []string, load func() (rate float64, err error)) (figures, error) {
	m := &meter{house: h, servers: servers}
	m.begin(0)
	rate, err := load()
	if err != nil {
		return nil, err
	}
	m.end(rate * time.Since(m.at).Seconds())
	if m.err != nil {
		return nil, m.err
	}
	if !h.tracing {
		m.figures[""] = rate
	}
	return m.figures, nil
}
