package shard

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"httpdhs/kv"
)

// loader fills a store with values of drawn sizes, and frees some of them.
type loader struct {
	t     *testing.T
	s     *Store
	clock *fakeClock
	r     *rand.Rand
	size  func(*rand.Rand) int
	n     uint64         // writes so far
	held  map[string]int // the lengths of the values that are held, by their keys
	ttl   time.Duration  // of a third of the values; 0: none expires
}

func (f *loader) write(r kv.Record) error {
	f.n++
	r.Version = f.clock.version(f.n << 10)
	_, err := f.s.Apply(kv.Hash(r.Key), &r)
	if err != nil && !errors.Is(err, kv.ErrNoMemory) {
		f.t.Fatal(err)
	}
	return err
}

// add writes new keys until a number of writes in a row are refused, and returns
// what the store took: keys, and the bytes of their values.
func (f *loader) add(refusals int) (keys int, bytes int64) {
	for refused := 0; refused < refusals; {
		r := value(fmt.Sprintf("key-%012d", f.n), 0, "")
		r.Value = zeros[:f.size(f.r)]
		if f.ttl > 0 && f.r.IntN(3) == 0 {
			r.Expires = f.clock.Now().Add(f.ttl).UnixMilli()
		}
		if f.write(r) != nil {
			refused++
			continue
		}
		if refused = 0; r.Expires == 0 {
			f.held[string(r.Key)] = len(r.Value)
		}
		keys++
		bytes += int64(len(r.Value))
	}
	return keys, bytes
}

// free makes some of the values smaller, one of so many, by what how writes, which
// returns the length that is left. It returns how many and the bytes that are
// gone.
func (f *loader) free(oneOf int, how func(key string, size int) (left int)) (keys int, bytes int64) {
	for _, key := range slices.Sorted(maps.Keys(f.held)) {
		if f.r.IntN(oneOf) != 0 {
			continue
		}
		size := f.held[key]
		left := how(key, size)
		if f.held[key] = left; left == 0 {
			delete(f.held, key)
		}
		keys++
		bytes += int64(size - left)
	}
	return keys, bytes
}

var freeings = map[string]func(f *loader, oneOf int) (tombstones int, bytes int64){
	"delete": func(f *loader, oneOf int) (int, int64) {
		return f.free(oneOf, func(key string, _ int) int {
			if f.write(tombstone(key, 0)) != nil {
				f.t.Fatal("a delete was refused")
			}
			return 0
		})
	},
	"shrink": func(f *loader, oneOf int) (int, int64) {
		_, bytes := f.free(oneOf, func(key string, size int) int {
			if f.write(value(key, 0, string(zeros[:size/2]))) != nil {
				f.t.Fatal("a smaller value was refused")
			}
			return size / 2
		})
		return 0, bytes
	},
	"expire": func(f *loader, _ int) (int, int64) {
		stats := f.s.Stats()
		f.clock.Advance(f.ttl)
		bytes := stats.Bytes - int64(stats.Keys*loaderKeyBytes)
		for _, size := range f.held {
			bytes -= int64(size)
		}
		return stats.Keys - len(f.held), bytes
	},
}

// zeros is what values are cut from.
var zeros [100_000]byte

// loaderKeyBytes is the length of a loader's keys.
const loaderKeyBytes = 16

// What deletes, smaller values and expiries free in a full store is there for new keys at once, of
// any partition, with no sweeper. That is nine tenths of it, after these: what tombstones take,
// what new keys take beyond their values, the next step of the tables' growth, a 64th of what is
// held, and a page of each partition. The bound holds all the while, and no delete and no smaller
// value is refused. Every day each store is freed in one way, and each way has a third of the
// stores; with make model all are.
func TestFreedMemoryIsUsableAtOnce(t *testing.T) {
	fixed := func(n int) func(*rand.Rand) int { return func(*rand.Rand) int { return n } }
	mixed := func(r *rand.Rand) int { return []int{10, 100, 1000, 10_000, 100_000}[min(r.IntN(40), 24)/6] }
	ways := slices.Sorted(maps.Keys(freeings))
	first := rand.IntN(len(ways))
	for n, c := range []struct {
		partitions int
		bound      int64
		name       string
		size       func(*rand.Rand) int
		oneOf      int
	}{
		{1, 2 << 20, "10 B", fixed(10), 10},
		{32, 2 << 20, "10 B", fixed(10), 10},
		{1, 4 << 20, "100 B", fixed(100), 6},
		{16, 4 << 20, "100 B", fixed(100), 6},
		{64, 4 << 20, "100 B", fixed(100), 6},
		{1, 8 << 20, "1 KB", fixed(1000), 6},
		{16, 8 << 20, "1 KB", fixed(1000), 20},
		{256, 16 << 20, "1 KB", fixed(1000), 6}, // as 1,024 with 64 MiB
		{1, 16 << 20, "100 KB", fixed(100_000), 6},
		{32, 16 << 20, "100 KB", fixed(100_000), 6},
		{16, 16 << 20, "20 KB", fixed(20_000), 6},
		{1, 16 << 20, "mixed", mixed, 6},
		{16, 16 << 20, "mixed", mixed, 6},
		{16, 8 << 20, "up to 3000 B", upTo(3000), 6},
		{64, 8 << 20, "up to 3000 B", upTo(3000), 6},
	} {
		for w := range often(1, len(ways)) {
			how := ways[(first+n+w)%len(ways)]
			free := freeings[how]
			t.Run(fmt.Sprintf("%s/%d partitions/%s", how, c.partitions, c.name), func(t *testing.T) {
				t.Parallel()
				clock := newFakeClock()
				seed := rand.Uint64()
				f := &loader{t: t, clock: clock, r: rand.New(rand.NewPCG(seed, 0)), size: c.size, held: make(map[string]int)}
				f.s = open(t, clock, Options{Partitions: c.partitions, MaxBytes: c.bound, hash: kv.Hash})
				if how == "expire" {
					f.ttl = time.Minute
				}
				f.add(20)
				// The table of a single partition may lack more than what counts as full.
				if used, limit, full := f.s.Room(); !full && c.partitions > 1 || limit != c.bound {
					t.Errorf("after writes were refused it takes %d bytes of %d, full: %v", used, limit, full)
				}
				index := f.s.Stats().Memory.Index
				tombstones, freed := free(f, c.oneOf)
				if _, _, full := f.s.Room(); full && f.ttl == 0 && freed > c.bound/8 {
					t.Errorf("after %d bytes were freed it is full", freed)
				}
				f.ttl = 0
				keys, bytes := f.add(1)
				const head = 13
				want := freed - int64(tombstones*(loaderKeyBytes+head)) - int64(keys*(loaderKeyBytes+head)) -
					(f.s.Stats().Memory.Index - index + index/4) - c.bound/spareShare - int64(c.partitions*pageBytes)
				t.Logf("seed %d: %d bytes of values freed, %d tombstones; %d new keys with %d bytes", seed, freed, tombstones, keys, bytes)
				if bytes < want*9/10 {
					t.Errorf("after %d bytes were freed, new values of %d could be written, want %d", freed, bytes, want)
				}
				checkBooks(t, f.s)
				if got := f.s.Stats().Accounted; got > c.bound+tombstoneRoom(c.bound) {
					t.Errorf("takes %d bytes of %d", got, c.bound)
				}
			})
		}
	}
}

// A write that finds no memory looks at a bounded number of records, whatever is held and whether
// it succeeds. In a store with nothing to give it looks at none.
func TestRegainIsBounded(t *testing.T) {
	hashes := 0
	clock := newFakeClock()
	f := &loader{t: t, clock: clock, r: rand.New(rand.NewPCG(1, 1)), size: upTo(100), held: make(map[string]int)}
	f.s = open(t, clock, Options{Partitions: 8, MaxBytes: 4 << 20, hash: func(key []byte) uint64 { hashes++; return kv.Hash(key) }})
	f.add(20)
	f.free(3, func(key string, _ int) int {
		if f.write(tombstone(key, 0)) != nil {
			t.Fatal("a delete was refused")
		}
		return 0
	})
	const recordsMax = compactStepMax/recordCost + 1
	worked := false
	for refused := 0; refused < 1000; {
		hashes = 0
		if keys, _ := f.add(1); keys == 0 {
			refused++
		}
		if hashes > 0 {
			worked = true
		}
		if hashes > (regainSteps+2*squeezeSteps+trimSteps)*recordsMax {
			t.Fatalf("a write looked at %d records", hashes)
		}
	}
	if !worked || hashes != 0 {
		t.Errorf("%d records were looked at by the last write that was refused, and any at all by one before: %v", hashes, worked)
	}
}
