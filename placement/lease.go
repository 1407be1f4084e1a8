package placement

import (
	"sync/atomic"
	"time"
)

// lease is what authority hangs on. Each prober renews it when it asks its peer how it is. A pause
// between all of them together means that the process was stopped, or starved of processor time,
// for so long that others may have taken it for down.
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

// Renew is called by each prober. It says for how long there was no renewal, if the lease had
// lapsed.
func (b *Board) Renew() (pause time.Duration, lapsed bool) {
	now := int64(time.Since(b.lease.born))
	last := b.lease.last.Swap(now)
	if last == 0 || b.lease.alone.Load() || now-last <= int64(b.lease.lasts) {
		return 0, false
	}
	return time.Duration(now - last), true
}

// Alone says whether there are peers that renew the lease. The first to come finds it fresh.
func (b *Board) Alone(yes bool) { b.lease.alone.Store(yes) }

// Solitary says that there are no peers.
func (b *Board) Solitary() bool { return b.lease.alone.Load() }

// Fresh begins another lease: until now there was nobody to renew it.
func (b *Board) Fresh() { b.lease.last.Store(0) }
