package node

import (
	"sync"
	"time"

	"httpdhs/membership"
	"httpdhs/wire"
)

const (
	// syncedPoll is how often a node looks whether it is in sync.
	syncedPoll = 500 * time.Millisecond

	// syncedKeep is how often it keeps the time on its disk while it is.
	syncedKeep = 10 * time.Second
)

// synced knows when this node was in sync. There are two such times:
//
// The last is when it last had every write that there was. The disk keeps it. What was deleted
// later than a --tombstone-grace before it, the node knows of.
//
// What is said to others is up to when this node has gone on (wire.Hello.InSyncAt). All deletes
// that it has forgotten are a --tombstone-grace older. The two are the same, but for the first
// grace after a start with data. In that time nothing is forgotten that was deleted before the
// start, since a tombstone lives longer by the time in which its node did not run. Said is then the
// last time from before the start, and what has passed since. So a node that starts a little later
// than the others, after all were down, is not told that they went on without it.
type synced struct {
	inSync func() bool
	now    func() time.Time // by the clock of the cluster
	keep   func(time.Time)  // nil: nobody keeps it
	grace  time.Duration

	mu     sync.Mutex // guards all below
	known  bool       // what the disk has kept is known
	last   int64      // milliseconds since the Unix epoch; 0: never
	lastAt time.Time  // when that was, by the monotonic clock; zero: before this start
	was    bool       // it was in sync when it was last looked at
	kept   time.Time  // when the disk was last told
	from   int64      // the last from before the start, of this node or of who was ahead of it
	since  time.Time  // when it went on from there; zero: it started empty
	mend   func()     // called when the node is in sync, once; nil: nothing is
	silent bool       // it started empty after it was away: it has gone on only when it is in sync again
}

// prepare is called before any other.
func (s *synced) prepare(p *parts) {
	s.inSync, s.now, s.grace = p.plane.Board.InSync, p.wall.Now, p.cfg.TombstoneGrace
	if p.cfg.Disk != nil {
		s.keep = p.cfg.Disk.KeepInSync
	}
	s.known = p.cfg.Disk == nil
}

// loaded tells when this node was in sync before it was started; 0: never.
func (s *synced) loaded(at int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known, s.last, s.from = true, at, at
}

// then has do called once the node is in sync.
func (s *synced) then(do func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mend = do
}

// goesOn tells what became of the data with which the node was started.
func (s *synced) goesOn(v membership.Verdict) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.from, s.since = v.InSyncAt, time.Now()
	if v.Empty {
		s.last, s.silent = 0, true
	}
}

// said is the time for a hello.
func (s *synced) said() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.known {
		return wire.InSyncUnknown
	}
	s.lookLocked()
	ran := s.lastAt.Sub(s.since)
	switch {
	case s.lastAt.IsZero() && s.silent:
		return 0
	case s.lastAt.IsZero(), s.since.IsZero(), ran >= s.grace:
		return s.last
	}
	return min(s.from+ran.Milliseconds(), s.last)
}

// lookLocked looks whether the node is in sync. The time is read first: it was in sync then.
func (s *synced) lookLocked() bool {
	now, at := s.now(), time.Now()
	in := s.inSync()
	if in {
		s.last, s.lastAt = millisOf(now), at
	}
	return in
}

// run looks until the node stops.
func (s *synced) run(quit <-chan struct{}) {
	poll := time.NewTicker(syncedPoll)
	defer poll.Stop()
	for {
		s.look()
		select {
		case <-poll.C:
		case <-quit:
			return
		}
	}
}

// look takes note of whether the node is in sync. It tells the disk when that has changed, and now
// and then while it is.
func (s *synced) look() {
	s.mu.Lock()
	in := s.lookLocked()
	changed := in != s.was
	s.was = in
	due := s.keep != nil && s.last > 0 && (changed || in && time.Since(s.kept) >= syncedKeep)
	last := s.last
	if due {
		s.kept = time.Now()
	}
	mend := s.mend
	if in {
		s.mend = nil
	}
	s.mu.Unlock()
	if in && mend != nil {
		mend()
	}
	if due {
		s.keep(time.UnixMilli(last))
	}
}

// millisOf is a time as hellos have it.
func millisOf(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}
