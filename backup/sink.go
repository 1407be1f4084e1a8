package backup

import (
	"archive/tar"
	"errors"
	"io"
	"os"
	"path"
	"path/filepath"
	"time"

	"httpdhs/disk"
)

// sink is what a backup is written to.
type sink interface {
	// file writes a file of so many bytes.
	file(name string, size int64, from io.Reader) error

	// drop takes back what was written of a directory, if that can be.
	drop(dir string) error

	// finish makes all that was written last.
	finish() error

	// end lets it go, finished or not.
	end() error
}

// dirSink is a directory.
type dirSink struct{ root string }

func (s *dirSink) file(name string, size int64, from io.Reader) (err error) {
	to := filepath.Join(s.root, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	err = copyAll(f, from, size)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func (s *dirSink) drop(dir string) error { return os.RemoveAll(filepath.Join(s.root, dir)) }

func (s *dirSink) finish() error {
	entries, err := os.ReadDir(s.root)
	for _, e := range entries {
		if e.IsDir() {
			err = errors.Join(err, disk.OS{}.SyncDir(filepath.Join(s.root, e.Name())))
		}
	}
	return errors.Join(err, disk.OS{}.SyncDir(s.root))
}

func (s *dirSink) end() error { return nil }

// tarSink is a file.
type tarSink struct {
	f    *os.File
	tar  *tar.Writer
	pack *packer // nil: it is not packed
}

func newTarSink(f *os.File, pack bool) (*tarSink, error) {
	s := &tarSink{f: f}
	if !pack {
		s.tar = tar.NewWriter(f)
		return s, nil
	}
	var err error
	s.pack, err = newPacker(f)
	s.tar = tar.NewWriter(s.pack)
	return s, err
}

func (s *tarSink) file(name string, size int64, from io.Reader) error {
	err := s.tar.WriteHeader(&tar.Header{
		Typeflag: tar.TypeReg, Name: path.Clean(name), Size: size, Mode: 0o600, ModTime: time.Now().Truncate(time.Second),
	})
	if err != nil {
		return err
	}
	return copyAll(s.tar, from, size)
}

// drop fills up the file that broke off, so that others can follow. The list does not have it.
func (s *tarSink) drop(string) error {
	for {
		_, err := s.tar.Write(make([]byte, 4<<10))
		if errors.Is(err, tar.ErrWriteTooLong) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (s *tarSink) finish() error {
	err := s.tar.Close()
	if err == nil && s.pack != nil {
		err = s.pack.Close()
	}
	if err == nil {
		err = s.f.Sync()
	}
	return err
}

func (s *tarSink) end() error { return s.f.Close() }

// copyBytes is how much is copied at a time.
const copyBytes = 256 << 10

// copyAll copies size bytes, which have to be there.
func copyAll(to io.Writer, from io.Reader, size int64) error {
	type plain struct{ io.Writer } // without ReadFrom
	n, err := io.CopyBuffer(plain{to}, io.LimitReader(from, size), make([]byte, copyBytes))
	if err == nil && n < size {
		err = io.ErrUnexpectedEOF
	}
	return err
}
