// Command goals measures httpdhs against baseline E, a fasthttp server that
// stores nothing, and against redis where it is installed, and prints a table:
// the goal, what was measured, the ratio. The load is made by package bench and,
// in rows that say so, by wrk, where that is installed.
//
// Absolute figures drift with the machine by tens of percent, so only ratios
// count: in each round every subject runs once, one after the other, each for
// the same time, and the table has the medians over the rounds. All processes
// are started here, on 127.0.0.1, and end with it.
//
//	go run ./workshop/goals --binary bin/httpdhs --baseline bin/baseline
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"time"

	"httpdhs/workshop/rig"
)

type options struct {
	binary, baseline string
	rounds           int
	duration         time.Duration
	pairs            int // of the bulk load
	only             string
}

func main() {
	var o options
	flag.StringVar(&o.binary, "binary", "bin/httpdhs", "the node's binary")
	flag.StringVar(&o.baseline, "baseline", "bin/baseline", "the baseline's binary")
	flag.IntVar(&o.rounds, "rounds", 5, "rounds; the table has medians")
	flag.DurationVar(&o.duration, "duration", 3*time.Second, "measured time of each subject in each round")
	flag.IntVar(&o.pairs, "pairs", 2_000_000, "pairs of the bulk load")
	flag.StringVar(&o.only, "only", "", "rows to measure, such as 1,4; empty: all")
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
			h.Now("round %d of %d: %s", round+1, o.rounds, s.name)
			figures, err := s.run(h)
			if err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			samples.Add(figures)
		}
	}
	return printTable(os.Stdout, samples)
}
