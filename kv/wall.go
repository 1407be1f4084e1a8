package kv

import (
	"sync/atomic"
	"time"
)

// Wall is a wall clock that does not jump. A node's versions and expiries hang on its clock. If an
// operator or a time daemon sets that clock while the node runs, all that is stamped from then on
// would jump with it. So Wall finds a step by the monotonic clock and leaves it out. Who knows the
// time better, from others, says so by Correct. Wall follows slow corrections of a time daemon.
//
// Safe for concurrent use.
type Wall struct {
	read  func() (wall time.Time, since time.Duration)
	state atomic.Pointer[wallState]
}

type wallState struct {
	at         time.Time     // what Now was
	since      time.Duration // when it was so, monotonic
	correction time.Duration // Now less what the clock reads
}

const (
	// stepMin is what makes a step: more than a time daemon slews in refreshEvery, by far.
	stepMin = 250 * time.Millisecond

	// refreshEvery bounds the time over which both clocks are compared.
	refreshEvery = time.Second
)

// NewWall makes a wall clock of a clock that is read together with the time since some instant by a
// monotonic clock. nil: the system's.
func NewWall(read func() (wall time.Time, since time.Duration)) *Wall {
	if read == nil {
		born := time.Now()
		read = func() (time.Time, time.Duration) {
			now := time.Now()
			return now.Round(0), now.Sub(born)
		}
	}
	w := &Wall{read: read}
	now, since := read()
	w.state.Store(&wallState{at: now, since: since})
	return w
}

// Now is the time.
func (w *Wall) Now() time.Time {
	for {
		s := w.state.Load()
		next := w.after(s)
		if next.correction == s.correction && next.since-s.since <= refreshEvery {
			return next.at // nothing to note
		}
		if noted := next; w.state.CompareAndSwap(s, &noted) {
			return next.at
		}
	}
}

// after reads the clock by the state s: the state that follows it now. A step since s is left out.
func (w *Wall) after(s *wallState) (next wallState) {
	read, since := w.read()
	now := read.Add(s.correction)
	step := now.Sub(s.at.Add(since - s.since))
	if step.Abs() < stepMin {
		step = 0
	}
	return wallState{at: now.Add(-step), since: since, correction: s.correction - step}
}

// Machine is what the machine's clock reads.
func (w *Wall) Machine() time.Time {
	wall, _ := w.read()
	return wall
}

// Correction is how far Now is ahead of what the machine's clock reads.
func (w *Wall) Correction() time.Duration {
	w.Now()
	return w.state.Load().correction
}

// Correct moves the clock by d. Of corrections at the same time none is lost: each is made to the
// state by which the time was read.
func (w *Wall) Correct(d time.Duration) {
	for {
		s := w.state.Load()
		next := w.after(s)
		next.at, next.correction = next.at.Add(d), next.correction+d
		if w.state.CompareAndSwap(s, &next) {
			return
		}
	}
}
