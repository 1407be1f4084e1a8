package crashfs

import (
	"io"
	"io/fs"
	"syscall"
)

// file is a handle of a file.
type file struct {
	fs     *FS
	name   string // under which it was opened
	node   *inode
	closed bool // guarded by fs.mu
}

func (fs *FS) handle(name string, n *inode) *file {
	fs.open[n]++
	return &file{fs: fs, name: name, node: n}
}

// usable says why nothing can be done with a handle.
func (f *file) usable(op string) error {
	switch {
	case f.fs.gone:
		return failed(op, f.name, ErrGone)
	case f.closed:
		return failed(op, f.name, fs.ErrClosed)
	}
	return nil
}

// ReadAt implements disk.File.
func (f *file) ReadAt(p []byte, off int64) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.usable("read"); err != nil {
		return 0, err
	}
	if off < 0 {
		return 0, failed("read", f.name, syscall.EINVAL)
	}
	if err := f.fs.faults.of(f.name, f.fs.faults.ReadErr); err != nil {
		return 0, failed("read", f.name, err)
	}
	n := f.node.read(p, off)
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// WriteAt implements disk.File. If the FS is full it writes what there is room for.
func (f *file) WriteAt(p []byte, off int64) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.usable("write"); err != nil {
		return 0, err
	}
	if off < 0 {
		return 0, failed("write", f.name, syscall.EINVAL)
	}
	if err := f.fs.begin("write", f.name, &half{f.node, p, off}); err != nil {
		return 0, err
	}
	if err := f.fs.faults.of(f.name, f.fs.faults.WriteErr); err != nil {
		return 0, failed("write", f.name, err)
	}
	fits := p
	if capacity := f.fs.faults.Capacity; capacity > 0 && off+int64(len(p)) > f.node.size {
		end := max(0, capacity-f.fs.used()) + f.node.size
		fits = p[:max(0, min(int64(len(p)), end-off))]
	}
	f.node.write(fits, off, f.fs.clock)
	if len(fits) < len(p) {
		return len(fits), failed("write", f.name, syscall.ENOSPC)
	}
	return len(p), nil
}

// Size implements disk.File.
func (f *file) Size() (int64, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	return f.node.size, f.usable("stat")
}

// Sync implements disk.File.
func (f *file) Sync() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.usable("sync"); err != nil {
		return err
	}
	if err := f.fs.begin("sync", f.name, nil); err != nil {
		return err
	}
	c, size, upTo := f.node.content, f.node.size, f.fs.clock
	c.syncing++
	err := f.fs.flush("sync", f.name)
	c.syncing--
	switch {
	case f.fs.gone:
	case err != nil:
		c.syncFailed(upTo)
	default:
		c.synced(upTo, size)
	}
	return err
}

// Close implements disk.File.
func (f *file) Close() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.usable("close"); err != nil {
		return err
	}
	f.closed = true
	if f.fs.open[f.node]--; f.fs.open[f.node] == 0 {
		delete(f.fs.open, f.node)
	}
	return nil
}
