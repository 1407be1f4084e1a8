package shard

import (
	"fmt"
	"math"

	"httpdhs/kv"
)

// Apply merges a copy of the record into what is held, by kv.Entry.Supersedes. The same records
// leave the same state in any order and any number.
//
// A record that is collectable now (kv.Entry.Collectable) is not stored, whether there is an older
// one or nothing. Its deletion no longer counts, and a peer that still sends it must not keep it
// alive. That is kv.Stale, or kv.Same if it is held and not swept yet.
//
// The error is kv.ErrNoMemory, and nothing was changed, where the write needs more than it frees
// and Options.MaxBytes has no room for the difference. Room is made first, if it can be: from what
// is dead or expired, in bounded steps, or, with Options.Eviction, from values. For tombstones
// there is a little more room (tombstoneRoom), or a node that is full could not be told to delete
// what it lacks.
//
// Where Options.Journal takes nothing more the error wraps kv.ErrNoDisk, and nothing was changed.
// Then the answer tells nothing of what is held.
//
// A record without a version is kv.ErrFormat. With an error the outcome means nothing; the rest of
// the answer still tells what is held. After Close, which holds nothing, the error is
// kv.ErrStopping.
func (s *Store) Apply(hash uint64, r *kv.Record) (kv.Applied, error) {
	return s.merge(hash, r, terms{})
}

// Decide carries out the decision on what is held, under the shard's lock, and is Apply of the
// record that comes of it. Nothing may come of it: that is kv.Kept. Where the decision's version is
// held already, an earlier try was carried out: that is kv.Same.
func (s *Store) Decide(hash uint64, d *kv.Decision) (kv.Applied, error) {
	return s.merge(hash, &d.Record, terms{decision: d})
}

// terms are what else a record is offered with.
type terms struct {
	decision *kv.Decision // makes the record, which is its own; nil: it is given
	sync     bool         // see ApplySync
	restore  bool         // see Restore

	// window is set by a caller who holds the locks of other shards. No room is made then, neither
	// for the record, which is reported missing, nor to trim.
	window bool
}

func (s *Store) merge(hash uint64, r *kv.Record, o terms) (kv.Applied, error) {
	if err := s.journal.Admit(r.Tombstone && o.decision == nil); err != nil {
		return kv.Applied{}, err
	}
	a, missing, err := s.try(hash, r, o, 0)
	if missing > 0 {
		return s.mergeShort(hash, r, o, a, missing)
	}
	return a, err
}

// mergeShort is merge for a write that lacks so many bytes, for which its own shard could not make
// room. One such write at a time takes memory from all shards, each under its own lock, until what
// it has reserved is there. Others may not take it meanwhile, so it gets it. a is what the first
// try found.
func (s *Store) mergeShort(hash uint64, r *kv.Record, o terms, a kv.Applied, missing int64) (_ kv.Applied, err error) {
	if int64(roundToPages(recordSize(r))+leastBytes) > s.maxBytes {
		return a, kv.ErrNoMemory // move and evict nothing for what will never fit
	}
	s.short.Lock()
	defer s.short.Unlock()
	reserved, steps := int64(0), regainSteps+missing/regainStepBytes
	for {
		s.accounted.Add(missing)
		reserved += missing
		if s.eviction != EvictNone {
			s.evictAny()
		} else {
			steps = s.regain(steps)
		}
		if over := s.over(); over > 0 && (!r.Tombstone || over > tombstoneRoom(s.maxBytes)) {
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

// try merges a record for which so much is reserved. Where that is not enough and the shard cannot
// make room, it says how much is missing, and nothing was merged. The reservation then stays, as it
// does where the record is not stored.
func (s *Store) try(hash uint64, r *kv.Record, o terms, reserved int64) (a kv.Applied, missing int64, err error) {
	place := s.place(hash)
	sh := &s.shards[place.partition]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return s.tryLocked(sh, place, r, o, reserved)
}

// tryLocked is try for a caller who holds the lock of the shard.
func (s *Store) tryLocked(sh *shard, place place, r *kv.Record, o terms, reserved int64) (a kv.Applied, missing int64, err error) {
	hash := place.hash
	switch {
	case r.Version == 0:
		return kv.Applied{}, 0, fmt.Errorf("%w: record has no version", kv.ErrFormat)
	case sh.closed:
		return kv.Applied{}, 0, kv.ErrStopping
	}
	if !o.sync && !o.restore {
		sh.writes++
	}
	held, _ := sh.engine.Get(hash, r.Key)
	var now int64
	if r.Tombstone || r.Expires != 0 || held.Expires != 0 || o.decision != nil {
		now = s.nowMillis() // reading the clock costs as much as the lookup; most writes need none
	}
	a = kv.Applied{Existed: held.Live(now), Current: held.Version}
	if d := o.decision; d != nil {
		if held.Version == r.Version {
			d.Repeat(&held)
			a.Outcome = kv.Same
			return a, 0, nil
		}
		if d.Decide(&held, now); !d.Changed {
			a.Outcome = kv.Kept
			return a, 0, nil
		}
	}
	switch {
	case held.Version == r.Version && !r.Supersedes(&held):
		a.Outcome = kv.Same
		return a, 0, nil
	case o.sync && sh.passes(&held, r):
		a.Outcome = kv.Stale
		return a, 0, nil
	case !o.restore && r.Collectable(now, s.grace) || !r.Supersedes(&held):
		a.Outcome = kv.Stale
		return a, 0, nil
	}
	growth, ok := s.reserve(sh, hash, r, reserved, s.bound(r, o))
	if !ok {
		if o.window {
			return a, 1, nil
		}
		makeRoom := s.squeezeOwn
		if s.eviction != EvictNone {
			makeRoom = s.evictOwn
		}
		if growth, missing = makeRoom(sh, hash, r, reserved); missing > 0 {
			return a, missing, nil
		}
		held, _ = sh.engine.Get(hash, r.Key) // it may have moved, or gone, too
	}
	sh.put(place, r, &held, s.grace)
	s.journal.Put(place.partition, r)
	s.settle(sh, growth)
	if !o.window {
		s.trim(sh)
	}
	a.Outcome, a.Current = kv.Stored, r.Version
	return a, 0, nil
}

// growth bounds what a Put of r will add to what the shard takes.
func (s *Store) growth(sh *shard, hash uint64, r *kv.Record) int64 {
	growth := sh.engine.Growth(hash, r)
	if r.Tombstone || r.Expires != 0 {
		growth += sh.dues.growth()
	}
	return growth
}

// reserve accounts for what a Put of r will take beyond what is reserved, if there is room for it,
// and returns the sum. Writes to several shards at once never exceed the bound together. What finds
// no room is not accounted for, not even for a moment: others would make room for it, or be
// refused.
func (s *Store) reserve(sh *shard, hash uint64, r *kv.Record, reserved, bound int64) (growth int64, ok bool) {
	if s.maxBytes == 0 {
		return 0, true
	}
	growth = s.growth(sh, hash, r)
	if growth <= reserved {
		return reserved, true
	}
	for {
		now := s.accounted.Load()
		then := now + growth - reserved
		if then > bound {
			return 0, false
		}
		if s.accounted.CompareAndSwap(now, then) {
			return growth, true
		}
	}
}

// bound is what the store may take with a record. What it held before a restart is taken wherever
// that leads, or a full node could not be started again: it lies in memory in another order, and so
// may take more. A store that evicts makes room for it.
func (s *Store) bound(r *kv.Record, o terms) int64 {
	switch {
	case s.eviction != EvictNone:
		return s.maxBytes
	case o.restore:
		return math.MaxInt64
	case r.Tombstone:
		return s.maxBytes + tombstoneRoom(s.maxBytes)
	}
	return s.maxBytes
}

// tombstoneRoom is how far tombstones may take a store beyond its bound: 5 % and at least some
// pages. So the bound stays a bound, whoever deletes keys that do not exist.
func tombstoneRoom(maxBytes int64) int64 { return max(maxBytes/20, 64<<10) }

// settle accounts for what the shard takes now, of which so much was reserved.
// The caller holds the shard's lock and has changed its engine.
func (s *Store) settle(sh *shard, reserved int64) {
	m := sh.memory()
	held := m.Total()
	if delta := held - sh.held - reserved; delta != 0 {
		s.accounted.Add(delta)
	}
	sh.held = held
	if sh.gift != nil {
		sh.gift.set(sh.dues.first(), &m)
	}
}
