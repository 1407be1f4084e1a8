package shard

import (
	"encoding/binary"
	"errors"
	"slices"
	"sync"
	"testing"
	"unsafe"

	"httpdhs/kv"
)

// offersOf are so many offers of different keys, in no order.
func offersOf(n, valueBytes int, version kv.Version) []kv.Offer {
	offers := make([]kv.Offer, n)
	for i := range offers {
		key := binary.BigEndian.AppendUint64(nil, uint64(i))
		offers[i] = kv.Offer{Hash: kv.Hash(key), Record: &kv.Record{Key: key, Entry: kv.Entry{Version: version, Value: make([]byte, valueBytes)}}}
	}
	return offers
}

// Calls that take many locks, in the opposite order of each other, do not wait for each other in a
// circle, and lose nothing. Nor do those who take one beside them, and those who only touch.
func TestApplyAllDoesNotLockUp(t *testing.T) {
	s := open(t, newFakeClock(), Options{Partitions: 64, hash: kv.Hash})
	const n, rounds = 200, 100
	var all sync.WaitGroup
	for worker := range 4 {
		all.Go(func() {
			for round := range rounds {
				offers := offersOf(n, 10, kv.Version(1+rounds*worker+round))
				switch worker {
				case 1:
					slices.Reverse(offers)
				case 2:
					for i := range offers {
						_, offers[i].Err = s.Apply(offers[i].Hash, offers[i].Record)
					}
					continue
				case 3:
					var hashes []uint64
					for i := range offers {
						hashes = append(hashes, offers[i].Hash)
					}
					slices.Reverse(hashes)
					s.Touch(hashes)
				}
				s.ApplyAll(offers)
			}
		})
	}
	all.Wait()
	for _, o := range offersOf(n, 10, 0) {
		if e, _, _ := s.Get(nil, o.Hash, o.Record.Key); e.Version != 4*rounds {
			t.Fatalf("key %x has version %d, want the newest, %d", o.Record.Key, e.Version, 4*rounds)
		}
	}
	checkBooks(t, s)
}

// Locks are held for so many records and so many bytes; one that is larger is
// merged alone.
func TestWindowIsBounded(t *testing.T) {
	for _, c := range []struct{ offers, valueBytes, want int }{
		{1, 10, 1}, {windowOffers, 10, windowOffers}, {windowOffers + 1, 10, windowOffers},
		{windowOffers, windowBytes / 4, 3}, {3, windowBytes, 1}, {1, windowBytes, 1},
	} {
		if got := windowOf(offersOf(c.offers, c.valueBytes, 1)); got != c.want {
			t.Errorf("of %d offers of %d bytes the first window has %d, want %d", c.offers, c.valueBytes, got, c.want)
		}
	}
}

// What one offer of a call meets is its own answer: a full store, a record
// without a version, and, when the store is closed, that it is.
func TestApplyAllAnswersEach(t *testing.T) {
	s := open(t, newFakeClock(), Options{Partitions: 4, hash: kv.Hash, MaxBytes: 256 << 10})
	offers := offersOf(8, 100, 1)
	offers[3].Record.Version = 0
	offers[5].Record.Value = make([]byte, 1<<20)
	s.ApplyAll(offers)
	for i, o := range offers {
		var want error
		switch i {
		case 3:
			want = kv.ErrFormat
		case 5:
			want = kv.ErrNoMemory
		}
		if !errors.Is(o.Err, want) || want == nil && (o.Outcome != kv.Stored || o.Current != 1) {
			t.Errorf("offer %d: %+v, %v; want %v", i, o.Applied, o.Err, want)
		}
	}
	s.Close()
	s.ApplyAll(offers)
	for i, o := range offers {
		if i != 3 && o.Err != kv.ErrStopping {
			t.Errorf("offer %d to a closed store: %v", i, o.Err)
		}
	}
}

// A batch that overwrites allocates nothing, whatever its length and order.
func TestApplyAllDoesNotAllocate(t *testing.T) {
	s := open(t, newFakeClock(), Options{Partitions: 64, hash: kv.Hash})
	offers := offersOf(100, 100, 0)
	version := kv.Version(0)
	got := testing.AllocsPerRun(100, func() {
		version++
		for i := range offers {
			offers[i].Record.Version = version
		}
		s.ApplyAll(offers)
	})
	if got != 0 {
		t.Errorf("%v allocations for %d records", got, len(offers))
	}
}

// While many locks are held nothing is evicted. The first record that is short of room ends the
// window. It is merged, as all others are, once the locks are given back.
func TestWindowDoesNotEvict(t *testing.T) {
	s := openEvicting(t, newFakeClock(), 4, 1<<20)
	fill := offersOf(6000, 150, 1)
	s.ApplyAll(fill)
	before := s.Stats().Evicted
	if before == 0 {
		t.Fatalf("the store is not full: %+v", s.Stats())
	}
	short := 0
	for round := range 100 {
		offers := offersOf(10_000+round*windowOffers+windowOffers, 150, 2)[10_000+round*windowOffers:]
		w := window{n: len(offers)}
		for i := range offers {
			w.hashes[i] = offers[i].Hash
		}
		s.order(&w)
		done, isShort := s.applyLocked(&w, offers, terms{})
		if isShort {
			short++
		} else if done != w.n && s.over() <= 0 {
			t.Fatalf("a window of %d ended after %d", w.n, done)
		}
		if now := s.Stats().Evicted; now != before {
			t.Fatalf("%d were evicted under the locks of a window", now-before)
		}
		s.ApplyAll(offers) // makes the room, and merges the rest
		before = s.Stats().Evicted
		for _, o := range offers {
			if e, _, _ := s.Get(nil, o.Hash, o.Record.Key); o.Err != nil || e.Version != 2 {
				t.Fatalf("%x was not stored: %+v, %v", o.Record.Key, o.Applied, o.Err)
			}
		}
	}
	if short == 0 {
		t.Error("no window was short of room")
	}
	checkBooks(t, s)
}

// A window goes on past the bound where its shards are not to be trimmed: who is
// to give is another, for whom memory is reserved just now.
func TestWindowGoesOnWhereNothingIsToBeTrimmed(t *testing.T) {
	s := openEvicting(t, newFakeClock(), 4, 1<<20)
	s.ApplyAll(offersOf(windowOffers, 150, 1))
	offers := offersOf(windowOffers, 150, 2) // each where it was
	w := window{n: len(offers)}
	for i := range offers {
		w.hashes[i] = offers[i].Hash
	}
	s.order(&w)
	s.accounted.Add(2 << 20)
	done, short := s.applyLocked(&w, offers, terms{})
	s.accounted.Add(-2 << 20)
	if done != windowOffers || short {
		t.Errorf("a window of %d ended after %d, short %v", windowOffers, done, short)
	}
	checkBooks(t, s)
}

// A shard is whole cache lines, and the digests begin with the third.
func TestShardIsWholeCacheLines(t *testing.T) {
	if unsafe.Sizeof(uintptr(0)) != 8 {
		t.Skip("laid out for 64 bits")
	}
	var sh shard
	if size, at := unsafe.Sizeof(sh), unsafe.Offsetof(sh.digests); size%cacheLineBytes != 0 || at != 2*cacheLineBytes {
		t.Errorf("a shard is %d bytes, its digests begin at %d", size, at)
	}
}
