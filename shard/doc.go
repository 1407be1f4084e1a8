// Package shard is what this node holds: a lock-striped map from keys to
// entries, one stripe (a shard) a partition.
//
// A Store is opened with a power of two of partitions. The high bits of a
// key's hash are its partition, so a partition is at once the unit of locking,
// of digests, of listing and of transfer. The store knows nothing of owners:
// it holds what it is given, and merges it by the rule of package kv.
//
// What holds at every moment, for each shard under its lock:
//
//   - at most one entry a key; keys are compared in full, so that two keys of
//     one hash are two entries;
//   - a held entry is replaced only by one that supersedes it
//     (kv.Entry.Supersedes), hence the order in which records arrive does not
//     matter;
//   - the shard's counters and bucket digests are those that would be
//     recomputed from its entries;
//   - every entry of which something is due one day is in the shard's queue at
//     that time, so that the sweeper looks at what is due and at nothing else;
//   - the sum of what the shards take is known, and a write that would pass
//     Options.MaxBytes is refused before anything is changed.
//
// A Store is safe for concurrent use. Each shard has one plain mutex, held for
// table operations only: never across I/O or a channel. The only callback that
// runs under it is that of Scan, which may do nothing but copy. The table
// itself, the engine, is not safe for concurrent use and does not have to be.
// ApplyAll and Touch alone lock more than one shard at once, a bounded number,
// in the order of the partitions (window.go); who holds the lock of a shard
// waits for no other's. One goroutine, the sweeper, belongs to the Store; Close
// waits for it.
//
// There are two engines: the packed one, which keeps records in memory without
// pointers outside of the Go heap (docs/design/store.md), and a plain Go map,
// the reference that tests compare it with.
package shard
