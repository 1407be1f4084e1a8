package main

import (
	"errors"
	"io"
	"runtime"
	"runtime/debug"
	"time"

	"httpdhs/internal/cputime"
	"httpdhs/kv"
	"httpdhs/shard"
	"httpdhs/workshop/rig"
)

const (
	stepPartitions = 1024
	stepGrace      = time.Hour

	// Work of the same length each time, some 20 µs, to see what the machine adds.
	controlEvery = 50 // keys: as often the control does its work
	controlWords = 1 << 15
)

// steps runs the store alone, in this process and on one thread with the collector off, and asks it
// how long its steps took. It measures by the time that its thread was on a processor, and by the
// clock on the wall, in alternation.
func steps(h *house) error {
	began := time.Now()
	for round := range h.rounds {
		for _, clock := range []struct {
			name string
			now  func() time.Duration
		}{{"", cputime.Thread}, {"wall ", func() time.Duration { return time.Since(began) }}} {
			h.Now("steps: round %d of %d, %stime", round+1, h.rounds, clock.name)
			f, err := h.stepsBy(clock.name, clock.now)
			if err != nil {
				return err
			}
			h.samples.Add(f)
		}
	}
	return nil
}

// stepsBy loads all keys, overwrites them with other sizes, deletes half and
// sweeps them, in one store, and loads them into another that evicts for them.
func (h *house) stepsBy(prefix string, now func() time.Duration) (figures, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	today := time.Now()
	open := func(o shard.Options) (*shard.Store, error) {
		o.Partitions, o.Grace, o.SweepEvery, o.StepClock = stepPartitions, kv.Grace{Keep: stepGrace}, -1, now
		o.Now = func() time.Time { return today }
		return shard.Open(o)
	}
	s, err := open(shard.Options{})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	evicting, err := open(shard.Options{Eviction: shard.EvictS3FIFO, MaxBytes: dataOf(0, 0, h.keys) / 5})
	if err != nil {
		return nil, err
	}
	defer evicting.Close()

	began := now()
	for version, p := range []*pass{h.pass(h.keys, 0), h.pass(h.keys, 1), {ctx: h.ctx, order: newScatter(h.keys / 2), deletes: true}} {
		if err := apply(s, p, kv.VersionAt(today)+kv.Version(version)); err != nil {
			return nil, err
		}
	}
	today = today.Add(2 * stepGrace)
	s.Sweep()
	if err := apply(evicting, h.pass(h.keys, 0), kv.VersionAt(today)); err != nil {
		return nil, err
	}
	took := now() - began

	f := figures{prefix + "control longest µs": microseconds(control(h.keys/controlEvery, now))}
	total := time.Duration(0)
	all, others := s.Steps(), evicting.Steps()
	for kind := range all {
		t := &all[kind]
		t.Add(&others[kind])
		name := prefix + shard.StepKind(kind).String()
		f[name+" longest µs"] = microseconds(t.Longest)
		f[name+" p99.9 µs"] = microseconds(t.Quantile(0.999))
		total += t.Total
	}
	f[prefix+"steps %"] = 100 * float64(total) / float64(took)
	return f, nil
}

func lacksThreadTime(*house) string {
	if !cputime.Known {
		return "the CPU time of a thread is read on Linux only"
	}
	return ""
}

func microseconds(d time.Duration) float64 { return float64(d) / 1e3 }

// apply writes a pass to a store, all in the same version.
func apply(s *shard.Store, p *pass, version kv.Version) error {
	for {
		r, err := p.Next()
		if err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		r.Version = version
		if _, err := s.Apply(kv.Hash(r.Key), r); err != nil {
			return err
		}
	}
}

// control is the longest of many pieces of the same work.
func control(runs int, now func() time.Duration) (longest time.Duration) {
	words := make([]uint64, controlWords)
	for range runs {
		began := now()
		for i := range words {
			words[i] += uint64(i)
		}
		longest = max(longest, now()-began)
	}
	return longest
}

// stepRows are two for each kind.
func stepRows() (rows []rig.Row) {
	for kind, what := range [shard.StepKinds]string{
		shard.StepGrow:    "growing a table",
		shard.StepCompact: "compaction",
		shard.StepEvict:   "eviction",
		shard.StepSweep:   "sweeping",
		shard.StepSegment: "beginning or giving back a segment",
	} {
		name := shard.StepKind(kind).String()
		longest, most := name+" longest µs", name+" p99.9 µs"
		rows = append(rows,
			rig.Row{Number: "6", What: what + ": the longest step, µs", Figure: longest, Beside: "wall " + longest, Goal: 1000, Most: true, Itself: true},
			rig.Row{Number: "6", What: what + ": p99.9 of the steps, µs at most", Figure: most, Beside: "wall " + most})
	}
	return append(rows,
		rig.Row{Number: "6", What: "the same work, done once for every 50 keys: the longest, µs", Figure: "control longest µs", Beside: "wall control longest µs"},
		rig.Row{Number: "6", What: "all steps, % of the time of all calls", Figure: "steps %", Beside: "wall steps %"})
}
