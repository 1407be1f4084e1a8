package disk

import (
	"errors"
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

// lock takes a lock that ends with the process, however it ends. What is in the file decides
// nothing.
func lock(dir string, flag int) (io.Closer, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockName), flag, 0o600)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	switch {
	case errors.Is(err, syscall.EWOULDBLOCK):
		err = inUse(f)
	case err == nil && flag&os.O_RDWR != 0:
		sign(f)
		return signed{f}, nil
	case err == nil:
		return f, nil
	}
	return nil, errors.Join(err, f.Close())
}

// signed is a lock that has this process's number in it.
type signed struct{ *os.File }

func (s signed) Close() error {
	_ = s.Truncate(0) // the number alone
	return s.File.Close()
}
