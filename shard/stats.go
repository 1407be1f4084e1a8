package shard

import "httpdhs/kv"

// EntryOverheadBytes is what an entry is taken to cost beyond its key, content
// type and value: its fields, its slot and the rounding of its memory.
const EntryOverheadBytes = 128

// Stats counts what is held.
type Stats struct {
	Keys       int   // values, counting those that expired and were not swept yet
	Tombstones int   // deleted keys that are still within their grace
	Bytes      int64 // of the keys and values of Keys
	Accounted  int64 // what counts towards Options.MaxBytes
}

func (s *Stats) add(o Stats) {
	s.Keys += o.Keys
	s.Tombstones += o.Tombstones
	s.Bytes += o.Bytes
	s.Accounted += o.Accounted
}

func (s *Stats) sub(o Stats) {
	s.Keys -= o.Keys
	s.Tombstones -= o.Tombstones
	s.Bytes -= o.Bytes
	s.Accounted -= o.Accounted
}

// footprint is one entry's share of the counters.
func footprint(key []byte, e *kv.Entry) Stats {
	if e.Tombstone {
		return Stats{Tombstones: 1, Accounted: EntryOverheadBytes + int64(len(key))}
	}
	size := int64(len(key) + len(e.Value))
	return Stats{Keys: 1, Bytes: size, Accounted: EntryOverheadBytes + size + int64(len(e.ContentType))}
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

// PartitionKeys is Stats.Keys of one partition.
func (s *Store) PartitionKeys(partition int) int { return s.partitionStats(partition).Keys }

func (s *Store) partitionStats(partition int) Stats {
	sh := &s.shards[partition]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return sh.stats
}
