package shard

import "httpdhs/kv"

// engine is the table behind one shard. It stores what it is told: the merge
// rule, the counters and the bounds are the shard's. It is not safe for
// concurrent use; the shard's lock guards it. testEngine is its conformance
// suite.
//
// Slices that an engine hands out alias its own memory: they are valid until
// its next Put, Delete, Tidy, Squeeze or Close, and are not written to. What is passed
// in does not alias it. A hash is always that of its key.
type engine interface {
	// Get returns the entry under the key. Without one, e is zero.
	Get(hash uint64, key []byte) (e kv.Entry, ok bool)

	// Read is Get for a reader: it counts as a use, where that matters for what
	// is evicted.
	Read(hash uint64, key []byte) (e kv.Entry, ok bool)

	// Put stores a copy of the record in place of what its key had.
	Put(hash uint64, r *kv.Record)

	// Delete removes the key and says whether it was there.
	Delete(hash uint64, key []byte) bool

	// Scan calls fn with each record whose hash is at least from, in ascending
	// order of hashes and, where these are equal, of keys, until fn returns
	// false. The engine does not change meanwhile; fn does not call it. The
	// record is reused for the next call.
	Scan(from uint64, fn func(hash uint64, r *kv.Record) bool)

	// Len is the number of records.
	Len() int

	// Memory is what the engine takes; with nothing in it, nothing.
	Memory() Memory

	// Growth bounds what a Put of the record would add to Memory's total, in
	// bytes. It may be less than zero.
	Growth(hash uint64, r *kv.Record) int64

	// Tidy does a bounded piece of work that the engine has put off, such as
	// compaction, and says whether there is more.
	Tidy() (more bool)

	// Squeeze is Tidy for a store that is full: it compacts down to the last dead
	// byte, and gives memory back as it goes. It says whether it did anything.
	Squeeze() (did bool)

	// Close gives the engine's memory back. It is empty then.
	Close()
}

// evictor is an engine that can forget records, by itself or where asked.
type evictor interface {
	engine

	// Evict does a step of making room, and says whether it did anything. It forgets values until
	// so many bytes of memory are free, or a bounded amount of work is done. Values that have
	// expired by now go whether they were used or not; tombstones stay. It calls forget with each
	// before it goes. forget does not call the engine, and the record is valid in it only.
	Evict(now, bytes int64, forget func(hash uint64, r *kv.Record)) (did bool)

	// Thin begins to give back what the index has too much, if it needs at most
	// so many bytes for that.
	Thin(bytes int64)
}

// closedEngine is that of all shards of a store that is closed: it holds nothing.
type closedEngine struct{}

func (closedEngine) Get(uint64, []byte) (kv.Entry, bool)        { return kv.Entry{}, false }
func (closedEngine) Read(uint64, []byte) (kv.Entry, bool)       { return kv.Entry{}, false }
func (closedEngine) Put(uint64, *kv.Record)                     { panic("BUG: put into a closed store") }
func (closedEngine) Delete(uint64, []byte) bool                 { return false }
func (closedEngine) Scan(uint64, func(uint64, *kv.Record) bool) {}
func (closedEngine) Len() int                                   { return 0 }
func (closedEngine) Memory() Memory                             { return Memory{} }
func (closedEngine) Growth(uint64, *kv.Record) int64            { return 0 }
func (closedEngine) Tidy() bool                                 { return false }
func (closedEngine) Squeeze() bool                              { return false }
func (closedEngine) Close()                                     {}
