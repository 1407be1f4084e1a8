package disk

import (
	"errors"
	"io/fs"
	"path/filepath"
	"syscall"
)

// settle makes it last that a new directory is there, and those that it is in: they may have been
// made with it. Some of these may not be this node's to look at, or on a file system that keeps
// them anyway.
func settle(fsys FS, dir string) error {
	for dir = filepath.Clean(dir); ; {
		above := filepath.Dir(dir)
		if above == dir {
			return nil
		}
		dir = above
		err := fsys.SyncDir(dir)
		if err != nil && !errors.Is(err, fs.ErrPermission) && !errors.Is(err, syscall.EINVAL) {
			return err
		}
	}
}
