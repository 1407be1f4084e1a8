package backup

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"httpdhs/disk"
)

// Writer writes a backup. It stands under a name that says that it is incomplete, until Keep.
type Writer struct {
	name    string
	temp    string
	sink    sink
	list    list
	dirs    map[string]bool // names that are taken
	written atomic.Int64
}

// The endings of the files that Create writes.
const (
	suffixTar    = ".tar"
	suffixPacked = ".tar.zst"
)

// incomplete is in the name of a backup that is being written.
const incomplete = ".incomplete-"

// IsFile says whether a backup of that name is a file, and not a directory.
func IsFile(name string) bool {
	return strings.HasSuffix(name, suffixTar) || strings.HasSuffix(name, suffixPacked)
}

// Create begins a backup: a tar where the name ends in .tar, a packed one where it ends in
// .tar.zst, else a directory. What is there already is an error.
func Create(name string) (*Writer, error) {
	name = filepath.Clean(name)
	if err := mustBeNew(name); err != nil {
		return nil, err
	}
	w := &Writer{name: name, dirs: map[string]bool{listName: true}, list: list{Format: listFormat, Made: time.Now().UTC().Truncate(time.Second)}}
	in, pattern := filepath.Dir(name), "."+filepath.Base(name)+incomplete+"*"
	if !IsFile(name) {
		temp, err := os.MkdirTemp(in, pattern)
		w.temp, w.sink = temp, &dirSink{temp}
		return w, err
	}
	f, err := os.CreateTemp(in, pattern)
	if err != nil {
		return nil, err
	}
	w.temp = f.Name()
	sink, err := newTarSink(f, strings.HasSuffix(name, suffixPacked))
	w.sink = sink
	if err != nil {
		return nil, errors.Join(err, w.Discard())
	}
	return w, nil
}

func mustBeNew(name string) error {
	_, err := os.Lstat(name)
	if err == nil {
		return fmt.Errorf("%s is there already, and is not overwritten: give another name", name)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Written is how many bytes of nodes were written so far. It may be called from any goroutine.
func (w *Writer) Written() int64 { return w.written.Load() }

// Add adds what a node has sent: a tar of its files, the meta last. After an error the backup goes
// on without the node.
func (w *Writer) Add(node string, from io.Reader) (written int64, err error) {
	dir := w.dirOf(node)
	before := w.written.Load()
	if err := w.copy(dir, from); err != nil {
		return 0, errors.Join(err, w.sink.drop(dir))
	}
	w.list.Nodes = append(w.list.Nodes, listed{node, dir})
	return w.written.Load() - before, nil
}

// dirOf is a directory for a node that no other has.
func (w *Writer) dirOf(node string) string {
	dir := disk.DirName(node)
	for n := 2; w.dirs[dir]; n++ {
		dir = fmt.Sprintf("%s-%d", disk.DirName(node), n)
	}
	w.dirs[dir] = true
	return dir
}

// copy copies the files of a node. Of their names the last part counts, whoever has sent them.
func (w *Writer) copy(dir string, from io.Reader) error {
	counted := &countingReader{from, &w.written}
	r := tar.NewReader(counted)
	seen := make(map[string]bool)
	whole := false
	for {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		name := path.Base(h.Name)
		switch {
		case h.Typeflag != tar.TypeReg || !disk.IsPart(name) || seen[name]:
			return fmt.Errorf("the node has sent %q, which is no file of a backup", h.Name)
		case whole:
			return fmt.Errorf("the node has sent %s after the file that is to be the last", name)
		}
		seen[name], whole = true, disk.IsMeta(name)
		if err := w.sink.file(path.Join(dir, name), h.Size, r); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	if !whole {
		return errors.New("the node has not sent all of its files")
	}
	_, err := io.Copy(io.Discard, counted) // up to the end of what was announced
	return err
}

// Finish writes the list, with what is missing, makes all of it last, and reads it again. It is for
// the caller to judge what was found. The error says that the backup is not to be kept.
func (w *Writer) Finish(ctx context.Context, missing []Missing) ([]Checked, error) {
	w.list.Missing = missing
	data, err := json.MarshalIndent(&w.list, "", "  ")
	if err != nil {
		return nil, err
	}
	err = w.sink.file(listName, int64(len(data)), bytes.NewReader(data))
	if err == nil {
		err = w.sink.finish()
	}
	if err != nil {
		return nil, err
	}
	s, err := Open(w.temp)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	return s.Check(ctx)
}

// Keep gives a finished backup its name.
func (w *Writer) Keep() error {
	if err := w.sink.end(); err != nil {
		return err
	}
	if err := w.rename(); err != nil {
		return err
	}
	return disk.OS{}.SyncDir(filepath.Dir(w.name))
}

// rename overwrites nothing. A link does that for certain, where the file system has links.
func (w *Writer) rename() error {
	if IsFile(w.name) {
		err := os.Link(w.temp, w.name)
		if err == nil {
			return os.Remove(w.temp)
		}
		if errors.Is(err, fs.ErrExist) {
			return mustBeNew(w.name)
		}
	}
	if err := mustBeNew(w.name); err != nil {
		return err
	}
	return os.Rename(w.temp, w.name)
}

// Discard removes what was written, unless it was kept.
func (w *Writer) Discard() error {
	_ = w.sink.end() // it may have ended
	return os.RemoveAll(w.temp)
}

// countingReader counts what goes through it.
type countingReader struct {
	io.Reader
	n *atomic.Int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n.Add(int64(n))
	return n, err
}
