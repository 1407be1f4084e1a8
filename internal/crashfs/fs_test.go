package crashfs

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"httpdhs/disk"
)

// What a program sees without faults is what it sees on the machine's disk.
func TestBehavesAsTheMachineDoes(t *testing.T) {
	t.Run("os", func(t *testing.T) { conforms(t, disk.OS{}, t.TempDir()) })
	t.Run("crashfs", func(t *testing.T) { conforms(t, New(), "/some/where") })
}

func conforms(t *testing.T, d disk.FS, root string) {
	dir := filepath.Join(root, "a", "b")
	in := func(name string) string { return filepath.Join(dir, name) }
	_, err := d.List(dir)
	wantErr(t, err, fs.ErrNotExist)
	_, err = d.Create(in("x"))
	wantErr(t, err, fs.ErrNotExist)
	must(t, d.MkdirAll(dir), d.MkdirAll(dir))
	_, err = d.Open(in("x"))
	wantErr(t, err, fs.ErrNotExist)
	wantErr(t, d.Remove(in("x")), fs.ErrNotExist)
	wantErr(t, d.Rename(in("x"), in("y")), fs.ErrNotExist)
	wantErr(t, d.SyncDir(in("x")), fs.ErrNotExist)

	x := create(t, d, in("x"), []byte("hello"))
	other, err := d.Open(in("x"))
	must(t, err)
	write(t, other, []byte("!"), 9000) // a hole before
	b := make([]byte, 9010)
	if n, err := x.ReadAt(b, 0); n != 9001 || err != io.EOF {
		t.Errorf("%d bytes read: %v", n, err)
	}
	if want := slices.Concat([]byte("hello"), make([]byte, 8995), []byte("!")); !bytes.Equal(b[:9001], want) {
		t.Error("the file has something else than what was written")
	}
	if n, err := x.ReadAt(b[:2], 1); n != 2 || err != nil || string(b[:2]) != "el" {
		t.Errorf("%d bytes read: %v %q", n, err, b[:2])
	}
	if n, err := x.ReadAt(b, 10000); n != 0 || err != io.EOF {
		t.Errorf("%d bytes read beyond the end: %v", n, err)
	}
	must(t, x.Sync(), d.SyncDir(dir))

	y := create(t, d, in("y"), []byte("other"))
	must(t, d.Rename(in("x"), in("y")))
	if got := string(whole(t, y)); got != "other" {
		t.Errorf("the file that was replaced has %q for who has it open", got)
	}
	must(t, d.Rename(in("y"), in("y")))
	if _, err := d.Create(in("y")); err != nil || len(whole(t, x)) != 0 {
		t.Errorf("Create leaves %d bytes in a file that is there: %v", len(whole(t, x)), err)
	}
	must(t, x.Close())
	_, err = x.ReadAt(b, 0)
	wantErr(t, err, fs.ErrClosed)
	wantErr(t, x.Close(), fs.ErrClosed)
	if x.Sync() == nil {
		t.Error("a file that is closed is synced")
	}

	lock, err := d.Lock(dir)
	must(t, err)
	_, err = d.Lock(dir)
	wantErr(t, err, disk.ErrInUse)
	names, err := d.List(dir)
	if slices.Sort(names); err != nil || !slices.Equal(names, []string{"lock", "y"}) {
		t.Errorf("the directory has %q: %v", names, err)
	}
	must(t, lock.Close())
	wantErr(t, lock.Close(), fs.ErrClosed)
	lock, err = d.Lock(dir)
	must(t, err, lock.Close(), d.Remove(in("y")), d.Remove(in("lock")), d.Remove(dir))
	_, err = d.List(dir)
	wantErr(t, err, fs.ErrNotExist)
}

// What is asked of a path that is of the other kind is refused.
func TestFilesAreNoDirectories(t *testing.T) {
	d := New("/data", "/other")
	create(t, d, "/data/x", nil)
	_, create := d.Create("/data")
	_, open := d.Open("/data")
	_, list := d.List("/data/x")
	for i, err := range []error{
		create, open, list, d.MkdirAll("/data/x/y"), d.Rename("/data/x", "/other"),
		d.Rename("/data", "/dada"), d.Rename("/data/x", "/other/x"), d.Remove("/data"), d.Remove("/"),
	} {
		if err == nil {
			t.Errorf("call %d succeeds", i)
		}
	}
}

// Goroutines that write, sync, list and cut the power do not race, and each finds what it wrote.
func TestManyAtOnce(t *testing.T) {
	d := New("/data")
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			path := fmt.Sprintf("/data/%d", g)
			f, err := d.Create(path)
			for i := range 50 {
				if err == nil {
					_, err = f.WriteAt(pages(1, byte(g)), int64(i*1000))
				}
				if err == nil && i%10 == 0 {
					err = f.Sync()
				}
				d.Snapshot().Crash(drawn(uint64(i)))
			}
			b := make([]byte, 49*1000+pageSize)
			if err == nil {
				_, err = f.ReadAt(b, 0)
			}
			if err != nil || !bytes.Equal(b, bytes.Repeat([]byte{byte(g)}, len(b))) {
				t.Errorf("goroutine %d: %v", g, err)
			}
		})
	}
	wg.Wait()
	d.Crash(Keep)
}
