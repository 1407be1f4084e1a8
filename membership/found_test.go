package membership

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"httpdhs/internal/poll"
	"httpdhs/wire"
)

// zone is what a name leads to: hosts, or an error.
type zone struct {
	mu    sync.Mutex
	hosts []string // guarded by mu
}

func (z *zone) set(hosts ...string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.hosts = hosts
}

func (z *zone) lookup(context.Context, string) ([]string, error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	if len(z.hosts) == 0 {
		return nil, errors.New("no such host")
	}
	return slices.Clone(z.hosts), nil
}

const allNodes = "dns:all:1"

// expecting are the options of a node that founds a cluster with others that a name leads to.
func (w *lan) expecting(name string, n int, z *zone) settings {
	o := w.options(name)
	o.Join, o.Expect, o.Lookup = []string{allNodes}, n, z.lookup
	return o
}

// Nodes that find each other by a name become one cluster, in whatever order they start, and
// however late the name leads to each of them. The first that are as many as expected found it.
func TestNodesFindEachOtherByAName(t *testing.T) {
	for _, order := range [][]string{{a, b, c}, {b, c, a}, {c, b, a}, {c, a, b}} {
		for _, apart := range []time.Duration{0, 300 * time.Millisecond, 20 * time.Second} {
			synctest.Test(t, func(t *testing.T) {
				w, z := newLAN(), new(zone)
				var log logs
				var nodes []*Membership
				for i, name := range order {
					o := w.expecting(name, 3, z)
					o.Log = slog.New(&log)
					nodes = append(nodes, w.open(t, o))
					time.Sleep(apart)
					if i < 2 && slices.ContainsFunc(nodes, (*Membership).Formed) {
						t.Fatalf("%d of 3 are a cluster", i+1)
					}
					hosts := []string{}
					for _, name := range order[:i+1] {
						hosts = append(hosts, name[:1])
					}
					z.set(hosts...)
				}
				poll.True(t, "all three are one cluster", func() bool { probed(nodes...); return agree(3, nodes...) })
				if n := log.count("founded"); n != 1 {
					t.Errorf("order %v, %v apart: %d foundings", order, apart, n)
				}
			})
		}
	}
}

// A name founds nothing by itself, not even when it leads to this node alone: the others may not be
// in it yet. The node says so, and joins what comes to be there.
func TestANameAloneFoundsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, z := newLAN(), new(zone)
		m := w.open(t, w.expecting(a, 0, z))
		says := func(part string) {
			t.Helper()
			time.Sleep(time.Hour)
			if err := m.Ready(); m.Formed() || err == nil || !strings.Contains(err.Error(), part) {
				t.Fatalf("formed %v, %v: want %q", m.Formed(), err, part)
			}
		}
		says("all cannot be looked up: no such host")
		z.set("a")
		says("founds none without --expect")
		w.open(t, w.options(b))
		z.set("a", "b")
		joins(t, m)
	})
}

// Nodes wait for as many as are expected, and say for how many and who is there. An address that is
// silent keeps nobody from founding.
func TestWaitsForAsManyAsExpected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, z := newLAN(), new(zone)
		z.set("a", "b", "c", "gone")
		var log logs
		var nodes []*Membership
		for _, name := range []string{a, b} {
			o := w.expecting(name, 3, z)
			o.Log = slog.New(&log)
			nodes = append(nodes, w.open(t, o))
		}
		time.Sleep(time.Hour)
		for _, m := range nodes {
			err := m.Ready()
			if m.Formed() || err == nil || !strings.Contains(err.Error(), "2 of 3 nodes are there (a:1, b:1): waits for 1 more; tried c:1 (all:1): connection refused") {
				t.Errorf("formed %v: %v", m.Formed(), err)
			}
		}
		if n := log.count("2 of 3 nodes are there"); n != 2 {
			t.Errorf("logged %d times by two nodes", n)
		}
		nodes = append(nodes, w.open(t, w.expecting(c, 3, z)))
		poll.True(t, "all three are one cluster", func() bool { probed(nodes...); return agree(3, nodes...) })
	})
}

// Nodes that expect different numbers found nothing together, and both say so. What was founded
// takes a node in whatever it expects.
func TestNodesExpectTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, z := newLAN(), new(zone)
		z.set("a", "b")
		var logs [2]logs
		var nodes []*Membership
		for i, name := range []string{a, b} {
			o := w.expecting(name, 2+i, z)
			o.Log = slog.New(&logs[i])
			nodes = append(nodes, w.open(t, o))
		}
		time.Sleep(time.Hour)
		for i, m := range nodes {
			if err := m.Ready(); m.Formed() || err == nil || !strings.Contains(err.Error(), "--expect is") {
				t.Errorf("formed %v: %v", m.Formed(), err)
			}
			if logs[i].count("--expect is") == 0 {
				t.Errorf("%s logs nothing of it: %q", m.id.name, logs[i].all())
			}
		}
		nodes = append(nodes, w.open(t, w.expecting(c, 2, z)))
		z.set("a", "b", "c")
		for _, m := range nodes {
			joins(t, m)
		}
	})
}

// A node that has given its word to a founder gives it to no other, until it knows that nothing
// comes of it: from the founder itself, or, when that is another process, from all who were asked.
func TestANodeGivesItsWordOnce(t *testing.T) {
	asks := func(from string, boot, attempt uint64, over bool) *wire.Hello {
		return &wire.Hello{
			From: from, To: c, Boot: boot, Settings: sameSettings, Expect: 3, InSyncAt: wire.InSyncUnknown,
			Founding: wire.Founding{Attempt: attempt, Over: over, With: []string{a, b, c}},
		}
	}
	formed := asks(b, 9, 0, false)
	formed.Formed = true
	for what, row := range map[string]struct {
		heard []*wire.Hello // in a round, from who is not part of a cluster
		free  bool
	}{
		"nobody answers":                               {nil, false},
		"the attempt goes on":                          {[]*wire.Hello{asks(a, 1, 5, false)}, false},
		"what the founder said before":                 {[]*wire.Hello{asks(a, 1, 4, true)}, false},
		"the attempt is over":                          {[]*wire.Hello{asks(a, 1, 5, true)}, true},
		"the founder is at a later one":                {[]*wire.Hello{asks(a, 1, 6, false)}, true},
		"another process, and one is silent":           {[]*wire.Hello{asks(a, 2, 0, false)}, false},
		"another process, and all have founded naught": {[]*wire.Hello{asks(a, 2, 0, false), asks(b, 9, 0, false)}, true},
	} {
		w := newLAN()
		s := newState(prepared(t, w.expecting(c, 3, new(zone))))
		for range 2 { // the question may come again
			if !s.agree(asks(a, 1, 5, false)) {
				t.Fatal("it does not agree to the first attempt")
			}
		}
		if s.agree(asks(b, 9, 1, false)) || s.agree(asks(a, 2, 9, false)) || s.agree(asks(a, 1, 4, false)) || s.open([]string{c}) {
			t.Errorf("%s: a second word was given", what)
		}
		heard := make(map[string]*wire.Hello)
		for _, h := range row.heard {
			heard[h.From] = h
		}
		s.takeBack(s.wordGiven(), heard)
		if got := s.agree(asks(b, 9, 1, false)); got != row.free {
			t.Errorf("%s: agrees with another %v, want %v", what, got, row.free)
		}
	}
	w := newLAN()
	s := newState(prepared(t, w.expecting(c, 3, new(zone))))
	if s.agree(formed) || s.agree(asks(a, 1, 5, true)) || !s.open([]string{a, b, c}) || s.agree(asks(a, 1, 5, false)) {
		t.Error("it agrees with a cluster, with what is over, or beside its own attempt")
	}
	if s.abandon(); !s.agree(asks(a, 1, 5, false)) {
		t.Error("it does not agree once its own attempt is over")
	}
	if s.foundWith(nil); s.agree(asks(a, 1, 5, false)) {
		t.Error("it agrees while it is part of a cluster")
	}
}

func prepared(t *testing.T, o settings) *Options {
	t.Helper()
	if err := o.prepare(); err != nil {
		t.Fatal(err)
	}
	return &o.Options
}

// A founder dies when it has founded, and has told one member alone. While that one is not reached
// nobody can tell, so another cluster is not founded, though enough nodes are there. All come to
// the one that there is.
func TestAFounderThatIsRestarted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, z := newLAN(), new(zone)
		z.set("a", "b", "c", "d")
		w.setCut(func(from, to string) bool { // w.mu is held
			return (from == c || to == c) && w.nodes[a] != nil && w.nodes[a].Formed()
		})
		nodes := make(map[string]*Membership)
		for _, name := range []string{a, b, c} {
			nodes[name] = w.open(t, w.expecting(name, 3, z))
		}
		joins(t, nodes[a])
		joins(t, nodes[b])
		w.setCut(func(from, to string) bool { return from == c || to == c })
		w.kill(nodes[a])
		if nodes[c].Formed() {
			t.Fatal("c was told too")
		}
		w.setCut(func(from, to string) bool { return from == b || to == b })
		rest := []*Membership{nodes[c], w.open(t, w.expecting(a, 3, z)), w.open(t, w.expecting("d:1", 3, z))}
		time.Sleep(time.Minute)
		for _, m := range rest {
			if m.Formed() {
				t.Errorf("%s is part of a cluster of %v", m.id.name, m.Members())
			}
		}
		if err := nodes[c].Ready(); err == nil || !strings.Contains(err.Error(), "has agreed that a:1 founds") {
			t.Errorf("c says %v", err)
		}
		w.setCut(nil)
		rest = append(rest, nodes[b])
		poll.True(t, "all are one cluster", func() bool { probed(rest...); return agree(4, rest...) })
	})
}

// A node that has kept who the members are looks at every address that a name leads to. Its own is
// nothing; another cluster ends it.
func TestANameLeadsToAnotherCluster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, z := newLAN(), new(zone)
		w.open(t, w.options(c))
		known := []wire.Member{
			{Name: a, Version: 1, State: wire.Active, Weight: 1}, {Name: b, Version: 2, State: wire.Active, Weight: 1},
		}
		o := w.expecting(a, 2, z)
		o.Known = known
		m := w.open(t, o)
		visit := func(wantDone bool, want error) {
			t.Helper()
			if done, err := m.Visit(t.Context()); done != wantDone || !errors.Is(err, want) {
				t.Errorf("done %v, %v: want %v, %v", done, err, wantDone, want)
			}
		}
		visit(false, nil) // it cannot be looked up
		z.set("a", "b")
		visit(false, nil) // b does not answer
		z.set("a", "c")
		visit(true, ErrOther)
		if len(m.Members()) != 2 || !m.Formed() {
			t.Errorf("the members are %v", m.Members())
		}
	})
}

// What cannot be expected is refused.
func TestOptionsOfFounding(t *testing.T) {
	w, z := newLAN(), new(zone)
	for what, change := range map[string]func(o *Options){
		"nothing looks up":       func(o *Options) { o.Lookup = nil },
		"-1 nodes are expected":  func(o *Options) { o.Expect = -1 },
		"101 nodes are expected": func(o *Options) { o.Expect = 101 },
		"none is to be joined":   func(o *Options) { o.Join = nil },
		"want host:port":         func(o *Options) { o.Join = []string{"dns:all"} },
	} {
		o := w.expecting(a, 3, z).Options
		change(&o)
		if _, err := New(o); !errors.Is(err, ErrOptions) || !strings.Contains(err.Error(), what) {
			t.Errorf("%v, want %q", err, what)
		}
	}
}

// foundSeeds is how many foundings are drawn: 60, or FOUND_SEEDS.
func foundSeeds() uint64 {
	if n, err := strconv.ParseUint(os.Getenv("FOUND_SEEDS"), 10, 32); err == nil {
		return n
	}
	return 60
}

// Whatever happens while a cluster is founded, there are never two, and in the end there is one:
// nodes start in any order, are late and slow, are restarted, cannot reach each other, and names
// lead to some of them or cannot be looked up. More than half of the nodes are expected.
func TestFoundingsAtRandom(t *testing.T) {
	for seed := range foundSeeds() {
		synctest.Test(t, func(t *testing.T) { foundAtRandom(t, seed) })
		if t.Failed() {
			return
		}
	}
}

func foundAtRandom(t *testing.T, seed uint64) {
	draw := rand.New(rand.NewPCG(seed, 1))
	upTo := func(d time.Duration) time.Duration { return time.Duration(draw.Int64N(int64(d) + 1)) }
	nodes := 3 + draw.IntN(4)
	expect := nodes/2 + 1 + draw.IntN(nodes-nodes/2)
	restarts := draw.IntN(3) // none in a third
	var all []string
	for i := range nodes {
		all = append(all, fmt.Sprintf("%c:1", 'a'+i))
	}
	w, calm := newLAN(), false
	w.delay = upTo(300 * time.Millisecond)
	var mu sync.Mutex
	chances := rand.New(rand.NewPCG(seed, 2)) // guarded by mu
	yes := func(p float64) bool { mu.Lock(); defer mu.Unlock(); return !calm && chances.Float64() < p }
	lost, unseen := draw.Float64()/3, draw.Float64()
	w.lost = func() bool { return yes(lost) }
	cut := make(map[string]bool)
	w.setCut(func(from, to string) bool { return cut[from+to] })
	lookup := func(context.Context, string) (hosts []string, err error) {
		if yes(0.2) {
			return nil, errors.New("server misbehaving")
		}
		for _, name := range all {
			if !yes(unseen) {
				hosts = append(hosts, name[:1])
			}
		}
		return hosts, nil
	}
	var log logs
	run := make(map[string]*Membership)
	open := func(name string) {
		o := w.expecting(name, expect, nil)
		o.Lookup, o.Log = lookup, slog.New(&log)
		run[name] = w.open(t, o)
	}
	look := func() {
		t.Helper()
		if groups := clustersOf(run); len(groups) > 1 {
			t.Fatalf("seed %d, %d nodes, %d expected: clusters of %v\n%s", seed, nodes, expect, groups, strings.Join(log.all(), "\n"))
		}
		if n := log.count("founded"); restarts == 0 && n > 1 {
			t.Fatalf("seed %d, %d nodes, %d expected: %d foundings\n%s", seed, nodes, expect, n, strings.Join(log.all(), "\n"))
		}
	}
	started := 0
	for range 20 + draw.IntN(60) {
		time.Sleep(upTo(500 * time.Millisecond))
		name := all[draw.IntN(nodes)]
		w.mu.Lock()
		for range 2 {
			cut[all[draw.IntN(nodes)]+all[draw.IntN(nodes)]] = draw.IntN(2) == 0
		}
		w.mu.Unlock()
		switch {
		case run[name] == nil:
			open(name)
			started++
		case started == nodes && restarts > 0 && draw.IntN(4) == 0:
			restarts--
			w.kill(run[name])
			time.Sleep(upTo(2 * time.Second))
			open(name)
			restarts = max(restarts, 1) // there was one
		}
		synctest.Wait()
		look()
	}
	mu.Lock()
	calm = true
	mu.Unlock()
	w.setCut(nil)
	for _, name := range all {
		if run[name] == nil {
			open(name)
		}
	}
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(100 * time.Millisecond) { // of the bubble
		probed(slices.Collect(valuesOf(run))...)
		if look(); agree(nodes, slices.Collect(valuesOf(run))...) {
			return
		}
		if time.Now().After(end) {
			for _, m := range run {
				t.Logf("%s: %v, %v, word %+v", m.id.name, m.Members(), m.Ready(), m.word)
			}
			t.Fatalf("seed %d, %d nodes, %d expected: no cluster of all\n%s", seed, nodes, expect, strings.Join(log.all(), "\n"))
		}
	}
}

// probed has nodes say hello to each other, as probes do that show that maps differ.
func probed(nodes ...*Membership) {
	for _, m := range nodes {
		for _, other := range nodes {
			m.Differs(other.id.name)
		}
	}
}

func valuesOf(run map[string]*Membership) func(yield func(*Membership) bool) {
	return func(yield func(*Membership) bool) {
		for _, m := range run {
			if !yield(m) {
				return
			}
		}
	}
}

// clustersOf are the clusters that there are: of two members of one, one knows the other, or both
// know a third.
func clustersOf(run map[string]*Membership) (groups [][]string) {
	for _, m := range run {
		if !m.Formed() {
			continue
		}
		group := []string{}
		for _, other := range m.Members() {
			group = append(group, other.Name)
		}
		var apart [][]string
		for _, g := range groups {
			if slices.ContainsFunc(g, func(name string) bool { return slices.Contains(group, name) }) {
				group = append(group, g...)
			} else {
				apart = append(apart, g)
			}
		}
		groups = append(apart, group)
	}
	return groups
}
