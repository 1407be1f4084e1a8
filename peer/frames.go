package peer

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"iter"
	"maps"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"httpdhs/internal/seal"
)

const (
	dialTimeout = time.Second

	// linksMax bounds the connections to one peer: one for the batch in flight, one for the prober,
	// the rest for what is asked past the queue.
	linksMax = 16

	// linkIdleMax is shorter than any server's idle timeout, so that a pooled connection is seldom
	// one that the peer is about to close. It is longer than the pause between probes, and short,
	// for a node that starts has each member asked what it holds: in a large cluster that takes
	// many files.
	linkIdleMax = 4 * time.Second

	answerRoom = 64 << 20 // in an answer, beside the largest value
)

// FrameTransport carries messages in frames (package seal) over pooled connections, each of which
// has one message under way. It seals them, and takes no answer without a good seal.
type FrameTransport struct {
	// Dial, when set before the first message, opens the connections instead
	// of the operating system.
	Dial func(addr string, timeout time.Duration) (net.Conn, error)

	// Addr, when set before the first message, is where connections go. The node is still called by
	// its name, and its certificate is for that.
	Addr string

	// LookUp, when set before the first message, finds the addresses of a host instead of the
	// operating system.
	LookUp func(ctx context.Context, host string) ([]string, error)

	name      string
	config    *tls.Config // nil: without TLS
	sealer    *seal.Sealer
	answerMax int
	places    chan struct{} // a token for each message under way

	mu      sync.Mutex // guards all below
	last    string     // host:port that a name last led to, where a connection was made; empty: none was
	links   map[*link]struct{}
	idle    []*link // of links, the one used last at the end
	reaping bool    // reap is going to be called
}

// NewFrameTransport makes a transport to the node at addr (host:port). The address is also the name
// of the node, but for hellos. The secret is that of the cluster; empty: it has none. With config
// the connection is TLS. maxValue is the most bytes that a value may have. It bounds an answer.
func NewFrameTransport(addr, secret string, config *tls.Config, maxValue int) *FrameTransport {
	return &FrameTransport{
		name: addr, config: config, sealer: seal.New(secret), answerMax: answerRoom + maxValue,
		places: make(chan struct{}, linksMax), links: make(map[*link]struct{}),
	}
}

// RoundTrip implements Transport. A panic of what it calls is an error like any other, for senders
// and probers have nobody who would recover it.
func (t *FrameTransport) RoundTrip(dst, message []byte, deadline time.Time) (answer []byte, err error) {
	if err := t.enter(deadline); err != nil {
		return dst, err
	}
	defer func() {
		if v := recover(); v != nil {
			t.Abort()
			answer, err = dst, fmt.Errorf("the way to %s: panic: %v", t.name, v)
		}
		<-t.places
	}()
	sound := false
	l, err := t.take(deadline)
	if err == nil {
		dst, sound, err = l.exchange(dst, message, deadline)
		t.put(l, err)
	}
	if err != nil && !sound && !IsTimeout(err) {
		// Where one connection is broken the others are: all are those of a node that was
		// restarted, or cut off. Another message would try the next of them.
		t.CloseIdle()
	}
	return dst, err
}

// enter waits for a place.
func (t *FrameTransport) enter(deadline time.Time) error {
	select {
	case t.places <- struct{}{}:
		return nil
	default:
	}
	late := time.NewTimer(time.Until(deadline))
	defer late.Stop()
	select {
	case t.places <- struct{}{}:
		return nil
	case <-late.C:
		return fmt.Errorf("%d messages are under way to %s: %w", linksMax, t.name, os.ErrDeadlineExceeded)
	}
}

// take is a connection that carries nothing now: the one that was used last, or a new one.
func (t *FrameTransport) take(deadline time.Time) (*link, error) {
	t.mu.Lock()
	if n := len(t.idle); n > 0 {
		l := t.idle[n-1]
		t.idle = t.idle[:n-1]
		t.mu.Unlock()
		return l, nil
	}
	t.mu.Unlock()
	return t.open(deadline)
}

// open makes a connection.
func (t *FrameTransport) open(deadline time.Time) (*link, error) {
	dial := t.Dial
	if dial == nil {
		dial = t.dialTCP
	}
	left := time.Until(deadline)
	if left <= 0 {
		return nil, os.ErrDeadlineExceeded
	}
	conn, err := dial(cmp.Or(t.Addr, t.name), min(left, dialTimeout))
	if err != nil {
		return nil, err
	}
	l := newLink(conn, t)
	t.mu.Lock()
	t.links[l] = struct{}{}
	t.mu.Unlock()
	if err := l.upgrade(deadline); err != nil {
		t.drop(l)
		return nil, err
	}
	return l, nil
}

// put takes a connection back. One on which something went wrong is closed: what comes next on it
// may be the rest of an answer.
func (t *FrameTransport) put(l *link, err error) {
	if err != nil {
		t.drop(l)
		return
	}
	l.used = time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, open := t.links[l]; !open { // it was aborted
		return
	}
	t.idle = append(t.idle, l)
	if !t.reaping {
		t.reaping = true
		time.AfterFunc(linkIdleMax, t.reap)
	}
}

// reap closes the connections that have carried nothing for linkIdleMax.
func (t *FrameTransport) reap() {
	t.mu.Lock()
	defer t.mu.Unlock()
	old, now := 0, time.Now()
	for old < len(t.idle) && now.Sub(t.idle[old].used) >= linkIdleMax {
		old++
	}
	t.closeLocked(slices.Values(t.idle[:old]))
	t.idle = slices.Delete(t.idle, 0, old)
	if t.reaping = len(t.idle) > 0; t.reaping {
		time.AfterFunc(linkIdleMax-now.Sub(t.idle[0].used), t.reap)
	}
}

// drop closes a connection that is not idle.
func (t *FrameTransport) drop(l *link) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closeLocked(slices.Values([]*link{l}))
}

// closeLocked closes connections without the goodbye of TLS, which may wait for a peer that takes
// nothing. Frames say where they end.
func (t *FrameTransport) closeLocked(links iter.Seq[*link]) {
	for l := range links {
		delete(t.links, l)
		_ = l.raw.Close()
	}
}

// Abort implements Transport.
func (t *FrameTransport) Abort() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closeLocked(maps.Keys(t.links))
	t.idle = nil
}

// CloseIdle implements Transport.
func (t *FrameTransport) CloseIdle() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closeLocked(slices.Values(t.idle))
	t.idle = nil
}
