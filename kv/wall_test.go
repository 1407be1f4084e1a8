package kv

import (
	"sync"
	"testing"
	"time"
)

// machine is a machine's clocks: one that can be set, and one that cannot.
type machine struct {
	mu    sync.Mutex
	wall  time.Time
	since time.Duration
}

func newMachine() *machine { return &machine{wall: time.UnixMilli(1_700_000_000_000)} }

func (m *machine) read() (time.Time, time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.wall, m.since
}

// pass lets time d go by. The wall clock shows so much more or less.
func (m *machine) pass(d, more time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.wall, m.since = m.wall.Add(d+more), m.since+d
}

// However far and in whatever direction a clock is set, and however long after the last look, time
// goes on as it did; and Correction says by how much the machine's clock is off since.
func TestWallDoesNotJump(t *testing.T) {
	for _, step := range []time.Duration{time.Hour, -time.Hour, 300 * time.Millisecond, -300 * time.Millisecond, 24 * 365 * time.Hour} {
		for _, pause := range []time.Duration{0, time.Millisecond, time.Minute} {
			m := newMachine()
			w := NewWall(m.read)
			m.pass(time.Second, 0)
			before := w.Now()
			m.pass(pause, step)
			if got := w.Now().Sub(before); got != pause {
				t.Errorf("set by %v: %v went by, want %v", step, got, pause)
			}
			if got := w.Correction(); got != -step {
				t.Errorf("set by %v: corrected by %v", step, got)
			}
			if got, _ := m.read(); !w.Machine().Equal(got) {
				t.Errorf("set by %v: the machine's clock reads %v, want %v", step, w.Machine(), got)
			}
			m.pass(time.Second, -step) // and back
			if got := w.Correction(); got != 0 {
				t.Errorf("set by %v and back: corrected by %v", step, got)
			}
		}
	}
}

// What a time daemon slews is followed, for however long: at once to a millisecond, and to the end
// when it has slewed.
func TestWallFollowsSlewing(t *testing.T) {
	m := newMachine()
	w := NewWall(m.read)
	for range 100_000 {
		m.pass(100*time.Millisecond, 50*time.Microsecond) // 500 ppm
		if off := w.Correction(); off.Abs() > time.Millisecond {
			t.Fatalf("%s off the machine's clock", off)
		}
		w.Now()
	}
	for range 100 {
		m.pass(100*time.Millisecond, 0)
		w.Now()
	}
	if now, _ := m.read(); !w.Now().Equal(now) || w.Correction() != 0 {
		t.Errorf("at %v, the machine at %v: corrected by %v", w.Now(), now, w.Correction())
	}
}

// A clock that is set by little, or that a daemon moves fast, is followed at 500 microseconds a
// second, no faster over any time: members bound by that what they know of each other's clocks.
func TestWallMakesUpForSmallSteps(t *testing.T) {
	const pause = 100 * time.Millisecond
	for _, step := range []time.Duration{144 * time.Millisecond, -144 * time.Millisecond, time.Millisecond} {
		for _, before := range []time.Duration{0, 900 * time.Millisecond} { // it was asked for the time
			m := newMachine()
			w := NewWall(m.read)
			m.pass(before, 0)
			last := w.Now()
			m.pass(0, step)
			if now := w.Now(); !now.Equal(last) {
				t.Fatalf("set by %v: %v went by at once", step, now.Sub(last))
			}
			for range 5 * time.Minute / pause {
				m.pass(pause, 0)
				now := w.Now()
				if off := now.Sub(last) - pause; off.Abs() > pause/slewShare {
					t.Fatalf("set by %v: %v more than %v went by", step, off, pause)
				}
				last = now
			}
			if got := w.Correction(); got != 0 {
				t.Errorf("set by %v: still corrected by %v", step, got)
			}
		}
	}
}

// Correct moves the clock, for good, and by the sum of what several ask for at once.
func TestWallIsCorrected(t *testing.T) {
	m := newMachine()
	w := NewWall(m.read)
	before := w.Now()
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() { w.Correct(time.Minute) })
	}
	all.Wait()
	m.pass(time.Hour, 0)
	if got := w.Now().Sub(before); got != time.Hour+10*time.Minute {
		t.Errorf("an hour and ten minutes of correction later: %v", got)
	}
}

// A correction that is made while another reads the clock counts as well as the other. So does a
// look at the time meanwhile.
func TestWallIsCorrectedMeanwhile(t *testing.T) {
	m := newMachine()
	meanwhile := func() {}
	w := NewWall(func() (time.Time, time.Duration) {
		do := meanwhile
		meanwhile = func() {}
		do()
		return m.read()
	})
	before := w.Now()
	meanwhile = func() { w.Correct(time.Minute) }
	w.Correct(time.Minute)
	m.pass(time.Hour, 0)
	meanwhile = func() { w.Correct(time.Minute) }
	if got := w.Now().Sub(before); got != time.Hour+3*time.Minute {
		t.Errorf("an hour and three minutes of correction later: %v", got)
	}
	m.pass(time.Hour, time.Minute)
	meanwhile = func() { w.Now() }
	w.Correct(time.Minute)
	if got := w.Now().Sub(before); got != 2*time.Hour+4*time.Minute {
		t.Errorf("two hours and four minutes of correction later: %v", got)
	}
}

// Nothing expires by a clock that was not compared with others'.
func TestNothingExpiresByAClockThatWasNotCompared(t *testing.T) {
	m := newMachine()
	w := NewWall(m.read)
	e := Entry{Version: 1, Expires: 1}
	if e.Expired(w.Expiry().UnixMilli()) {
		t.Error("expired before the clock was compared")
	}
	w.Compared()
	if !e.Expired(w.Expiry().UnixMilli()) || !w.Expiry().Equal(w.Now()) {
		t.Errorf("values expire by %v, and it is %v", w.Expiry(), w.Now())
	}
}
