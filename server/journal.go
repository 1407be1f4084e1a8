package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"httpdhs/internal/slowlog"
)

// journal is what is counted and logged. What anybody can bring about is logged once a second at
// most.
type journal struct {
	log   *slog.Logger
	clock *clock
	counters

	faults   throttle
	refusals [len(messageFaults)]throttle
}

type counters struct {
	tallies         tallies
	refusedMessages [len(messageFaults)]atomic.Int64

	rejectedConns, evictedConns, slowConns, malformed, panics, overloaded atomic.Int64
}

func (j *journal) panicked(v any, target string) {
	j.panics.Add(1)
	j.log.Error("panic while serving a request", "panic", fmt.Sprint(v), "target", target, "stack", string(debug.Stack()))
}

func (j *journal) access(ctx *fasthttp.RequestCtx, took time.Duration) {
	j.log.LogAttrs(context.Background(), slog.LevelInfo, "request", requestAttrs(ctx, string(ctx.Request.Header.RequestURI()), took)...)
}

// accessMalformed is access for what never became a request: its method and target are not known,
// nor when it began.
func (j *journal) accessMalformed(ctx *fasthttp.RequestCtx, why error) {
	j.log.LogAttrs(context.Background(), slog.LevelInfo, "request",
		slog.String("remote", ctx.RemoteAddr().String()),
		slog.String("method", "-"),
		slog.String("target", "-"),
		slog.Int("status", ctx.Response.StatusCode()),
		slog.Int("bytes", len(ctx.Response.Body())),
		slog.String("reason", why.Error()))
}

// requestAttrs tell of a request that was answered.
func requestAttrs(ctx *fasthttp.RequestCtx, target string, took time.Duration) []slog.Attr {
	size := -1 // not known yet
	if !ctx.Response.IsBodyStream() {
		size = len(ctx.Response.Body())
	}
	return appendTrace([]slog.Attr{
		slog.String("remote", ctx.RemoteAddr().String()),
		slog.String("method", string(ctx.Method())),
		slog.String("target", target),
		slog.Int("status", ctx.Response.StatusCode()),
		slog.Int("bytes", size),
		slog.Duration("took", took),
	}, &ctx.Request.Header)
}

// slowAttrs tell of one that took long, also how much came in, how many replicas have a write, and
// for how long the client was waited for.
func slowAttrs(ctx *fasthttp.RequestCtx, c *conn, took time.Duration) []slog.Attr {
	received := c.body.Load()
	if sc := c.scratch; sc != nil {
		received = max(received, int64(len(sc.body)))
	}
	attrs := append(requestAttrs(ctx, slowlog.Short(ctx.Request.Header.RequestURI()), took),
		slog.Duration("waited_for_client", c.waited), slog.Int64("received", received))
	if acks := ctx.Response.Header.PeekBytes(headerAcks); len(acks) > 0 {
		attrs = append(attrs, slog.String("acks", string(acks)))
	}
	return attrs
}

// fault logs what goes wrong with connections.
func (j *journal) fault(msg string, err error) {
	if held, ok := j.faults.allow(j.clock.Load()); ok {
		j.log.Debug(msg, "error", err, "more_since_last", held)
	}
}

// Printf makes it fasthttp's logger.
func (j *journal) Printf(format string, args ...any) {
	j.fault("fasthttp", fmt.Errorf(format, args...))
}

// refusedMessage counts and logs that a message of another node was not taken.
func (j *journal) refusedMessage(from net.Addr, err error) {
	for i := range messageFaults {
		fault := &messageFaults[i]
		if !errors.Is(err, fault.err) {
			continue
		}
		j.refusedMessages[i].Add(1)
		if held, ok := j.refusals[i].allow(j.clock.Load()); ok {
			j.log.Warn(fault.log, "from", from.String(), "reason", err, "more_since_last", held)
		}
		return
	}
}

// throttle lets one of many through each second, and says how many it held
// back before.
type throttle struct {
	last atomic.Int64
	held atomic.Int64
}

func (t *throttle) allow(nowMillis int64) (held int64, ok bool) {
	const every = 1000
	last := t.last.Load()
	if (last != 0 && nowMillis-last < every) || !t.last.CompareAndSwap(last, max(nowMillis, 1)) {
		t.held.Add(1)
		return 0, false
	}
	return t.held.Swap(0), true
}
