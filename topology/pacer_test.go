package topology

import (
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"httpdhs/internal/memnet"
	"httpdhs/rebalance"
	"httpdhs/wire"
)

// What is done once in a while is one caller's turn, and another's when that while is over, or when
// it is wanted sooner.
func TestPacer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var p pacer
		if !p.due(time.Second) || p.due(time.Second) {
			t.Error("the first has its turn, and no second")
		}
		time.Sleep(time.Second)
		if !p.due(time.Second) {
			t.Error("it is nobody's turn after the while")
		}
		p.hurry()
		if !p.due(time.Second) {
			t.Error("it is nobody's turn though it is wanted")
		}
		time.Sleep(time.Second)
		p.done()
		if p.due(time.Second) {
			t.Error("it is done twice")
		}
	})
}

// Only what a step of the protocol looks at is news: else each ping would have a node look at all
// of its members.
func TestNews(t *testing.T) {
	said := func() wire.Ping {
		return wire.Ping{
			Boot: 7, Number: 1, PrimaryEpoch: 1, Said: rebalance.Statement{Seq: 1}, Dead: []string{"a"},
			Sees: wire.Sight{Boot: self, Live: true},
		}
	}
	b := newBelief(self, past{}, time.Now())
	first := said()
	if !b.news(&first) {
		t.Error("the first ping brings no news")
	}
	b.hear(&first)
	same := said()
	same.Number, same.Keys, same.Wall = 2, 3, 4
	if b.news(&same) {
		t.Error("the same again is news")
	}
	for what, change := range map[string]func(p *wire.Ping){
		"another process":           func(p *wire.Ping) { p.Boot++ },
		"another statement":         func(p *wire.Ping) { p.Said.Seq++ },
		"another primary epoch":     func(p *wire.Ping) { p.PrimaryEpoch++ },
		"one who is dead":           func(p *wire.Ping) { p.Dead = append(p.Dead, "b") },
		"it does not count on it":   func(p *wire.Ping) { p.Sees.Counts = !p.Sees.Counts },
		"it knows that it was down": func(p *wire.Ping) { p.Sees.Acknowledged++ },
		"it took this one for down": func(p *wire.Ping) { p.Sees.Suspicion++ },
	} {
		p := said()
		change(&p)
		if !b.news(&p) {
			t.Errorf("%s is no news", what)
		}
	}
}

// The pause between probes grows with the members, and is never so long that the lease lapses, or
// that a member that hangs is noticed after more than five seconds.
func TestPauseGrowsWithTheMembers(t *testing.T) {
	top, m := alone(t, slog.DiscardHandler, nil)
	top.opt.ProbeEvery = time.Second / 2
	top.board.SetStable(true)
	for members, want := range map[int]time.Duration{
		1: time.Second / 2, 12: time.Second / 2, 25: time.Second, wire.MaxMembers - 1: pauseMax,
		1000: pauseMax,
	} {
		top.mu.roster.setList(slices.Repeat([]*member{m}, members))
		got := m.prober.pause()
		if got != want {
			t.Errorf("of %d others it is %s, want %s", members, got, want)
		}
		if got >= SilenceMax || got+SilenceMax > 5*time.Second {
			t.Errorf("of %d others it is %s: too long", members, got)
		}
	}
	top.board.SetStable(false)
	top.mu.roster.setList([]*member{m, m})
	if got := m.prober.pause(); got != unsettledProbe {
		t.Errorf("while the ring changes it is %s, want %s", got, unsettledProbe)
	}
}

// However many members there are, a few are asked at a time, and those that hang keep nobody
// waiting.
func TestFewProbesAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		top, m := alone(t, slog.DiscardHandler, memnet.New().Link("self", "other"))
		var free []func()
		for range probesAtOnce {
			leave, ok := m.prober.enter()
			if !ok {
				t.Fatal("it is closed")
			}
			free = append(free, leave)
		}
		entered := make(chan bool, 1)
		go func() {
			leave, ok := m.prober.enter()
			if ok {
				leave()
			}
			entered <- ok
		}()
		synctest.Wait()
		if len(entered) > 0 {
			t.Errorf("more than %d at once", probesAtOnce)
		}
		m.peer.MarkBack(true)
		m.prober.silent.Store(1)
		if leave, ok := m.prober.enter(); !ok {
			t.Error("one that hangs waits")
		} else {
			leave()
		}
		m.prober.silent.Store(0)
		if leave, ok := m.prober.enter(); !ok {
			t.Error("members that are up wait for those that are down")
		} else {
			leave()
		}
		free[0]()
		if !<-entered {
			t.Error("nobody takes the place that is free")
		}
		for _, leave := range free[1:] {
			leave()
		}
		if len(top.ofUp) != 0 || len(top.ofDown) != 0 {
			t.Error("places are taken by nobody")
		}
	})
}

// A node whose own timers are late gives others more time, within bounds and for a while. One whose
// timers are on time gives what SilenceMax is made of.
func TestPatience(t *testing.T) {
	var s strain
	now := time.Now()
	if got := s.patience(now); got != probeTimeout {
		t.Errorf("at first it is %s", got)
	}
	s.note(lateUsual, now)
	if got := s.patience(now); got != probeTimeout {
		t.Errorf("with usual timers it is %s", got)
	}
	s.note(time.Hour, now)
	if got := s.patience(now); got != patienceMax*probeTimeout || got >= SilenceMax {
		t.Errorf("after an hour's stop it is %s", got)
	}
	if got := s.patience(now.Add(-time.Second)); got != patienceMax*probeTimeout {
		t.Errorf("a moment before it is %s", got) // goroutines overtake each other
	}
	if got := s.patience(now.Add(2 * lateHalves)); got != probeTimeout {
		t.Errorf("when that is over it is %s", got)
	}
}
