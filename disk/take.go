package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"syscall"
)

const lostFound = "lost+found" // is in the root of a file system

// take takes the directory, which it makes if there is none. In one that is somebody else's it
// changes nothing, not even the lock.
func (l *Log) take() (err error) {
	fsys, dir := l.opt.FS, l.opt.Dir
	if err := fsys.MkdirAll(dir); err != nil {
		return err
	}
	names, err := fsys.List(dir)
	if err == nil {
		err = mustBeOurs(names)
	}
	if err != nil {
		return err
	}
	if l.lock, err = fsys.Lock(dir); err != nil {
		return err
	}
	if err := l.claim(); err != nil {
		return errors.Join(err, l.lock.Close())
	}
	return nil
}

// mustBeOurs makes sure that a directory with files of these names has a meta, or nothing but what
// a first start leaves that was cut off.
func mustBeOurs(names []string) error {
	if slices.Contains(names, metaName) {
		return nil
	}
	other := ""
	for _, name := range names {
		if _, is := segmentNumber(name); is {
			return errNoMeta
		}
		if !slices.Contains([]string{lockName, metaNew, lostFound}, name) {
			other = name
		}
	}
	if other != "" {
		return fmt.Errorf("%w, such as %q", errOthers, other)
	}
	return nil
}

var (
	errNoMeta = fmt.Errorf("%w: it has a log and no %s", ErrFormat, metaName)
	errOthers = fmt.Errorf("%w: it has other files", ErrForeign)
)

// advice is what to do where a directory cannot be taken. The first row that fits counts.
var advice = []struct {
	err  error
	what string
}{
	{ErrInUse, "stop that one, or give each node a --data-dir of its own"},
	{errMeta, "what it held is on the other nodes: start with an empty directory and --join; with --replicas=1 restore a backup"},
	{errNoMeta, "restore that file, or start with an empty directory and --join"},
	{errOthers, "give --data-dir an empty directory, or one that is yet to be made"},
	{ErrFormat, "start the version that wrote it, or start with an empty directory and --join"},
	{ErrForeign, ""}, // it says so itself
	{syscall.ENOTDIR, "give --data-dir a directory, or one that is yet to be made"},
	{syscall.EROFS, "mount it for writing, or give another --data-dir"},
	{fs.ErrPermission, "let the user of this node read and write there, or give another --data-dir"},
}

// advised is an error with what to do about it.
func advised(dir string, err error) error {
	for _, row := range advice {
		if !errors.Is(err, row.err) {
			continue
		}
		if err = fmt.Errorf("cannot use %s: %w", dir, err); row.what != "" {
			err = fmt.Errorf("%w: %s", err, row.what)
		}
		return err
	}
	return fmt.Errorf("cannot use %s: %w", dir, err)
}
