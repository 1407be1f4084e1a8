package shard

import "httpdhs/kv"

// Stats counts what is held.
type Stats struct {
	Keys       int   // values, counting those that expired and were not swept yet
	Tombstones int   // deleted keys that are still within their grace
	Bytes      int64 // of the keys and values of Keys
	Accounted  int64 // what counts towards Options.MaxBytes: Memory.Total

	Memory Memory // what is taken, by kind

	Evicted      int64 // values that made room for others, since the store was opened
	EvictedBytes int64 // of their keys and values
	Passed       int64 // records of other owners that were not stored; see ApplySync
}

func (s *Stats) add(o Stats) {
	s.Keys += o.Keys
	s.Tombstones += o.Tombstones
	s.Bytes += o.Bytes
	s.Accounted += o.Accounted
	s.Memory.add(o.Memory)
	s.Evicted += o.Evicted
	s.EvictedBytes += o.EvictedBytes
	s.Passed += o.Passed
}

// counts are the counters that a shard keeps of its entries.
type counts struct {
	keys, tombstones int
	bytes            int64

	// timed is how many entries have something due one day; see dueAt.
	timed int
}

// count adds an entry, or takes it out: by is 1 or -1.
func (c *counts) count(key []byte, e *kv.Entry, by int) {
	if e.Tombstone {
		c.tombstones += by
	} else {
		c.keys += by
		c.bytes += int64(by * (len(key) + len(e.Value)))
	}
	if e.Tombstone || e.Expires != 0 {
		c.timed += by
	}
}

// Stats sums the counters of all shards. Each shard is seen at one moment, the
// whole is not.
func (s *Store) Stats() Stats {
	var sum Stats
	for i := range s.shards {
		sum.add(s.partitionStats(i))
	}
	return sum
}

// fullShare is the part of the bound that is left of a store that is full.
const fullShare = 32

// Room is what the store needs and may take, in bytes, and whether it is full: next
// to nothing is left, so that writes that need more are refused. What is dead is
// not counted, for writes that need it get it. A store that evicts is never full.
func (s *Store) Room() (used, limit int64, full bool) {
	stats := s.Stats()
	used, limit = stats.Accounted-stats.Memory.Dead, s.maxBytes
	return used, limit, limit > 0 && s.eviction == EvictNone && used > limit-limit/fullShare
}

// PartitionKeys is Stats.Keys of one partition.
func (s *Store) PartitionKeys(partition int) int {
	sh := &s.shards[partition]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return sh.counts.keys
}

func (s *Store) partitionStats(partition int) Stats {
	sh := &s.shards[partition]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	m := sh.memory()
	stats := Stats{
		Keys: sh.counts.keys, Tombstones: sh.counts.tombstones, Bytes: sh.counts.bytes,
		Accounted: m.Total(), Memory: m,
	}
	if ev := sh.evictions; ev != nil {
		stats.Evicted, stats.EvictedBytes, stats.Passed = ev.entries, ev.bytes, ev.passed
	}
	return stats
}
