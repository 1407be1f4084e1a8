package disk_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"httpdhs/disk"
	"httpdhs/internal/crashfs"
	"httpdhs/kv"
)

const (
	crashDir = "/data"

	// momentsMet is of how many moments one meets a power cut.
	momentsMet = 20
)

// moment is the disk before one of its calls, and how far the work was then.
type moment struct {
	disk     *crashfs.Snapshot
	call     string
	promised int // changes that are to last, whatever happens now
	made     int // changes that there were
}

// diary is a workload, and the moments of its disk.
type diary struct {
	changes  []kv.Record
	made     atomic.Int64
	promised atomic.Int64
	moments  []moment
}

// keep has the diary keep the moments of a file system.
func (d *diary) keep(fs *crashfs.FS) {
	fs.Before(func(c crashfs.Call) {
		d.moments = append(d.moments, moment{
			disk: c.Snapshot(), call: fmt.Sprint(c.N, " ", c.Op, " ", c.Path),
			promised: int(d.promised.Load()), made: int(d.made.Load()),
		})
	})
}

// work makes changes, some at a time. What is durable after that is promised.
func (d *diary) work(n *node, w *world, changes int) {
	for done := 0; done < changes; {
		for range 1 + w.rand.IntN(8) {
			r := w.next()
			d.changes = append(d.changes, r)
			d.made.Add(1)
			if _, err := n.store.Apply(kv.Hash(r.Key), &r); err != nil {
				n.t.Fatal(err)
			}
			done++
		}
		if n.opt.Sync == disk.SyncAlways || w.rand.IntN(10) == 0 {
			if n.opt.Sync == disk.SyncAlways {
				must(n.t, n.store.Durable(time.Time{}))
			} else {
				must(n.t, n.store.Sync())
			}
			d.promised.Store(d.made.Load())
		}
		if w.rand.IntN(3) == 0 {
			time.Sleep(time.Duration(w.rand.IntN(400)) * time.Millisecond)
		}
		if w.rand.IntN(20) == 0 {
			n.store.Sweep()
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// found checks what a store holds that was loaded from a moment's disk. Each key is as it was at
// some time from the last promise on. A tombstone may be gone: it was collected, or is about to be.
func (d *diary) found(n *node, m *moment) error {
	held := n.held()
	last := make(map[string]kv.Record)
	for _, r := range d.changes[:m.promised] {
		last[string(r.Key)] = r
	}
	may := make(map[string][]kv.Record)
	for _, r := range d.changes[m.promised:m.made] {
		may[string(r.Key)] = append(may[string(r.Key)], r)
	}
	keys := make(map[string]bool)
	for _, r := range d.changes {
		keys[string(r.Key)] = true
	}
	for key := range keys {
		got, there := held[key]
		want, known := last[key]
		ok := !there && (!known || want.Tombstone) || there && known && same(&got, &want)
		for _, r := range may[key] {
			ok = ok || there && same(&got, &r) || !there && r.Tombstone
		}
		if !ok {
			return fmt.Errorf("%s: held %v, version %d; last promised %d (tombstone %v)", key, there, got.Version, want.Version, want.Tombstone)
		}
	}
	return nil
}

// revive opens what is found after a crash.
func revive(t testing.TB, o *disk.Options, fs *crashfs.FS) *node {
	n := &node{t: t, opt: *o, grace: time.Second}
	n.opt.FS = fs
	n.open()
	return n
}

// After a power cut before any call of the disk, whatever is there of what was not synced, all that
// was promised is there, and nothing that never was. That holds for what is found when the power
// goes again while it is loaded.
func TestPowerCuts(t *testing.T) {
	for _, mode := range []disk.Sync{disk.SyncAlways, disk.SyncInterval} {
		t.Run(mode.String(), func(t *testing.T) {
			for seed := range uint64(seedsOf(1)) {
				synctest.Test(t, func(t *testing.T) { powerCuts(t, mode, seed) })
			}
		})
	}
}

func powerCuts(t *testing.T, mode disk.Sync, seed uint64) {
	fs := crashfs.New(crashDir)
	o := disk.Options{Dir: crashDir, FS: fs, Sync: mode, SegmentBytes: 2 << 10}
	w, d := newWorld(seed), &diary{}
	d.keep(fs)
	n := &node{t: t, opt: o, grace: time.Second}
	n.opt.Identity = testID
	n.open()
	d.work(n, w, 250)
	n.close()
	n.open()
	d.work(n, w, 250)
	if cleaned := n.log.Stats().Cleaned; cleaned == 0 {
		t.Errorf("seed %d: nothing was cleaned", seed)
	}
	fs.Before(nil)
	n.close()
	for i := range d.moments {
		m := &d.moments[i]
		if w.rand.IntN(momentsMet) > 0 {
			continue // another seed meets it
		}
		for _, fate := range []crashfs.Fate{crashfs.Lose, crashfs.Keep, w.rand.IntN} {
			d.cut(t, &n.opt, m, m.disk.Crash(fate), w.rand, 1)
		}
		if t.Failed() {
			t.Fatalf("seed %d, power cut before %s", seed, m.call)
		}
	}
}

// cut loads what a power cut has left, with another in between at times.
func (d *diary) cut(t *testing.T, o *disk.Options, m *moment, fs *crashfs.FS, r *rand.Rand, again int) {
	var next []*crashfs.Snapshot
	fs.Before(func(c crashfs.Call) {
		if r.IntN(4) == 0 {
			next = append(next, c.Snapshot())
		}
	})
	n := revive(t, o, fs)
	fs.Before(nil)
	if lost, damage := n.log.Lost(); len(lost) > 0 {
		names, _ := fs.List(crashDir)
		t.Errorf("a power cut is taken for damage: %v %v %d", damage, names, again)
	}
	if err := d.found(n, m); err != nil {
		t.Error(err)
	}
	n.close()
	if again > 0 {
		for _, s := range next {
			d.cut(t, o, m, s.Crash(r.IntN), r, again-1)
		}
	}
}

// A directory that the log has made, with those that it is in, is there after a power cut.
func TestPowerCutOfNewDirectory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs, w, d := crashfs.New(), newWorld(1), &diary{}
		o := disk.Options{Dir: "/var/lib/data", FS: fs, Sync: disk.SyncAlways}
		n := start(t, o)
		d.work(n, w, 20)
		m := moment{promised: int(d.promised.Load()), made: int(d.made.Load())}
		after := revive(t, &n.opt, fs.Crash(crashfs.Lose))
		if err := d.found(after, &m); err != nil {
			t.Error(err)
		}
		after.close()
		n.log.Kill()
		_ = n.store.Close()
	})
}

// Whatever the disk does not take for a while: when it does again, the log goes on, and nothing is
// lost that was promised, if the power goes then.
func TestFaults(t *testing.T) {
	faults := map[string]func(f *crashfs.Faults){
		"full":         func(f *crashfs.Faults) { f.Capacity = 1 },
		"writes fail":  func(f *crashfs.Faults) { f.WriteErr = syscall.EIO },
		"syncs fail":   func(f *crashfs.Faults) { f.SyncErr = syscall.EIO },
		"names fail":   func(f *crashfs.Faults) { f.NameErr = syscall.EIO },
		"read-only":    func(f *crashfs.Faults) { f.ReadOnly = true },
		"slow syncs":   func(f *crashfs.Faults) { f.Slow = func(string) { time.Sleep(2 * time.Second) } },
		"reads fail":   func(f *crashfs.Faults) { f.ReadErr = syscall.EIO },
		"all but read": func(f *crashfs.Faults) { f.WriteErr, f.SyncErr, f.NameErr = syscall.EIO, syscall.EIO, syscall.EIO },
	}
	for name, fault := range faults {
		for _, mode := range []disk.Sync{disk.SyncAlways, disk.SyncInterval} {
			t.Run(name+", "+mode.String(), func(t *testing.T) {
				for seed := range uint64(seedsOf(3)) {
					synctest.Test(t, func(t *testing.T) { throughFault(t, mode, seed, fault) })
				}
			})
		}
	}
}

func throughFault(t *testing.T, mode disk.Sync, seed uint64, fault func(f *crashfs.Faults)) {
	fs := crashfs.New(crashDir)
	w, d := newWorld(seed), &diary{}
	n := start(t, disk.Options{Dir: crashDir, FS: fs, Sync: mode, SegmentBytes: 2 << 10})
	d.work(n, w, 200)
	for range 3 {
		fs.Fault(fault)
		d.try(n, w, 30)
		fs.Fault(func(f *crashfs.Faults) { *f = crashfs.Faults{} })
		time.Sleep(5 * time.Second)
		if err := n.log.Fault(); err != nil {
			t.Fatalf("seed %d: the disk is well, and writes are refused: %v", seed, err)
		}
		d.work(n, w, 50)
		must(t, n.store.Sync())
		d.promised.Store(d.made.Load())
	}
	m := moment{promised: int(d.promised.Load()), made: int(d.made.Load())}
	end := fs.Snapshot()
	for _, fate := range []crashfs.Fate{crashfs.Lose, crashfs.Keep, w.rand.IntN, w.rand.IntN, w.rand.IntN} {
		after := revive(t, &n.opt, end.Crash(fate))
		if lost, damage := after.log.Lost(); len(lost) > 0 {
			t.Errorf("seed %d: a power cut is taken for damage: %v", seed, damage)
		}
		if err := d.found(after, &m); err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
		after.close()
	}
	n.log.Kill()
	_ = n.store.Close()
}

// While syncs fail, all that is held is written about once a second, and not again and again.
func TestFailedSyncsWriteLittle(t *testing.T) {
	for _, mode := range []disk.Sync{disk.SyncAlways, disk.SyncInterval} {
		synctest.Test(t, func(t *testing.T) {
			const seconds = 60
			fs, w, d := crashfs.New(crashDir), newWorld(1), &diary{}
			n := start(t, disk.Options{Dir: crashDir, FS: fs, Sync: mode})
			d.work(n, w, 200)
			must(t, n.store.Sync())
			before := n.log.Stats()
			fs.Fault(func(f *crashfs.Faults) { f.SyncErr = syscall.EIO })
			d.try(n, w, 1) // finds it out
			time.Sleep(seconds * time.Second)
			after := n.log.Stats()
			if wrote, most := after.Written-before.Written, 2*seconds*(before.Live+4<<10); wrote > most {
				t.Errorf("%v: %d bytes were written in %d s, with %d that are live", mode, wrote, seconds, before.Live)
			}
			n.log.Kill()
			_ = n.store.Close()
		})
	}
}

// try is work while the disk has a fault: changes may be refused, and then they are not made.
func (d *diary) try(n *node, w *world, changes int) {
	for range changes {
		err := d.offer(n, w)
		if n.opt.Sync == disk.SyncAlways && err == nil && n.store.Durable(time.Time{}) == nil {
			d.promised.Store(d.made.Load())
		}
		time.Sleep(time.Duration(w.rand.IntN(200)) * time.Millisecond)
	}
}

// offer is a change that may be refused.
func (d *diary) offer(n *node, w *world) error {
	r := w.next()
	a, err := n.store.Apply(kv.Hash(r.Key), &r)
	if err == nil && a.Outcome == kv.Stored {
		d.changes = append(d.changes, r)
		d.made.Add(1)
	}
	return err
}

// What was damaged is found at each start until the log is mended. Then all that the store held is
// there, and nothing is lost any more.
func TestMend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := crashfs.New(crashDir)
		w := newWorld(1)
		n := start(t, disk.Options{Dir: crashDir, FS: fs, SegmentBytes: 8 << 10})
		n.work(w, 200)
		n.close()
		must(t, fs.Flip(crashDir+"/00000002.log", 3000, 3))
		var held int
		for starts := range 3 {
			n.open()
			lost, damage := n.log.Lost()
			if want := starts < 2; len(lost) > 0 != want || (damage != nil) != want {
				t.Errorf("start %d: %d partitions are lost, by %v", starts, len(lost), damage)
			}
			n.check(w, lost)
			if starts == 1 {
				held = len(n.held())
				n.log.Mend()
				time.Sleep(time.Minute)
			}
			if starts == 2 && len(n.held()) != held {
				t.Errorf("%d keys are held, were %d", len(n.held()), held)
			}
			n.close()
			w.last = make(map[string]kv.Record) // some of it is lost for good
		}
	})
}

// A disk that does not answer holds nobody for long: changes are refused, and who waits is told
// that what it has written may not last. When it answers, all goes on.
func TestStall(t *testing.T) {
	for _, mode := range []disk.Sync{disk.SyncAlways, disk.SyncInterval} {
		synctest.Test(t, func(t *testing.T) {
			fs := crashfs.New(crashDir)
			n := start(t, disk.Options{Dir: crashDir, FS: fs, Sync: mode})
			answers := make(chan struct{})
			fs.Fault(func(f *crashfs.Faults) { f.Slow = func(string) { <-answers } })
			began := time.Now()
			n.put("key", "value", kv.VersionAt(began))
			if err := n.store.Sync(); !errors.Is(err, kv.ErrNoDisk) || time.Since(began) > 7*time.Second {
				t.Errorf("%v: after %v: %v", mode, time.Since(began), err)
			}
			r := kv.Record{Key: []byte("other"), Entry: kv.Entry{Version: kv.VersionAt(time.Now())}}
			if _, err := n.store.Apply(kv.Hash(r.Key), &r); !errors.Is(err, kv.ErrNoDisk) {
				t.Errorf("%v: a change is taken: %v", mode, err)
			}
			close(answers)
			time.Sleep(2 * time.Second)
			must(t, n.log.Fault())
			must(t, n.store.Sync())
			n.close()
		})
	}
}

// Who waits for a slow disk until a time is told at that time.
func TestDurableInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := crashfs.New(crashDir)
		n := start(t, disk.Options{Dir: crashDir, FS: fs, Sync: disk.SyncAlways})
		fs.Fault(func(f *crashfs.Faults) { f.Slow = func(string) { time.Sleep(2 * time.Second) } })
		began := time.Now()
		n.put("key", "value", kv.VersionAt(began))
		if err := n.store.Durable(began.Add(time.Second)); !errors.Is(err, kv.ErrNoDisk) || time.Since(began) != time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		must(t, n.store.Durable(began.Add(time.Minute)))
		n.close()
	})
}

// After a sync that fails, the system shows what was written as if it were on the disk. A process
// that is killed then, and started again, makes that last: it is there after a power cut.
func TestFailedSyncAndKill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := crashfs.New(crashDir)
		w, d := newWorld(1), &diary{}
		n := start(t, disk.Options{Dir: crashDir, FS: fs})
		d.work(n, w, 50)
		must(t, n.store.Sync())
		n.work(w, 20)
		time.Sleep(20 * time.Millisecond) // they are written
		fs.Fault(func(f *crashfs.Faults) { f.SyncErr = syscall.EIO })
		if n.store.Sync() == nil {
			t.Error("a sync that fails has succeeded")
		}
		n.log.Kill()
		fs.Fault(func(f *crashfs.Faults) { *f = crashfs.Faults{} })
		_ = n.store.Close()
		killed := fs.Kill()
		n = revive(t, &n.opt, killed)
		held := n.held()
		must(t, n.store.Sync())
		after := revive(t, &n.opt, killed.Crash(crashfs.Lose))
		if lost, damage := after.log.Lost(); len(lost) > 0 {
			t.Errorf("a power cut is taken for damage: %v", damage)
		}
		if got := after.held(); len(got) != len(held) {
			t.Errorf("%d keys are there, and %d were", len(got), len(held))
		}
		after.close()
		n.log.Kill()
		_ = n.store.Close()
	})
}
