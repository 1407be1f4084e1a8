package server

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

// room is where the connections are: crowd says which of them may be, and the sweep which of them
// are too slow.
type room struct {
	name    string // of this node
	journal *journal

	clock      clock
	limits     timeouts
	sweepEvery time.Duration // 0: a test turns the clock
	swept      atomic.Int64  // when the sweep loop last ran, by the clock
	ending     ending

	mu struct {
		sync.Mutex
		crowd
		over      bool          // closeAll was called
		sweepStop chan struct{} // nil: no sweep loop
	}
	sweeper sync.WaitGroup // the sweep loop, which outlives the connections
}

// enter takes a connection in, or turns it away.
func (r *room) enter(c *conn) bool {
	r.clock.tick()
	c.setPhase(phaseNew)
	c.setWait(waitNext)
	r.mu.Lock()
	gone, in := r.mu.letIn(c, r.clock.Load())
	over := r.mu.over
	if in && over {
		r.mu.drop(c)
	}
	r.mu.Unlock()
	r.closeGone(gone)
	switch {
	case !in:
		r.turnAway(c.Conn)
	case over:
		_ = c.Conn.Close()
	}
	return in && !over
}

// exit takes a connection out that ends.
func (r *room) exit(c *conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.drop(c)
}

const tooManyConns = "HTTP/1.1 503 Service Unavailable\r\nServer: httpdhs\r\nConnection: close\r\n" +
	"Retry-After: 1\r\nX-Dht-Node: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"

// turnAway tells a client that there is no place for it.
func (r *room) turnAway(nc net.Conn) {
	defer nc.Close()
	r.journal.rejectedConns.Add(1)
	// Writing to a TLS connection would shake hands first, in the accept loop.
	if _, secure := nc.(*tls.Conn); !secure {
		_ = nc.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
		body := fmt.Sprintf("{\"error\":%q}\n", errConns.msg)
		_, _ = fmt.Fprintf(nc, tooManyConns, r.name, len(body), body)
		takeSent(nc) // else the close resets the connection, and the answer may be lost
	}
}

// seat finds a place for a connection at the door that has sent a request. One that may become a
// node's needs none. A client's has one if there is by now.
func (r *room) seat(c *conn, ctx *fasthttp.RequestCtx) bool {
	if path, _ := splitTarget(ctx.Request.Header.RequestURI()); bytes.HasPrefix(path, internalPrefix) {
		return true
	}
	r.clock.tick()
	r.mu.Lock()
	var gone victim
	if r.mu.clients() >= r.mu.max {
		gone = r.mu.makeRoom(r.clock.Load())
	}
	seated := r.mu.clients() < r.mu.max
	if seated {
		r.mu.fromDoor(c)
		c.extra = false
	}
	r.mu.Unlock()
	r.closeGone(gone)
	if !seated {
		r.journal.rejectedConns.Add(1)
	}
	return seated
}

// keepPeer makes the connection a node's, after it has carried a message of one.
func (r *room) keepPeer(c *conn) {
	if c.peer {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch _, open := r.mu.conns[c]; {
	case !open:
	case r.mu.peers < r.mu.maxBeside():
		r.mu.fromDoor(c)
		c.peer, c.extra = true, false
		r.mu.peers++
	case !c.extra && r.mu.guests < r.mu.maxGuests():
		c.peer, c.guest = true, true
		r.mu.guests++
	case !r.mu.toldFull:
		r.mu.toldFull = true
		r.journal.log.Error("more connections of nodes than there are places for: nodes may be taken for down; raise the limit of open files (ulimit -n, or LimitNOFILE= in a systemd unit)",
			"places", r.mu.maxBeside()+r.mu.maxGuests())
	}
}

// closeOne closes a connection that waits for its client, if there is one: the process is out of
// files.
func (r *room) closeOne() bool {
	r.clock.tick()
	r.mu.Lock()
	gone := r.mu.makeRoom(r.clock.Load())
	r.mu.Unlock()
	r.closeGone(gone)
	return gone.c != nil
}

// closeGone closes a connection that was taken out to make room, if there was one.
func (r *room) closeGone(gone victim) {
	if gone.c == nil {
		return
	}
	r.journal.evictedConns.Add(1)
	if gone.mute {
		_ = gone.c.reset()
	} else {
		_ = bareConn(gone.c.Conn).Close()
	}
}

// lastCall has the connections end that wait for a next request, unless one comes. Called with
// stopping set.
func (r *room) lastCall() {
	r.clock.tick()
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.clock.Load()
	for c := range r.mu.conns {
		c.lastCall(now)
	}
}

// closeAll closes all connections, whatever they do, and those that come later.
func (r *room) closeAll() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.over = true
	for c := range r.mu.conns {
		_ = c.Conn.Close()
	}
}

// startSweep starts the sweep loop, unless it runs.
func (r *room) startSweep() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.mu.sweepStop == nil && r.sweepEvery > 0 {
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

// sweepLoop drives the clock and the sweep, until stop is closed.
func (r *room) sweepLoop(stop <-chan struct{}) {
	ticker := time.NewTicker(r.sweepEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			r.sweep(time.Duration(r.clock.now()) * time.Millisecond)
			r.swept.Store(r.clock.Load())
		case <-stop:
			return
		}
	}
}

// SweptAgo is how long ago the loop ran that looks for slow clients. While connections cannot be
// looked at it does not run.
func (r *room) SweptAgo() time.Duration {
	return time.Duration(r.clock.now()-r.swept.Load()) * time.Millisecond
}

// sweep sets the clock and wakes what waits for a client that is too slow.
// The connection's goroutine sees a timeout, and answers or closes.
func (r *room) sweep(now time.Duration) {
	r.clock.set(now.Milliseconds())
	r.mu.Lock()
	defer r.mu.Unlock()
	for c := range r.mu.conns {
		if word := c.wait.Load(); r.limits.overdue(c, word, now) && c.endWait(word) {
			r.journal.slowConns.Add(1)
		}
	}
}
