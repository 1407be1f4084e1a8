package bench

import (
	"math"
	"time"
)

// pacer says when a worker's requests start.
//
// In a closed loop a request starts when there is room for it, so a server that stalls is asked
// less. The stall then shows in as few samples as there are connections: coordinated omission, as
// Gil Tene calls it ("How NOT to Measure Latency", 2013). In an open loop requests are due at a
// fixed rate, whatever the server does. One that finds no room waits here, and its latency counts
// from when it was due.
//
// Times are nanoseconds of any clock that does not step. A pacer belongs to one worker.
type pacer struct {
	from, to int64 // the measured part; before from is warm-up
	left     int64 // requests that may still start in the measured part

	open     bool
	interval float64 // between two that are due
	origin   int64   // when the first was due
	next     int64   // requests that were due and taken
}

// unlimited is a number of requests that a run does not come to.
const unlimited = math.MaxInt64

// take returns the start of a request that may be sent now; not ok: none may.
func (p *pacer) take(now int64) (start int64, ok bool) {
	if start = now; p.open {
		start = p.due()
	}
	if start > now || p.over(now) {
		return 0, false
	}
	if start >= p.from {
		p.left--
	}
	p.next++
	return start, true
}

// due is when the next request of an open loop is due.
func (p *pacer) due() int64 { return p.origin + int64(float64(p.next)*p.interval) }

// graceNanos is for what was due before the end: a server that keeps up gets to
// answer the last of it. One that does not would never be done with it.
const graceNanos = int64(100 * time.Millisecond)

// over says whether no request will start any more.
func (p *pacer) over(now int64) bool {
	if !p.open {
		return now >= p.to || p.left == 0
	}
	return p.due() >= p.to || p.left == 0 || now-graceNanos >= p.to
}

// missed takes what was due before the end and never found room.
func (p *pacer) missed() (start int64, ok bool) {
	if start = p.due(); !p.open || p.left == 0 || start >= p.to || p.to == math.MaxInt64 {
		return 0, false
	}
	p.next++
	return start, true
}
