package disk

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"sync"
)

// Backup is a point of a log. It has all that was appended before it was made, and stays readable
// whatever becomes of the log, until the log is closed.
//
// Its segments are opened one at a time, so a large log takes no more open files than a small one.
// Those that are cleaned meanwhile are removed when the backup is closed: the log takes at most as
// much room again as the backup has.
type Backup struct {
	// Parts are its files, in the order in which they are to be written. The meta is the last: what
	// has none is no backup.
	Parts []Part

	log   *Log
	close sync.Once
}

// Part is a file of a backup. The files of one, under their names in a directory of their own, are
// a data directory.
type Part struct {
	Name string
	Size int64

	log  *Log
	path string // of a segment
	data []byte // of the meta; nil: it is a segment
}

var errNotLoaded = errors.New("the log is not loaded yet")

// Backup makes a backup, for the caller to close. The error wraps kv.ErrNoDisk while the disk does
// not take what was appended.
func (l *Log) Backup() (*Backup, error) {
	b, err := l.backup()
	if err != nil {
		return nil, fmt.Errorf("cannot back up: %w", err)
	}
	return b, nil
}

func (l *Log) backup() (*Backup, error) {
	if l.loading.Load() {
		return nil, errNotLoaded
	}
	if err := l.Sync(); err != nil {
		return nil, err
	}
	if l.isClosed() {
		return nil, ErrClosed
	}
	segments, end := l.files.pin()
	b := &Backup{log: l}
	for _, s := range segments {
		path := l.files.path(s.number)
		b.Parts = append(b.Parts, Part{Name: filepath.Base(path), Size: s.size, log: l, path: path})
	}
	data, err := l.metaEndingAt(end)
	if err != nil {
		b.Close()
		return nil, err
	}
	b.Parts = append(b.Parts, Part{Name: metaName, Size: int64(len(data)), log: l, data: data})
	return b, nil
}

// metaEndingAt is a meta that tells where the log ends.
func (l *Log) metaEndingAt(end position) ([]byte, error) {
	l.kept.mu.Lock()
	m := l.kept.meta
	l.kept.mu.Unlock()
	m.End = end
	return m.encode()
}

// Close has the log remove what it kept for the backup alone, soon.
func (b *Backup) Close() {
	b.close.Do(func() {
		b.log.files.unpin()
		signal(b.log.cleanNow)
	})
}

// isClosed says whether the log was closed, or is about to be.
func (l *Log) isClosed() bool {
	select {
	case <-l.quit:
		return true
	default:
		return false
	}
}

// Open opens the file, to read Size bytes of it.
func (p *Part) Open() (io.ReadCloser, error) {
	if p.data != nil {
		return io.NopCloser(bytes.NewReader(p.data)), nil
	}
	file, err := p.log.opt.FS.Open(p.path)
	if err != nil {
		return nil, err
	}
	return &partReader{File: file, log: p.log, rest: io.NewSectionReader(file, 0, p.Size)}, nil
}

// partReader reads a segment. Once the log is closed another process may use its files again.
type partReader struct {
	File
	log  *Log
	rest *io.SectionReader
}

func (r *partReader) Read(p []byte) (int, error) {
	n, err := r.rest.Read(p)
	if r.log.isClosed() {
		return 0, ErrClosed
	}
	return n, err
}

// pin has the segments stay that count up to where the log is synced, which is the end. It returns
// them, with as much of each as counts.
func (f *files) pin() (segments []segment, end position) {
	f.mu.Lock()
	defer f.mu.Unlock()
	end = f.syncedTo
	for _, s := range f.list {
		if s.number == end.segment() {
			s.size = end.offset()
		}
		if s.number <= end.segment() {
			segments = append(segments, s)
		}
	}
	f.backups++
	f.pinned = max(f.pinned, end.segment())
	return segments, end
}

// unpin ends a pin.
func (f *files) unpin() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.backups--; f.backups == 0 {
		f.pinned = 0
	}
}

// IsPart says whether a file of a data directory belongs to a backup of it.
func IsPart(name string) bool {
	_, is := segmentNumber(name)
	return is || name == metaName
}

// IsMeta says whether a file is the one without which a directory is no data directory.
func IsMeta(name string) bool { return name == metaName }

// dirNameMax bounds DirName: some file systems take 255 bytes.
const dirNameMax = 200

// DirName is a name for the directory of a node, made of its name: letters, digits, dots, dashes
// and underscores. Two nodes may have the same.
func DirName(node string) string {
	safe := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '-':
			return r
		}
		return '_'
	}, node)
	if strings.Trim(safe, ".") == "" {
		safe = "node" + safe
	}
	return safe[max(len(safe)-dirNameMax, 0):]
}
