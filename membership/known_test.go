package membership

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"httpdhs/internal/poll"
	"httpdhs/wire"
)

// entryOf is an entry of a map that was kept.
func entryOf(name string, version uint64, state wire.State) wire.Member {
	return wire.Member{Name: name, Version: version, State: state, Weight: 1}
}

// A node that has kept the map is part of its cluster from the start, though nobody is there and
// whatever list it is given. It says of itself what it said before, and nobody has to hear of it.
func TestANodeKnowsItsCluster(t *testing.T) {
	for what, give := range map[string]func(o *Options){
		"no list":       func(*Options) {},
		"the same list": func(o *Options) { o.Static = []string{a, b, c} },
		"a new list":    func(o *Options) { o.Static = []string{a, b, "d:1"} },
		"to join":       func(o *Options) { o.Join = []string{b, c} },
		"itself":        func(o *Options) { o.Join = []string{a} },
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newLAN()
			o := w.options(a)
			o.Known = []wire.Member{entryOf(a, 4, wire.Active), entryOf(b, 2, wire.Active), entryOf(c, 7, wire.Removed)}
			give(&o.Options)
			m := w.open(t, o)
			time.Sleep(time.Minute)
			if !m.Formed() || m.Ready() != nil {
				t.Fatalf("%s: %v", what, m.Ready())
			}
			if !slices.Equal(m.All(), o.Known) {
				t.Errorf("%s: it knows %+v", what, m.All())
			}
		})
	}
}

// A node that was killed while it left stays, and one that has another weight by now says so: with
// a version above all that it knows.
func TestAKnownEntryIsTakenUp(t *testing.T) {
	for what, own := range map[string]wire.Member{
		"leaving":        entryOf(a, 4, wire.Leaving),
		"another weight": {Name: a, Version: 4, Weight: 3},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newLAN()
			o := w.options(a)
			o.Known = []wire.Member{own, entryOf(b, 9, wire.Active)}
			m := w.open(t, o)
			if got, _ := mapOf(m).Get(a); got != entryOf(a, 10, wire.Active) {
				t.Errorf("%s: %+v", what, got)
			}
		})
	}
}

// Three nodes that were all down are one cluster again, with the map that they had, whoever starts
// first and without a list.
func TestAllKnowEachOtherAfterAPowerCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newLAN()
		first := w.static(t, []string{a, b, c}, []string{a, b, c}, nil)
		poll.True(t, "they agree", func() bool {
			for _, m := range first {
				m.Differs(a)
			}
			return agree(3, first...)
		})
		digest := first[0].Digest()
		var again []*Membership
		for _, m := range first {
			w.kill(m)
		}
		for _, m := range first {
			o := w.options(m.id.name)
			o.Known = m.All()
			again = append(again, w.open(t, o))
			time.Sleep(10 * time.Second)
		}
		if !agree(3, again...) || again[0].Digest() != digest {
			t.Errorf("they know %+v", again[0].All())
		}
	})
}

// A node that has left, or knows that it was removed, is a newcomer: it joins by whom it is told,
// else by the members that it knew.
func TestARemovedNodeIsANewcomer(t *testing.T) {
	for what, give := range map[string]func(o *Options){
		"no list": func(*Options) {},
		"a list":  func(o *Options) { o.Static = []string{a, "gone:1"} },
		"to join": func(o *Options) { o.Join = []string{"alias:1"} },
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newLAN()
			w.setCut(func(_, to string) bool { return to == b })
			old := []wire.Member{entryOf(a, 8, wire.Removed), entryOf(b, 2, wire.Active), entryOf(c, 7, wire.Removed)}
			o := w.options(b)
			o.Known = old
			there := w.open(t, o)
			w.put("alias:1", there)
			o = w.options(a)
			o.Known = old
			give(&o.Options)
			m := w.open(t, o)
			if m.Formed() || len(m.All()) != 1 {
				t.Fatalf("%s: it is part of a cluster, of %+v", what, m.All())
			}
			time.Sleep(time.Minute)
			if m.Formed() != (what == "to join") {
				t.Errorf("%s: it joins nobody, and is formed %v", what, m.Formed())
			}
			w.setCut(nil)
			joins(t, m)
			for _, m := range []*Membership{m, there} {
				if got, _ := mapOf(m).Get(a); got.State != wire.Active || got.Version <= 8 {
					t.Errorf("%s: %s knows %+v", what, m.id.name, got)
				}
				if stateOf(m, c) != "removed" {
					t.Errorf("%s: %s has forgotten who was removed", what, m.id.name)
				}
			}
		})
	}
}

// A newcomer that knows no member, and is told of none, is a cluster of its own. So is a node that
// was alone.
func TestANodeThatKnowsNobodyElse(t *testing.T) {
	for what, known := range map[string][]wire.Member{
		"removed": {entryOf(a, 8, wire.Removed), entryOf(b, 9, wire.Removed)},
		"alone":   {entryOf(a, 8, wire.Active)},
	} {
		o := newLAN().options(a)
		o.Known = known
		m, err := begin(o)
		if err != nil {
			t.Fatal(err)
		}
		if !m.Formed() || len(m.Members()) != 1 {
			t.Errorf("%s: formed %v, %+v", what, m.Formed(), m.All())
		}
		m.Close()
	}
}

// What another node has kept is not this one's.
func TestWhatIsKnownIsAnothersMap(t *testing.T) {
	for what, test := range map[string]struct {
		known []wire.Member
		want  string
	}{
		"another's": {[]wire.Member{entryOf(b, 1, wire.Active)}, "another node's"},
		"no map":    {[]wire.Member{entryOf(a, 1, wire.Active), {Name: b}}, "weight"},
	} {
		o := newLAN().options(a)
		o.Known = test.known
		if _, err := New(o.Options); !errors.Is(err, ErrOptions) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", what, err, test.want)
		}
	}
}

// A node that has kept the map of one cluster, and is started with the address of another, is told
// so. Neither hears of the other.
func TestAnotherClusterIsLeftAlone(t *testing.T) {
	for what, give := range map[string]func(o *Options){
		"to join":    func(o *Options) { o.Join = []string{c} },
		"by a list":  func(o *Options) { o.Static = []string{a, c} },
		"among more": func(o *Options) { o.Join = []string{b, "nobody:1", c} },
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newLAN()
			others := w.static(t, []string{c, "d:1"}, []string{c}, nil)
			o := w.options(b)
			o.Known = []wire.Member{entryOf(a, 1, wire.Active), entryOf(b, 2, wire.Active)}
			w.open(t, o)
			o = w.options(a)
			o.Known = []wire.Member{entryOf(a, 1, wire.Active), entryOf(b, 2, wire.Active)}
			give(&o.Options)
			m := w.open(t, o)
			before, here := others[0].Digest(), m.Digest()
			done, err := m.Visit(t.Context())
			if done != (what != "among more") || !errors.Is(err, ErrOther) || !strings.Contains(err.Error(), c+", d:1") || !strings.Contains(err.Error(), a+", "+b) {
				t.Errorf("%s: done %v, %v", what, done, err)
			}
			time.Sleep(time.Minute)
			if others[0].Digest() != before || m.Digest() != here {
				t.Errorf("%s: the maps are %+v and %+v", what, m.All(), others[0].All())
			}
		})
	}
}

// An address at which nobody answers is looked at until somebody does. Then the two exchange maps:
// the member there may be one that this node has not met, or has another name.
func TestAddressesAreVisitedUntilTheyAnswer(t *testing.T) {
	for what, test := range map[string]struct {
		known []wire.Member // of the node
		there []wire.Member // of the one at the address
	}{
		"it has met others": {
			[]wire.Member{entryOf(a, 1, wire.Active), entryOf(b, 2, wire.Active)},
			[]wire.Member{entryOf(a, 1, wire.Active), entryOf(b, 9, wire.Removed), entryOf(c, 3, wire.Active)},
		},
		"it has not met this node": {
			[]wire.Member{entryOf(a, 1, wire.Active), entryOf(b, 2, wire.Active)},
			[]wire.Member{entryOf(b, 9, wire.Removed), entryOf(c, 3, wire.Active)},
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newLAN()
			o := w.options(a)
			o.Known, o.Join = test.known, []string{"alias:1"}
			m := w.open(t, o)
			if done, err := m.Visit(t.Context()); done || err != nil {
				t.Errorf("%s: nobody is there: done %v, %v", what, done, err)
			}
			visited := make(chan struct{})
			go func() {
				defer close(visited)
				m.VisitAll(t.Context())
			}()
			time.Sleep(time.Minute)
			o = w.options(c)
			o.Known = test.there
			there := w.open(t, o)
			w.put("alias:1", there)
			<-visited
			poll.True(t, what+": they agree", func() bool { return agree(2, m, there) })
		})
	}
}

// A node that was alone is taken in by the cluster at an address that it is started with.
func TestANodeThatWasAloneIsTakenIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newLAN()
		there := w.open(t, w.options(c))
		o := w.options(a)
		o.Known, o.Join = []wire.Member{entryOf(a, 7, wire.Active)}, []string{c}
		m := w.open(t, o)
		if done, err := m.Visit(t.Context()); !done || err != nil {
			t.Errorf("done %v, %v", done, err)
		}
		poll.True(t, "they agree", func() bool { return agree(2, m, there) })
	})
}

// A cluster that comes to be at an address later, while the node runs, is left alone too. The node
// goes on.
func TestAnotherClusterComesLater(t *testing.T) {
	for _, known := range [][]wire.Member{
		{entryOf(a, 1, wire.Active), entryOf(b, 2, wire.Active)},
		{entryOf(a, 1, wire.Active)},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newLAN()
			var log logs
			o := w.options(a)
			o.Known, o.Join = known, []string{c}
			o.Log = slog.New(&log)
			m := w.open(t, o)
			here := m.Digest()
			over := make(chan struct{})
			go func() {
				defer close(over)
				m.VisitAll(t.Context())
			}()
			time.Sleep(time.Hour)
			other := w.open(t, w.options(c))
			<-over
			time.Sleep(time.Minute)
			if m.Digest() != here || len(other.Members()) != 1 || log.count("another cluster answers at "+c) != 1 {
				t.Errorf("the maps are %+v and %+v, logged: %q", m.All(), other.All(), log.all())
			}
		})
	}
}

// A visit ends with its context, and with the membership.
func TestAVisitEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newLAN()
		o := w.options(a)
		o.Known, o.Join = []wire.Member{entryOf(a, 1, wire.Active)}, []string{b}
		m := w.open(t, o)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if m.VisitAll(ctx); ctx.Err() == nil {
			t.Error("it is done, though nobody has answered")
		}
		over := make(chan struct{})
		go func() {
			defer close(over)
			m.VisitAll(t.Context())
		}()
		time.Sleep(time.Minute)
		m.Close()
		<-over
	})
}

// Who only asks who is there is told all, and leaves nothing behind.
func TestAQuestionIsNotTakenIn(t *testing.T) {
	w := newLAN()
	o := w.options(a)
	o.InSyncAt = func() int64 { return 77 }
	m := w.open(t, o)
	before := m.Digest()
	ask := wire.Hello{From: b, Who: true, Formed: true, Settings: sameSettings, Members: []wire.Member{entryOf(b, 3, wire.Active)}}
	answer, err := m.ServeHello(ask.Encode())
	if err != nil {
		t.Fatal(err)
	}
	h, err := wire.DecodeHello(answer)
	if err != nil || !h.Formed || !slices.Equal(h.Members, m.All()) || h.InSyncAt != 77 {
		t.Errorf("answered %+v, %v", h, err)
	}
	if m.Digest() != before {
		t.Error("the map changed")
	}
}
