package server

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/fasthttp/router"
	"github.com/valyala/fasthttp"

	"httpdhs/internal/seal"
	"httpdhs/kv"
)

// Options says how a server behaves. The zero value of a field is its default.
type Options struct {
	Name    string    // this node's name: the X-Dht-Node header
	Version string    // shown by GET /
	Limits  kv.Limits // default kv.DefaultLimits()

	DefaultTimeout time.Duration // of an operation; default 5s
	MaxTimeout     time.Duration // the most that ?timeout= may ask for; default 60s

	Log       *slog.Logger // default: discard
	AccessLog bool         // a line a request, at level info

	// AuthToken, if set, is what clients send as "Authorization: Bearer …" to
	// everything but /healthz, /readyz and /internal/.
	AuthToken string

	// ClusterSecret, if set, is what the messages of other nodes have to be
	// sealed with: see package seal.
	ClusterSecret string

	// PeerHost says whether a member of the cluster is on a host, which is of no
	// interest with a ClusterSecret. With patience it may wait a moment for what
	// is about to be known. nil: on all.
	PeerHost func(host netip.Addr, patience bool) bool

	// OwnHost says whether a name, in lower case and without a port, is one by
	// which clients may call this node. It is asked of each request whose Host
	// is neither an IP address nor localhost; where it says no, the answer is
	// a 403. nil: any name will do, as for a node that serves other machines.
	OwnHost func(name string) bool

	Metrics fasthttp.RequestHandler // GET /metrics; nil: 404
	Console fasthttp.RequestHandler // GET / for browsers; nil: a short text for all

	// ConsolePaths are those that Console answers. They need no token.
	ConsolePaths []string

	// MaxConns bounds the connections of clients: for a further one another is
	// closed that waits for its client, and if none does it gets a 503 (see
	// room.go). Those of nodes are beside them, and bounded by an eighth of it.
	// Default 8192.
	MaxConns int

	// MaxInFlightBytes bounds the request bodies of clients that are in
	// memory at once, and those of peers by the same again: over it is a 503.
	// Default 256 MiB.
	MaxInFlightBytes int64

	// MaxAnswerBytes bounds the values and pages, those above 16 KiB, that are
	// in memory until clients have taken them: over it is a 503. Default
	// 256 MiB.
	MaxAnswerBytes int64

	// MaxExchangeBytes bounds one message between nodes. Default 64 MiB.
	MaxExchangeBytes int
}

const (
	defaultMaxConns         = 8192
	defaultMaxInFlightBytes = 256 << 20
	defaultMaxAnswerBytes   = 256 << 20
	defaultMaxExchangeBytes = 64 << 20
)

func (o *Options) setDefaults() {
	def := kv.DefaultLimits()
	if o.Limits.MaxKeyBytes <= 0 {
		o.Limits.MaxKeyBytes = def.MaxKeyBytes
	}
	if o.Limits.MaxValueBytes <= 0 {
		o.Limits.MaxValueBytes = def.MaxValueBytes
	}
	if o.MaxTimeout <= 0 {
		o.MaxTimeout = time.Minute
	}
	if o.DefaultTimeout <= 0 {
		o.DefaultTimeout = 5 * time.Second
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.MaxConns <= 0 {
		o.MaxConns = defaultMaxConns
	}
	if o.MaxInFlightBytes <= 0 {
		// The largest value must fit, sent as the longest form that holds it.
		o.MaxInFlightBytes = max(defaultMaxInFlightBytes, int64(formRawMax(o.Limits.MaxValueBytes))+1)
	}
	if o.MaxAnswerBytes <= 0 {
		// The largest page must fit, in JSON, which may take six bytes for one, in a buffer that has
		// grown to hold it.
		o.MaxAnswerBytes = max(defaultMaxAnswerBytes, 8*int64(pageBytesMax+o.Limits.MaxValueBytes))
	}
	if o.MaxExchangeBytes <= 0 {
		// So must a record with it, beside others.
		o.MaxExchangeBytes = max(defaultMaxExchangeBytes, 2*o.Limits.MaxValueBytes)
	}
}

// Server serves HTTP from one or more listeners until Shutdown. Safe for
// concurrent use.
type Server struct {
	opts    Options
	store   Store
	cluster Cluster
	peers   Peers

	router    *router.Router
	log       *slog.Logger
	faults    throttle
	strangers [len(messageFaults)]throttle // of log lines about messages that are refused
	sealer    *seal.Sealer
	stats     counters
	ring      ringCache

	// What connections work with, and give back.
	scratch  sync.Pool // *scratch
	contexts sync.Pool // *fasthttp.RequestCtx
	readers  sync.Pool // *bufio.Reader
	writers  sync.Pool // *bufio.Writer

	limits     timeouts
	now        func() int64  // milliseconds since the start
	clock      atomic.Int64  // milliseconds since the start, of now, as of the last tick
	sweepEvery time.Duration // 0: a test turns the clock
	dateSeen   atomic.Int64  // the last Date of an answer that was looked at, Unix seconds

	clientBytes, peerBytes, answerBytes budget
	strangeBytes                        budget // of hosts that are no member's

	stopping atomic.Bool
	stop     chan struct{}  // closed when stopping becomes true
	wg       sync.WaitGroup // connections and Serve calls
	sweeper  sync.WaitGroup // the sweep loop, which outlives the connections

	mu struct {
		sync.Mutex
		listeners map[net.Listener]struct{}
		crowd
		sweepStop chan struct{} // nil: no sweep loop
	}
}

// New makes a server; nothing runs until Serve.
func New(o Options, store Store, cluster Cluster, peers Peers) *Server {
	o.setDefaults()
	s := &Server{
		opts: o, store: store, cluster: cluster, peers: peers,
		log:        o.Log,
		sealer:     seal.New(o.ClusterSecret),
		limits:     defaultTimeouts(),
		sweepEvery: time.Second,
		stop:       make(chan struct{}),
	}
	started := time.Now()
	s.now = func() int64 { return time.Since(started).Milliseconds() }
	s.clientBytes.max = o.MaxInFlightBytes
	s.peerBytes.max = max(o.MaxInFlightBytes, int64(o.MaxExchangeBytes))
	s.answerBytes.max = o.MaxAnswerBytes
	s.strangeBytes.max = strangeBytesMax
	s.scratch.New = func() any { return new(scratch) }
	s.contexts.New = func() any { return new(fasthttp.RequestCtx) }
	s.readers.New = func() any { return bufio.NewReaderSize(nil, 3*o.Limits.MaxKeyBytes+headerRoomBytes) }
	s.writers.New = func() any { return bufio.NewWriterSize(nil, writeBufferBytes) }
	s.mu.listeners = make(map[net.Listener]struct{})
	s.mu.crowd = newCrowd(o.MaxConns)
	s.router = s.routes()
	return s
}

const (
	// A key may be percent-encoded throughout; the rest is for headers.
	headerRoomBytes = 8 << 10

	// The answer to a batch between nodes is one system call if it fits.
	writeBufferBytes = 16 << 10
)

// Serve answers the connections of ln until Shutdown, and then returns nil.
// It closes ln. A listener that fails for good is an error.
func (s *Server) Serve(ln net.Listener) error {
	defer ln.Close()
	if !s.begin(ln) {
		return nil
	}
	defer s.wg.Done()
	pause := time.Duration(0)
	for {
		nc, err := ln.Accept()
		switch {
		case err == nil:
			pause = 0
			s.accept(nc)
			continue
		case s.stopping.Load():
			return nil
		case !acceptAgain(err):
			return fmt.Errorf("cannot accept connections on %s: %w", ln.Addr(), err)
		}
		// Out of file descriptors or memory: connections that are closed make room.
		pause = min(max(2*pause, 5*time.Millisecond), time.Second)
		if s.closeOne() {
			pause = time.Millisecond
		}
		s.fault("cannot accept a connection; trying again", err)
		select {
		case <-time.After(pause):
		case <-s.stop:
			return nil
		}
	}
}

// begin registers a listener, unless the server is stopping.
func (s *Server) begin(ln net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping.Load() {
		return false
	}
	s.wg.Add(1)
	s.mu.listeners[ln] = struct{}{}
	if s.mu.sweepStop == nil && s.sweepEvery > 0 {
		s.mu.sweepStop = make(chan struct{})
		s.sweeper.Add(1)
		go s.sweepLoop(s.mu.sweepStop)
	}
	return true
}

func acceptAgain(err error) bool {
	for _, errno := range []syscall.Errno{
		syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM,
		syscall.ECONNABORTED, syscall.ECONNRESET, syscall.EINTR,
	} {
		if errors.Is(err, errno) {
			return true
		}
	}
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

func (s *Server) serveConn(c *conn) {
	defer s.wg.Done()
	defer func() {
		// The handler has its own; this is for what is called besides.
		if v := recover(); v != nil {
			s.panicked(v, "")
			_ = c.Conn.Close()
		}
		c.release()
		s.mu.Lock()
		s.mu.drop(c)
		s.mu.Unlock()
	}()
	err := c.serve()
	_ = c.Close() // what the client was to be told is written, or was not
	var broken *fasthttp.ErrBodyStreamWritePanic
	if errors.As(err, &broken) {
		s.panicked(broken, "")
	} else if err != nil {
		s.fault("connection failed", err)
	}
}

// Shutdown stops accepting, closes connections that are idle, lets requests
// finish (their answers say Connection: close), and at the end of ctx closes
// the rest and returns its error. Handlers end when the store has answered
// them: a Store that is closed answers kv.ErrStopping at once.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	if !s.stopping.Swap(true) {
		close(s.stop)
	}
	for ln := range s.mu.listeners {
		_ = ln.Close()
	}
	clear(s.mu.listeners)
	for c := range s.mu.conns {
		c.wakeIfIdle()
	}
	s.mu.Unlock()

	done := make(chan struct{})
	go func() {
		s.wg.Wait()
		close(done)
	}()
	var err error
	select {
	case <-done:
	case <-ctx.Done():
		err = ctx.Err()
		s.mu.Lock()
		for c := range s.mu.conns {
			_ = c.Conn.Close()
		}
		s.mu.Unlock()
		// Handlers that only wait for their connection end now.
		select {
		case <-done:
		case <-time.After(time.Second):
		}
	}
	s.mu.Lock()
	if s.mu.sweepStop != nil {
		close(s.mu.sweepStop)
		s.mu.sweepStop = nil
	}
	s.mu.Unlock()
	s.sweeper.Wait()
	return err
}
