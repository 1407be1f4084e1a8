//go:build !linux

package disk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Sync implements File.
func (f osFile) Sync() error { return f.File.Sync() }

// lock is a file that is there while the directory is taken. A process that is killed leaves it.
func lock(dir string, flag int) (io.Closer, error) {
	path := filepath.Join(dir, lockName)
	f, err := os.OpenFile(path, flag|os.O_CREATE|os.O_EXCL, 0o600)
	switch {
	case errors.Is(err, fs.ErrExist):
		return nil, fmt.Errorf("%w, or a node was killed: remove %s if no node runs", inUseOf(path), path)
	case err != nil:
		return nil, err
	}
	sign(f)
	return unlock{f}, nil
}

// inUseOf is inUse of a file that is not open.
func inUseOf(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return ErrInUse
	}
	defer f.Close()
	return inUse(f)
}

type unlock struct{ *os.File }

func (u unlock) Close() error { return errors.Join(u.File.Close(), os.Remove(u.Name())) }
