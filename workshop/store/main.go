// Command store measures what the store of the real binary costs:
//
//   - memory for keys of 16 bytes with values of 100, and what is given back
//   - latency against the number of keys
//   - stalls while it grows and compacts, and garbage collection
//   - how well a bounded node does as a cache
//
// Beside it, where it is installed, runs redis-server with the same data. It prints a table for
// each section and, with --out, writes them as a page.
//
// The sections run one after the other, and the two servers of a comparison of
// memory do too, so that only one of them holds the data. All processes are
// started here, on 127.0.0.1, and end with it; each run is bounded in what it
// does or in time.
//
// From the outside in: sections.go lists what is measured, and memory.go, latency.go, stall.go,
// steps.go, cache.go and before.go measure it. node.go and redis.go speak to the two servers,
// data.go makes what they store, and page.go writes the page. A section runs on the main goroutine.
// The loader, the reader and the sampler of memory are goroutines of their section, which waits for
// them.
//
//	go run ./workshop/store --binary bin/httpdhs --out docs/benchmarks-store.md
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"

	"httpdhs/bench"
	"httpdhs/workshop/rig"
)

type options struct {
	binary   string
	before   string // binary to compare with; empty: none
	out      string // the page; empty: none
	only     string // numbers of sections, such as 1,4; empty: all
	keys     int
	few      int // keys that latency with all keys is compared with
	rounds   int
	duration time.Duration // of each run of the load generator
	stall    time.Duration // of each load that the reader watches
	grace    time.Duration // for which deleted keys are remembered
	settle   time.Duration // between two readings of memory that still falls

	tables, progress io.Writer
}

func main() {
	o := options{tables: os.Stdout, progress: os.Stderr}
	flag.StringVar(&o.binary, "binary", "bin/httpdhs", "the node's binary")
	flag.StringVar(&o.before, "before", "", "an older binary to compare GET and PUT with")
	flag.StringVar(&o.out, "out", "", "the page to write")
	flag.StringVar(&o.only, "only", "", "sections to measure, such as 1,4; empty: all")
	flag.IntVar(&o.keys, "keys", 10_000_000, "keys to store")
	flag.IntVar(&o.few, "few", 10_000, "keys that latency with all keys is compared with")
	flag.IntVar(&o.rounds, "rounds", 3, "rounds of what is measured in alternation; the tables have medians")
	flag.DurationVar(&o.duration, "duration", 5*time.Second, "measured time of each run of the load generator")
	flag.DurationVar(&o.stall, "stall", 10*time.Second, "time of each load whose stalls are measured")
	flag.DurationVar(&o.grace, "grace", time.Minute, "for how long deleted keys are remembered: longer than it takes to delete half, and to look")
	flag.DurationVar(&o.settle, "settle", 500*time.Millisecond, "time between two readings of memory that may still fall")
	limit := flag.Duration("limit", 2*time.Hour, "the run ends after so long, whatever it is at")
	rig.Main("store", func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, *limit)
		defer cancel()
		return run(ctx, &o)
	})
}

func (o *options) check() error {
	if o.few < 100 || o.keys < 10*o.few || o.rounds < 1 || o.duration <= 0 || o.stall <= 0 || o.grace <= 0 || o.settle <= 0 {
		return fmt.Errorf("want --few of 100 or more, ten times as many --keys, and all other numbers and times above 0")
	}
	return nil
}

// house is all that runs.
type house struct {
	*options
	*rig.Rig
	ctx     context.Context
	machine bench.Machine // as the load generator reports it, once it has run
	samples rig.Samples

	busy  string            // load average when the run began; empty: not known
	redis string            // version; empty: not installed
	left  map[string]string // sections that were left out, by number, and why
}

func run(ctx context.Context, o *options) error {
	if err := o.check(); err != nil {
		return err
	}
	r, err := rig.New(ctx)
	if err != nil {
		return err
	}
	defer r.Close()
	r.Progress = o.progress
	h := &house{options: o, Rig: r, ctx: ctx, samples: rig.Samples{}, left: map[string]string{}}
	h.machine = bench.Machine{Cores: runtime.NumCPU(), OS: runtime.GOOS, Arch: runtime.GOARCH, Go: runtime.Version()}
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		h.busy, _, _ = strings.Cut(string(text), " ")
	}
	h.findRedis()
	for _, s := range sections {
		if o.only != "" && !slices.Contains(strings.Split(o.only, ","), s.number) {
			h.left[s.title] = "not asked for"
			continue
		}
		if h.left[s.title] = s.lacks(h); h.left[s.title] != "" {
			h.Now("section %s, %s, is left out: %s", s.number, s.title, h.left[s.title])
			continue
		}
		if err := s.run(h); err != nil {
			return fmt.Errorf("%s: %w", s.title, err)
		}
		fmt.Fprintf(o.tables, "\n%s. %s\n\n", s.number, s.title)
		if err := rig.WriteText(o.tables, s.rows, h.samples); err != nil {
			return err
		}
	}
	if o.out == "" {
		return nil
	}
	return writePage(h, o.out)
}

// findRedis asks redis for its version, and says so if it is not there.
func (h *house) findRedis() {
	if _, err := exec.LookPath("redis-server"); err != nil {
		h.Now("redis is left out: redis-server is not installed")
		return
	}
	h.redis = "unknown version"
	if out, err := h.Run("redis-server", "--version"); err == nil {
		h.redis = rig.VersionIn(out)
	}
}
