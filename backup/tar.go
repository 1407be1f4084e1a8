package backup

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"path/filepath"

	"httpdhs/disk"
)

// tarFS is the file system that a tar holds, of which nothing is changed. Its paths are those in
// the tar.
type tarFS struct {
	disk.ReadOnly
	from io.ReaderAt
	dirs map[string]map[string]place // files by directory and name
}

// place is where the bytes of a file are.
type place struct{ at, size int64 }

// openTar finds the files in a tar.
func openTar(from io.ReaderAt, size int64) (*tarFS, error) {
	t := &tarFS{from: from, dirs: make(map[string]map[string]place)}
	in := io.NewSectionReader(from, 0, size)
	r := tar.NewReader(in)
	for {
		h, err := r.Next()
		if err == io.EOF && endsInZeros(from, size) {
			return t, nil
		}
		if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, errCut
		}
		if err != nil {
			return nil, fmt.Errorf("it is no whole tar: %w", err)
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		at, err := in.Seek(0, io.SeekCurrent) // the reader takes no more than it needs
		if err != nil {
			return nil, err
		}
		if at+h.Size > size {
			return nil, fmt.Errorf("%s: %w", h.Name, errCut)
		}
		dir, name := path.Split(path.Clean(h.Name))
		dir = path.Clean(dir)
		if t.dirs[dir] == nil {
			t.dirs[dir] = make(map[string]place)
		}
		if _, twice := t.dirs[dir][name]; twice {
			return nil, fmt.Errorf("it has %s twice", h.Name)
		}
		t.dirs[dir][name] = place{at, h.Size}
	}
}

// endsInZeros says whether a tar has its end, which is two blocks of zeros or more.
func endsInZeros(from io.ReaderAt, size int64) bool {
	var end [1024]byte
	n, _ := from.ReadAt(end[:], max(size-int64(len(end)), 0)) // what cannot be read is no end
	return n == len(end) && end == [1024]byte{}
}

// List implements disk.FS.
func (t *tarFS) List(dir string) (names []string, err error) {
	for name := range t.dirs[filepath.ToSlash(dir)] {
		names = append(names, name)
	}
	return names, nil
}

// Open implements disk.FS.
func (t *tarFS) Open(name string) (disk.File, error) {
	dir, base := path.Split(filepath.ToSlash(name))
	p, there := t.dirs[path.Clean(dir)][base]
	if !there {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return tarFile{io.NewSectionReader(t.from, p.at, p.size)}, nil
}

// Lock implements disk.FS: nobody changes a backup.
func (t *tarFS) Lock(string) (io.Closer, error) { return io.NopCloser(nil), nil }

// tarFile is a file in a tar.
type tarFile struct{ *io.SectionReader }

var errOnlyRead = errors.New("a backup is only read")

func (f tarFile) Size() (int64, error)               { return f.SectionReader.Size(), nil }
func (f tarFile) WriteAt([]byte, int64) (int, error) { return 0, errOnlyRead }
func (f tarFile) Sync() error                        { return errOnlyRead }
func (f tarFile) Close() error                       { return nil }
