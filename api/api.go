// Package api defines the JSON documents of the HTTP interface. Nodes write them, package client
// returns them, and a program with an HTTP client of its own can read them with encoding/json.
//
// All sizes are in bytes. Times are RFC 3339 in JSON. A later version may add members, so a reader
// should ignore those that it does not know.
package api

import "time"

// States of a member, as the node that answers sees it.
const (
	StateActive  = "active"  // up, and holds its share of the data
	StateJoining = "joining" // up, but does not hold its share yet
	StateLeaving = "leaving" // up, and handing its data over or stopping
	StateDown    = "down"    // does not answer
)

// Cluster is the document of GET /cluster.
type Cluster struct {
	Node string `json:"node"` // who answers
	Ring string `json:"ring"` // fingerprint of the partition table for reads, 16 hex digits

	// Target is the fingerprint of the partition table that will replace Ring. Absent: the ring
	// is not changing.
	Target string `json:"target,omitempty"`

	Replicas    int    `json:"replicas"`
	Partitions  int    `json:"partitions"`
	Partitioner string `json:"partitioner"`
	Nodes       []Node `json:"nodes"` // sorted by name
}

// Node is one member in a Cluster. Of a node that is down, it has what the node said last.
type Node struct {
	Name   string `json:"name"`             // host:port
	Resp   string `json:"resp,omitempty"`   // host:port where it speaks the Redis protocol; absent: nowhere
	State  string `json:"state"`            // one of the constants above
	Reason string `json:"reason,omitempty"` // why it is not active

	// DownSince is when the node that answers found this one down. Absent: it is up.
	DownSince time.Time `json:"down_since,omitzero"`

	Zone       string `json:"zone,omitempty"`
	Weight     int    `json:"weight"`
	Keys       int64  `json:"keys"`       // live keys that it stores
	Bytes      int64  `json:"bytes"`      // of their keys and values
	Tombstones int64  `json:"tombstones"` // deleted keys still remembered

	// UnderReplicated are keys with fewer copies that are up and in sync than Cluster.Replicas.
	// Each such key is counted by one node, so those of all nodes can be added.
	UnderReplicated int64 `json:"under_replicated"`

	Memory            Memory `json:"memory"`         // that its store takes
	Disk              *Disk  `json:"disk,omitempty"` // that its --data-dir takes; absent: it has none
	PrimaryPartitions int    `json:"primary_partitions"`
	ReplicaPartitions int    `json:"replica_partitions"`

	// TargetPartitions is how many partitions it owns, in either role, by Cluster.Target.
	TargetPartitions int `json:"target_partitions,omitempty"`

	HintBytes int64   `json:"hint_bytes"`          // writes that the node that answers keeps for it
	Moving    *Moving `json:"moving,omitempty"`    // what it is fetching; absent: nothing
	HandOver  int     `json:"hand_over,omitempty"` // partitions that it has still to hand over

	Version string    `json:"version,omitempty"`
	Started time.Time `json:"started,omitzero"`
}

// Moving is how far a node is with fetching what it is to own.
type Moving struct {
	Partitions  int     `json:"partitions"`   // to compare with other owners, each once an owner
	Done        int     `json:"done"`         // of them
	Bytes       int64   `json:"bytes"`        // fetched
	BytesLeft   int64   `json:"bytes_left"`   // to fetch, as far as can be told from those done
	Rate        float64 `json:"rate"`         // bytes a second
	SecondsLeft float64 `json:"seconds_left"` // at that rate
}

// Leaving is the answer of POST /cluster/leave.
type Leaving struct {
	Node       string `json:"node"`       // who leaves
	State      string `json:"state"`      // always "leaving"
	Partitions int    `json:"partitions"` // that it has still to hand over
	Bytes      int64  `json:"bytes"`      // of keys and values that it holds
	Message    string `json:"message"`    // what happens, and how to follow it
}

// Recovery is the answer of POST /cluster/recover: what was given up.
type Recovery struct {
	Node string `json:"node"` // who was asked

	// Released: it had waited for members, since it was away for long. It
	// goes on with what it held.
	Released bool `json:"released"`

	Removed   []string `json:"removed"`             // members that were down, and are none any more
	Starting  []string `json:"starting,omitempty"`  // members that do not serve yet, and were left alone
	Undecided []string `json:"undecided,omitempty"` // members of which it is not known yet whether they are down: ask again
}

// Memory is what a node's store takes, by kind, in bytes, and what it has evicted.
type Memory struct {
	Live     int64 `json:"live"`          // records that are held
	Dead     int64 `json:"dead"`          // where records were, until it is used or given back
	Segments int64 `json:"segments"`      // all that records lie in: live, dead and what is unused
	Index    int64 `json:"index"`         // tables, and what finds entries that expire
	Used     int64 `json:"used"`          // of max: segments and index, but what is dead in them
	Max      int64 `json:"max,omitempty"` // --max-memory; absent: none

	// With --eviction, since the node was started: entries, and the bytes of
	// their keys and values. Absent: none.
	Evicted      int64 `json:"evicted,omitempty"`
	EvictedBytes int64 `json:"evicted_bytes,omitempty"`
}

// Disk is what a node's data directory takes, in bytes.
type Disk struct {
	Bytes    int64 `json:"bytes"`         // of its log
	Unsynced int64 `json:"unsynced"`      // of that, written and not synced yet
	Max      int64 `json:"max,omitempty"` // --max-disk; absent: none
	Failing  bool  `json:"failing"`       // writes are refused there
}

// Ready is the answer of GET /readyz in JSON, where it is 200.
type Ready struct {
	Ready  bool  `json:"ready"`               // always true
	Used   int64 `json:"memory_used"`         // bytes that the store needs
	Max    int64 `json:"memory_max,omitzero"` // --max-memory; absent: none
	IsFull bool  `json:"full"`                // writes that need more memory get a 507, or soon will
}

// Ring is the document of GET /cluster/ring: what a client needs to send each
// request to an owner. The partition of a key is the high bits of the xxh3
// (64 bits, seed 0) of its bytes: hash >> (64 - log2(partitions)).
type Ring struct {
	Fingerprint string     `json:"fingerprint"`
	Hash        string     `json:"hash"` // always "xxh3-64"
	Partitioner string     `json:"partitioner"`
	Partitions  int        `json:"partitions"`
	Replicas    int        `json:"replicas"`
	Nodes       []RingNode `json:"nodes"`
	Owners      [][]uint16 `json:"owners"` // a partition's owners as indices of Nodes, primary first
}

// RingNode is a member in a Ring.
type RingNode struct {
	Name   string `json:"name"`
	Zone   string `json:"zone,omitempty"`
	Weight int    `json:"weight"`
}

// Key is the document of GET /cluster/key/{key}.
type Key struct {
	Key       string     `json:"key,omitempty"`        // if it is UTF-8
	KeyBase64 []byte     `json:"key_base64,omitempty"` // if it is not
	Hash      string     `json:"hash"`                 // 16 hex digits
	Partition int        `json:"partition"`
	Owners    []KeyOwner `json:"owners"` // primary first
}

// KeyOwner is what one owner holds of a key.
type KeyOwner struct {
	Node      string     `json:"node"`
	State     string     `json:"state"`
	Found     bool       `json:"found"`             // it holds a value or a tombstone
	Version   string     `json:"version,omitempty"` // as in the ETag, without quotes
	Modified  *time.Time `json:"modified,omitempty"`
	Size      int        `json:"size"` // bytes of the value
	Expires   *time.Time `json:"expires,omitempty"`
	Tombstone bool       `json:"tombstone,omitempty"`
	Error     string     `json:"error,omitempty"` // why it could not be asked
}

// Error is the body of every answer that is an error.
type Error struct {
	Error string `json:"error"`

	// Of a write that did not reach its level.
	Acks     *int   `json:"acks,omitempty"`
	Required *int   `json:"required,omitempty"`
	Outcome  string `json:"outcome,omitempty"` // "unknown": the write may still appear
}

// Cleared is the answer of DELETE /db.
type Cleared struct {
	Deleted int64  `json:"deleted"`
	Cursor  string `json:"cursor,omitempty"` // the request with it goes on; absent: all is deleted
	Error   string `json:"error,omitempty"`  // why it has stopped; absent: there was no time left
}

// LoadResult is the answer of /load-data.
type LoadResult struct {
	Loaded int64       `json:"loaded"`
	Failed int64       `json:"failed"`
	Errors []LineError `json:"errors"` // the first 20
}

// LineError is a line, counted from 1 (a record, where there are no lines),
// that was not loaded.
type LineError struct {
	Line  int64  `json:"line"`
	Error string `json:"error"`
}
