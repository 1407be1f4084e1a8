package node

import (
	"fmt"

	"httpdhs/internal/metrics"
	"httpdhs/server"
)

// metrics are the sources of a scrape: the counters that the parts keep.
func (n *Node) metrics() metrics.Sources {
	return metrics.Sources{
		Version:     n.cfg.Version,
		Ready:       func() bool { ok, _ := n.Ready(); return ok },
		Store:       n.storeMetrics,
		HTTP:        n.httpMetrics,
		Coordinator: n.coordinatorMetrics,
		Peers:       n.peerMetrics,
		Ring:        n.ringMetrics,
	}
}

func (n *Node) storeMetrics() metrics.Store {
	s := n.store.Stats()
	return metrics.Store{
		Keys: int64(s.Keys), Tombstones: int64(s.Tombstones),
		Bytes: s.Bytes, AccountedBytes: s.Accounted, MaxBytes: n.cfg.MaxMemory,
		LiveBytes: s.Memory.Live, DeadBytes: s.Memory.Dead, SegmentBytes: s.Memory.Segments, IndexBytes: s.Memory.Index,
		Evicted: s.Evicted, EvictedBytes: s.EvictedBytes, Passed: s.Passed,
	}
}

func (n *Node) coordinatorMetrics() metrics.Coordinator {
	c := n.coordinator.Counters()
	return metrics.Coordinator{
		Reads: c.Reads, Writes: c.Writes, ReadRepairs: c.Repairs, Restamps: c.Restamps,
		Synced: c.Pulled, Refused: c.Refused,
		Unavailable: c.Unavailable, Timeouts: c.Timeouts, Overloads: c.Overloads,
	}
}

func (n *Node) peerMetrics() (all []metrics.Peer) {
	for _, p := range n.coordinator.Peers() {
		all = append(all, metrics.Peer{
			Name: p.Name, State: p.State.String(), Synced: p.Ping.Synced,
			QueueBytes: int64(p.Queued), SentRecords: p.SentRecords, SentBatches: p.SentBatches,
			SendErrors: p.SendErrors, DroppedRecords: p.Dropped,
		})
	}
	return all
}

func (n *Node) ringMetrics() metrics.Ring {
	table, _ := n.coordinator.Rings()
	if table == nil {
		return metrics.Ring{}
	}
	m := metrics.Ring{Fingerprint: fmt.Sprintf("%016x", table.Fingerprint())}
	if self, ok := table.Index(n.cfg.Name); ok {
		primary, replica := table.Counts()
		m.PrimaryPartitions, m.ReplicaPartitions = primary[self], replica[self]
	}
	return m
}

func (n *Node) httpMetrics() metrics.HTTP {
	s := n.server.Stats()
	m := metrics.HTTP{
		Malformed: s.Malformed, Overloaded: s.Overloaded, Panics: s.Panics,
		Conns: s.Conns, RejectedConns: s.RejectedConns, EvictedConns: s.EvictedConns, SlowConns: s.SlowConns,
		InFlightBytes: s.InFlightBytes, PeerInFlightBytes: s.PeerInFlightBytes, AnswerBytes: s.AnswerBytes,
	}
	for class, byStatus := range s.Requests {
		for digit, count := range byStatus {
			if count > 0 {
				m.Requests = append(m.Requests, metrics.RequestCount{
					Method: server.Classes[class], Code: string(rune('0'+digit)) + "xx", Count: count,
				})
			}
		}
	}
	return m
}
