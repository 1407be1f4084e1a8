package membership

import (
	"sync"
	"time"

	"httpdhs/wire"
)

const (
	// attendancePoll is how often a node looks whether it is in sync.
	attendancePoll = 500 * time.Millisecond

	// attendanceKeep is how often it keeps the time on its disk while it is.
	attendanceKeep = 10 * time.Second

	// AttendanceBehind is by how much what was kept may be behind, while the node runs.
	AttendanceBehind = attendanceKeep + attendancePoll
)

// Attendance knows when a node was in sync. There are two such times:
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
//
// Times are in milliseconds since the Unix epoch, as a hello has them; 0 is never.
type Attendance struct {
	opt AttendanceOptions

	mu     sync.Mutex // guards all below
	known  bool       // what the disk has kept is known
	last   int64      // when the node was last in sync
	lastAt time.Time  // when that was, by the monotonic clock; zero: before this start
	was    bool       // it was in sync when it was last looked at
	kept   time.Time  // when the disk was last told
	from   int64      // the last from before the start, of this node or of who was ahead of it
	since  time.Time  // when it went on from there; zero: it started empty
	then   func()     // called when the node is in sync, once; nil: nothing is
	silent bool       // it started empty after it was away: it has gone on only when it is in sync again
}

// AttendanceOptions are what an Attendance is made of.
type AttendanceOptions struct {
	InSync func() bool      // whether the node is; it may not block
	Now    func() time.Time // by the clock of the cluster
	Grace  time.Duration    // of tombstones

	// Keep keeps on the disk when the node was in sync. Run calls it. nil: there is no disk, and
	// nothing that was kept before this start.
	Keep func(time.Time)
}

// NewAttendance makes one. Where there is a disk, it says nothing before Loaded.
func NewAttendance(o AttendanceOptions) *Attendance { return &Attendance{opt: o, known: o.Keep == nil} }

// Loaded tells when the node was in sync before it was started.
func (a *Attendance) Loaded(at int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.known, a.last, a.from = true, at, at
}

// Then has do called once the node is in sync.
func (a *Attendance) Then(do func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.then = do
}

// GoesOn tells what became of the data with which the node was started.
func (a *Attendance) GoesOn(v Verdict) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.from, a.since = v.InSyncAt, time.Now()
	if v.Empty {
		a.last, a.silent = 0, true
	}
}

// Said is the time for a hello: see [Options].
func (a *Attendance) Said() int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.known {
		return wire.InSyncUnknown
	}
	a.lookLocked()
	ran := a.lastAt.Sub(a.since)
	switch {
	case a.lastAt.IsZero() && a.silent:
		return 0
	case a.lastAt.IsZero(), a.since.IsZero(), ran >= a.opt.Grace:
		return a.last
	}
	return min(a.from+ran.Milliseconds(), a.last)
}

// lookLocked looks whether the node is in sync. The time is read first: it was in sync then.
func (a *Attendance) lookLocked() bool {
	now, at := a.opt.Now(), time.Now()
	in := a.opt.InSync()
	if in {
		a.last, a.lastAt = Millis(now), at
	}
	return in
}

// Run looks until the node stops.
func (a *Attendance) Run(quit <-chan struct{}) {
	poll := time.NewTicker(attendancePoll)
	defer poll.Stop()
	for {
		a.look()
		select {
		case <-poll.C:
		case <-quit:
			return
		}
	}
}

// look takes note of whether the node is in sync. It tells the disk when that has changed, and now
// and then while it is.
func (a *Attendance) look() {
	a.mu.Lock()
	in := a.lookLocked()
	changed := in != a.was
	a.was = in
	due := a.opt.Keep != nil && a.last > 0 && (changed || in && time.Since(a.kept) >= attendanceKeep)
	last := a.last
	if due {
		a.kept = time.Now()
	}
	then := a.then
	if in {
		a.then = nil
	}
	a.mu.Unlock()
	if in && then != nil {
		then()
	}
	if due {
		a.opt.Keep(time.UnixMilli(last))
	}
}

// Millis is a time as a hello has it.
func Millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}
