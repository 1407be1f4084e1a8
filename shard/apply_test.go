package shard

import (
	"errors"
	"strings"
	"testing"
	"time"

	"httpdhs/kv"
)

// ApplyIf decides against what a reader would see, and a try that succeeded
// before succeeds again whatever its condition says now.
func TestApplyIf(t *testing.T) {
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
	failed := kv.Applied{Existed: true, Current: v(5)}
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
		"absent, value held":       {&live, v(6), ifAbsent, failed, kv.ErrConditionFailed},
		"absent, retried":          {&live, v(5), ifAbsent, kv.Applied{Outcome: kv.Same, Existed: true, Current: v(5)}, nil},
		"absent, retried, expired": {&expired, v(5), ifAbsent, kv.Applied{Outcome: kv.Same, Current: v(5)}, nil},
		"present, nothing held":    {nil, v(6), ifPresent, kv.Applied{}, kv.ErrConditionFailed},
		"present, tombstone held":  {&dead, v(6), ifPresent, kv.Applied{Current: v(5)}, kv.ErrConditionFailed},
		"present, value held":      {&live, v(6), ifPresent, over, nil},
		"version, it is held":      {&live, v(6), if5, over, nil},
		"version, it is deleted":   {&dead, v(6), if5, kv.Applied{Current: v(5)}, kv.ErrConditionFailed},
		"version, another is held": {&live, v(7), if6, failed, kv.ErrConditionFailed},
		"not version, it is held":  {&live, v(6), ifNot5, failed, kv.ErrConditionFailed},
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
			r := value("k", c.write, "new")
			got, err := s.ApplyIf(1, &r, &c.cond)
			if !errors.Is(err, c.wantErr) || got != c.want {
				t.Fatalf("got %+v, %v, want %+v, %v", got, err, c.want, c.wantErr)
			}
			if err != nil || got.Outcome != kv.Stored {
				sameHeld(t, "after a write that was not done", dump(s), before)
			}
		})
	}
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

// What is past its grace is not stored, be there nothing or something older.
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

// The bound refuses what needs more memory, changes nothing then, and stands
// in the way of neither deletes nor writes that need no more.
func TestMaxBytes(t *testing.T) {
	clock := newFakeClock()
	const room = EntryOverheadBytes + 1 + 100 // for key a and 100 bytes
	s := open(t, clock, Options{MaxBytes: room})
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
	put := func(key string, size int, contentType string, want error) {
		t.Helper()
		n++
		r := value(key, clock.version(n), strings.Repeat("v", size))
		r.ContentType = []byte(contentType)
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
