package shard

import (
	"sync"
	"sync/atomic"

	"httpdhs/kv"
)

// shard is one stripe of the store: the entries of one partition and what is
// known of them all. Every change to the engine goes through put and remove,
// which keep the rest in step. What a write needs of it is in its first two cache lines, and in one
// of the digests.
type shard struct {
	near atomic.Uint32 // never written, not guarded: see window.lock

	mu sync.Mutex // guards all below

	reads  uint32 // see Traffic
	engine engine
	counts counts
	closed bool // the engine is empty and stays so

	writes uint32 // see Traffic

	// dues has the hash and the time of every entry for which something is due one day. It also has
	// some that were replaced: prune bounds these.
	dues dueQueue
	gift *gift // nil: nobody asks

	// held is the part of Store.accounted that is this shard's.
	held int64

	digests [Buckets]uint64

	hand  int // the next of dues to be looked at by prune
	steps stepper

	evictions *evictions // nil: nothing is evicted

	// The next shard in the slice, which other cores lock, begins with a cache line of its own.
	_ [24]byte
}

const cacheLineBytes = 64

// memory is what the shard takes.
func (s *shard) memory() Memory {
	m := s.engine.Memory()
	m.Index += s.dues.bytes()
	return m
}

// put stores r in place of old (zero: nothing was there). The caller holds mu.
func (s *shard) put(place place, r *kv.Record, old *kv.Entry, grace kv.Grace) {
	s.counts.count(r.Key, &r.Entry, 1)
	d := mix(place.hash, r.Version)
	was := int64(neverDue)
	if old.Exists() {
		s.counts.count(r.Key, old, -1)
		d ^= mix(place.hash, old.Version)
		was = dueAt(old, grace)
	}
	s.digests[place.bucket] ^= d
	s.engine.Put(place.hash, r)
	if due := dueAt(&r.Entry, grace); due != was {
		s.schedule(place.hash, due, grace)
	}
}

// remove takes out the key, under which e is held. The caller holds mu.
func (s *shard) remove(place place, key []byte, e *kv.Entry) {
	s.counts.count(key, e, -1)
	s.digests[place.bucket] ^= mix(place.hash, e.Version)
	s.engine.Delete(place.hash, key)
}

// empty goes on with another engine, which is empty. It returns the old one, for
// the caller to close, and what the shard held.
func (s *shard) empty(engine engine) (old engine, held int64) {
	old, held = s.engine, s.held
	s.engine, s.held = engine, 0
	s.counts, s.digests = counts{}, [Buckets]uint64{}
	s.dues.reset()
	s.hand = 0
	if s.gift != nil {
		s.gift.set(neverDue, &Memory{})
	}
	if s.evictions != nil {
		s.evictions.mark = 0 // it has to be filled again
	}
	return old, held
}

// passes says whether a record of a sync is not to be stored, and counts it.
func (s *shard) passes(held *kv.Entry, r *kv.Record) bool {
	if s.evictions == nil || held.Exists() || r.Version > s.evictions.mark {
		return false
	}
	s.evictions.passed++
	return true
}

// schedule makes the sweeper look at a hash at a time.
func (s *shard) schedule(hash uint64, at int64, grace kv.Grace) {
	if at != neverDue {
		s.dues.push(due{at, hash})
	}
	s.prune(grace)
}

const (
	// staleMin is how many stale dues are not worth looking for.
	staleMin = 32

	// pruneSteps is how many dues are looked at with each that is added while
	// more than half are stale: it finds stale ones faster than they come.
	pruneSteps = 4
)

// prune bounds the dues of entries that were replaced before they were due. One
// is not stale where an expiry went there and came back; as long as it goes
// back and forth, half of them are at any time.
func (s *shard) prune(grace kv.Grace) {
	for range pruneSteps {
		if s.dues.n <= 2*s.counts.timed+staleMin {
			return
		}
		if s.hand >= s.dues.n {
			s.hand = 0
		}
		if s.stale(*s.dues.at(s.hand), grace) {
			s.dues.remove(s.hand)
		} else {
			s.hand++
		}
	}
}

// stale says whether no entry is due then any more.
func (s *shard) stale(d due, grace kv.Grace) bool {
	stale := true
	s.engine.Scan(d.hash, func(hash uint64, r *kv.Record) bool {
		if hash != d.hash {
			return false
		}
		stale = dueAt(&r.Entry, grace) != d.at
		return stale
	})
	return stale
}
