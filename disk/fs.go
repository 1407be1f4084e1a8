package disk

import "io"

// FS is the file system that a log lies on. OS is the machine's. Tests give one that fails, and
// that forgets at a power cut what was not synced. Paths are those of the machine. Errors wrap
// those of package io/fs where there is one that fits.
type FS interface {
	MkdirAll(dir string) error

	// List is the names of what is in a directory, in any order.
	List(dir string) ([]string, error)

	// Create makes an empty file, in place of one that is there.
	Create(path string) (File, error)

	// Open opens a file that is there, for reading and writing.
	Open(path string) (File, error)

	// Rename takes the place of a file that is there.
	Rename(from, to string) error
	Remove(path string) error

	// SyncDir makes it last which files are in a directory, and under which names.
	SyncDir(dir string) error

	// Lock takes a directory for this process, until it closes what is returned. The error wraps
	// ErrInUse where another has it.
	Lock(dir string) (io.Closer, error)
}

// File is a file of an FS. ReadAt may be called while others write elsewhere in the file.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer

	Size() (int64, error)

	// Sync makes all that was written to the file last, and its size.
	Sync() error
}
