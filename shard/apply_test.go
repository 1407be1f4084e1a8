package shard

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"httpdhs/kv"
)

// A decision is made on what a reader would see. A try that succeeded before succeeds again,
// whatever its condition says now. One of which nothing comes leaves what is held.
func TestDecide(t *testing.T) {
	clock := newFakeClock()
	v := clock.version
	expired := value("k", v(5), "old")
	expired.Expires = clock.Now().UnixMilli()
	dead := tombstone("k", v(5))
	live := value("k", v(5), "old")
	var (
		ifAbsent  = kv.Condition{Kind: kv.IfAbsent}
		ifPresent = kv.Condition{Kind: kv.IfPresent}
		if5       = kv.Condition{Kind: kv.IfVersion, Versions: []kv.Version{v(4), v(5)}}
		if6       = kv.Condition{Kind: kv.IfVersion, Versions: []kv.Version{v(6)}}
		ifNot5    = kv.Condition{Kind: kv.IfNotVersion, Versions: []kv.Version{v(5)}}
	)
	stored := kv.Applied{Outcome: kv.Stored, Current: v(6)}
	over := kv.Applied{Outcome: kv.Stored, Existed: true, Current: v(6)}
	kept := kv.Applied{Outcome: kv.Kept, Existed: true, Current: v(5)}
	for name, c := range map[string]struct {
		held    *kv.Record
		write   kv.Version
		cond    kv.Condition
		want    kv.Applied
		wantErr error
	}{
		"absent, nothing held":     {nil, v(6), ifAbsent, stored, nil},
		"absent, tombstone held":   {&dead, v(6), ifAbsent, stored, nil},
		"absent, expired held":     {&expired, v(6), ifAbsent, stored, nil},
		"absent, value held":       {&live, v(6), ifAbsent, kept, kv.ErrConditionFailed},
		"absent, retried":          {&live, v(5), ifAbsent, kv.Applied{Outcome: kv.Same, Existed: true, Current: v(5)}, nil},
		"absent, retried, expired": {&expired, v(5), ifAbsent, kv.Applied{Outcome: kv.Same, Current: v(5)}, nil},
		"present, nothing held":    {nil, v(6), ifPresent, kv.Applied{Outcome: kv.Kept}, kv.ErrConditionFailed},
		"present, tombstone held":  {&dead, v(6), ifPresent, kv.Applied{Outcome: kv.Kept, Current: v(5)}, kv.ErrConditionFailed},
		"present, value held":      {&live, v(6), ifPresent, over, nil},
		"version, it is held":      {&live, v(6), if5, over, nil},
		"version, it is deleted":   {&dead, v(6), if5, kv.Applied{Outcome: kv.Kept, Current: v(5)}, kv.ErrConditionFailed},
		"version, another is held": {&live, v(7), if6, kept, kv.ErrConditionFailed},
		"not version, it is held":  {&live, v(6), ifNot5, kept, kv.ErrConditionFailed},
		"not version, nothing":     {nil, v(6), ifNot5, stored, nil},
		"holds, but too old":       {&live, v(4), if5, kv.Applied{Outcome: kv.Stale, Existed: true, Current: v(5)}, nil},
		"always":                   {&live, v(6), kv.Condition{}, over, nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, clock, Options{})
			if c.held != nil {
				mustApply(t, s, 1, *c.held)
			}
			before := dump(s)
			d := decision(value("k", c.write, "new"), &c.cond)
			got, err := s.Decide(1, d)
			if err != nil || got != c.want || d.Results[0].Err != c.wantErr {
				t.Fatalf("got %+v, %v, %+v, want %+v, %v", got, err, d.Results[0], c.want, c.wantErr)
			}
			if got.Outcome != kv.Stored {
				sameHeld(t, "after a write that was not done", dump(s), before)
			}
		})
	}
}

// decision is on a put of the record, if the condition holds.
func decision(r kv.Record, c *kv.Condition) *kv.Decision {
	kind := kv.OpPut
	if r.Tombstone {
		kind = kv.OpDelete
	}
	d := &kv.Decision{Ops: []*kv.Op{{Kind: kind, Cond: *c, Record: r}}}
	d.Begin(r.Version, 1<<20, 1<<20)
	return d
}

// A record without a version is no write, and is refused rather than held as
// something that does not exist.
func TestApplyWantsVersion(t *testing.T) {
	s := open(t, newFakeClock(), Options{})
	r := value("k", 0, "v")
	if _, err := s.Apply(1, &r); !errors.Is(err, kv.ErrFormat) {
		t.Errorf("got %v, want %v", err, kv.ErrFormat)
	}
}

// What is past its grace is not stored, whether there is nothing or something older.
func TestApplyRefusesCollectable(t *testing.T) {
	clock := newFakeClock()
	s := open(t, clock, Options{})
	old := tombstone("k", clock.version(1))
	expired := value("k", clock.version(2), "v")
	expired.Expires = clock.Now().UnixMilli()
	clock.Advance(grace + time.Millisecond)
	for _, r := range []kv.Record{old, expired} {
		if got, want := mustApply(t, s, 1, r), (kv.Applied{Outcome: kv.Stale}); got != want {
			t.Errorf("over nothing: got %+v, want %+v", got, want)
		}
	}
	if got := s.Stats(); got != (Stats{}) {
		t.Errorf("holds %+v, want nothing", got)
	}
	live := value("k", old.Version-1, "v")
	mustApply(t, s, 1, live)
	want := kv.Applied{Outcome: kv.Stale, Existed: true, Current: live.Version}
	if got := mustApply(t, s, 1, old); got != want {
		t.Errorf("over an older value: got %+v, want %+v", got, want)
	}
}

// The bound refuses what needs more memory, and changes nothing then. It hinders neither deletes
// nor writes that need no more.
func TestMaxBytes(t *testing.T) {
	clock := newFakeClock()
	const room = entryOverheadBytes + 1 + 100 // for key a and 100 bytes
	s := open(t, clock, Options{MaxBytes: room, newEngine: newMapEngine})
	try := func(r kv.Record, want error) {
		t.Helper()
		before := dump(s)
		_, err := s.Apply(1, &r)
		if !errors.Is(err, want) {
			t.Fatalf("Apply(%q, %d bytes) = %v, want %v", r.Key, len(r.Value), err, want)
		}
		if err != nil {
			sameHeld(t, "after a refusal", dump(s), before)
		}
		checkBooks(t, s)
	}
	n := uint64(0)
	put := func(key string, size int, meta string, want error) {
		t.Helper()
		n++
		r := value(key, clock.version(n), strings.Repeat("v", size))
		r.Meta = []byte(meta)
		try(r, want)
	}
	put("a", 101, "", kv.ErrNoMemory)
	put("a", 91, "text/plain", kv.ErrNoMemory)
	put("a", 90, "text/plain", nil)
	put("a", 100, "", nil)
	put("a", 100, "", nil) // no more than before
	put("a", 101, "", kv.ErrNoMemory)
	put("b", 0, "", kv.ErrNoMemory)
	put("a", 99, "", nil)
	n++
	try(tombstone("c", clock.version(n)), nil) // over the bound
	put("a", 99, "", nil)
	put("a", 98, "", nil)
	put("a", 99, "", kv.ErrNoMemory)
	n++
	try(tombstone("a", clock.version(n)), nil)
	put("a", 0, "", nil)

	// What is swept and dropped is free again.
	clock.Advance(grace + time.Millisecond)
	if got := s.Sweep(); got != 1 {
		t.Fatalf("Sweep() = %d, want 1", got)
	}
	s.Drop(0)
	put("b", 100, "", nil)
}

// Deletes of keys that do not exist take memory too, and have a bound.
func TestTombstonesAreBounded(t *testing.T) {
	const bound = 4 << 20
	clock := newFakeClock()
	s := open(t, clock, Options{Partitions: 16, MaxBytes: bound, hash: kv.Hash})
	refused := 0
	for n := range uint64(5000) {
		r := tombstone(strings.Repeat("k", 3000)+fmt.Sprint(n), clock.version(n+1))
		if _, err := s.Apply(kv.Hash(r.Key), &r); errors.Is(err, kv.ErrNoMemory) {
			refused++
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if took := s.Stats().Accounted; refused == 0 || took > bound+tombstoneRoom(bound) {
		t.Errorf("15 MB of tombstones took %d bytes of %d, %d were refused", took, bound, refused)
	}
}

// A write that finds no room is not accounted for, not even for a moment: a write that makes room
// meanwhile would evict for it, and find nothing left.
func TestWhatFindsNoRoomTakesNone(t *testing.T) {
	s := openEvicting(t, newFakeClock(), 1, 1<<20)
	large := value("k", 1, string(make([]byte, 2<<20)))
	before := s.accounted.Load()
	var over atomic.Bool
	var tries sync.WaitGroup
	tries.Go(func() {
		defer over.Store(true)
		for range 100_000 {
			if _, ok := s.reserve(&s.shards[0], kv.Hash(large.Key), &large, 0, s.maxBytes); ok {
				t.Error("there was room for what is larger than the bound")
				return
			}
		}
	})
	for !over.Load() {
		if got := s.accounted.Load(); got != before {
			t.Errorf("%d bytes are accounted for, %d were before", got, before)
			break
		}
	}
	tries.Wait()
}

// The bound is real: whatever is written, by several at once, the store takes no
// more than it, and a little for compaction on its way. When it is full, what
// is no larger than before and what deletes still works, and makes room.
func TestMaxBytesIsReal(t *testing.T) {
	const bound = 4 << 20
	clock := newFakeClock()
	s := open(t, clock, Options{Partitions: 16, MaxBytes: bound, hash: kv.Hash})
	var writers sync.WaitGroup
	var refused atomic.Int64
	for w := range 4 {
		writers.Go(func() {
			r := rand.New(rand.NewPCG(uint64(w), 0))
			for i := range 30_000 {
				rec := value(fmt.Sprint(r.IntN(40_000)), clock.version(uint64(4*i+w)<<10), string(make([]byte, r.IntN(400))))
				if _, err := s.Apply(kv.Hash(rec.Key), &rec); errors.Is(err, kv.ErrNoMemory) {
					refused.Add(1)
				} else if err != nil {
					t.Error(err)
				}
				if got := s.accounted.Load(); got > bound+bound/20 {
					t.Errorf("takes %d bytes of %d", got, bound)
					return
				}
			}
		})
	}
	writers.Wait()
	checkBooks(t, s)
	if refused.Load() == 0 || s.Stats().Accounted < bound*9/10 {
		t.Fatalf("refused %d writes, takes %d of %d bytes", refused.Load(), s.Stats().Accounted, bound)
	}
	version := clock.version(1 << 40)
	n := 0
	for _, h := range dump(s) {
		if n++; n%2 == 0 {
			mustApply(t, s, h.hash, value(string(h.rec.Key), version, string(h.rec.Value)))
			continue
		}
		mustApply(t, s, h.hash, tombstone(string(h.rec.Key), version))
	}
	s.Sweep()
	checkBooks(t, s)
	if got := s.Stats().Accounted; got > bound*3/4 {
		t.Errorf("with half deleted the store takes %d of %d bytes", got, bound)
	}
}

// Where memory is short, a write makes its shard compact, whatever the share of
// compaction: what is dead does not keep out what would fit.
func TestMaxBytesCompacts(t *testing.T) {
	clock := newFakeClock()
	s := open(t, clock, Options{Partitions: 1, MaxBytes: 1 << 20, hash: kv.Hash})
	s.pace.until.Store(1 << 61) // not now
	r := rand.New(rand.NewPCG(1, 1))
	for i := range 30_000 {
		rec := value(fmt.Sprint(i%5000), clock.version(uint64(i)<<10), string(make([]byte, 50+r.IntN(100))))
		if i >= 5000 {
			rec.Key = fmt.Append(nil, r.IntN(5000))
		}
		mustApply(t, s, kv.Hash(rec.Key), rec)
	}
	checkBooks(t, s)
}
