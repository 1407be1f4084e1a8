// Package kv holds the nouns of httpdhs. A Record is a key with its Entry. An Entry is a value or a
// tombstone with its Version. A Version comes from a Clock. An Op is what a client wants done with
// one key. A Decision is what a primary makes of several.
//
// The package also owns everything that all nodes have to agree on to the bit: the hash of a key,
// the merge rule (Entry.Supersedes), the record encoding (AppendRecord, DecodeRecord), and the
// limits and errors of every layer. It imports nothing else of the house and does no I/O.
//
// Byte slices in these types alias memory of whoever made them. A function that keeps one beyond
// its return copies it and says so.
package kv
