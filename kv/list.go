package kv

import "time"

// ListRequest asks for a page of the cluster's keys in the order of their hashes. That order is the
// same at every node and does not change.
type ListRequest struct {
	Prefix   []byte
	From     uint64 // the first hash of the page
	Limit    int    // the most records; a run of equal hashes is not split
	Bytes    int    // of records, in all: up to twice as many come, or one longer record; 0: 4 MiB
	Values   bool   // with values
	Deadline time.Time
}

// Page is a part of a listing, in the order of the hashes.
type Page struct {
	Records []Record

	// Next is the From of the page that follows, if there may be more.
	Next uint64
	More bool
}

// ClearRequest asks for the keys that begin with Prefix to be deleted. They go in the order of a
// listing.
type ClearRequest struct {
	Prefix   []byte
	From     uint64 // the first hash
	Write    Level
	Deadline time.Time
}

// Cleared is how far a ClearRequest has come.
type Cleared struct {
	Deleted int64

	// Next is the From of the request that goes on, if there may be more.
	Next uint64
	More bool
}
