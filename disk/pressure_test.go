package disk_test

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"httpdhs/disk"
	"httpdhs/internal/crashfs"
	"httpdhs/kv"
)

// Who fills a buffer waits for one round, and not for what others may write some time.
func TestAFullBufferIsEmptiedAtOnce(t *testing.T) {
	for _, mode := range []disk.Sync{disk.SyncAlways, disk.SyncInterval} {
		synctest.Test(t, func(t *testing.T) {
			n := start(t, disk.Options{Dir: crashDir, FS: crashfs.New(crashDir), Sync: mode, MaxBytes: 64 << 20})
			value := strings.Repeat("x", 200<<10) // more than a buffer is to have
			for i := range 2000 {
				began := time.Now()
				n.put("key", value, kv.VersionAt(began)+kv.Version(i)<<10)
				must(t, n.store.Durable(time.Time{}))
				if took := time.Since(began); took > time.Second {
					t.Fatalf("%v: write %d took %v", mode, i, took)
				}
			}
			n.close()
		})
	}
}

// While the disk takes nothing, what is to be written again is not copied to memory whole.
func TestWritingAgainIsHeldBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := crashfs.New(crashDir)
		n := start(t, disk.Options{Dir: crashDir, FS: fs, MaxBytes: 64 << 20})
		const keys = 20_000
		for i := range keys {
			n.put(fmt.Sprint(i), strings.Repeat("x", 1<<10), kv.VersionAt(time.Now()))
		}
		must(t, n.store.Sync())
		before := n.log.Stats().Copied
		fs.Fault(func(f *crashfs.Faults) { f.SyncErr = syscall.EIO })
		n.put("last", "x", kv.VersionAt(time.Now()))
		time.Sleep(1100 * time.Millisecond)
		fs.Fault(func(f *crashfs.Faults) { f.SyncErr, f.WriteErr = nil, syscall.EIO })
		time.Sleep(time.Minute)
		if copied := n.log.Stats().Copied - before; n.log.Fault() == nil || copied > keys/3 {
			t.Errorf("%d of %d records wait to be written (%v)", copied, keys, n.log.Fault())
		}
		fs.Fault(func(f *crashfs.Faults) { f.WriteErr = nil })
		time.Sleep(10 * time.Second)
		if err := n.log.Fault(); err != nil || n.log.Stats().Copied-before < keys {
			t.Errorf("when the disk works again, %d records are written: %v", n.log.Stats().Copied-before, err)
		}
		n.close()
	})
}

// A disk that syncs slowly has not stalled, however many files it has to sync.
func TestManySlowSyncsAreNoStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := crashfs.New(crashDir)
		n := start(t, disk.Options{Dir: crashDir, FS: fs, SegmentBytes: 1 << 10})
		fs.Fault(func(f *crashfs.Faults) { f.Slow = func(string) { time.Sleep(2 * time.Second) } })
		faults := n.log.Stats().Faults
		for i := range 10 {
			n.put(fmt.Sprint(i), strings.Repeat("x", 1<<10), kv.VersionAt(time.Now()))
			time.Sleep(20 * time.Millisecond)
		}
		time.Sleep(time.Minute)
		if now := n.log.Stats().Faults; now > faults {
			t.Errorf("%d faults", now-faults)
		}
		n.close()
	})
}

// lateFS takes a second to say that a file is synced.
type lateFS struct{ *crashfs.FS }

type lateFile struct{ disk.File }

func (f lateFile) Sync() error {
	defer time.Sleep(time.Second)
	return f.File.Sync()
}

func (fs lateFS) Create(path string) (disk.File, error) {
	f, err := fs.FS.Create(path)
	return lateFile{f}, err
}

// What is appended while the log is closed is on the disk when it says that it ends behind that.
func TestCloseSyncsWhatIsAppendedMeanwhile(t *testing.T) {
	for range 20 { // the writer may end before it is appended
		synctest.Test(t, func(t *testing.T) {
			fs, w := crashfs.New(crashDir), newWorld(1)
			n := start(t, disk.Options{Dir: crashDir, FS: lateFS{fs}, SyncEvery: time.Hour, Gather: time.Millisecond})
			n.work(w, 20)
			closed := make(chan error)
			go func() { closed <- n.log.Close() }()
			for range 3000 {
				time.Sleep(time.Millisecond)
				n.log.KeepInSync(time.Now())
			}
			must(t, <-closed)
			_ = n.store.Close()
			after := revive(t, &n.opt, fs.Crash(crashfs.Lose))
			if lost, damage := after.log.Lost(); len(lost) > 0 {
				t.Errorf("%d partitions are lost: %v", len(lost), damage)
			}
			after.check(w, nil)
			after.close()
		})
	}
}

// At the bound deletes are taken for a while longer, and the directory does not pass it for long.
func TestDeletesAtTheBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most = 1 << 20
		fs := crashfs.New(crashDir)
		n := start(t, disk.Options{Dir: crashDir, FS: fs, MaxBytes: most, SegmentBytes: 32 << 10})
		change := func(i int, delete bool) error {
			r := kv.Record{Key: fmt.Appendf(nil, "%0500d", i), Entry: kv.Entry{Version: kv.VersionAt(time.Now()), Tombstone: delete}}
			_, err := n.store.Apply(kv.Hash(r.Key), &r)
			return err
		}
		full, deletes, refused := error(nil), 0, 0
		i := 0
		for ; full == nil && i < 10_000; i++ {
			full = change(i, false)
			time.Sleep(time.Millisecond)
		}
		for range 5000 {
			if err := change(i, true); err == nil {
				deletes++
			} else if refused++; !errors.Is(err, kv.ErrDiskFull) {
				t.Fatal(err)
			}
			i++
			time.Sleep(time.Millisecond)
		}
		if used := fs.Used(); full == nil || deletes == 0 || refused == 0 || used > most+64<<10 {
			t.Errorf("%v; then %d deletes are taken, %d refused, and it takes %d bytes", full, deletes, refused, used)
		}
		n.close()
	})
}
