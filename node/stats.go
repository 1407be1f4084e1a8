package node

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"httpdhs/api"
	"httpdhs/internal/histogram"
	"httpdhs/peer"
	"httpdhs/server"
	"httpdhs/server/resp"
	"httpdhs/shard"
	"httpdhs/wire"
)

// served is where what was done for clients is counted.
type served struct {
	http func() server.Stats
	resp func() resp.Stats // nil: the node does not speak the Redis protocol
}

// tally is what this node has counted since it was started.
func (v *view) tally() wire.Stats {
	h := v.served.http()
	now := time.Now()
	s := wire.Stats{
		At: now.UTC(), Started: v.started.UTC(), Connections: h.Conns, Bounds: histogram.Latencies[:],
		Hot: v.traffic.hottest(now, v.store.Traffic),
	}
	for i := range h.Operations {
		o := &h.Operations[i]
		s.Operations = append(s.Operations, operationStats(server.OperationName(i), o.Errors, &o.Took))
	}
	if v.served.resp != nil {
		r := v.served.resp()
		s.Connections += r.Conns
		s.Operations = append(s.Operations, operationStats(api.OperationResp, r.FailedCalls, &r.CallTimes))
	}
	return s
}

func operationStats(kind string, errors int64, c *histogram.Counts) wire.OperationStats {
	return wire.OperationStats{Kind: kind, Errors: errors, Nanos: c.Sum, Buckets: c.Buckets[:]}
}

// statsWithin is how long a document of counters waits for a peer.
const statsWithin = time.Second

// Stats implements server.Cluster.
func (v *view) Stats(deadline time.Time) api.Stats {
	doc := api.Stats{Node: v.cfg.Name}
	for _, bound := range histogram.Latencies {
		doc.Bounds = append(doc.Bounds, time.Duration(bound).Seconds())
	}
	own := v.tally()
	doc.Nodes = append(doc.Nodes, describeStats(v.cfg.Name, &own))
	replies := v.plane.Topology.AskAll(wire.AppendStatsQuestion(nil), earlier(deadline, time.Now().Add(statsWithin)))
	met := map[string]bool{v.cfg.Name: true}
	for i := range replies {
		r := &replies[i]
		met[r.Name] = true
		doc.Nodes = append(doc.Nodes, readStats(r.Name, r.Answer, r.Err))
	}
	for _, member := range v.members.Members() {
		if !met[member.Name] {
			doc.Nodes = append(doc.Nodes, api.NodeStats{Name: member.Name, Error: "not met yet"})
		}
	}
	slices.SortFunc(doc.Nodes, func(a, b api.NodeStats) int { return strings.Compare(a.Name, b.Name) })
	return doc
}

// readStats is what a peer has answered, as a part of the document.
func readStats(name string, answer []byte, err error) api.NodeStats {
	var s wire.Stats
	if err == nil {
		s, err = wire.ParseStats(answer)
	}
	switch {
	case errors.Is(err, peer.ErrRefused):
		return api.NodeStats{Name: name, Error: "it does not know this question: it is of an earlier version"}
	case err != nil:
		return api.NodeStats{Name: name, Error: err.Error()}
	case !slices.Equal(s.Bounds, histogram.Latencies[:]):
		return api.NodeStats{Name: name, Error: "it counts in other buckets: it is of another version"}
	}
	return describeStats(name, &s)
}

func describeStats(name string, s *wire.Stats) api.NodeStats {
	n := api.NodeStats{
		Name: name, Time: s.At, Started: s.Started, Connections: &s.Connections,
		Operations: make([]api.OperationStats, len(s.Operations)),
	}
	for i := range s.Operations {
		from, to := &s.Operations[i], &n.Operations[i]
		*to = api.OperationStats{
			Kind: from.Kind, Errors: from.Errors, Seconds: time.Duration(from.Nanos).Seconds(), Buckets: from.Buckets,
		}
		for _, count := range from.Buckets {
			to.Count += count
		}
	}
	if s.Hot != nil {
		n.HotPartitions = make([]api.PartitionStats, len(s.Hot))
	}
	for i, h := range s.Hot {
		n.HotPartitions[i] = api.PartitionStats(h)
	}
	return n
}

// traffic tells which partitions are hot. It counts only while somebody asks. What is lately is the
// time since the older of two looks: 10 to 20 seconds, and less at first.
type traffic struct {
	mu           sync.Mutex // guards all below
	older, newer look
	hot          []wire.PartitionRate
	at           time.Time // of hot
}

// look is the counters of all partitions at a moment.
type look struct {
	at   time.Time
	seen []shard.Traffic
}

const (
	trafficEvery  = 10 * time.Second // how far the two looks are apart
	trafficForget = time.Minute      // a look that is older says nothing of lately
	trafficLeast  = time.Second      // in less time there is too little to count
)

// hottest are the partitions with most traffic, the hottest first; nil: that is not known yet.
// count appends the counters of all.
func (t *traffic) hottest(now time.Time, count func([]shard.Traffic) []shard.Traffic) []wire.PartitionRate {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.at.IsZero() && now.Sub(t.at) < trafficLeast {
		return t.hot
	}
	t.at = now
	if t.newer.at.IsZero() || now.Sub(t.newer.at) > trafficForget {
		t.newer = look{now, count(t.newer.seen[:0])}
		t.older = look{now, append(t.older.seen[:0], t.newer.seen...)}
		t.hot = nil
		return nil
	}
	seen := count(make([]shard.Traffic, 0, len(t.newer.seen)))
	t.hot = hottest(t.older.seen, seen, now.Sub(t.older.at).Seconds())
	if now.Sub(t.newer.at) >= trafficEvery {
		t.older, t.newer = t.newer, look{now, seen}
	}
	return t.hot
}

// hottest compares two looks that are so far apart. Where two partitions are as hot, the one of the
// lower number comes first.
func hottest(before, after []shard.Traffic, seconds float64) []wire.PartitionRate {
	top := make([]wire.PartitionRate, 0, wire.HotMax+1)
	heat := func(r *wire.PartitionRate) float64 { return r.Reads + r.Writes }
	for i := range after {
		rate := wire.PartitionRate{
			Partition: i,
			Reads:     float64(after[i].Reads-before[i].Reads) / seconds,
			Writes:    float64(after[i].Writes-before[i].Writes) / seconds,
		}
		if h := heat(&rate); h == 0 || len(top) == wire.HotMax && h <= heat(&top[wire.HotMax-1]) {
			continue
		}
		at, _ := slices.BinarySearchFunc(top, rate, func(a, b wire.PartitionRate) int {
			return cmp.Or(cmp.Compare(heat(&b), heat(&a)), cmp.Compare(a.Partition, b.Partition))
		})
		top = slices.Insert(top, at, rate)
		top = top[:min(len(top), wire.HotMax)]
	}
	return top
}
