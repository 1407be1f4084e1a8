package main

import (
	"encoding/csv"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"httpdhs/bench"
	"httpdhs/workshop/rig"
)

// id is a bar of the plot: what is done, and by whom.
type id struct{ group, name string }

// subject is something that is measured once in each round. One without a peer
// is of httpdhs itself.
type subject struct {
	id
	peer string
	run  func(*house) (float64, error) // operations/s
}

func (s *subject) String() string { return s.group + ": " + s.name }

// Groups: within each every subject of httpdhs is compared with every peer.
const (
	puts     = "PUT"
	manyPuts = "PUT, many at a time"
	gets     = "GET"
	manyGets = "GET, many at a time"
	counts   = "INCR, many at a time"
	bulk     = "Bulk load"
)

var groups = []string{puts, gets, manyPuts, manyGets, counts, bulk}

// Names that occur in more than one group.
const (
	one          = "one node"
	three        = "three nodes, two replicas"
	onePipeline  = one + ", 16 pipelined"
	threePipe    = three + ", 16 pipelined"
	oneRESP      = one + ", RESP"
	oneRESP16    = oneRESP + ", 16 pipelined"
	threeRESP16  = three + ", RESP, 16 pipelined"
	oneBatch     = one + ", /batch of 100"
	threeBatch   = three + ", /batch of 100"
	redis        = "redis"
	redis16      = "redis, 16 pipelined"
	redisReplica = "redis, one replica, WAIT 1"
	redisEach16  = redisReplica + " after each 16"
	redisPipe    = "redis-cli --pipe"
)

// subjects in the order of a round, which is that of the tables too.
var subjects = []subject{
	{id{puts, one}, "", ours(puts, bench.Put, onOne)},
	{id{puts, three}, "", ours(puts, bench.Put, onThree)},
	{id{puts, oneRESP}, "", overRESP(puts, bench.Put, onOne)},
	{id{puts, redis}, "redis", benchmark(id{puts, redis}, "SET", 1)},
	{id{puts, redisReplica}, "redis", func(h *house) (float64, error) { return h.drive(h.replicated, rig.RedisWait) }},
	{id{puts, "memcached"}, "memcached", func(h *house) (float64, error) { return h.drive(h.memcached, memcachedSet) }},
	{id{puts, "webdis"}, "webdis", func(h *house) (float64, error) { return h.drive(h.webdis, webdisSet) }},
	{id{puts, "etcd"}, "etcd", func(h *house) (float64, error) { return h.drive(h.etcd, etcdPut) }},

	{id{gets, one}, "", ours(gets, bench.Get, onOne)},
	{id{gets, three}, "", ours(gets, bench.Get, onThree)},
	{id{gets, oneRESP}, "", overRESP(gets, bench.Get, onOne)},
	{id{gets, redis}, "redis", benchmark(id{gets, redis}, "GET", 1)},
	{id{gets, "memcached"}, "memcached", func(h *house) (float64, error) { return h.drive(h.memcached, memcachedGet) }},
	{id{gets, "webdis"}, "webdis", func(h *house) (float64, error) { return h.drive(h.webdis, webdisGet) }},
	{id{gets, "etcd"}, "etcd", func(h *house) (float64, error) { return h.drive(h.etcd, etcdGet) }},

	{id{manyPuts, onePipeline}, "", ours(manyPuts, bench.Put, onOne)},
	{id{manyPuts, threePipe}, "", ours(manyPuts, bench.Put, onThree)},
	{id{manyPuts, oneBatch}, "", ours(manyPuts, bench.Batch, onOne)},
	{id{manyPuts, threeBatch}, "", ours(manyPuts, bench.Batch, onThree)},
	{id{manyPuts, oneRESP16}, "", overRESP(manyPuts, bench.Put, onOne)},
	{id{manyPuts, threeRESP16}, "", overRESP(manyPuts, bench.Put, onThree)},
	{id{manyPuts, redis16}, "redis", benchmark(id{manyPuts, redis16}, "SET", depth)},
	{id{manyPuts, redisEach16}, "redis", waitEach16},

	{id{manyGets, onePipeline}, "", ours(manyGets, bench.Get, onOne)},
	{id{manyGets, threePipe}, "", ours(manyGets, bench.Get, onThree)},
	{id{manyGets, oneBatch}, "", ours(manyGets, bench.Batch, onOne)},
	{id{manyGets, threeBatch}, "", ours(manyGets, bench.Batch, onThree)},
	{id{manyGets, oneRESP16}, "", overRESP(manyGets, bench.Get, onOne)},
	{id{manyGets, threeRESP16}, "", overRESP(manyGets, bench.Get, onThree)},
	{id{manyGets, redis16}, "redis", benchmark(id{manyGets, redis16}, "GET", depth)},

	{id{counts, threeRESP16}, "", overRESP(counts, bench.Incr, onThree)},
	{id{counts, redis16}, "redis", benchmark(id{counts, redis16}, "INCR", depth)},

	{id{bulk, one}, "", loadOne},
	{id{bulk, three}, "", loadThree},
	{id{bulk, redisPipe}, "redis", loadRedis},
}

func onOne(h *house) []string   { return []string{h.alone} }
func onThree(h *house) []string { return h.cluster }

// ours runs the load generator in the way of the group.
func ours(group string, w bench.Workload, to func(*house) []string) func(*house) (float64, error) {
	return func(h *house) (float64, error) {
		c := h.config(to(h)...)
		c.Workload = w
		switch {
		case w == bench.Batch:
			c.Batch, c.ReadRatio = batch, 0
			if group == manyGets {
				c.ReadRatio = 1
			}
		case group == manyPuts, group == manyGets:
			c.Pipeline = depth
		}
		return h.ask(c)
	}
}

// errNoRESP is of a binary from before RESP. Its rows are left out.
var errNoRESP = errors.New("the binary does not speak RESP")

// overRESP is ours, in the protocol of the peer.
func overRESP(group string, w bench.Workload, to func(*house) []string) func(*house) (float64, error) {
	return func(h *house) (float64, error) {
		c := h.config(h.RESP(to(h)...)...)
		if c.To == nil {
			return 0, errNoRESP
		}
		if c.Workload, c.Protocol = w, bench.RESP; group != puts && group != gets {
			c.Pipeline = depth
		}
		return h.ask(c)
	}
}

// ask runs the load generator.
func (h *house) ask(c bench.Config) (float64, error) {
	report, err := rig.Ask(h.ctx, c)
	if err != nil {
		return 0, err
	}
	h.machine = report.Machine
	return report.Rounds[0].OperationRate, nil
}

// waitEach16 counts the SETs of pipelines that end with a WAIT.
func waitEach16(h *house) (float64, error) {
	rate, err := h.drive(h.replicated, rig.RedisWaitPipeline)
	return depth * rate, err
}

// config is what all loads have in common.
func (h *house) config(to ...string) bench.Config {
	c := bench.DefaultConfig()
	c.To, c.Duration, c.Warmup = to, h.duration, h.duration/6
	c.Conns, c.Keys, c.KeySize, c.ValueSize = conns, keys, rig.KeyBytes, len(rig.Value)
	return c
}

// drive measures a peer in its own protocol.
func (h *house) drive(addr string, ex bench.Exchange) (float64, error) {
	round, err := ex.Measure(h.ctx, h.config(addr))
	if err != nil {
		return 0, err
	}
	return round.OperationRate, nil
}

// fill asks a peer for each of n keys once.
func (h *house) fill(addr string, n int, ex bench.Exchange) error {
	c := h.config(addr)
	c.Keys = n
	return ex.Fill(h.ctx, c)
}

// benchmark runs redis-benchmark. It takes no time but a number of requests:
// as many as the last rate makes in the time, to begin with that of a small
// machine.
func benchmark(who id, test string, pipeline int) func(*house) (float64, error) {
	return func(h *house) (float64, error) {
		rate := h.rates[who]
		if rate == 0 {
			rate = 50_000
			if pipeline > 1 {
				rate = 400_000
			}
		}
		n := max(int(rate*h.duration.Seconds()), 1000)
		out, err := h.Run("redis-benchmark", "-p", rig.Port(h.redis), "-t", strings.ToLower(test), "-n", strconv.Itoa(n),
			"-r", strconv.Itoa(keys), "-d", strconv.Itoa(len(rig.Value)), "-c", strconv.Itoa(conns), "-P", strconv.Itoa(pipeline), "--csv")
		if err != nil {
			return 0, err
		}
		rate, err = benchmarkRate(out, test)
		h.rates[who] = rate
		return rate, err
	}
}

// benchmarkRate reads the rate of a test from what redis-benchmark printed.
func benchmarkRate(out, test string) (float64, error) {
	r := csv.NewReader(strings.NewReader(out))
	r.FieldsPerRecord = -1
	rows, err := r.ReadAll()
	if err != nil {
		return 0, err
	}
	for _, row := range rows {
		if len(row) > 1 && row[0] == test {
			return strconv.ParseFloat(row[1], 64)
		}
	}
	return 0, fmt.Errorf("redis-benchmark printed no rate of %s: %q", test, out)
}

// loadOne loads the pairs into a node that holds nothing.
func loadOne(h *house) (float64, error) {
	addr, err := h.Node(h.binary)
	if err != nil {
		return 0, err
	}
	return h.load(addr)
}

// loadThree loads the pairs into three nodes that hold nothing.
func loadThree(h *house) (float64, error) {
	addrs, err := h.Cluster(h.binary, 3)
	if err != nil {
		return 0, err
	}
	return h.load(addrs...)
}

// load loads the pairs through the command line's loader, and ends the nodes.
func (h *house) load(addrs ...string) (float64, error) {
	defer h.Kill(addrs...)
	if err := h.WaitReady(addrs...); err != nil {
		return 0, err
	}
	return h.LoadData(h.binary, h.tsv, h.pairs, addrs...)
}

func loadRedis(h *house) (float64, error) {
	if _, err := h.Run("redis-cli", "-p", rig.Port(h.bulk), "flushall"); err != nil {
		return 0, err
	}
	return h.RedisPipe(h.bulk, h.resp, h.pairs)
}
