package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

// How long a node that did not answer is left alone: doubled with every
// further failure.
const (
	backoffMin = 500 * time.Millisecond
	backoffMax = 16 * time.Second
)

// endpoint is a node as seen from here: its connections, and whether it answered lately. If nobody
// noted that, every request for a node that is off the network would pay the dial timeout again.
type endpoint struct {
	addr string
	host *fasthttp.HostClient

	// slots bounds the requests under way, to as many as there may be connections. fasthttp can
	// wait for a connection, too, but reports the end of that wait like a node that is silent.
	slots chan struct{}

	failures  atomic.Int32
	downUntil atomic.Int64 // Unix nanoseconds; 0: up
}

// errNoConn is that of a request that has waited for a connection until its time was over.
var errNoConn = fmt.Errorf("all connections are in use: raise Options.MaxConns, or send less at a time (%w)",
	context.DeadlineExceeded)

// acquire takes a slot, for the caller to release, and waits for it no longer than timeout. The
// error is errNoConn, or that the context was cancelled.
func (e *endpoint) acquire(ctx context.Context, timeout time.Duration) error {
	select {
	case e.slots <- struct{}{}:
		return nil
	default:
	}
	over := time.NewTimer(timeout)
	defer over.Stop()
	select {
	case e.slots <- struct{}{}:
		return nil
	case <-over.C:
	case <-ctx.Done():
		if err := ctx.Err(); err == context.Canceled {
			return err
		}
	}
	return errNoConn
}

func (e *endpoint) release() { <-e.slots }

// usable says whether the endpoint should be tried before those in trouble.
// When its time is over, one request gets to try it and the others still go
// elsewhere until that one has come back.
func (e *endpoint) usable(now time.Time) bool {
	until := e.downUntil.Load()
	if until == 0 {
		return true
	}
	if now.UnixNano() < until {
		return false
	}
	return e.downUntil.CompareAndSwap(until, now.Add(backoffMin).UnixNano())
}

// succeeded notes that the node answered.
func (e *endpoint) succeeded() {
	if e.downUntil.Load() != 0 {
		e.failures.Store(0)
		e.downUntil.Store(0)
	}
}

// failed notes that the node did not answer. Its idle connections are as dead
// as the one that just broke, and each would cost another request.
func (e *endpoint) failed(now time.Time, err error) {
	e.host.CloseIdleConnections()
	if !nothingSent(err) && !errors.Is(err, errNoAnswer) {
		// A broken connection is often a node that was restarted. Whether it
		// is down, the next dial tells.
		return
	}
	n := e.failures.Add(1)
	wait := min(backoffMin<<min(n-1, 10), backoffMax)
	e.downUntil.Store(now.Add(wait).UnixNano())
}

// dialError marks an attempt in which not a byte of the request left.
type dialError struct{ err error }

func (e *dialError) Error() string { return e.err.Error() }
func (e *dialError) Unwrap() error { return e.err }

// nothingSent says whether the node cannot have seen any of the request.
func nothingSent(err error) bool {
	var dial *dialError
	return errors.As(err, &dial) || errors.Is(err, fasthttp.ErrNoFreeConns)
}

// dialer connects, the TLS handshake included, so that whatever goes wrong in
// it is known to be before the request.
type dialer struct {
	timeout time.Duration
	tls     bool
	config  *tls.Config
}

func (d dialer) dial(addr string, timeout time.Duration) (net.Conn, error) {
	if timeout <= 0 || timeout > d.timeout {
		timeout = d.timeout
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	conn, err := d.dialContext(ctx, addr)
	if err != nil {
		return nil, &dialError{err}
	}
	return conn, nil
}

func (d dialer) dialContext(ctx context.Context, addr string) (net.Conn, error) {
	if d.tls {
		return (&tls.Dialer{Config: d.config}).DialContext(ctx, "tcp", addr)
	}
	return (&net.Dialer{}).DialContext(ctx, "tcp", addr)
}
