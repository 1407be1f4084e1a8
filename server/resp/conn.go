package resp

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime/debug"
	"sync/atomic"
	"time"
)

// What a connection's goroutine waits for.
const (
	waitNone  = iota
	waitNext  // a command, with nothing of it there yet
	waitGuest // the same, of a client that has to say who it is, or to shake hands
	waitRest  // the rest of a command
	waitWrite // the client to take answers
	waitLate  // any of these, and the sweep has found that it takes too long
	waitBits  = 3
)

// conn is a client's connection. It notes what it waits for and since when, for the sweep to judge:
// that takes an atomic store or two where deadlines would cost two timer changes.
type conn struct {
	net.Conn
	srv *Server

	// wait has a kind of waiting in the low bits, and above these the time at which it began. This
	// goroutine ends a wait when it has read or written something, the sweep when it took too long.
	// Each does so by a swap: so no wait is cut for what was seen of an earlier one.
	wait atomic.Int64

	public // what any goroutine may read

	// The rest belongs to the connection's goroutine.
	parser  parser
	session session
	held    int64 // of memory.in, for the parser
	linger  bool  // the client may still be sending: let it read the answer
	untaken bool  // the client has been waited for, and does not take what it is sent
	eof     bool  // the client has sent its last byte
}

func newConn(srv *Server, nc net.Conn) *conn {
	c := &conn{Conn: nc, srv: srv, parser: newParser(srv.opts.Limits.MaxValueBytes)}
	c.session = session{
		srv: srv, conn: c, created: time.Now(), write: srv.opts.Write, read: srv.opts.Read,
		authed: srv.opts.AuthToken == "",
	}
	return c
}

// serve answers commands until one of them, the client or Shutdown ends the connection.
func (c *conn) serve() error {
	s := &c.session
	if err := c.shakeHands(); err != nil {
		return ended(err)
	}
	for {
		fault := c.fill()
		if fault != nil && fault != errInFull {
			return ended(fault)
		}
		s.begin()
		if fault != nil {
			c.refuse(fault)
		} else {
			c.takeAll()
		}
		err := s.flush()
		s.end()
		if s.closing || err != nil {
			return err
		}
	}
}

// shakeHands does what TLS begins with. A client has no longer for that than a guest.
func (c *conn) shakeHands() error {
	secure, ok := c.Conn.(*tls.Conn)
	if !ok {
		return nil
	}
	waiting := c.setWait(waitGuest)
	if c.srv.stopping.Load() {
		return io.EOF
	}
	err := secure.Handshake()
	if !c.wait.CompareAndSwap(waiting, waitNone) {
		err = cmp.Or(err, os.ErrDeadlineExceeded)
	}
	return err
}

// ended is what is wrong with a connection that cannot be read any more.
func ended(err error) error {
	if err == io.EOF || errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	return err
}

// takeAll carries out all commands that have arrived.
func (c *conn) takeAll() {
	s := &c.session
	defer func() {
		if v := recover(); v != nil {
			c.srv.counters.panics.Add(1)
			c.srv.journal.log.Error("panic while serving a command", "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
			s.abandon()
			c.refuse(errInternal)
		}
	}()
	for !s.closing && s.broken == nil {
		if len(s.pending) == 0 {
			clear(s.args)
			s.args = s.args[:0]
		}
		first := len(s.args)
		c.parser.guest = !s.authed
		args, ok, err := c.parser.next(s.args)
		if err != nil {
			s.carryOut()
			c.srv.counters.malformed.Add(1)
			c.refuse(err)
			return
		}
		if s.args = args; !ok {
			break
		}
		s.dispatch(args[first:len(args):len(args)])
	}
	s.carryOut()
}

var (
	errInternal = errors.New("ERR internal error; the node's log has the details")
	errInFull   = errors.New("OOM the commands that are being read have come to their bound of memory; try again")
)

// refuse answers with an error that ends the connection.
func (c *conn) refuse(err error) {
	s := &c.session
	s.out.error(err.Error())
	s.closing, c.linger = true, true
}

// fill reads more from the client, after what there is of a command.
func (c *conn) fill() error {
	p := &c.parser
	if err := c.makeRoom(); err != nil {
		return err
	}
	kind := int64(waitNext)
	switch {
	case p.partial():
		kind = waitRest
	case !c.session.authed:
		kind = waitGuest
	}
	n, err := c.readSome(p.buf[p.end:], kind)
	p.end += n
	if n > 0 {
		c.srv.counters.inBytes.Add(int64(n))
		return nil // the error comes again
	}
	return err
}

func (c *conn) readSome(into []byte, kind int64) (int, error) {
	waiting := c.setWait(kind)
	if c.srv.stopping.Load() {
		// Checked after the wait is noted, as wakeReader looks at it after stopping is set: one of
		// the two sees the other.
		return 0, io.EOF
	}
	n, err := c.Conn.Read(into)
	if !c.wait.CompareAndSwap(waiting, waitNone) {
		c.wait.Store(waitNone)
		err = cmp.Or(err, os.ErrDeadlineExceeded)
	}
	c.eof = err == io.EOF
	return n, err
}

// makeRoom makes sure that there is room behind what was read.
func (c *conn) makeRoom() error {
	p, m := &c.parser, &c.srv.memory
	switch {
	case !p.partial():
		p.start, p.end = 0, 0
		if len(p.buf) != readBufBytes {
			m.putBuf(p.buf)
			p.buf = m.getBuf(readBufBytes)
		}
		if heavy(cap(p.spans)*spanWeight) > 0 {
			p.spans = nil
		}
	case p.start > 0:
		p.end = copy(p.buf, p.buf[p.start:p.end])
		p.start = 0
	}
	size := len(p.buf)
	if p.end == size {
		size *= 2
		if known := p.known(); known > p.end {
			size = min(size, known)
		}
	}
	want := heavy(size) + heavy(cap(p.spans)*spanWeight)
	if want > c.held && !m.in.take(want-c.held) {
		c.srv.counters.overloaded.Add(1)
		return errInFull
	}
	if want < c.held {
		m.in.give(c.held - want)
	}
	c.held = want
	if size > len(p.buf) {
		grown := m.getBuf(size)
		copy(grown, p.buf[:p.end])
		m.putBuf(p.buf)
		p.buf = grown
	}
	return nil
}

// writePieceBytes is how much a client has to take within the write timeout.
const writePieceBytes = 256 << 10

func (c *conn) writeAll(b []byte) error {
	c.srv.counters.outBytes.Add(int64(len(b)))
	for len(b) > 0 {
		piece := b[:min(len(b), writePieceBytes)]
		waiting := c.setWait(waitWrite)
		_, err := c.Conn.Write(piece)
		if !c.wait.CompareAndSwap(waiting, waitNone) {
			c.wait.Store(waitNone)
			c.untaken = true
			err = cmp.Or(err, os.ErrDeadlineExceeded)
		}
		if err != nil {
			return err
		}
		b = b[len(piece):]
	}
	return nil
}

func (c *conn) setWait(kind int64) (word int64) {
	word = c.srv.clock.Load()<<waitBits | kind
	c.wait.Store(word)
	return word
}

func unpack(word int64) (kind, since int64) { return word & (1<<waitBits - 1), word >> waitBits }

// longAgo as a deadline fails what waits now.
var longAgo = time.Unix(1, 0)

// endWait ends a wait that takes too long, unless it is over.
func (c *conn) endWait(word int64) bool {
	if !c.wait.CompareAndSwap(word, waitLate) {
		return false
	}
	if kind, _ := unpack(word); kind == waitWrite {
		_ = c.SetWriteDeadline(longAgo)
	} else {
		_ = c.SetReadDeadline(longAgo)
	}
	return true
}

// wakeReader ends a wait for the client to send. Called with stopping set.
func (c *conn) wakeReader() {
	switch kind, _ := unpack(c.wait.Load()); kind {
	case waitNext, waitGuest, waitRest:
		_ = c.SetReadDeadline(longAgo)
	}
}

// lingerBytesMax bounds what is read and dropped of a client that was refused.
const lingerBytesMax = 64 << 20

// close closes the connection. If the client may still be sending, a plain close would reset the
// connection, and the client would lose the answer that says what is wrong. So the sending side is
// closed first. What still comes is read and dropped, within bounds, until the client closes too.
func (c *conn) close() {
	m := &c.srv.memory
	c.session.discard()
	m.putBuf(c.parser.buf)
	m.in.give(c.held)
	c.parser, c.held = parser{}, 0
	if c.linger && !c.eof {
		if half, ok := c.Conn.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
			_ = c.SetReadDeadline(time.Now().Add(c.srv.limits.linger))
			n, err := io.Copy(io.Discard, io.LimitReader(c.Conn, lingerBytesMax))
			c.untaken = err != nil || n == lingerBytesMax
		}
	}
	if !c.untaken {
		_ = c.Conn.Close()
		return
	}
	// Nothing is to be left of it in the kernel, which else would offer the client for minutes what
	// it does not take.
	under := bare(c.Conn)
	if tcp, ok := under.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = under.Close()
}
