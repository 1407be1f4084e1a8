package main

import (
	"fmt"
	"io"
	"runtime"
	"text/tabwriter"

	"httpdhs/bench/internal/rig"
)

// row is a line of the table: one figure over another, and the goal for it.
type row struct {
	number, what string
	figure, over string
	goal         float64
	most         bool // the goal is a most, not a least
}

var rows = []row{
	{"1", "GET at an owner / E", "get owner", "get E", 0.95, false},
	{"2", "GET at any node / E", "get any", "get E", 0.80, false},
	{"3", "PUT at a node alone / E", "put alone", "put E", 0.93, false},
	{"4", "PUT at any node, two replicas / E", "put any", "put E", 0.60, false},
	{"4", "the same, 256 connections / E", "put any 256", "put E 256", 0.80, false},
	{"5", "load-data, two replicas / redis-cli --pipe", "load", "redis pipe", 2.5, false},
	{"6", "batch of 100 / redis, 16 pipelined", "batch", "redis 16", 2, false},
	{"10", "PUT with one of three killed / before", "put two", "put three", 1, false},
	{"", "p50 of a PUT at c=1, two replicas / one", "put any 1 p50 µs", "put alone 1 p50 µs", 2.2, true},
	{"", "p99 / p50 of a PUT at c=64, a node alone", "put alone p99 µs", "put alone p50 µs", 2, true},
	{"", "p99 / p50 of a PUT at c=64, two replicas", "put any p99 µs", "put any p50 µs", 2, true},
	{"", "CPU of a GET at an owner / E", "get owner CPU µs", "get E CPU µs", 0, true},
	{"", "CPU of a GET at any node / E", "get any CPU µs", "get E CPU µs", 0, true},
	{"", "CPU of a PUT at a node alone / E", "put alone CPU µs", "put E CPU µs", 0, true},
	{"", "CPU of a PUT at any node / E", "put any CPU µs", "put E CPU µs", 0, true},
}

func printTable(w io.Writer, samples map[string][]float64) {
	fmt.Fprintf(w, "%d cores, %s/%s, %s; medians of %d rounds\n\n", runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version(), roundsOf(samples))
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "row\twhat\tmeasured\tover\tratio\t(least-most)\tgoal\t\t")
	for _, r := range rows {
		a, b := samples[r.figure], samples[r.over]
		if len(a) == 0 || len(b) == 0 {
			fmt.Fprintf(t, "%s\t%s\tnot measured\t\t\t\t\t\t\n", r.number, r.what)
			continue
		}
		ratio := rig.RatioOf(a, b)
		goal, verdict := "", ""
		if r.goal != 0 {
			goal, verdict = fmt.Sprintf("%.2f", r.goal), "missed"
			if ratio.Median >= r.goal != r.most || ratio.Median == r.goal {
				verdict = "reached"
			}
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%.2f\t(%.2f-%.2f)\t%s\t%s\t\n", r.number, r.what,
			rig.Short(rig.Median(a)), rig.Short(rig.Median(b)), ratio.Median, ratio.Least, ratio.Most, goal, verdict)
	}
	t.Flush()
}

func roundsOf(samples map[string][]float64) (n int) {
	for _, s := range samples {
		n = max(n, len(s))
	}
	return n
}
