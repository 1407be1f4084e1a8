package shard

import (
	"fmt"
	"strings"

	"httpdhs/kv"
)

// Eviction is what a store does at Options.MaxBytes.
type Eviction uint8

const (
	// EvictNone refuses what needs more memory.
	EvictNone Eviction = iota

	// EvictS3FIFO forgets values that were not used lately, or only once; see
	// fifo.
	EvictS3FIFO
)

var evictionNames = [...]string{EvictNone: "none", EvictS3FIFO: "s3-fifo"}

func (e Eviction) String() string { return evictionNames[e] }

// ParseEviction reads what String returns.
func ParseEviction(name string) (Eviction, error) {
	for e, n := range evictionNames {
		if n == name {
			return Eviction(e), nil
		}
	}
	return 0, fmt.Errorf("eviction is %q, want %s", name, strings.Join(evictionNames[:], " or "))
}

// evictions is what a shard of a store that evicts has evicted. The shard's
// lock guards it.
type evictions struct {
	entries, bytes int64
	passed         int64 // records of a sync that were not stored

	// mark is the highest version that was evicted since the partition was
	// opened or dropped; 0: none.
	mark kv.Version

	timed  int                             // of the last step
	forget func(hash uint64, r *kv.Record) // Store.forget of the shard, made once
	expiry *sweepPass                      // reused
}

const (
	// ownSteps is how many steps of eviction a write makes in its own shard
	// before it turns to others: a millisecond at worst.
	ownSteps = 8

	// trimSteps is how many a write makes that finds the store above its bound,
	// where compaction has copied much.
	trimSteps = 2

	// fairSlack is the part of its share that a shard may lack and yet has to
	// make its own room.
	fairSlack = 8

	// leastBytes is the table and the ghost of a shard with one entry.
	leastBytes = 2 * pageBytes

	// thinShare is the part of the bound that a smaller table may take beyond
	// it, for as long as there are both.
	thinShare = 256

	// prunesMax bounds the work on what was due of evicted entries, a step.
	prunesMax = 32
)

// forgetter makes what the shard's engine is to call with what it evicts: the
// rest of the shard follows.
func (s *Store) forgetter(sh *shard) func(hash uint64, r *kv.Record) {
	return func(hash uint64, r *kv.Record) {
		place := s.place(hash)
		sh.counts.count(r.Key, &r.Entry, -1)
		sh.digests[place.bucket] ^= mix(hash, r.Version)
		ev := sh.evictions
		ev.entries++
		ev.bytes += int64(len(r.Key) + len(r.Value))
		ev.mark = max(ev.mark, r.Version)
		if r.Expires != 0 {
			ev.timed++
		}
	}
}

// evictStep makes room in a shard and says whether it found anything to do: what
// is known to have expired goes first. The caller holds the shard's lock.
func (s *Store) evictStep(sh *shard, bytes int64) (did bool) {
	engine, ok := sh.engine.(evictor)
	if !ok {
		return false // closed
	}
	defer s.settle(sh, 0)
	began := sh.steps.begin()
	defer sh.steps.end(StepEvict, began)
	ev, now := sh.evictions, s.nowMillis()
	if sh.dues.first() <= now {
		if ev.expiry == nil {
			ev.expiry = &sweepPass{store: s}
		}
		ev.expiry.now = now
		ev.expiry.sweepDue(sh)
		return true
	}
	ev.timed = 0
	did = engine.Evict(now, bytes, ev.forget)
	engine.Thin(max(-s.over(), s.maxBytes/thinShare))
	for range min(ev.timed, prunesMax) {
		sh.prune(s.grace)
	}
	return did
}

// over is how far the store is above its bound, what is reserved included.
func (s *Store) over() int64 { return s.accounted.Load() - s.maxBytes }

// fair is what a shard would take if all took as much, at the bound.
func (s *Store) fair() int64 { return s.maxBytes / int64(len(s.shards)) }

// evictOwn makes room for a record in its own shard and reserves it, if the
// shard is of a size that it can be asked to. It says how much is missing
// otherwise. The caller holds the shard's lock.
func (s *Store) evictOwn(sh *shard, hash uint64, r *kv.Record, reserved int64) (growth, missing int64) {
	for range ownSteps {
		growth = s.growth(sh, hash, r)
		if sh.held < s.fair()-s.fair()/fairSlack || growth > sh.held/2 || !s.evictStep(sh, s.over()+growth-reserved) {
			break
		}
		var ok bool
		if growth, ok = s.reserve(sh, hash, r, reserved); ok {
			return growth, 0
		}
	}
	return 0, max(s.growth(sh, hash, r)-reserved, 1)
}

// mergeEvicting is merge for a write for which so many bytes are missing and
// that its own shard could not make room for. One at a time takes memory from
// all shards, each under its own lock, until what it has reserved is there:
// others may not take it meanwhile, so it gets it. a is what the first try found.
func (s *Store) mergeEvicting(hash uint64, r *kv.Record, o terms, a kv.Applied, missing int64) (_ kv.Applied, err error) {
	if int64(roundToPages(recordSize(r))+leastBytes) > s.maxBytes {
		return a, kv.ErrNoMemory // evict nothing for what will never fit
	}
	s.evicting.Lock()
	defer s.evicting.Unlock()
	reserved := int64(0)
	for {
		s.accounted.Add(missing)
		reserved += missing
		if !s.evictAny() && (!r.Tombstone || s.over() > tombstoneRoom(s.maxBytes)) {
			s.accounted.Add(-reserved)
			return a, kv.ErrNoMemory
		}
		a, missing, err = s.try(hash, r, o, reserved)
		if missing > 0 {
			continue // the shard has changed, and needs more now
		}
		if err != nil || a.Outcome != kv.Stored {
			s.accounted.Add(-reserved)
		}
		return a, err
	}
}

// evictAny evicts until the store is within its bound: from shards that have
// more than their share while there are any, in turns. The caller holds
// s.evicting and no shard's lock.
func (s *Store) evictAny() bool {
	for _, least := range []int64{s.fair(), 0} {
		for idle := 0; idle < len(s.shards); {
			over := s.over()
			if over <= 0 {
				return true
			}
			sh := &s.shards[s.hand]
			sh.mu.Lock()
			did := sh.held > least && s.evictStep(sh, over)
			sh.mu.Unlock()
			if did {
				idle = 0
				continue
			}
			idle++
			s.hand = (s.hand + 1) % len(s.shards)
		}
	}
	return s.over() <= 0
}

// trim brings the store back within its bound where compaction took it past it.
// The caller holds the shard's lock.
func (s *Store) trim(sh *shard) {
	for range trimSteps {
		if !s.trims(sh) || !s.evictStep(sh, s.over()) {
			return
		}
	}
}

// trims says whether trim would take something from a shard. The caller holds
// its lock.
func (s *Store) trims(sh *shard) bool {
	return s.over() > 0 && sh.held >= s.fair()-s.fair()/fairSlack
}

// trimAlone is trim of the shard of a hash for a caller who holds no lock.
func (s *Store) trimAlone(hash uint64) {
	sh := &s.shards[s.place(hash).partition]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	s.trim(sh)
}

// ApplySync is Apply of a record that another owner holds, as a comparison of
// the two has shown. Owners evict differently: what one has evicted the other
// still offers, and would offer for ever. So a record is not stored, and is
// kv.Stale with Current 0, if nothing is held under its key and its version is
// not above the highest that the partition has evicted. Whatever two stores
// hold, no record is stored in one of them twice this way, so they come to
// rest. Tombstones are no different from values here.
//
// What is written, or kept for this node while it was down, goes to Apply.
func (s *Store) ApplySync(hash uint64, r *kv.Record) (kv.Applied, error) {
	return s.merge(hash, r, terms{sync: true})
}

// Evicted says whether the partition has evicted anything since it was opened
// or dropped: then its digests say nothing about what other owners should hold.
func (s *Store) Evicted(partition int) bool {
	sh := &s.shards[partition]
	if sh.evictions == nil {
		return false
	}
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return sh.evictions.mark != 0
}
