package membership

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"httpdhs/internal/poll"
	"httpdhs/wire"
)

// A node that nobody reaches at its name, or at whose name another process answers, does not become
// a member: it would always be down, or take the other's place. It is told so, and the log says
// why. One that is reached joins.
func TestANameHasToLeadBack(t *testing.T) {
	w := newLAN()
	var log logs
	o := w.options("a:1")
	o.Log, o.pace = slog.New(&log), defaultPace
	o.pace.hello = 100 * time.Millisecond
	founder := w.open(t, o)
	twin := w.open(t, w.options("c:1")) // what answers at c:1, a cluster of its own

	for name, wants := range map[string]string{
		"b:1": "cannot be reached",
		"c:1": "another process",
	} {
		o := w.options(name)
		o.Join, o.pace = []string{"a:1"}, defaultPace
		o.pace.joinMin, o.pace.joinMax = time.Millisecond, 10*time.Millisecond
		stranger, err := begin(o) // and is not on the wire
		if err != nil {
			t.Fatal(err)
		}
		poll.True(t, name+" is told why", func() bool {
			err := stranger.Ready()
			return err != nil && strings.Contains(err.Error(), "does not find this node at "+name)
		})
		poll.True(t, "the log says what was found at "+name, func() bool { return log.count(wants) == 1 })
		if _, known := founder.m.Get(name); known {
			t.Errorf("%s is a member", name)
		}
		if name == "b:1" {
			w.put(name, stranger)
			poll.True(t, name+" joins once it is reached", stranger.Formed)
		}
		stranger.Close()
		if name == "b:1" {
			w.put(name, nil)
		}
	}
	if len(twin.Members()) != 1 {
		t.Error("who was asked for its name alone took part in something")
	}
}

// A name that others find late is no error: at a start of a node it is normal. Both sides warn,
// once each. When it lasts it is an error at both, once each. A process that is not this node is an
// error at once, to the one who finds it there.
func TestALateNameIsNoError(t *testing.T) {
	for what, test := range map[string]struct {
		name           string
		late           time.Duration
		founder, enter string // the levels of the lines at both sides
	}{
		"late":            {b, startPatience - time.Second, "WARN", "WARN"},
		"lost":            {b, 10 * startPatience, "WARN ERROR", "WARN ERROR"},
		"another process": {c, startPatience - time.Second, "ERROR", "WARN"},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newLAN()
			var at, of logs
			o := w.options(a)
			o.Log = slog.New(&at)
			w.open(t, o)
			w.open(t, w.options(c))
			o = w.options(test.name)
			o.Join, o.Log = []string{a}, slog.New(&of)
			late, err := begin(o) // and is not on the wire
			if err != nil {
				t.Fatal(err)
			}
			defer late.Close()
			time.Sleep(test.late)
			if levels := at.levels("node=" + test.name); levels != test.founder {
				t.Errorf("%s: who is joined says %s: %q", what, levels, at.all())
			}
			if levels := of.levels("not admitted yet"); levels != test.enter || of.count("ERROR")+of.count("WARN") != len(strings.Fields(levels)) {
				t.Errorf("%s: who joins says %s: %q", what, levels, of.all())
			}
			if test.name == c {
				return
			}
			w.put(b, late)
			joins(t, late)
		})
	}
}

// What may be over by itself is not taken for lasting because it was there before: a node that is
// started again and again is late each time.
func TestPatienceBeginsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logs
		f := newPassing(slog.New(&log), "late")
		for range 5 {
			f.note(a, "no such host")
			time.Sleep(startPatience + time.Second)
		}
		f.note(a, "no such host")
		f.over(a)
		time.Sleep(startPatience - time.Second)
		f.note(a, "no such host")
		if log.count("ERROR") > 0 {
			t.Errorf("%q", log.all())
		}
		time.Sleep(startPatience - time.Second)
		f.note(a, "connection refused")
		time.Sleep(2 * time.Second)
		f.note(a, "no such host")
		if log.count("ERROR") != 1 {
			t.Errorf("what lasts is not said, or often: %q", log.all())
		}
	})
}

// Who says hello as a node that wants to join learns nothing of what is at the name that it gives:
// neither by the answer nor by the time that it takes.
func TestStrangersLearnNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var there func(ctx context.Context) ([]byte, error)
		o := newLAN().options(a)
		o.Hello = func(ctx context.Context, _ Place, _ []byte) ([]byte, error) { return there(ctx) }
		m, err := begin(o)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		ask := wire.Hello{From: b, Boot: 1, Settings: sameSettings}
		other := wire.Hello{From: b, Boot: 2, Settings: sameSettings}
		said := make(map[string]time.Duration)
		for what, is := range map[string]func(ctx context.Context) ([]byte, error){
			"nothing":         func(context.Context) ([]byte, error) { return nil, errUnreachable },
			"a firewall":      func(ctx context.Context) ([]byte, error) { <-ctx.Done(); return nil, ctx.Err() },
			"another service": func(context.Context) ([]byte, error) { return []byte("<html>"), nil },
			"another node":    func(context.Context) ([]byte, error) { return other.Encode(), nil },
		} {
			there = is
			began := time.Now()
			answer, err := m.ServeHello(ask.Encode())
			if err != nil || !strings.Contains(string(answer), "refused") {
				t.Errorf("%s: %s, %v", what, answer, err)
			}
			said[string(answer)] += time.Since(began)
			if time.Since(began) != defaultPace.hello/2 {
				t.Errorf("%s: after %s", what, time.Since(began))
			}
		}
		if len(said) != 1 {
			t.Errorf("strangers are told %q", said)
		}
	})
}

// However many say hello as nodes that want to join, few are looked for at once. The others are
// told at once to try again. Nodes that are members, and were started again, are looked for beside
// them.
func TestFewAreLookedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var busy, again atomic.Int64
		var known sync.Map // names at which somebody answers
		var log logs
		o := newLAN().options(a)
		o.Static, o.Log = []string{a, b}, slog.New(&log)
		o.Live = func(string) bool { return true } // nobody but the test asks
		o.Hello = func(ctx context.Context, to Place, _ []byte) ([]byte, error) {
			busy.Add(1)
			defer busy.Add(-1)
			name := to.Addr
			if _, ok := known.Load(name); ok {
				h := wire.Hello{From: name, Boot: 1, Settings: sameSettings}
				return h.Encode(), nil
			}
			<-ctx.Done()
			return nil, ctx.Err()
		}
		m, err := begin(o)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		serve := func(name string) string {
			h := wire.Hello{From: name, Boot: 1, Settings: sameSettings, Members: []wire.Member{{Name: name, Version: 9, Weight: 1}}}
			answer, err := m.ServeHello(h.Encode())
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			return string(answer)
		}
		var strangers sync.WaitGroup
		for i := range 500 {
			strangers.Go(func() {
				began := time.Now()
				if strings.Contains(serve(fmt.Sprintf("h%d:1", i)), "try again") && time.Since(began) == 0 {
					again.Add(1)
				}
			})
		}
		synctest.Wait()
		if n := busy.Load(); n > 8 || again.Load() != 500-n {
			t.Errorf("%d are looked for at once, and %d told to try again", n, again.Load())
		}
		known.Store(b, true)
		if answer := serve(b); strings.Contains(answer, `"refused"`) {
			t.Errorf("a member that is back: %s", answer)
		}
		strangers.Wait()
		if log.count("did not reach a node at its name") == 0 {
			t.Errorf("the log does not say what was found: %q", log.all())
		}
		known.Store(c, true)
		if answer := serve(c); strings.Contains(answer, `"refused"`) {
			t.Errorf("a node that tries again: %s", answer)
		}
	})
}

// A node finds out that another process answers at its name, whatever that calls itself; and says
// nothing where it reaches itself there, or nobody.
func TestTwin(t *testing.T) {
	w := newLAN()
	self := w.open(t, w.options("a:1"))
	stranger := w.open(t, w.options("b:1"))
	o := w.options("a:1")
	o.pace = defaultPace
	o.pace.hello = time.Second
	second, err := begin(o) // and is not on the wire
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if err := self.Twin(t.Context()); err != nil {
		t.Errorf("a node that reaches itself: %v", err)
	}
	if err := second.Twin(t.Context()); !errors.Is(err, ErrTwin) {
		t.Errorf("a second node of one name: %v", err)
	}
	w.put("a:1", stranger)
	if err := self.Twin(t.Context()); !errors.Is(err, ErrTwin) || !strings.Contains(err.Error(), "calls itself b:1") {
		t.Errorf("another node is at its name: %v", err)
	}
	w.put("a:1", nil)
	if err := self.Twin(t.Context()); err != nil {
		t.Errorf("nobody is at its name: %v", err)
	}
	w.put("a:1", self)
}
