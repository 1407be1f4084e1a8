package main

import (
	"httpdhs/workshop/rig"
)

// section is a part of the page: one table.
type section struct {
	number string // of the goals, by which it is asked for
	title  string
	beside string // what the figures are compared with
	note   string // Markdown
	rows   []rig.Row
	lacks  func(*house) string // why it cannot be measured; empty: it can
	run    func(*house) error  // adds to the house's samples
}

func nothing(*house) string { return "" }

var sections = []section{
	{
		"1", "An empty node", "redis",
		"Resident memory of a process that has stored nothing, after its garbage was collected.",
		[]rig.Row{{Number: "1", What: "resident, MB", Figure: "empty MB", Beside: "redis empty MB", Goal: 40, Most: true, Itself: true}},
		nothing, empty,
	},
	{
		"2", "Memory", "redis",
		"Values of 100 bytes are loaded. Then every key is overwritten three times, with values of 60 to 140\n" +
			"bytes that the pass and the key decide. The worst of the three passes counts. Then half of the keys\n" +
			"are deleted.\n" +
			"\n" +
			"*Beyond* is what the store says that it takes, less keys and values, for each key. (`/cluster`:\n" +
			"segments and index; redis: `used_memory` less that at its start.) *Resident* is that of the whole\n" +
			"process (`smaps_rollup`), once it has not fallen for half a minute. A deleted key is remembered for\n" +
			"`--tombstone-grace`. redis remembers none, and is asked for `MEMORY PURGE` each time.",
		[]rig.Row{
			{Number: "2", What: "loaded: bytes a key beyond key and value", Figure: "loaded beyond", Beside: "redis loaded beyond", Goal: 24, Most: true, Itself: true},
			{Number: "2", What: "loaded: resident, MB", Figure: "loaded MB", Beside: "redis loaded MB"},
			{Number: "2", What: "loaded: resident over all data", Figure: "loaded of data", Beside: "redis loaded of data", Goal: 1.25, Most: true, Itself: true},
			{Number: "2", What: "overwritten: bytes a key beyond key and value", Figure: "overwritten beyond", Beside: "redis overwritten beyond"},
			{Number: "2", What: "overwritten: resident over all data", Figure: "overwritten of data", Beside: "redis overwritten of data", Goal: 1.35, Most: true, Itself: true},
			{Number: "2", What: "half deleted and remembered: resident over that before", Figure: "remembered of before", Beside: "redis remembered of before"},
			{Number: "2", What: "half deleted and forgotten: resident over that before", Figure: "deleted of before", Beside: "redis deleted of before"},
			{Number: "2", What: "half deleted and forgotten: resident over the data left", Figure: "deleted of data", Beside: "redis deleted of data"},
		},
		nothing, memory,
	},
	{
		"3", "Latency against the number of keys", "few keys",
		"Two nodes and redis in alternation, one node with few keys, 64 connections. A closed loop finds the\n" +
			"highest rate of the slowest. The latencies are those of an open loop at 70 % of that. The\n" +
			"collector's share is of the processor time that the node with all keys took meanwhile. Its objects\n" +
			"are those on the Go heap after a collection.",
		latencyRows(), nothing, latency,
	},
	{
		"3", "The tail with all keys", "redis",
		"The node of the last table with all keys, and redis with all of them, in the same rounds and at the\n" +
			"same rates.",
		tailRows(), nothing, func(*house) error { return nil },
	},
	{
		"3", "Stalls", "redis",
		"A reader on one connection reads a key each millisecond, while 200,000 records a second are written.\n" +
			"It is an open loop: what is due while it waits counts from then. Overwriting in place neither grows\n" +
			"nor compacts. So its longest GET shows what sharing the processors costs. Read the other rows\n" +
			"beside it.",
		stallRows(), nothing, stalls,
	},
	{
		"6", "Steps", "on the wall clock",
		"The store does its own work in steps, which it times (`httpdhs_store_step_seconds`). Here it runs\n" +
			"alone, in the process that measures, on one thread, with the collector off. All keys are stored and\n" +
			"overwritten with other sizes, and half are deleted and swept. Then all are stored where a fifth has\n" +
			"room, and the rest is evicted.\n" +
			"\n" +
			"The figures are of the thread's CPU time. Other processes do not lengthen it, but interrupts do.\n" +
			"Beside them are those of the wall clock, from runs in alternation. The work that is the same each\n" +
			"time says what the machine adds. The p99.9 are bounds of buckets that double.",
		stepRows(), lacksThreadTime, steps,
	},
	{
		"4", "As a cache", "redis",
		"`--max-memory` (redis: `maxmemory`, `allkeys-lru`) is a fifth of the data, and `--eviction` is\n" +
			"`s3-fifo`. Keys are asked for by a Zipf distribution (0.99), the same ones of both. Each that is not\n" +
			"there is stored, and 5 % of operations are writes. As many operations as there are keys come before\n" +
			"the measurement, and as many are measured: 100 in a `/batch`, or pipelined.\n" +
			"\n" +
			"Memory is looked at fifty times a second from the start, and the most is shown. That is what the\n" +
			"server says it takes, and what is resident beyond an empty process, buffers for requests\n" +
			"included.",
		[]rig.Row{
			{Number: "4", What: "hits, % of reads", Figure: "hit %", Beside: "redis hit %"},
			{Number: "4", What: "most that was taken, over the bound", Figure: "taken of bound", Beside: "redis taken of bound", Goal: 1.05, Most: true, Itself: true},
			{Number: "4", What: "most that was resident, over the bound", Figure: "resident of bound", Beside: "redis resident of bound", Goal: 1.05, Most: true, Itself: true},
			{Number: "4", What: "writes that were refused", Figure: "refused", Beside: "redis refused"},
			{Number: "4", What: "operations/s, one client", Figure: "cache operations", Beside: "redis cache operations"},
		},
		lacksEviction, cache,
	},
	{
		"5", "Beside an older binary", "before",
		"GET and PUT in a closed loop, 64 connections, 100,000 keys, the two binaries in alternation.",
		[]rig.Row{
			{Number: "5", What: "GET/s", Figure: "get now", Beside: "get before"},
			{Number: "5", What: "p99 of a GET, µs", Figure: "get now p99", Beside: "get before p99"},
			{Number: "5", What: "CPU of a GET, µs", Figure: "get now CPU", Beside: "get before CPU"},
			{Number: "5", What: "PUT/s", Figure: "put now", Beside: "put before"},
			{Number: "5", What: "p99 of a PUT, µs", Figure: "put now p99", Beside: "put before p99"},
			{Number: "5", What: "CPU of a PUT, µs", Figure: "put now CPU", Beside: "put before CPU"},
		},
		lacksBefore, before,
	},
}

func latencyRows() (rows []rig.Row) {
	for _, w := range []struct{ name, what string }{{"get", "GET"}, {"put", "PUT"}} {
		rows = append(rows, rig.Row{Number: "3", What: w.what + "/s, the highest rate", Figure: w.name + " all rate", Beside: w.name + " few rate"})
		for _, q := range []string{"p50", "p99", "p99.9"} {
			rows = append(rows, rig.Row{Number: "3", What: q + " of a " + w.what + ", µs", Figure: w.name + " all " + q, Beside: w.name + " few " + q, Goal: 1.2, Most: true})
		}
	}
	return append(rows,
		rig.Row{Number: "3", What: "garbage collector, % of the node's processor time", Figure: "gc of cpu %", Goal: 1, Most: true, Itself: true},
		rig.Row{Number: "3", What: "objects on the heap", Figure: "objects all", Beside: "objects few"},
	)
}

func tailRows() (rows []rig.Row) {
	for _, w := range []struct{ name, what string }{{"get", "GET"}, {"put", "PUT"}} {
		for _, q := range []string{"rate", "p50", "p99", "p99.9"} {
			what := q + " of a " + w.what + ", µs"
			if q == "rate" {
				what = w.what + "/s, the highest rate"
			}
			rows = append(rows, rig.Row{Number: "3", What: what, Figure: w.name + " all " + q, Beside: w.name + " redis " + q})
		}
	}
	return rows
}
