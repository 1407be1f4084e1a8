// Command goals measures httpdhs against baseline E, a fasthttp server that
// stores nothing, against the limit, a server that only passes records on, and
// against redis where it is installed. It prints a table: the goal, what was
// measured, the ratio, and what the machine allows. A second one has what the
// servers spend on an operation. The load is made by package bench and, in rows
// that say so, by wrk, where that is installed.
//
// Absolute figures drift with the machine by tens of percent, so only ratios
// count: in each round every subject runs once, one after the other, each for
// the same time, and the table has the medians over the rounds. All processes
// are started here, on 127.0.0.1, and end with it.
//
//	go run ./workshop/goals --binary bin/httpdhs --baseline bin/baseline --limit bin/limit
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"time"

	"httpdhs/workshop/rig"
)

type options struct {
	binary, baseline, limit string
	before                  string // binary to compare with; empty: none
	rounds                  int
	duration                time.Duration
	pairs                   int // of the bulk load
	only                    string
}

func main() {
	var o options
	flag.StringVar(&o.binary, "binary", "bin/httpdhs", "the node's binary")
	flag.StringVar(&o.baseline, "baseline", "bin/baseline", "the baseline's binary")
	flag.StringVar(&o.limit, "limit", "bin/limit", "the binary of the limit")
	flag.StringVar(&o.before, "before", "", "an older binary of the node, measured in the same rounds")
	flag.IntVar(&o.rounds, "rounds", 5, "rounds; the table has medians")
	flag.DurationVar(&o.duration, "duration", 2*time.Second, "measured time of each subject in each round")
	flag.IntVar(&o.pairs, "pairs", 2_000_000, "pairs of the bulk load")
	flag.StringVar(&o.only, "only", "", "rows to measure, such as 1,4; empty: all but those of many nodes (nodes) and of disks (disk)")
	rig.Main("goals", func(ctx context.Context) error { return run(ctx, &o) })
}

func run(ctx context.Context, o *options) error {
	r, err := rig.New(ctx)
	if err != nil {
		return err
	}
	defer r.Close()
	h := &house{ctx: ctx, options: o, Rig: r}
	if err := h.open(); err != nil {
		return err
	}
	samples := make(rig.Samples)
	for round := range o.rounds {
		for _, s := range subjects {
			if !s.wanted(o.only) || s.missing(h) {
				continue
			}
			if err := h.measure(&s, round, samples); err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
		}
	}
	if err := h.trace(samples); err != nil {
		return err
	}
	return printTables(os.Stdout, samples)
}

// measure runs a subject once, or with each binary in turn. Neither is always the first.
func (h *house) measure(s *subject, round int, samples rig.Samples) error {
	sides := slices.Clone(h.sides)
	if s.needs == resp {
		sides = slices.DeleteFunc(sides, func(n *side) bool { return h.RESP(n.alone) == nil })
	}
	if !s.ours {
		sides = sides[:1]
	} else if round%2 > 0 {
		slices.Reverse(sides)
	}
	for _, n := range sides {
		if what := n.prefix + s.name; h.tracing {
			h.Now("system calls: %s", what)
		} else {
			h.Now("round %d of %d: %s", round+1, h.rounds, what)
		}
		found, err := s.run(h, n)
		if err != nil {
			return err
		}
		for suffix, v := range found {
			samples.Add(figures{n.prefix + s.figure + suffix: v})
		}
	}
	return nil
}

// trace counts the system calls of what was counted, in short runs of their own: that costs time.
func (h *house) trace(samples rig.Samples) error {
	h.tracing, h.duration = true, min(h.duration, time.Second)
	for _, s := range subjects {
		if len(samples[s.figure+cpu]) == 0 {
			continue
		}
		if err := h.measure(&s, 0, samples); err != nil {
			h.Now("system calls are not counted: %v", err)
			return h.ctx.Err()
		}
	}
	return nil
}
