package server

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"httpdhs/api"
)

// ErrNothingOnDisk is what Cluster.Backup returns at a node that is in memory alone.
// ErrCannotBackUp wraps what else is in the way, for now.
var (
	ErrNothingOnDisk = &statusError{fasthttp.StatusConflict, "this node keeps nothing on a disk, so there is nothing to back up: start it with --data-dir"}
	ErrCannotBackUp  = &statusError{fasthttp.StatusServiceUnavailable, "this node cannot be backed up now"}

	errBackupRuns = &statusError{fasthttp.StatusServiceUnavailable, "this node is being backed up: wait until that is done"}
)

// backups serves GET /cluster/backup, one at a time: each has the node keep files that it does not
// need any more.
type backups struct {
	of    Cluster
	under atomic.Bool // one is under way
}

var typeTar = []byte("application/x-tar")

// backupPieceBytes is how much of a backup is in memory at once.
const backupPieceBytes = 256 << 10

// serve answers with a tar of what the node has on its disk. Its length is said before it begins.
// So a client sees where it breaks off, whatever HTTP it speaks.
func (b *backups) serve(ctx *fasthttp.RequestCtx, _ *scratch) error {
	if !b.under.CompareAndSwap(false, true) {
		return errBackupRuns
	}
	backup, err := b.of.Backup()
	if err != nil {
		b.under.Store(false)
		status, _ := statusOf(err)
		failWith(ctx, err, status, &api.Error{Error: err.Error()})
		return nil
	}
	stream, err := newTarStream(backup, time.Now())
	stream.closed = func() { b.under.Store(false) }
	if err != nil {
		return errors.Join(err, stream.Close())
	}
	ctx.Response.Header.SetContentTypeBytes(typeTar)
	ctx.Response.Header.Set(fasthttp.HeaderContentDisposition, fmt.Sprintf("attachment; filename=%q", backup.Dir+".tar"))
	ctx.Response.SetBodyStream(stream, int(stream.size))
	return nil
}

// tarStream is a backup as a tar, made while it is read.
type tarStream struct {
	io.Reader
	size   int64
	backup *Backup
	open   io.Closer // the file at hand; nil: none
	once   sync.Once
	closed func()
}

const (
	tarBlockBytes = 512
	tarEndBytes   = 2 * tarBlockBytes // of zeros
)

func newTarStream(b *Backup, now time.Time) (*tarStream, error) {
	s := &tarStream{backup: b}
	var parts []io.Reader
	for i := range b.Files {
		f := &b.Files[i]
		head, err := tarHead(path.Join(b.Dir, f.Name), f.Size, now)
		if err != nil {
			return s, err
		}
		padding := -f.Size & (tarBlockBytes - 1)
		parts = append(parts, bytes.NewReader(head), &tarFile{of: s, file: f}, bytes.NewReader(make([]byte, padding)))
		s.size += int64(len(head)) + f.Size + padding
	}
	s.Reader = io.MultiReader(append(parts, bytes.NewReader(make([]byte, tarEndBytes)))...)
	s.size += tarEndBytes
	return s, nil
}

// tarHead is what stands before a file in a tar.
func tarHead(name string, size int64, now time.Time) ([]byte, error) {
	var head bytes.Buffer
	err := tar.NewWriter(&head).WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o600, ModTime: now.Truncate(time.Second)})
	return head.Bytes(), err
}

// SupportsBodyWriteTo tells fasthttp to use WriteTo.
func (s *tarStream) SupportsBodyWriteTo() bool { return true }

// WriteTo writes larger pieces than fasthttp would.
func (s *tarStream) WriteTo(w io.Writer) (int64, error) {
	type plain struct{ io.Writer } // without ReadFrom
	return io.CopyBuffer(plain{w}, s.Reader, make([]byte, backupPieceBytes))
}

// Close ends the backup, however much of it was read.
func (s *tarStream) Close() (err error) {
	s.once.Do(func() {
		if s.open != nil {
			err = s.open.Close()
		}
		s.backup.Close()
		s.closed()
	})
	return err
}

// tarFile reads a file of a backup, which is open while it is read.
type tarFile struct {
	of   *tarStream
	file *BackupFile
	from io.Reader // nil: not open yet
	left int64
}

func (f *tarFile) Read(p []byte) (int, error) {
	if f.from == nil {
		r, err := f.file.Open()
		if err != nil {
			return 0, err
		}
		f.from, f.of.open, f.left = r, r, f.file.Size
	}
	if f.left == 0 {
		err := f.of.open.Close()
		f.of.open = nil
		if err == nil {
			err = io.EOF
		}
		return 0, err
	}
	n, err := f.from.Read(p[:min(int64(len(p)), f.left)])
	f.left -= int64(n)
	if err == io.EOF && f.left > 0 {
		return n, fmt.Errorf("%s: %w", f.file.Name, io.ErrUnexpectedEOF)
	}
	if err == io.EOF {
		err = nil // the next call closes it
	}
	return n, err
}
