package disk

import (
	"errors"
	"fmt"
)

var (
	// ErrInUse: another process has the directory.
	ErrInUse = errors.New("the data directory is in use")

	// ErrForeign: the directory is of another node, was written under other settings, or is none of
	// a node at all.
	ErrForeign = errors.New("the data directory is not this node's")

	// ErrFormat: the directory was written by another version, or is damaged.
	ErrFormat = errors.New("the data directory is not understood")

	// ErrClosed: the log is closed.
	ErrClosed = errors.New("the log is closed")
)

// errNotGivenUp is for a sync after one that has failed. The system may take it for good, though
// what the first was to sync is on no disk (Rebello et al., 2020).
var errNotGivenUp = errors.New("an earlier sync has failed")

// errMeta: the meta is damaged.
var errMeta = fmt.Errorf("%w: its meta is damaged", ErrFormat)
