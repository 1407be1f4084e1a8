package node

import (
	"fmt"

	"httpdhs/internal/metrics"
	"httpdhs/server"
)

// metrics are the sources of a scrape: the counters that the parts keep.
func (n *Node) metrics() metrics.Sources {
	return metrics.Sources{
		Version:   n.cfg.Version,
		MaxMemory: n.cfg.MaxMemory,
		Ready:     func() bool { ok, _ := n.Ready(); return ok },
		Store:     n.store.Stats,
		Steps:     n.store.Steps,
		HTTP:      func() server.Stats { return n.server.Stats() }, // which is made with these
		Calls:     &n.plane.Counters,
		Repairs:   &n.plane.Repairer.Counters,
		Peers:     n.plane.Topology.Peers,
		Ring:      n.ringMetrics,
		Members:   n.memberMetrics,
	}
}

func (n *Node) ringMetrics() metrics.Ring {
	table, target := n.plane.Topology.Rings()
	if table == nil {
		return metrics.Ring{}
	}
	m := metrics.Ring{
		Fingerprint: fmt.Sprintf("%016x", table.Fingerprint()),
		Changing:    table.Fingerprint() != target.Fingerprint(),
		HandOver:    n.handingOver(),
	}
	if moving := describeMoving(n.plane.Repairer.Moving()); moving != nil {
		m.FetchLeft, m.FetchBytesLeft = moving.Partitions-moving.Done, moving.BytesLeft
	}
	m.PrimaryPartitions, m.ReplicaPartitions = shares(table)(n.cfg.Name)
	return m
}

func (n *Node) memberMetrics() metrics.Members {
	m := metrics.Members{States: make(map[string]int), Evicted: n.evictions.Load()}
	for _, member := range n.cluster().Nodes {
		m.States[member.State]++
	}
	return m
}
