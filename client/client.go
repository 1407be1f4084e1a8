package client

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

// Options say which cluster a client speaks to and how. The zero value of
// each field but Addrs is a good default.
type Options struct {
	// Addrs are members of the cluster, any of them: host:port, or a URL such
	// as https://host:port. One is enough, more help while some are down.
	Addrs []string

	// Token is sent as the bearer token of every request.
	Token string

	// TLS, when set, is used towards every node. https in Addrs asks for TLS
	// too, with the roots of the system unless TLS says otherwise.
	TLS *tls.Config

	// Timeout bounds a request over all its attempts. 0: 10 s.
	Timeout time.Duration

	// DialTimeout bounds one attempt to connect. 0: 2 s.
	DialTimeout time.Duration

	// MaxConns bounds the connections to a node; requests beyond wait for
	// one. 0: 512.
	MaxConns int

	// MaxResponseBytes bounds one answer. 0: 256 MiB.
	MaxResponseBytes int

	// UserAgent names the program. Empty: httpdhs-client.
	UserAgent string
}

const (
	defaultTimeout          = 10 * time.Second
	defaultDialTimeout      = 2 * time.Second
	defaultMaxConns         = 512
	defaultMaxResponseBytes = 256 << 20

	// maxIdle is how long a connection stays in the pool. It is below any
	// server's idle timeout: a connection that the server closes first costs
	// a write its certainty.
	maxIdle = 5 * time.Second
)

// Client sends requests to the owners of their keys. Make one with New.
type Client struct {
	opts Options
	tls  bool

	// Passed in by tests.
	now         func() time.Time
	sleep       sleeper
	ringTimeout time.Duration

	routes     atomic.Pointer[routes]
	refreshing chan struct{} // has room for the one request that looks at the ring
}

// New makes a client. It does not connect: a cluster that is down is found
// out by the first request.
func New(opts Options) (*Client, error) {
	if len(opts.Addrs) == 0 {
		return nil, errors.New("no address of a node was given")
	}
	if strings.ContainsFunc(opts.Token+opts.UserAgent, control) {
		return nil, errors.New("the token or the user agent has control characters, such as a line end: leave them out")
	}
	if opts.Timeout <= 0 {
		opts.Timeout = defaultTimeout
	}
	if opts.DialTimeout <= 0 {
		opts.DialTimeout = defaultDialTimeout
	}
	if opts.MaxConns <= 0 {
		opts.MaxConns = defaultMaxConns
	}
	if opts.MaxResponseBytes <= 0 {
		opts.MaxResponseBytes = defaultMaxResponseBytes
	}
	if opts.UserAgent == "" {
		opts.UserAgent = "httpdhs-client"
	}
	c := &Client{opts: opts, tls: opts.TLS != nil, now: time.Now, sleep: sleepTimer,
		ringTimeout: ringTimeout, refreshing: make(chan struct{}, 1)}
	hosts := make([]string, 0, len(opts.Addrs))
	for _, addr := range opts.Addrs {
		host, https, err := splitAddr(addr)
		if err != nil {
			return nil, err
		}
		if len(hosts) > 0 && https != c.tls && opts.TLS == nil {
			return nil, errors.New("some addresses are https and some are not: a cluster is one or the other")
		}
		c.tls = c.tls || https
		hosts = append(hosts, host)
	}
	c.routes.Store(c.seedRoutes(hosts))
	return c, nil
}

// splitAddr takes host:port or a URL of a node apart.
func splitAddr(addr string) (host string, https bool, err error) {
	scheme, rest, found := strings.Cut(addr, "://")
	if found {
		addr = strings.TrimSuffix(rest, "/")
		if scheme != "http" && scheme != "https" {
			return "", false, fmt.Errorf("address %q: the scheme is %s, want http or https", rest, scheme)
		}
	}
	h, port, err := net.SplitHostPort(addr)
	if err != nil || h == "" || port == "" {
		return "", false, fmt.Errorf("address %q is not host:port", addr)
	}
	if strings.ContainsAny(addr, "/?#@ ") {
		return "", false, fmt.Errorf("address %q has more than host:port", addr)
	}
	return addr, scheme == "https", nil
}

// Close closes the idle connections. Requests in flight are not interrupted.
func (c *Client) Close() {
	for _, e := range c.routes.Load().all {
		e.host.CloseIdleConnections()
	}
}

// newEndpoint makes the connection pool of a node.
func (c *Client) newEndpoint(addr string) *endpoint {
	cfg := c.opts.TLS
	if cfg == nil {
		cfg = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	d := dialer{timeout: c.opts.DialTimeout, tls: c.tls, config: cfg}
	return &endpoint{addr: addr, host: &fasthttp.HostClient{
		Addr:                addr,
		Name:                c.opts.UserAgent,
		IsTLS:               c.tls,
		DialTimeout:         d.dial,
		MaxConns:            c.opts.MaxConns,
		MaxConnWaitTimeout:  c.opts.Timeout,
		MaxIdleConnDuration: maxIdle,
		MaxResponseBodySize: c.opts.MaxResponseBytes,
		ReadBufferSize:      16 << 10,

		// What is sent again, and where, is decided in send.go alone.
		MaxIdemponentCallAttempts:     1,
		DisablePathNormalizing:        true,
		DisableHeaderNamesNormalizing: false,
	}}
}
