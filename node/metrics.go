package node

import (
	"fmt"

	"httpdhs/internal/metrics"
	"httpdhs/server"
	"httpdhs/shard"
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
		Members:     n.memberMetrics,
	}
}

func (n *Node) storeMetrics() metrics.Store {
	s := n.store.Stats()
	return metrics.Store{
		Keys: int64(s.Keys), Tombstones: int64(s.Tombstones),
		Bytes: s.Bytes, AccountedBytes: s.Accounted, MaxBytes: n.cfg.MaxMemory,
		LiveBytes: s.Memory.Live, DeadBytes: s.Memory.Dead, SegmentBytes: s.Memory.Segments, IndexBytes: s.Memory.Index,
		Evicted: s.Evicted, EvictedBytes: s.EvictedBytes, Passed: s.Passed,
		Steps: storeSteps(n.store.Steps()),
	}
}

func storeSteps(steps [shard.StepKinds]shard.StepTimes) (all []metrics.StoreSteps) {
	for kind, times := range steps {
		m := metrics.StoreSteps{
			Kind: shard.StepKind(kind).String(), Count: times.Count, Total: times.Total, Longest: times.Longest,
			AtMost: make(map[float64]uint64, shard.StepBuckets),
		}
		sum := int64(0)
		for i, n := range times.Buckets[:shard.StepBuckets-1] {
			sum += n
			m.AtMost[shard.StepBound(i).Seconds()] = uint64(sum)
		}
		all = append(all, m)
	}
	return all
}

func (n *Node) coordinatorMetrics() metrics.Coordinator {
	c, r := &n.plane.Counters, &n.plane.Repairer.Counters
	return metrics.Coordinator{
		Reads: c.Reads.Load(), Hedges: c.Hedges.Load(), Writes: c.Writes.Load(), ReadRepairs: c.Repairs.Load(), Restamps: c.Restamps.Load(),
		Synced: r.Pulled.Load(), HandedOver: r.HandedOver.Load(), Refused: c.Refused.Load() + r.Refused.Load(),
		Unavailable: c.Unavailable.Load(), Timeouts: c.Timeouts.Load(), Overloads: c.Overloads.Load(),
	}
}

func (n *Node) peerMetrics() (all []metrics.Peer) {
	for _, p := range n.plane.Topology.Peers() {
		all = append(all, metrics.Peer{
			Name: p.Name, State: p.State.String(), Synced: p.Ping.InSync,
			QueueBytes: int64(p.Queued), SentRecords: p.SentRecords.Load(), SentBatches: p.SentBatches.Load(),
			SendErrors: p.SendErrors.Load(), DroppedRecords: p.DroppedRecords.Load(),
		})
	}
	return all
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

func (n *Node) httpMetrics() metrics.HTTP {
	s := n.server.Stats()
	m := metrics.HTTP{
		Malformed: s.Malformed, Overloaded: s.Overloaded, Panics: s.Panics,
		Conns: s.Conns, RejectedConns: s.RejectedConns, EvictedConns: s.EvictedConns, SlowConns: s.SlowConns,
		RefusedMessages: s.RefusedMessages,
		InFlightBytes:   s.InFlightBytes, PeerInFlightBytes: s.PeerInFlightBytes, AnswerBytes: s.AnswerBytes,
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
