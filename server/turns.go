package server

import (
	"time"

	"httpdhs/kv"
)

// listingRoom is what the records of a piece of a listing may take, and as much for what they are
// copied from.
func (o *Options) listingRoom() int64 { return 2 * int64(max(2*pieceBytesMax, o.Limits.MaxValueBytes)) }

// turns bounds how many pieces of listings are made at a time. Their records are not counted; what
// JSON makes of them is. Nobody has a turn while its own client is waited for, or memory.
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
