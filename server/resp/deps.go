package resp

import (
	"time"

	"httpdhs/api"
	"httpdhs/kv"
)

// Store is the cluster's map, as any node offers it.
type Store interface {
	// Do carries out the operations of the call and returns when each has its
	// outcome, by the call's deadline at the latest. It keeps nothing of the
	// call.
	Do(*kv.Call)

	// List returns a page of the cluster's keys.
	List(*kv.ListRequest) (kv.Page, error)

	// Clear deletes the keys that begin with a prefix, until its deadline. What was deleted stays
	// deleted, whatever the error.
	Clear(*kv.ClearRequest) (kv.Cleared, error)
}

// Cluster tells of the members.
type Cluster interface {
	// Cluster asks the members that are up how they are, until the deadline.
	Cluster(deadline time.Time) api.Cluster

	// Key asks the owners of key what they hold.
	Key(key []byte, deadline time.Time) api.Key

	// Memory is what this node's store takes, in bytes, and may take, 0 if that
	// has no bound; full says that it refuses what needs more, or soon will.
	Memory() (used, limit int64, full bool)

	// Ready says whether this node serves its share, or else why not.
	Ready() (ok bool, reason string)
}
