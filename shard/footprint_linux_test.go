package shard

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"httpdhs/internal/cputime"
	"httpdhs/kv"
)

// TestFootprint fills a store with SHARD_KEYS keys of 16 bytes and values of 100, overwrites all
// three times with other sizes, and deletes half. After each it prints what the store takes and how
// long the longest call took. SHARD_ENGINE=map runs it on the reference engine. Its goals are
// asserted from ten million on.
func TestFootprint(t *testing.T) {
	n, err := strconv.Atoi(os.Getenv("SHARD_KEYS"))
	if err != nil {
		t.Skip("SHARD_KEYS is not set")
	}
	clock := newFakeClock()
	o := Options{Partitions: 1024, SweepEvery: -1, Grace: kv.Grace{Keep: grace}, Now: clock.Now}
	if p, err := strconv.Atoi(os.Getenv("SHARD_PARTITIONS")); err == nil {
		o.Partitions = p
	}
	packed := os.Getenv("SHARD_ENGINE") != "map"
	if !packed {
		o.newEngine = newMapEngine
	}
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	runtime.LockOSThread() // stalls are measured in this thread's CPU time
	defer runtime.UnlockOSThread()

	f := &filler{store: s, record: benchRecord(), version: clock.version(0)}
	f.report(t, "empty", 0)
	f.pass(n, func(i int) int { return benchValue })
	f.check(t, packed && n >= 1e7, f.report(t, "loaded", n), 1.25)
	for round := range 3 {
		r := rand.New(rand.NewPCG(uint64(round), 0))
		f.pass(n, func(int) int { return 50 + r.IntN(101) })
		over := f.report(t, fmt.Sprintf("overwritten %d", round+1), n)
		f.check(t, packed && n >= 1e7, over, 1.35)
	}
	f.record.Tombstone = true
	f.pass(n/2, func(int) int { return 0 })
	f.report(t, "half deleted", n)
	f.record.Tombstone = false
	clock.Advance(time.Hour)
	s.Sweep()
	f.report(t, "swept", n)
}

// filler writes to a store and times it.
type filler struct {
	store     *Store
	record    kv.Record
	version   kv.Version
	started   time.Time
	longest   time.Duration
	longestAt int
}

// pass writes n keys, in an order that is not that of the last pass.
func (f *filler) pass(n int, size func(i int) int) {
	f.started, f.longest = time.Now(), 0
	value := make([]byte, 256)
	f.version++
	step := 7_368_787 // a prime that no n divides
	for i := range n {
		f.record.Value = value[:size(i)]
		binary.BigEndian.PutUint64(f.record.Key, uint64(i*step%n))
		f.record.Version = f.version
		hash := kv.Hash(f.record.Key)
		before := cputime.Thread()
		if _, err := f.store.Apply(hash, &f.record); err != nil {
			panic(err)
		}
		if took := cputime.Thread() - before; took > f.longest {
			f.longest, f.longestAt = took, i
		}
	}
}

// report prints what is held and returns what is resident for a byte of keys
// and values.
func (f *filler) report(t *testing.T, what string, n int) float64 {
	rate := float64(n) / time.Since(f.started).Seconds()
	longest := fmt.Sprintf("%v at %d", f.longest, f.longestAt)
	before := float64(resident()) / (1 << 20)
	for range 2 * idlePasses { // as the sweeper does within a minute
		f.store.arena.giveBack()
	}
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	s := f.store.Stats()
	ratio := float64(resident()) / float64(s.Bytes)
	t.Logf("%-13s %9d keys %8d tombstones, resident %6.1f and soon %6.1f MiB = %.3f of the data, %5.1f B/key beyond; live %5.1f dead %5.1f segments %5.1f index %5.1f B/key; %4.2f M/s; longest %v; heap %d objects %.1f MiB; GC %.2f %% CPU",
		what, s.Keys, s.Tombstones, before, float64(resident())/(1<<20), ratio,
		float64(s.Accounted-s.Bytes)/float64(s.Keys),
		float64(s.Memory.Live)/float64(s.Keys), float64(s.Memory.Dead)/float64(s.Keys),
		float64(s.Memory.Segments)/float64(s.Keys), float64(s.Memory.Index)/float64(s.Keys),
		rate/1e6, longest, m.HeapObjects, float64(m.HeapSys)/(1<<20), 100*m.GCCPUFraction)
	return ratio
}

func (f *filler) check(t *testing.T, assert bool, got, want float64) {
	if assert && got > want {
		t.Errorf("resident is %.3f of the data, want %.2f", got, want)
	}
}

// resident is the process's resident memory in bytes.
func resident() int64 {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	pages, _ := strconv.ParseInt(strings.Fields(string(b))[1], 10, 64)
	return pages * int64(os.Getpagesize())
}
