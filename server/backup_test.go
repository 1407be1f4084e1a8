package server

import (
	"archive/tar"
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"httpdhs/internal/poll"
	"httpdhs/kv"
)

// fakeBackup is a backup of files in memory, and who has them open.
type fakeBackup struct {
	mu     sync.Mutex // guards all below
	opened int        // files that are open
	most   int        // of these at a time
	closed int        // how often it was closed
	breaks int        // the file of this number, from 1, breaks off
	files  [][]byte
}

func (f *fakeBackup) make() (*Backup, error) {
	b := &Backup{Dir: "n1_1234", Close: func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.closed++
	}}
	for i, data := range f.files {
		name := fmt.Sprintf("%08d.log", i+1)
		if i == len(f.files)-1 {
			name = "meta"
		}
		b.Files = append(b.Files, BackupFile{Name: name, Size: int64(len(data)), Open: func() (io.ReadCloser, error) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.opened++
			f.most = max(f.most, f.opened)
			if i+1 == f.breaks {
				data = data[:len(data)/2]
			}
			return &fakeFile{bytes.NewReader(data), f}, nil
		}})
	}
	return b, nil
}

type fakeFile struct {
	io.Reader
	of *fakeBackup
}

func (f *fakeFile) Close() error {
	f.of.mu.Lock()
	defer f.of.mu.Unlock()
	f.of.opened--
	return nil
}

// over says whether so many backups were closed, with all files.
func (f *fakeBackup) over(times int) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed != times || f.opened != 0 {
		return fmt.Errorf("%d backups were closed, want %d, and %d files are open", f.closed, times, f.opened)
	}
	return nil
}

func filesOf(sizes ...int) (files [][]byte) {
	for i, size := range sizes {
		files = append(files, bytes.Repeat([]byte{byte('a' + i)}, size))
	}
	return files
}

// A backup is a tar of the node's files, in their order and with their bytes, in a directory that
// is named after the node. One file is open at a time.
func TestBackup(t *testing.T) {
	fake := &fakeBackup{files: filesOf(0, 1, 511, 512, 513, 1<<20+7, 300)}
	f := start(t, Options{AuthToken: "s3cret"})
	f.cluster.backup = fake.make
	f.send("GET", "/cluster/backup", "").want(t, 401)
	token := "Authorization: Bearer s3cret"
	for times := range 2 {
		a := f.send("GET", "/cluster/backup", "", token)
		a.want(t, 200)
		if a.header.Get("Content-Type") != "application/x-tar" || a.header.Get("Content-Length") != itoa(len(a.body)) ||
			a.header.Get("Content-Disposition") != `attachment; filename="n1_1234.tar"` {
			t.Errorf("%d bytes with %v", len(a.body), a.header)
		}
		r := tar.NewReader(strings.NewReader(a.body))
		for i, want := range fake.files {
			h, err := r.Next()
			if err != nil {
				t.Fatal(err)
			}
			name := fmt.Sprintf("n1_1234/%08d.log", i+1)
			if i == len(fake.files)-1 {
				name = "n1_1234/meta"
			}
			data, err := io.ReadAll(r)
			if err != nil || h.Name != name || !bytes.Equal(data, want) {
				t.Errorf("%s with %d bytes, want %s with %d (%v)", h.Name, len(data), name, len(want), err)
			}
		}
		if _, err := r.Next(); err != io.EOF {
			t.Errorf("after the last file: %v", err)
		}
		if err := fake.over(times + 1); err != nil {
			t.Error(err)
		}
	}
	if a := f.send("HEAD", "/cluster/backup", "", token); a.status != 200 || a.header.Get("Content-Length") == "" || a.body != "" {
		t.Errorf("HEAD: %d %v %q", a.status, a.header, a.body)
	}
	if err := fake.over(3); err != nil || fake.most != 1 {
		t.Errorf("%v; %d files were open at a time", err, fake.most)
	}
	f.send("GET", "/cluster/backup?timeout=1s", "", token).want(t, 400)
	f.send("POST", "/cluster/backup", "", token).want(t, 405)
}

// Where there is nothing to back up, or not now, the answer says so.
func TestNoBackup(t *testing.T) {
	f := start(t, Options{})
	a := f.send("GET", "/cluster/backup", "")
	a.want(t, 409)
	if !strings.Contains(a.body, "--data-dir") {
		t.Errorf("without a disk: %s", a.body)
	}
	for _, tc := range []struct {
		err   error
		retry string
		text  string
	}{
		{fmt.Errorf("%w: loading: 43 %%", kv.ErrStarting), "1", "loading: 43 %"},
		{kv.ErrStopping, "1", "stopping"},
		{fmt.Errorf("%w: cannot back up: %w", ErrCannotBackUp, kv.ErrNoDisk), "", "cannot write to its disk"},
	} {
		f.cluster.backup = func() (*Backup, error) { return nil, tc.err }
		a := f.send("GET", "/cluster/backup", "")
		a.want(t, 503)
		if a.header.Get("Retry-After") != tc.retry || !strings.Contains(a.body, tc.text) {
			t.Errorf("%v: %s, Retry-After %q", tc.err, a.body, a.header.Get("Retry-After"))
		}
	}
}

// One backup is made at a time. A second client is told to come again. When the first hangs up the
// backup ends, and the next may begin.
func TestOneBackupAtATime(t *testing.T) {
	fake := &fakeBackup{files: filesOf(8<<20, 64<<20, 10)}
	f := start(t, Options{})
	f.cluster.backup = fake.make
	c := f.dial()
	_, _ = io.WriteString(c, "GET /cluster/backup HTTP/1.1\r\nHost: x\r\n\r\n")
	if res, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil || res.StatusCode != 200 {
		t.Fatalf("%v %v", res, err)
	}
	a := f.send("GET", "/cluster/backup", "")
	a.want(t, 503)
	if a.header.Get("Retry-After") != "1" || !strings.Contains(a.body, "is being backed up") {
		t.Errorf("%s, Retry-After %q", a.body, a.header.Get("Retry-After"))
	}
	_ = c.Close()
	if err := poll.Within(poll.Patience, func() error { return fake.over(1) }); err != nil {
		t.Error(err)
	}
	f.send("HEAD", "/cluster/backup", "").want(t, 200)
}

// A client that takes nothing of a backup loses it, as with any answer.
func TestABackupThatIsNotTakenEnds(t *testing.T) {
	fake := &fakeBackup{files: filesOf(64<<20, 10)}
	f := start(t, Options{})
	f.cluster.backup = fake.make
	c := f.dial()
	defer c.Close()
	_, _ = io.WriteString(c, "GET /cluster/backup HTTP/1.1\r\nHost: x\r\n\r\n")
	if _, err := c.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	now := time.Duration(0)
	if err := poll.Within(poll.Patience, func() error {
		now += f.limits.write
		f.sweep(now)
		return fake.over(1)
	}); err != nil {
		t.Error(err)
	}
}

// A backup that breaks off, or that cannot be read, is shorter than its answer says it is, and
// lacks its last file. The connection is closed.
func TestABackupThatBreaksOffIsSeen(t *testing.T) {
	fake := &fakeBackup{files: filesOf(100, 1<<20, 10), breaks: 2}
	f := start(t, Options{})
	f.cluster.backup = fake.make
	for _, version := range []string{"1.0", "1.1"} {
		c := f.dial()
		_, _ = io.WriteString(c, "GET /cluster/backup HTTP/"+version+"\r\nHost: x\r\n\r\n")
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(res.Body)
		if !errors.Is(err, io.ErrUnexpectedEOF) || bytes.Contains(data, []byte("meta")) {
			t.Errorf("HTTP/%s: %d bytes of %d, %v", version, len(data), res.ContentLength, err)
		}
		_ = c.Close()
	}
	if err := poll.Within(poll.Patience, func() error { return fake.over(2) }); err != nil {
		t.Error(err)
	}
}
