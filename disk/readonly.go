package disk

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// ReadOnly is the file system of this machine, of which nothing is changed. It locks a directory
// that has been locked before. One that has not, such as a backup, is nobody's.
type ReadOnly struct{}

var errReadOnly = errors.New("this is only read")

func (ReadOnly) MkdirAll(string) error              { return errReadOnly }
func (ReadOnly) Create(string) (File, error)        { return nil, errReadOnly }
func (ReadOnly) Rename(string, string) error        { return errReadOnly }
func (ReadOnly) Remove(string) error                { return errReadOnly }
func (ReadOnly) SyncDir(string) error               { return errReadOnly }
func (ReadOnly) List(dir string) ([]string, error)  { return OS{}.List(dir) }
func (ReadOnly) Open(path string) (File, error)     { return file(os.Open(path)) }
func (ReadOnly) Lock(dir string) (io.Closer, error) { return lockThatIsThere(dir) }

func lockThatIsThere(dir string) (io.Closer, error) {
	if _, err := os.Stat(filepath.Join(dir, lockName)); errors.Is(err, fs.ErrNotExist) {
		return io.NopCloser(nil), nil
	}
	return lock(dir, os.O_RDONLY)
}
