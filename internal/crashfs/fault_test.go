package crashfs

import (
	"io/fs"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// On a full disk a write stops where there is no room. Overwriting needs none, and a file that is
// removed and closed gives its own back.
func TestFullDisk(t *testing.T) {
	d := New("/data")
	d.Fault(func(f *Faults) { f.Capacity = 10000 })
	old := create(t, d, "/data/old", make([]byte, 4000))
	f := create(t, d, "/data/x", make([]byte, 4000))
	n, err := f.WriteAt(pages(1, 'n'), 3000)
	if wantErr(t, err, syscall.ENOSPC); n != 3000 || d.Used() != 10000 {
		t.Errorf("%d bytes written, %d used", n, d.Used())
	}
	write(t, f, []byte("over"), 5996)
	if n, err := f.WriteAt([]byte("x"), 7000); n != 0 {
		t.Errorf("%d bytes written beyond the end", n)
	} else {
		wantErr(t, err, syscall.ENOSPC)
	}
	must(t, d.Remove("/data/old"))
	if d.Used() != 10000 {
		t.Errorf("%d bytes used while the removed file is open", d.Used())
	}
	must(t, old.Close())
	write(t, f, make([]byte, 4000), 6000)
	must(t, f.Sync(), d.SyncDir("/data"))
	if after := d.Crash(Lose); after.Used() != 10000 {
		t.Errorf("%d bytes used after a power cut", after.Used())
	} else if f, err = after.Open("/data/x"); err == nil {
		_, err = f.WriteAt([]byte("x"), 10000)
		wantErr(t, err, syscall.ENOSPC)
	}
}

// Each fault makes its calls fail, for the paths that it is for, and goes as it came.
func TestFaultsComeAndGo(t *testing.T) {
	d := New("/data")
	x, y := kept(t, d, "/data/x", []byte("old")), kept(t, d, "/data/y", []byte("y"))
	d.Fault(func(f *Faults) {
		f.WriteErr, f.SyncErr, f.ReadErr, f.NameErr = syscall.EIO, syscall.EIO, syscall.EIO, syscall.EIO
		f.Only = func(path string) bool { return strings.HasSuffix(path, "x") }
	})
	_, writing := x.WriteAt([]byte("new"), 0)
	_, reading := x.ReadAt(make([]byte, 1), 0)
	_, creating := d.Create("/data/x")
	for _, err := range []error{
		writing, reading, creating, x.Sync(), d.Remove("/data/x"), d.Rename("/data/x", "/data/z"),
		d.Rename("/data/y", "/data/x"), d.MkdirAll("/x"),
	} {
		wantErr(t, err, syscall.EIO)
	}
	write(t, y, []byte("z"), 0)
	must(t, y.Sync(), d.SyncDir("/data"))
	d.Fault(func(f *Faults) { f.Only = nil })
	wantErr(t, d.SyncDir("/data"), syscall.EIO)
	d.Fault(func(f *Faults) { *f = Faults{} })
	wantBody(t, d, "/data/x", []byte("old"))
	wantBody(t, d, "/data/y", []byte("z"))
}

// On a disk that may only be read everything else fails, and changes nothing.
func TestReadOnly(t *testing.T) {
	d := New("/data")
	x := kept(t, d, "/data/x", []byte("old"))
	d.Fault(func(f *Faults) { f.ReadOnly = true })
	_, writing := x.WriteAt([]byte("new"), 0)
	_, creating := d.Create("/data/x")
	_, opening := d.Open("/data/x")
	_, locking := d.Lock("/data")
	for _, err := range []error{
		writing, creating, opening, locking, x.Sync(), d.SyncDir("/data"), d.MkdirAll("/new"),
		d.Remove("/data/x"), d.Rename("/data/x", "/data/y"),
	} {
		wantErr(t, err, syscall.EROFS)
	}
	must(t, d.MkdirAll("/data"))
	if got := string(whole(t, x)); got != "old" {
		t.Errorf("the file has %q", got)
	}
}

// After a Sync that failed, one that succeeds leaves out what the first did not write. Reads see it
// until the page is evicted. What is written again lasts.
func TestFailedSyncMarksClean(t *testing.T) {
	d := New("/data")
	f := kept(t, d, "/data/x", pages(2, 'a'))
	write(t, f, pages(3, 'b'), 0)
	d.Fault(func(f *Faults) { f.SyncErr = syscall.EIO })
	wantErr(t, f.Sync(), syscall.EIO)
	d.Fault(func(f *Faults) { f.SyncErr = nil })
	write(t, f, []byte("c"), pageSize)
	d.Evict()
	if got := whole(t, f)[pageSize]; got != 'c' {
		t.Errorf("what is to be written is evicted: %c", got)
	}
	must(t, f.Sync())

	again := append([]byte("c"), pages(1, 'b')[1:]...)
	left := append(append(pages(1, 'a'), again...), make([]byte, pageSize)...)
	wantBody(t, d, "/data/x", left)
	for _, fate := range fates() {
		wantBody(t, d.Snapshot().Crash(fate), "/data/x", left)
	}

	write(t, f, pages(3, 'd'), 0)
	d.Fault(func(f *Faults) { f.SyncErr = syscall.EIO })
	wantErr(t, f.Sync(), syscall.EIO)
	d.Fault(func(f *Faults) { f.SyncErr = nil })
	must(t, f.Sync())
	wantBody(t, d, "/data/x", pages(3, 'd'))
	wantBody(t, d.Kill().Crash(Lose), "/data/x", left)
	wantBody(t, d.Crash(Keep), "/data/x", pages(3, 'd'))
}

// A SyncDir that fails changes nothing, and one that succeeds later makes up for it.
func TestFailedSyncDir(t *testing.T) {
	d := New("/data")
	create(t, d, "/data/x", nil)
	d.Fault(func(f *Faults) { f.SyncErr = syscall.EIO })
	wantErr(t, d.SyncDir("/data"), syscall.EIO)
	if names, _ := d.Snapshot().Crash(Lose).List("/data"); len(names) > 0 {
		t.Errorf("%q are there", names)
	}
	d.Fault(func(f *Faults) { f.SyncErr = nil })
	must(t, d.SyncDir("/data"))
	if names, _ := d.Crash(Lose).List("/data"); len(names) != 1 {
		t.Errorf("%q are there", names)
	}
}

// While a slow Sync runs others go on, in a bubble too. What they write is not part of it, whether
// it succeeds or fails, nor is what a later Sync has done undone by it.
func TestSlowSync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := New("/data")
		f := kept(t, d, "/data/x", pages(1, 'a'))
		slow := time.Hour
		d.Fault(func(f *Faults) { f.Slow = func(string) { time.Sleep(slow) } })
		var wg sync.WaitGroup
		later := func(body []byte) {
			wg.Go(func() { must(t, f.Sync()) })
			synctest.Wait()
			for range 2 * versionsMax { // versions that are forgotten are none that it needs
				write(t, f, body, 0)
			}
		}
		write(t, f, pages(2, 'b'), 0)
		later(pages(3, 'c'))
		wantBody(t, d.Snapshot().Crash(Lose), "/data/x", pages(1, 'a'))
		wg.Wait()
		wantBody(t, d.Snapshot().Crash(Lose), "/data/x", pages(2, 'b'))

		later(pages(4, 'd'))
		d.Fault(func(f *Faults) { f.Slow = nil })
		must(t, f.Sync()) // overtakes the slow one
		wg.Wait()
		wantBody(t, d.Snapshot().Crash(Lose), "/data/x", pages(4, 'd'))

		d.Fault(func(f *Faults) { f.Slow = func(string) { time.Sleep(slow) } })
		write(t, f, pages(4, 'e'), 0)
		wg.Go(func() { must(t, f.Sync()) })
		wg.Go(func() { must(t, d.SyncDir("/data")) })
		synctest.Wait()
		create(t, d, "/data/x", nil)
		create(t, d, "/data/y", nil)
		s := d.Snapshot()
		wg.Wait()
		wantBody(t, s.Crash(Lose), "/data/x", pages(4, 'd'))
		after := d.Snapshot().Crash(Lose)
		wantBody(t, after, "/data/x", pages(4, 'e'))
		wantBody(t, after, "/data/y", nil)
		if names, _ := after.List("/data"); len(names) != 1 {
			t.Errorf("a slow SyncDir has what came after it: %q", names)
		}
	})
}

// A Sync that runs when all ends has no effect on what is found, and fails.
func TestSlowSyncAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := New("/data")
		f := kept(t, d, "/data/x", pages(1, 'a'))
		write(t, f, pages(1, 'b'), 0)
		d.Fault(func(f *Faults) { f.Slow = func(string) { time.Sleep(time.Hour) } })
		var wg sync.WaitGroup
		wg.Go(func() { wantErr(t, f.Sync(), ErrGone) })
		synctest.Wait()
		wantBody(t, d.Crash(Lose), "/data/x", pages(1, 'a'))
		wg.Wait()
		wantBody(t, d.Crash(Lose), "/data/x", pages(1, 'a'))
		killed := d.Kill()
		killed.Fault(func(f *Faults) { f.Slow = nil })
		f, err := killed.Open("/data/x")
		must(t, err, f.Sync())
		wantBody(t, killed.Crash(Lose), "/data/x", pages(1, 'b'))
	})
}

// Damage is there for reads, and after a power cut whatever was drawn.
func TestDamageIsForGood(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(*FS) error
		want []byte
	}{
		"flip":     {func(d *FS) error { return d.Flip("/data/x", 1, 1) }, []byte("acaa")},
		"zero":     {func(d *FS) error { return d.Zero("/data/x", 2) }, []byte("aa\x00\x00")},
		"truncate": {func(d *FS) error { return d.Truncate("/data/x", 3) }, []byte("aaa")},
		"vanish":   {func(d *FS) error { return d.Vanish("/data/x") }, nil},
	} {
		wantErr(t, c.do(New("/data")), fs.ErrNotExist)
		d := New("/data")
		f := kept(t, d, "/data/x", []byte("aaaa"))
		write(t, f, []byte("aaaa"), 0)
		must(t, d.Rename("/data/x", "/data/y"), d.Rename("/data/y", "/data/x"))
		calls := d.Calls()
		must(t, c.do(d))
		wantBody(t, d, "/data/x", c.want)
		for _, fate := range fates() {
			after := d.Snapshot().Crash(fate)
			if names, _ := after.List("/data"); len(names) == 1 && names[0] == "x" {
				wantBody(t, after, "/data/x", c.want)
			}
		}
		if d.Calls() != calls {
			t.Errorf("%s is counted as a call", name)
		}

		kept(t, d, "/data/x", []byte("whole"))
		create(t, d, "/data/x", []byte("aaaa"))
		must(t, c.do(d))
		if got := body(t, d.Crash(Lose), "/data/x"); len(got) > 0 {
			t.Errorf("after %s a power cut brings %q back", name, got)
		}
	}
}
