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
//   - an entry in need of the sweeper is due no earlier than the shard says,
//     so that a shard in which nothing is due is not walked.
//
// A Store is safe for concurrent use. Each shard has one plain mutex, held for
// table operations only: never across I/O or a channel. The only callback that
// runs under it is that of Scan, which may do nothing but copy. The table
// itself, the Engine, is not safe for concurrent use and does not have to be.
// No two shards are ever locked at once. One goroutine, the sweeper, belongs
// to the Store; Close waits for it.
package shard
