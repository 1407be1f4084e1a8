package backup

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"httpdhs/disk"
)

// listName is the list of what a backup has, which is written last.
const listName = "backup.json"

const (
	listFormat   = 1
	listBytesMax = 16 << 20
)

// list is the content of that file.
type list struct {
	Format  int       `json:"format"`
	Made    time.Time `json:"made"`
	Nodes   []listed  `json:"nodes"`
	Missing []Missing `json:"missing,omitempty"`
}

type listed struct {
	Node string `json:"node"`
	Dir  string `json:"dir"`
}

// Missing is a node that is not in a backup, or not whole.
type Missing struct {
	Node string `json:"node"`
	Why  string `json:"why"`
}

// Source is a backup that is read, or the data directory of one node.
type Source struct {
	Dirs    []Dir
	Made    time.Time // zero: it has no list, as directories that somebody has copied
	Missing []Missing

	fs    disk.FS
	close func() error
}

// Dir is the data directory of a node in a backup.
type Dir struct {
	Node    string // as the list has it; "": there is none
	Path    string // as messages name it
	Bytes   int64
	largest int64 // bytes of a file
}

// Open opens a backup: a directory with one directory a node, a data directory, or a file that
// Create has written.
func Open(name string) (*Source, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	s := &Source{fs: disk.ReadOnly{}, close: func() error { return nil }}
	root := name
	if !info.IsDir() {
		root = "."
		if err := s.openFile(name); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	err = s.find(root)
	if err == nil && s.Made.IsZero() && strings.Contains(filepath.Base(name), incomplete) {
		err = errors.New("this backup was not finished")
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", name, err), s.close())
	}
	return s, nil
}

// Close lets the backup go.
func (s *Source) Close() error { return s.close() }

// openFile opens a tar, which may be packed.
func (s *Source) openFile(name string) (err error) {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	s.close = f.Close
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	from, size := io.ReaderAt(f), info.Size()
	if isPacked(f) {
		p, err := openPacked(f, size)
		if err != nil {
			return err
		}
		from, size = p, p.size()
		s.close = func() error { p.close(); return f.Close() }
	}
	s.fs, err = openTar(from, size)
	return err
}

var errNoBackup = errors.New("this is no backup, and no data directory of a node")

// find finds the directories of nodes. Where there is a list, it says which they are.
func (s *Source) find(root string) error {
	l, err := s.readList(filepath.Join(root, listName))
	if err != nil {
		return err
	}
	if l != nil {
		s.Made, s.Missing = l.Made, l.Missing
		for _, n := range l.Nodes {
			if n.Dir != filepath.Base(n.Dir) {
				return fmt.Errorf("%s has a directory %q", listName, n.Dir)
			}
			if err := s.add(filepath.Join(root, n.Dir), n.Node); err != nil {
				return err
			}
		}
		return nil
	}
	names, err := s.fs.List(root)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(names, disk.IsPart) {
		return s.add(root, "")
	}
	below, err := s.dirsIn(root, names)
	if err != nil {
		return err
	}
	for _, dir := range below {
		if err := s.add(dir, ""); err != nil {
			return err
		}
	}
	if len(s.Dirs) == 0 {
		return errNoBackup
	}
	return nil
}

// dirsIn are the data directories below a directory that has these names.
func (s *Source) dirsIn(root string, names []string) (dirs []string, err error) {
	if t, is := s.fs.(*tarFS); is {
		names = slices.Collect(maps.Keys(t.dirs))
	}
	slices.Sort(names)
	for _, name := range names {
		dir := filepath.Join(root, name)
		if info, err := os.Stat(dir); s.fs == (disk.ReadOnly{}) && (err != nil || !info.IsDir()) {
			continue
		}
		files, err := s.fs.List(dir)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(files, disk.IsPart) {
			dirs = append(dirs, dir)
		}
	}
	return dirs, nil
}

// add adds a directory.
func (s *Source) add(path, node string) error {
	d := Dir{Node: node, Path: path}
	names, err := s.fs.List(path)
	if err != nil {
		return err
	}
	for _, name := range slices.DeleteFunc(names, func(name string) bool { return !disk.IsPart(name) }) {
		size, err := s.sizeOf(filepath.Join(path, name))
		if err != nil {
			return err
		}
		d.Bytes += size
		d.largest = max(d.largest, size)
	}
	s.Dirs = append(s.Dirs, d)
	return nil
}

func (s *Source) sizeOf(path string) (size int64, err error) {
	f, err := s.fs.Open(path)
	if err != nil {
		return 0, err
	}
	size, err = f.Size()
	return size, errors.Join(err, f.Close())
}

// readList reads the list of a backup; nil: it has none.
func (s *Source) readList(path string) (*list, error) {
	f, err := s.fs.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	if size > listBytesMax {
		return nil, fmt.Errorf("%s has %d bytes", listName, size)
	}
	data := make([]byte, size)
	if _, err := f.ReadAt(data, 0); err != nil && err != io.EOF {
		return nil, err
	}
	l := new(list)
	if err := json.Unmarshal(data, l); err != nil {
		return nil, fmt.Errorf("%s is damaged: %w", listName, err)
	}
	if l.Format != listFormat {
		return nil, fmt.Errorf("%s has format %d, and this build reads %d", listName, l.Format, listFormat)
	}
	return l, nil
}
