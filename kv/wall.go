package kv

import (
	"sync/atomic"
	"time"
)

// Wall is a wall clock that does not jump. A node's versions and expiries hang on its clock, and a clock that an operator or a time daemon sets
// while the node runs would take all that is stamped from then on with it. So a step of the clock is found by the monotonic clock and left
// out; who knows better what time it is, from others, says so by Correct. Slow corrections of a time daemon are followed.
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

// NewWall makes a wall clock of a clock that is read together with the time since some instant by a monotonic clock. nil: the system's.
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
		read, since := w.read()
		now := read.Add(s.correction)
		elapsed := since - s.since
		step := now.Sub(s.at.Add(elapsed))
		if step.Abs() < stepMin {
			if elapsed > refreshEvery {
				w.state.CompareAndSwap(s, &wallState{at: now, since: since, correction: s.correction})
			}
			return now
		}
		next := &wallState{at: now.Add(-step), since: since, correction: s.correction - step}
		if w.state.CompareAndSwap(s, next) {
			return next.at
		}
	}
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

// Correct moves the clock by d.
func (w *Wall) Correct(d time.Duration) {
	for {
		now := w.Now()
		s := w.state.Load()
		_, since := w.read()
		next := &wallState{at: now.Add(d), since: since, correction: s.correction + d}
		if w.state.CompareAndSwap(s, next) {
			return
		}
	}
}
