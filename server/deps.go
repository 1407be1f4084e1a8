package server

import (
	"io"
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

	// Partitions is the number of partitions, a power of two.
	Partitions() int
}

// Cluster tells of the members, and changes them.
type Cluster interface {
	// Cluster asks the members that are up how they are, until the deadline.
	Cluster(deadline time.Time) api.Cluster

	// Stats asks the members that are up what they have counted, until the deadline.
	Stats(deadline time.Time) api.Stats

	// Ring is the partition table in use; not to be modified.
	Ring() *api.Ring

	// Key asks the owners of key what they hold.
	Key(key []byte, deadline time.Time) api.Key

	// Ready says whether this node serves its share, or else why not.
	Ready() (ok bool, reason string)

	// Memory is what this node's store takes, in bytes, and may take, 0 if that
	// has no bound; full says that it refuses what needs more, or soon will.
	Memory() (used, limit int64, full bool)

	// Leave has this node hand all that it holds over to the others, and leave then. It returns
	// when that has begun, and may be called again. The error wraps [ErrCannotLeave] and says
	// why, or kv.ErrStopping.
	Leave() (api.Leaving, error)

	// Recover has this node go on without members that are down, whatever is lost with them. It
	// waits for none of them any more, and takes them off the ring. Without accept it does nothing,
	// and tells what it would do. The deadline is for finding out who is down.
	Recover(accept bool, deadline time.Time) (api.Recovery, error)

	// Backup is a point of what this node keeps on its disk, with all writes that it has
	// acknowledged before. The caller closes it. The error is [ErrNothingOnDisk], or wraps
	// [ErrCannotBackUp], kv.ErrStarting or kv.ErrStopping.
	Backup() (*Backup, error)

	// Remove takes a member that is down off the ring; one that was removed before is no error.
	// The error wraps [ErrNoMember] and names the members, or [ErrMemberUp] or [ErrMemberUnsure]
	// and says what to do.
	Remove(name string) error

	Safety
}

// Backup is files that stay as they are until it is closed.
type Backup struct {
	Dir   string       // what they are to lie in
	Files []BackupFile // in their order; without the last it is no backup
	Close func()
}

// BackupFile is a file of a Backup. Who opens it reads Size bytes, and closes it.
type BackupFile struct {
	Name string
	Size int64
	Open func() (io.ReadCloser, error)
}

// Peers answers what other nodes say.
type Peers interface {
	// Exchange appends the answer to request to dst. It keeps nothing of
	// request. An error means that the request is not one a node would send.
	Exchange(dst, request []byte) ([]byte, error)

	// Hello is Exchange for a request that is a hello, which may come from a
	// node that is no member yet. Any other request is an error.
	Hello(dst, request []byte) ([]byte, error)
}
