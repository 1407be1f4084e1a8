package main

import (
	"context"
	"slices"
	"sync"
	"time"

	"httpdhs/workshop/rig"
)

const (
	stallRate = 200_000 // records/s of the loads that are watched
	readEvery = time.Millisecond
)

// stalls watches each server with a reader under three loads: while it grows, while values are
// overwritten in place, and while they are overwritten with other sizes. In the second it is to
// neither grow nor compact. All three loads have the same rate.
func stalls(h *house) error {
	for round := range h.rounds {
		h.Now("stalls: round %d of %d", round+1, h.rounds)
		if err := h.each(serverArgs{}, h.stallsOf); err != nil {
			return err
		}
	}
	return nil
}

func (h *house) stallsOf(s server) error {
	if err := s.load(h.pass(h.few, 0)); err != nil { // what the reader reads
		return err
	}
	f := figures{}
	n := min(h.keys, int(stallRate*h.stall.Seconds())) // as many as growing stores
	for _, load := range []struct {
		what   string
		number int
	}{{"growing", 0}, {"in place", 0}, {"compacting", 1}} {
		h.Now("stalls: %s, %s", s.name(), load.what)
		p := h.pass(n, load.number)
		p.rate, p.until, p.circle = stallRate, time.Now().Add(h.stall), load.what != "growing"
		took, err := h.watch(s, func() error { return s.load(p) })
		if err != nil {
			return err
		}
		slices.Sort(took)
		name := s.prefix() + load.what
		f[name+" max ms"] = milliseconds(took[len(took)-1])
		f[name+" p99.9 ms"] = milliseconds(took[len(took)*999/1000])
	}
	h.samples.Add(f)
	return nil
}

func milliseconds(d time.Duration) float64 { return float64(d) / 1e6 }

// watch reads from the server for as long as load runs, and returns how long each
// read took.
func (h *house) watch(s server, load func() error) (took []time.Duration, err error) {
	ctx, stop := context.WithCancel(h.ctx)
	var done sync.WaitGroup
	var readErr error
	done.Go(func() { took, readErr = readEach(ctx, s, h.few) })
	err = load()
	stop()
	done.Wait()
	if err == nil {
		err = readErr
	}
	return took, err
}

// readEach reads one of n keys each millisecond, in an open loop on one
// connection: what is due while an answer is waited for counts from when it
// was due. A read that this process sent late by itself counts from when it
// was sent.
func readEach(ctx context.Context, s server, n int) (took []time.Duration, err error) {
	order := newScatter(n)
	began := time.Now()
	for i := 0; ctx.Err() == nil || i == 0; i++ {
		start := began.Add(time.Duration(i) * readEvery)
		if wait := time.Until(start); wait > 0 {
			time.Sleep(wait)
			start = time.Now()
		}
		if err := s.get(keyOf(order.at(i % n))); err != nil {
			return took, err
		}
		took = append(took, time.Since(start))
	}
	return took, nil
}

// stallRows are the same for each load.
func stallRows() (rows []rig.Row) {
	for _, load := range []struct{ name, what string }{
		{"growing", "while the table grows"},
		{"in place", "while values are overwritten in place"},
		{"compacting", "while values are overwritten with other sizes"},
	} {
		for _, q := range []string{"max", "p99.9"} {
			name := load.name + " " + q + " ms"
			rows = append(rows, rig.Row{Number: "3", What: q + " of a GET " + load.what + ", ms", Figure: name, Beside: "redis " + name})
		}
	}
	return rows
}
