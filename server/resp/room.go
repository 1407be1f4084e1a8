package resp

import (
	"crypto/tls"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// timeouts says how slow a client may be. They are judged once a sweep, so each is late by up to a
// second.
type timeouts struct {
	guest time.Duration // between commands, until it has said who it is, if it has to
	rest  time.Duration // for a part of a command to grow
	write time.Duration // for the client to take a piece of an answer (writePieceBytes)

	// linger is how long a client that was refused may take to close. The sweep does not judge it.
	linger time.Duration
}

func defaultTimeouts() timeouts {
	return timeouts{guest: time.Minute, rest: time.Minute, write: 30 * time.Second, linger: 5 * time.Second}
}

// overdue judges a wait.
func (t *timeouts) overdue(kind int64, age time.Duration) bool {
	switch kind {
	case waitGuest:
		return age > t.guest
	case waitRest:
		return age > t.rest
	case waitWrite:
		return age > t.write
	}
	return false
}

// room is where the connections are, and who finds those that are too slow.
type room struct {
	counters   *counters
	limits     timeouts
	begun      time.Time
	clock      atomic.Int64 // milliseconds since then, as of the last sweep
	sweepEvery time.Duration
	stopping   atomic.Bool // all have to go
	lastID     atomic.Int64

	mu struct {
		sync.Mutex
		conns     map[*conn]struct{}
		sweepStop chan struct{} // nil: no sweep loop
	}
	sweeper sync.WaitGroup // the sweep loop, which outlives the connections
}

func (r *room) init(k *counters) {
	r.counters, r.limits, r.begun, r.sweepEvery = k, defaultTimeouts(), time.Now(), time.Second
	r.mu.conns = make(map[*conn]struct{})
}

// now is milliseconds since the start.
func (r *room) now() int64 { return time.Since(r.begun).Milliseconds() }

const tooManyConns = "-ERR max number of clients reached\r\n"

// enter takes a connection in, or turns it away.
func (r *room) enter(c *conn, bound int) bool {
	c.session.id = r.lastID.Add(1)
	r.mu.Lock()
	full, stopping := len(r.mu.conns) >= bound, r.stopping.Load()
	if !full && !stopping {
		r.mu.conns[c] = struct{}{}
	}
	r.mu.Unlock()
	if !full && !stopping {
		return true
	}
	// Writing to a TLS connection would shake hands first, in the accept loop.
	if _, secure := c.Conn.(*tls.Conn); full && !secure {
		_ = c.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
		_, _ = c.Conn.Write([]byte(tooManyConns))
	}
	if full {
		r.counters.rejectedConns.Add(1)
	}
	_ = c.Conn.Close()
	return false
}

// exit takes a connection out that ends.
func (r *room) exit(c *conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.mu.conns, c)
}

// each calls do with each connection, which may have another goroutine.
func (r *room) each(do func(*conn)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for c := range r.mu.conns {
		do(c)
	}
}

// wakeReaders has the connections end that wait for their client to send. Called with stopping set.
func (r *room) wakeReaders() { r.each((*conn).wakeReader) }

// closeAll closes all connections, whatever they do.
func (r *room) closeAll() { r.each(func(c *conn) { _ = bare(c.Conn).Close() }) }

// startSweep starts the sweep loop, unless it runs.
func (r *room) startSweep() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.mu.sweepStop == nil {
		stop := make(chan struct{})
		r.mu.sweepStop = stop
		r.sweeper.Go(func() { r.sweepLoop(stop) })
	}
}

// stopSweep ends the sweep loop, and waits for it.
func (r *room) stopSweep() {
	r.mu.Lock()
	if r.mu.sweepStop != nil {
		close(r.mu.sweepStop)
		r.mu.sweepStop = nil
	}
	r.mu.Unlock()
	r.sweeper.Wait()
}

func (r *room) sweepLoop(stop <-chan struct{}) {
	ticker := time.NewTicker(r.sweepEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			r.sweep(r.now())
		case <-stop:
			return
		}
	}
}

// sweep ends the waits for clients that are too slow. Their connections are closed.
func (r *room) sweep(now int64) {
	r.clock.Store(now)
	r.each(func(c *conn) {
		word := c.wait.Load()
		kind, since := unpack(word)
		if r.limits.overdue(kind, time.Duration(now-since)*time.Millisecond) && c.endWait(word) {
			r.counters.slowConns.Add(1)
		}
	})
}

// bare is what lies under TLS, which says goodbye before it closes, and may wait for that.
func bare(nc net.Conn) net.Conn {
	for {
		over, ok := nc.(interface{ NetConn() net.Conn })
		if !ok {
			return nc
		}
		nc = over.NetConn()
	}
}
