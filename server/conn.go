package server

import (
	"bytes"
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

// The phases of a connection.
const (
	phaseNew     = iota // nothing was sent yet
	phaseIdle           // between requests
	phaseHeader         // from a request's first byte to its handler
	phaseHandler        // the handler, which may read the body, and the answer
	phaseStream         // as phaseHandler, with a body that may take its time
	phaseBits    = 3
)

// What a connection's goroutine waits for.
const (
	waitNone = iota
	waitRead
	waitWrite
	waitNext // as waitRead, with nothing of a request there yet
	waitLate // any of these, and the sweep has found that it takes too long
)

// conn is a client's connection. It notes what it is doing and since when,
// for the sweep to judge: two atomic stores where deadlines would cost two
// timer changes a request.
type conn struct {
	net.Conn
	srv *Server

	// phase and wait are a phase or a kind of waiting in the low bits and the
	// clock of its beginning above. Written by the connection's goroutine,
	// read by the sweep. A wait is left by a swap alone: by this goroutine, which
	// has read or written something, by the sweep, for which it took too long, or
	// by makeRoomLocked, which closes the connection. So no request that has begun
	// is ever cut to make room, and none by a look at what was before it.
	phase atomic.Int64
	wait  atomic.Int64
	body  atomic.Int64 // bytes read since the handler began

	// The rest belongs to the connection's goroutine.
	scratch  *scratch
	linger   bool // the client may still be sending: let it read the answer
	bodyRead bool // the handler has read the body to its end
	eof      bool // the client has sent its last byte
	endless  int  // bytes read without a line feed, while a header is read
}

func (c *conn) setPhase(p int64) { c.phase.Store(c.srv.clock.Load()<<phaseBits | p) }

func (c *conn) setWait(w int64) (word int64) {
	word = c.srv.clock.Load()<<phaseBits | w
	c.wait.Store(word)
	return word
}

func unpack(word int64) (kind, since int64) {
	return word & (1<<phaseBits - 1), word >> phaseBits
}

// connState is fasthttp's hook: active with the first byte of a request, idle
// when its answer is written (or, in a pipeline, buffered).
func connState(nc net.Conn, state fasthttp.ConnState) {
	c, ok := nc.(*conn)
	if !ok {
		return
	}
	switch state {
	case fasthttp.StateActive:
		c.setPhase(phaseHeader)
	case fasthttp.StateIdle:
		c.release()
		c.linger, c.endless = false, 0
		c.setPhase(phaseIdle)
	}
}

// beginHandler notes that the headers are complete.
func (c *conn) beginHandler() {
	c.bodyRead = false
	c.body.Store(0)
	c.setPhase(phaseHandler)
}

func (c *conn) Read(p []byte) (int, error) {
	phase, _ := unpack(c.phase.Load())
	kind := int64(waitRead)
	if phase <= phaseIdle {
		kind = waitNext
	}
	waiting := c.setWait(kind)
	if phase <= phaseIdle && c.srv.stopping.Load() {
		// Checked after the wait is noted, as wakeIfIdle looks at it after
		// stopping is set: one of the two sees the other. Whatever was in
		// the pipeline has been flushed before fasthttp reads on.
		return 0, io.EOF
	}
	n, err := c.Conn.Read(p)
	if !c.wait.CompareAndSwap(waiting, waitNone) {
		if c.wait.Load() != waitLate {
			return 0, io.EOF // closed to make room
		}
		if err == nil {
			err = os.ErrDeadlineExceeded
		}
	}
	if phase == phaseNew && isTLS(p[:n]) {
		tell(c.Conn, sayPlain)
		return 0, errSpeaksTLS
	}
	switch {
	case phase >= phaseHandler:
		c.body.Add(int64(n))
	case n > 0:
		if bytes.IndexByte(p[:n], '\n') < 0 {
			c.endless += n
		} else {
			c.endless = 0
		}
	}
	if err == io.EOF {
		c.eof = true
	}
	if err != nil && phase <= phaseIdle && c.srv.stopping.Load() {
		err = io.EOF // woken by wakeIfIdle, and nothing to answer
	}
	return n, err
}

// writePieceBytes is how much a client has to take within the write timeout:
// one Write can be megabytes, and says nothing of its progress.
const writePieceBytes = 256 << 10

func (c *conn) Write(p []byte) (n int, err error) {
	for {
		piece := p[n:min(len(p), n+writePieceBytes)]
		waiting := c.setWait(waitWrite)
		m, err := c.Conn.Write(piece)
		if !c.wait.CompareAndSwap(waiting, waitNone) && err == nil {
			err = os.ErrDeadlineExceeded
		}
		if n += m; err != nil || n == len(p) {
			return n, err
		}
	}
}

// endWait ends a wait that takes too long, unless it is over: then what it was judged by is of two
// moments.
func (c *conn) endWait(word int64) bool {
	if !c.wait.CompareAndSwap(word, waitLate) {
		return false
	}
	if kind, _ := unpack(word); kind == waitWrite {
		_ = c.Conn.SetWriteDeadline(longAgo)
	} else {
		_ = c.Conn.SetReadDeadline(longAgo)
	}
	return true
}

// wakeIfIdle ends the wait for a next request. Called with stopping set.
func (c *conn) wakeIfIdle() {
	if kind, _ := unpack(c.wait.Load()); kind == waitNext {
		_ = c.Conn.SetReadDeadline(longAgo)
	}
}

// longAgo as a deadline fails what waits now.
var longAgo = time.Unix(1, 0)

const (
	lingerBytesMax = 64 << 20
	lingerTimeMax  = 5 * time.Second
)

// Close closes the connection. If the client may still be sending, a plain
// close would reset the connection and the client would lose the answer that
// says what is wrong: so the sending side is closed first, and what still
// comes is read and dropped, within bounds, until the client closes too.
func (c *conn) Close() error {
	c.release() // the answer is written; the wait below needs no memory
	if c.linger && !c.eof {
		if half, ok := c.Conn.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
			_ = c.Conn.SetReadDeadline(time.Now().Add(lingerTimeMax))
			_, _ = io.Copy(io.Discard, io.LimitReader(c.Conn, lingerBytesMax))
		}
	}
	return c.Conn.Close()
}

// connOf is the connection of a request.
func connOf(ctx *fasthttp.RequestCtx) *conn { return ctx.Conn().(*conn) }
