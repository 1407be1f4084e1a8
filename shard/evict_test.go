package shard

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"httpdhs/kv"
)

// drainedOf is how far a segment was emptied already.
func drainedOf(l *log, number int) drain {
	if l.victim.number == number {
		return l.victim
	}
	if l.fifo != nil {
		for _, d := range l.fifo.drains {
			if d.number == number {
				return d
			}
		}
	}
	return drain{}
}

// checkFifo holds the queues of an engine that evicts to its segments. Each segment is in one
// queue, and tombstones alone are in the one that is kept. The bytes of the queues are those of
// their records, and before a cursor there are none.
func checkFifo(t fatalT, e *packedEngine) {
	t.Helper()
	f := e.log.fifo
	seen := make(map[int]bool)
	for q := range queues {
		var live int64
		before := 0
		for number := f.first[q]; number != 0; number = int(f.links[number].newer) {
			s := &e.log.segments[number]
			if l := f.links[number]; seen[number] || s.data == nil || int(l.queue) != q || int(l.older) != before {
				t.Fatalf("segment %d is in queue %d, after %d: %+v", number, q, before, l)
			}
			seen[number] = true
			before = number
			for place := drainedOf(&e.log, number).cursor; place < s.used; {
				b := s.data[place:s.used]
				if gap := gapAt(b); gap > 0 {
					place += gap
					continue
				}
				shape := shapeOf(b)
				if q == queueKept && b[0]&recordTombstone == 0 {
					t.Fatalf("segment %d, of those that are kept, has a value at %d", number, place)
				}
				live += int64(shape.size)
				place += shape.size
			}
		}
		if before != f.last[q] || live != f.live[q] {
			t.Fatalf("queue %d ends at %d with %d bytes, want %d, %d", q, before, live, f.last[q], f.live[q])
		}
	}
	for number, s := range e.log.segments {
		if s.data != nil && !seen[number] {
			t.Fatalf("segment %d is in no queue", number)
		}
	}
}

// follower is a store that evicts, and what it would hold if it did not.
type follower struct {
	t     fatalT
	store *Store
	clock *fakeClock
	held  map[string]held
	stats Stats
	n     uint64
}

// apply writes a record that is newer than any before, and holds the store to
// its bound.
func (f *follower) apply(r kv.Record, sync bool) error {
	f.t.Helper()
	f.n++
	r.Version = f.clock.version(f.n)
	hash := kv.Hash(r.Key)
	a, err := f.store.merge(hash, &r, terms{sync: sync})
	if err == nil && a.Outcome != kv.Stored {
		f.t.Fatalf("%q was not stored: %+v", r.Key, a)
	}
	if err == nil {
		f.held[string(r.Key)] = held{hash, clone(&r)}
	}
	f.bound()
	return err
}

// applyAll writes records, newer than any before, in one call.
func (f *follower) applyAll(records []kv.Record) {
	f.t.Helper()
	offers := make([]kv.Offer, len(records))
	for i := range records {
		f.n++
		records[i].Version = f.clock.version(f.n)
		offers[i] = kv.Offer{Hash: kv.Hash(records[i].Key), Record: &records[i]}
	}
	f.store.ApplyAll(offers)
	for _, o := range offers {
		if o.Err != nil || o.Outcome != kv.Stored || o.Current != o.Record.Version {
			f.t.Fatalf("%q was not stored: %+v, %v", o.Record.Key, o.Applied, o.Err)
		}
		f.held[string(o.Record.Key)] = held{o.Hash, clone(o.Record)}
	}
	f.bound()
}

func (f *follower) bound() {
	f.t.Helper()
	s := f.store
	if got := s.accounted.Load(); got > s.maxBytes+s.maxBytes/20 {
		f.t.Fatalf("takes %d bytes of %d: %+v", got, s.maxBytes, s.Stats())
	}
}

// age buries what has expired.
func (f *follower) age(key string, buried bool) {
	if h := f.held[key]; buried && h.rec.Expired(f.clock.Now().UnixMilli()) {
		h.rec.Bury()
		f.held[key] = h
	}
}

// compare holds the store to what it would hold, less as many values as it says that it has
// evicted.
func (f *follower) compare() {
	f.t.Helper()
	checkBooks(f.t, f.store)
	have := make(map[string]bool)
	for _, h := range dump(f.store) {
		have[string(h.rec.Key)] = true
		f.age(string(h.rec.Key), h.rec.Tombstone)
		if want, ok := f.held[string(h.rec.Key)]; !ok || want.hash != h.hash || !sameRecord(&want.rec, &h.rec) {
			f.t.Fatalf("holds %v, want %v, %v", h.rec, want.rec, ok)
		}
	}
	var gone, bytes int64
	for key, h := range f.held {
		if have[key] {
			continue
		}
		if h.rec.Collectable(f.clock.Now().UnixMilli(), kv.Grace{Keep: grace}) {
			delete(f.held, key)
			continue
		}
		if h.rec.Tombstone {
			f.t.Fatalf("the tombstone of %q is gone", key)
		}
		gone++
		bytes += int64(len(h.rec.Key) + len(h.rec.Value))
		delete(f.held, key)
	}
	stats := f.store.Stats()
	// What was evicted and then written again was not missed.
	if n := stats.Evicted - f.stats.Evicted; gone > n || bytes > stats.EvictedBytes-f.stats.EvictedBytes {
		f.t.Fatalf("%d values are gone, %d were evicted", gone, n)
	}
	f.stats = stats
}

func openEvicting(t testing.TB, c *fakeClock, partitions int, bound int64) *Store {
	return open(t, c, Options{Partitions: partitions, MaxBytes: bound, Eviction: EvictS3FIFO, hash: kv.Hash})
}

// A store that evicts refuses nothing, under random writes of all kinds and sizes, alone and in
// batches. It is within its bound after each. It holds what was written last, or has counted it as
// evicted. Nothing else goes, and nothing old comes back.
func TestEvictionModel(t *testing.T) {
	for name, w := range map[string]struct {
		partitions int
		bound      int64
		keys       int
		size       func(*rand.Rand) int
		part       int // of the steps: not to write gigabytes
	}{
		"small":    {4, 1 << 19, 20_000, upTo(200), 1},
		"empty":    {1, 1 << 18, 40_000, upTo(1), 1},
		"tiny":     {64, 2 << 20, 20_000, upTo(300), 1}, // the least that package node lets a partition have
		"mixed":    {4, 4 << 20, 5_000, mostly(300, 200_000), 1},
		"pages":    {2, 2 << 20, 2_000, upTo(9_000), 1},
		"large":    {8, 4 << 20, 300, upTo(400_000), 20},
		"one":      {1, 1 << 20, 20_000, mostly(100, 30_000), 1},
		"fixed":    {4, 1 << 19, 30_000, func(*rand.Rand) int { return 100 }, 1},
		"one huge": {16, 12 << 20, 20_000, func(r *rand.Rand) int { return []int{100, 8 << 20}[r.IntN(500)/499] }, 4},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			seed := rand.Uint64()
			defer func() {
				if t.Failed() {
					t.Logf("seed %d", seed)
				}
			}()
			r := rand.New(rand.NewPCG(seed, 0))
			clock := newFakeClock()
			f := &follower{t: t, store: openEvicting(t, clock, w.partitions, w.bound), clock: clock, held: make(map[string]held)}
			steps := packedSteps(t) / 2 / w.part
			draw := func() kv.Record {
				key := fmt.Sprint(min(r.IntN(w.keys), r.IntN(w.keys), r.IntN(w.keys)))
				rec := value(key, 0, string(make([]byte, w.size(r))))
				if what := r.IntN(100); what < 3 {
					return tombstone(key, 0)
				} else if what < 10 {
					rec.Expires = clock.Now().Add(time.Duration(1+r.IntN(1000)) * time.Second).UnixMilli()
				}
				return rec
			}
			for i := range steps {
				if r.IntN(1000) == 0 {
					clock.Advance(time.Duration(r.IntN(5000)) * time.Millisecond)
				}
				if r.IntN(100) == 0 {
					batch := make([]kv.Record, r.IntN(2*windowOffers+2))
					for j := range batch {
						batch[j] = draw()
					}
					f.applyAll(batch)
				}
				rec := draw()
				if err := f.apply(rec, r.IntN(10) == 0); err != nil {
					t.Fatalf("step %d: %d bytes: %v", i, len(rec.Value), err)
				}
				key := fmt.Sprint(r.IntN(w.keys))
				if e, _, ok := f.store.Get(nil, kv.Hash([]byte(key)), []byte(key)); ok {
					f.age(key, e.Tombstone)
					if want := f.held[key].rec; e.Version != want.Version || string(e.Value) != string(want.Value) {
						t.Fatalf("step %d: %q reads as %v, want %v", i, key, e.Version, want.Version)
					}
				}
				if i%(steps/10+1) == 0 || i == steps-1 {
					f.compare()
				}
			}
			if f.stats.Evicted == 0 && steps*w.part*2 >= 40_000 {
				t.Errorf("nothing was evicted: %+v", f.stats)
			}
			if w.part == 1 && f.stats.Evicted > 0 && f.stats.Accounted < w.bound/2 {
				t.Errorf("takes %d bytes of %d", f.stats.Accounted, w.bound)
			}
		})
	}
}

// memoryNow is what all shards take at one moment. Everyone else locks one at a
// time, so to lock all is safe.
func memoryNow(s *Store) (m Memory) {
	for i := range s.shards {
		s.shards[i].mu.Lock()
		defer s.shards[i].mu.Unlock()
		m.add(s.shards[i].memory())
	}
	return m
}

// Writers at once, of records alone and of batches, are refused nothing either,
// do not wait for each other in a circle, and the bound holds.
func TestEvictionWithManyWriters(t *testing.T) {
	const bound = 8 << 20
	clock := newFakeClock()
	s := openEvicting(t, clock, 16, bound)
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			r := rand.New(rand.NewPCG(uint64(w), 0))
			var batch []kv.Offer
			for i := range 20_000 {
				size := r.IntN(500)
				if r.IntN(500) == 0 {
					size = r.IntN(2 << 20)
				}
				rec := value(fmt.Sprint(r.IntN(40_000)), clock.version(uint64(4*i+w)<<10), string(make([]byte, size)))
				batch = append(batch, kv.Offer{Hash: kv.Hash(rec.Key), Record: &rec})
				if w%2 == 0 && len(batch) < 40 {
					continue
				}
				s.ApplyAll(batch)
				for _, o := range batch {
					if o.Err != nil {
						t.Errorf("%d bytes: %v", len(o.Record.Value), o.Err)
						return
					}
				}
				batch = batch[:0]
				if i%120 == 119 {
					if m := memoryNow(s); m.Total() > bound+bound/20 {
						t.Errorf("takes %+v, %d bytes of %d", m, m.Total(), bound)
						return
					}
				}
			}
		})
	}
	writers.Wait()
	checkBooks(t, s)
}

// A store at its bound reads and writes without an allocation.
func TestEvictionDoesNotAllocate(t *testing.T) {
	clock := newFakeClock()
	s := openEvicting(t, clock, 4, 4<<20)
	rec := kv.Record{Key: make([]byte, 16), Entry: kv.Entry{Version: 1, Value: make([]byte, 150)}}
	n := uint64(0)
	var dst []byte
	step := func() {
		n++
		rec.Value = rec.Value[:50+n%100]
		binary.BigEndian.PutUint64(rec.Key, n)
		if _, err := s.Apply(kv.Hash(rec.Key), &rec); err != nil {
			t.Fatal(err)
		}
		binary.BigEndian.PutUint64(rec.Key, n-n%1000)
		_, dst, _ = s.Get(dst[:0], kv.Hash(rec.Key), rec.Key)
	}
	for range 200_000 { // every list is as long as it gets
		step()
	}
	before := s.Stats().Evicted
	hundred := func() {
		for range 100 { // each makes a few steps of eviction
			step()
		}
	}
	if got := testing.AllocsPerRun(200, hundred); got != 0 {
		t.Errorf("%v allocations in a hundred writes and reads", got)
	}
	if s.Stats().Evicted-before < 15_000 {
		t.Errorf("only %d were evicted", s.Stats().Evicted-before)
	}
}

// What a write copies is bounded by what it evicts: where everything was used
// three times, a step still makes room.
func TestEvictionStepsAreBounded(t *testing.T) {
	a := new(arena)
	defer a.close()
	hashes := 0
	e := newEvictingEngine(a, newPace(1), 0, func(key []byte) uint64 { hashes++; return kv.Hash(key) })
	key := make([]byte, 8)
	for i := range uint64(50_000) {
		binary.BigEndian.PutUint64(key, i)
		e.Put(kv.Hash(key), &kv.Record{Key: key, Entry: kv.Entry{Version: 1, Value: make([]byte, 100)}})
		for range 3 {
			e.Read(kv.Hash(key), key)
		}
	}
	checkPacked(t, e)
	evicted := 0
	for i := range 100 {
		hashes = 0
		e.Evict(0, 1<<40, func(uint64, *kv.Record) { evicted++ })
		if most := evictStep/recordCost + evictSlots + reachMax; hashes > most {
			t.Fatalf("a step looked at %d records, want %d at most", hashes, most)
		}
		if i%20 == 0 {
			checkPacked(t, e)
		}
	}
	// A step looks at 180 of these.
	if least := 100 * 180 / (spareRatio + 2); evicted < least {
		t.Errorf("100 steps evicted %d records, want %d", evicted, least)
	}
}

// What is known to have expired makes room before anything else does.
func TestExpiredGoFirst(t *testing.T) {
	clock := newFakeClock()
	s := openEvicting(t, clock, 1, 1<<20)
	put := func(i uint64, expires int64) {
		r := value(fmt.Sprint(i), clock.version(i+1), string(make([]byte, 1000)))
		r.Expires = expires
		mustApply(t, s, kv.Hash(r.Key), r)
	}
	soon := clock.Now().Add(time.Second).UnixMilli()
	for i := range uint64(800) {
		put(i, soon*int64(i%2))
	}
	if n := s.Stats().Evicted; n > 0 {
		t.Fatalf("%d were evicted before the store was full", n)
	}
	clock.Advance(time.Second)
	for i := range uint64(300) {
		put(1000+i, 0)
	}
	if n := s.Stats().Evicted; n > 0 {
		t.Errorf("%d were evicted, and 400 had expired", n)
	}
	checkBooks(t, s)
}

// FuzzEviction reads operations from bytes, four each. A store that evicts holds
// what was written last, or has counted it as evicted.
func FuzzEviction(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 0, 1, 200, 9, 1, 1, 0, 0, 0, 2, 0, 0})
	many := make([]byte, 4000)
	for i := range many {
		many[i] = byte(i * i >> 3)
	}
	f.Add(many)
	f.Fuzz(func(t *testing.T, ops []byte) {
		clock := newFakeClock()
		s := openEvicting(t, clock, 2, 256<<10)
		defer s.Close()
		fo := &follower{t: t, store: s, clock: clock, held: make(map[string]held)}
		for ; len(ops) >= 4; ops = ops[4:] {
			key := ops[1 : 2+ops[0]>>7]
			switch ops[0] & 7 {
			case 0, 1:
				s.Get(nil, kv.Hash(key), key)
			case 2:
				clock.Advance(time.Duration(ops[2]) * 10 * time.Millisecond)
				s.Sweep()
			default:
				r := kv.Record{Key: key, Entry: kv.Entry{Value: make([]byte, int(ops[2])<<(ops[3]&7))}}
				if ops[3]&0x40 != 0 {
					r.Tombstone, r.Value = true, nil
				}
				if ops[3]&0x80 != 0 {
					r.Expires = clock.Now().UnixMilli() + 1 + int64(ops[2])
				}
				if err := fo.apply(r, ops[3]&0x20 != 0); err != nil {
					t.Fatal(err)
				}
			}
		}
		fo.compare()
	})
}
