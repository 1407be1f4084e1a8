package disk_test

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"httpdhs/disk"
	"httpdhs/internal/crashfs"
	"httpdhs/kv"
)

// restored writes a backup to a disk of its own, and pauses before each file.
func restored(t testing.TB, b *disk.Backup, pause time.Duration) *crashfs.FS {
	t.Helper()
	fs := crashfs.New(crashDir)
	for i := range b.Parts {
		part := &b.Parts[i]
		r, err := part.Open()
		must(t, err)
		time.Sleep(pause)
		data, err := io.ReadAll(r)
		must(t, errors.Join(err, r.Close()))
		if int64(len(data)) != part.Size {
			t.Fatalf("%s has %d bytes, want %d", part.Name, len(data), part.Size)
		}
		writeFile(t, fs, part.Name, data)
	}
	if last := b.Parts[len(b.Parts)-1].Name; last != "meta" {
		t.Errorf("the last part is %s", last)
	}
	return fs
}

func writeFile(t testing.TB, fs disk.FS, name string, data []byte) {
	t.Helper()
	f, err := fs.Create(filepath.Join(crashDir, name))
	must(t, err)
	_, err = f.WriteAt(data, 0)
	must(t, errors.Join(err, f.Close()))
}

func fileOf(t testing.TB, fs disk.FS, name string) []byte {
	t.Helper()
	f, err := fs.Open(filepath.Join(crashDir, name))
	must(t, err)
	size, err := f.Size()
	must(t, err)
	data := make([]byte, size)
	_, err = f.ReadAt(data, 0)
	must(t, errors.Join(err, f.Close()))
	return data
}

// check looks through a backup that has to be well.
func check(t testing.TB, fs disk.FS) {
	t.Helper()
	r, err := disk.Check(t.Context(), fs, crashDir)
	must(t, err)
	if r.Damage != nil || !r.Clean {
		t.Errorf("a backup is damaged: %v; in good order: %v", r.Damage, r.Clean)
	}
}

// Whatever is written and cleaned meanwhile, a backup has every write that was acknowledged before
// it began, and nothing that never was. While it is read, what it needs is cleaned away behind it.
func TestBackupHasAllThatWasAcknowledged(t *testing.T) {
	for _, mode := range []disk.Sync{disk.SyncInterval, disk.SyncAlways, disk.SyncNever} {
		t.Run(mode.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { backUpUnderWrites(t, mode) })
		})
	}
}

func backUpUnderWrites(t *testing.T, mode disk.Sync) {
	n := start(t, disk.Options{Dir: crashDir, FS: crashfs.New(crashDir), Sync: mode, SegmentBytes: 2 << 10})
	defer n.close()
	w := newWriters(n, 4, 20)
	defer w.stop()
	for round := range 3 {
		time.Sleep(3 * time.Second) // of work
		acked, cleaned := w.acknowledged(), n.log.Stats().Cleaned
		b, err := n.log.Backup()
		must(t, err)
		fs := restored(t, b, 300*time.Millisecond)
		if now := n.log.Stats().Cleaned; now < cleaned+int64(len(b.Parts)) {
			t.Errorf("round %d: %d segments were cleaned while a backup of %d files was read", round, now-cleaned, len(b.Parts))
		}
		b.Close()
		b.Close()
		check(t, fs)
		into := revive(t, &n.opt, fs)
		if lost, damage := into.log.Lost(); damage != nil {
			t.Errorf("round %d: %d partitions are lost: %v", round, len(lost), damage)
		}
		w.compare(into, acked)
		into.close()
	}
}

// writers change keys, each its own, and note what was acknowledged.
type writers struct {
	n    *node
	quit chan struct{}
	all  sync.WaitGroup

	mu    sync.Mutex            // guards all below
	acked map[string]kv.Version // of the last change of each key
	made  map[kv.Version]kv.Record
}

func newWriters(n *node, count, keys int) *writers {
	w := &writers{n: n, quit: make(chan struct{}), acked: make(map[string]kv.Version), made: make(map[kv.Version]kv.Record)}
	for i := range count {
		w.all.Go(func() { w.write(i, keys) })
	}
	return w
}

func (w *writers) write(writer, keys int) {
	version := kv.VersionAt(time.Now()) + kv.Version(writer)
	for i := 0; ; i++ {
		select {
		case <-w.quit:
			return
		case <-time.After(time.Duration(3+i%9) * time.Millisecond):
		}
		version = max(version+1<<10, kv.VersionAt(time.Now())+kv.Version(writer))
		r := kv.Record{Key: fmt.Append(nil, "w", writer, "-", i*7%keys), Entry: kv.Entry{Version: version, Tombstone: i%9 == 0}}
		if !r.Tombstone {
			r.Value = []byte(strings.Repeat(fmt.Sprint(i, " "), 10))
		}
		w.mu.Lock()
		w.made[version] = r
		w.mu.Unlock()
		_, err := w.n.store.Apply(kv.Hash(r.Key), &r)
		if err = errors.Join(err, w.n.store.Durable(time.Time{})); err != nil {
			w.n.t.Error(err)
			return
		}
		w.mu.Lock()
		w.acked[string(r.Key)] = version
		w.mu.Unlock()
	}
}

func (w *writers) acknowledged() map[string]kv.Version {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.acked)
}

// compare says that a node holds what was acknowledged, or something newer that was written.
func (w *writers) compare(n *node, acked map[string]kv.Version) {
	w.mu.Lock()
	defer w.mu.Unlock()
	held := n.held()
	for key, version := range acked {
		if got, ok := held[key]; !ok || got.Version < version {
			n.t.Errorf("%s has version %d, and %d was acknowledged before the backup began", key, got.Version, version)
		}
	}
	for key, r := range held {
		if was, ok := w.made[r.Version]; !ok || !same(&was, &r) {
			n.t.Errorf("%s is held, and never was", key)
		}
	}
}

func (w *writers) stop() {
	close(w.quit)
	w.all.Wait()
}

// workLong makes changes for a while, so that there is something to clean, and time for it.
func (n *node) workLong(w *world, rounds int) {
	n.t.Helper()
	for range rounds {
		n.work(w, 100)
		time.Sleep(time.Second)
	}
}

// What is cleaned while a backup is open is removed when it is closed, and not before. Segments
// from after its end are no concern of it.
func TestABackupKeepsItsSegmentsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := crashfs.New(crashDir)
		n := start(t, disk.Options{Dir: crashDir, FS: fs, Sync: disk.SyncAlways, SegmentBytes: 4 << 10})
		w := newWorld(1)
		n.workLong(w, 4)
		b, err := n.log.Backup()
		must(t, err)
		has := len(b.Parts) - 1
		n.workLong(w, 60)
		if cleaned := n.log.Stats().Cleaned; cleaned < int64(5*has) {
			t.Fatalf("%d segments were cleaned, and the backup has %d", cleaned, has)
		}
		files := segments(t, fs)
		for _, part := range b.Parts[:has] {
			if !slices.Contains(files, part.Name) {
				t.Errorf("%s is gone", part.Name)
			}
		}
		counted := int(n.log.Stats().Segments)
		if len(files) != has+counted {
			t.Errorf("%d segments are there, want %d of the log and %d of the backup", len(files), counted, has)
		}
		b.Close()
		synctest.Wait()
		if files, counted = segments(t, fs), int(n.log.Stats().Segments); len(files) != counted {
			t.Errorf("%d segments are there, want the %d of the log", len(files), counted)
		}
		n.close()
		n.open()
		n.check(w, nil)
		n.close()
	})
}

func segments(t testing.TB, fs disk.FS) []string {
	t.Helper()
	all, err := fs.List(crashDir)
	must(t, err)
	return slices.DeleteFunc(all, func(name string) bool { return !strings.HasSuffix(name, ".log") })
}

// A process that ends while a backup is open leaves segments behind. The next start removes them,
// and they bring nothing back.
func TestWhatABackupLeavesBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := crashfs.New(crashDir)
		n := start(t, disk.Options{Dir: crashDir, FS: fs, Sync: disk.SyncAlways, SegmentBytes: 4 << 10})
		w := newWorld(2)
		n.workLong(w, 4)
		b, err := n.log.Backup()
		must(t, err)
		n.workLong(w, 30)
		synctest.Wait() // what is being cleaned is counted when that is over
		counted := int(n.log.Stats().Segments)
		reader, err := b.Parts[0].Open()
		must(t, err)
		n.log.Kill()
		_ = n.store.Close()
		if _, err := io.ReadAll(reader); !errors.Is(err, disk.ErrClosed) {
			t.Errorf("a backup of a log that is closed is read: %v", err)
		}
		must(t, reader.Close())
		b.Close()
		if _, err := n.log.Backup(); err == nil {
			t.Error("a log that is closed is backed up")
		}
		if left := len(segments(t, fs)); left != counted+len(b.Parts)-1 {
			t.Errorf("%d segments are left of %d and a backup of %d files", left, counted, len(b.Parts))
		}
		n.open()
		n.check(w, nil)
		if now := len(segments(t, fs)); now != counted+1 {
			t.Errorf("%d segments are there, want %d and a new one", now, counted)
		}
		n.close()
	})
}

// A log that is not loaded yet is not backed up, nor one that cannot be synced: what it has
// acknowledged would lack.
func TestNoBackupThatLacksSomething(t *testing.T) {
	fs := crashfs.New(crashDir)
	log, err := disk.Open(disk.Options{Dir: crashDir, FS: fs, Identity: testID})
	must(t, err)
	if _, err := log.Backup(); err == nil {
		t.Error("a log that is not loaded is backed up")
	}
	must(t, log.Close())
	n := start(t, disk.Options{Dir: crashDir, FS: fs})
	n.put("key", "value", kv.VersionAt(time.Now()))
	fs.Fault(func(f *crashfs.Faults) { f.SyncErr = errors.New("broken") })
	if _, err := n.log.Backup(); !errors.Is(err, kv.ErrNoDisk) {
		t.Errorf("a log that cannot be synced is backed up: %v", err)
	}
	n.log.Kill()
	_ = n.store.Close()
}

// Whatever of a backup is cut short, changed or missing is found.
func TestAHarmedBackupIsFound(t *testing.T) {
	n := start(t, disk.Options{SegmentBytes: 4 << 10})
	n.work(newWorld(3), 500)
	b, err := n.log.Backup()
	must(t, err)
	fs := restored(t, b, 0)
	b.Close()
	n.close()
	check(t, fs)
	for _, name := range segments(t, fs) {
		data := fileOf(t, fs, name)
		flipped := slices.Clone(data)
		flipped[len(data)/2] ^= 1
		for what, harmed := range map[string][]byte{"cut": data[:len(data)-1], "empty": {}, "flipped": flipped, "missing": nil} {
			if harmed == nil {
				must(t, fs.Remove(filepath.Join(crashDir, name)))
			} else {
				writeFile(t, fs, name, harmed)
			}
			r, err := disk.Check(t.Context(), fs, crashDir)
			if err != nil || r.Damage == nil || len(r.Lost) == 0 {
				t.Errorf("%s %s: %v, %d partitions lost (%v)", name, what, r.Damage, len(r.Lost), err)
			}
			writeFile(t, fs, name, data)
		}
	}
	check(t, fs)
	must(t, fs.Remove(filepath.Join(crashDir, "meta")))
	if _, err := disk.Check(t.Context(), fs, crashDir); !errors.Is(err, disk.ErrFormat) {
		t.Errorf("without a meta: %v", err)
	}
}

// The name of a node makes the name of a directory that any file system takes.
func TestDirName(t *testing.T) {
	for name, want := range map[string]string{
		"127.0.0.1:1234": "127.0.0.1_1234", "[2001:db8::1]:1": "_2001_db8__1__1", "a-b.example.org:80": "a-b.example.org_80",
		"..": "node..", "../x": ".._x", "ä/b": "__b", strings.Repeat("x", 300): strings.Repeat("x", 200),
	} {
		if got := disk.DirName(name); got != want {
			t.Errorf("%s makes %s, want %s", name, got, want)
		}
	}
	if !disk.IsPart("00000001.log") || !disk.IsPart("meta") || disk.IsPart("lock") || disk.IsPart("spare") || disk.IsPart("x.log") || disk.IsPart("meta.new") {
		t.Error("what belongs to a backup is not told")
	}
}
