package replicate

import (
	"cmp"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"httpdhs/kv"
	"httpdhs/peer"
	"httpdhs/placement"
	"httpdhs/wire"
)

// Store is what this node holds: package shard's, or a test's.
type Store interface {
	Apply(hash uint64, r *kv.Record) (kv.Applied, error)
	Decide(hash uint64, d *kv.Decision) (kv.Applied, error)
	ApplyAll(offers []kv.Offer)
	// Durable waits until all that was stored before is durable. With an error it is not.
	Durable(until time.Time) error
	Touch(hashes []uint64)
	GetWithin(most int, dst []byte, hash uint64, key []byte) (e kv.Entry, buf []byte, size int, ok bool)
	Scan(partition int, from uint64, fn func(hash uint64, r *kv.Record) bool)
	PartitionKeys(partition int) int
}

// Topology is what operations ask of the cluster, besides what is on the placement.Board.
type Topology interface {
	// Await waits until this node may coordinate: it has heard from all members that are up. The
	// error says why it may not. Nothing was done then.
	Await(deadline time.Time) error

	// MayDecide says whether this node may decide runs on a partition.
	MayDecide(partition int) bool

	// Probe has a peer probed at once.
	Probe(p *peer.Peer)

	// Complete says whether a peer may be asked for what only an owner that lacks nothing knows.
	Complete(p *peer.Peer) bool

	// Refresh asks all peers that are not down how they are, and says whether all have answered.
	Refresh(deadline time.Time) bool

	// Behind bounds by how much the stamps of members may be behind this node's. Not known: there
	// are no other members.
	Behind(now time.Time) (most time.Duration, known bool)
}

// Options are the settings of a Coordinator.
type Options struct {
	Board    *placement.Board
	Topology Topology
	Store    Store
	Clock    *kv.Clock
	Limits   kv.Limits
	Replicas int // of a key, in the settings of the ring
}

// Coordinator carries out calls: see the package comment.
type Coordinator struct {
	Counters

	board    *placement.Board
	topology Topology
	clock    *kv.Clock
	replica  replica
	hedged   budget

	stopped atomic.Bool
	closing sync.Once
	quit    chan struct{}
}

// New makes a coordinator.
func New(o *Options) (*Coordinator, error) {
	if o.Replicas > MaxReplicas {
		return nil, fmt.Errorf("cannot coordinate: %d replicas, at most %d", o.Replicas, MaxReplicas)
	}
	c := &Coordinator{board: o.Board, topology: o.Topology, clock: o.Clock, quit: make(chan struct{})}
	c.replica = replica{store: o.Store, clock: o.Clock, limits: o.Limits, board: o.Board, counters: &c.Counters}
	c.hedged.earned = &c.Reads
	return c, nil
}

// Close ends every wait between two attempts and for clocks. What waits for a peer ends when the
// peer is closed. Operations that wait get an answer, and later ones are refused.
func (c *Coordinator) Close() {
	c.stopped.Store(true)
	c.closing.Do(func() { close(c.quit) })
}

// Partitions is the number of partitions.
func (c *Coordinator) Partitions() int { return c.board.Partitions() }

// Do carries out the operations of the call. It returns when each has its outcome, at the deadline
// at the latest. It keeps nothing of the call.
func (c *Coordinator) Do(call *kv.Call) {
	if err := c.admit(call.Deadline); err != nil {
		for i := range call.Ops {
			call.Ops[i].Err = err
		}
		return
	}
	p := acquirePending(call)
	c.attempt(p, call, false)
	for p.again() && c.pause(call.Deadline) {
		c.attempt(p, call, true)
	}
	c.outwait(p, call)
	c.finish(p, call)
}

// admit waits until this node may coordinate.
func (c *Coordinator) admit(deadline time.Time) error {
	switch {
	case c.stopped.Load():
		return kv.ErrStopping
	case c.board.Ready():
		return nil
	}
	return c.topology.Await(deadline)
}

// retryPause is how long an operation waits before another attempt, for the ring to change over.
const retryPause = 10 * time.Millisecond

// pause waits a moment before another attempt; false: there is no time left, or the node stops.
func (c *Coordinator) pause(deadline time.Time) bool {
	wait := min(retryPause, time.Until(deadline))
	if wait <= 0 {
		return false
	}
	select {
	case <-time.After(wait):
		return true
	case <-c.quit:
		return false
	}
}

// Failures that this side makes up for peers that are not asked.
var (
	resultUnasked  = wire.Result{Code: peer.FailedUnasked}
	resultStopping = wire.Result{Code: peer.FailedStopping}
)

func (c *Coordinator) failure() *wire.Result {
	if c.stopped.Load() {
		return &resultStopping
	}
	return &resultUnasked
}

// finish takes the results over into the call. Tickets that are still under way are resolved later.
func (c *Coordinator) finish(p *pending, call *kv.Call) {
	now := c.clock.Wall().UnixMilli()
	p.mu.Lock()
	p.over = true
	// Results alias what peers have sent. Where nothing was found here, which
	// is every single get, the memories change places. Else what is small is
	// copied, and what is large is let go.
	copied := p.here.sum > 0 && p.there.sum <= kv.HeldBytes
	switch {
	case p.here.sum == 0:
		p.here, p.there = p.there, p.here
	case !copied:
		p.there = values{}
	}
	for i := range call.Ops {
		if p.runs.follows(i) {
			c.countError(call.Ops[i].Err)
			continue
		}
		op, o := &call.Ops[i], p.at(i)
		if o.heir > 0 {
			heir := int(o.heir) - 1
			o, op.Version = p.at(heir), call.Ops[heir].Version
		}
		op.Err, op.Acks = o.err, min(int(o.have()), op.Replicas)
		if !o.ended {
			op.Err = cmp.Or(o.vain, kv.ErrTimeout)
		}
		switch p.runs.mode(call, i) {
		case kv.ModeRead:
			p.finishRead(op, o, now, copied)
		case kv.ModeMerge:
			finishWrite(op, o)
		case kv.ModeDecide:
			finishWrite(op, o)
			p.finishRun(call, i, o, copied)
		}
		c.countError(op.Err)
	}
	call.Buf = p.here.piece
	p.refs--
	p.Unlock()
}

func finishWrite(op *kv.Op, o *operation) {
	op.Existed = o.existed
	if o.live {
		op.Required = max(1, op.Replicas-int(o.gone))
	}
	op.Required += int(o.extra) // these are counted in Acks, too
}

// finishRead takes over what a get found. copied: its value is to be copied to the call's memory.
func (p *pending) finishRead(op *kv.Op, o *operation, now int64, copied bool) {
	switch {
	case op.Err != nil && o.stopping:
		op.Err = kv.ErrStopping // of a write it would say that nothing was done
	case op.Err == nil && o.refusal != nil:
		op.Err = o.refusal
	}
	if op.Err != nil {
		return
	}
	g := p.reading(o)
	if !g.found.Live(now) {
		op.Entry = kv.Entry{Version: g.found.Version}
		op.Err = kv.ErrNotFound
		return
	}
	op.Entry = g.found
	if copied && !g.local {
		op.Value, op.Meta = p.here.keep(g.found.Value), p.here.keep(g.found.Meta)
	}
}

func (c *Coordinator) countError(err error) {
	switch err {
	case kv.ErrTimeout:
		c.Timeouts.Add(1)
	case kv.ErrUnavailable, kv.ErrNoPrimary, kv.ErrAbsenceUnknown:
		c.Unavailable.Add(1)
	}
}
