// Package dataplane puts together what nodes do together: the topology, anti-entropy and
// operations. A part knows another by a small interface alone, or not at all. A node, the simulator
// and tests each make a [Plane].
//
// Messages of other nodes come in by Exchange and Hello. Each goes to the part that its kind is
// for.
//
// Concurrency: all methods are safe. Close ends all goroutines of the parts, and waits for them.
package dataplane

import (
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"httpdhs/antientropy"
	"httpdhs/kv"
	"httpdhs/peer"
	"httpdhs/placement"
	"httpdhs/replicate"
	"httpdhs/ring"
	"httpdhs/topology"
	"httpdhs/wire"
)

// Store is what this node holds: package shard's, or a test's.
type Store interface {
	replicate.Store
	antientropy.Store
}

// Options are the settings of a Plane.
type Options struct {
	Name   string // this node's
	Boot   uint64 // drawn at start, not 0
	Ring   ring.Settings
	Store  Store
	Clock  *kv.Clock
	Wall   *kv.Wall // what Clock reads, to be kept with the others' clocks; nil: it is left alone
	Limits kv.Limits
	Log    *slog.Logger
	Grace  kv.Grace // of tombstones

	// Dial makes the transport to the node of that name.
	Dial func(name string) peer.Transport

	QueueBytes int           // bound of a peer's queue
	QueuesSum  int           // of all peers' queues, in equal shares; 0: none
	ProbeEvery time.Duration // pause between two probes of a peer
	BothAsk    int           // up to how many members both of a pair probe the other; 0: 13

	// SyncRate bounds what this node fetches from others and hands over to them, in bytes a second;
	// 0: no bound.
	SyncRate int

	// EvictAfter is how long a member has to be down before this node votes to remove it; 0: it
	// never does.
	EvictAfter time.Duration

	// Starting says why the node does not take part yet, as kv.ErrStarting; nil: it does.
	Starting func() error

	// Members is where the member map is kept; nil: nowhere, and it stays as it is.
	Members topology.Members

	// Stats is what the node has counted; nil: nothing is told.
	Stats func() wire.Stats

	// Hello answers a hello; nil: none is answered.
	Hello func(request []byte) ([]byte, error)

	// Random is a number from 0 up to 1; safe for concurrent use. nil: math/rand/v2.
	Random func() float64

	// Describe fills in what the node tells of itself in a ping: Keys, Bytes, Tombstones, Memory,
	// Version, Started, Stopping, HandOver. With now the figures are as they are; without, they may
	// be those of a moment ago.
	Describe func(p *wire.Ping, now bool)
}

// Plane is this node's part in the cluster. It does nothing before Topology.SetMembers.
type Plane struct {
	*replicate.Coordinator

	Board    *placement.Board
	Topology *topology.Topology
	Repairer *antientropy.Repairer

	hello  func(request []byte) ([]byte, error)
	stats  func() wire.Stats
	closed atomic.Bool
}

// New makes a plane. Start begins to talk to the members.
func New(o *Options) (*Plane, error) {
	p := &Plane{hello: o.Hello, stats: o.Stats, Board: placement.NewBoard(o.Ring.Partitions, topology.SilenceMax)}
	p.Topology = topology.New(&topology.Options{
		Name: o.Name, Boot: o.Boot, Ring: o.Ring, Board: p.Board, Clock: o.Clock, Wall: o.Wall, Log: o.Log,
		Members: o.Members, Starting: o.Starting, Dial: o.Dial, QueueBytes: o.QueueBytes, QueuesSum: o.QueuesSum, ProbeEvery: o.ProbeEvery, BothAsk: o.BothAsk, EvictAfter: o.EvictAfter,
		Describe: func(ping *wire.Ping, now bool) {
			ping.Moving = p.Repairer.Moving()
			o.Describe(ping, now)
		},
		Holding: func(partition int) (keys int, any bool) {
			keys = o.Store.PartitionKeys(partition)
			return keys, keys > 0 || o.Store.Digest(partition) != 0
		},
	})
	p.Repairer = antientropy.New(&antientropy.Options{
		Name: o.Name, Boot: o.Boot, Board: p.Board, Store: o.Store, Clock: o.Clock, Topology: p.Topology,
		Grace: o.Grace, Rate: o.SyncRate, Random: o.Random, Log: o.Log,
	})
	var err error
	p.Coordinator, err = replicate.New(&replicate.Options{
		Board: p.Board, Topology: p.Topology, Store: o.Store, Clock: o.Clock, Limits: o.Limits, Replicas: o.Ring.Replicas,
	})
	if err != nil {
		return nil, err
	}
	return p, nil
}

// Start begins to talk to the members, and to fetch what this node lacks.
func (p *Plane) Start() {
	p.Topology.Start()
	p.Repairer.Start()
}

// Close ends all that was started. Operations that wait get an answer. It may be called again.
func (p *Plane) Close() {
	p.closed.Store(true)
	p.Coordinator.Close()
	p.Repairer.Stop()
	p.Topology.Close()
	p.Repairer.Close()
}

// Exchange answers a message of another node. The answer is appended to dst. An error means that no
// node sends such a message.
func (p *Plane) Exchange(dst, request []byte) ([]byte, error) {
	kind, body, err := wire.Split(request)
	if err != nil {
		return dst, err
	}
	if p.closed.Load() {
		return dst, kv.ErrStopping
	}
	if p.Board.View() == nil && kind != wire.KindHello {
		if err := p.Topology.Starting(); err != nil {
			return dst, err
		}
		return dst, kv.ErrNoCluster
	}
	switch kind {
	case wire.KindBatch:
		return p.ServeBatch(dst, body)
	case wire.KindList:
		return p.ServeList(dst, body)
	case wire.KindDigests:
		return p.Repairer.ServeDigests(dst, body)
	case wire.KindPull:
		return p.Repairer.ServePull(dst, body)
	case wire.KindPing:
		return p.Topology.ServePing(dst, request)
	case wire.KindRing:
		return p.Topology.ServeRing(dst, body)
	case wire.KindStanding:
		return p.Topology.ServeStanding(dst), nil
	case wire.KindHello:
		return p.serveHello(dst, body)
	case wire.KindStats:
		return p.serveStats(dst, body)
	}
	return dst, fmt.Errorf("%w: kind %d", wire.ErrMalformed, kind)
}

// Hello answers a hello, and no other message. It is Exchange for nodes that may not be members
// yet.
func (p *Plane) Hello(dst, request []byte) ([]byte, error) {
	switch kind, _, err := wire.Split(request); {
	case err != nil:
		return dst, err
	case kind != wire.KindHello:
		return dst, fmt.Errorf("%w: kind %d, want a hello", wire.ErrMalformed, kind)
	}
	return p.Exchange(dst, request)
}

// serveStats tells what the node has counted.
func (p *Plane) serveStats(dst, body []byte) ([]byte, error) {
	if p.stats == nil || len(body) > 0 {
		return dst, fmt.Errorf("%w: stats", wire.ErrMalformed)
	}
	s := p.stats()
	return wire.AppendStats(dst, &s), nil
}

// serveHello passes a hello on to whom it is for.
func (p *Plane) serveHello(dst, body []byte) ([]byte, error) {
	if p.hello == nil {
		return dst, fmt.Errorf("%w: hello", wire.ErrMalformed)
	}
	answer, err := p.hello(body)
	if err != nil {
		return dst, fmt.Errorf("%w: %w", wire.ErrMalformed, err)
	}
	return wire.AppendHello(dst, answer), nil
}
