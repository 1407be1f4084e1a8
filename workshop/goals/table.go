package main

import (
	"fmt"
	"io"
	"runtime"

	"httpdhs/workshop/rig"
)

var rows = []rig.Row{
	{Number: "1", What: "GET at an owner / E", Figure: "get owner", Beside: "get E", Goal: 0.95},
	{Number: "2", What: "GET at any node / E", Figure: "get any", Beside: "get E", Goal: 0.80},
	{Number: "3", What: "PUT at a node alone / E", Figure: "put alone", Beside: "put E", Goal: 0.93},
	{Number: "4", What: "PUT at any node, two replicas / E", Figure: "put any", Beside: "put E", Goal: 0.60},
	{Number: "4", What: "the same, 256 connections / E", Figure: "put any 256", Beside: "put E 256", Goal: 0.80},
	{Number: "5", What: "load-data, two replicas / redis-cli --pipe", Figure: "load", Beside: "redis pipe", Goal: 2.5},
	{Number: "6", What: "batch of 100 / redis, 16 pipelined", Figure: "batch", Beside: "redis 16", Goal: 2},
	{Number: "10", What: "PUT with one of three killed / before", Figure: "put two", Beside: "put three", Goal: 1},
	{What: "p50 of a PUT at c=1, two replicas / one", Figure: "put any 1 p50 µs", Beside: "put alone 1 p50 µs", Goal: 2.2, Most: true},
	{What: "p99/p50 of a PUT at c=64, a node alone, beside E's", Figure: "put alone p99/p50", Beside: "put E p99/p50", Goal: 2, Most: true, Itself: true},
	{What: "p99/p50 of a PUT at c=64, two replicas, beside E's", Figure: "put any p99/p50", Beside: "put E p99/p50", Goal: 2, Most: true, Itself: true},
	{What: "CPU of a GET at an owner / E", Figure: "get owner CPU µs", Beside: "get E CPU µs"},
	{What: "CPU of a GET at any node / E", Figure: "get any CPU µs", Beside: "get E CPU µs"},
	{What: "CPU of a PUT at a node alone / E", Figure: "put alone CPU µs", Beside: "put E CPU µs"},
	{What: "CPU of a PUT at any node / E", Figure: "put any CPU µs", Beside: "put E CPU µs"},

	{Number: "1", What: "by wrk: GET at a node alone, the owner / E", Figure: "wrk get alone", Beside: "wrk get E", Goal: 0.95},
	{Number: "2", What: "by wrk: GET at one of three / E", Figure: "wrk get any", Beside: "wrk get E", Goal: 0.80},
	{Number: "3", What: "by wrk: PUT at a node alone / E", Figure: "wrk put alone", Beside: "wrk put E", Goal: 0.93},
	{Number: "4", What: "by wrk: PUT at one of three, two replicas / E", Figure: "wrk put any", Beside: "wrk put E", Goal: 0.60},
}

// printTable prints the goals. A goal is for the ratio, except that of p99/p50. There it is for
// what was measured, and E's tells what the machine makes of a server that stores nothing.
func printTable(w io.Writer, samples rig.Samples) error {
	fmt.Fprintf(w, "%d cores, %s/%s, %s; medians of %d rounds; rows \"by wrk\": wrk -t1 -c64, else httpdhs bench\n\n",
		runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version(), samples.Rounds())
	return rig.WriteText(w, rows, samples)
}
