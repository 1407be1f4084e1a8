package crashfs

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"

	"httpdhs/disk"
)

// What was synced, under a name that was, is there whatever was drawn.
func TestWhatWasSyncedIsThere(t *testing.T) {
	d := New("/data")
	want := bytes.Repeat([]byte("0123456"), 3000)
	f := kept(t, d, "/data/x", want)
	write(t, f, pages(3, 'n'), int64(len(want)))
	create(t, d, "/data/y", want)
	must(t, d.Rename("/data/y", "/data/z"))
	s := d.Snapshot()
	for _, fate := range fates() {
		got := body(t, s.Crash(fate), "/data/x")
		if !bytes.HasPrefix(got, want) {
			t.Fatalf("%d bytes are left of %d that were synced", len(got), len(want))
		}
	}
}

// With Lose nothing is there that was not synced. With Keep, and after Kill, everything is.
func TestLoseKeepAndKill(t *testing.T) {
	d := New("/data")
	f := kept(t, d, "/data/x", []byte("old"))
	kept(t, d, "/data/gone", []byte("g"))
	write(t, f, pages(2, 'n'), 2)
	create(t, d, "/data/y", []byte("new"))
	must(t, d.Remove("/data/gone"), d.MkdirAll("/data/sub"))
	s := d.Snapshot()

	lost := s.Crash(Lose)
	wantBody(t, lost, "/data/x", []byte("old"))
	wantBody(t, lost, "/data/y", nil)
	wantBody(t, lost, "/data/gone", []byte("g"))
	for _, all := range []*FS{s.Crash(Keep), s.Kill(Lose)} {
		wantBody(t, all, "/data/x", append([]byte("ol"), pages(2, 'n')...))
		wantBody(t, all, "/data/y", []byte("new"))
		wantBody(t, all, "/data/gone", nil)
		if _, err := all.List("/data/sub"); err != nil {
			t.Error(err)
		}
	}

	// Kill syncs nothing, and what the next process syncs lasts. Crash leaves all of it synced.
	killed := s.Kill(Lose)
	wantBody(t, killed.Snapshot().Crash(Lose), "/data/x", []byte("old"))
	f, err := killed.Open("/data/x")
	must(t, err, f.Sync())
	wantBody(t, killed.Crash(Lose), "/data/x", append([]byte("ol"), pages(2, 'n')...))
	wantBody(t, s.Crash(Keep).Crash(Lose), "/data/y", []byte("new"))
}

// Each page has one of its versions, or sectors of two that follow each other. All of that occurs,
// and independently in each page.
func TestPagesAreOldNewOrTorn(t *testing.T) {
	d := New("/data")
	f := kept(t, d, "/data/x", pages(2, 'a'))
	write(t, f, pages(2, 'b'), 0)
	write(t, f, pages(2, 'c'), 0)
	s := d.Snapshot()
	seen := map[string]int{}
	for _, fate := range fates() {
		got := body(t, s.Crash(fate), "/data/x")
		if len(got) != 2*pageSize {
			t.Fatalf("%d bytes are left", len(got))
		}
		kinds := [2]string{}
		for i := range kinds {
			p := got[i*pageSize : (i+1)*pageSize]
			for sector := range slices.Chunk(p, sectorSize) {
				if !bytes.Equal(sector, bytes.Repeat(sector[:1], sectorSize)) {
					t.Fatal("a sector is torn")
				}
			}
			for _, letter := range "abc" {
				if bytes.ContainsRune(p, letter) {
					kinds[i] += string(letter)
				}
			}
		}
		seen[kinds[0]]++
		seen["pairs "+kinds[0]+" "+kinds[1]]++
	}
	for _, kind := range []string{"a", "ab", "b", "bc", "c", "pairs a c", "pairs c a", "pairs b ab"} {
		if seen[kind] == 0 {
			t.Errorf("%s does not occur: %v", kind, seen)
		}
	}
	if seen["ac"]+seen["abc"] > 0 {
		t.Errorf("a page has sectors of versions that do not follow each other: %v", seen)
	}
}

// A file that grew has a size between, and may have zeros where its data should be.
func TestSizesAreBetween(t *testing.T) {
	d := New("/data")
	f := kept(t, d, "/data/x", []byte("old"))
	write(t, f, pages(2, 'n'), 3)
	s := d.Snapshot()
	var between, zeros bool
	grown := append([]byte("x"), make([]byte, pageSize)...)
	for _, fate := range fates() {
		after := s.Crash(fate)
		got := body(t, after, "/data/x")
		if len(got) < 3 || len(got) > 3+2*pageSize {
			t.Fatalf("%d bytes are left", len(got))
		}
		between = between || len(got) > 3 && len(got) < 3+2*pageSize
		zeros = zeros || len(got) > 3+pageSize && bytes.Count(got, []byte{0}) > pageSize/2

		f, err := after.Open("/data/x") // what was beyond the size does not come back
		must(t, err)
		write(t, f, grown, int64(len(got)+pageSize))
		wantBody(t, after, "/data/x", slices.Concat(got, make([]byte, pageSize), grown))
	}
	if !between || !zeros {
		t.Errorf("a size between occurs: %t, zeros in place of data: %t", between, zeros)
	}
}

// Of the changes of names a prefix has happened, and each of them occurs.
func TestNamesAreAPrefix(t *testing.T) {
	d := New("/data")
	kept(t, d, "/data/a", nil)
	create(t, d, "/data/b", nil)
	must(t, d.Rename("/data/b", "/data/a"))
	create(t, d, "/data/c", nil)
	must(t, d.Remove("/data/a"))
	s := d.Snapshot()
	want := []string{"a", "a b", "a", "a c", "c"}
	seen := map[string]bool{}
	for _, fate := range fates() {
		names, err := s.Crash(fate).List("/data")
		must(t, err)
		got := strings.Join(names, " ")
		if !slices.Contains(want, got) {
			t.Fatalf("the directory has %q", got)
		}
		seen[got] = true
	}
	if len(seen) != 4 {
		t.Errorf("what occurs is %v", seen)
	}
}

// A directory is a name as well: without SyncDir of its parent it goes, with all that was synced.
func TestDirectoriesAreNames(t *testing.T) {
	d := New()
	must(t, d.MkdirAll("/data"))
	kept(t, d, "/data/x", []byte("x"))
	if names, _ := d.Snapshot().Crash(Lose).List("/"); len(names) > 0 {
		t.Errorf("%q are there", names)
	}
	must(t, d.SyncDir("/"))
	wantBody(t, d.Crash(Lose), "/data/x", []byte("x"))
}

// A file that Create emptied is as it was, or empty with what was written afterwards. Sync ends
// that.
func TestEmptyingHappensOrNot(t *testing.T) {
	d := New("/data")
	kept(t, d, "/data/x", pages(2, 'a'))
	f := create(t, d, "/data/x", []byte("bbb"))
	s := d.Snapshot()
	seen := map[int]bool{}
	for _, fate := range fates() {
		got := body(t, s.Crash(fate), "/data/x")
		if len(got) > 3 && !bytes.Equal(got, pages(2, 'a')) || len(got) <= 3 && bytes.ContainsRune(got, 'a') {
			t.Fatalf("the file has %d bytes: %.10q", len(got), got)
		}
		seen[len(got)] = true
	}
	if !seen[0] || !seen[3] || !seen[2*pageSize] {
		t.Errorf("sizes that occur: %v", seen)
	}
	must(t, f.Sync())
	for _, fate := range fates() {
		wantBody(t, d.Snapshot().Crash(fate), "/data/x", []byte("bbb"))
	}
}

// Who had the file system before the power cut cannot reach the one after it, nor go on with the
// old one.
func TestOldHandlesFail(t *testing.T) {
	for name, end := range map[string]func(*FS) *FS{
		"crash": func(d *FS) *FS { return d.Crash(Keep) }, "kill": (*FS).Kill,
	} {
		d := New("/data")
		f := kept(t, d, "/data/x", []byte("old"))
		lock, err := d.Lock("/data")
		must(t, err)
		after := end(d)
		_, write := f.WriteAt([]byte("new"), 0)
		_, read := f.ReadAt(make([]byte, 3), 0)
		_, size := f.Size()
		_, create := d.Create("/data/y")
		_, open := d.Open("/data/x")
		_, list := d.List("/data")
		_, again := d.Lock("/data")
		for i, err := range []error{
			write, read, size, create, open, list, again, lock.Close(), f.Sync(), f.Close(),
			d.MkdirAll("/new"), d.Rename("/data/x", "/data/y"), d.Remove("/data/x"), d.SyncDir("/data"),
		} {
			if wantErr(t, err, ErrGone); t.Failed() {
				t.Errorf("%s: call %d", name, i)
			}
		}
		wantBody(t, after, "/data/x", []byte("old"))
		if _, err := after.Lock("/data"); err != nil {
			t.Errorf("%s: the lock outlives who had it: %v", name, err)
		}
	}
}

// What one does with what was found after a power cut changes no other.
func TestDisksAreIndependent(t *testing.T) {
	d := New("/data")
	f := kept(t, d, "/data/x", pages(1, 'a'))
	open := kept(t, d, "/data/open", nil)
	write(t, open, []byte("failed"), 0)
	d.Fault(func(f *Faults) { f.SyncErr = syscall.EIO })
	wantErr(t, open.Sync(), syscall.EIO)
	d.Fault(func(f *Faults) { f.SyncErr = nil })
	write(t, open, pages(1, 'd'), pageSize)
	wantOpen := whole(t, open)
	s := d.Snapshot()
	one, two := s.Kill(Lose), s.Crash(Keep)
	write(t, f, pages(1, 'b'), 0)
	g, err := one.Open("/data/x")
	must(t, err)
	write(t, g, pages(1, 'c'), 0)
	must(t, g.Sync(), one.Flip("/data/x", 0, 0), two.Truncate("/data/x", 7))
	must(t, one.Flip("/data/open", 0, 0), one.Flip("/data/open", pageSize, 0))
	wantBody(t, s.Crash(Keep), "/data/open", wantOpen)
	wantBody(t, s.Crash(Lose), "/data/x", pages(1, 'a'))
	wantBody(t, s.Kill(Lose), "/data/x", pages(1, 'a'))
	wantBody(t, d, "/data/x", pages(1, 'b'))
}

// The same draws find the same disk.
func TestTheSameDrawsFindTheSame(t *testing.T) {
	found := func() string {
		d := New("/data")
		for i := range 5 {
			f := kept(t, d, fmt.Sprint("/data/", i), pages(3, 'a'))
			write(t, f, pages(4, 'b'), 1000)
			write(t, f, pages(2, 'c'), 3000)
			must(t, d.Rename(fmt.Sprint("/data/", i), fmt.Sprint("/data/x", i)))
		}
		after := d.Crash(drawn(7))
		names, err := after.List("/data")
		must(t, err)
		var all strings.Builder
		for _, name := range names {
			fmt.Fprintf(&all, "%s: %s\n", name, body(t, after, "/data/"+name))
		}
		return all.String()
	}
	want := found()
	for range 10 {
		if found() != want {
			t.Fatal("the same draws find something else")
		}
	}
}

// replaced puts a new content in the place of an old one. Without care it does not sync the file.
func replaced(d disk.FS, body []byte, care bool) error {
	f, err := d.Create("/data/tmp")
	if err == nil {
		_, err = f.WriteAt(body, 0)
	}
	if err == nil && care {
		err = f.Sync()
	}
	if err == nil {
		err = d.Rename("/data/tmp", "/data/x")
	}
	if err == nil {
		err = d.SyncDir("/data")
	}
	return err
}

// With a power cut before each call, a file that is replaced with care has the old content or the
// new one. Without care it does not, which the same test finds.
func TestPowerCutBeforeEachCall(t *testing.T) {
	older, newer := pages(2, 'a'), pages(3, 'b')
	for _, care := range []bool{true, false} {
		d := New("/data")
		kept(t, d, "/data/x", older)
		var all []*Snapshot
		d.Before(func(c Call) { all = append(all, c.Snapshot()) })
		must(t, replaced(d, newer, care))
		all = append(all, d.Snapshot())
		broken := 0
		for i, s := range all {
			for _, fate := range fates() {
				got := body(t, s.Crash(fate), "/data/x")
				if !bytes.Equal(got, newer) && (i == len(all)-1 || !bytes.Equal(got, older)) {
					broken++
				}
			}
		}
		if (broken == 0) != care {
			t.Errorf("with care %t there are %d cuts after which the file is neither", care, broken)
		}
	}
}

// The hook sees each call once, in order, with its number. Stop ends all from a call on, and what
// is found is what was there before it.
func TestCallsAreCounted(t *testing.T) {
	var calls []string
	d := New("/data")
	d.Before(func(c Call) { calls = append(calls, fmt.Sprint(c.N, c.Op, c.Path)) })
	_, err := d.Lock("/data")
	must(t, err, d.MkdirAll("/data"), replaced(d, []byte("new"), true))
	must(t, d.MkdirAll("/data/sub"), d.Remove("/data/x"))
	want := []string{
		"1lock/data", "2create/data/tmp", "3write/data/tmp", "4sync/data/tmp", "5rename/data/tmp",
		"6syncdir/data", "7mkdir/data/sub", "8remove/data/x",
	}
	if !slices.Equal(calls, want) || d.Calls() != len(want) {
		t.Errorf("%d calls, seen are %q", d.Calls(), calls)
	}

	d = New("/data")
	d.Before(func(c Call) {
		if c.N == 4 {
			c.Stop()
		}
	})
	wantErr(t, replaced(d, []byte("new"), true), ErrGone)
	if _, err := d.List("/data"); err == nil {
		t.Error("a call succeeds after Stop")
	}
	wantBody(t, d.Kill(), "/data/tmp", []byte("new"))
	wantBody(t, d.Kill(), "/data/x", nil)
}

// A process that is killed in a write has written some of its pages: the first ones.
func TestKilledInAWrite(t *testing.T) {
	d := New("/data")
	f := create(t, d, "/data/x", []byte("old"))
	var s *Snapshot
	d.Before(func(c Call) { s = c.Snapshot() })
	write(t, f, pages(3, 'n'), 3)
	seen := map[int]bool{}
	for _, fate := range fates() {
		got := body(t, s.Kill(fate), "/data/x")
		if !bytes.Equal(got, append([]byte("old"), pages(3, 'n')...)[:len(got)]) {
			t.Fatalf("the file has %d bytes that were not written", len(got))
		}
		seen[len(got)] = true
	}
	for _, n := range []int{3, pageSize, 2 * pageSize, 3 * pageSize, 3*pageSize + 3} {
		if !seen[n] || len(seen) != 5 {
			t.Errorf("sizes that occur: %v", seen)
		}
	}
}
