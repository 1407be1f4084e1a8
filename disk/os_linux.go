package disk

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
)

// Sync implements File. Times of the file need not last, so this is fdatasync.
func (f osFile) Sync() error {
	conn, err := f.SyscallConn() // the file is not closed meanwhile
	if err != nil {
		return err
	}
	var synced error
	err = conn.Control(func(fd uintptr) {
		for synced = syscall.EINTR; errors.Is(synced, syscall.EINTR); {
			synced = syscall.Fdatasync(int(fd))
		}
	})
	return errors.Join(err, synced)
}

// lock takes a lock that ends with the process, however it ends.
func lock(dir string, flag int) (io.Closer, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockName), flag, 0o600)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return f, nil
	}
	_ = f.Close() // nothing was written
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, fmt.Errorf("%w: %s", ErrInUse, dir)
	}
	return nil, err
}
