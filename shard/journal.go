package shard

import (
	"time"

	"httpdhs/kv"
)

// Journal keeps what a store holds elsewhere, such as on a disk. It is told of each change of a
// shard under the shard's lock, in the order of the changes. So only Admit, Durable
// and Sync wait. It is not told of what follows from what it knows and from the time: that expired
// values turn into tombstones, and that these are collected. Nor is it told of evictions: what it
// gives back at the next start may be evicted again.
type Journal interface {
	// Put is told that the record is held in a partition. The record is copied.
	Put(partition int, r *kv.Record)

	// Drop is told that the partition was emptied.
	Drop(partition int)

	// Admit waits until there is room for more changes. With an error, which wraps kv.ErrNoDisk,
	// the store changes nothing. It is called without a lock, before each change. A delete may be
	// admitted where another change is not.
	Admit(delete bool) error

	// Durable waits until all that it was told of before lasts as the settings promise, or the time
	// has come; the zero time never does. The error wraps kv.ErrNoDisk: it does not, or not yet.
	Durable(until time.Time) error

	// Sync is Durable whatever the settings promise: until it is on the disk.
	Sync() error
}

// noJournal is the journal of a store without one.
type noJournal struct{}

func (noJournal) Put(int, *kv.Record)     {}
func (noJournal) Drop(int)                {}
func (noJournal) Admit(bool) error        { return nil }
func (noJournal) Durable(time.Time) error { return nil }
func (noJournal) Sync() error             { return nil }

// Durable waits until all changes that were made before last, as Options.Journal promises. Without
// one it returns at once.
func (s *Store) Durable(until time.Time) error { return s.journal.Durable(until) }

// Sync waits until all changes that were made before are on the disk, if there is a journal.
func (s *Store) Sync() error { return s.journal.Sync() }

// LiveBytes is what records take that are held: Memory.Live of Stats.
func (s *Store) LiveBytes() int64 { return s.Stats().Memory.Live }

// Again tells the journal once more of the entry under a key, if it is of this version. It says
// whether it was.
func (s *Store) Again(hash uint64, key []byte, v kv.Version) bool {
	place := s.place(hash)
	sh := &s.shards[place.partition]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	held, ok := sh.engine.Get(hash, key)
	if !ok || held.Version != v {
		return false
	}
	s.journal.Put(place.partition, &kv.Record{Key: key, Entry: held})
	return true
}

// Mark is the highest version that a partition has evicted; 0: none.
func (s *Store) Mark(partition int) kv.Version {
	sh := &s.shards[partition]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.evictions == nil {
		return 0
	}
	return sh.evictions.mark
}

// RaiseMark has a partition take it that it has evicted a version, as it had before a restart.
func (s *Store) RaiseMark(partition int, v kv.Version) {
	sh := &s.shards[partition]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.evictions != nil {
		sh.evictions.mark = max(sh.evictions.mark, v)
	}
}
