package membership

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"httpdhs/internal/poll"
)

// A node may be removed by others while it leaves. It is told so first. Then it is a member again
// that leaves, until it has handed over what it holds and says that it has left.
func TestALeavingNodeThatIsRemovedGoesOnLeaving(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newLAN()
		told := make(chan struct{}, 1)
		nodes := w.static(t, []string{a, b, c}, []string{a, b, c}, func(name string, o *settings) {
			if name == c {
				o.Overtaken = func(string) { told <- struct{}{} }
			}
		})
		synctest.Wait()
		if err := nodes[2].BeginLeave(); err != nil {
			t.Fatal(err)
		}
		poll.True(t, "it leaves", func() bool { nodes[0].Differs(c); return agree(3, nodes...) && stateOf(nodes[0], c) == "leaving" })
		w.setCut(func(from, to string) bool { return (from == c) != (to == c) })
		if err := nodes[0].Remove(c); err != nil {
			t.Fatal(err)
		}
		w.setCut(nil)
		nodes[2].Differs(a)
		poll.True(t, "it is told", func() bool { return len(told) == 1 })
		poll.True(t, "it leaves again", func() bool {
			nodes[0].Differs(b)
			return agree(3, nodes...) && stateOf(nodes[1], c) == "leaving"
		})
		if err := nodes[2].Left(t.Context()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if stateOf(nodes[0], c) != "removed" || stateOf(nodes[2], c) != "removed" {
			t.Errorf("%+v", nodes[0].All())
		}
	})
}

// A node that leaves is Leaving at all, then Removed at all who are up before Left returns; it
// stays away though it answers on, and its name is free for a later life.
func TestLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newLAN()
		nodes := w.static(t, []string{a, b, c}, []string{a, b, c}, nil)
		m := nodes[2]
		if err := m.Left(t.Context()); !errors.Is(err, ErrNotLeaving) {
			t.Fatalf("left without leaving: %v", err)
		}
		if err := m.BeginLeave(); err != nil {
			t.Fatal(err)
		}
		poll.True(t, "all know that it leaves", func() bool {
			return stateOf(nodes[0], c) == "leaving" && stateOf(nodes[1], c) == "leaving" && agree(3, nodes...)
		})
		if err := m.Left(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, other := range nodes[:2] {
			if stateOf(other, c) != "removed" {
				t.Errorf("%s has it as %s", other.id.name, stateOf(other, c))
			}
		}
		nodes[0].Differs(b)
		time.Sleep(time.Minute)
		if !agree(2, nodes...) {
			t.Error("it came back")
		}
		w.kill(m)
		if _, err := m.ServeHello(nil); !errors.Is(err, ErrClosed) {
			t.Errorf("answers after the end: %v", err)
		}
		o := w.options(c)
		o.Join = []string{a}
		again := w.open(t, o)
		joins(t, again)
		poll.True(t, "it is back", func() bool { nodes[0].Differs(b); return agree(3, nodes[0], nodes[1], again) })
	})
}

// A node that leaves before it has asked any member how it is tells them all.
func TestLeftTellsMembersNotYetUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newLAN()
		nodes := w.static(t, []string{a, b, c}, []string{a, b, c}, func(name string, o *settings) {
			if name == c {
				o.Live = func(string) bool { return false }
			}
		})
		if err := nodes[2].BeginLeave(); err != nil {
			t.Fatal(err)
		}
		if err := nodes[2].Left(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, other := range nodes[:2] {
			if stateOf(other, c) != "removed" {
				t.Errorf("%s has it as %s", other.id.name, stateOf(other, c))
			}
		}
	})
}

// Left says who did not hear of it, and does not wait longer than it may.
func TestLeftNamesWhoDidNotHear(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newLAN()
		o := w.options(a)
		o.Static = []string{a, b}
		o.Live = func(string) bool { return true }
		m := w.open(t, o)
		if err := m.BeginLeave(); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := m.Left(ctx); err == nil || !strings.Contains(err.Error(), b) {
			t.Errorf("error %v", err)
		}
	})
}

// The only active member cannot leave. Of two that begin at the same moment one stays.
func TestSomebodyStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newLAN()
		nodes := w.static(t, []string{a, b}, []string{a, b}, nil)
		w.setCut(func(_, _ string) bool { return true })
		for _, m := range nodes {
			if err := m.BeginLeave(); err != nil {
				t.Fatal(err)
			}
		}
		w.setCut(nil)
		nodes[1].Differs(a)
		poll.True(t, "one stays and both know", func() bool {
			nodes[0].Differs(b)
			return agree(2, nodes...) && stateOf(nodes[1], a) == "active" && stateOf(nodes[0], b) == "leaving"
		})
		if err := nodes[0].BeginLeave(); !errors.Is(err, ErrLastMember) {
			t.Errorf("the last one leaves: %v", err)
		}
	})
}

// Who may be removed, and what is said of the others.
func TestRemove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newLAN()
		nodes := w.static(t, []string{a, b, c}, []string{a, b}, nil)
		for name, want := range map[string]error{a: ErrSelf, b: ErrLive, "d:1": ErrUnknownMember, c: nil} {
			if err := nodes[0].Remove(name); !errors.Is(err, want) {
				t.Errorf("remove %s: %v, want %v", name, err, want)
			}
		}
		if err := nodes[0].Remove(c); err != nil {
			t.Errorf("remove again: %v", err)
		}
		poll.True(t, "both know", func() bool { return agree(2, nodes...) })
	})
}

// A member that nobody asked yet whether it is up is not removed: it may be up. Once it is known to
// be down it is.
func TestRemoveWaitsForAVerdict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newLAN()
		o := w.options(a)
		o.Static = []string{a, b}
		var down atomic.Bool
		o.Down = func(string) bool { return down.Load() }
		m := w.open(t, o)
		if err := m.Remove(b); !errors.Is(err, ErrUnasked) || stateOf(m, b) != "active" {
			t.Errorf("not asked yet: %v, and it is %s", err, stateOf(m, b))
		}
		down.Store(true)
		if err := m.Remove(b); err != nil || stateOf(m, b) != "removed" {
			t.Errorf("down: %v, and it is %s", err, stateOf(m, b))
		}
	})
}
