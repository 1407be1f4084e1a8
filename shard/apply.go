package shard

import (
	"fmt"

	"httpdhs/kv"
)

// Apply merges a copy of the record into what is held, by
// kv.Entry.Supersedes: the same records leave the same state in any order and
// any number.
//
// A record that is collectable now (kv.Entry.Collectable) is not stored, be
// there an older one or nothing: its deletion no longer counts, and a peer
// that still sends it must not keep it alive. That is kv.Stale, or kv.Same if
// it is held and not swept yet.
//
// The error is kv.ErrNoMemory, and nothing was changed, where the write needs
// more than it frees and Options.MaxBytes has no room for the difference. For
// tombstones there is a little more room (tombstoneRoom), or a node that is
// full could not be told to delete what it lacks. A record without
// a version is kv.ErrFormat. With an error the outcome means nothing; the rest
// of the answer still tells what is held. After Close, which holds nothing, the
// error is kv.ErrStopping.
func (s *Store) Apply(hash uint64, r *kv.Record) (kv.Applied, error) {
	return s.merge(hash, r, nil)
}

// ApplyIf is Apply of a record whose condition holds for what is held, decided
// under the shard's lock. A record whose version is held already was applied
// by an earlier try: that is kv.Same, whatever the condition says now. Otherwise
// the error is kv.ErrConditionFailed where the condition does not hold.
func (s *Store) ApplyIf(hash uint64, r *kv.Record, c *kv.Condition) (kv.Applied, error) {
	return s.merge(hash, r, c)
}

func (s *Store) merge(hash uint64, r *kv.Record, c *kv.Condition) (kv.Applied, error) {
	place := s.place(hash)
	sh := &s.shards[place.partition]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return s.mergeLocked(sh, place, r, c)
}

// mergeLocked is merge for a caller who holds the lock of the shard.
func (s *Store) mergeLocked(sh *shard, place place, r *kv.Record, c *kv.Condition) (kv.Applied, error) {
	hash := place.hash
	switch {
	case r.Version == 0:
		return kv.Applied{}, fmt.Errorf("%w: record has no version", kv.ErrFormat)
	case sh.closed:
		return kv.Applied{}, kv.ErrStopping
	}
	held, _ := sh.engine.Get(hash, r.Key)
	var now int64
	if r.Tombstone || r.Expires != 0 || held.Expires != 0 {
		now = s.nowMillis() // reading the clock costs as much as the lookup; most writes need none
	}
	a := kv.Applied{Existed: held.Live(now), Current: held.Version}
	if c != nil && held.Version != r.Version && !c.Holds(held.Version, a.Existed) {
		return a, kv.ErrConditionFailed
	}
	switch {
	case held.Version == r.Version && (c != nil || !r.Supersedes(&held)):
		a.Outcome = kv.Same
		return a, nil
	case r.Collectable(now, s.grace) || !r.Supersedes(&held):
		a.Outcome = kv.Stale
		return a, nil
	}
	growth, ok := s.reserve(sh, hash, r)
	for steps := 0; !ok && steps < tidyStepsMax; steps++ {
		more := sh.engine.Tidy()
		s.settle(sh, 0)
		if growth, ok = s.reserve(sh, hash, r); !more {
			break
		}
	}
	if !ok {
		return a, kv.ErrNoMemory
	}
	sh.put(place, r, &held, s.grace)
	s.settle(sh, growth)
	a.Outcome, a.Current = kv.Stored, r.Version
	return a, nil
}

// tidyStepsMax is how many steps of compaction a write may wait for that would
// be refused: less than a millisecond.
const tidyStepsMax = 8

// reserve accounts for what a Put of r will take, if there is room for it.
// Writes to several shards at once never exceed the bound together; where one
// of them would still fit, all may be refused.
func (s *Store) reserve(sh *shard, hash uint64, r *kv.Record) (growth int64, ok bool) {
	if s.maxBytes == 0 {
		return 0, true
	}
	growth = sh.engine.Growth(hash, r)
	if r.Tombstone || r.Expires != 0 {
		growth += sh.dues.growth()
	}
	if growth <= 0 {
		return 0, true
	}
	bound := s.maxBytes
	if r.Tombstone {
		bound += tombstoneRoom(s.maxBytes)
	}
	if s.accounted.Add(growth) <= bound {
		return growth, true
	}
	s.accounted.Add(-growth)
	return 0, false
}

// tombstoneRoom is how far tombstones may take a store beyond its bound, 5 % and
// at least some pages, so that the bound stays one, whoever deletes keys that do
// not exist.
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
}
