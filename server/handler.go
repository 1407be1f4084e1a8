package server

import (
	"bytes"
	"errors"
	"io"
	"os"
	"time"

	"github.com/valyala/fasthttp"
)

// handle is the handler of every request.
func (s *Server) handle(ctx *fasthttp.RequestCtx) {
	c := connOf(ctx)
	c.beginHandler()
	timed := s.opts.AccessLog || s.opts.SlowLog.On()
	var start time.Time
	if timed {
		start = time.Now()
	}
	s.guarded(ctx, c)
	s.finish(ctx, c)
	if timed {
		s.tell(ctx, c, start)
	}
}

// tell logs a request that began at start, if it is to be.
func (s *Server) tell(ctx *fasthttp.RequestCtx, c *conn, start time.Time) {
	now := time.Now()
	took := now.Sub(start)
	if s.opts.AccessLog {
		s.journal.access(ctx, took)
	}
	if s.opts.SlowLog.Slow(took-c.waited, now) {
		s.opts.SlowLog.Say("slow request", slowAttrs(ctx, c, took)...)
	}
}

// guarded serves the request, and answers 500 for a handler that panics.
func (s *Server) guarded(ctx *fasthttp.RequestCtx, c *conn) {
	defer func() {
		if v := recover(); v != nil {
			s.journal.panicked(v, string(ctx.Request.Header.RequestURI()))
			ctx.Response.Reset()
			fail(ctx, errInternal)
			ctx.Response.SetConnectionClose()
		}
	}()
	if c.extra && !s.seat(c, ctx) {
		fail(ctx, errConns)
		ctx.Response.Header.Set(fasthttp.HeaderRetryAfter, "1")
		return
	}
	if err := s.routes.serve(ctx); err != nil {
		fail(ctx, err)
	}
}

// finish puts on every answer what every answer has.
func (s *Server) finish(ctx *fasthttp.RequestCtx, c *conn) {
	s.sign(ctx, !bytes.HasPrefix(ctx.Request.Header.RequestURI(), internalPrefix))
	if !c.linked && (c.extra || s.ending.parting() && c.parts()) {
		ctx.Response.SetConnectionClose()
	}
	c.linger = c.linger || c.req.left != 0
	status := ctx.Response.StatusCode()
	if sc := c.scratch; sc != nil {
		s.settleAnswer(ctx, sc)
		c.tally.operation(sc, status)
	}
	c.tally.request(classOf(ctx), status)
}

// settleAnswer counts what the answer keeps in memory.
func (s *Server) settleAnswer(ctx *fasthttp.RequestCtx, sc *scratch) {
	if ctx.Response.IsBodyStream() {
		sc.out = s.settle(sc, sc.out) // which is what the stream goes on from
	} else if answer := ctx.Response.Body(); len(answer) > 0 {
		ctx.Response.SetBodyRaw(s.settle(sc, answer))
	} else {
		s.settle(sc, answer)
	}
}

// sign puts this node's name on an answer, and on that of a client which pages may read it.
//
// It also has caches ask before they use an answer of a client again, and proxies leave its bytes
// and its entity tag alone. The writer of the value or the handler may say otherwise. Without it,
// caches guess from Last-Modified and go by Expires: they would give out what is overwritten or
// deleted.
func (s *Server) sign(ctx *fasthttp.RequestCtx, forClient bool) {
	h := &ctx.Response.Header
	h.SetCanonical(headerNode, s2b(s.opts.Name))
	if forClient && s.opts.Origins != nil {
		s.opts.Origins.sign(ctx)
	}
	switch {
	case !forClient || len(h.PeekCanonical(headerCacheControl)) > 0:
	case s.opts.AuthToken != "":
		h.SetCanonical(headerCacheControl, []byte("private, no-cache, no-transform"))
	default:
		h.SetCanonical(headerCacheControl, []byte("no-cache, no-transform"))
	}
}

// malformed answers what never became a request: its head could not be read.
func (s *Server) malformed(ctx *fasthttp.RequestCtx, err error) {
	c := connOf(ctx)
	c.linger = true
	var own *statusError
	switch {
	case errors.As(err, &own):
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = errTooSlow
	case errors.Is(err, io.ErrUnexpectedEOF), c.eof:
		err = errCutShort
	default:
		err = badFraming(printable(err.Error()))
	}
	s.journal.malformed.Add(1)
	fail(ctx, err)
	s.sign(ctx, true)
	c.tally.request(classOther, ctx.Response.StatusCode())
	if s.opts.AccessLog {
		s.journal.accessMalformed(ctx, err)
	}
}

// printable cuts a message of fasthttp down to what fits an answer.
func printable(msg string) string {
	const longest = 200
	if len(msg) > longest {
		msg = msg[:longest] + "…"
	}
	return msg
}
