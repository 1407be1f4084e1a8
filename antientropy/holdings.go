package antientropy

import (
	"httpdhs/kv"
	"httpdhs/wire"
)

// holdings are what this node holds, as it is compared with others.
type holdings struct {
	store      Store
	clock      *kv.Clock
	grace      kv.Grace // of tombstones
	partitions int
}

// digests are those of the buckets of a partition.
func (h *holdings) digests(partition int) (own wire.Digests) {
	h.store.Digests(partition, (*[wire.DigestBuckets]uint64)(&own))
	return own
}

// digest is the digest of a whole partition; 0: nothing is held of it.
func (h *holdings) digest(partition int) uint64 { return h.store.Digest(partition) }

// scan goes through the records of some buckets that count still, in the order of their hashes, as
// many as take wants. It never asks to end between records of one hash. Where it is told to stop,
// next is the hash to go on from.
func (h *holdings) scan(of *wire.Pull, take func(r *kv.Record) (full bool)) (next uint64, more bool) {
	now, last, full := h.clock.Wall().UnixMilli(), uint64(0), false
	h.store.Scan(of.Partition, of.From, func(hash uint64, r *kv.Record) bool {
		if !of.Buckets.Has(wire.Bucket(hash, h.partitions)) || r.Collectable(now, h.grace) {
			return true
		}
		if full && hash != last {
			next, more = hash, true
			return false
		}
		full, last = take(r), hash
		return true
	})
	return next, more
}
