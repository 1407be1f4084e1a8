package replicate

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"httpdhs/kv"
)

const (
	// ExchangePath is where a node takes messages of other nodes.
	ExchangePath = "/internal/exchange"

	dialTimeout = time.Second

	// peerConnsMax bounds the connections to one peer: one for the batch in
	// flight, one for the prober, the rest for listings.
	peerConnsMax = 16

	// peerIdleMax is shorter than any server's idle timeout, so that a pooled
	// connection is seldom one that the peer is about to close.
	peerIdleMax = 30 * time.Second

	answerRoom = 64 << 20 // in an answer, beside the largest value
)

var errClosed = errors.New("the peer closed the connection")

// HTTPTransport carries messages as POST requests over pooled keep-alive
// connections.
type HTTPTransport struct {
	// Dial, when set before the first message, opens the connections instead
	// of the operating system.
	Dial func(addr string, timeout time.Duration) (net.Conn, error)

	client *fasthttp.HostClient
	name   string
	secret string

	mu    sync.Mutex // guards conns
	conns map[*trackedConn]struct{}
}

// NewHTTPTransport makes a transport to the node at addr (host:port). The
// secret is sent when it is not empty; with config the connection is TLS. The
// largest value, maxValue, bounds an answer: what its head announces is allocated at once.
func NewHTTPTransport(addr, secret string, config *tls.Config, maxValue int) *HTTPTransport {
	t := &HTTPTransport{name: addr, secret: secret, conns: make(map[*trackedConn]struct{})}
	t.client = &fasthttp.HostClient{
		Addr:                          addr,
		IsTLS:                         config != nil,
		TLSConfig:                     config,
		DialTimeout:                   t.dial,
		MaxConns:                      peerConnsMax,
		MaxConnWaitTimeout:            time.Second,
		MaxIdleConnDuration:           peerIdleMax,
		MaxIdemponentCallAttempts:     1, // trying again is the peer's decision
		MaxResponseBodySize:           answerRoom + maxValue,
		ReadBufferSize:                64 << 10,
		WriteBufferSize:               64 << 10,
		NoDefaultUserAgentHeader:      true,
		DisableHeaderNamesNormalizing: true,
		DisablePathNormalizing:        true,
		ConnPoolStrategy:              fasthttp.LIFO,
	}
	return t
}

// dial resolves the name anew each time: a peer may come back elsewhere.
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

func (t *HTTPTransport) roundTrip(dst, message []byte, deadline time.Time) ([]byte, error) {
	req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(resp)
	req.Header.DisableNormalizing()
	req.Header.SetMethod(fasthttp.MethodPost)
	req.Header.SetHost(t.name)
	req.SetRequestURI(ExchangePath)
	if t.client.IsTLS {
		req.URI().SetScheme("https")
	}
	req.Header.SetContentType("application/octet-stream")
	if t.secret != "" {
		req.Header.Set(kv.SecretHeader, t.secret)
	}
	req.SetBodyRaw(message)
	if err := t.client.DoDeadline(req, resp, deadline); err != nil {
		if !isTimeout(err) {
			// Where one connection is broken the others are: all are those of a node that was restarted, or cut off. Another message would try the next of them.
			t.client.CloseIdleConnections()
		}
		if errors.Is(err, fasthttp.ErrConnectionClosed) {
			err = errClosed // fasthttp's has advice for whoever writes the server
		}
		return dst, err
	}
	switch code := resp.StatusCode(); code {
	case fasthttp.StatusOK:
		return append(dst, resp.Body()...), nil
	case fasthttp.StatusBadRequest, fasthttp.StatusRequestEntityTooLarge:
		return dst, fmt.Errorf("%w: %d %s", ErrRefused, code, excerpt(resp.Body()))
	default:
		return dst, fmt.Errorf("%s answers %d %s", t.name, code, excerpt(resp.Body()))
	}
}

// excerpt is the start of an error's body, fit for a log line.
func excerpt(body []byte) string { return fmt.Sprintf("%.200q", body) }

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
	t.client.CloseIdleConnections()
}

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
