package crashfs

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"testing"

	"httpdhs/disk"
)

const seeds = 300

// fates are Lose, Keep, and some that draw.
func fates() []Fate {
	all := []Fate{Lose, Keep}
	for seed := range uint64(seeds) {
		all = append(all, drawn(seed))
	}
	return all
}

func drawn(seed uint64) Fate { return rand.New(rand.NewPCG(seed, 0)).IntN }

// must ends the test at an error of what should do.
func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// create makes a file with a content, of which nothing is synced.
func create(t *testing.T, fs disk.FS, path string, body []byte) disk.File {
	t.Helper()
	f, err := fs.Create(path)
	must(t, err)
	write(t, f, body, 0)
	return f
}

// kept makes a file that a power cut leaves as it is.
func kept(t *testing.T, fs disk.FS, path string, body []byte) disk.File {
	t.Helper()
	f := create(t, fs, path, body)
	must(t, f.Sync(), fs.SyncDir("/data"))
	return f
}

func write(t *testing.T, f disk.File, body []byte, off int64) {
	t.Helper()
	if n, err := f.WriteAt(body, off); n != len(body) || err != nil {
		t.Fatalf("%d bytes written of %d: %v", n, len(body), err)
	}
}

// body is what a file has; nil: there is none.
func body(t *testing.T, fs disk.FS, path string) []byte {
	t.Helper()
	names, err := fs.List("/data")
	must(t, err)
	for _, name := range names {
		if "/data/"+name == path {
			f, err := fs.Open(path)
			must(t, err)
			return whole(t, f)
		}
	}
	return nil
}

func whole(t *testing.T, f disk.File) []byte {
	t.Helper()
	size, err := f.Size()
	must(t, err)
	b := make([]byte, size)
	n, err := f.ReadAt(b, 0)
	if n != len(b) || err != nil && err != io.EOF {
		t.Fatalf("%d bytes read of %d: %v", n, len(b), err)
	}
	return b
}

func wantBody(t *testing.T, fs disk.FS, path string, want []byte) {
	t.Helper()
	if got := body(t, fs, path); !bytes.Equal(got, want) {
		t.Fatalf("%s has %d bytes %.40q, want %d bytes %.40q", path, len(got), got, len(want), want)
	}
}

func wantErr(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("the error is %v, want %v", err, want)
	}
}

// pages are so many pages of one letter.
func pages(n int, letter byte) []byte { return bytes.Repeat([]byte{letter}, n*pageSize) }
