// Command peers measures httpdhs beside the stores that people know, those of
// them that are installed: redis (alone, and with a replica that confirms each
// write), memcached, etcd and webdis. It writes docs/benchmarks.md with the
// method, the machine, a table, a plot, and where httpdhs loses.
//
// In each round every subject runs once, one after the other; the table has
// medians over the rounds, and ratios of figures of the same round. All
// processes are started here, on 127.0.0.1, and end with it. Nothing is
// installed or fetched: a peer that is not there is named and left out.
//
// From the outside in: subjects.go says what is measured, house.go starts it,
// protocols.go says how the peers are spoken to, and page.go and plot.go turn
// figures into files. All of it runs on the main goroutine; the load, that on
// the peers too, is made by package bench.
//
//	go run ./workshop/peers --binary bin/httpdhs --out docs/benchmarks.md
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"strings"
	"time"

	"httpdhs/workshop/rig"
)

type options struct {
	binary   string
	out      string // the page; the plot goes beside it
	rounds   int
	duration time.Duration
	pairs    int // of the bulk load
}

func main() {
	var o options
	flag.StringVar(&o.binary, "binary", "bin/httpdhs", "the node's binary")
	flag.StringVar(&o.out, "out", "docs/benchmarks.md", "the page to write; the plot goes beside it, as .svg")
	flag.IntVar(&o.rounds, "rounds", 5, "rounds; the table has medians")
	flag.DurationVar(&o.duration, "duration", 2*time.Second, "measured time of each subject in each round")
	flag.IntVar(&o.pairs, "pairs", 1_000_000, "pairs of the bulk load")
	rig.Main("peers", func(ctx context.Context) error { return run(ctx, &o) })
}

func run(ctx context.Context, o *options) error {
	switch {
	case o.rounds < 1 || o.duration <= 0 || o.pairs < 1:
		return fmt.Errorf("rounds, duration and pairs must be above 0")
	case !strings.HasSuffix(o.out, ".md"):
		return fmt.Errorf("--out is %q, want a name that ends with .md", o.out)
	}
	r, err := rig.New(ctx)
	if err != nil {
		return err
	}
	defer r.Close()
	h := &house{ctx: ctx, options: o, Rig: r}
	if err := h.open(); err != nil {
		return err
	}
	samples := make(map[id][]float64)
	for round := range o.rounds {
		for _, s := range subjects {
			if !h.has(s.peer) {
				continue
			}
			h.Now("round %d of %d: %s", round+1, o.rounds, s.String())
			rate, err := s.run(h)
			if errors.Is(err, errNoRESP) {
				continue
			}
			if err == nil && rate <= 0 {
				err = fmt.Errorf("nothing was measured")
			}
			if err != nil {
				return fmt.Errorf("%s: %w", s.String(), err)
			}
			samples[s.id] = append(samples[s.id], rate)
		}
	}
	p := newPage(h, samples)
	fmt.Print(p.text())
	return p.write(o.out)
}
