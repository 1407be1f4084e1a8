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

	turns  uint                            // at which the shard was to make its own room
	timed  int                             // of the last step
	forget func(hash uint64, r *kv.Record) // Store.forget of the shard, made once
	expiry *sweepPass                      // reused
}

const (
	// ownSteps is how many steps of eviction a write makes in its own shard
	// before it turns to others: a millisecond, as a rule.
	ownSteps = 8

	// fairSlack is the part of its share that a shard may lack and yet has to make its own room,
	// but for one time of fairTurns. So where one shard has much, others come by their shares.
	fairSlack = 8
	fairTurns = 16

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

// evictOwn makes room for a record in its own shard and reserves it, if the shard is large enough
// to be asked. Otherwise it says how much is missing. The caller holds the shard's lock.
func (s *Store) evictOwn(sh *shard, hash uint64, r *kv.Record, reserved int64) (growth, missing int64) {
	least := s.fair() - s.fair()/fairSlack
	if sh.evictions.turns++; sh.evictions.turns%fairTurns == 0 {
		least = s.fair()
	}
	for range ownSteps {
		growth = s.growth(sh, hash, r)
		if sh.held < least || growth > sh.held/2 || !s.evictStep(sh, s.over()+growth-reserved) {
			break
		}
		var ok bool
		if growth, ok = s.reserve(sh, hash, r, reserved, s.maxBytes); ok {
			return growth, 0
		}
	}
	return 0, max(s.growth(sh, hash, r)-reserved, 1)
}

// evictAny evicts until the store is within its bound, or nothing is left: from
// shards that have more than their share while there are any, in turns. The
// caller holds s.short and no shard's lock.
func (s *Store) evictAny() {
	for _, least := range []int64{s.fair(), 0} {
		for idle := 0; idle < len(s.shards); {
			over := s.over()
			if over <= 0 {
				return
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
}

// ApplySync is Apply of a record that another owner holds, as a comparison of the two has shown.
// Owners evict differently: what one has evicted the other still offers, and would offer for ever.
// So a record is not stored, and is kv.Stale with Current 0, if two things hold. Nothing is held
// under its key, and its version is not above the highest that the partition has evicted. Whatever
// two stores hold, no record is stored in one of them twice this way, so they come to rest.
// Tombstones are no different from values here.
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
