package kv

import (
	"math"
	"time"
)

// Grace is for how long a tombstone is kept: until every owner has heard of the delete, or an owner
// that has not would bring the value back. The time in which this node was off does not count, for
// the others may have been off as well. It does not change while a process runs.
type Grace struct {
	Keep    time.Duration // how long, while the node runs
	OffFrom int64         // Unix milliseconds: when the process before this one is last known to have run
	OffFor  time.Duration // from then on, until this process began; 0: nothing is known of one before
}

// End is when an entry that is dead is collectable, in Unix milliseconds; math.MaxInt64 is never.
// It is dead since its version or its expiry, whichever is later, whatever the time is now. So what
// was collectable once is so for ever.
func (g Grace) End(e *Entry) int64 {
	dead := max(e.Version.Millis(), e.Expires)
	off := max(0, g.OffFrom+g.OffFor.Milliseconds()-max(dead, g.OffFrom))
	kept := g.Keep.Milliseconds() + off
	if dead > math.MaxInt64-kept-1 {
		return math.MaxInt64
	}
	return dead + kept + 1
}
