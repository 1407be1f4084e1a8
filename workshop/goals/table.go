package main

import (
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"

	"httpdhs/workshop/rig"
)

var rows = slices.Concat([]rig.Row{
	{Number: "1", What: "GET at an owner / E", Figure: "get owner", Beside: "get E", Goal: 0.95, Limit: "get E"},
	{Number: "2", What: "GET at any node / E", Figure: "get any", Beside: "get E", Goal: 0.80, Limit: "get E"},
	{Number: "3", What: "PUT at a node alone / E", Figure: "put alone", Beside: "put E", Goal: 0.93, Limit: "put E"},
	{Number: "4", What: "PUT at any node, two replicas / E", Figure: "put any", Beside: "put E", Goal: 0.60, Limit: "limit put"},
	{Number: "4", What: "the same, 256 connections / E", Figure: "put any 256", Beside: "put E 256", Goal: 0.80, Limit: "limit put 256"},
	{Number: "5", What: "load-data, two replicas / redis-cli --pipe", Figure: "load", Beside: "redis pipe", Goal: 2, Limit: "limit load"},
	{Number: "6", What: "batch of 100 / redis, 16 pipelined", Figure: "batch", Beside: "redis 16", Goal: 2},
	{Number: "10", What: "PUT with one of three killed / before", Figure: "put killed", Beside: "put killed none", Goal: 1},
	{Number: "11", What: "PUT at any of three nodes, two replicas / redis with one replica and WAIT 1", Figure: "put any", Beside: "redis wait", Goal: 1, Limit: "limit put"},
	{Number: "12", What: "CPU of a PUT with two replicas / E", Figure: "put any" + cpu, Beside: "put E" + cpu, Goal: 2.2, Most: true, Limit: "limit put" + cpu},
	{What: "p50 of a PUT at c=1, two replicas / one", Figure: "put any 1 p50 µs", Beside: "put alone 1 p50 µs", Goal: 2.5, Most: true, Limit: "limit put 1 p50 µs", LimitBeside: "put E 1 p50 µs"},
	{What: "p99/p50 of a PUT at c=64, a node alone, beside E's", Figure: "put alone p99/p50", Beside: "put E p99/p50", Goal: 2, Most: true, Itself: true, Limit: "put E p99/p50"},
	{What: "p99/p50 of a PUT at c=64, two replicas, beside E's", Figure: "put any p99/p50", Beside: "put E p99/p50", Goal: 2, Most: true, Itself: true, Limit: "limit put p99/p50"},
	{What: "CPU of a GET at an owner / E", Figure: "get owner" + cpu, Beside: "get E" + cpu, Limit: "get E" + cpu},
	{What: "CPU of a GET at any node / E", Figure: "get any" + cpu, Beside: "get E" + cpu, Limit: "get E" + cpu},
	{What: "CPU of a PUT at a node alone / E", Figure: "put alone" + cpu, Beside: "put E" + cpu, Limit: "put E" + cpu},

	{Number: "resp", What: "RESP: SET at a node alone / redis", Figure: "resp set alone", Beside: "redis set"},
	{Number: "resp", What: "RESP: GET at a node alone / redis", Figure: "resp get alone", Beside: "redis get"},
	{Number: "resp", What: "RESP, 16 pipelined: SET at a node alone / redis", Figure: "resp set alone 16", Beside: "redis set 16"},
	{Number: "resp", What: "RESP, 16 pipelined: GET at a node alone / redis", Figure: "resp get alone 16", Beside: "redis get 16"},
	{Number: "resp", What: "RESP, 16 pipelined: SET at any of three, two replicas / one redis", Figure: "resp set any 16", Beside: "redis set 16"},
	{Number: "resp", What: "RESP, 16 pipelined: SET at any of three, two replicas / redis with one replica and WAIT 1", Figure: "resp set any 16", Beside: "redis set 16 wait"},
	{Number: "resp", What: "RESP, 16 pipelined: GET at any of three, two replicas / one redis", Figure: "resp get any 16", Beside: "redis get 16"},
	{Number: "resp", What: "RESP, 16 pipelined: INCR at any of three, two replicas / one redis", Figure: "resp incr any 16", Beside: "redis incr 16"},

	{Number: "1", What: "by wrk: GET at a node alone, the owner / E", Figure: "wrk get alone", Beside: "wrk get E", Goal: 0.95, Limit: "wrk get E"},
	{Number: "2", What: "by wrk: GET at one of three / E", Figure: "wrk get any", Beside: "wrk get E", Goal: 0.80, Limit: "wrk get E"},
	{Number: "3", What: "by wrk: PUT at a node alone / E", Figure: "wrk put alone", Beside: "wrk put E", Goal: 0.93, Limit: "wrk put E"},
	{Number: "4", What: "by wrk: PUT at one of three, two replicas / E", Figure: "wrk put any", Beside: "wrk put E", Goal: 0.60, Limit: "wrk limit put"},
}, diskRows, sizeRows("3"), sizeRows("5"), sizeRows("9"))

func sizeRows(n string) []rig.Row {
	return []rig.Row{
		{What: "PUT at any of " + n + " nodes, two replicas / E", Figure: "put any of " + n, Beside: "put E", Limit: "limit put of " + n},
		{What: "CPU of a PUT at any of " + n + " nodes / E", Figure: "put any of " + n + cpu, Beside: "put E" + cpu, Limit: "limit put of " + n + cpu},
	}
}

// limits says how the limits are known.
const limits = `
limit: what the machine allows, measured in the same rounds. Where a node answers alone, it is E itself.
With two replicas it is workshop/limit: nodes that pass each record on over TCP and store nothing. p50 has
the limit's over E's. For load-data it is the same program: nodes that copy records and keep no table. Rows
without one have no such program.
`

// printTables prints the goals, what operations cost, and what has changed. A goal is for the
// ratio, except that of p99/p50. There it is for what was measured, and E's tells what the machine
// makes of a server that stores nothing.
func printTables(w io.Writer, samples rig.Samples) error {
	fmt.Fprintf(w, "%d cores, %s/%s, %s; medians of %d rounds; rows \"by wrk\": wrk -t1 -c64, else httpdhs bench\n\n",
		runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version(), samples.Rounds())
	shown := slices.DeleteFunc(slices.Clone(rows), func(r rig.Row) bool { return len(samples[r.Figure]) == 0 })
	if err := rig.WriteText(w, shown, samples); err != nil {
		return err
	}
	fmt.Fprintf(w, "%s\nFor an operation, of all server processes together:\n\n", limits)
	if err := writeCosts(w, samples); err != nil || !measured(samples, before) {
		return err
	}
	fmt.Fprintf(w, "\nBeside the older binary, each row's ratio (or its figure, where the goal is for that):\n\n")
	return rig.WriteComparison(w, shown, samples, before)
}

// measured says whether there are figures with a prefix.
func measured(samples rig.Samples, prefix string) bool {
	for name := range samples {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// writeCosts writes what servers spend on an operation, by subject.
func writeCosts(w io.Writer, samples rig.Samples) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "row\twhat\tsystem calls\tswitches: voluntary\tinvoluntary\tpage faults\tCPU µs\t")
	for _, s := range subjects {
		for _, prefix := range []string{"", before} {
			name := prefix + s.figure
			if len(samples[name+cpu]) == 0 {
				continue
			}
			fmt.Fprintf(t, "%s\t%s%s\t", s.rows, prefix, s.name)
			for _, suffix := range []string{syscalls, voluntary, involuntary, faults, cpu} {
				if v := samples[name+suffix]; len(v) > 0 {
					fmt.Fprintf(t, "%.3g\t", rig.Median(v))
				} else {
					fmt.Fprint(t, "no perf\t")
				}
			}
			fmt.Fprintln(t)
		}
	}
	return t.Flush()
}
