package node

import (
	"fmt"

	"httpdhs/disk"
	"httpdhs/internal/metrics"
)

// metrics are the sources of a scrape: the counters that the parts keep.
func (v *view) metrics(r *roster) metrics.Sources {
	var log func() disk.Stats
	if v.cfg.Disk != nil {
		log = v.cfg.Disk.Stats
	}
	return metrics.Sources{
		Version:   v.cfg.Version,
		MaxMemory: v.cfg.MaxMemory,
		Ready:     func() bool { ok, _ := v.Ready(); return ok },
		Store:     v.store.Stats,
		Steps:     v.store.Steps,
		Disk:      log,
		HTTP:      v.served.http,
		Resp:      v.served.resp,
		Calls:     &v.plane.Counters,
		Repairs:   &v.plane.Repairer.Counters,
		Peers:     v.plane.Topology.Peers,
		Ring:      v.ringMetrics,
		Members:   func() metrics.Members { return v.memberMetrics(r.evictions.Load()) },
	}
}

func (v *view) ringMetrics() metrics.Ring {
	table, target := v.plane.Topology.Rings()
	if table == nil {
		return metrics.Ring{}
	}
	m := metrics.Ring{
		Fingerprint: fmt.Sprintf("%016x", table.Fingerprint()),
		Changing:    table.Fingerprint() != target.Fingerprint(),
		HandOver:    v.handingOver(),

		UnderReplicated: v.plane.Topology.UnderReplicated(),
	}
	if moving := describeMoving(v.plane.Repairer.Moving()); moving != nil {
		m.FetchLeft, m.FetchBytesLeft = moving.Partitions-moving.Done, moving.BytesLeft
	}
	m.PrimaryPartitions, m.ReplicaPartitions = shares(table)(v.cfg.Name)
	return m
}

func (v *view) memberMetrics(evicted int64) metrics.Members {
	m := metrics.Members{States: make(map[string]int), Evicted: evicted}
	for _, member := range v.cluster().Nodes {
		m.States[member.State]++
	}
	return m
}
