package shard

import (
	"fmt"
	"testing"
	"time"

	"httpdhs/kv"

	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

// An expired value reads as absent at once, becomes a tombstone of the same
// version and digest when swept, and goes when its grace is over.
func TestSweepBuriesThenCollects(t *testing.T) {
	clock := newFakeClock()
	s := open(t, clock, Options{Partitions: 1})
	r := value("k", clock.version(1), "value")
	r.Expires = clock.Now().Add(time.Second).UnixMilli()
	mustApply(t, s, 1, r)
	var before, after [Buckets]uint64
	s.Digests(0, &before)

	check := func(advance time.Duration, collected int, want Stats) {
		t.Helper()
		clock.Advance(advance)
		if got := s.Sweep(); got != collected {
			t.Fatalf("Sweep() = %d, want %d", got, collected)
		}
		if got := s.Stats(); got != want {
			t.Fatalf("holds %+v, want %+v", got, want)
		}
		checkBooks(t, s)
	}
	check(time.Second-time.Millisecond, 0, Stats{Keys: 1, Bytes: 6, Accounted: EntryOverheadBytes + 6})
	check(time.Millisecond, 0, Stats{Tombstones: 1, Accounted: EntryOverheadBytes + 1})
	if s.Digests(0, &after); before != after {
		t.Error("burying changed the digest")
	}
	if e, _, ok := s.Get(nil, 1, r.Key); !ok || !e.Tombstone || e.Version != r.Version || e.Expires != r.Expires {
		t.Errorf("the buried entry is %+v, %v", e, ok)
	}
	if got := mustApply(t, s, 1, r); got.Outcome != kv.Same {
		t.Errorf("the value came back: %+v", got)
	}
	check(grace, 0, Stats{Tombstones: 1, Accounted: EntryOverheadBytes + 1})
	check(time.Millisecond, 1, Stats{})
}

// dueAt is the first moment at which there is something to do: a value is
// expired, a tombstone collectable.
func TestDueAt(t *testing.T) {
	now := newFakeClock().Now()
	rapid.Check(t, func(t *rapid.T) {
		e := drawEntry(t, now)
		if rapid.Bool().Draw(t, "bury") {
			e.Bury()
		}
		grace := time.Duration(rapid.Int64Range(0, 1e10).Draw(t, "grace"))
		over := func(at int64) bool {
			if e.Tombstone {
				return e.Collectable(at, grace)
			}
			return e.Expired(at)
		}
		due := dueAt(&e, grace)
		if due == neverDue {
			if e.Tombstone || e.Expires != 0 {
				t.Fatalf("%+v is never due", e)
			}
		} else if over(due-1) || !over(due) {
			t.Fatalf("%+v is due at %d, want the first moment that it is over", e, due)
		}
	})
	far := kv.Entry{Version: 1, Tombstone: true, Expires: neverDue}
	if got := dueAt(&far, grace); got != neverDue {
		t.Errorf("a tombstone that never expires is due at %d", got)
	}
}

// watchedEngine counts what its scans show, to see how long a lock was held.
type watchedEngine struct {
	Engine
	scans *[]int
}

func (e watchedEngine) Scan(from uint64, fn func(uint64, *kv.Record) bool) {
	n := 0
	e.Engine.Scan(from, func(hash uint64, r *kv.Record) bool {
		n++
		return fn(hash, r)
	})
	*e.scans = append(*e.scans, n)
}

// A sweep holds the lock for few entries at a time, misses none, equal hashes
// at the end of a step included, and does not walk a shard where nothing is
// due.
func TestSweepInSteps(t *testing.T) {
	clock := newFakeClock()
	var scans []int
	s := open(t, clock, Options{Partitions: 1, NewEngine: func() Engine {
		return watchedEngine{NewMapEngine(), &scans}
	}})
	const (
		n      = 4*sweepStep + 5
		runAt  = sweepStep - 2
		runLen = sweepStep + 10 // longer than a step, which still has to end after it
	)
	for i := range n {
		hash := uint64(i)
		if i >= runAt && i < runAt+runLen {
			hash = runAt
		}
		r := value(fmt.Sprint(i), clock.version(1), "v")
		r.Expires = clock.Now().Add(time.Minute).UnixMilli()
		mustApply(t, s, hash, r)
	}
	sweep := func(collected, steps int) {
		t.Helper()
		scans = scans[:0]
		watchdog := time.AfterFunc(10*time.Second, func() { panic("a sweep does not end") })
		defer watchdog.Stop()
		if got := s.Sweep(); got != collected {
			t.Fatalf("Sweep() = %d, want %d", got, collected)
		}
		if len(scans) != steps {
			t.Fatalf("took %d steps, want %d", len(scans), steps)
		}
		for _, seen := range scans {
			if seen > sweepStep+runLen+1 {
				t.Errorf("a step saw %d entries", seen)
			}
		}
		checkBooks(t, s)
	}
	sweep(0, 0)
	clock.Advance(time.Minute)
	sweep(0, 3)
	if got := s.Stats(); got.Tombstones != n || got.Keys != 0 {
		t.Fatalf("holds %+v, want %d tombstones", got, n)
	}
	sweep(0, 0)
	clock.Advance(grace + time.Millisecond)
	sweep(n, 3)
	if got := s.Stats(); got != (Stats{}) {
		t.Fatalf("holds %+v, want nothing", got)
	}
}

// The sweeper runs by itself, and is gone when Close returns, once or twice.
func TestSweeper(t *testing.T) {
	defer goleak.VerifyNone(t)
	s, err := Open(Options{Partitions: 2, Grace: time.Hour, SweepEvery: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	r := value("k", kv.VersionAt(time.Now()), "v")
	r.Expires = time.Now().UnixMilli()
	mustApply(t, s, 1, r)
	for deadline := time.Now().Add(5 * time.Second); s.Stats().Tombstones != 1; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the expired value was not swept")
		}
	}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if e, _, ok := s.Get(nil, 1, r.Key); !ok || !e.Tombstone {
		t.Error("a closed store does not hold what it held")
	}
}

// Close returns after the pass that is under way, not before.
func TestCloseWaits(t *testing.T) {
	sweeping, resume := make(chan struct{}, 1), make(chan struct{})
	s, err := Open(Options{Partitions: 1, SweepEvery: time.Millisecond, Now: func() time.Time {
		select {
		case sweeping <- struct{}{}:
		default:
		}
		<-resume
		return time.Now()
	}})
	if err != nil {
		t.Fatal(err)
	}
	<-sweeping
	closed := make(chan struct{})
	go func() {
		s.Close()
		close(closed)
	}()
	select {
	case <-closed:
		t.Error("closed in the middle of a pass")
	case <-time.After(20 * time.Millisecond):
	}
	close(resume)
	<-closed
}
