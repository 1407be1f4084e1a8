package topology

import (
	"sync/atomic"
	"time"
)

// pacer has something that any of many may do be done once in a while. The zero pacer is due.
type pacer struct {
	last atomic.Pointer[time.Time]
}

// due says whether it is the caller's turn: it was nobody's for so long.
func (p *pacer) due(every time.Duration) bool {
	now, last := time.Now(), p.last.Load()
	if last != nil && now.Sub(*last) < every {
		return false
	}
	return p.last.CompareAndSwap(last, &now)
}

// done says that it was done now, whose turn ever it was.
func (p *pacer) done() {
	now := time.Now()
	p.last.Store(&now)
}

// hurry makes it due.
func (p *pacer) hurry() { p.last.Store(nil) }
