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
// know of each other's clocks stays true by that. So it makes up at that pace for what a time
// daemon slews, and for what is set by less than stepMin.
//
// Safe for concurrent use.
type Wall struct {
	read     func() (wall time.Time, since time.Duration)
	state    atomic.Pointer[wallState]
	compared atomic.Bool
}

type wallState struct {
	at         time.Time     // what Now was
	since      time.Duration // when it was so, monotonic
	behind     time.Duration // how far Now was behind what it makes up for
	correction time.Duration // what Now is on its way to, less what the clock reads
}

const (
	// stepMin is what makes a step, which is left out.
	stepMin = 250 * time.Millisecond

	// slewShare is the share of a passing time by which the clock gains or loses at most: 500
	// microseconds a second, which is what the kernel slews for a time daemon.
	slewShare = 2000

	// refreshEvery is how often both clocks are compared, as long as somebody asks for the time.
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
		read, since := w.read()
		now := s.now(since)
		if since-s.since <= refreshEvery || w.state.CompareAndSwap(s, s.next(now, read, since)) {
			return now
		}
	}
}

// Compared says that the clock was compared with those of others, and corrected if need be.
func (w *Wall) Compared() { w.compared.Store(true) }

// Expiry is the time by which values expire. It is Now once the clock was compared, and before that
// the Unix epoch, by which nothing has expired. A value that expires late for a moment is there
// still. One that a wrong clock takes for expired is gone for all: replicas repair each other by
// it.
func (w *Wall) Expiry() time.Time {
	if !w.compared.Load() {
		return time.Unix(0, 0)
	}
	return w.Now()
}

// now is the time at a moment after s.
func (s *wallState) now(since time.Duration) time.Time {
	passed := since - s.since
	most := passed / slewShare
	return s.at.Add(passed + min(max(s.behind, -most), most))
}

// next compares both clocks at a moment after s, when it was now. A step since s is left out.
func (s *wallState) next(now, read time.Time, since time.Duration) *wallState {
	behind, correction := read.Add(s.correction).Sub(now), s.correction
	if behind.Abs() >= stepMin {
		behind, correction = 0, correction-behind
	}
	return &wallState{at: now, since: since, behind: behind, correction: correction}
}

// Machine is what the machine's clock reads.
func (w *Wall) Machine() time.Time {
	wall, _ := w.read()
	return wall
}

// Correction is how far Now is ahead of what the machine's clock reads.
func (w *Wall) Correction() time.Duration {
	s := w.state.Load()
	read, since := w.read()
	return s.now(since).Sub(read)
}

// Correct moves the clock by d. Of corrections at the same time none is lost: each is made to the
// state by which the time was read.
func (w *Wall) Correct(d time.Duration) {
	for {
		s := w.state.Load()
		read, since := w.read()
		next := s.next(s.now(since), read, since)
		next.at, next.correction = next.at.Add(d), next.correction+d
		if w.state.CompareAndSwap(s, next) {
			return
		}
	}
}
