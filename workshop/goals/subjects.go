package main

import (
	"encoding/csv"
	"errors"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	"httpdhs/bench"
	"httpdhs/workshop/rig"
)

// figures are what one run of a subject came to, by name.
type figures map[string]float64

// subject is something that is measured once in each round.
type subject struct {
	name  string
	rows  string // of the table, that need it
	needs string // redis, wrk or nothing
	run   func(*house) (figures, error)
}

func (s *subject) wanted(only string) bool {
	if only == "" {
		return true
	}
	for row := range strings.SplitSeq(only, ",") {
		if slices.Contains(strings.Fields(s.rows), row) {
			return true
		}
	}
	return false
}

func (s *subject) missing(h *house) bool {
	return s.needs == redis && h.redis == "" || s.needs == wrk && h.wrkScripts == nil
}

// What subjects may need.
const (
	redis = "redis"
	wrk   = "wrk"
)

// subjects in the order of a round: each beside what it is compared with.
var subjects = []subject{
	{"GET at E", "1 2", "", func(h *house) (figures, error) { return h.http("get E", bench.Get, h.e) }},
	{"GET at an owner", "1", "", func(h *house) (figures, error) {
		return h.httpWith("get owner", bench.Get, func(c *bench.Config) { c.Route = bench.RouteOwner }, h.cluster[0])
	}},
	{"GET at any node", "2", "", func(h *house) (figures, error) { return h.http("get any", bench.Get, h.cluster...) }},
	{"PUT at E", "3 4 10", "", func(h *house) (figures, error) { return h.http("put E", bench.Put, h.e) }},
	{"PUT at a node alone", "3 latency", "", func(h *house) (figures, error) { return h.http("put alone", bench.Put, h.alone) }},
	{"PUT at any node", "4 latency", "", func(h *house) (figures, error) { return h.http("put any", bench.Put, h.cluster...) }},
	{"PUT at E, 256 connections", "4", "", func(h *house) (figures, error) {
		return h.httpWith("put E 256", bench.Put, func(c *bench.Config) { c.Conns = 256 }, h.e)
	}},
	{"PUT at any node, 256 connections", "4", "", func(h *house) (figures, error) {
		return h.httpWith("put any 256", bench.Put, func(c *bench.Config) { c.Conns = 256 }, h.cluster...)
	}},
	{"PUT at a node alone, 1 connection", "latency", "", func(h *house) (figures, error) {
		return h.httpWith("put alone 1", bench.Put, func(c *bench.Config) { c.Conns = 1 }, h.alone)
	}},
	{"PUT at one of three, 1 connection", "latency", "", func(h *house) (figures, error) {
		return h.httpWith("put any 1", bench.Put, func(c *bench.Config) { c.Conns = 1 }, h.cluster[0])
	}},
	{"redis-cli --pipe", "5", redis, redisPipe},
	{"load-data", "5", "", loadData},
	{"redis, 16 pipelined", "6", redis, redisPipelined},
	{"batch of 100 gets and puts", "6", "", func(h *house) (figures, error) {
		return h.httpWith("batch", bench.Batch, func(c *bench.Config) { c.Conns, c.ReadRatio = 16, 0.5 }, h.cluster...)
	}},
	{"GET at E by wrk", "1 2", wrk, byWrk("get", "E", func(h *house) string { return h.e })},
	{"GET at a node alone by wrk", "1", wrk, byWrk("get", "alone", func(h *house) string { return h.alone })},
	{"GET at one of three by wrk", "2", wrk, byWrk("get", "any", func(h *house) string { return h.cluster[0] })},
	{"PUT at E by wrk", "3 4", wrk, byWrk("put", "E", func(h *house) string { return h.e })},
	{"PUT at a node alone by wrk", "3", wrk, byWrk("put", "alone", func(h *house) string { return h.alone })},
	{"PUT at one of three by wrk", "4", wrk, byWrk("put", "any", func(h *house) string { return h.cluster[0] })},
	{"PUT with one of three killed", "10", "", oneDown},
}

func (h *house) http(name string, w bench.Workload, to ...string) (figures, error) {
	return h.httpWith(name, w, func(*bench.Config) {}, to...)
}

// httpWith runs the load generator: 64 connections, 16-byte keys, 100-byte
// values, uniform over 100,000 keys, unless adjust says otherwise.
func (h *house) httpWith(name string, w bench.Workload, adjust func(*bench.Config), to ...string) (figures, error) {
	c := bench.DefaultConfig()
	c.To, c.Workload, c.Duration, c.Warmup = to, w, h.duration, h.duration/6
	adjust(&c)
	report, err := rig.Ask(h.ctx, c)
	if err != nil {
		return nil, err
	}
	r := report.Rounds[0]
	return figures{
		name:              r.OperationRate,
		name + " p50 µs":  r.Latency.P50,
		name + " p99/p50": r.Latency.P99 / r.Latency.P50,
		name + " CPU µs":  r.CPU.ServersPerOp,
	}, nil
}

// loadData loads the pairs through the command line's loader, into a cluster
// that holds nothing.
func loadData(h *house) (figures, error) {
	cluster, stop, err := h.freshCluster()
	if err != nil {
		return nil, err
	}
	defer stop()
	rate, err := h.LoadData(h.binary, h.tsv, h.pairs, cluster...)
	return figures{"load": rate}, err
}

func redisPipe(h *house) (figures, error) {
	if _, err := h.Run("redis-cli", "-p", rig.Port(h.redis), "flushall"); err != nil {
		return nil, err
	}
	rate, err := h.RedisPipe(h.redis, h.resp, h.pairs)
	return figures{"redis pipe": rate}, err
}

// redisPipelined is the mean of SET and GET rates, as half of a batch's
// operations are puts.
func redisPipelined(h *house) (figures, error) {
	out, err := exec.CommandContext(h.ctx, "redis-benchmark", "-p", rig.Port(h.redis), "-t", "set,get", "-n", "1000000",
		"-r", "100000", "-d", "100", "-c", "64", "-P", "16", "--csv").Output()
	if err != nil {
		return nil, err
	}
	rows, err := csv.NewReader(strings.NewReader(string(out))).ReadAll()
	if err != nil {
		return nil, err
	}
	seconds, n := 0.0, 0
	for _, row := range rows {
		if rate, err := strconv.ParseFloat(row[1], 64); err == nil && rate > 0 {
			seconds, n = seconds+1/rate, n+1
		}
	}
	if n != 2 {
		return nil, errors.New("redis-benchmark printed something else than two rates")
	}
	return figures{"redis 16": float64(n) / seconds}, nil
}

// oneDown compares a cluster's rate before and after one of its nodes was
// killed, asking the other two both times. It has a cluster of its own.
func oneDown(h *house) (figures, error) {
	cluster, stop, err := h.freshCluster()
	if err != nil {
		return nil, err
	}
	defer stop()
	all, err := h.http("put three", bench.Put, cluster[:2]...)
	if err != nil {
		return nil, err
	}
	h.Kill(cluster[2])
	two, err := h.http("put two", bench.Put, cluster[:2]...)
	if err != nil {
		return nil, err
	}
	return figures{"put three": all["put three"], "put two": two["put two"]}, nil
}
