package shard

import (
	"math"
	"sync"
	"time"

	"httpdhs/kv"
)

// shard is one stripe of the store: the entries of one partition and what is
// known of them all. Every change to the engine goes through put and remove,
// which keep the rest in step.
type shard struct {
	mu sync.Mutex // guards all below

	engine Engine
	stats  Stats

	// due is a time, Unix milliseconds, before which the sweeper has nothing
	// to do here. It may be early, never late.
	due int64

	digests [Buckets]uint64

	// Neighbours in the slice of shards are locked by other cores: keep the
	// next one's lock and counters off the cache line that ends this one.
	_ [cacheLineBytes]byte
}

const cacheLineBytes = 64

// neverDue is the due of a shard in which nothing ever ends.
const neverDue = math.MaxInt64

// put stores r in place of old (zero: nothing was there). The caller holds mu.
func (s *shard) put(place place, r *kv.Record, old *kv.Entry, grace time.Duration) {
	s.stats.add(footprint(r.Key, &r.Entry))
	d := mix(place.hash, r.Version)
	if old.Exists() {
		s.stats.sub(footprint(r.Key, old))
		d ^= mix(place.hash, old.Version)
	}
	s.digests[place.bucket] ^= d
	s.due = min(s.due, dueAt(&r.Entry, grace))
	s.engine.Put(place.hash, r)
}

// remove takes out the key, under which e is held. The caller holds mu.
func (s *shard) remove(place place, key []byte, e *kv.Entry) {
	s.stats.sub(footprint(key, e))
	s.digests[place.bucket] ^= mix(place.hash, e.Version)
	s.engine.Delete(place.hash, key)
}

// dueAt is when the sweeper has next to look at an entry, Unix milliseconds: a
// value is buried at its expiry, a tombstone is removed as soon as it is
// kv.Entry.Collectable.
func dueAt(e *kv.Entry, grace time.Duration) int64 {
	switch {
	case e.Tombstone:
		dead := max(e.Version.Millis(), e.Expires)
		if dead > neverDue-grace.Milliseconds()-1 {
			return neverDue
		}
		return dead + grace.Milliseconds() + 1
	case e.Expires != 0:
		return e.Expires
	}
	return neverDue
}
