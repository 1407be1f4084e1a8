package disk_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"httpdhs/disk"
	"httpdhs/internal/crashfs"
	"httpdhs/kv"
	"httpdhs/shard"
)

func (n *node) kill() {
	n.log.Kill()
	_ = n.store.Close()
}

// What a process wrote that was killed is there after the next start, whatever becomes of the power
// then. It is no damage.
func TestWhatIsFoundLasts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs, w := crashfs.New(crashDir), newWorld(1)
		n := start(t, disk.Options{Dir: crashDir, FS: fs, Sync: disk.SyncNever, SegmentBytes: 4 << 10})
		n.work(w, 100)
		time.Sleep(time.Second)
		n.kill()
		n.open()
		after := revive(t, &n.opt, fs.Snapshot().Crash(crashfs.Lose))
		if lost, damage := after.log.Lost(); len(lost) > 0 {
			t.Errorf("%d partitions are lost: %v", len(lost), damage)
		}
		after.check(w, nil)
		after.close()
		n.kill()
	})
}

// Who waits for a sync that fails is told so at once, and so is who comes to change something.
func TestFailedSyncIsTold(t *testing.T) {
	for _, mode := range []disk.Sync{disk.SyncAlways, disk.SyncInterval} {
		synctest.Test(t, func(t *testing.T) {
			fs := crashfs.New(crashDir)
			n := start(t, disk.Options{Dir: crashDir, FS: fs, Sync: mode})
			synctest.Wait() // what a start writes is synced
			fs.Fault(func(f *crashfs.Faults) { f.SyncErr = syscall.EIO })
			began := time.Now()
			n.put("key", "value", kv.VersionAt(began))
			wait := n.store.Sync
			if mode == disk.SyncAlways {
				wait = func() error { return n.store.Durable(began.Add(time.Minute)) }
			}
			time.AfterFunc(time.Hour, func() { panic("bug: nobody is told") })
			if err := wait(); !errors.Is(err, syscall.EIO) || time.Since(began) > time.Second {
				t.Errorf("%v: after %v: %v", mode, time.Since(began), err)
			}
			r := kv.Record{Key: []byte("other"), Entry: kv.Entry{Version: kv.VersionAt(time.Now())}}
			if _, err := n.store.Apply(kv.Hash(r.Key), &r); !errors.Is(err, kv.ErrNoDisk) {
				t.Errorf("%v: a change is taken: %v", mode, err)
			}
			n.kill()
		})
	}
}

// A tombstone that could be collected when it is loaded takes the place of what it deleted.
func TestWhatWasDeletedStaysDeleted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &node{t: t, grace: time.Minute, opt: disk.Options{Dir: crashDir, FS: crashfs.New(crashDir), Identity: testID}}
		n.open()
		n.put("key", "value", kv.VersionAt(time.Now()))
		r := kv.Record{Key: []byte("key"), Entry: kv.Entry{Version: kv.VersionAt(time.Now()).Next(), Tombstone: true}}
		_, err := n.store.Apply(kv.Hash(r.Key), &r)
		must(t, err)
		n.close()
		time.Sleep(time.Hour)
		n.open()
		if held := n.held()["key"]; len(held.Value) > 0 {
			t.Errorf("it is back: %s", held.Value)
		}
		n.close()
	})
}

// What lacks of a file that was cut while the node runs, is gone, or cannot be read, is written
// again from memory before the file is removed: the next start would not know that anything lacks.
func TestWhatWasCutIsWrittenAgain(t *testing.T) {
	const path = crashDir + "/00000001.log"
	for what, harm := range map[string]func(fs *crashfs.FS) error{
		"cut":  func(fs *crashfs.FS) error { return fs.Truncate(path, 0) },
		"gone": func(fs *crashfs.FS) error { return fs.Vanish(path) },
		"unreadable": func(fs *crashfs.FS) error {
			fs.Fault(func(f *crashfs.Faults) { f.ReadErr, f.Only = syscall.EIO, func(of string) bool { return of == path } })
			return nil
		},
	} {
		t.Run(what, func(t *testing.T) { writtenAgain(t, harm) })
	}
}

func writtenAgain(t *testing.T, harm func(fs *crashfs.FS) error) {
	synctest.Test(t, func(t *testing.T) {
		fs, w := crashfs.New(crashDir), newWorld(1)
		n := start(t, disk.Options{Dir: crashDir, FS: fs, SegmentBytes: 4 << 10})
		for i := range 20 { // in the first segment alone
			w.version = w.version.Next()
			r := kv.Record{Key: fmt.Append(nil, "once", i), Entry: kv.Entry{Version: w.version, Value: []byte("v")}}
			_, err := n.store.Apply(kv.Hash(r.Key), &r)
			must(t, err)
			w.note(r)
		}
		for n.log.Stats().Segments < 2 {
			n.work(w, 10)
			must(t, n.store.Sync())
		}
		must(t, harm(fs))
		n.workLong(w, 30)
		if n.log.Stats().Cleaned == 0 || n.log.Stats().Damaged == 0 {
			t.Errorf("it was not found: %+v", n.log.Stats())
		}
		n.close()
		n.open()
		lost, _ := n.log.Lost()
		n.check(w, lost)
		if len(lost) > 0 {
			t.Errorf("%d partitions are lost", len(lost))
		}
		n.close()
	})
}

// With always, files that were removed are written to again. What they held before is not found
// behind what they have now.
func TestFilesThatAreUsedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const part, other, keys = 5, 6, 20
		fs, version := crashfs.New(crashDir), kv.VersionAt(time.Now())
		n := start(t, disk.Options{Dir: crashDir, FS: fs, Sync: disk.SyncAlways, SegmentBytes: 2 << 10})
		for round := range 3 {
			n.close()
			time.Sleep(time.Second)
			n.open() // now the head of a segment says when the node ran, as those that follow do
			n.drop(part, 150)
			for i, put := 0, 0; put < keys; i++ {
				if key := fmt.Sprint("key", i); partitionOf(key) == part {
					version = version.Next()
					n.put(key, fmt.Sprint("value", round), version)
					put++
				}
			}
			for i := range 40 {
				n.drop(other, 7)
				time.Sleep(300 * time.Millisecond)
				after := revive(t, &n.opt, fs.Snapshot().Crash(crashfs.Keep))
				lost, damage := after.log.Lost()
				if held := len(after.held()); held != keys || len(lost) > 0 {
					t.Fatalf("round %d, %d: it holds %d keys, and %d partitions are lost: %v", round, i, held, len(lost), damage)
				}
				after.close()
			}
			if cleaned := n.log.Stats().Cleaned; cleaned < 6 {
				t.Errorf("round %d: %d segments were cleaned", round, cleaned)
			}
		}
		n.close()
	})
}

// drop drops a partition so often, each time in a block of its own.
func (n *node) drop(partition, times int) {
	n.t.Helper()
	for range times {
		n.log.Drop(partition)
		must(n.t, n.log.Durable(time.Time{}))
	}
}

// Where the store does not take what the log has, or the load is ended, nothing is written, and the
// log can be closed. A store that has room has all.
func TestLoadThatFails(t *testing.T) {
	fs, w := crashfs.New(crashDir), newWorld(1)
	n := start(t, disk.Options{Dir: crashDir, FS: fs, Sync: disk.SyncAlways, SegmentBytes: 4 << 10})
	n.work(w, 300)
	n.close()
	names, err := fs.List(crashDir)
	must(t, err)
	before := make(map[string][]byte)
	for _, name := range names {
		before[name] = fileOf(t, fs, name)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	log, err := disk.Open(n.opt)
	must(t, err)
	store := newStore(t, log, time.Hour)
	calls := fs.Calls()
	if err := log.Load(over, store); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if now := fs.Calls(); now != calls {
		t.Errorf("%d calls change something", now-calls)
	}
	must(t, errors.Join(log.Close(), log.Close()))
	_ = store.Close()
	if names, _ = fs.List(crashDir); len(names) != len(before) {
		t.Errorf("there are %v", names)
	}
	for name, data := range before {
		if !bytes.Equal(fileOf(t, fs, name), data) {
			t.Errorf("%s is changed", name)
		}
	}
	n.open()
	n.check(w, nil)
	n.close()
}

// Stats tell what is there.
func TestStats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs, w := crashfs.New(crashDir), newWorld(1)
		n := start(t, disk.Options{Dir: crashDir, FS: fs, SegmentBytes: 4 << 10, SyncEvery: time.Hour, MaxBytes: 1 << 30})
		n.work(w, 100)
		time.Sleep(100 * time.Millisecond)
		s := n.log.Stats()
		if s.Unsynced <= 0 || s.Unsynced > s.Bytes || s.Written <= 0 || s.Max != 1<<30 || s.Loaded != 0 || s.Fault || s.Faults != 0 {
			t.Errorf("not synced yet: %+v", s)
		}
		must(t, n.store.Sync())
		n.workLong(w, 20)
		must(t, n.store.Sync())
		s = n.log.Stats()
		if s.Unsynced != 0 || s.Segments != len(segments(t, fs)) || s.Live != n.store.LiveBytes() || s.Syncs < 2 ||
			s.Cleaned <= 0 || s.Copied <= 0 || s.Changed <= 0 || s.Changed >= s.Written || s.Damaged != 0 {
			t.Errorf("cleaned: %+v", s)
		}
		var bytes int64
		for _, name := range segments(t, fs) {
			bytes += int64(len(fileOf(t, fs, name)))
		}
		if s.Bytes != bytes {
			t.Errorf("it takes %d bytes, and says %d", bytes, s.Bytes)
		}
		fs.Fault(func(f *crashfs.Faults) { f.SyncErr = syscall.EIO })
		n.put("key", "value", kv.VersionAt(time.Now()))
		_ = n.store.Sync()
		if s = n.log.Stats(); !s.Fault || s.Faults != 1 {
			t.Errorf("failing: %+v", s)
		}
		fs.Fault(func(f *crashfs.Faults) { f.SyncErr = nil })
		time.Sleep(5 * time.Second)
		n.close()
		n.open()
		done, all := n.log.Progress()
		if s = n.log.Stats(); s.Loaded < int64(len(n.held())) || s.LoadedBytes != done || done != all || s.Written != 0 || s.Fault {
			t.Errorf("loaded %d of %d: %+v", done, all, s)
		}
		n.close()
	})
}

// While syncs fail changes are refused all the time, however much is written again, and until that
// is synced. Then all is there after a power cut that was promised, and what was not synced is no
// damage.
func TestPowerCutAfterFailedSyncs(t *testing.T) {
	for _, mode := range []disk.Sync{disk.SyncAlways, disk.SyncInterval} {
		for segment, changes := range map[int64]int{0: 1, 1 << 10: 60} { // what is not synced lies in one, or in several
			t.Run(fmt.Sprintf("%v, %d changes", mode, changes), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { failSyncs(t, disk.Options{Sync: mode, SegmentBytes: segment}, changes) })
			})
		}
	}
}

func failSyncs(t *testing.T, o disk.Options, changes int) {
	fs, w, d := crashfs.New(crashDir), newWorld(1), &diary{}
	o.Dir, o.FS = crashDir, fs
	n := start(t, o)
	d.work(n, w, 100)
	fs.Fault(func(f *crashfs.Faults) { f.SyncErr = syscall.EIO })
	for range changes {
		_ = d.offer(n, w) // it may be refused already
	}
	time.Sleep(2 * time.Second) // nobody waits for a sync: there is none but that of the interval
	taken := 0
	for range 500 {
		if n.log.Fault() == nil {
			taken++
		}
		time.Sleep(7 * time.Millisecond)
	}
	if taken > 0 {
		t.Errorf("changes are taken, %d times of 500", taken)
	}
	promised := int(d.promised.Load())
	var moments []*crashfs.Snapshot
	fs.Before(func(c crashfs.Call) {
		if c.N%11 == 0 { // of a thousand
			moments = append(moments, c.Snapshot())
		}
	})
	fs.Fault(func(f *crashfs.Faults) { f.SyncErr = nil })
	time.Sleep(5 * time.Second)
	if err := errors.Join(n.log.Fault(), n.store.Sync()); err != nil {
		t.Errorf("the disk is well: %v", err)
	}
	fs.Before(nil)
	moments = append(moments, fs.Snapshot())
	for i, s := range moments {
		if i == len(moments)-1 {
			promised = len(d.changes)
		}
		m := moment{promised: promised, made: len(d.changes)}
		for _, fate := range []crashfs.Fate{crashfs.Lose, crashfs.Keep, w.rand.IntN} {
			after := revive(t, &n.opt, s.Crash(fate))
			if lost, damage := after.log.Lost(); len(lost) > 0 {
				t.Errorf("call %d of %d: it is taken for damage: %v", i, len(moments), damage)
			}
			if err := d.found(after, &m); err != nil {
				t.Errorf("call %d of %d: %v", i, len(moments), err)
			}
			after.kill()
		}
	}
	n.kill()
}

// A segment counts until all copies of what it has are synced, where they lie in several segments.
func TestPowerCutWhileLargeSegmentIsCleaned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs, d := crashfs.New(crashDir), &diary{}
		n := start(t, disk.Options{Dir: crashDir, FS: fs, SegmentBytes: 32 << 10})
		put := func(key string, i int) {
			r := kv.Record{Key: []byte(key), Entry: kv.Entry{Version: kv.VersionAt(time.Now()) + kv.Version(i)<<10, Value: bytes.Repeat([]byte("x"), 200)}}
			_, err := n.store.Apply(kv.Hash(r.Key), &r)
			must(t, err)
			d.changes = append(d.changes, r)
			d.made.Add(1)
		}
		for i := range 60 {
			put(fmt.Sprint("key", i), i)
		}
		n.close()
		time.Sleep(time.Second)
		n.opt.SegmentBytes = 1 << 10
		n.open()
		for i := range 100 {
			put("hot", i)
		}
		must(t, n.store.Sync())
		d.promised.Store(d.made.Load())
		fs.Before(func(c crashfs.Call) {
			if c.Op == "sync" || c.Op == "remove" {
				d.moments = append(d.moments, moment{disk: c.Snapshot(), call: fmt.Sprint(c.Op, " ", c.Path), promised: len(d.changes), made: len(d.changes)})
			}
		})
		for n.log.Stats().Cleaned == 0 {
			time.Sleep(time.Millisecond)
		}
		fs.Before(nil)
		n.close()
		r := newWorld(1).rand
		for i := range d.moments {
			m := &d.moments[i]
			for range 3 {
				after := revive(t, &n.opt, m.disk.Crash(r.IntN))
				if err := d.found(after, m); err != nil {
					t.Fatalf("power cut before %s: %v", m.call, err)
				}
				after.close()
			}
		}
		if len(d.moments) < 10 {
			t.Errorf("%d moments", len(d.moments))
		}
	})
}

// A store that has a bound holds all that it held before, though it may lie in memory in another
// way: else a full node could not be started again. Then it takes nothing more.
func TestLoadGoesBeyondMemory(t *testing.T) {
	fs, w := crashfs.New(crashDir), newWorld(1)
	n := start(t, disk.Options{Dir: crashDir, FS: fs})
	n.work(w, 300)
	n.close()
	log, err := disk.Open(n.opt)
	must(t, err)
	n.log = log
	n.store, err = shard.Open(shard.Options{
		Partitions: testPartitions, Grace: kv.Grace{Keep: time.Hour}, SweepEvery: -1, Journal: log, MaxBytes: 8 << 10,
	})
	must(t, err)
	must(t, log.Load(t.Context(), n.store))
	n.check(w, nil)
	r := kv.Record{Key: []byte("new"), Entry: kv.Entry{Version: kv.VersionAt(time.Now()), Value: make([]byte, 100_000)}}
	if _, err := n.store.Apply(kv.Hash(r.Key), &r); !errors.Is(err, kv.ErrNoMemory) {
		t.Errorf("a full store takes more: %v", err)
	}
	n.close()
}

// A node whose disk takes nothing when it starts has what it held, if it held something. When the
// disk takes writes again, so does the node, and nothing is lost by a power cut then.
func TestStartOnADiskThatTakesNothing(t *testing.T) {
	for what, fault := range map[string]func(f *crashfs.Faults){
		"full":         func(f *crashfs.Faults) { f.Capacity = 1 },
		"no writes":    func(f *crashfs.Faults) { f.WriteErr = syscall.EIO },
		"no syncs":     func(f *crashfs.Faults) { f.SyncErr = syscall.EIO },
		"no new names": func(f *crashfs.Faults) { f.NameErr = syscall.EIO },
	} {
		for _, mode := range []disk.Sync{disk.SyncAlways, disk.SyncInterval} {
			for _, changes := range []int{0, 200} {
				t.Run(fmt.Sprintf("%s, %v, %d changes", what, mode, changes), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { startThroughFault(t, mode, changes, fault) })
				})
			}
		}
	}
}

func startThroughFault(t *testing.T, mode disk.Sync, changes int, fault func(f *crashfs.Faults)) {
	fs, w := crashfs.New(crashDir), newWorld(1)
	o := disk.Options{Dir: crashDir, FS: fs, Sync: mode, SegmentBytes: 4 << 10, Identity: testID}
	if changes == 0 { // no segment was ever made
		log, err := disk.Open(o)
		must(t, err)
		must(t, log.Close())
	} else {
		n := start(t, o)
		n.work(w, changes)
		must(t, n.store.Sync())
		n.kill()
	}
	fs = fs.Kill()
	fs.Fault(fault)
	n := revive(t, &o, fs)
	n.grace = time.Hour
	n.check(w, nil)
	if n.log.Fault() == nil {
		t.Error("nothing is refused")
	}
	time.Sleep(3 * time.Second)
	fs.Fault(func(f *crashfs.Faults) { *f = crashfs.Faults{} })
	time.Sleep(5 * time.Second)
	if err := n.log.Fault(); err != nil {
		t.Fatalf("it is not over: %v", err)
	}
	n.work(w, 50)
	must(t, n.store.Sync())
	after := revive(t, &n.opt, fs.Crash(crashfs.Lose))
	if lost, damage := after.log.Lost(); len(lost) > 0 {
		t.Errorf("a power cut is taken for damage: %v", damage)
	}
	after.check(w, nil)
	after.close()
	n.kill()
}
