package server

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"
	"time"

	"github.com/valyala/fasthttp"
)

// handle is the handler of every request.
func (s *Server) handle(ctx *fasthttp.RequestCtx) {
	c := connOf(ctx)
	c.beginHandler()
	var start time.Time
	if s.opts.AccessLog {
		start = time.Now()
	}
	s.guarded(ctx)
	s.finish(ctx, c)
	if s.opts.AccessLog {
		s.logAccess(ctx, time.Since(start))
	}
}

// guarded serves the request, and answers 500 for a handler that panics.
func (s *Server) guarded(ctx *fasthttp.RequestCtx) {
	defer func() {
		if v := recover(); v != nil {
			s.panicked(v, string(ctx.Request.Header.RequestURI()))
			ctx.Response.Reset()
			s.fail(ctx, errInternal)
			ctx.Response.SetConnectionClose()
		}
	}()
	if c := connOf(ctx); c.extra && !s.seat(c, ctx) {
		return
	}
	s.serve(ctx)
}

// finish puts on every answer what every answer has.
func (s *Server) finish(ctx *fasthttp.RequestCtx, c *conn) {
	ctx.Response.Header.SetCanonical(headerNode, s2b(s.opts.Name))
	if !bytes.HasPrefix(ctx.Request.Header.RequestURI(), internalPrefix) {
		s.setCacheControl(&ctx.Response.Header)
	}
	if s.stopping.Load() || c.extra {
		ctx.Response.SetConnectionClose()
	}
	c.linger = c.linger || c.req.left != 0
	if sc := c.scratch; sc != nil && sc.weight() > sc.held {
		s.settle(ctx, sc)
	}
	s.stats.count(ctx, ctx.Response.StatusCode())
}

// setCacheControl has caches ask before they use an answer again, and proxies
// leave its bytes and its entity tag alone, unless the writer of the value or the
// handler says otherwise. Without it, caches guess from Last-Modified and go by
// Expires: they would give out what is overwritten or deleted.
func (s *Server) setCacheControl(h *fasthttp.ResponseHeader) {
	switch {
	case len(h.PeekCanonical(headerCacheControl)) > 0:
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
	s.stats.malformed.Add(1)
	s.fail(ctx, err)
	ctx.Response.Header.SetCanonical(headerNode, s2b(s.opts.Name))
	s.setCacheControl(&ctx.Response.Header)
	s.stats.countAs(classOther, ctx.Response.StatusCode())
}

// printable cuts a message of fasthttp down to what fits an answer.
func printable(msg string) string {
	const longest = 200
	if len(msg) > longest {
		msg = msg[:longest] + "…"
	}
	return msg
}

func (s *Server) panicked(v any, target string) {
	s.stats.panics.Add(1)
	s.log.Error("panic while serving a request", "panic", fmt.Sprint(v), "target", target, "stack", string(debug.Stack()))
}

func (s *Server) logAccess(ctx *fasthttp.RequestCtx, took time.Duration) {
	size := -1 // not known yet
	if !ctx.Response.IsBodyStream() {
		size = len(ctx.Response.Body())
	}
	s.log.Info("request",
		slog.String("remote", ctx.RemoteAddr().String()),
		slog.String("method", string(ctx.Method())),
		slog.String("target", string(ctx.Request.Header.RequestURI())),
		slog.Int("status", ctx.Response.StatusCode()),
		slog.Int("bytes", size),
		slog.Duration("took", took))
}

// fault logs, seldom, what goes wrong with connections: anyone can make them
// fail as often as they like.
func (s *Server) fault(msg string, err error) {
	if n, ok := s.faults.allow(s.clock.Load()); ok {
		s.log.Debug(msg, "error", err, "more_since_last", n)
	}
}

// debugLogger is fasthttp's logger.
type debugLogger struct{ s *Server }

func (l debugLogger) Printf(format string, args ...any) {
	l.s.fault("fasthttp", fmt.Errorf(format, args...))
}
