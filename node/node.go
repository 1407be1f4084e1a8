package node

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"httpdhs/internal/metrics"
	"httpdhs/kv"
	"httpdhs/replicate"
	"httpdhs/ring"
	"httpdhs/server"
	"httpdhs/server/console"
	"httpdhs/shard"
)

const (
	defaultReplicas   = 2
	defaultPartitions = 1024
	defaultGrace      = time.Hour
	defaultHintBytes  = 64 << 20
	defaultProbeEvery = 500 * time.Millisecond

	// exchangeSlack is what a message between nodes may hold beyond the
	// largest value.
	exchangeSlack = 64 << 20
)

// Node is a running member of a cluster.
type Node struct {
	cfg     Config
	log     *slog.Logger
	started time.Time

	table       *ring.Table
	ringDoc     atomic.Pointer[ringDoc]
	store       *shard.Store
	coordinator *replicate.Coordinator
	server      *server.Server
	pprof       *pprofServer // nil: none
	listener    net.Listener

	stopping atomic.Bool
	serving  sync.WaitGroup
	failed   chan error // what ended serving, if not Shutdown
}

func (c *Config) setDefaults() {
	if c.Replicas == 0 {
		c.Replicas = defaultReplicas
	}
	if c.Partitions == 0 {
		c.Partitions = defaultPartitions
	}
	if c.Weight == 0 {
		c.Weight = 1
	}
	if c.Limits == (kv.Limits{}) {
		c.Limits = kv.DefaultLimits()
	}
	if c.TombstoneGrace == 0 {
		c.TombstoneGrace = defaultGrace
	}
	if c.HintBytes == 0 {
		c.HintBytes = defaultHintBytes
	}
	if c.ProbeEvery == 0 {
		c.ProbeEvery = defaultProbeEvery
	}
	if len(c.Members) == 0 {
		c.Members = []string{c.Name}
	}
	if c.Listen == "" {
		c.Listen = c.Name
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
}

// Open starts a node. It listens when Open returns, and is ready when Ready
// says so.
func Open(cfg Config) (*Node, error) {
	n, err := open(cfg)
	if err != nil && cfg.Listener != nil {
		return nil, errors.Join(err, cfg.Listener.Close())
	}
	return n, err
}

func open(cfg Config) (_ *Node, err error) {
	cfg.setDefaults()
	n := &Node{cfg: cfg, log: cfg.Log, started: time.Now(), failed: make(chan error, 1)}
	if n.table, err = tableOf(&cfg); err != nil {
		return nil, err
	}
	tag, ok := n.table.Index(cfg.Name)
	if !ok {
		return nil, fmt.Errorf("%s is not one of the members %v", cfg.Name, cfg.Members)
	}
	if tag > kv.MaxTag {
		return nil, fmt.Errorf("%d members, at most %d", len(cfg.Members), kv.MaxTag+1)
	}
	if len(cfg.Members) > 1 && (cfg.Weight != 1 || cfg.Zone != "") {
		n.log.Warn("weight and zone have no effect: members of a static list are all alike")
	}
	if n.listener = cfg.Listener; n.listener == nil {
		if n.listener, err = net.Listen("tcp", cfg.Listen); err != nil {
			return nil, fmt.Errorf("cannot listen on %s: %w", cfg.Listen, err)
		}
	}
	if err := n.wire(uint16(tag)); err != nil {
		return nil, errors.Join(err, n.listener.Close())
	}
	n.logStart()
	n.coordinator.Start()
	listener := n.listener
	if cfg.ServerTLS != nil {
		listener = tls.NewListener(listener, cfg.ServerTLS)
	}
	n.serving.Go(func() {
		if err := n.server.Serve(listener); err != nil {
			n.log.Error("serving ended", "error", err)
			n.failed <- err
		}
	})
	return n, nil
}

// tableOf computes the ring of a static list: all members weigh the same.
func tableOf(cfg *Config) (*ring.Table, error) {
	nodes := make([]ring.Node, len(cfg.Members))
	for i, name := range cfg.Members {
		nodes[i] = ring.Node{Name: name, Weight: 1}
	}
	return ring.New(nodes, ring.Settings{
		Partitions: cfg.Partitions, Replicas: cfg.Replicas, Partitioner: cfg.Partitioner,
	})
}

// wire makes the parts and hands each to those that need it.
func (n *Node) wire(tag uint16) (err error) {
	cfg := &n.cfg
	eviction := shard.EvictNone
	if cfg.Eviction != "" {
		if eviction, err = shard.ParseEviction(cfg.Eviction); err != nil {
			return err
		}
	}
	n.store, err = shard.Open(shard.Options{
		Partitions: cfg.Partitions, MaxBytes: cfg.MaxMemory, Eviction: eviction, Grace: cfg.TombstoneGrace,
	})
	if err != nil {
		return err
	}
	n.coordinator, err = replicate.New(replicate.Options{
		Name:   cfg.Name,
		Table:  n.table,
		Store:  n.store,
		Clock:  kv.NewClock(tag, time.Now),
		Limits: cfg.Limits,
		Log:    n.log,
		Dial: func(name string) replicate.Transport {
			t := replicate.NewHTTPTransport(name, cfg.ClusterSecret, cfg.ClientTLS)
			t.Dial = cfg.Dial
			return t
		},
		QueueBytes: cfg.HintBytes,
		ProbeEvery: cfg.ProbeEvery,
		Boot:       rand.Uint64() | 1,
		Grace:      cfg.TombstoneGrace,
		Describe:   n.describe,
	})
	if err != nil {
		return errors.Join(err, n.store.Close())
	}
	n.server = server.New(server.Options{
		Name: cfg.Name, Version: cfg.Version, Limits: cfg.Limits,
		Log: n.log, AccessLog: cfg.AccessLog,
		AuthToken: cfg.AuthToken, ClusterSecret: cfg.ClusterSecret,
		Metrics:          metrics.Handler(metrics.New(n.metrics())),
		Console:          console.Handler(),
		MaxExchangeBytes: cfg.Limits.MaxValueBytes + exchangeSlack,
	}, n.coordinator, n, n.coordinator)
	if cfg.PprofAddr != "" {
		if n.pprof, err = servePprof(cfg.PprofAddr); err != nil {
			n.coordinator.Close()
			return errors.Join(err, n.store.Close())
		}
	}
	return nil
}

// logStart tells the settings in effect.
func (n *Node) logStart() {
	cfg := &n.cfg
	n.log.Info("node starts",
		"name", cfg.Name, "listen", n.listener.Addr().String(), "version", cfg.Version,
		"members", len(cfg.Members), "replicas", n.table.Replicas(),
		"partitions", cfg.Partitions, "partitioner", n.table.Settings().Partitioner,
		"ring", fmt.Sprintf("%016x", n.table.Fingerprint()),
		"max_key_bytes", cfg.Limits.MaxKeyBytes, "max_value_bytes", cfg.Limits.MaxValueBytes,
		"max_memory", cfg.MaxMemory, "eviction", cmp.Or(cfg.Eviction, "none"), "hint_bytes", cfg.HintBytes,
		"tombstone_grace", cfg.TombstoneGrace,
		"auth", cfg.AuthToken != "", "cluster_secret", cfg.ClusterSecret != "",
		"tls", cfg.ServerTLS != nil, "pprof", cfg.PprofAddr)
	if cfg.Replicas > n.table.Replicas() {
		n.log.Warn("fewer nodes than replicas: each key has one copy a node", "replicas", cfg.Replicas, "nodes", len(cfg.Members))
	}
}

// Failed delivers the error with which serving ended by itself.
func (n *Node) Failed() <-chan error { return n.failed }

// Addr is where the node listens.
func (n *Node) Addr() net.Addr { return n.listener.Addr() }

// URL is where clients on this machine find the node.
func (n *Node) URL() string {
	scheme := "http://"
	if n.cfg.ServerTLS != nil {
		scheme = "https://"
	}
	return scheme + n.listener.Addr().String()
}

// Shutdown stops the node: it is not ready any more, accepts nothing more,
// answers what it is asked, hands over what its queues hold, and lets go. Past
// the end of ctx it waits for nothing; the error says what was left. Members
// take it as a restart: the node stays one of them.
func (n *Node) Shutdown(ctx context.Context) error {
	n.stopping.Store(true)
	n.log.Info("node stops")
	// Requests that wait for a peer could take all the time there is. After
	// most of it the queues are handed over as far as they can be, and with
	// the coordinator closed whoever still waits is answered, while there is
	// a connection to answer on.
	most, cancelMost := fraction(ctx, 3, 4)
	defer cancelMost()
	nearlyAll, cancelNearlyAll := fraction(ctx, 7, 8)
	defer cancelNearlyAll()
	handOver := sync.OnceValue(func() error {
		defer n.coordinator.Close()
		return n.coordinator.Drain(nearlyAll)
	})
	stop := context.AfterFunc(most, func() { _ = handOver() })
	errs := []error{n.server.Shutdown(ctx)}
	stop()
	errs = append(errs, handOver())
	n.serving.Wait()
	errs = append(errs, n.store.Close())
	if n.pprof != nil {
		errs = append(errs, n.pprof.close())
	}
	err := errors.Join(errs...)
	n.log.Info("node stopped", "after", time.Since(n.started).Round(time.Millisecond), "error", err)
	return err
}

// fraction is ctx with num/den of the time that it has left.
func fraction(ctx context.Context, num, den time.Duration) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Until(deadline)*num/den)
}

// Kill drops the node as a crash does: nothing is drained, nobody is told.
func (n *Node) Kill() {
	n.stopping.Store(true)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	n.coordinator.Close()
	_ = n.server.Shutdown(ctx) // its deadline is over: that is the point
	n.serving.Wait()
	_ = n.store.Close()
	if n.pprof != nil {
		_ = n.pprof.close()
	}
}
