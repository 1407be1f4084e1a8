package kv

import (
	"sync/atomic"
	"time"
)

// Wall is a wall clock that does not jump. A node's versions and expiries hang on its clock. If an
// operator or a time daemon sets that clock while the node runs, all that is stamped from then on
// would jump with it. So Wall finds a step by the monotonic clock and leaves it out. Who knows the
// time better, from others, says so by Correct.
//
// Wall never goes faster or slower than the monotonic clock by more than slewShare: what members
// know of each other's clocks stays true by that. It follows what a time daemon slews. What is set
// by less than stepMin it makes up for at that pace.
//
// Safe for concurrent use.
type Wall struct {
	read  func() (wall time.Time, since time.Duration)
	state atomic.Pointer[wallState]
}

type wallState struct {
	at         time.Time     // what Now was
	since      time.Duration // when it was so, monotonic
	correction time.Duration // what Now is on its way to, less what the clock reads
}

const (
	// stepMin is what makes a step, which is left out.
	stepMin = 250 * time.Millisecond

	// slewShare is the share of a passing time by which the clock gains or loses at most: 500
	// microseconds a second, which is what the kernel slews for a time daemon.
	slewShare = 2000

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
	next, _ = w.readAfter(s)
	return next
}

// readAfter is after, and what the clock read.
func (w *Wall) readAfter(s *wallState) (next wallState, read time.Time) {
	read, since := w.read()
	steady := s.at.Add(since - s.since)
	off := read.Add(s.correction).Sub(steady)
	correction := s.correction
	if off.Abs() >= stepMin {
		off, correction = 0, correction-off
	}
	slew := (since - s.since) / slewShare
	return wallState{at: steady.Add(min(max(off, -slew), slew)), since: since, correction: correction}, read
}

// Machine is what the machine's clock reads.
func (w *Wall) Machine() time.Time {
	wall, _ := w.read()
	return wall
}

// Correction is how far Now is ahead of what the machine's clock reads.
func (w *Wall) Correction() time.Duration {
	now, read := w.readAfter(w.state.Load())
	return now.at.Sub(read)
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
