package shard

// Traffic is how often a partition was read and written since the store was opened. Both counters
// go round: what was counted in between is their difference, modulo 2³².
type Traffic struct {
	Reads  uint32 // calls of Get
	Writes uint32 // records and decisions that were offered, but not those of sync and of a disk
}

// Traffic appends the traffic of each partition, in their order, to dst. Each is of one moment, the
// whole is not. The counters are in the memory that a call writes anyway, under its lock.
func (s *Store) Traffic(dst []Traffic) []Traffic {
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		dst = append(dst, Traffic{sh.reads, sh.writes})
		sh.mu.Unlock()
	}
	return dst
}
