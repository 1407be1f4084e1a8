// Package format reads streams of pairs and of operations, as /load-data and
// /batch take them, and writes the results of a batch. It knows TSV, CSV,
// NDJSON and the binary records of package kv.
//
// A Reader takes the stream in blocks. All that it reads from a block aliases the block's memory.
// So a block may be read from the network while the operations of the one before are still being
// carried out. TSV and binary records cost no allocation at all.
//
// What holds for every format:
//
//   - A record that is wrong is reported with its line and stops no other:
//     the Reader goes on at the next line (in the binary format, at the next
//     record, for as long as the heads of records can be read).
//   - Memory is bounded by the longest record that the limits allow, whatever
//     the stream holds: a line without an end or a quote that is never closed
//     is an error, and is skipped without being kept.
//   - Text that is packed, with gzip say, is refused before anything of it is
//     read: it would else be lines of garbage, some of them with a tab.
//   - The size of the blocks changes nothing in the outcome.
//   - Where the stream breaks off with an error, what is cut in two is dropped
//     and not taken for a shorter record.
//
// A Reader and its Blocks belong to one goroutine at a time.
package format
