package shard

import "httpdhs/kv"

// Engine is the table behind one shard. It stores what it is told: the merge
// rule, the counters and the bounds are the shard's. It is not safe for
// concurrent use; the shard's lock guards it. testEngine is its conformance
// suite.
//
// Slices that an engine hands out alias its own memory: they are valid until
// its next Put or Delete, and are not written to. What is passed in does not
// alias it.
type Engine interface {
	// Get returns the entry under the key. Without one, e is zero.
	Get(hash uint64, key []byte) (e kv.Entry, ok bool)

	// Put stores a copy of the record in place of what its key had.
	Put(hash uint64, r *kv.Record)

	// Delete removes the key and says whether it was there.
	Delete(hash uint64, key []byte) bool

	// Scan calls fn with each record whose hash is at least from, in ascending
	// order of hashes and, where these are equal, of keys, until fn returns
	// false. The engine does not change meanwhile; fn does not call it. The
	// record is reused for the next call. A scan that fn ends early may cost
	// as much as ordering all of the engine's hashes, and no more.
	Scan(from uint64, fn func(hash uint64, r *kv.Record) bool)

	// Len is the number of records.
	Len() int
}
