package disk_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zeebo/xxh3"

	"httpdhs/disk"
	"httpdhs/internal/crashfs"
	"httpdhs/kv"
)

// A directory is refused where anything of its identity is another, and stays as it is.
func TestDirectoryOfAnotherIsRefused(t *testing.T) {
	fs := crashfs.New(crashDir)
	o := disk.Options{Dir: crashDir, FS: fs, Identity: testID}
	log, err := disk.Open(o)
	must(t, err)
	must(t, log.Close())
	before := fileOf(t, fs, "meta")
	for what, alter := range map[string]func(id *disk.Identity){
		"b:1":                   func(id *disk.Identity) { id.Node = "b:1" },
		"this node has 32":      func(id *disk.Identity) { id.Partitions = 32 },
		"--replicas=3":          func(id *disk.Identity) { id.Settings = "--replicas=3" },
		"--cluster-secret-file": func(id *disk.Identity) { id.Secret = "0123" },
	} {
		other := o
		alter(&other.Identity)
		if _, err := disk.Open(other); !errors.Is(err, disk.ErrForeign) || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if !bytes.Equal(fileOf(t, fs, "meta"), before) {
		t.Error("a directory that was refused is changed")
	}
	log, err = disk.Open(o)
	must(t, err)
	must(t, log.Close())
}

// A meta is refused that is damaged anywhere, cut off, or of another format. So is a log that has
// none. Nothing is written in their place.
func TestMetaThatIsNotUnderstood(t *testing.T) {
	n := start(t, disk.Options{Dir: crashDir, FS: crashfs.New(crashDir)})
	n.put("key", "value", kv.VersionAt(time.Now()))
	n.close()
	fs, good := n.opt.FS, fileOf(t, n.opt.FS, "meta")
	refused := func(what string) {
		t.Helper()
		if _, err := disk.Open(n.opt); !errors.Is(err, disk.ErrFormat) {
			t.Errorf("%s: %v", what, err)
		}
	}
	var sealed map[string]json.RawMessage
	must(t, json.Unmarshal(good, &sealed))
	later := bytes.Replace(sealed["directory"], []byte(`"format":1`), []byte(`"format":2`), 1)
	bad := map[string][]byte{
		"empty": {}, "cut": good[:len(good)-1], "huge": make([]byte, 17<<20),
		"format 2": fmt.Appendf(nil, `{"xxh3":"%016x","directory":%s}`, xxh3.Hash(later), later),
	}
	for i := range good {
		flipped := slices.Clone(good)
		flipped[i] ^= 1
		bad[fmt.Sprint("flipped at ", i)] = flipped
	}
	for what, data := range bad {
		writeFile(t, fs, "meta", data)
		refused(what)
		if !bytes.Equal(fileOf(t, fs, "meta"), data) {
			t.Errorf("%s: it is written over", what)
		}
	}
	must(t, fs.Remove(filepath.Join(crashDir, "meta")))
	refused("none")
	writeFile(t, fs, "meta", good)
	n.open()
	if len(n.held()) != 1 {
		t.Error("what was refused has changed")
	}
	n.close()
}

// The members that were kept are there after any start, and after a crash while others are kept:
// the one or the other. Where others cannot be kept, those from before are.
func TestMembersAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := crashfs.New(crashDir)
		n := start(t, disk.Options{Dir: crashDir, FS: fs})
		want := func(what string, n *node, members ...string) {
			t.Helper()
			if got := string(n.log.Members()); !slices.Contains(members, got) {
				t.Errorf("%s: members %q, want %q", what, got, members)
			}
		}
		want("new", n, "")
		n.log.KeepMembers([]byte("older"))
		n.log.KeepMembers([]byte("old"))
		n.close()
		n.open()
		want("closed and opened", n, "old")
		fs.Fault(func(f *crashfs.Faults) { f.WriteErr = syscall.EIO })
		n.log.KeepMembers([]byte("not written"))
		n.log.KeepMembers([]byte("late"))
		time.Sleep(time.Minute)
		crashed := revive(t, &n.opt, fs.Snapshot().Crash(crashfs.Lose))
		want("a power cut while it cannot be written", crashed, "old")
		crashed.kill()
		fs.Fault(func(f *crashfs.Faults) { f.WriteErr = nil })
		time.Sleep(2 * time.Second)
		crashed = revive(t, &n.opt, fs.Snapshot().Crash(crashfs.Lose))
		want("a power cut once it can be", crashed, "late")
		crashed.close()
		var all []*crashfs.Snapshot
		fs.Before(func(c crashfs.Call) { all = append(all, c.Snapshot()) })
		n.log.KeepMembers([]byte("new"))
		synctest.Wait()
		fs.Before(nil)
		if len(all) < 4 {
			t.Errorf("%d calls", len(all))
		}
		for i, s := range all {
			for _, fate := range []crashfs.Fate{crashfs.Lose, crashfs.Keep, newWorld(uint64(i)).rand.IntN} {
				after := revive(t, &n.opt, s.Crash(fate))
				want(fmt.Sprint("a crash at call ", i), after, "late", "new")
				after.close()
			}
		}
		after := revive(t, &n.opt, fs.Snapshot().Crash(crashfs.Lose))
		want("a power cut afterwards", after, "new")
		after.close()
		n.close()
	})
}

// A meta that cannot be written is tried again once a second, however often the log is synced.
func TestMetaIsTriedOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := crashfs.New(crashDir)
		n := start(t, disk.Options{Dir: crashDir, FS: fs, Sync: disk.SyncAlways, SegmentBytes: 1 << 10})
		fs.Fault(func(f *crashfs.Faults) {
			f.NameErr, f.Only = syscall.EIO, func(path string) bool { return filepath.Base(path) == "meta.new" }
		})
		var tries atomic.Int64
		fs.Before(func(c crashfs.Call) {
			if filepath.Base(c.Path) == "meta.new" {
				tries.Add(1)
			}
		})
		syncs := n.log.Stats().Syncs
		for range 10 * 100 {
			n.put("key", "value", kv.VersionAt(time.Now()))
			must(t, n.store.Durable(time.Now().Add(time.Hour)))
			time.Sleep(10 * time.Millisecond)
		}
		if syncs = n.log.Stats().Syncs - syncs; tries.Load() < 5 || tries.Load() > 15 || syncs < 500 {
			t.Errorf("%d tries in 10 s and %d syncs", tries.Load(), syncs)
		}
		n.kill()
	})
}

// Who changes the meta does not wait for the disk. Neither does who waits for a sync of the log.
func TestNobodyWaitsForTheMeta(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := crashfs.New(crashDir)
		n := start(t, disk.Options{Dir: crashDir, FS: fs, Sync: disk.SyncAlways, SegmentBytes: 1 << 10})
		const slow = time.Hour
		fs.Fault(func(f *crashfs.Faults) {
			f.Slow = func(path string) {
				if filepath.Base(path) == "meta.new" {
					time.Sleep(slow)
				}
			}
		})
		began := time.Now()
		n.log.KeepMembers([]byte("members"))
		for i := range 100 { // several segments
			n.put(fmt.Sprint(i), strings.Repeat("x", 100), kv.VersionAt(time.Now()))
			must(t, n.store.Durable(began.Add(2*slow)))
		}
		if took := time.Since(began); took >= slow {
			t.Errorf("it took %v", took)
		}
		n.kill()
	})
}

// A log knows since when it has what it has: since it was made, or emptied. What was emptied is
// empty after a start, was never in sync, and has its members still.
func TestEmpty(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, kill := range []bool{false, true} {
			fs, made := crashfs.New(crashDir), time.Now()
			n := start(t, disk.Options{Dir: crashDir, FS: fs, SegmentBytes: 4 << 10})
			n.work(newWorld(1), 100)
			n.log.KeepMembers([]byte("members"))
			time.Sleep(time.Minute)
			n.log.KeepInSync(time.Now())
			n.close()
			time.Sleep(time.Minute)
			n.open()
			if began, at := n.log.Began(), n.log.InSyncAt(); !began.Equal(made) || time.Since(at).Truncate(time.Second) != time.Minute || len(n.held()) == 0 {
				t.Errorf("began %v after it was made, in sync %v ago, with %d keys", began.Sub(made), time.Since(at), len(n.held()))
			}
			emptied := time.Now()
			for p := range testPartitions {
				n.store.Drop(p)
			}
			must(t, n.log.Empty())
			n.put("later", "value", kv.VersionAt(time.Now()))
			must(t, n.store.Sync())
			if kill {
				n.log.Kill()
				_ = n.store.Close()
			} else {
				n.close()
			}
			time.Sleep(time.Minute)
			n.opt.FS = fs.Snapshot().Crash(crashfs.Lose)
			n.open()
			if began, at := n.log.Began(), n.log.InSyncAt(); began.Before(emptied) || began.Sub(emptied) > time.Second || !at.IsZero() {
				t.Errorf("kill %v: began %v after it was emptied, in sync at %v", kill, began.Sub(emptied), at)
			}
			if held := n.held(); len(held) != 1 || string(n.log.Members()) != "members" {
				t.Errorf("kill %v: it holds %d keys, and the members are %q", kill, len(held), n.log.Members())
			}
			n.close()
		}
	})
}

// The time of the last note that a node was in sync is what is found: a clock that was ahead once
// does not count for ever.
func TestInSyncAtIsTheLastThatWasKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := start(t, disk.Options{Dir: crashDir, FS: crashfs.New(crashDir)})
		n.log.KeepInSync(time.Now().Add(24 * time.Hour))
		must(t, n.log.Sync())
		at := time.Now()
		n.log.KeepInSync(at)
		for range 2 {
			time.Sleep(time.Second)
			n.close()
			time.Sleep(time.Minute)
			n.open()
			if got := n.log.InSyncAt(); !got.Equal(at) {
				t.Errorf("in sync at %v, want %v", got, at)
			}
			if ran := time.Since(n.log.Ran()); ran < time.Minute || ran > 71*time.Second {
				t.Errorf("it ran %v ago", ran)
			}
		}
		n.close()
	})
}

// The names of when a log is synced are read as they are written, and no others are.
func TestParseSync(t *testing.T) {
	for _, s := range []disk.Sync{disk.SyncInterval, disk.SyncAlways, disk.SyncNever} {
		if got, err := disk.ParseSync(s.String()); got != s || err != nil {
			t.Errorf("%v is read as %v, %v", s, got, err)
		}
	}
	for _, name := range []string{"", "Always", "always ", "1"} {
		if _, err := disk.ParseSync(name); err == nil || !strings.Contains(err.Error(), "want interval, always or never") {
			t.Errorf("%q: %v", name, err)
		}
	}
}
