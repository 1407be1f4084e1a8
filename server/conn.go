package server

import (
	"bufio"
	"cmp"
	"container/list"
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
	phaseFirst          // from the first request's first byte to its handler
	phaseHeader         // the same of another request
	phaseHandler        // the handler, which may read the body, and the answer
	phaseStream         // as phaseHandler, with a body that may take its time
	phaseBits    = 3
)

// What a connection's goroutine waits for.
const (
	waitNone  = iota
	waitRead  // more of a body
	waitWrite // the client to take an answer
	waitNext  // a request, with nothing of it there yet
	waitHead  // the rest of a head
	waitClose // the client to close, after the last answer
	waitLate  // any of these, and the sweep has found that it takes too long
	waitGone  // the same, and the connection was closed to make room
)

// conn is a client's connection. It notes what it is doing and since when, for the sweep and for
// makeRoom to judge. That takes two atomic stores a request, where deadlines would cost two timer
// changes.
type conn struct {
	net.Conn
	srv   *Server
	tally *tally // of its requests

	// phase and wait have a phase or a kind of waiting in the low bits, and above these the time at
	// which it began. The connection's goroutine writes them; the sweep and makeRoom read them. A
	// wait ends by a swap alone. This goroutine ends it when it has read or written something, the
	// sweep when it took too long, makeRoom to close the connection. So nothing but a wait is cut,
	// and none is cut for what was seen of an earlier one.
	phase atomic.Int64
	wait  atomic.Int64
	body  atomic.Int64 // bytes read since the handler began

	// Guarded by room.mu.
	place *list.Element // at the door; nil: it does not stand there
	order uint64        // how many connections were accepted before

	// The same, and written by the connection's goroutine, which so reads them
	// without it.
	peer  bool // it has carried a message of a node
	guest bool // and has the place of a client
	extra bool // it stands at the door: it was let in beyond the bound, for it may be a node's

	// The rest belongs to the connection's goroutine.
	in       *bufio.Reader
	out      *bufio.Writer // nil: nothing was answered yet
	req      bodyReader    // the body of the request at hand
	has      fieldSet      // of that request
	scratch  *scratch
	waited   time.Duration // of the time of its handler: for the client; only where it is asked for
	linked   bool          // from the next answer on it carries messages of nodes
	linger   bool          // the client may still be sending: let it read the answer
	untaken  bool          // the client has been waited for, and does not take what it is sent
	partings int           // requests that were read since answers end their connections
	eof      bool          // the client has sent its last byte
}

func newConn(srv *Server, nc net.Conn) *conn {
	return &conn{Conn: nc, srv: srv, tally: srv.journal.tallies.next()}
}

func (c *conn) setPhase(p int64) { c.phase.Store(c.srv.clock.Load()<<phaseBits | p) }

// setWait begins a wait, unless the connection was closed to make room: that may be as soon as
// it is accepted. What makes a request stalled is measured; for the rest the clock of the last tick
// will do.
func (c *conn) setWait(w int64) (word int64, ok bool) {
	since := c.srv.clock.Load()
	if w == waitRead || w == waitWrite {
		since = c.srv.clock.now()
	}
	word = since<<phaseBits | w
	for {
		before := c.wait.Load()
		if before == waitGone {
			return 0, false
		}
		if c.wait.CompareAndSwap(before, word) {
			return word, true
		}
	}
}

func unpack(word int64) (kind, since int64) {
	return word & (1<<phaseBits - 1), word >> phaseBits
}

// beginHandler notes that the headers are complete.
func (c *conn) beginHandler() {
	c.body.Store(0)
	c.waited = 0
	c.setPhase(phaseHandler)
}

// Read reads from the client. What was answered goes out first: while there is something to read
// without waiting, answers gather.
func (c *conn) Read(p []byte) (int, error) {
	if !c.srv.opts.SlowLog.On() {
		return c.read(p)
	}
	began := time.Now()
	n, err := c.read(p)
	c.waited += time.Since(began)
	return n, err
}

func (c *conn) read(p []byte) (int, error) {
	if c.out != nil && c.out.Buffered() > 0 {
		if err := c.out.Flush(); err != nil {
			return 0, err
		}
	}
	phase, _ := unpack(c.phase.Load())
	kind := int64(waitRead)
	switch {
	case phase <= phaseIdle:
		kind = waitNext
	case phase < phaseHandler:
		kind = waitHead
	}
	waiting, ok := c.setWait(kind)
	if !ok {
		return 0, io.EOF
	}
	n, err := c.receive(p, waiting)
	if !c.wait.CompareAndSwap(waiting, waitNone) {
		if c.closed() {
			return 0, io.EOF
		}
		if err == nil {
			err = os.ErrDeadlineExceeded
		}
	}
	if phase == phaseNew && isTLS(p[:n]) {
		c.linger = true
		tell(c.Conn, sayPlain)
		return 0, errSpeaksTLS
	}
	if phase >= phaseHandler {
		c.body.Add(int64(n))
	}
	if err == io.EOF {
		c.eof = true
	}
	if err != nil && kind == waitNext && c.srv.ending.stopping() {
		err = io.EOF // its last call is over, and there is nothing to answer
	}
	return n, err
}

// closed says that the last wait was ended by makeRoom.
func (c *conn) closed() bool { return c.wait.Load() == waitGone }

// writePieceBytes is how much a client has to take within the write timeout:
// one Write can be megabytes, and says nothing of its progress.
const writePieceBytes = 256 << 10

func (c *conn) Write(p []byte) (n int, err error) {
	for {
		piece := p[n:min(len(p), n+writePieceBytes)]
		waiting, ok := c.setWait(waitWrite)
		if !ok {
			return n, net.ErrClosed
		}
		m, err := c.Conn.Write(piece)
		if !c.wait.CompareAndSwap(waiting, waitNone) {
			c.untaken = true
			err = cmp.Or(err, os.ErrDeadlineExceeded)
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

// longAgo as a deadline fails what waits now.
var longAgo = time.Unix(1, 0)

// lingerBytesMax bounds what is read and dropped of a client that was refused; timeouts.linger
// bounds for how long.
const lingerBytesMax = 64 << 20

// Close closes the connection. If the client may still be sending, a plain close would reset the
// connection, and the client would lose the answer that says what is wrong. So the sending side is
// closed first. What still comes is read and dropped, within bounds, until the client closes too.
func (c *conn) Close() error {
	c.release() // the answer is written; the wait below needs no memory
	if c.linger && !c.eof {
		if half, ok := c.Conn.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
			_ = c.Conn.SetReadDeadline(time.Now().Add(c.srv.limits.linger))
			c.setWait(waitClose)
			n, err := io.Copy(io.Discard, io.LimitReader(c.Conn, lingerBytesMax))
			c.untaken = c.untaken || err != nil || n == lingerBytesMax
			c.wait.Store(waitNone)
		}
	}
	if c.untaken {
		return c.reset()
	}
	return c.Conn.Close()
}

// reset closes the connection so that nothing is left of it in the kernel. Else the kernel would
// offer the client for minutes what it does not take.
func (c *conn) reset() error {
	bare := bareConn(c.Conn)
	if tcp, ok := bare.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	return bare.Close()
}

// bareConn is what lies under TLS, which says goodbye before it closes, and may wait for that.
func bareConn(nc net.Conn) net.Conn {
	for {
		over, ok := nc.(interface{ NetConn() net.Conn })
		if !ok {
			return nc
		}
		nc = over.NetConn()
	}
}

// connOf is the connection of a request.
func connOf(ctx *fasthttp.RequestCtx) *conn { return ctx.Conn().(*conn) }
