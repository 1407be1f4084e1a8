package server

import (
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"httpdhs/internal/accept"
	"httpdhs/internal/nonblock"
	"httpdhs/internal/slowlog"
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
	SlowLog   *slowlog.Log // those that took long; nil: off

	// AuthToken, if set, is what clients send as "Authorization: Bearer …" to everything but the
	// paths that SECURITY.md lists.
	AuthToken string

	// ClusterSecret, if set, is what the messages of other nodes have to be
	// sealed with: see package seal.
	ClusterSecret string

	// PeerHost says whether a member of the cluster is on a host, which is of no
	// interest with a ClusterSecret. With patience it may wait a moment for what
	// is about to be known. nil: on all.
	PeerHost func(host netip.Addr, patience bool) bool

	// Origins are those of the web pages that may read and write here, beside
	// the node's own; nil: none.
	Origins *Origins

	// OwnHost says whether a name, in lower case and without a port, is one by
	// which clients may call this node. It is asked of each request whose Host
	// is neither an IP address nor localhost; where it says no, the answer is
	// a 403. nil: any name will do, as for a node that serves other machines.
	OwnHost func(name string) bool

	Metrics fasthttp.RequestHandler // GET /metrics; nil: 404

	// MetricsToken, if set, is good for GET /metrics, as AuthToken is, and for nothing else.
	MetricsToken string

	Console fasthttp.RequestHandler // GET / for browsers; nil: a short text for all

	// ConsolePaths are those that Console answers. They need no token.
	ConsolePaths []string

	// MaxConns bounds the connections of clients: for a further one another is
	// closed that waits for its client, and if none does it gets a 503 (see
	// room.go). Those of nodes are beside them, and bounded by an eighth of it.
	// Default 8192.
	MaxConns int

	// MaxInFlightBytes bounds the request bodies of clients that are in memory
	// at once: over it is a 503, and 413 for one that would never fit. Default
	// 256 MiB.
	MaxInFlightBytes int64

	// MaxAnswerBytes bounds the values and pages, those above 16 KiB, that are
	// in memory until clients have taken them: over it is a 503. Default
	// 256 MiB.
	MaxAnswerBytes int64

	// MaxExchangeBytes bounds one message between nodes. Default 64 MiB.
	MaxExchangeBytes int

	// MaxMessageBytes bounds the messages of other nodes that are in memory at once: over it is a
	// 503, and they come again. Default MaxInFlightBytes, and at least MaxExchangeBytes.
	MaxMessageBytes int64
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
		// The largest page must fit. JSON may take six bytes for one, in a buffer that has grown
		// to hold it.
		o.MaxAnswerBytes = max(defaultMaxAnswerBytes, 8*int64(pageBytesMax+o.Limits.MaxValueBytes))
	}
	if o.MaxExchangeBytes <= 0 {
		// So must a record with it, beside others.
		o.MaxExchangeBytes = max(defaultMaxExchangeBytes, 2*o.Limits.MaxValueBytes)
	}
	if o.MaxMessageBytes <= 0 {
		o.MaxMessageBytes = max(o.MaxInFlightBytes, int64(o.MaxExchangeBytes))
	}
}

// pageBytes is where a page ends early. Where answers have little memory, several still fit.
func (o *Options) pageBytes() int { return int(min(pageBytesMax, o.MaxAnswerBytes/8)) }

// Server serves HTTP from one or more listeners until Shutdown. Safe for
// concurrent use.
//
// It is what all its connections have in common: where they are (room), what they work with
// (pools), what they may hold (budgets), and what answers their requests (routes).
type Server struct {
	opts Options
	room
	pools
	budgets
	journal  journal
	routes   *routes
	keys     *keys
	cluster  *cluster
	messages *messages

	listening struct {
		sync.Mutex
		on map[net.Listener]struct{}
	}
	stop chan struct{}  // closed when stopping becomes true
	wg   sync.WaitGroup // connections and Serve calls
}

// New makes a server; nothing runs until Serve.
func New(o Options, store Store, members Cluster, peers Peers) *Server {
	o.setDefaults()
	started := time.Now()
	s := &Server{opts: o, stop: make(chan struct{})}
	s.journal.log, s.journal.clock = o.Log, &s.clock
	s.room.name, s.room.journal = o.Name, &s.journal
	s.clock.now = func() int64 { return time.Since(started).Milliseconds() }
	s.limits, s.sweepEvery = defaultTimeouts(), time.Second
	s.mu.crowd = newCrowd(o.MaxConns)
	s.pools.init(o.Limits.MaxKeyBytes)
	s.budgets.init(&o)
	s.listening.on = make(map[net.Listener]struct{})

	held := &s.budgets
	s.routes = newRoutes(&s.opts, held)
	s.keys = &keys{store: store, limits: o.Limits, budgets: held}
	s.routes.addKeys(s.keys)
	s.routes.addStreams(&listings{store, held, o.turns(), o.pageBytes()}, &clearings{store}, &batches{store, o.Limits, held}, &loads{store, o.Limits, held})
	s.cluster = &cluster{of: members, ending: &s.ending}
	s.routes.addCluster(s.cluster, &backups{of: members})
	s.messages = newMessages(&s.opts, peers, held, &s.journal)
	s.routes.addMessages(s.messages)
	s.routes.addPages(newPages(&s.opts))
	return s
}

// Serve answers the connections of ln until Shutdown, and then returns nil.
// It closes ln. A listener that fails for good is an error.
func (s *Server) Serve(ln net.Listener) error {
	if !s.begin(ln) {
		_ = ln.Close()
		return nil
	}
	defer s.wg.Done()
	defer ln.Close() // before Shutdown returns
	err := accept.Loop(ln, s.stop, s.accept, func(err error) (madeRoom bool) {
		s.journal.fault("cannot accept a connection; trying again", err)
		return s.closeOne()
	})
	if err == nil {
		s.acceptWaiting(ln)
	}
	return err
}

// begin registers a listener, unless the server is stopping.
func (s *Server) begin(ln net.Listener) bool {
	s.listening.Lock()
	defer s.listening.Unlock()
	if s.ending.stopping() {
		return false
	}
	s.wg.Add(1)
	s.listening.on[ln] = struct{}{}
	s.startSweep()
	return true
}

// accept starts the goroutine of a connection, or turns it away.
func (s *Server) accept(nc net.Conn) {
	c := newConn(s, nonblock.Conn(nc))
	if s.enter(c) {
		s.wg.Go(func() { s.serveConn(c) })
	}
}

func (s *Server) serveConn(c *conn) {
	defer func() {
		// The handler has its own; this is for what is called besides.
		if v := recover(); v != nil {
			s.journal.panicked(v, "")
			_ = c.Conn.Close()
		}
		c.release()
		s.exit(c)
	}()
	err := c.serve()
	_ = c.Close() // what the client was to be told is written, or was not
	var broken *fasthttp.ErrBodyStreamWritePanic
	if errors.As(err, &broken) {
		s.journal.panicked(broken, "")
	} else if err != nil {
		s.journal.fault("connection failed", err)
	}
}
