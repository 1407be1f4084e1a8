package replicate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"httpdhs/kv"
	"httpdhs/peer"
	"httpdhs/ring"
	"httpdhs/wire"
)

// Store is what this node holds: package shard's, or a test's.
type Store interface {
	Apply(hash uint64, r *kv.Record) (kv.Applied, error)
	ApplyIf(hash uint64, r *kv.Record, c *kv.Condition) (kv.Applied, error)
	// ApplySync is Apply of a record that sync found at another owner: what may have been evicted here is not brought back.
	ApplySync(hash uint64, r *kv.Record) (kv.Applied, error)
	// Evicted says whether the partition has ever evicted anything: owners differ then, and that is no fault.
	Evicted(partition int) bool
	ApplyAll(offers []kv.Offer)
	Touch(hashes []uint64)
	Get(dst []byte, hash uint64, key []byte) (e kv.Entry, buf []byte, ok bool)
	Scan(partition int, from uint64, fn func(hash uint64, r *kv.Record) bool)
	PartitionKeys(partition int) int
	Digests(partition int, dst *[wire.DigestBuckets]uint64)
	// DropIf forgets a partition if its digests are these; false: they are not.
	DropIf(partition int, digests *[wire.DigestBuckets]uint64) bool
}

// Options are the settings of a Coordinator.
type Options struct {
	Name    string  // this node's
	Members Members // none: nothing is carried out before SetMembers
	Ring    ring.Settings
	Store   Store
	Clock   *kv.Clock
	Wall    *kv.Wall // what Clock reads, to be kept with the others'; nil: it is left alone
	Limits  kv.Limits
	Log     *slog.Logger

	// Dial makes the transport to the node of that name.
	Dial func(name string) peer.Transport

	QueueBytes int           // bound of a peer's queue
	ProbeEvery time.Duration // pause between two probes of a peer

	Boot  uint64        // drawn at start, not 0
	Grace time.Duration // of tombstones

	// SyncRate bounds what this node fetches from others and hands over to them, in bytes a second; 0: no bound.
	SyncRate int

	// EvictAfter is how long a member has to be down before this node would have it removed; 0: it never would. Evict
	// is called, at least once, when the members that would are a majority.
	EvictAfter time.Duration
	Evict      func(name string)

	// Differs is told that the member map of a peer has another digest than this node's. nil: nobody is.
	Differs func(name string)

	// Hello answers a hello, which is package membership's. nil: none is answered.
	Hello func(request []byte) ([]byte, error)

	// Random is a number from 0 up to 1; safe for concurrent use. nil: math/rand/v2.
	Random func() float64

	// Describe fills in what the node tells of itself in a ping: Keys, Bytes,
	// Tombstones, Version, Started, Stopping.
	Describe func(*wire.Ping)
}

// Coordinator carries out calls: see the package comment.
type Coordinator struct {
	opt   Options
	told  string // the settings of the ring, as told in pings
	store Store
	clock *kv.Clock
	view  atomic.Pointer[view]
	rings rings

	held       atomic.Pointer[[]bool] // partitions that there is authority for
	synced     atomic.Bool            // this node holds the ring that it reads by, and is on it; written under rings.mu
	stable     atomic.Bool            // and no ring is changing
	alone      atomic.Bool            // there are no peers, and so no beats
	decides    atomic.Bool            // it may decide conditions while the ring changes
	term       atomic.Uint64          // how often it came to be in sync
	deferred   atomic.Uint64          // what arrivals was, and one more, when all that were up heeded the term; 0: they do not
	arrivals   atomic.Uint64          // how often a peer that was down came back
	inTerm     bool                   // the term is not over; under rings.mu
	termSince  uint64                 // serial of the view by which operations go that began before the term; under rings.mu
	syncReason atomic.Pointer[error]  // why it is not in sync
	passes     atomic.Uint64          // how often it came to be in sync
	misses     atomic.Uint64          // how often it missed something
	ready      atomic.Bool            // it may coordinate
	moving     atomic.Pointer[wire.Moving]
	pace       *rate.Limiter // of sync
	lastBeat   atomic.Int64  // of a prober, nanoseconds since born
	born       time.Time
	steering   sync.Mutex          // guards moving the clock, and clockBound
	clockBound bool                // the clock is ahead, and cannot be moved back so far
	followed   time.Time           // when the lead of its stamps was last looked at; under steering
	lag        atomic.Pointer[lag] // of the member whose stamps may be furthest behind
	compareAll atomic.Bool         // the next look for drift is at all peers
	syncNow    chan struct{}       // wakes the sync loop
	closed     atomic.Bool
	closing    sync.Once
	quit       chan struct{}
	done       sync.WaitGroup

	behind   behind
	hedged   atomic.Int64 // of the budget of hedges, spent
	counters counters
}

// New makes a coordinator. Start begins to talk to the peers.
func New(o Options) (*Coordinator, error) {
	if n := o.Ring.Replicas; n > MaxReplicas {
		return nil, fmt.Errorf("cannot coordinate: %d replicas, at most %d", n, MaxReplicas)
	}
	if o.Random == nil {
		o.Random = rand.Float64
	}
	c := &Coordinator{
		opt: o, told: settingsName(&o.Ring), store: o.Store, clock: o.Clock, born: time.Now(),
		quit: make(chan struct{}), syncNow: make(chan struct{}, 1),
		pace: newPace(o.SyncRate), behind: newBehind(o.Ring.Partitions),
	}
	c.held.Store(new([]bool))
	c.rings.init()
	if len(o.Members.All) == 0 {
		return c, nil // it does not know yet
	}
	return c, c.SetMembers(o.Members)
}

// Start starts the senders and probers of the peers, and the sync.
func (c *Coordinator) Start() {
	c.rings.mu.Lock()
	c.rings.started = true
	for _, p := range c.rings.list {
		p.start(c.opt.ProbeEvery)
	}
	c.rings.mu.Unlock()
	c.reconsider()
	c.done.Go(c.syncLoop)
}

// Drain waits until all peers that take part have what is queued for them.
func (c *Coordinator) Drain(ctx context.Context) error {
	var errs []error
	for _, p := range c.others() {
		errs = append(errs, p.Drain(ctx))
	}
	return errors.Join(errs...)
}

// Close ends all that was started. Operations that wait get an answer.
func (c *Coordinator) Close() {
	c.closed.Store(true)
	c.closing.Do(func() {
		close(c.quit)
		var all sync.WaitGroup
		for _, p := range c.endPeers() {
			all.Go(p.Close)
		}
		all.Wait()
		c.done.Wait()
	})
}

// Partitions is the number of partitions.
func (c *Coordinator) Partitions() int { return c.opt.Ring.Partitions }

// Synced says whether this node holds all that it owns by the ring that is read, and owns anything.
func (c *Coordinator) Synced() bool { return c.synced.Load() && !c.stalled() }

// holds says whether this node has authority for a partition: what it lacks does not exist.
func (c *Coordinator) holds(partition int) bool {
	held := *c.held.Load()
	return partition < len(held) && held[partition] && !c.stalled()
}

// SyncReason says why this node is not in sync; nil when it is.
func (c *Coordinator) SyncReason() error {
	if c.Synced() && c.ready.Load() {
		return nil
	}
	if c.Synced() {
		return errUnheard
	}
	if reason := c.syncReason.Load(); reason != nil {
		return *reason
	}
	return errNotYet
}

func (c *Coordinator) setSyncReason(err error) { c.syncReason.Store(&err) }

// Peers are the other nodes as this one sees them, sorted by name.
func (c *Coordinator) Peers() []Status {
	var all []Status
	for _, p := range c.others() {
		all = append(all, p.Status())
	}
	slices.SortFunc(all, func(a, b Status) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// Refresh asks the peers that are not down how they are, until the deadline. It says whether all
// have answered.
func (c *Coordinator) Refresh(deadline time.Time) bool {
	var all together
	var silent atomic.Bool
	for _, p := range c.others() {
		if p.State() == peer.Down {
			continue
		}
		all.Go(func() {
			if p.Enter(deadline) != nil {
				silent.Store(true)
				return
			}
			defer p.Leave()
			if ping, err := p.exchangePing(deadline); err == nil {
				p.answered(&ping)
			} else {
				silent.Store(true) // the prober draws the conclusion
			}
		})
	}
	all.Wait()
	return !silent.Load()
}

// self implements peerHost.
func (c *Coordinator) self() wire.Ping {
	p := wire.Ping{
		Name: c.opt.Name, Boot: c.opt.Boot, Settings: c.told,
		Clock: c.clock.Last(), Wall: c.clock.Wall().UnixMicro(), Lead: c.clock.Lead().Microseconds(),
		Sees: make(map[uint64]wire.Sight), Acknowledged: make(map[uint64]uint64),
		Moving: c.moving.Load(), PrimaryEpoch: c.term.Load(),
	}
	if c.opt.Wall != nil {
		p.Machine = c.opt.Wall.Machine().UnixMicro()
	}
	// What it heeds is looked up before what it holds: it gives that up first.
	for _, m := range c.others() {
		m.mention(p.Sees, p.Acknowledged)
	}
	p.InSync = c.Synced()
	c.opt.Describe(&p)
	p.Number, p.Said, p.Dead = c.said()
	return p
}

// settingsName spells out the settings that have to be equal.
func settingsName(s *ring.Settings) string {
	return fmt.Sprintf("--replicas=%d --partitions=%d --partitioner=%s", s.Replicas, s.Partitions, s.Partitioner)
}

// accepts implements peerHost.
func (c *Coordinator) accepts(p *wire.Ping) error {
	// Both ways, so that both say so: records of the one that is ahead would
	// be refused by the other.
	apart := time.UnixMicro(max(p.Wall, p.Clock.Time().UnixMicro())).Sub(c.clock.Wall())
	if apart.Abs() > kv.MaxAhead {
		return &apartError{p.Name, apart}
	}
	if p.Settings != c.told {
		return fmt.Errorf("%s runs with %s, this node with %s: they must be the same at all nodes", p.Name, p.Settings, c.told)
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
	if err := c.introduced(call.Deadline); err != nil {
		for i := range call.Ops {
			call.Ops[i].Err = err
		}
		return
	}
	call.Buf = call.Buf[:0]
	p := acquirePending(len(call.Ops))
	p.max = call.MaxBytes
	c.attempt(p, call, false)
	for p.again() && c.pause(call.Deadline) {
		c.attempt(p, call, true)
	}
	c.outwait(p, call)
	c.finish(p, call)
}

// attempt carries the operations out by the present view: all of them, or those that are worth another attempt.
func (c *Coordinator) attempt(p *pending, call *kv.Call, again bool) {
	v := c.enter()
	defer c.leave(v)
	before := p.misses
	p.misses = c.misses.Load()
	p.moving = p.moving || v.moving()
	if again {
		for i := range call.Ops {
			if o := p.state(i); o.again {
				c.retry(v, p, call, i, &o, p.misses != before)
			}
		}
	} else {
		c.startAll(v, p, call)
	}
	for again := true; again; {
		// Past the deadline what was decided in time still counts.
		inTime := c.await(v, p, call)
		again = c.advance(v, p, call) && inTime
	}
}

// start puts operation i on its way.
func (c *Coordinator) start(v *view, p *pending, call *kv.Call, i int) {
	if c.admit(v, p, call, i) {
		c.dispatch(v, p, call, i)
	}
}

// admit counts operation i and refuses it, before it has any effect, where it
// cannot be carried out.
func (c *Coordinator) admit(v *view, p *pending, call *kv.Call, i int) bool {
	op := &call.Ops[i]
	op.Err, op.Existed, op.Acks, op.Replicas = nil, false, 0, v.replicas
	level := call.Write
	if op.Kind == kv.OpGet {
		level = call.Read
		c.counters.reads.Add(1)
	} else {
		c.counters.writes.Add(1)
	}
	if op.Required = level.Required(v.replicas); op.Required > v.replicas {
		p.settle(i, kv.ErrLevel)
		return false
	}
	if c.overloaded(v, op) {
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
func (c *Coordinator) overloaded(v *view, op *kv.Op) bool {
	partition := v.partition(op.Hash)
	owners := v.owners(partition)
	if op.Kind == kv.OpGet && op.Required == 1 {
		k := c.candidate(v, partition, 0)
		if k < 0 {
			return false
		}
		owners = owners[k : k+1]
	}
	for _, n := range owners {
		if q := v.peers[n]; q != nil && q.Overloaded() {
			return true
		}
	}
	return false
}

// advance looks at every operation that is decided, which are all unless the
// deadline has passed, and says whether any is on its way again.
func (c *Coordinator) advance(v *view, p *pending, call *kv.Call) (again bool) {
	for k := range call.Ops {
		i := p.nth(k)
		o := p.state(i)
		switch {
		case !o.done:
			continue
		case o.redo && (!o.settled || o.err == nil):
			c.redo(v, p, call, i)
			again = again || !p.settled(i)
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
			c.repaired(v, p, i, &o)
		}
		again = again || !p.settled(i)
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
		op, o := &call.Ops[i], p.at(i)
		if o.heir > 0 {
			heir := int(o.heir) - 1
			o, op.Version = p.at(heir), call.Ops[heir].Version
		}
		op.Err, op.Acks = o.err, min(int(o.have()), op.Replicas)
		if !o.settled {
			op.Err = cmp.Or(o.vain, kv.ErrTimeout)
		}
		if op.Err == kv.ErrConditionFailed {
			op.Version = o.stale
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
				op.Value, op.Meta = keep(&call.Buf, o.found.Value), keep(&call.Buf, o.found.Meta)
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
