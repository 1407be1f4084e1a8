package server

import (
	"sync/atomic"
	"time"
)

// timeouts says how slow a client may be. They are judged once a sweep, so
// each is late by up to a second.
type timeouts struct {
	header time.Duration // from the first byte (or the accept) to the end of the headers
	idle   time.Duration // between requests; longer than our peers keep idle connections
	write  time.Duration // for the client to take a piece of an answer (writePieceBytes)

	// A body may take body, and a second more for each bodyRate bytes that
	// have arrived: a large upload over a slow line goes through, one that
	// drips does not.
	body     time.Duration
	bodyRate int64 // bytes a second

	// stream is how long a body that may last as long as it wants
	// (phaseStream) may send nothing.
	stream time.Duration

	// linger is how long a client that was refused may take to close. The sweep does not judge it.
	linger time.Duration

	// farewell is how long a client that was active lately may take to send a last request, once
	// the server stops. Neither is this judged by the sweep.
	farewell time.Duration
}

func defaultTimeouts() timeouts {
	return timeouts{
		header:   10 * time.Second,
		idle:     120 * time.Second,
		write:    30 * time.Second,
		body:     10 * time.Second,
		bodyRate: 1 << 10,
		stream:   60 * time.Second,
		linger:   5 * time.Second,
		farewell: 500 * time.Millisecond, // a round trip across the world, and some
	}
}

// clock is milliseconds since the start, as of the last sweep or connection. To read it costs
// nothing, and it is as good as what is judged once a sweep needs.
type clock struct {
	atomic.Int64              // as of the last tick
	now          func() int64 // the time itself
}

// tick sets the clock: between two sweeps it does not go on by itself.
func (c *clock) tick() { c.set(c.now()) }

// set never sets the clock back.
func (c *clock) set(now int64) {
	for {
		old := c.Load()
		if now <= old || c.CompareAndSwap(old, now) {
			return
		}
	}
}

// overdue judges a connection by what it waits for: whether that takes too long.
func (t *timeouts) overdue(c *conn, word int64, now time.Duration) bool {
	kind, waiting := unpack(word)
	phase, since := unpack(c.phase.Load())
	age := func(since int64) time.Duration { return now - time.Duration(since)*time.Millisecond }
	switch kind {
	case waitWrite:
		return age(waiting) > t.write
	case waitRead, waitNext, waitHead:
		switch phase {
		case phaseIdle:
			return age(since) > t.idle
		case phaseNew, phaseFirst, phaseHeader:
			return age(since) > t.header
		case phaseHandler:
			earned := time.Duration(c.body.Load()/t.bodyRate) * time.Second
			return age(since) > t.body+earned
		case phaseStream:
			return age(waiting) > t.stream
		}
	}
	return false
}
