package replicate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
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
	ApplyAll(offers []kv.Offer)
	Touch(hashes []uint64)
	Get(dst []byte, hash uint64, key []byte) (e kv.Entry, buf []byte, ok bool)
	Scan(partition int, from uint64, fn func(hash uint64, r *kv.Record) bool)
	PartitionKeys(partition int) int
	Digests(partition int, dst *[digestBuckets]uint64)
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

	Boot  uint64        // drawn at start, not 0
	Grace time.Duration // of tombstones

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

	synced     atomic.Bool           // this node holds all that it owns
	syncReason atomic.Pointer[error] // why not
	passes     atomic.Uint64         // how often it came to be in sync
	misses     atomic.Uint64         // how often it missed something
	lastBeat   atomic.Int64          // of a prober, nanoseconds since born
	born       time.Time
	compareAll atomic.Bool   // the next look for drift is at all peers
	syncNow    chan struct{} // wakes the sync loop
	closed     atomic.Bool
	closing    sync.Once
	quit       chan struct{}
	done       sync.WaitGroup

	counters counters
}

// view is the ring with the peers on it: replaced as a whole, never modified.
type view struct {
	table       *ring.Table
	fingerprint string
	self        int     // this node's index in the table
	peers       []*Peer // by index in the table; nil: this node
	others      []*Peer // the same without the hole that this node leaves
}

// counters tell what the coordinator did since it was made.
type counters struct {
	writes, reads, restamps, repairs, pulled, refused, unavailable, timeouts, overloads atomic.Int64
}

// Counters are the coordinator's counts of operations since the start.
type Counters struct {
	Writes, Reads int64
	Restamps      int64 // writes stamped again because a newer version was there
	Repairs       int64 // records sent to replicas that a read found behind
	Pulled        int64 // records fetched by sync
	Refused       int64 // records of peers beyond this node's limits, or its belief in their clocks
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
	c := &Coordinator{opt: o, store: o.Store, clock: o.Clock, quit: make(chan struct{}), syncNow: make(chan struct{}, 1), born: time.Now()}
	v := &view{
		table:       o.Table,
		fingerprint: fmt.Sprintf("%016x", o.Table.Fingerprint()),
		self:        self,
		peers:       make([]*Peer, len(o.Table.Nodes())),
	}
	for i, n := range o.Table.Nodes() {
		if i != self {
			v.peers[i] = newPeer(n.Name, i, o.QueueBytes, o.Dial(n.Name), o.Clock, o.Log, c)
			v.others = append(v.others, v.peers[i])
		}
	}
	c.view.Store(v)
	return c, nil
}

// Start starts the senders and probers of the peers, and the sync.
func (c *Coordinator) Start() {
	for _, p := range c.view.Load().others {
		p.start(c.opt.ProbeEvery)
	}
	c.done.Go(c.syncLoop)
}

// Drain waits until all peers that take part have what is queued for them.
func (c *Coordinator) Drain(ctx context.Context) error {
	var errs []error
	for _, p := range c.view.Load().others {
		errs = append(errs, p.drain(ctx))
	}
	return errors.Join(errs...)
}

// Close ends all that was started. Operations that wait get an answer.
func (c *Coordinator) Close() {
	c.closed.Store(true)
	c.closing.Do(func() {
		close(c.quit)
		var all sync.WaitGroup
		for _, p := range c.view.Load().others {
			all.Go(p.close)
		}
		all.Wait()
		c.done.Wait()
	})
}

// Partitions is the number of partitions.
func (c *Coordinator) Partitions() int { return c.view.Load().table.Partitions() }

// Synced says whether this node holds all that it owns.
func (c *Coordinator) Synced() bool { return c.synced.Load() && !c.stalled() }

// SyncReason says why this node is not in sync; nil when it is.
func (c *Coordinator) SyncReason() error {
	if reason := c.syncReason.Load(); reason != nil && !c.Synced() {
		return *reason
	}
	if c.Synced() {
		return nil
	}
	return errNotYet
}

func (c *Coordinator) setSyncReason(err error) { c.syncReason.Store(&err) }

// Peers are the other nodes as this one sees them, sorted by name.
func (c *Coordinator) Peers() []Status {
	var all []Status
	for _, p := range c.view.Load().others {
		all = append(all, p.Status())
	}
	return all
}

// Refresh asks the peers that are not down how they are, until the deadline.
func (c *Coordinator) Refresh(deadline time.Time) {
	var all sync.WaitGroup
	for _, p := range c.view.Load().others {
		if p.State() == Down {
			continue
		}
		all.Go(func() {
			if p.enter(deadline) != nil {
				return
			}
			defer p.leave()
			if ping, err := p.exchangePing(deadline); err == nil {
				p.answered(&ping, c.opt.Boot)
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
		Repairs: n.repairs.Load(), Pulled: n.pulled.Load(), Refused: n.refused.Load(), Unavailable: n.unavailable.Load(),
		Timeouts: n.timeouts.Load(), Overloads: n.overloads.Load(),
	}
}

// self implements peerHost.
func (c *Coordinator) self() Ping {
	p := Ping{Name: c.opt.Name, Boot: c.opt.Boot, Ring: c.view.Load().fingerprint, Clock: c.clock.Last(), Wall: c.clock.Wall().UnixMilli()}
	p.Synced, p.Passes = c.Synced(), c.passes.Load()
	p.Sees = make(map[uint64]uint64)
	for _, peer := range c.view.Load().others {
		if boot, downs, ok := peer.counted(); ok {
			p.Sees[boot] = downs
		}
	}
	c.opt.Describe(&p)
	return p
}

// accepts implements peerHost.
func (c *Coordinator) accepts(p *Ping) error {
	// Both ways, so that both say so: records of the one that is ahead would
	// be refused by the other.
	apart := time.UnixMilli(max(p.Wall, p.Clock.Millis())).Sub(c.clock.Wall())
	if apart.Abs() > kv.MaxAhead {
		return fmt.Errorf("the clock of %s and this node's are %s apart, at most %s: run NTP", p.Name, apart.Abs().Round(time.Second), kv.MaxAhead)
	}
	if own := c.view.Load().fingerprint; p.Ring != own {
		return fmt.Errorf("%s has another ring (%s, here %s): --conf, --replicas, --partitions and --partitioner must be the same at all nodes", p.Name, p.Ring, own)
	}
	return nil
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
	p.max = call.MaxBytes
	c.startAll(v, p, call)
	for again := true; again; {
		// Past the deadline what was decided in time still counts.
		inTime := p.wait(call.Deadline)
		again = c.advance(v, p, call) && inTime
	}
	c.finish(p, call)
}

// start puts operation i on its way.
func (c *Coordinator) start(v *view, p *pending, call *kv.Call, i int) {
	if c.admit(v, p, call, i, v.table.Owners(v.table.Partition(call.Ops[i].Hash))) {
		c.dispatch(v, p, call, i)
	}
}

// admit counts operation i and refuses it, before it has any effect, where it
// cannot be carried out.
func (c *Coordinator) admit(v *view, p *pending, call *kv.Call, i int, owners []uint16) bool {
	op := &call.Ops[i]
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
		return false
	}
	if c.overloaded(v, op, owners) {
		c.counters.overloads.Add(1)
		p.settle(i, kv.ErrOverloaded)
		return false
	}
	return true
}

// dispatch carries out operation i, which was admitted.
func (c *Coordinator) dispatch(v *view, p *pending, call *kv.Call, i int) {
	switch op := &call.Ops[i]; {
	case op.Kind != kv.OpGet && op.Cond.Kind == kv.Always:
		c.write(v, p, call, i)
	case op.Kind != kv.OpGet:
		c.decide(v, p, call, i, 0)
	case op.Required == 1:
		c.readOne(v, p, call, i)
	default:
		c.readMany(v, p, call, i)
	}
}

// overloaded says whether a queue that the operation goes through is at its
// bound.
func (c *Coordinator) overloaded(v *view, op *kv.Op, owners []uint16) bool {
	if op.Kind == kv.OpGet && op.Required == 1 {
		k := c.candidate(v, owners, 0)
		if k < 0 {
			return false
		}
		owners = owners[k : k+1]
	}
	for _, n := range owners {
		if peer := v.peers[n]; peer != nil && peer.overloaded() {
			return true
		}
	}
	return false
}

// advance looks at every operation that is decided, which are all unless the
// deadline has passed, and says whether any is on its way again.
func (c *Coordinator) advance(v *view, p *pending, call *kv.Call) (again bool) {
	for i := range call.Ops {
		o := p.state(i)
		switch {
		case !o.done:
			continue
		case o.redo && (!o.settled || o.err == nil):
			c.redo(v, p, call, i)
			again = again || !p.state(i).settled
			continue
		case o.settled:
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
		switch {
		case op.Err != nil && o.stopped && op.Kind == kv.OpGet:
			op.Err = kv.ErrStopping // of a write it would say that nothing was done
		case op.Err == nil && op.Kind == kv.OpGet && o.refusal != nil:
			op.Err = o.refusal
		}
		switch {
		case op.Kind != kv.OpGet:
			op.Existed = o.existed
			if o.live {
				op.Required = max(1, op.Replicas-int(o.gone))
			}
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
