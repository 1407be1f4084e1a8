package main

import (
	"encoding/csv"
	"errors"
	"maps"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	"httpdhs/bench"
	"httpdhs/workshop/rig"
)

// figures are what one run of a subject came to, by the suffix of the name.
type figures map[string]float64

// subject is something that is measured once in each round.
type subject struct {
	name   string
	figure string // begins the names of its figures
	rows   string // of the table, that need it
	needs  string // redis, resp, wrk or nothing
	ours   bool   // is of httpdhs, and so of each binary
	run    func(*house, *side) (figures, error)
}

// Rows that are measured only where they are asked for.
const (
	manyNodes = "nodes"
	onDisk    = "disk"
)

func (s *subject) wanted(only string) bool {
	if only == "" {
		return s.rows != manyNodes && s.rows != onDisk
	}
	for row := range strings.SplitSeq(only, ",") {
		if slices.Contains(strings.Fields(s.rows), row) {
			return true
		}
	}
	return false
}

func (s *subject) missing(h *house) bool {
	switch s.needs {
	case redis:
		return h.redis == ""
	case resp:
		return !slices.ContainsFunc(h.sides, func(n *side) bool { return h.RESP(n.alone) != nil })
	case wrk:
		return h.wrkScripts == nil
	}
	return false
}

// What subjects may need.
const (
	redis = "redis"
	resp  = "resp" // a binary that speaks the protocol of Redis
	wrk   = "wrk"
)

// before is the prefix of the figures of an older binary.
const before = "before "

// Who is asked.
func atE(h *house, _ *side) []string       { return []string{h.e} }
func atLimit(h *house, _ *side) []string   { return h.limited }
func atAlone(_ *house, n *side) []string   { return []string{n.alone} }
func atCluster(_ *house, n *side) []string { return n.cluster }
func atRedis(h *house, _ *side) []string   { return []string{h.redis} }

// And over RESP.
func atAloneRESP(h *house, n *side) []string   { return h.RESP(n.alone) }
func atClusterRESP(h *house, n *side) []string { return h.RESP(n.cluster...) }

// How the load differs from that of the load generator's defaults.
func plain(*bench.Config)     {}
func many(c *bench.Config)    { c.Conns = 256 }
func lone(c *bench.Config)    { c.Conns, c.To = 1, c.To[:1] }
func owner(c *bench.Config)   { c.Route, c.To = bench.RouteOwner, c.To[:1] }
func batches(c *bench.Config) { c.Conns, c.ReadRatio = 16, 0.5 }
func spoken(c *bench.Config)  { c.Protocol = bench.RESP }
func deep(c *bench.Config)    { c.Protocol, c.Pipeline = bench.RESP, rig.Depth }

// counters have keys of their own: others read the values under these.
func counters(c *bench.Config) { deep(c); c.KeySize++ }

// subjects in the order of a round: each beside what it is compared with.
var subjects = slices.Concat([]subject{
	{"GET at E", "get E", "1 2", "", false, asked(bench.Get, atE, plain)},
	{"GET at an owner", "get owner", "1", "", true, asked(bench.Get, atCluster, owner)},
	{"GET at any node", "get any", "2", "", true, asked(bench.Get, atCluster, plain)},
	{"PUT at E", "put E", "3 4 10 12 nodes", "", false, asked(bench.Put, atE, plain)},
	{"PUT at a node alone", "put alone", "3 latency", "", true, asked(bench.Put, atAlone, plain)},
	{"PUT at any node", "put any", "4 11 12 latency", "", true, asked(bench.Put, atCluster, plain)},
	{"PUT at the limit", "limit put", "4 11 12 latency", "", false, asked(bench.Put, atLimit, plain)},
	{"PUT at redis with a replica, WAIT 1", "redis wait", "11", redis, false, redisWait},
	{"PUT at E, 256 connections", "put E 256", "4", "", false, asked(bench.Put, atE, many)},
	{"PUT at any node, 256 connections", "put any 256", "4", "", true, asked(bench.Put, atCluster, many)},
	{"PUT at the limit, 256 connections", "limit put 256", "4", "", false, asked(bench.Put, atLimit, many)},
	{"PUT at E, 1 connection", "put E 1", "latency", "", false, asked(bench.Put, atE, lone)},
	{"PUT at a node alone, 1 connection", "put alone 1", "latency", "", true, asked(bench.Put, atAlone, lone)},
	{"PUT at one of three, 1 connection", "put any 1", "latency", "", true, asked(bench.Put, atCluster, lone)},
	{"PUT at the limit, 1 connection", "limit put 1", "latency", "", false, asked(bench.Put, atLimit, lone)},
	{"redis-cli --pipe", "redis pipe", "5", redis, false, redisPipe},
	{"load-data", "load", "5", "", true, loadData},
	{"load at the limit", "limit load", "5", "", false, loadLimit},
	{"redis, 16 pipelined", "redis 16", "6", redis, false, redisPipelined},
	{"batch of 100 gets and puts", "batch", "6", "", true, asked(bench.Batch, atCluster, batches)},
	{"GET at E by wrk", "wrk get E", "1 2", wrk, false, byWrk("get", atE)},
	{"GET at a node alone by wrk", "wrk get alone", "1", wrk, true, byWrk("get", atAlone)},
	{"GET at one of three by wrk", "wrk get any", "2", wrk, true, byWrk("get", atCluster)},
	{"PUT at E by wrk", "wrk put E", "3 4", wrk, false, byWrk("put", atE)},
	{"PUT at a node alone by wrk", "wrk put alone", "3", wrk, true, byWrk("put", atAlone)},
	{"PUT at one of three by wrk", "wrk put any", "4", wrk, true, byWrk("put", atCluster)},
	{"PUT at one of three of the limit by wrk", "wrk limit put", "4", wrk, false, byWrk("put", atLimit)},
	{"PUT with one of three killed", "put killed", "10", "", true, oneDown},
}, overRESP, disks, sizes(3), sizes(5), sizes(9))

// overRESP are loads of httpdhs and redis by the same load generator, in the same protocol.
var overRESP = []subject{
	{"SET at a node alone over RESP", "resp set alone", "resp", resp, true, asked(bench.Put, atAloneRESP, spoken)},
	{"SET at redis", "redis set", "resp", redis, false, asked(bench.Put, atRedis, spoken)},
	{"GET at a node alone over RESP", "resp get alone", "resp", resp, true, asked(bench.Get, atAloneRESP, spoken)},
	{"GET at redis", "redis get", "resp", redis, false, asked(bench.Get, atRedis, spoken)},
	{"SET at a node alone over RESP, 16 pipelined", "resp set alone 16", "resp", resp, true, asked(bench.Put, atAloneRESP, deep)},
	{"SET at any node over RESP, 16 pipelined", "resp set any 16", "resp", resp, true, asked(bench.Put, atClusterRESP, deep)},
	{"SET at redis, 16 pipelined", "redis set 16", "resp", redis, false, asked(bench.Put, atRedis, deep)},
	{"SET at redis with a replica, WAIT 1 after each 16", "redis set 16 wait", "resp", redis, false, redisWaitPipeline},
	{"GET at a node alone over RESP, 16 pipelined", "resp get alone 16", "resp", resp, true, asked(bench.Get, atAloneRESP, deep)},
	{"GET at any node over RESP, 16 pipelined", "resp get any 16", "resp", resp, true, asked(bench.Get, atClusterRESP, deep)},
	{"GET at redis, 16 pipelined", "redis get 16", "resp", redis, false, asked(bench.Get, atRedis, deep)},
	{"INCR at any node over RESP, 16 pipelined", "resp incr any 16", "resp", resp, true, asked(bench.Incr, atClusterRESP, counters)},
	{"INCR at redis, 16 pipelined", "redis incr 16", "resp", redis, false, asked(bench.Incr, atRedis, counters)},
}

// sizes are PUTs at clusters of n nodes, which are started for it.
func sizes(n int) []subject {
	name := strconv.Itoa(n)
	return []subject{
		{"PUT at " + name + " nodes", "put any of " + name, manyNodes, "", true, func(h *house, s *side) (figures, error) {
			cluster, stop, err := h.freshCluster(s.binary, n)
			if err != nil {
				return nil, err
			}
			defer stop()
			return h.load(bench.Put, cluster, plain)
		}},
		{"PUT at " + name + " nodes of the limit", "limit put of " + name, manyNodes, "", false, func(h *house, _ *side) (figures, error) {
			nodes, err := h.startLimit(n)
			defer h.Kill(nodes...)
			if err != nil {
				return nil, err
			}
			return h.load(bench.Put, nodes, plain)
		}},
	}
}

// asked runs the load generator.
func asked(w bench.Workload, who func(*house, *side) []string, adjust func(*bench.Config)) func(*house, *side) (figures, error) {
	return func(h *house, n *side) (figures, error) { return h.load(w, who(h, n), adjust) }
}

// load runs the load generator at servers: 64 connections, 16-byte keys, 100-byte
// values, uniform over 100,000 keys, unless adjust says otherwise.
func (h *house) load(w bench.Workload, servers []string, adjust func(*bench.Config)) (figures, error) {
	c := bench.DefaultConfig()
	c.To, c.Workload, c.Duration, c.Warmup = servers, w, h.duration, h.duration/6
	adjust(&c)
	m := &meter{house: h, servers: servers}
	c.Progress = m.progress
	report, err := rig.Ask(h.ctx, c)
	if err = errors.Join(err, m.err); err != nil || h.tracing {
		return m.figures, err
	}
	r := report.Rounds[0]
	found := figures{"": r.OperationRate, " p50 µs": r.Latency.P50, " p99/p50": r.Latency.P99 / r.Latency.P50}
	maps.Copy(found, m.figures)
	return found, nil
}

// loadData loads the pairs through the command line's loader, into a cluster
// that holds nothing.
func loadData(h *house, n *side) (figures, error) {
	cluster, stop, err := h.freshCluster(n.binary, 3)
	if err != nil {
		return nil, err
	}
	defer stop()
	return h.around(cluster, func() (float64, error) { return h.LoadData(n.binary, h.tsv, h.pairs, cluster...) })
}

func loadLimit(h *house, _ *side) (figures, error) {
	nodes, err := h.startEach(3, "--mode", "keep")
	defer h.Kill(nodes...)
	if err != nil {
		return nil, err
	}
	return h.around(nodes, func() (float64, error) {
		return h.LoadBy(h.pairs, h.limit, "--mode", "load", "--nodes", strings.Join(nodes, ","), h.tsv)
	})
}

func redisPipe(h *house, _ *side) (figures, error) {
	if _, err := h.Run("redis-cli", "-p", rig.Port(h.redis), "flushall"); err != nil {
		return nil, err
	}
	return h.around([]string{h.redis}, func() (float64, error) { return h.RedisPipe(h.redis, h.resp, h.pairs) })
}

func redisWait(h *house, _ *side) (figures, error) { return h.waiting(rig.RedisWait, 1) }

func redisWaitPipeline(h *house, _ *side) (figures, error) {
	return h.waiting(rig.RedisWaitPipeline, rig.Depth)
}

// waiting measures exchanges, of so many operations each, with redis and its replica.
func (h *house) waiting(x bench.Exchange, operations float64) (figures, error) {
	c := bench.DefaultConfig()
	c.To, c.Duration, c.Warmup = h.replicated[:1], h.duration, h.duration/6
	return h.around(h.replicated, func() (float64, error) {
		round, err := x.Measure(h.ctx, c)
		if err != nil {
			return 0, err
		}
		return operations * round.OperationRate, nil
	})
}

// redisPipelined is the mean of SET and GET rates, as half of a batch's
// operations are puts.
func redisPipelined(h *house, _ *side) (figures, error) {
	return h.around([]string{h.redis}, func() (float64, error) {
		out, err := exec.CommandContext(h.ctx, "redis-benchmark", "-p", rig.Port(h.redis), "-t", "set,get", "-n", "1000000",
			"-r", "100000", "-d", "100", "-c", "64", "-P", "16", "--csv").Output()
		if err != nil {
			return 0, err
		}
		rows, err := csv.NewReader(strings.NewReader(string(out))).ReadAll()
		if err != nil {
			return 0, err
		}
		seconds, n := 0.0, 0
		for _, row := range rows {
			if rate, err := strconv.ParseFloat(row[1], 64); err == nil && rate > 0 {
				seconds, n = seconds+1/rate, n+1
			}
		}
		if n != 2 {
			return 0, errors.New("redis-benchmark printed something else than two rates")
		}
		return float64(n) / seconds, nil
	})
}

// oneDown compares a cluster's rate before and after one of its nodes was
// killed, asking the other two both times. It has a cluster of its own.
func oneDown(h *house, n *side) (figures, error) {
	cluster, stop, err := h.freshCluster(n.binary, 3)
	if err != nil {
		return nil, err
	}
	defer stop()
	all, err := h.load(bench.Put, cluster[:2], plain)
	if err != nil {
		return nil, err
	}
	h.Kill(cluster[2])
	two, err := h.load(bench.Put, cluster[:2], plain)
	if err == nil && !h.tracing {
		two[" none"] = all[""]
	}
	return two, err
}
