package membership

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"httpdhs/wire"
)

// A node need not ask that was in sync within the grace. One whose clock says that it will be has
// to.
func TestAwayTooLong(t *testing.T) {
	now := time.UnixMilli(1_700_000_000_000)
	for ago, want := range map[time.Duration]bool{
		0: false, time.Hour: false, time.Hour + time.Millisecond: true, 7 * 24 * time.Hour: true,
		-time.Minute: false, -time.Minute - time.Millisecond: true,
	} {
		if got := awayTooLong(now.Add(-ago).UnixMilli(), now, time.Hour); got != want {
			t.Errorf("in sync %v ago: %v", ago, got)
		}
	}
	if !awayTooLong(0, now, time.Hour) {
		t.Error("never in sync, and need not ask")
	}
}

// A node that was away for less than half the grace goes on. One that was removed meanwhile starts
// empty, and asks nobody. A member asks.
func TestReturn(t *testing.T) {
	now := time.UnixMilli(1_700_000_000_000)
	for what, test := range map[string]struct {
		ago   time.Duration
		as    wire.State
		empty bool
		asks  bool
	}{
		"away for a moment":    {time.Minute, wire.Active, false, false},
		"and removed":          {time.Minute, wire.Removed, false, false},
		"away for long":        {31 * time.Minute, wire.Active, false, true},
		"and removed, as well": {31 * time.Minute, wire.Removed, true, false},
	} {
		o := newLAN().options(a)
		o.Known = []wire.Member{entryOf(a, 8, test.as), entryOf(b, 2, wire.Active)}
		m, err := New(o.Options)
		if err != nil {
			t.Fatal(err)
		}
		at := now.Add(-test.ago).UnixMilli()
		v, ask := m.Return(at, now, time.Hour)
		if v.Empty != test.empty || (ask != nil) != test.asks {
			t.Errorf("%s: %+v, asks: %v", what, v, ask != nil)
		}
		if !v.Empty && ask == nil && v.InSyncAt != at {
			t.Errorf("%s: it goes on from %d, want %d", what, v.InSyncAt, at)
		}
		m.Close()
	}
}

// What a node does that was away for long, by what the others say: it is stale if any was in sync a
// grace longer, whoever is silent; it goes on if all have answered and none was; else it waits for
// those that are silent.
func TestJudgeAway(t *testing.T) {
	const hour, own = int64(time.Hour / time.Millisecond), int64(1_700_000_000_000)
	silent := errors.New("connection refused")
	for what, test := range map[string]struct {
		own   int64
		said  []reply
		empty bool
		by    string
		at    int64
		waits string
	}{
		"nobody else":        {own, nil, false, "", own, ""},
		"all were cut off":   {own, []reply{{b, own + 5, nil}, {c, own - 9, nil}}, false, b, own + 5, ""},
		"just within":        {own, []reply{{b, own + hour, nil}, {c, 0, nil}}, false, b, own + hour, ""},
		"just beyond":        {own, []reply{{b, own + hour + 1, nil}, {c, 0, nil}}, true, b, own + hour + 1, ""},
		"dead for a week":    {own, []reply{{b, own + 144*hour, nil}, {c, own + 145*hour, nil}}, true, c, own + 145*hour, ""},
		"one says enough":    {own, []reply{{b, 0, silent}, {c, own + 2*hour, nil}}, true, c, own + 2*hour, ""},
		"one is silent":      {own, []reply{{b, 0, silent}, {c, own, nil}}, false, "", own, "b:1 (connection refused)"},
		"all are silent":     {own, []reply{{b, 0, silent}, {c, 0, errLoading}}, false, "", own, "b:1 (connection refused), c:1 (it is still loading"},
		"never in sync":      {0, []reply{{b, own, nil}}, true, b, own, ""},
		"nobody ever was":    {0, []reply{{b, 0, nil}, {c, 0, nil}}, false, "", 0, ""},
		"others started new": {own, []reply{{b, 0, nil}, {c, 0, nil}}, false, "", own, ""},
	} {
		v, waits := judgeAway(test.own, time.Hour, test.said)
		if v != (Verdict{test.empty, test.by, test.at}) {
			t.Errorf("%s: %+v", what, v)
		}
		if (waits != nil) != (test.waits != "") || waits != nil && !strings.Contains(waits.Error(), test.waits) {
			t.Errorf("%s: waits for %v, want %q", what, waits, test.waits)
		}
	}
}

// returned is a node that comes back, by when it was in sync.
func (w *lan) returned(t *testing.T, name string, at *atomic.Int64) *Membership {
	t.Helper()
	o := w.options(name)
	o.Known = []wire.Member{entryOf(a, 1, wire.Active), entryOf(b, 2, wire.Active), entryOf(c, 3, wire.Active)}
	o.InSyncAt = at.Load
	m, err := New(o.Options)
	if err != nil {
		t.Fatal(err)
	}
	w.put(name, m)
	t.Cleanup(m.Close)
	return m
}

// After a power cut of all, one of which had been dead for a week, they start in any order. The
// dead one starts empty, and the others go on, when all of them have loaded.
func TestAfterAPowerCut(t *testing.T) {
	const yesterday, week = int64(1_700_000_000_000), int64(7 * 24 * time.Hour / time.Millisecond)
	for _, order := range [][]string{{a, b, c}, {a, c, b}, {b, a, c}, {b, c, a}, {c, a, b}, {c, b, a}} {
		synctest.Test(t, func(t *testing.T) {
			w := newLAN()
			was := map[string]int64{a: yesterday, b: yesterday - 300, c: yesterday - week}
			began := time.Now()
			type end struct {
				name  string
				v     Verdict
				err   error
				after time.Duration
			}
			ends := make(chan end, 3)
			for i, name := range order {
				var at atomic.Int64
				at.Store(wire.InSyncUnknown)
				m := w.returned(t, name, &at)
				go func() {
					time.Sleep(time.Duration(i) * time.Minute) // it loads
					at.Store(was[name])
					v, err := m.Away(was[name], time.Hour).Decide(t.Context())
					ends <- end{name, v, err, time.Since(began)}
				}()
			}
			for range order {
				switch e := <-ends; {
				case e.err != nil || e.v.Empty != (e.name == c) || e.v.InSyncAt < yesterday-300:
					t.Errorf("order %v: %+v", order, e)
				case e.name != c && e.after < 2*time.Minute:
					t.Errorf("order %v: %s goes on after %v, before all have said anything", order, e.name, e.after)
				}
			}
		})
	}
}

// A node waits for those that do not answer, says for whom, and goes on with its data once it is
// released. Before and after that there is nothing to release.
func TestAwayIsReleased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newLAN()
		var at atomic.Int64
		at.Store(1000)
		m := w.returned(t, a, &at)
		w.returned(t, b, &at)
		away := m.Away(1000, time.Hour)
		if away.Release() || away.Waits() != nil {
			t.Error("it waits before it has asked")
		}
		over := make(chan Verdict)
		go func() {
			v, err := away.Decide(t.Context())
			if err != nil {
				t.Error(err)
			}
			over <- v
		}()
		time.Sleep(time.Minute)
		if err := away.Waits(); err == nil || err.Error() != fmt.Sprintf("%s (%v)", c, errUnreachable) {
			t.Errorf("it waits for %v", err)
		}
		if n := w.sentTo(a, c); n < 50 || n > 70 {
			t.Errorf("it has asked %d times in a minute", n)
		}
		if !away.Release() {
			t.Error("it cannot be released")
		}
		if v := <-over; v.Empty || away.Waits() != nil || away.Release() {
			t.Errorf("released: %+v, waits for %v", v, away.Waits())
		}
	})
}

// A member that the node did not know, and hears of from another, is asked as well. One that was
// removed meanwhile is not waited for.
func TestAwayLearnsWhoIsAMember(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newLAN()
		var at, later atomic.Int64
		at.Store(1000)
		later.Store(1000 + 2*time.Hour.Milliseconds())
		m := w.returned(t, a, &at)
		other := w.returned(t, b, &at)
		o := w.options("d:1")
		o.Static, o.InSyncAt = []string{"d:1"}, later.Load
		w.open(t, o)
		other.absorb([]wire.Member{entryOf(c, 9, wire.Removed), entryOf("d:1", 5, wire.Active)})
		v, err := m.Away(1000, time.Hour).Decide(t.Context())
		if err != nil || !v.Empty || v.By != "d:1" {
			t.Errorf("%+v, %v", v, err)
		}
	})
}

// The waiting ends with its context, and with the membership.
func TestAwayEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newLAN()
		var at atomic.Int64
		m := w.returned(t, a, &at)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := m.Away(0, time.Hour).Decide(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		over := make(chan error)
		go func() {
			_, err := m.Away(0, time.Hour).Decide(t.Context())
			over <- err
		}()
		time.Sleep(time.Minute)
		m.Close()
		if err := <-over; err == nil {
			t.Error("it has decided")
		}
	})
}
