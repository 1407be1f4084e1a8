package peer

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"httpdhs/internal/seal"
	"httpdhs/wire"
)

// Where a node takes messages of other nodes. Hellos have a path of their own: their sender may not
// be a member yet, and need not know the name of the node that it asks.
const (
	exchangePath = "/internal/exchange"
	helloPath    = "/internal/hello"
)

const (
	dialTimeout = time.Second

	// peerConnsMax bounds the connections to one peer: one for the batch in
	// flight, one for the prober, the rest for listings.
	peerConnsMax = 16

	// peerIdleMax is shorter than any server's idle timeout, so that a pooled
	// connection is seldom one that the peer is about to close. It is longer than
	// the pause between probes, and short, for a node that starts has each member
	// asked what it holds: in a large cluster that takes many files.
	peerIdleMax = 4 * time.Second

	answerRoom = 64 << 20 // in an answer, beside the largest value
)

var errClosed = errors.New("the peer closed the connection")

// HTTPTransport carries messages as POST requests over pooled keep-alive connections. It seals
// them, and takes no answer without a good seal: see package seal.
type HTTPTransport struct {
	// Dial, when set before the first message, opens the connections instead
	// of the operating system.
	Dial func(addr string, timeout time.Duration) (net.Conn, error)

	client *fasthttp.HostClient
	name   string
	sealer *seal.Sealer

	mu    sync.Mutex // guards conns
	conns map[*trackedConn]struct{}
}

// NewHTTPTransport makes a transport to the node at addr (host:port). The address is also the name
// of the node, but for hellos. The secret is that of the cluster; empty: it has none. With config
// the connection is TLS. maxValue is the most bytes that a value may have. It bounds an answer,
// since what the answer's head announces is allocated at once.
func NewHTTPTransport(addr, secret string, config *tls.Config, maxValue int) *HTTPTransport {
	t := &HTTPTransport{name: addr, sealer: seal.New(secret), conns: make(map[*trackedConn]struct{})}
	t.client = &fasthttp.HostClient{
		Addr:                      addr,
		IsTLS:                     config != nil,
		TLSConfig:                 config,
		DialTimeout:               t.dial,
		MaxConns:                  peerConnsMax,
		MaxConnWaitTimeout:        time.Second,
		MaxIdleConnDuration:       peerIdleMax,
		MaxIdemponentCallAttempts: 1, // trying again is the peer's decision
		MaxResponseBodySize:       answerRoom + maxValue,
		ReadBufferSize:            64 << 10,
		WriteBufferSize:           64 << 10,
		NoDefaultUserAgentHeader:  true,
		DisablePathNormalizing:    true,
		ConnPoolStrategy:          fasthttp.LIFO,
	}
	return t
}

// dial resolves the name again each time: a peer may come back elsewhere.
func (t *HTTPTransport) dial(addr string, timeout time.Duration) (net.Conn, error) {
	if timeout <= 0 || timeout > dialTimeout {
		timeout = dialTimeout
	}
	open := t.Dial
	if open == nil {
		open = dialTCP
	}
	conn, err := open(addr, timeout)
	if err != nil {
		return nil, err
	}
	c := &trackedConn{Conn: conn, t: t}
	t.mu.Lock()
	t.conns[c] = struct{}{}
	t.mu.Unlock()
	return c, nil
}

func dialTCP(addr string, timeout time.Duration) (net.Conn, error) {
	return net.DialTimeout("tcp", addr, timeout)
}

// RoundTrip implements Transport. A panic of the library, whatever the peer has answered, is an
// error like any other: it must not end the process.
func (t *HTTPTransport) RoundTrip(dst, message []byte, deadline time.Time) (answer []byte, err error) {
	defer func() {
		if v := recover(); v != nil {
			answer, err = dst, fmt.Errorf("the HTTP client cannot cope with %s: panic: %v", t.name, v)
		}
	}()
	return t.roundTrip(dst, message, deadline)
}

// seals are those of round trips.
var seals = sync.Pool{New: func() any { return new(seal.Seal) }}

func (t *HTTPTransport) roundTrip(dst, message []byte, deadline time.Time) ([]byte, error) {
	req, resp, sealed := fasthttp.AcquireRequest(), fasthttp.AcquireResponse(), seals.Get().(*seal.Seal)
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(resp)
	defer seals.Put(sealed)
	purpose, path := seal.Exchange, exchangePath
	if wire.IsHello(message) {
		purpose, path = seal.Hello, helloPath
	}
	req.Header.DisableNormalizing()
	req.Header.SetMethod(fasthttp.MethodPost)
	req.Header.SetHost(t.name)
	req.SetRequestURI(path)
	if t.client.IsTLS {
		req.URI().SetScheme("https")
	}
	req.Header.SetContentType("application/octet-stream")
	req.Header.SetBytesV(seal.Header, t.sealer.Request(sealed, purpose, t.name, message))
	req.SetBodyRaw(message)
	if err := t.client.DoDeadline(req, resp, deadline); err != nil {
		if !IsTimeout(err) {
			// Where one connection is broken the others are: all are those of a node that was
			// restarted, or cut off. Another message would try the next of them.
			t.CloseIdle()
		}
		if errors.Is(err, fasthttp.ErrConnectionClosed) {
			err = errClosed // fasthttp's has advice for whoever writes the server
		}
		return dst, err
	}
	if err := t.judge(resp, sealed); err != nil {
		return dst, err
	}
	return append(dst, resp.Body()...), nil
}

// judge says what is wrong with an answer. Nothing is believed of one whose seal is not good, least
// of all that the peer will never take the message.
func (t *HTTPTransport) judge(resp *fasthttp.Response, sealed *seal.Seal) error {
	code, body := resp.StatusCode(), resp.Body()
	err := t.sealer.OpenAnswer(sealed, resp.Header.Peek(seal.Header), code, body)
	if err != nil {
		t.CloseIdle() // what comes next on this one may be the rest of the answer
	}
	if code == fasthttp.StatusOK {
		if err != nil {
			err = fmt.Errorf("the answer of %s is not taken: %w", t.name, err)
		}
		return err
	}
	said := fmt.Errorf("%s answers %d %s", t.name, code, excerpt(body))
	if errors.Is(err, seal.ErrNone) && code != fasthttp.StatusServiceUnavailable { // which says that the peer is too busy to look
		said = fmt.Errorf("%w; %w", said, err)
	}
	switch code {
	case fasthttp.StatusForbidden:
		return fmt.Errorf("%w: %w", ErrStranger, said)
	case fasthttp.StatusBadRequest, fasthttp.StatusRequestEntityTooLarge:
		if err == nil {
			return fmt.Errorf("%w: %w", ErrRefused, said)
		}
	}
	return said
}

// excerpt is what an error's body says, as plain text: it goes into log lines and answers of this
// node, where JSON in JSON could not be read. Of any other body it is the start.
func excerpt(body []byte) string {
	var doc struct{ Error string }
	if json.Unmarshal(body, &doc) == nil && doc.Error != "" {
		return fmt.Sprintf("%.300s", doc.Error)
	}
	return fmt.Sprintf("%.200q", body)
}

// Abort implements Transport.
func (t *HTTPTransport) Abort() {
	t.mu.Lock()
	open := make([]*trackedConn, 0, len(t.conns))
	for c := range t.conns {
		open = append(open, c)
	}
	t.mu.Unlock()
	for _, c := range open {
		c.Close()
	}
	t.CloseIdle()
}

// CloseIdle implements Transport.
func (t *HTTPTransport) CloseIdle() { t.client.CloseIdleConnections() }

// trackedConn is a connection that Abort can find.
type trackedConn struct {
	net.Conn
	t *HTTPTransport
}

func (c *trackedConn) Close() error {
	c.t.mu.Lock()
	delete(c.t.conns, c)
	c.t.mu.Unlock()
	return c.Conn.Close()
}
