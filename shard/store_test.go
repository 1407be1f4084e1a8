package shard

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"httpdhs/kv"
)

// Only a power of two within the bound is a number of partitions.
func TestOpenRefuses(t *testing.T) {
	for _, o := range []Options{
		{Partitions: 0}, {Partitions: -1}, {Partitions: 3}, {Partitions: 2 * MaxPartitions},
		{Partitions: 1, MaxBytes: -1}, {Partitions: 1, Grace: kv.Grace{Keep: -1}}, {Partitions: 1, Grace: kv.Grace{OffFor: -1}},
	} {
		if s, err := Open(o); err == nil {
			s.Close()
			t.Errorf("Open(%+v) gave a store", o)
		}
	}
}

// The partition is the high bits of the hash, the bucket the eight below.
func TestPlace(t *testing.T) {
	for _, c := range []struct {
		partitions int
		hash       uint64
		partition  int
		bucket     int
	}{
		{1, 0, 0, 0},
		{1, math.MaxUint64, 0, 255},
		{1, 0xab << 56, 0, 0xab},
		{2, 1 << 63, 1, 0},
		{1024, 0xffc0_0000_0000_0000, 1023, 0},
		{1024, 0x003f_c000_0000_0000, 0, 255},
		{1024, 0x0000_4000_0000_0000, 0, 1},
		{1024, 0x0000_3fff_ffff_ffff, 0, 0},
		{65536, 0x1234_5600_0000_0000, 0x1234, 0x56},
	} {
		s := open(t, newFakeClock(), Options{Partitions: c.partitions})
		if got := s.place(c.hash); got != (place{c.hash, c.partition, c.bucket}) {
			t.Errorf("place(%016x) of %d partitions = %+v, want partition %d, bucket %d",
				c.hash, c.partitions, got, c.partition, c.bucket)
		}
	}
}

// Digests are compared between nodes: their bits do not change from one
// version of the program to the next.
func TestMixGolden(t *testing.T) {
	for _, c := range []struct {
		hash uint64
		v    kv.Version
		want uint64
	}{
		{0, 1, 0x5e41ab087439611e},
		{1, 0, 0x8b4fda8c892b50e},
		{0x0123456789abcdef, 0xfedcba9876543210, 0xb174e52da6720a64},
	} {
		if got := mix(c.hash, c.v); got != c.want {
			t.Errorf("mix(%x, %x) = %#x, want %#x", c.hash, uint64(c.v), got, c.want)
		}
	}
	// SplitMix64's first output from seed 0, as published.
	if got := splitMix(0); got != 0xe220a8397b1dcdaf {
		t.Errorf("splitMix(0) = %#x", got)
	}
}

// Different hashes, versions and their exchange give different digests.
func TestMixTellsApart(t *testing.T) {
	seen := make(map[uint64]bool)
	for h := range uint64(300) {
		for v := range kv.Version(300) {
			seen[mix(h, v)] = true
		}
	}
	if len(seen) != 300*300 {
		t.Errorf("%d digests of %d entries", len(seen), 300*300)
	}
}

// Pages that begin where the last one ended make up the partition, sorted,
// each entry once, whatever comes and goes between them.
func TestScanPages(t *testing.T) {
	clock := newFakeClock()
	s := open(t, clock, Options{Partitions: 1, hash: func(key []byte) uint64 {
		i, _ := strconv.Atoi(string(key))
		return kv.Hash([]byte{byte(i)})
	}})
	var want []held
	for i := range 500 {
		h := held{kv.Hash([]byte{byte(i)}), value(fmt.Sprint(i), clock.version(1), "v")} // each hash twice
		mustApply(t, s, h.hash, h.rec)
		want = append(want, h)
	}
	slices.SortFunc(want, compareHeld)

	var got []held
	for from, page := uint64(0), 0; ; page++ {
		size, last := 0, from
		s.Scan(0, from, func(hash uint64, r *kv.Record) bool {
			if size >= 7 && hash != last {
				return false
			}
			if r.Version == clock.version(1) {
				got = append(got, held{hash, clone(r)})
			}
			size, last = size+1, hash
			return true
		})
		if size == 0 || last == math.MaxUint64 {
			break
		}
		from = last + 1
		other := fmt.Sprint(1000 + page)
		mustApply(t, s, kv.Hash([]byte{byte(1000 + page)}), value(other, clock.version(2), "v"))
	}
	sameHeld(t, "pages", got, want)
}

// A scan may begin at any hash, even one of another partition.
func TestScanFromAnyHash(t *testing.T) {
	s := open(t, newFakeClock(), Options{Partitions: 4, hash: kv.Hash})
	for i := range 100 {
		r := value(fmt.Sprint(i), 1, "v")
		mustApply(t, s, kv.Hash(r.Key), r)
	}
	all := dump(s)
	for _, from := range []uint64{0, 1, 1<<62 - 1, 1 << 62, 1<<63 + 1<<61, math.MaxUint64} {
		for p := range s.Partitions() {
			var want, got []held
			for _, h := range all {
				if h.hash >= from && s.place(h.hash).partition == p {
					want = append(want, h)
				}
			}
			s.Scan(p, from, func(hash uint64, r *kv.Record) bool {
				got = append(got, held{hash, clone(r)})
				return true
			})
			sameHeld(t, fmt.Sprintf("partition %d from %x", p, from), got, want)
		}
	}
}

// A scan whose fn panics leaves the shard unlocked.
func TestScanPanic(t *testing.T) {
	s := open(t, newFakeClock(), Options{})
	mustApply(t, s, 1, value("k", 1, "v"))
	func() {
		defer func() { _ = recover() }()
		s.Scan(0, 0, func(uint64, *kv.Record) bool { panic("fn") })
	}()
	s.Scan(0, 0, func(uint64, *kv.Record) bool { return true })
}

// The slices of what Get returns end where they end: appending to one does not
// reach into the other.
func TestGetSlicesDoNotOverlap(t *testing.T) {
	s := open(t, newFakeClock(), Options{})
	r := value("k", 1, "value")
	r.Meta = []byte("text/plain")
	mustApply(t, s, 1, r)
	e, buf, _ := s.Get(make([]byte, 0, 100), 1, r.Key)
	_ = append(e.Meta, "XXXX"...)
	_ = append(e.Value, "XXXX"...)
	if string(e.Value) != "value" || string(buf) != "text/plainvalue" {
		t.Errorf("got %q in %q", e.Value, buf)
	}
}

// Readers, writers, scans, sweeps and drops at once: a reader sees whole
// values only, and in the end the books are right. Run with -race.
func TestConcurrent(t *testing.T) {
	clock := newFakeClock()
	s := open(t, clock, Options{Partitions: 2, MaxBytes: 40_000, hash: kv.Hash})
	var writers, others sync.WaitGroup
	done := make(chan struct{})
	for w := range 4 {
		writers.Go(func() {
			for i := range 3000 {
				key := fmt.Appendf(nil, "%d", (i*7+w)%100)
				r := kv.Record{Key: key, Entry: kv.Entry{Version: clock.version(uint64(i*4 + w))}}
				r.Value = binary.BigEndian.AppendUint64(make([]byte, i%300), uint64(r.Version))
				switch i % 5 {
				case 0:
					r.Tombstone, r.Value = true, nil
				case 1:
					r.Expires = clock.Now().Add(time.Second).UnixMilli()
				}
				_, _ = s.Apply(kv.Hash(key), &r) // the bound may refuse it
				if i%50 == 0 {
					clock.Advance(300 * time.Millisecond)
				}
			}
		})
	}
	until := func(do func()) {
		others.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					do()
				}
			}
		})
	}
	var buf []byte
	until(func() {
		for i := range 100 {
			key := fmt.Appendf(nil, "%d", i)
			e, b, _ := s.Get(buf[:0], kv.Hash(key), key)
			if n := len(e.Value); n > 0 && kv.Version(binary.BigEndian.Uint64(e.Value[n-8:])) != e.Version {
				t.Errorf("the value of %s is of another version", key)
			}
			buf = b
		}
	})
	until(func() { s.Sweep() })
	until(func() { dump(s) })
	until(func() { s.Drop(1); s.Stats() })
	writers.Wait()
	close(done)
	others.Wait()
	checkBooks(t, s)
	for range 2 {
		clock.Advance(time.Hour)
		s.Sweep()
	}
	if got := s.Stats().Tombstones; got != 0 {
		t.Errorf("%d tombstones outlived their grace", got)
	}
}

// A store may be closed while it is in use: nobody reads memory that is gone.
func TestCloseWhileInUse(t *testing.T) {
	for range 20 {
		s := open(t, newFakeClock(), Options{Partitions: 4, hash: kv.Hash})
		var users sync.WaitGroup
		var did atomic.Int64
		inUse := make(chan struct{})
		for w := range 3 {
			users.Go(func() {
				for i := range 3000 {
					if did.Add(1) == 1000 {
						close(inUse)
					}
					r := value(fmt.Sprint(i%200), kv.Version(i+w+1)<<32, "some value")
					hash := kv.Hash(r.Key)
					if _, err := s.Apply(hash, &r); err != nil && !errors.Is(err, kv.ErrStopping) {
						t.Error(err)
					}
					if e, _, ok := s.Get(nil, hash, r.Key); ok && string(e.Value) != "some value" {
						t.Errorf("read %q", e.Value)
					}
					if i%100 == 0 {
						s.Drop(i / 100 % 4)
						s.Scan(w, 0, func(uint64, *kv.Record) bool { return true })
						s.Sweep()
					}
				}
			})
		}
		<-inUse
		s.Close()
		users.Wait()
		if got := s.Stats(); got != (Stats{}) {
			t.Fatalf("a closed store holds %+v", got)
		}
	}
}

// Reading into a buffer with room, overwriting with a value of the same size,
// a duplicate and a refused write allocate nothing.
func TestAllocations(t *testing.T) {
	clock := newFakeClock()
	s := open(t, clock, Options{Partitions: 16, hash: kv.Hash})
	r := value("some key", clock.version(1), "some value of some length")
	r.Meta = []byte("text/plain")
	hash := kv.Hash(r.Key)
	mustApply(t, s, hash, r)
	dst := make([]byte, 0, 100)
	absent := []byte("absent")
	created := decision(r, &kv.Condition{Kind: kv.IfAbsent})
	counter := kv.Record{Key: []byte("counter")}
	count := &kv.Decision{Ops: []*kv.Op{{Kind: kv.OpIncr, Number: 1, Record: counter}}}
	var digests [Buckets]uint64
	for name, do := range map[string]func(){
		"get":       func() { s.Get(dst, hash, r.Key) },
		"miss":      func() { s.Get(dst, hash, absent) },
		"overwrite": func() { r.Version++; _, _ = s.Apply(hash, &r) },
		"duplicate": func() { _, _ = s.Apply(hash, &r) },
		"condition": func() { _, _ = s.Decide(hash, created) },
		"update": func() {
			r.Version++
			count.Begin(r.Version, 100, 100)
			_, _ = s.Decide(kv.Hash(counter.Key), count)
		},
		"digests": func() { s.Digests(0, &digests) },
		"stats":   func() { s.Stats() },
	} {
		if got := testing.AllocsPerRun(100, do); got != 0 {
			t.Errorf("%s allocates %v times", name, got)
		}
	}
}

// What is dropped, by partition or by Close, gives all of its memory back.
func TestDropGivesMemoryBack(t *testing.T) {
	s := open(t, newFakeClock(), Options{Partitions: 4, hash: kv.Hash})
	for i := range 5000 {
		r := value(fmt.Sprint(i), kv.VersionAt(s.now()), "v")
		r.Tombstone = i%2 == 0
		mustApply(t, s, kv.Hash(r.Key), r)
	}
	for p := range s.Partitions() {
		s.Drop(p)
	}
	if sum := s.arena.sum; sum.used != 0 {
		t.Errorf("all was dropped, and there are %+v", sum)
	}
	checkBooks(t, s)
}

// A get that is bounded copies no more than that, and says how much there is.
func TestGetWithin(t *testing.T) {
	s, err := Open(Options{Partitions: 1, SweepEvery: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	r := kv.Record{Key: []byte("k"), Entry: kv.Entry{Version: 1, Value: []byte("value")}}
	hash := kv.Hash(r.Key)
	if _, err := s.Apply(hash, &r); err != nil {
		t.Fatal(err)
	}
	for most, want := range []string{"", "", "", "", "", "value", "value"} {
		e, buf, size, ok := s.GetWithin(most, []byte("before "), hash, r.Key)
		if !ok || e.Version != 1 || size != 5 || string(e.Value) != want || string(buf) != "before "+want {
			t.Errorf("of at most %d bytes: %+v, %q, %d, %v", most, e, buf, size, ok)
		}
	}
}
