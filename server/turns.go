package server

import (
	"time"

	"httpdhs/kv"
)

// listingRoom is what a piece of a listing may take before it is counted: what one node gives past
// its first record, the copies of it, and twice the largest value.
func (o *Options) listingRoom() int64 { return 2 * int64(4<<20+o.Limits.MaxValueBytes) }

// turns bounds how many pieces of listings are made at a time. What they take is known, and so
// counted, only when they are there. Nobody has a turn while a client is waited for.
type turns chan struct{}

// turns are so many as the memory for answers has room for, and one at least.
func (o *Options) turns() turns { return make(turns, max(1, o.MaxAnswerBytes/o.listingRoom())) }

// take waits for a turn until the deadline.
func (t turns) take(deadline time.Time) error {
	select {
	case t <- struct{}{}:
		return nil
	default:
	}
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	select {
	case t <- struct{}{}:
		return nil
	case <-timer.C:
		return kv.ErrAnswersHeld
	}
}

func (t turns) give() { <-t }
