package server

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"

	"github.com/valyala/fasthttp"
)

// serve answers the requests of the connection, one after the other, until one of them, the
// client or Shutdown ends it. fasthttp reads and writes the headers; what a body is, and where
// the next request begins, is decided here alone (head.go, body.go).
//
// Answers gather while the next request is there already, and go out before the connection is
// read: see conn.Read.
func (c *conn) serve() error {
	s := c.srv
	ctx := s.contexts.Get().(*fasthttp.RequestCtx)
	ctx.Init2(c, &s.journal, false)
	c.in = s.readers.Get().(*bufio.Reader)
	c.in.Reset(c)
	c.req.conn = c
	defer func() {
		ctx.Request.Reset()
		ctx.Response.Reset()
		ctx.Init2(nil, nil, false)
		s.contexts.Put(ctx)
		c.in.Reset(nil)
		s.readers.Put(c.in)
		if c.out != nil {
			c.out.Reset(nil)
			s.writers.Put(c.out)
		}
		c.in, c.out = nil, nil
	}()
	for first := true; ; first = false {
		if _, err := c.in.Peek(1); err != nil {
			if first && errors.Is(err, os.ErrDeadlineExceeded) {
				return c.refuse(ctx, err)
			}
			return ended(err)
		}
		phase := int64(phaseHeader)
		if first {
			phase = phaseFirst
		}
		c.setPhase(phase)
		if err := c.readHead(&ctx.Request.Header); err != nil {
			return c.refuse(ctx, err)
		}
		ctx.Response.Header.SetNoDefaultContentType(true)
		s.handle(ctx)
		if last, err := c.answer(ctx); last || err != nil {
			return err
		}
		c.release()
		ctx.Request.Reset()
		ctx.Response.Reset()
		c.linger = false
		if c.linked {
			return s.messages.serve(c)
		}
		c.setPhase(phaseIdle)
	}
}

// ended is what is wrong with a connection that ends between two requests.
func ended(err error) error {
	if err == io.EOF || errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	return err
}

// readHead reads the head of a request, once its first byte is there.
func (c *conn) readHead(h *fasthttp.RequestHeader) error {
	var scan head
	for n := 1; ; n = c.in.Buffered() + 1 {
		_, err := c.in.Peek(n)
		b, _ := c.in.Peek(c.in.Buffered())
		complete, fault := scan.scan(b)
		switch {
		case fault != nil:
			return fault
		case complete:
			return c.takeHead(h, &scan, b)
		case err != nil:
			return err
		case len(b) == c.in.Size() && scan.lines == 0:
			return errTargetTooLong
		case len(b) == c.in.Size():
			return errHeadersTooLarge
		}
	}
}

// takeHead has fasthttp read the head that b begins with.
func (c *conn) takeHead(h *fasthttp.RequestHeader, scan *head, b []byte) error {
	if scan.minor > '1' {
		// What speaks a later HTTP/1 understands this one (RFC 9110, section 2.5); to fasthttp
		// it would be HTTP/1.0.
		b[scan.minorAt] = '1'
	}
	if err := h.Read(c.in); err != nil {
		return err
	}
	if len(b)-c.in.Buffered() != scan.at {
		return errRequestLine // they do not agree on where it ends: so will others
	}
	if _, host, _ := splitAbsolute(h.RequestURI()); scan.named && !bytes.EqualFold(host, h.Host()) {
		// The target counts (RFC 9112, section 3.2.2). But who goes by the Host header, as
		// strangerFault does, would be misled.
		return errOtherHost
	}
	c.has = scan.has
	c.req.begin(scan)
	return nil
}

// refuse answers what never became a request, and ends the connection.
func (c *conn) refuse(ctx *fasthttp.RequestCtx, err error) error {
	if c.closed() {
		return nil // to make room: there is nobody to answer
	}
	ctx.Response.Header.SetNoDefaultContentType(true)
	c.srv.malformed(ctx, err)
	ctx.Response.SetConnectionClose()
	_, err = c.answer(ctx)
	return err
}

var serverName = []byte("httpdhs")

// answer writes the response, and says whether it is the connection's last. Unless it is, the next
// bytes that come are those of the next request.
func (c *conn) answer(ctx *fasthttp.RequestCtx) (last bool, err error) {
	res := &ctx.Response
	last = res.ConnectionClose() || ctx.Request.Header.ConnectionClose() || c.req.endsConn()
	switch {
	case last:
		res.SetConnectionClose()
	case !ctx.Request.Header.IsHTTP11():
		res.Header.Set(fasthttp.HeaderConnection, "keep-alive") // which is not the default there
	}
	res.SkipBody = ctx.IsHead()
	res.Header.SetServerBytes(serverName)
	if err := res.Write(c.writer()); err != nil {
		return true, err
	}
	if !last && !c.req.drop() {
		c.linger, last = true, true
	}
	if last {
		return true, c.out.Flush()
	}
	return false, nil
}

// sayContinue tells the client to send the body. What was answered before goes first.
func (c *conn) sayContinue() error {
	_, _ = c.writer().WriteString("HTTP/1.1 100 Continue\r\n\r\n") // Flush tells
	return c.out.Flush()
}

// writer buffers what is written. It is there from the first answer on.
func (c *conn) writer() *bufio.Writer {
	if c.out == nil {
		c.out = c.srv.writers.Get().(*bufio.Writer)
		c.out.Reset(c)
	}
	return c.out
}
