package disk_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"httpdhs/disk"
	"httpdhs/internal/crashfs"
	"httpdhs/kv"
)

// world is what was told to a store, to compare what it holds with.
type world struct {
	rand    *rand.Rand
	version kv.Version
	last    map[string]kv.Record     // what is held under a key
	ever    map[kv.Version]kv.Record // all that was ever
}

func newWorld(seed uint64) *world {
	return &world{
		rand: rand.New(rand.NewPCG(seed, 14)), version: kv.VersionAt(time.Now()),
		last: make(map[string]kv.Record), ever: make(map[kv.Version]kv.Record),
	}
}

// next is a change of some key: a value as a rule, else a delete.
func (w *world) next() kv.Record {
	w.version = max(w.version.Next(), kv.VersionAt(time.Now()))
	r := kv.Record{Key: fmt.Appendf(nil, "key%d", w.rand.IntN(200)), Entry: kv.Entry{Version: w.version}}
	if w.rand.IntN(5) == 0 {
		r.Tombstone = true
	} else {
		r.Value = fmt.Appendf(nil, "%d %s", w.version, strings.Repeat("x", w.rand.IntN(300)))
	}
	return r
}

func (w *world) note(r kv.Record) {
	w.last[string(r.Key)], w.ever[r.Version] = r, r
}

// work makes changes, and notes them.
func (n *node) work(w *world, changes int) {
	n.t.Helper()
	for range changes {
		r := w.next()
		if _, err := n.store.Apply(kv.Hash(r.Key), &r); err != nil {
			n.t.Fatal(err)
		}
		w.note(r)
	}
}

// same says whether two records are.
func same(a, b *kv.Record) bool {
	return string(kv.AppendRecord(nil, a)) == string(kv.AppendRecord(nil, b))
}

// held is all that the store holds, by key.
func (n *node) held() map[string]kv.Record {
	all := make(map[string]kv.Record)
	for p := range testPartitions {
		n.store.Scan(p, 0, func(_ uint64, r *kv.Record) bool {
			c := *r
			c.Key, c.Value = append([]byte(nil), r.Key...), append([]byte(nil), r.Value...)
			all[string(c.Key)] = c
			return true
		})
	}
	return all
}

// check compares what the store holds with the world. Of partitions that are lost all may lack, but
// nothing is held that never was.
func (n *node) check(w *world, lost []int) {
	n.t.Helper()
	isLost := make(map[int]bool)
	for _, p := range lost {
		isLost[p] = true
	}
	held := n.held()
	for key, r := range held {
		if was, ok := w.ever[r.Version]; !ok || !same(&was, &r) {
			n.t.Errorf("%s is held, and never was", key)
		}
	}
	for key, want := range w.last {
		if got, ok := held[key]; !isLost[partitionOf(key)] && (!ok || !same(&got, &want)) {
			n.t.Errorf("%s has version %d, want %d", key, got.Version, want.Version)
		}
	}
}

func partitionOf(key string) int { return int(kv.HashString(key) >> (64 - testPartitionBits)) }

// harm is what befalls a file.
type harm struct {
	name string
	do   func(t *testing.T, r *rand.Rand, path string)
}

var harms = []harm{
	{"flip", func(t *testing.T, r *rand.Rand, path string) {
		change(t, path, func(b []byte) []byte { b[r.IntN(len(b))] ^= 1 << r.IntN(8); return b })
	}},
	{"zero a page", func(t *testing.T, r *rand.Rand, path string) {
		change(t, path, func(b []byte) []byte {
			from := r.IntN(len(b))
			clear(b[from:min(len(b), from+512)])
			return b
		})
	}},
	{"truncate", func(t *testing.T, r *rand.Rand, path string) {
		change(t, path, func(b []byte) []byte { return b[:r.IntN(len(b))] })
	}},
	{"zero the tail", func(t *testing.T, r *rand.Rand, path string) {
		change(t, path, func(b []byte) []byte { clear(b[r.IntN(len(b)):]); return b })
	}},
	{"remove", func(t *testing.T, _ *rand.Rand, path string) {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}},
	{"garbage behind the end", func(t *testing.T, r *rand.Rand, path string) {
		change(t, path, func(b []byte) []byte {
			for range r.IntN(2000) {
				b = append(b, byte(r.Uint32()))
			}
			return b
		})
	}},
}

func change(t *testing.T, path string, how func(b []byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, how(b), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Whatever befalls one file of a directory that was closed in good order: it is refused, or what is
// damaged is known, and all else is as it was. What is held was held once.
func TestDamageIsKnown(t *testing.T) {
	for _, h := range harms {
		t.Run(h.name, func(t *testing.T) {
			t.Parallel() // most of it waits for the disk
			for seed := range uint64(seedsOf(4)) {
				w := newWorld(seed)
				n := start(t, disk.Options{SegmentBytes: 8 << 10, Sync: disk.SyncNever})
				n.work(w, 300)
				n.close()
				n.open() // a second start: there is more than one void
				n.work(w, 200)
				n.close()
				names, err := filepath.Glob(filepath.Join(n.opt.Dir, "*[0-9a].*")) // the lock has nothing in it
				if err != nil {
					t.Fatal(err)
				}
				names = append(names, filepath.Join(n.opt.Dir, "meta"))
				path := names[w.rand.IntN(len(names))]
				h.do(t, w.rand, path)
				if !n.reopen() {
					continue // refused
				}
				lost, damage := n.log.Lost()
				if len(lost) > 0 != (damage != nil) {
					t.Errorf("seed %d: %d partitions are lost, by %v", seed, len(lost), damage)
				}
				n.check(w, lost)
				if t.Failed() {
					t.Fatalf("seed %d: %s, in %s: lost %v, %v", seed, h.name, filepath.Base(path), lost, damage)
				}
				n.close()
			}
		})
	}
}

// reopen is open where a directory may be refused.
func (n *node) reopen() bool {
	log, err := disk.Open(n.opt)
	if err != nil {
		return false
	}
	n.log = log
	n.store = newStore(n.t, log, time.Hour)
	if err := log.Load(n.t.Context(), n.store); err != nil {
		n.t.Errorf("what was not refused cannot be loaded: %v", err)
		return false
	}
	return true
}

// seedsOf is DISK_SEEDS, or so many.
func seedsOf(otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv("DISK_SEEDS")); err == nil {
		return n
	}
	return otherwise
}

// Files that are gone are missed at the next start, though the log was not closed in good order.
// Only those are not missed of which nothing was synced.
func TestMissingFilesAreKnown(t *testing.T) {
	for what, gone := range map[string]func(names []string, synced int) []string{
		"the first":                func(names []string, _ int) []string { return names[:1] },
		"the last that was synced": func(names []string, synced int) []string { return names[synced : synced+1] },
		"all from that one on":     func(names []string, synced int) []string { return names[synced:] },
		"all":                      func(names []string, _ int) []string { return names },
	} {
		for _, behind := range []int{0, 60} { // changes that were not synced, in segments of their own
			t.Run(fmt.Sprintf("%s, %d changes behind", what, behind), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					fs, w := crashfs.New(crashDir), newWorld(1)
					n := start(t, disk.Options{Dir: crashDir, FS: fs, SegmentBytes: 1 << 10, SyncEvery: time.Hour})
					n.work(w, 200)
					must(t, n.store.Sync())
					synced := len(segments(t, fs)) - 1
					n.work(w, behind)
					time.Sleep(time.Second) // it is written
					n.kill()
					fs = fs.Kill()
					all := segments(t, fs)
					slices.Sort(all)
					if many := len(all) > synced+1; many != (behind > 0) {
						t.Fatalf("%d segments, of which %d are synced", len(all), synced+1)
					}
					for _, name := range gone(all, synced) {
						must(t, fs.Vanish(crashDir+"/"+name))
					}
					n = revive(t, &n.opt, fs)
					if lost, _ := n.log.Lost(); len(lost) != testPartitions {
						t.Errorf("%d partitions are lost", len(lost))
					}
					n.log.Mend()
					n.work(w, 60)
					time.Sleep(time.Minute)
					if n.log.Stats().Cleaned == 0 {
						t.Error("nothing is cleaned once it is mended")
					}
					n.close()
					n.open()
					if lost, damage := n.log.Lost(); len(lost) > 0 {
						t.Errorf("once it is mended, %d partitions are lost: %v", len(lost), damage)
					}
					n.close()
				})
			})
		}
	}
}

// Damage that comes after the log was loaded is seen when it is mended, beside that which was
// known. What memory holds of it is written again.
func TestMoreDamageWhileItIsMended(t *testing.T) {
	for what, harm := range map[string]func(t *testing.T, fs *crashfs.FS, path string){
		"a bit is flipped": func(t *testing.T, fs *crashfs.FS, path string) { must(t, fs.Flip(path, 3000, 3)) },
		"it is not read": func(_ *testing.T, fs *crashfs.FS, path string) {
			fs.Fault(func(f *crashfs.Faults) { f.ReadErr, f.Only = syscall.EIO, func(p string) bool { return p == path } })
		},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fs := crashfs.New(crashDir)
				n := start(t, disk.Options{Dir: crashDir, FS: fs, SegmentBytes: 16 << 10})
				for i := range 500 {
					n.put(fmt.Sprint(i), strings.Repeat("x", 100), kv.VersionAt(time.Now()))
				}
				n.close()
				must(t, fs.Flip(crashDir+"/00000001.log", 1000, 3))
				n.open()
				held := len(n.held())
				harm(t, fs, crashDir+"/00000002.log")
				n.log.Mend()
				time.Sleep(time.Minute)
				n.close()
				fs.Fault(func(f *crashfs.Faults) { *f = crashfs.Faults{} })
				n.open()
				if lost, damage := n.log.Lost(); len(lost) > 0 || len(n.held()) != held {
					t.Errorf("%d keys of %d are left, %d partitions lost: %v", len(n.held()), held, len(lost), damage)
				}
				n.close()
			})
		})
	}
}

// What is damaged is found by each start until it is mended, however much is written meanwhile.
func TestDamageIsNotCleanedAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := crashfs.New(crashDir)
		n := start(t, disk.Options{Dir: crashDir, FS: fs, SegmentBytes: 4 << 10})
		n.work(newWorld(1), 300)
		n.close()
		must(t, fs.Flip(crashDir+"/00000001.log", 1000, 3))
		n.open()
		was, _ := n.log.Lost()
		for range 1000 {
			n.put("key", "value", kv.VersionAt(time.Now()))
			time.Sleep(50 * time.Millisecond)
		}
		n.close()
		n.open()
		if lost, _ := n.log.Lost(); len(was) == 0 || len(lost) != len(was) {
			t.Errorf("%d partitions are lost, and %d before", len(lost), len(was))
		}
		n.close()
	})
}
