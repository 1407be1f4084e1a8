package shard

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"httpdhs/kv"
)

// pull offers s all that o holds in the buckets that differ, as a comparison of
// two owners does, and counts what was stored.
func pull(t *testing.T, s, o *Store) (stored int) {
	t.Helper()
	for p := range s.Partitions() {
		var own, theirs [Buckets]uint64
		s.Digests(p, &own)
		o.Digests(p, &theirs)
		var records []held
		o.Scan(p, 0, func(hash uint64, r *kv.Record) bool {
			if b := o.place(hash).bucket; own[b] != theirs[b] {
				records = append(records, held{hash, clone(r)})
			}
			return true
		})
		for _, h := range records {
			a, err := s.ApplySync(h.hash, &h.rec)
			if err != nil {
				t.Fatal(err)
			}
			if a.Outcome == kv.Stored {
				stored++
			}
		}
	}
	return stored
}

// Owners that were written to and read differently, and that evict, come to
// rest: once each has pulled from each, no record moves any more. What one holds
// in an old version it has in the newer one then, and what was deleted stays so.
func TestEvictingStoresComeToRest(t *testing.T) {
	for _, owners := range []int{2, 3} {
		t.Run(fmt.Sprint(owners), func(t *testing.T) {
			seed := rand.Uint64()
			defer func() {
				if t.Failed() {
					t.Logf("seed %d", seed)
				}
			}()
			r := rand.New(rand.NewPCG(seed, 0))
			clock := newFakeClock()
			var stores []*Store
			for range owners {
				stores = append(stores, openEvicting(t, clock, 4, 1<<20))
			}
			for i := range uint64(40_000) {
				key := fmt.Sprint(min(r.IntN(20_000), r.IntN(20_000)))
				rec := value(key, clock.version(i+1), string(make([]byte, r.IntN(200))))
				if i%50 == 0 {
					rec = tombstone(key, clock.version(i+1))
				}
				for _, s := range stores {
					if r.IntN(10) > 0 { // else it never hears of it
						mustApply(t, s, kv.Hash(rec.Key), rec)
					}
					read := fmt.Append(nil, min(r.IntN(20_000), r.IntN(20_000)))
					s.Get(nil, kv.Hash(read), read)
				}
			}
			round := func() (stored int) {
				for i, s := range stores {
					for j, o := range stores {
						if i != j {
							stored += pull(t, s, o)
						}
					}
				}
				return stored
			}
			moved := []int{round()}
			for moved[len(moved)-1] > 0 && len(moved) <= owners+1 {
				moved = append(moved, round())
			}
			t.Logf("records stored in each round: %v", moved)
			if moved[0] == 0 || moved[len(moved)-1] > 0 {
				t.Fatalf("rounds stored %v records, want some and then none", moved)
			}
			newest := make(map[string]kv.Version)
			for i, s := range stores {
				checkBooks(t, s)
				if s.Stats().Passed == 0 || !s.Evicted(0) {
					t.Errorf("store %d: nothing was passed over: %+v", i, s.Stats())
				}
				for _, h := range dump(s) {
					newest[string(h.rec.Key)] = max(newest[string(h.rec.Key)], h.rec.Version)
				}
			}
			for i, s := range stores {
				for _, h := range dump(s) {
					if want := newest[string(h.rec.Key)]; h.rec.Version != want {
						t.Fatalf("store %d holds %q at %d, another at %d", i, h.rec.Key, h.rec.Version, want)
					}
				}
			}
		})
	}
}

// The mark judges what a sync brings for keys that are not held, values and
// tombstones alike, and nothing else. It goes with what a partition holds.
func TestApplySync(t *testing.T) {
	clock := newFakeClock()
	s := openEvicting(t, clock, 1, 256<<10)
	n := uint64(0)
	put := func(key string) {
		n++
		r := value(key, clock.version(n), string(make([]byte, 1000)))
		mustApply(t, s, kv.Hash(r.Key), r)
	}
	try := func(r kv.Record, want kv.Outcome, current kv.Version) {
		t.Helper()
		a, err := s.ApplySync(kv.Hash(r.Key), &r)
		if err != nil || a.Outcome != want || a.Current != current {
			t.Fatalf("ApplySync(%q) = %+v, %v, want %v, %d", r.Key, a, err, want, current)
		}
	}
	first := clock.version(0)
	if s.Evicted(0) {
		t.Fatal("an empty partition has evicted")
	}
	try(value("old", first, "v"), kv.Stored, first)
	for i := 0; !s.Evicted(0); i++ {
		put(fmt.Sprint(i))
	}
	mark := s.shards[0].evictions.mark
	after, before := mark+1, mark-1
	try(value("new", mark, "v"), kv.Stale, 0)
	try(value("new", before, "v"), kv.Stale, 0)
	try(tombstone("new", mark), kv.Stale, 0)
	if got := s.Stats().Passed; got != 3 {
		t.Fatalf("passed over %d records, want 3", got)
	}
	try(value("new", after, "v"), kv.Stored, after)
	try(tombstone("deleted", after), kv.Stored, after)
	r := value("written", before, "v")
	mustApply(t, s, kv.Hash(r.Key), r)
	try(value("written", mark, "w"), kv.Stored, mark)
	try(value("written", before, "v"), kv.Stale, mark)
	try(tombstone("written", mark), kv.Stored, mark)
	s.Drop(0)
	if s.Evicted(0) {
		t.Fatal("a dropped partition has evicted")
	}
	try(value("new", before, "v"), kv.Stored, before)
	checkBooks(t, s)
}

// Where one partition has all the memory, others get what they need, of any
// size, and it stays usable itself.
func TestUnevenPartitionsGive(t *testing.T) {
	const bound, partitions = 24 << 20, 64
	clock := newFakeClock()
	key := make([]byte, 8)
	// The first byte of the key is the partition.
	hash := func(key []byte) uint64 { return kv.Hash(key)>>6 | uint64(key[0])<<58 }
	s := open(t, clock, Options{Partitions: partitions, MaxBytes: bound, Eviction: EvictS3FIFO, hash: hash})
	n := uint64(0)
	put := func(partition, size int) {
		t.Helper()
		n++
		key = fmt.Appendf(key[:0], "%c%d", partition, n)
		mustApply(t, s, hash(key), value(string(key), clock.version(n), string(make([]byte, size))))
		if got := s.accounted.Load(); got > bound+bound/20 {
			t.Fatalf("takes %d bytes of %d", got, bound)
		}
	}
	for range 60_000 {
		put(3, 500)
	}
	if all := s.Stats(); all.Accounted < bound*9/10 || s.PartitionKeys(3) != all.Keys {
		t.Fatalf("one partition alone takes %+v", all)
	}
	for i := range 20 {
		put(4+i, 8<<20)
		put(4+i, 10)
	}
	if s.PartitionKeys(3) < 100 {
		t.Errorf("values of 8 MiB have left %d keys of 500 bytes", s.PartitionKeys(3))
	}
	for i := range 100_000 {
		put(i%partitions, 500)
	}
	for p := range partitions {
		if keys, fair := s.PartitionKeys(p), s.Stats().Keys/partitions; keys < fair*2/3 || keys > 2*fair {
			t.Errorf("partition %d has %d keys, %d are its share", p, keys, fair)
		}
	}
	checkBooks(t, s)
}

// What can never fit is refused, and nothing was evicted for it; where
// tombstones have taken all memory, values are refused, too.
func TestEvictionRefuses(t *testing.T) {
	const bound = 1 << 20
	clock := newFakeClock()
	s := openEvicting(t, clock, 1, bound)
	n := uint64(0)
	apply := func(r kv.Record) error {
		n++
		r.Version = clock.version(n)
		_, err := s.Apply(kv.Hash(r.Key), &r)
		return err
	}
	for i := range 100 {
		if err := apply(value(fmt.Sprint(i), 0, "v")); err != nil {
			t.Fatal(err)
		}
	}
	if err := apply(value("large", 0, string(make([]byte, bound)))); !errors.Is(err, kv.ErrNoMemory) {
		t.Fatalf("a value as large as the bound: %v", err)
	}
	if got := s.Stats(); got.Evicted != 0 || got.Keys != 100 {
		t.Fatalf("nothing was to be gained, and %d were evicted", got.Evicted)
	}
	if err := apply(value("large", 0, string(make([]byte, bound-8*pageBytes)))); err != nil {
		t.Fatalf("a value that fits alone: %v", err)
	}
	refused := 0
	for i := range 400 {
		switch err := apply(tombstone(fmt.Sprintf("%04000d", i), 0)); {
		case errors.Is(err, kv.ErrNoMemory):
			refused++
		case err != nil:
			t.Fatal(err)
		}
	}
	got := s.Stats()
	if refused == 0 || got.Keys != 0 || got.Accounted > bound+tombstoneRoom(bound) {
		t.Fatalf("%d deletes were refused: %+v", refused, got)
	}
	if err := apply(value("small", 0, "v")); !errors.Is(err, kv.ErrNoMemory) {
		t.Fatalf("a value among tombstones: %v", err)
	}
	checkBooks(t, s)
}
