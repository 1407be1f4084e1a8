// Package backup writes, reads and checks backups of clusters. A backup is a data directory a node,
// each a point of that node's log, in a directory or in a tar that may be packed. It has a list of
// what is in it, without which it is not whole.
//
//	create.go   writes a backup, under another name until it is whole
//	sink.go     the directory, or the file, that is written
//	source.go   opens one, whichever form it has; check.go looks it through
//	tar.go      finds the files in a tar; packed.go has the places in one that is packed
//	merge.go    puts the logs of all nodes together, a share of the keys at a time
//	share.go    what of a log belongs to a share
//
// Invariants:
//
//   - What stands under the name of a backup is whole, and was read again before it got the name.
//   - Nothing that was there is overwritten, and nothing that is read is changed.
//   - Of each key the newest version of all nodes counts. What one node has dropped is not dropped
//     of another.
//   - Memory is bounded, whatever the size of a backup.
//
// Concurrency: a Writer, a Source and a Merger are each used by one goroutine, but for
// Writer.Written. Package disk reads a log with several, so a share is safe for these.
package backup
