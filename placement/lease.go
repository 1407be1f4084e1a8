package placement

import (
	"sync/atomic"
	"time"
)

// lease is what authority depends on. Each prober renews it when it asks its peer how it is. If
// none of them renews it for long, the process was stopped, or starved of processor time. Others
// may have taken it for down by then.
type lease struct {
	lasts time.Duration
	born  time.Time
	last  atomic.Int64 // renewal, nanoseconds since born; 0: none yet
	alone atomic.Bool  // there are no peers, and so no renewals
}

func newLease(lasts time.Duration) lease { return lease{lasts: lasts, born: time.Now()} }

// lapsed says that the next renewal will find a pause. Nothing that was not found can be said not
// to exist until then.
func (l *lease) lapsed() bool {
	last := l.last.Load()
	return last != 0 && !l.alone.Load() && int64(time.Since(l.born))-last > int64(l.lasts)
}

// Solitary says that there are no peers.
func (b *Board) Solitary() bool { return b.lease.alone.Load() }
