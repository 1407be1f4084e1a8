package crashfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"httpdhs/disk"
)

// ErrGone is what a process is told that was killed, or whose machine has no power.
var ErrGone = errors.New("the process is gone that had this file system")

// lockName is the file that Lock makes, as disk.OS does.
const lockName = "lock"

// FS is a file system in memory. Its paths are separated by slashes, and start at its root.
type FS struct {
	mu     sync.Mutex // guards all below, and all files and directories of this FS
	root   *dir
	gone   bool // nothing is done any more
	calls  int
	clock  int // orders writes and Syncs, also those before Kill
	before func(Call)
	faults Faults
	locked map[*dir]bool
	open   map[*inode]int // handles of each file
}

var _ disk.FS = (*FS)(nil)

// New makes a file system that has these directories, which are there for good.
func New(dirs ...string) *FS {
	fs := newFS(newDir())
	for _, name := range dirs {
		d := fs.root
		for _, part := range parts(name) {
			if d.now[part] == nil {
				d.change(entry{part, newDir()})
				d.synced(d.changes())
			}
			d = d.now[part].(*dir)
		}
	}
	return fs
}

func newFS(root *dir) *FS {
	return &FS{root: root, locked: make(map[*dir]bool), open: make(map[*inode]int)}
}

// Call is a call that changes something, or makes it last. Create, WriteAt, Sync, Rename, Remove,
// SyncDir and Lock are such calls, and MkdirAll of what is not there. Those that fail count.
type Call struct {
	N    int    // 1 for the first of an FS
	Op   string // "mkdir", "create", "write", "sync", "rename", "remove", "syncdir" or "lock"
	Path string // the old one of a rename

	fs   *FS
	half *half
}

// Before has hook called before each such call; nil: no more. The FS is locked meanwhile: the hook
// may use methods of the call, and none of the FS.
func (fs *FS) Before(hook func(Call)) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.before = hook
}

// Snapshot is the file system before the call.
func (c Call) Snapshot() *Snapshot { return c.fs.snapshot(c.half) }

// Stop has this call and all later ones fail with ErrGone, as if nobody were there to make them.
// [FS.Crash] and [FS.Kill] say what is found.
func (c Call) Stop() { c.fs.gone = true }

// Calls is how many such calls there were.
func (fs *FS) Calls() int {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return fs.calls
}

// begin counts a call. It answers the error that all calls get now.
func (fs *FS) begin(op, name string, half *half) error {
	if fs.gone {
		return failed(op, name, ErrGone)
	}
	fs.calls++
	fs.clock++
	if fs.before != nil {
		fs.before(Call{fs.calls, op, name, fs, half})
	}
	switch {
	case fs.gone:
		return failed(op, name, ErrGone)
	case fs.faults.ReadOnly:
		return failed(op, name, syscall.EROFS)
	}
	return nil
}

// MkdirAll implements disk.FS.
func (fs *FS) MkdirAll(name string) error {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if _, err := fs.dirAt("mkdir", name); err == nil || fs.gone {
		return err
	}
	if err := fs.begin("mkdir", name, nil); err != nil {
		return err
	}
	if err := fs.faults.of(name, fs.faults.NameErr); err != nil {
		return failed("mkdir", name, err)
	}
	d := fs.root
	for _, part := range parts(name) {
		if d.now[part] == nil {
			d.change(entry{part, newDir()})
		}
		below, ok := d.now[part].(*dir)
		if !ok {
			return failed("mkdir", name, syscall.ENOTDIR)
		}
		d = below
	}
	return nil
}

// List implements disk.FS. The names are in order.
func (fs *FS) List(name string) ([]string, error) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	d, err := fs.dirAt("list", name)
	if err != nil {
		return nil, err
	}
	return slices.Sorted(maps.Keys(d.now)), nil
}

// Create implements disk.FS.
func (fs *FS) Create(name string) (disk.File, error) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if err := fs.begin("create", name, nil); err != nil {
		return nil, err
	}
	d, base, err := fs.parent("create", name)
	if err != nil {
		return nil, err
	}
	if err := fs.faults.of(name, fs.faults.NameErr); err != nil {
		return nil, failed("create", name, err)
	}
	switch there := d.now[base].(type) {
	case *dir:
		return nil, failed("create", name, syscall.EISDIR)
	case *inode:
		there.empty()
		return fs.handle(name, there), nil
	}
	made := &inode{newContent()}
	d.change(entry{base, made})
	return fs.handle(name, made), nil
}

// Open implements disk.FS.
func (fs *FS) Open(name string) (disk.File, error) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	there, err := fs.file("open", name)
	switch {
	case err != nil:
		return nil, err
	case fs.faults.ReadOnly: // it is opened for writing
		return nil, failed("open", name, syscall.EROFS)
	}
	return fs.handle(name, there), nil
}

// Rename implements disk.FS, for files within a directory.
func (fs *FS) Rename(from, to string) error {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if err := fs.begin("rename", from, nil); err != nil {
		return err
	}
	moved, err := fs.file("rename", from)
	if err != nil {
		return err
	}
	d, base, err := fs.parent("rename", from)
	if err != nil {
		return err
	}
	target, newBase, err := fs.parent("rename", to)
	if err != nil {
		return err
	}
	err = fs.faults.of(from, fs.faults.NameErr)
	if err == nil {
		err = fs.faults.of(to, fs.faults.NameErr)
	}
	_, onDir := target.now[newBase].(*dir)
	switch {
	case err != nil:
		return failed("rename", from, err)
	case target != d:
		return failed("rename", from, syscall.EXDEV)
	case onDir:
		return failed("rename", to, syscall.EISDIR)
	case base != newBase:
		d.change(entry{base, nil}, entry{newBase, moved})
	}
	return nil
}

// Remove implements disk.FS, for files and for empty directories.
func (fs *FS) Remove(name string) error {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if err := fs.begin("remove", name, nil); err != nil {
		return err
	}
	d, base, err := fs.parent("remove", name)
	if err != nil {
		return err
	}
	below, isDir := d.now[base].(*dir)
	err = fs.faults.of(name, fs.faults.NameErr)
	switch {
	case err != nil:
		return failed("remove", name, err)
	case d.now[base] == nil:
		return failed("remove", name, syscall.ENOENT)
	case isDir && len(below.now) > 0:
		return failed("remove", name, syscall.ENOTEMPTY)
	}
	d.change(entry{base, nil})
	return nil
}

// SyncDir implements disk.FS.
func (fs *FS) SyncDir(name string) error {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if err := fs.begin("syncdir", name, nil); err != nil {
		return err
	}
	d, err := fs.dirAt("syncdir", name)
	if err != nil {
		return err
	}
	upTo := d.changes()
	if err := fs.flush("syncdir", name); err != nil {
		return err
	}
	d.synced(upTo)
	return nil
}

// flush takes as long as Faults say, without the lock, and fails as they say.
func (fs *FS) flush(op, name string) error {
	if slow := fs.faults.Slow; slow != nil && fs.faults.on(name) {
		fs.unlocked(func() { slow(name) })
	}
	if fs.gone {
		return failed(op, name, ErrGone)
	}
	if err := fs.faults.of(name, fs.faults.SyncErr); err != nil {
		return failed(op, name, err)
	}
	return nil
}

func (fs *FS) unlocked(call func()) {
	fs.mu.Unlock()
	defer fs.mu.Lock()
	call()
}

// Lock implements disk.FS. It makes a file in the directory, as disk.OS does.
func (fs *FS) Lock(name string) (io.Closer, error) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if err := fs.begin("lock", name, nil); err != nil {
		return nil, err
	}
	d, err := fs.dirAt("lock", name)
	switch {
	case err != nil:
		return nil, err
	case fs.locked[d]:
		return nil, fmt.Errorf("%w: %s", disk.ErrInUse, name)
	}
	if d.now[lockName] == nil {
		if err := fs.faults.of(name, fs.faults.NameErr); err != nil {
			return nil, failed("lock", name, err)
		}
		d.change(entry{lockName, &inode{newContent()}})
	}
	fs.locked[d] = true
	return &lock{fs, d, name, false}, nil
}

// lock is a directory that is taken.
type lock struct {
	fs   *FS
	dir  *dir
	name string
	free bool // guarded by fs.mu
}

func (l *lock) Close() error {
	l.fs.mu.Lock()
	defer l.fs.mu.Unlock()
	switch {
	case l.fs.gone:
		return failed("unlock", l.name, ErrGone)
	case l.free:
		return failed("unlock", l.name, fs.ErrClosed)
	}
	l.free = true
	delete(l.fs.locked, l.dir)
	return nil
}

// dirAt is a directory that is there.
func (fs *FS) dirAt(op, name string) (*dir, error) {
	if fs.gone {
		return nil, failed(op, name, ErrGone)
	}
	return fs.walk(op, name, parts(name))
}

func (fs *FS) walk(op, name string, parts []string) (*dir, error) {
	d := fs.root
	for _, part := range parts {
		switch below := d.now[part].(type) {
		case nil:
			return nil, failed(op, name, syscall.ENOENT)
		case *dir:
			d = below
		default:
			return nil, failed(op, name, syscall.ENOTDIR)
		}
	}
	return d, nil
}

// parent is the directory that a path is in, and its last part.
func (fs *FS) parent(op, name string) (*dir, string, error) {
	all := parts(name)
	if len(all) == 0 {
		return nil, "", failed(op, name, syscall.EINVAL)
	}
	last := len(all) - 1
	d, err := fs.walk(op, name, all[:last])
	return d, all[last], err
}

// file is a file that is there.
func (fs *FS) file(op, name string) (*inode, error) {
	if fs.gone {
		return nil, failed(op, name, ErrGone)
	}
	d, base, err := fs.parent(op, name)
	if err != nil {
		return nil, err
	}
	switch there := d.now[base].(type) {
	case nil:
		return nil, failed(op, name, syscall.ENOENT)
	case *inode:
		return there, nil
	default:
		return nil, failed(op, name, syscall.EISDIR)
	}
}

// parts are the names that a path goes by, from the root.
func parts(name string) []string {
	return strings.FieldsFunc(path.Clean("/"+filepath.ToSlash(name)), func(r rune) bool { return r == '/' })
}

func failed(op, name string, err error) error { return &fs.PathError{Op: op, Path: name, Err: err} }
