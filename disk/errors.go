package disk

import "errors"

var (
	// ErrInUse: another process has the directory.
	ErrInUse = errors.New("the data directory is in use by another process")

	// ErrForeign: the directory is of another node, or was written under other settings.
	ErrForeign = errors.New("the data directory is not this node's")

	// ErrFormat: the directory was written by another version, or is no data directory.
	ErrFormat = errors.New("the data directory has another format")

	// ErrClosed: the log is closed.
	ErrClosed = errors.New("the log is closed")
)

// errNotGivenUp is for a sync after one that has failed. The system may take it for good, though
// what the first was to sync is on no disk (Rebello et al., 2020).
var errNotGivenUp = errors.New("an earlier sync has failed")

const lockName = "lock"
