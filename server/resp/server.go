package resp

import (
	"context"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"httpdhs/internal/accept"
	"httpdhs/internal/nonblock"
	"httpdhs/internal/slowlog"
	"httpdhs/kv"
)

// Options says how a server behaves. The zero value of a field is its default.
type Options struct {
	Name    string    // this node's name
	Version string    // shown by INFO and HELLO
	Port    int       // shown by INFO
	Limits  kv.Limits // default kv.DefaultLimits()

	// Write and Read are the levels of a connection that asks for no others.
	Write, Read kv.Level

	Timeout time.Duration // of an operation; default 5s
	Log     *slog.Logger  // default: discard
	SlowLog *slowlog.Log  // calls of the store that took long; nil: off

	// AuthToken, if set, is the password that clients have to send.
	AuthToken string

	Flush  bool // whether FLUSHDB and FLUSHALL delete
	Evicts bool // whether the store forgets values to make room, as INFO and CONFIG tell

	// MaxConns bounds the connections: a further one is told so and closed.
	// Default 8192.
	MaxConns int

	// MaxInBytes bounds what commands that are being read take in memory, beyond 16 KiB a
	// connection. Default 256 MiB.
	MaxInBytes int64

	// MaxOutBytes bounds the same of answers, until clients have taken them. Default 256 MiB.
	MaxOutBytes int64
}

const (
	defaultMaxConns    = 8192
	defaultMaxInBytes  = 256 << 20
	defaultMaxOutBytes = 256 << 20
)

func (o *Options) setDefaults() {
	def := kv.DefaultLimits()
	if o.Limits.MaxKeyBytes <= 0 {
		o.Limits.MaxKeyBytes = def.MaxKeyBytes
	}
	if o.Limits.MaxValueBytes <= 0 {
		o.Limits.MaxValueBytes = def.MaxValueBytes
	}
	if o.Timeout <= 0 {
		o.Timeout = 5 * time.Second
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.MaxConns <= 0 {
		o.MaxConns = defaultMaxConns
	}
	if o.MaxInBytes <= 0 {
		// The largest value must fit, in a buffer that has grown to hold it.
		o.MaxInBytes = max(defaultMaxInBytes, 4*int64(o.Limits.MaxValueBytes))
	}
	if o.MaxOutBytes <= 0 {
		o.MaxOutBytes = max(defaultMaxOutBytes, 8*int64(o.Limits.MaxValueBytes))
	}
}

// Server serves RESP from one or more listeners until Shutdown. Safe for concurrent use.
type Server struct {
	opts     Options
	store    Store
	cluster  Cluster
	commands *table
	started  time.Time

	scripts   scripts
	seen      members
	statsBase atomic.Pointer[Stats] // since when INFO counts; nil: the start

	room
	memory
	counters counters
	journal  journal

	listening struct {
		sync.Mutex
		on map[net.Listener]struct{}
	}
	stop chan struct{}  // closed when stopping becomes true
	wg   sync.WaitGroup // connections and Serve calls
}

// New makes a server; nothing runs until Serve.
func New(o Options, store Store, cluster Cluster) *Server {
	o.setDefaults()
	s := &Server{opts: o, store: store, cluster: cluster, commands: newTable(), started: time.Now()}
	s.stop = make(chan struct{})
	s.journal.log = o.Log
	s.scripts.init()
	s.room.init(&s.counters)
	s.memory.init(&o)
	s.listening.on = make(map[net.Listener]struct{})
	return s
}

// Serve answers the connections of ln until Shutdown, and then returns nil. It closes ln. A
// listener that fails for good is an error.
func (s *Server) Serve(ln net.Listener) error {
	defer ln.Close()
	if !s.begin(ln) {
		return nil
	}
	defer s.wg.Done()
	return accept.Loop(ln, s.stop, s.accept, func(err error) (madeRoom bool) {
		s.journal.note("cannot accept a connection; trying again", "error", err)
		return false
	})
}

// begin registers a listener, unless the server is stopping.
func (s *Server) begin(ln net.Listener) bool {
	s.listening.Lock()
	defer s.listening.Unlock()
	if s.stopping.Load() {
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
	if s.enter(c, s.opts.MaxConns) {
		s.wg.Go(func() { s.serveConn(c) })
	}
}

func (s *Server) serveConn(c *conn) {
	defer s.exit(c)
	if err := c.serve(); err != nil {
		s.journal.debug("connection failed", "error", err)
	}
	c.close()
}

// Shutdown stops accepting, closes connections that wait for their client, and lets commands finish
// that were read. At the end of ctx it closes the rest and returns its error. Commands end when the
// store has answered them: a Store that is closed answers kv.ErrStopping at once.
func (s *Server) Shutdown(ctx context.Context) error {
	s.listening.Lock()
	if !s.stopping.Swap(true) {
		close(s.stop)
	}
	for ln := range s.listening.on {
		_ = ln.Close()
	}
	clear(s.listening.on)
	s.listening.Unlock()
	s.wakeReaders()

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
		s.closeAll()
		// Commands that only wait for their client end now.
		select {
		case <-done:
		case <-time.After(time.Second):
		}
	}
	s.stopSweep()
	return err
}
