// Package disk keeps what a node holds on a disk as well: a log of records, which is cleaned from
// its oldest end. It is a shard.Journal. docs/design/disk.md has the format, and why it is so.
//
//	log.go      what the store tells: buffers, and who waits
//	writer.go   writes what the buffers hold, in rounds; syncer.go makes it last
//	segment.go  the files that are being written, and those before
//	fault.go    what the disk does not take, and what follows
//	take.go     takes the directory, or says what to do; lock.go, who has it
//	load.go     reads the log into the store; replay.go, a segment of it
//	bound.go    what happens at the bound on a directory
//	clean.go    removes the oldest segment; renew.go writes all again
//	backup.go   a point of the log that stays readable
//	check.go    looks through a directory that no node uses
//	meta.go     whose the directory is; dir.go, that it is there
//	block.go, item.go  the format
//	fs.go, os.go       the file system, which tests replace; readonly.go, one that is only read
//
// Invariants:
//
//   - The changes of a partition lie in the log in the order in which they were made.
//   - What counts of the log, replayed, is what memory holds but for what follows from the time:
//     expired values may be values still, collected tombstones may be there, and so may what was
//     evicted.
//   - A segment is removed once all that memory holds of it lies behind it, and is synced.
//   - After a failed sync nothing is believed that was written since the last that succeeded.
//
// Concurrency: all methods of a Log are safe. A stripe's mu is taken under the lock of a shard, and
// nothing under it. Four goroutines belong to a Log: the writer, the syncer, the cleaner
// and the watcher. Close ends them and waits.
package disk
