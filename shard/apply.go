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
// more than it frees and Options.MaxBytes has no room for the difference. A
// tombstone is stored even then, or a node that is full could never be told to
// delete: it exceeds the bound by EntryOverheadBytes and its key at most, for
// Options.Grace. A record without a version is kv.ErrFormat. With an error the
// outcome means nothing; the rest of the answer still tells what is held.
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
	if r.Version == 0 {
		return kv.Applied{}, fmt.Errorf("%w: record has no version", kv.ErrFormat)
	}
	place := s.place(hash)
	sh := &s.shards[place.partition]
	sh.mu.Lock()
	defer sh.mu.Unlock()

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
	if !s.reserve(r, &held) {
		return a, kv.ErrNoMemory
	}
	sh.put(place, r, &held, s.grace)
	a.Outcome, a.Current = kv.Stored, r.Version
	return a, nil
}

// reserve accounts for r in place of old, if there is room for it.
// Writes to several shards at once never exceed the bound together; where one
// of them would still fit, all may be refused.
func (s *Store) reserve(r *kv.Record, old *kv.Entry) bool {
	delta := footprint(r.Key, &r.Entry).Accounted
	if old.Exists() {
		delta -= footprint(r.Key, old).Accounted
	}
	if delta == 0 {
		return true
	}
	used := s.accounted.Add(delta)
	if delta < 0 || r.Tombstone || s.maxBytes == 0 || used <= s.maxBytes {
		return true
	}
	s.accounted.Add(-delta)
	return false
}
