package membership

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"httpdhs/internal/poll"
	"httpdhs/wire"
)

// These tests run in bubbles of synctest, where time is not real.

const a, b, c = "a:1", "b:1", "c:1"

// The same list to join at all nodes, started in any order and at any distance, makes one cluster.
// The node with the smallest name has founded it.
func TestTheSameJoinListMakesOneClusterInAnyOrder(t *testing.T) {
	for _, order := range [][]string{{a, b, c}, {a, c, b}, {b, a, c}, {b, c, a}, {c, a, b}, {c, b, a}} {
		for _, apart := range []time.Duration{0, 300 * time.Millisecond, 20 * time.Second} {
			synctest.Test(t, func(t *testing.T) {
				w := newLAN()
				var log logs
				var nodes []*Membership
				for _, name := range order {
					o := w.options(name)
					o.Join = []string{a, b, c}
					o.Log = slog.New(&log)
					nodes = append(nodes, w.open(t, o))
					time.Sleep(apart)
				}
				poll.True(t, "all three are one cluster", func() bool {
					for _, m := range nodes {
						for _, other := range nodes {
							m.Differs(other.id.name)
						}
					}
					return agree(3, nodes...)
				})
				if n := log.count("founded"); n != 1 {
					t.Errorf("order %v, %v apart: %d nodes founded a cluster", order, apart, n)
				}
			})
		}
	}
}

// A node with a list to join does not found a cluster while an address of it is silent, though it
// has the smallest name. It says what it waits for.
func TestNobodyFoundsWhileAnAddressIsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newLAN()
		var nodes []*Membership
		for _, name := range []string{a, b} {
			o := w.options(name)
			o.Join = []string{a, b, c}
			nodes = append(nodes, w.open(t, o))
		}
		time.Sleep(time.Hour)
		for _, m := range nodes {
			err := m.Ready()
			if m.Formed() || !errors.Is(err, ErrNotFormed) {
				t.Fatalf("%s: formed %v, %v", m.id.name, m.Formed(), err)
			}
			for _, part := range []string{c + ": " + errUnreachable.Error(), "not part of a cluster yet either"} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q does not say %q", err, part)
				}
			}
			select {
			case <-m.Joined():
				t.Error("joined")
			default:
			}
		}
	})
}

// A node is to join by one that is joining itself, and has the smaller name. It does not found a
// cluster of its own: it looks where the other looks, and both are in the cluster that is there.
// While that is out of reach, neither founds another.
func TestNobodyFoundsBesideWhatAnotherJoins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newLAN()
		w.setCut(func(_, to string) bool { return to == c })
		w.open(t, w.options(c))
		var nodes []*Membership
		for name, by := range map[string]string{b: c, a: b} {
			o := w.options(name)
			o.Join = []string{by}
			nodes = append(nodes, w.open(t, o))
		}
		time.Sleep(time.Hour)
		for _, m := range nodes {
			if m.Formed() {
				t.Fatalf("%s is part of a cluster, of %d, though what there is cannot be reached", m.id.name, len(m.Members()))
			}
		}
		w.setCut(nil)
		for _, m := range nodes {
			joins(t, m)
			if !slices.ContainsFunc(m.Members(), func(o wire.Member) bool { return o.Name == c }) {
				t.Errorf("%s is in another cluster than the one that was there: %v", m.id.name, m.Members())
			}
		}
	})
}

// Nodes that join wait for their seed however late it starts. A seed that has only itself to join
// founds at once.
func TestTheSeedMayStartLast(t *testing.T) {
	for what, join := range map[string][]string{"alone": nil, "itself": {a}} {
		synctest.Test(t, func(t *testing.T) {
			w := newLAN()
			var nodes []*Membership
			for _, name := range []string{b, c} {
				o := w.options(name)
				o.Join = []string{a}
				nodes = append(nodes, w.open(t, o))
			}
			time.Sleep(time.Hour)
			o := w.options(a)
			o.Join = join
			nodes = append(nodes, w.open(t, o))
			for _, m := range nodes {
				joins(t, m)
				if err := m.Ready(); err != nil {
					t.Errorf("%s: %s joined, yet %v", what, m.id.name, err)
				}
			}
			if got := len(nodes[2].Members()); got != 3 {
				t.Errorf("%s: the seed knows %d members", what, got)
			}
		})
	}
}

// When a node is formed, the node by whom it joined has its entry as it says it: new, restarted
// with another weight, or remembered as removed.
func TestWhoIsJoinedKnowsTheNewcomerFirst(t *testing.T) {
	for what, before := range map[string][]wire.Member{
		"new":         nil,
		"heavier now": {{Name: b, Version: 7, State: wire.Active, Weight: 1}},
		"had left":    {{Name: b, Version: 7, State: wire.Leaving, Weight: 1}},
		"removed":     {{Name: b, Version: 7, State: wire.Removed, Weight: 9}},
		"the same":    {{Name: b, Version: 1, State: wire.Active, Weight: 2}},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newLAN()
			seed := w.open(t, w.options(a))
			seed.absorb(before)
			o := w.options(b)
			o.Self.Weight = 2
			o.Join = []string{a}
			var once sync.Once
			var m *Membership
			opened := make(chan struct{})
			o.Changed = func() {
				<-opened
				if m.Formed() {
					once.Do(func() {
						here, _ := mapOf(m).Get(b)
						there, _ := mapOf(seed).Get(b)
						if here != there || here.State != wire.Active || here.Weight != 2 {
							t.Errorf("%s: %+v at the newcomer, %+v at the seed", what, here, there)
						}
					})
				}
			}
			m = w.open(t, o)
			close(opened)
			joins(t, m)
			synctest.Wait()
			if what == "the same" && versionOf(m, b) != 1 {
				t.Errorf("an entry that says what it should was raised to %d", versionOf(m, b))
			}
		})
	}
}

func mapOf(m *Membership) *Map {
	all := new(Map)
	all.Merge(m.All())
	return all
}

// Nodes whose settings differ do not join; both say which and what to do, and each only once for as
// long as nothing changes.
func TestDifferentSettingsAreRefused(t *testing.T) {
	for what, spoil := range map[string]func(*wire.Settings){
		"partitions is 1024 at a:1 and 64 at b:1":       func(s *wire.Settings) { s.Partitions = 64 },
		"replicas is 2 at a:1 and 3 at b:1":             func(s *wire.Settings) { s.Replicas = 3 },
		"partitioner is ring at a:1 and modulus at b:1": func(s *wire.Settings) { s.Partitioner = "modulus" },
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newLAN()
			var here, there logs
			o := w.options(a)
			o.Log = slog.New(&here)
			seed := w.open(t, o)
			o = w.options(b)
			o.Join = []string{a}
			o.Log = slog.New(&there)
			spoil(&o.Settings)
			m := w.open(t, o)
			time.Sleep(time.Hour)
			if m.Formed() || len(seed.Members()) != 1 {
				t.Errorf("%s: taken in", what)
			}
			if err := m.Ready(); err == nil || !strings.Contains(err.Error(), what) {
				t.Errorf("readiness says %v, not %q", err, what)
			}
			if here.count(what) != 1 || there.count(what) != 1 {
				t.Errorf("%q is logged %d times by who refused, %d times by who was", what, here.count(what), there.count(what))
			}
		})
	}
}

// A node that is asked under another name than its own says so, and neither map changes. As a place
// to join it may have any name.
func TestANodeUnderAnotherName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newLAN()
		var log logs
		o := w.options(a)
		o.Log = slog.New(&log)
		m := w.open(t, o)
		w.put("alias:1", m)
		o = w.options(b)
		o.Join = []string{"alias:1"}
		joiner := w.open(t, o)
		joins(t, joiner)

		o = w.options(c)
		o.Static = []string{c, "alias:1"}
		o.Log = slog.New(&log)
		static := w.open(t, o)
		before := m.Digest()
		if err := static.asker.greet(t.Context(), "alias:1"); !errors.Is(err, ErrRefused) {
			t.Errorf("error %v", err)
		}
		if m.Digest() != before || len(static.Members()) != 2 {
			t.Error("the maps were merged")
		}
		if log.count("asked as alias:1 is a:1") != 2 {
			t.Errorf("logged: %q", log.lines)
		}
	})
}

// Two nodes of one name do not join each other. An address to join that leads back to the node
// itself counts as the node.
func TestTwoNodesOfOneName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newLAN()
		w.open(t, w.options(a))
		twin := w.options(a)
		twin.Join = []string{"first:1"}
		w.put("first:1", w.nodes[a])
		m, err := begin(twin)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		time.Sleep(time.Minute)
		if err := m.Ready(); err == nil || !strings.Contains(err.Error(), "two nodes say that they are a:1") {
			t.Errorf("readiness: %v", err)
		}

		o := w.options(b)
		o.Join = []string{"alias:1"}
		self := w.open(t, o)
		w.put("alias:1", self)
		joins(t, self) // founded: the list has nobody else
	})
}

// A node that was removed by others while it was cut off is told so first. It takes up its entry
// above that, and is a member again everywhere.
func TestAnEvictedNodeJoinsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newLAN()
		nodes := w.static(t, []string{a, b, c}, []string{a, b}, nil)
		var mu sync.Mutex
		var calls []string // guarded by mu
		opened := make(chan struct{})
		note := func(call string) func() {
			return func() {
				<-opened
				mu.Lock()
				defer mu.Unlock()
				calls = append(calls, call+" "+stateOf(nodes[2], c))
			}
		}
		o := w.options(c)
		o.Static = []string{a, b, c}
		overtaken := note("overtaken")
		o.Changed, o.Overtaken = note("changed"), func(string) { overtaken() }
		nodes = append(nodes, w.open(t, o))
		close(opened)
		synctest.Wait()
		w.setCut(func(from, to string) bool { return (from == c) != (to == c) })
		if err := nodes[0].Remove(c); err != nil {
			t.Fatal(err)
		}
		nodes[0].Differs(b)
		poll.True(t, "the other is told", func() bool { return stateOf(nodes[1], c) == "removed" })
		removed := versionOf(nodes[0], c)
		mu.Lock()
		calls = nil
		mu.Unlock()
		w.setCut(nil)
		nodes[2].Differs(a)
		poll.True(t, "all agree", func() bool { nodes[0].Differs(b); return agree(3, nodes...) })
		mu.Lock()
		defer mu.Unlock()
		if len(calls) < 2 || calls[0] != "overtaken removed" || slices.Contains(calls[1:], "changed removed") {
			t.Errorf("called back: %q", calls)
		}
		if versionOf(nodes[0], c) <= removed || stateOf(nodes[0], c) != "active" {
			t.Errorf("%+v", nodes[0].All())
		}
	})
}

// A node that was a cluster of its own may meet one that it has not admitted. A first node does
// that was started again without a list. It is told so before it hears of the members: others have
// gone on without it. The node that is joined is not told.
func TestWhoWasAloneIsToldOfTheClusterFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newLAN()
		var mu sync.Mutex
		var calls []string
		founder := func() *Membership {
			o, opened := w.options(a), make(chan struct{})
			var m *Membership
			note := func(call string) {
				<-opened
				mu.Lock()
				defer mu.Unlock()
				calls = append(calls, fmt.Sprint(call, " ", len(m.Members())))
			}
			o.Changed, o.Overtaken = func() { note("changed") }, func(string) { note("overtaken") }
			m = w.open(t, o)
			close(opened)
			return m
		}
		first := founder()
		o := w.options(b)
		o.Join = []string{a}
		other := w.open(t, o)
		poll.True(t, "it joins", func() bool { return agree(2, first, other) })
		synctest.Wait()
		if slices.Contains(calls, "overtaken 2") || slices.Contains(calls, "overtaken 1") {
			t.Errorf("who was joined was called back: %q", calls)
		}
		first.Close()
		calls = nil
		again := founder()
		other.Differs(a)
		poll.True(t, "they meet", func() bool { return agree(2, again, other) })
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		told, changed := slices.Index(calls, "overtaken 2"), slices.Index(calls, "changed 2")
		if told < 0 || changed < told {
			t.Errorf("called back: %q", calls)
		}
	})
}

// A node that is down is looked for as long as it is a member, so that a split heals by itself,
// with what both sides have changed meanwhile.
func TestAMemberThatIsDownIsLookedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newLAN()
		all, side := []string{a, b, c, "d:1"}, func(name string) bool { return name < c }
		nodes := w.static(t, all, all, func(name string, o *settings) {
			// The data plane takes the other side for down, and still does when the split has
			// healed.
			o.Live = func(other string) bool { return side(name) == side(other) }
		})
		w.setCut(func(from, to string) bool { return side(from) != side(to) })
		for _, m := range []*Membership{nodes[0], nodes[2]} {
			if err := m.BeginLeave(); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(10 * time.Minute)
		if agree(4, nodes...) {
			t.Fatal("not cut")
		}
		if n := w.sentTo(a, c); n < 200 {
			t.Errorf("looked for %d times in ten minutes", n)
		}
		w.setCut(nil)
		poll.True(t, "all agree", func() bool {
			nodes[0].Differs(b)
			nodes[2].Differs("d:1")
			return agree(4, nodes...)
		})
	})
}

// The members that were there find one that comes up, without a probe or a word of its own, and it
// learns the map.
func TestWhoIsUpFindsWhoComesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newLAN()
		o := w.options(a)
		o.Live = func(string) bool { return false }
		seed := w.open(t, o)
		o = w.options(b)
		o.Join = []string{a}
		first := w.open(t, o)
		joins(t, first)
		w.kill(first)
		time.Sleep(time.Minute)

		// It is restarted with a list of which nobody is there.
		o.Join = []string{c}
		o.Self.Zone = "z"
		o.Live = func(string) bool { return false }
		again := w.open(t, o)
		joins(t, again)
		poll.True(t, "both agree", func() bool { return agree(2, seed, again) })
		if entry, _ := mapOf(seed).Get(b); entry.Zone != "z" {
			t.Errorf("its entry is %+v", entry)
		}
	})
}

// However often a probe says that a peer differs, one hello at a time goes to it, with pauses.
func TestDiffersIsCoalesced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newLAN()
		nodes := w.static(t, []string{a, b}, []string{a, b}, nil)
		synctest.Wait()
		w.mu.Lock()
		w.delay = 50 * time.Millisecond
		clear(w.sent)
		w.mu.Unlock()
		for range 1000 {
			nodes[0].Differs(b)
			nodes[0].Differs("unknown:1")
			nodes[0].Differs(a)
			time.Sleep(time.Millisecond)
		}
		if n := w.sentTo(a, b); n < 4 || n > 10 {
			t.Errorf("%d hellos in a second", n)
		}
		if w.most != 1 || w.sentTo(a, "unknown:1")+w.sentTo(a, a) != 0 {
			t.Errorf("%d at a time, sent %v", w.most, w.sent)
		}
	})
}

// A cluster that has all the members it may have takes in no other, but goes on talking to those it
// has.
func TestAFullClusterRefusesNewcomers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newLAN()
		o := w.options(a)
		for i := range wire.MaxMembers - 1 {
			o.Static = append(o.Static, fmt.Sprintf("m%d:1", i))
		}
		o.Static = append(o.Static, a)
		o.Live = func(string) bool { return true }
		seed := w.open(t, o)
		for name, want := range map[string]bool{"m7:1": true, "aa:1": false} {
			o := w.options(name)
			o.Join = []string{a}
			o.Live = func(string) bool { return true }
			m := w.open(t, o)
			time.Sleep(time.Minute)
			if m.Formed() != want {
				t.Errorf("%s formed: %v (%v)", name, m.Formed(), m.Ready())
			}
		}
		if n := len(seed.Members()); n != wire.MaxMembers {
			t.Errorf("%d members", n)
		}
	})
}

// Options that contradict each other, or name what is no address, are refused.
func TestOptionsAreChecked(t *testing.T) {
	good := newLAN().options(a)
	for what, spoil := range map[string]func(*settings){
		"name":       func(o *settings) { o.Self.Name = "a" },
		"weight":     func(o *settings) { o.Self.Weight = -1 },
		"both":       func(o *settings) { o.Static, o.Join = []string{a}, []string{b} },
		"not in it":  func(o *settings) { o.Static = []string{b} },
		"bad static": func(o *settings) { o.Static = []string{a, "b"} },
		"bad join":   func(o *settings) { o.Join = []string{"b"} },
		"no carrier": func(o *settings) { o.Hello = nil },
		"many":       func(o *settings) { o.Join = slices.Repeat([]string{b}, wire.JoinMax+1) },
	} {
		bad := good
		spoil(&bad)
		if m, err := begin(bad); !errors.Is(err, ErrOptions) {
			t.Errorf("%s: %v", what, err)
			if err == nil {
				m.Close()
			}
		}
	}
}
