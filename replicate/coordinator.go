package replicate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"httpdhs/kv"
	"httpdhs/ring"
)

// Store is what this node holds: package shard's, or a test's.
type Store interface {
	Apply(hash uint64, r *kv.Record) (kv.Applied, error)
	ApplyIf(hash uint64, r *kv.Record, c *kv.Condition) (kv.Applied, error)
	Get(dst []byte, hash uint64, key []byte) (e kv.Entry, buf []byte, ok bool)
	Scan(partition int, from uint64, fn func(hash uint64, r *kv.Record) bool)
	PartitionKeys(partition int) int
}

// Options are the settings of a Coordinator.
type Options struct {
	Name   string // this node's, one of Table's
	Table  *ring.Table
	Store  Store
	Clock  *kv.Clock
	Limits kv.Limits
	Log    *slog.Logger

	// Dial makes the transport to the node of that name.
	Dial func(name string) Transport

	QueueBytes int           // bound of a peer's queue
	ProbeEvery time.Duration // pause between two probes of a peer

	Boot uint64 // drawn at start, not 0

	// Describe fills in what the node tells of itself in a ping: Keys, Bytes,
	// Tombstones, Version, Started, Stopping.
	Describe func(*Ping)
}

// Coordinator carries out calls: see the package comment.
type Coordinator struct {
	opt   Options
	store Store
	clock *kv.Clock
	view  atomic.Pointer[view]

	formation formation
	closed    atomic.Bool
	closing   sync.Once

	counters counters
}

// view is the ring with the peers on it: replaced as a whole, never modified.
type view struct {
	table       *ring.Table
	fingerprint string
	self        int     // this node's index in the table
	peers       []*Peer // by index in the table; nil: this node
}

// counters tell what the coordinator did since it was made.
type counters struct {
	writes, reads, restamps, repairs, unavailable, timeouts, overloads atomic.Int64
}

// Counters are the coordinator's counts of operations since the start.
type Counters struct {
	Writes, Reads int64
	Restamps      int64 // writes stamped again because a newer version was there
	Repairs       int64 // records sent to replicas that a read found behind
	Unavailable   int64 // operations that met too few replicas
	Timeouts      int64 // operations that met their deadline
	Overloads     int64 // operations refused because a queue was full
}

// New makes a coordinator. Start begins to talk to the peers.
func New(o Options) (*Coordinator, error) {
	self, ok := o.Table.Index(o.Name)
	if !ok {
		return nil, fmt.Errorf("cannot coordinate: %s is not a node of the ring", o.Name)
	}
	if n := o.Table.Replicas(); n > MaxReplicas {
		return nil, fmt.Errorf("cannot coordinate: %d replicas, at most %d", n, MaxReplicas)
	}
	c := &Coordinator{opt: o, store: o.Store, clock: o.Clock}
	v := &view{
		table:       o.Table,
		fingerprint: fmt.Sprintf("%016x", o.Table.Fingerprint()),
		self:        self,
		peers:       make([]*Peer, len(o.Table.Nodes())),
	}
	for i, n := range o.Table.Nodes() {
		if i != self {
			v.peers[i] = newPeer(n.Name, i, o.QueueBytes, o.Dial(n.Name), o.Clock, o.Log, c)
		}
	}
	c.view.Store(v)
	c.look()
	return c, nil
}

// Start starts the senders and probers of the peers.
func (c *Coordinator) Start() {
	for _, p := range c.view.Load().others() {
		p.start(c.opt.ProbeEvery)
	}
}

// Drain waits until all peers that take part have what is queued for them.
func (c *Coordinator) Drain(ctx context.Context) error {
	var errs []error
	for _, p := range c.view.Load().others() {
		errs = append(errs, p.drain(ctx))
	}
	return errors.Join(errs...)
}

// Close ends all that was started. Operations that wait get an answer.
func (c *Coordinator) Close() {
	c.closed.Store(true)
	c.closing.Do(func() {
		var all sync.WaitGroup
		for _, p := range c.view.Load().others() {
			all.Go(p.close)
		}
		all.Wait()
	})
}

// others are the peers, without the hole that this node leaves.
func (v *view) others() []*Peer {
	return slices.DeleteFunc(slices.Clone(v.peers), func(p *Peer) bool { return p == nil })
}

// Partitions is the number of partitions.
func (c *Coordinator) Partitions() int { return c.view.Load().table.Partitions() }

// Synced says whether this node holds all that it owns.
func (c *Coordinator) Synced() bool {
	synced, _ := c.formation.state()
	return synced
}

// Peers are the other nodes as this one sees them, sorted by name.
func (c *Coordinator) Peers() []Status {
	var all []Status
	for _, p := range c.view.Load().others() {
		all = append(all, p.Status())
	}
	return all
}

// Refresh asks the peers that are not down how they are, until the deadline.
func (c *Coordinator) Refresh(deadline time.Time) {
	var all sync.WaitGroup
	for _, p := range c.view.Load().others() {
		if p.State() == Down {
			continue
		}
		all.Go(func() {
			if ping, err := p.exchangePing(deadline); err == nil {
				p.answered(&ping)
			} // else the prober draws the conclusion
		})
	}
	all.Wait()
}

// Counters are the counts since the start.
func (c *Coordinator) Counters() Counters {
	n := &c.counters
	return Counters{
		Writes: n.writes.Load(), Reads: n.reads.Load(), Restamps: n.restamps.Load(),
		Repairs: n.repairs.Load(), Unavailable: n.unavailable.Load(),
		Timeouts: n.timeouts.Load(), Overloads: n.overloads.Load(),
	}
}

// self implements peerHost.
func (c *Coordinator) self() Ping {
	p := Ping{Name: c.opt.Name, Boot: c.opt.Boot, Ring: c.view.Load().fingerprint, Clock: c.clock.Last()}
	p.Synced, p.Formed = c.formation.state()
	c.opt.Describe(&p)
	return p
}

// accepts implements peerHost.
func (c *Coordinator) accepts(p *Ping) error {
	if own := c.view.Load().fingerprint; p.Ring != own {
		return fmt.Errorf("%s has another ring (%s, here %s): --conf, --replicas, --partitions and --partitioner must be the same at all nodes", p.Name, p.Ring, own)
	}
	return nil
}

// probed implements peerHost: a peer's state may let this node be in sync.
func (c *Coordinator) probed(*Peer, bool) { c.look() }

func (c *Coordinator) look() {
	if synced, _ := c.formation.state(); synced {
		return
	}
	var members []memberView
	for _, p := range c.view.Load().others() {
		s := p.Status()
		members = append(members, memberView{up: s.State != Down, ping: s.Ping})
	}
	if c.formation.look(c.opt.Boot, members) {
		c.opt.Log.Info("in sync", "members", len(members)+1)
	}
}

// Do carries out the operations of the call and returns when each has its
// outcome, at the deadline at the latest. It keeps nothing of the call.
func (c *Coordinator) Do(call *kv.Call) {
	if c.closed.Load() {
		for i := range call.Ops {
			call.Ops[i].Err = kv.ErrStopping
		}
		return
	}
	v := c.view.Load()
	call.Buf = call.Buf[:0]
	p := acquirePending(len(call.Ops))
	for i := range call.Ops {
		c.start(v, p, call, i)
	}
	for p.wait(call.Deadline) && c.advance(v, p, call) {
	}
	c.finish(p, call)
}

// start puts operation i on its way.
func (c *Coordinator) start(v *view, p *pending, call *kv.Call, i int) {
	op := &call.Ops[i]
	owners := v.table.Owners(v.table.Partition(op.Hash))
	op.Err, op.Existed, op.Acks, op.Replicas = nil, false, 0, len(owners)
	level := call.Write
	if op.Kind == kv.OpGet {
		level = call.Read
		c.counters.reads.Add(1)
	} else {
		c.counters.writes.Add(1)
	}
	if op.Required = level.Required(len(owners)); op.Required > len(owners) {
		p.settle(i, kv.ErrLevel)
		return
	}
	for _, n := range owners {
		if peer := v.peers[n]; peer != nil && peer.overloaded() {
			c.counters.overloads.Add(1)
			p.settle(i, kv.ErrOverloaded)
			return
		}
	}
	switch {
	case op.Kind != kv.OpGet && op.Cond.Kind == kv.Always:
		c.write(v, p, call, i)
	case op.Kind != kv.OpGet:
		c.decide(v, p, call, i)
	case op.Required == 1:
		c.readOne(v, p, call, i)
	default:
		c.readMany(v, p, call, i)
	}
}

// advance looks at every operation after all were decided, and says whether
// any is on its way again.
func (c *Coordinator) advance(v *view, p *pending, call *kv.Call) (again bool) {
	for i := range call.Ops {
		o := p.state(i)
		if o.settled {
			continue
		}
		switch o.phase {
		case phaseWrite:
			c.written(v, p, call, i, &o)
		case phaseDecide:
			c.decided(v, p, call, i, &o)
		case phaseReadOne:
			c.readOneAnswered(v, p, call, i, &o)
		case phaseReadMany:
			c.readManyAnswered(v, p, call, i, &o)
		case phaseRepair:
			c.repaired(p, i, &o)
		}
		again = again || !p.state(i).settled
	}
	return again
}

// finish takes the results over into the call, and leaves tickets that are
// still under way to themselves.
func (c *Coordinator) finish(p *pending, call *kv.Call) {
	now := c.clock.Wall().UnixMilli()
	p.mu.Lock()
	p.over = true
	// The values of gets that peers answered are in p.buf. With none of this
	// node's own in the call, which is every single get, the buffers change
	// places; else they are copied.
	swap := len(call.Buf) == 0
	if swap {
		call.Buf, p.buf = p.buf, call.Buf
	}
	for i := range call.Ops {
		op, o := &call.Ops[i], &p.ops[i]
		op.Err, op.Acks = o.err, int(o.acks)
		if !o.settled {
			op.Err = kv.ErrTimeout
		}
		if o.stopped && op.Err != nil {
			op.Err = kv.ErrStopping
		}
		switch {
		case op.Kind != kv.OpGet:
			op.Existed = o.existed
		case op.Err == nil && !o.found.Live(now):
			op.Entry = kv.Entry{Version: o.found.Version}
			op.Err = kv.ErrNotFound
		case op.Err == nil:
			op.Entry = o.found
			if !swap && !o.local {
				op.Value, op.ContentType = keep(&call.Buf, o.found.Value), keep(&call.Buf, o.found.ContentType)
			}
		}
		c.countError(op.Err)
	}
	p.releaseLocked()
}

func (c *Coordinator) countError(err error) {
	switch err {
	case kv.ErrTimeout:
		c.counters.timeouts.Add(1)
	case kv.ErrUnavailable, kv.ErrAbsenceUnknown:
		c.counters.unavailable.Add(1)
	}
}
