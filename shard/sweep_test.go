package shard

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"httpdhs/internal/poll"
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
		if got := counted(s.Stats()); got != want {
			t.Fatalf("holds %+v, want %+v", got, want)
		}
		checkBooks(t, s)
	}
	check(time.Second-time.Millisecond, 0, Stats{Keys: 1, Bytes: 6})
	check(time.Millisecond, 0, Stats{Tombstones: 1})
	if s.Digests(0, &after); before != after {
		t.Error("burying changed the digest")
	}
	if e, _, ok := s.Get(nil, 1, r.Key); !ok || !e.Tombstone || e.Version != r.Version || e.Expires != r.Expires {
		t.Errorf("the buried entry is %+v, %v", e, ok)
	}
	if got := mustApply(t, s, 1, r); got.Outcome != kv.Same {
		t.Errorf("the value came back: %+v", got)
	}
	check(grace, 0, Stats{Tombstones: 1})
	check(time.Millisecond, 1, Stats{})
}

// What was dead before this process ran is kept for longer by the time in which none ran, and what
// is deleted now is not.
func TestTimeOffIsNoTimeOfGrace(t *testing.T) {
	clock := newFakeClock()
	before, off := value("before", clock.version(1), ""), time.Hour
	before.Bury()
	from := clock.Now()
	clock.Advance(off)
	s, err := Open(Options{Partitions: 1, SweepEvery: -1, Now: clock.Now, Grace: kv.Grace{Keep: grace, OffFrom: from.UnixMilli(), OffFor: off}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	now := value("now", clock.version(1), "")
	now.Bury()
	for _, r := range []kv.Record{before, now} {
		if got := mustApply(t, s, kv.Hash(r.Key), r); got.Outcome != kv.Stored {
			t.Fatalf("the tombstone %s is not taken: %+v", r.Key, got)
		}
	}
	clock.Advance(grace)
	if n := s.Sweep(); n != 0 {
		t.Errorf("%d were collected while they count", n)
	}
	clock.Advance(time.Millisecond)
	if n := s.Sweep(); n != 2 {
		t.Errorf("%d were collected when their grace was over, want both", n)
	}
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
		grace := kv.Grace{
			Keep:    time.Duration(rapid.Int64Range(0, 1e10).Draw(t, "grace")),
			OffFrom: now.Add(-time.Duration(rapid.Int64Range(0, 1e10).Draw(t, "since"))).UnixMilli(),
			OffFor:  time.Duration(rapid.Int64Range(0, 1e10).Draw(t, "off")),
		}
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
	if got := dueAt(&far, kv.Grace{Keep: grace}); got != neverDue {
		t.Errorf("a tombstone that never expires is due at %d", got)
	}
}

// watchedEngine counts the scans, which are the hashes that a sweep looks at.
type watchedEngine struct {
	engine
	scans *int
}

func (e watchedEngine) Scan(from uint64, fn func(uint64, *kv.Record) bool) {
	*e.scans++
	e.engine.Scan(from, fn)
}

// A sweep looks at what is due and at nothing else. It holds the lock for a bounded number of
// entries, and misses none, those of one hash included.
func TestSweepFollowsWhatIsDue(t *testing.T) {
	clock := newFakeClock()
	scans := 0
	s := open(t, clock, Options{Partitions: 1, newEngine: func() engine {
		return watchedEngine{newMapEngine(), &scans}
	}})
	const (
		n     = 4*sweepStep + 5
		other = 10_000
		run   = 10 // so many have one hash
	)
	for i := range n + other {
		r := value(fmt.Sprint(i), clock.version(1), "v")
		if i < n {
			r.Expires = clock.Now().Add(time.Minute).UnixMilli()
		}
		mustApply(t, s, uint64(i/run), r)
	}
	sweep := func(collected, atMost int) {
		t.Helper()
		scans = 0
		if got := s.Sweep(); got != collected {
			t.Fatalf("Sweep() = %d, want %d", got, collected)
		}
		if scans > atMost {
			t.Fatalf("looked up %d hashes, want %d at most", scans, atMost)
		}
		checkBooks(t, s)
	}
	sweep(0, 0)
	clock.Advance(time.Minute)
	step := sweepPass{store: s, now: clock.Now().UnixMilli()}
	if !step.step(&s.shards[0]) || s.shards[0].counts.tombstones > sweepStep*run {
		t.Fatalf("one step buried %d entries", s.shards[0].counts.tombstones)
	}
	sweep(0, n)
	if got := s.Stats(); got.Tombstones != n || got.Keys != other {
		t.Fatalf("holds %+v, want %d tombstones", got, n)
	}
	sweep(0, 0)
	clock.Advance(grace + time.Millisecond)
	sweep(n, n)
	if got := s.Stats(); got.Tombstones != 0 || got.Keys != other {
		t.Fatalf("holds %+v, want %d values", got, other)
	}
}

// A key that is written again and again with a time to live does not fill the queue of what is due,
// whether its times are new or the same.
func TestDuesAreBounded(t *testing.T) {
	for name, after := range map[string]func(i int) time.Duration{
		"later":      func(i int) time.Duration { return time.Hour + time.Duration(i)*time.Millisecond },
		"earlier":    func(i int) time.Duration { return 10*time.Hour - time.Duration(i)*time.Millisecond },
		"back/forth": func(i int) time.Duration { return time.Duration(1+i%2) * time.Hour },
	} {
		t.Run(name, func(t *testing.T) {
			clock := newFakeClock()
			s := open(t, clock, Options{Partitions: 1, hash: kv.Hash})
			for i := range 20_000 {
				key := fmt.Sprint(i % 7)
				r := value(key, clock.version(uint64(i)), "v")
				r.Expires = clock.Now().Add(after(i)).UnixMilli()
				mustApply(t, s, kv.Hash(r.Key), r)
			}
			checkBooks(t, s)
			clock.Advance(24 * time.Hour)
			s.Sweep()
			if got := s.Stats(); got.Keys != 0 {
				t.Errorf("%d values outlived their expiry", got.Keys)
			}
		})
	}
}

// The sweeper runs by itself, and is gone when Close returns, once or twice.
func TestSweeper(t *testing.T) {
	defer goleak.VerifyNone(t)
	s, err := Open(Options{Partitions: 2, Grace: kv.Grace{Keep: time.Hour}, SweepEvery: time.Millisecond, hash: constHash(1)})
	if err != nil {
		t.Fatal(err)
	}
	r := value("k", kv.VersionAt(time.Now()), "v")
	r.Expires = time.Now().UnixMilli()
	mustApply(t, s, 1, r)
	poll.True(t, "the expired value is swept", func() bool { return s.Stats().Tombstones == 1 })
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, ok := s.Get(nil, 1, r.Key); ok {
		t.Error("a closed store finds something")
	}
	if _, err := s.Apply(1, &r); !errors.Is(err, kv.ErrStopping) {
		t.Errorf("a closed store answers %v, want %v", err, kv.ErrStopping)
	}
	s.Drop(0)
	s.Sweep()
	checkBooks(t, s)
}

// Close returns after the pass that is under way, not before.
func TestCloseWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
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
		synctest.Wait() // until Close has come as far as it gets
		select {
		case <-closed:
			t.Error("closed in the middle of a pass")
		default:
		}
		close(resume)
		<-closed
	})
}

// The queue gives out what is due in the order of time, whatever was removed
// from its middle, and the memory of what it no longer holds.
func TestDueQueue(t *testing.T) {
	a := new(arena)
	defer a.close()
	q := dueQueue{arena: a}
	r := rand.New(rand.NewPCG(1, 1))
	want := make(map[due]int)
	for range 20_000 {
		if q.n > 0 && r.IntN(3) == 0 {
			want[q.remove(r.IntN(q.n))]--
			continue
		}
		d := due{r.Int64N(5000), r.Uint64N(3)}
		q.push(d)
		want[d]++
	}
	last := due{at: -1}
	for q.n > 0 {
		first := q.first()
		d := q.remove(0)
		if d.before(last) || d.at != first {
			t.Fatalf("%v comes after %v", d, last)
		}
		want[d]--
		last = d
	}
	for d, n := range want {
		if n != 0 {
			t.Fatalf("%v came %d times too seldom", d, n)
		}
	}
	if q.bytes() != 0 || q.first() != neverDue {
		t.Errorf("the empty queue takes %d bytes", q.bytes())
	}
}
