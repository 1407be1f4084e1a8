package server

import (
	"context"
	"errors"
	"net"
	"os"
	"sync/atomic"
	"time"
)

// How a server ends without a client that loses a request.
//
// A client that keeps a connection sends its next request when it likes. One that is on its way
// while the connection is closed is lost, and the client cannot tell whether it was carried out. So
// connections end by an answer: it says "Connection: close", and the client sends nothing after it
// (RFC 9112, section 9.6). SetDraining has all answers say so, and takes connections as ever. That
// is for as long as it takes others to see that the node is not ready.
//
// Shutdown takes the connections that the kernel has accepted already, and closes the listener.
// What waits for a request then gets a last call:
//
//	active lately   timeouts.farewell, to send a request. A client that asks without a break has
//	                sent one by then.
//	idle for long   no time. Of such a client a request is not expected in this very moment.
//	a node's        no time. A node sends again what is not answered, and asks others.
//
// In each case a request of which anything has arrived is read, and answered.

const (
	// lastAccepts is how long connections are taken still when the server stops. Then as many of
	// those are that the kernel has accepted meanwhile, up to lastAcceptsMax: the close of a
	// listener resets them, and what they have sent.
	lastAccepts    = 10 * time.Millisecond
	lastAcceptsMax = 4096

	// activeLately is how long ago a client was answered that is active, in milliseconds. The clock
	// of phases is that of the last sweep, so this is a second at least.
	activeLately = 2000

	// partingsMax bounds the requests that are taken of one connection when answers end
	// connections. A client may send ahead more and more of them.
	partingsMax = 1000
)

// SetDraining has all answers end their connections, and /readyz say that the node is not ready; or
// it ends that. Nothing else changes: connections are accepted, and requests answered.
func (s *Server) SetDraining(on bool) {
	if on {
		s.ending.bits.Or(drains)
	} else {
		s.ending.bits.And(^uint32(drains))
	}
}

// ending is how far the end of a server has come: bits in one word, so that answers learn of both
// by one load, and neither is lost where both change at once.
type ending struct{ bits atomic.Uint32 }

const (
	drains = 1 << iota // SetDraining
	stops              // Shutdown: all have to go
)

// parting says that answers end their connections.
func (e *ending) parting() bool { return e.bits.Load() != 0 }

// stopping says that Shutdown was called.
func (e *ending) stopping() bool { return e.bits.Load()&stops != 0 }

// Shutdown stops accepting, and lets requests finish (their answers say Connection: close). A
// connection that was active lately may send one more, one that is idle for longer is closed. At
// the end of ctx Shutdown closes the rest, and returns its error. Handlers end when the store has
// answered them: a Store that is closed answers kv.ErrStopping at once.
func (s *Server) Shutdown(ctx context.Context) error {
	s.listening.Lock()
	if s.ending.bits.Or(stops)&stops == 0 {
		close(s.stop)
	}
	for ln := range s.listening.on {
		stopAccepting(ctx, ln)
	}
	s.listening.Unlock()
	s.lastCall()

	done := make(chan struct{})
	go func() {
		s.wg.Wait()
		close(done)
	}()
	var err error
	select {
	case <-done:
	case <-ctx.Done():
		err = ctx.Err()
		s.closeListeners()
		s.closeAll()
		// Handlers that only wait for their connection end now.
		select {
		case <-done:
		case <-time.After(time.Second):
		}
	}
	s.stopSweep()
	return err
}

// stopAccepting has Accept fail after lastAccepts, at which Serve closes the listener. One that
// knows no deadlines is closed at once.
func stopAccepting(ctx context.Context, ln net.Listener) {
	patient, ok := ln.(interface{ SetDeadline(time.Time) error })
	if !ok || ctx.Err() != nil || patient.SetDeadline(time.Now().Add(lastAccepts)) != nil {
		_ = ln.Close()
	}
}

// acceptWaiting takes what waits to be accepted from a listener that is about to be closed.
func (s *Server) acceptWaiting(ln net.Listener) {
	patient, ok := ln.(interface{ SetDeadline(time.Time) error })
	if !ok || patient.SetDeadline(time.Time{}) != nil {
		return
	}
	for range lastAcceptsMax {
		if !hasWaiting(ln) {
			return
		}
		nc, err := ln.Accept()
		if err != nil {
			return
		}
		s.accept(nc)
	}
}

func (s *Server) closeListeners() {
	s.listening.Lock()
	defer s.listening.Unlock()
	for ln := range s.listening.on {
		_ = ln.Close()
	}
}

// lastCall bounds the wait for a next request. Called with stopping set and room.mu held. By the
// time that the bound is set a request may have come: then it bounds nothing, see receive.
func (c *conn) lastCall(now int64) {
	if kind, _ := unpack(c.wait.Load()); kind != waitNext {
		return
	}
	if _, since := unpack(c.phase.Load()); c.peer || now-since >= activeLately {
		_ = c.Conn.SetReadDeadline(longAgo)
	} else {
		_ = c.Conn.SetReadDeadline(time.Now().Add(c.srv.limits.farewell))
	}
}

// receive reads, and sees to it that a last call ends nothing but a wait for a request of which
// nothing has come.
func (c *conn) receive(p []byte, waiting int64) (n int, err error) {
	kind, _ := unpack(waiting)
	if kind == waitNext && c.srv.ending.stopping() {
		// Checked after the wait is noted, as room.lastCall looks at it after stopping is set: one
		// of the two sees the other.
		switch c.partings++; {
		case c.partings > partingsMax:
			return 0, os.ErrDeadlineExceeded
		case c.linked:
			_ = c.Conn.SetReadDeadline(longAgo)
		default:
			_ = c.Conn.SetReadDeadline(time.Now().Add(c.srv.limits.farewell))
		}
	}
	for {
		n, err = c.Conn.Read(p)
		switch {
		case n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) || !c.srv.ending.stopping():
			return n, err
		case kind == waitNext && !hasSent(c.Conn):
			return n, err
		}
		_ = c.Conn.SetReadDeadline(time.Time{})
		if c.wait.Load() != waiting { // the sweep, or makeRoom, has ended it
			return n, err
		}
	}
}

// parts says whether the answer at hand is to be the connection's last, when answers end their
// connections. It is not while the client has sent further requests already: after an answer that
// ends the connection none may be answered.
func (c *conn) parts() bool {
	c.partings++
	ahead := c.req.left >= 0 && int64(c.in.Buffered()) > c.req.left ||
		c.req.left == 0 && c.in.Buffered() == 0 && hasSent(c.Conn)
	if ahead && c.partings > partingsMax {
		c.linger = true // else what is not read would have the answer lost
	}
	return !ahead || c.partings > partingsMax
}
