package client

import (
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

// Options say which cluster a client talks to, and how. Addrs is required. The zero value of every
// other field takes its default; a negative number or duration is an error.
type Options struct {
	// Addrs are the addresses of one or more nodes. The client finds the other nodes by itself;
	// more addresses help while some nodes are down.
	//
	// An address is host:port, or a URL: http://host:port or https://host:port. A URL without a
	// port means port 80 or 443. An address without a scheme goes along with the others.
	Addrs []string

	// NoRouting sends every request to Addrs, and never to the names by which the nodes know each
	// other. Set it where those names do not work: behind a load balancer, or with forwarded ports.
	NoRouting bool

	// Token is the cluster's token for clients, the content of --auth-token-file. White space
	// around it is dropped.
	Token string

	// TLS turns on TLS towards every node, with these settings. Nil: TLS is on if an address
	// begins with https://, and certificates are checked against the roots of the system. To trust
	// an authority of your own, set RootCAs.
	TLS *tls.Config

	// Timeout bounds a request with all its attempts. The deadline of the context bounds it, too.
	// Default: 10 s.
	Timeout time.Duration

	// DialTimeout bounds one attempt to connect. Default: 2 s.
	DialTimeout time.Duration

	// MaxConns bounds the connections to each node. Further requests wait for one. Default: 512.
	MaxConns int

	// MaxResponseBytes bounds one answer of a node. Default: 256 MiB.
	MaxResponseBytes int

	// UserAgent names the program to the nodes. Default: httpdhs-client.
	UserAgent string
}

const (
	defaultTimeout          = 10 * time.Second
	defaultDialTimeout      = 2 * time.Second
	defaultMaxConns         = 512
	defaultMaxResponseBytes = 256 << 20

	// maxIdle is how long an idle connection stays in the pool. It is shorter than the idle
	// timeout of any server: a connection that the server closes first costs a write its
	// certainty.
	maxIdle = 5 * time.Second
)

// Client talks to one cluster. Make it with New, share it, and Close it at the end.
type Client struct {
	opts Options
	tls  bool

	// Replaced by tests.
	now         func() time.Time
	sleep       sleeper
	ringTimeout time.Duration

	closed     atomic.Bool
	routes     atomic.Pointer[routes]
	refreshing chan struct{} // has room for the one request that looks at the ring
}

// New makes a client. It does not connect: the first call finds out whether the cluster is there.
func New(opts Options) (*Client, error) {
	if err := opts.complete(); err != nil {
		return nil, err
	}
	c := &Client{opts: opts, tls: opts.TLS != nil, now: time.Now, sleep: sleepTimer,
		ringTimeout: ringTimeout, refreshing: make(chan struct{}, 1)}
	hosts := make([]string, 0, len(opts.Addrs))
	plain := ""
	for _, text := range opts.Addrs {
		text = strings.TrimSpace(text)
		a, err := parseAddr(text)
		if err != nil {
			return nil, err
		}
		switch a.scheme {
		case "http":
			plain = text
		case "https":
			c.tls = true
		}
		hosts = append(hosts, a.host)
	}
	if c.tls && plain != "" {
		return nil, fmt.Errorf("address %q is without TLS, but Options.TLS or another address turns TLS on:"+
			" a cluster is one or the other", plain)
	}
	c.routes.Store(c.seedRoutes(hosts))
	return c, nil
}

// complete checks the options and fills in the defaults.
func (o *Options) complete() error {
	switch {
	case len(o.Addrs) == 0:
		return errors.New("no address of a node: set Options.Addrs, for example to localhost:1234")
	case o.Timeout < 0 || o.DialTimeout < 0 || o.MaxConns < 0 || o.MaxResponseBytes < 0:
		return errors.New("a negative number or duration in Options: use 0 for the default")
	}
	o.Token = strings.TrimSpace(o.Token)
	if hasControl(o.Token) || hasControl(o.UserAgent) {
		return errors.New("Options.Token or UserAgent has control characters: each is one line of text")
	}
	o.Timeout = orDefault(o.Timeout, defaultTimeout)
	o.DialTimeout = orDefault(o.DialTimeout, defaultDialTimeout)
	o.MaxConns = orDefault(o.MaxConns, defaultMaxConns)
	o.MaxResponseBytes = orDefault(o.MaxResponseBytes, defaultMaxResponseBytes)
	if o.UserAgent == "" {
		o.UserAgent = "httpdhs-client"
	}
	if o.TLS != nil {
		o.TLS = o.TLS.Clone() // the caller may go on to change theirs
	}
	return nil
}

func orDefault[T int | time.Duration](v, otherwise T) T {
	if v == 0 {
		return otherwise
	}
	return v
}

// hasControl says whether s would not survive in a header.
func hasControl(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f })
}

// Close ends the use of the client. Later calls return ErrClosed; calls under way go on to their
// end. Idle connections close now, the others within seconds after their call. Closing twice does
// no harm.
func (c *Client) Close() {
	c.closed.Store(true)
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
	return &endpoint{addr: addr, slots: make(chan struct{}, c.opts.MaxConns), host: &fasthttp.HostClient{
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
