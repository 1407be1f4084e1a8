package simnet

import (
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"httpdhs/dataplane"
	"httpdhs/kv"
	"httpdhs/membership"
	"httpdhs/peer"
	"httpdhs/ring"
	"httpdhs/shard"
	"httpdhs/wire"
)

// node is a place where a node runs, or does not: its name, its clock and its disk, if it had one.
type node struct {
	name   string
	index  int
	ahead  atomic.Int64 // of its wall clock to the run's time, nanoseconds
	boots  chance
	random *shared // for package membership and the data plane
	full   atomic.Bool

	dawdles *shared
	starts  chan struct{} // has a token while the node starts, or ends: time may pass meanwhile

	owner bool     // it has had its share since it joined; guarded by network.mu
	ever  bool     // it has had a share, perhaps before it was removed and joined again; guarded by network.mu
	run   *running // nil: it is down; guarded by network.mu
	gone  bool     // it is not to run: it is no member; guarded by network.mu
	away  bool     // it is gone, and comes back; guarded by network.mu
	ended bool     // it is a member, and does not come back; guarded by network.mu

	last time.Duration // when it was last started; guarded by network.mu
}

// wall is what the clock of the node's machine reads.
func (n *node) wall() time.Time { return time.Now().Add(time.Duration(n.ahead.Load())) }

// running is a node from its start to its stop.
type running struct {
	node    *node
	plane   *dataplane.Plane
	store   *notedStore
	now     func() time.Time // by which it goes
	expiry  func() time.Time // by which values expire
	clock   *kv.Clock
	since   time.Duration          // when it started
	alone   time.Duration          // when it last knew too few others to tell what time it is; of the clock watch
	members *membership.Membership // nil: members stay as they are
	leaving atomic.Bool
	door    door
	dead    atomic.Bool
}

func (r *running) name() string { return r.node.name }

// door is where the goroutines of a stopped node wait. They come to it wherever they touch what is
// outside of them: the network and the store. A stopped process does no more than that: it keeps
// what it has in hand.
type door struct {
	mu    sync.Mutex    // guards all below
	shut  chan struct{} // closed and nil when it opens
	stops int           // how often it was shut
}

func (d *door) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stops++
	if d.shut == nil {
		d.shut = make(chan struct{})
	}
}

func (d *door) open() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.shut != nil {
		close(d.shut)
		d.shut = nil
	}
}

// pass waits until the door is open.
func (d *door) pass() {
	for {
		d.mu.Lock()
		shut := d.shut
		d.mu.Unlock()
		if shut == nil {
			return
		}
		<-shut
	}
}

// stopped says whether the door is shut, and how often it was.
func (d *door) stopped() (now bool, times int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.shut != nil, d.stops
}

// notedStore is a node's store. It tells the recorder what is stored. A lock has it tell things in
// the order in which they were done.
type notedStore struct {
	*shard.Store
	run *running
	rec *recorder

	mu   sync.Mutex // guards keys
	keys [][]string // by partition: all that was ever stored, to know what a drop takes
}

// Apply implements dataplane.Store.
func (s *notedStore) Apply(hash uint64, r *kv.Record) (kv.Applied, error) {
	return s.apply(hash, r, nil, func() (kv.Applied, error) { return s.Store.Apply(hash, r) })
}

// Decide implements dataplane.Store.
func (s *notedStore) Decide(hash uint64, d *kv.Decision) (kv.Applied, error) {
	return s.apply(hash, &d.Record, d, func() (kv.Applied, error) { return s.Store.Decide(hash, d) })
}

// apply has the store apply a record, where the node lets it in and has memory for it. A decision
// makes the record, unless it is nil.
func (s *notedStore) apply(hash uint64, r *kv.Record, d *kv.Decision, do func() (kv.Applied, error)) (kv.Applied, error) {
	s.run.door.pass()
	s.mu.Lock()
	defer s.mu.Unlock()
	if a, full := s.full(hash, r, d); full {
		return a, kv.ErrNoMemory
	}
	a, err := do()
	s.note(hash, r, &a, err)
	return a, err
}

// full says whether the node has no memory for a record that the store would take: a new one, or
// one that is larger than what is held. There is always room for tombstones.
func (s *notedStore) full(hash uint64, r *kv.Record, d *kv.Decision) (a kv.Applied, full bool) {
	if !s.run.node.full.Load() {
		return a, false
	}
	held, _, ok := s.Store.Get(nil, hash, r.Key)
	now := s.run.expiry().UnixMilli()
	if d != nil {
		d.Decide(&held, now)
	}
	switch {
	case r.Tombstone, d != nil && !d.Changed, ok && (len(r.Value) <= len(held.Value) || !r.Supersedes(&held)):
		return a, false
	}
	return kv.Applied{Existed: held.Live(now), Current: held.Version}, true
}

func (s *notedStore) note(hash uint64, r *kv.Record, a *kv.Applied, err error) {
	if err != nil || a.Outcome != kv.Stored {
		return
	}
	part := s.rec.table.Partition(hash)
	s.keys[part] = append(s.keys[part], string(r.Key))
	s.rec.event(Event{Kind: Stored, Node: s.run.name(), Key: string(r.Key), Version: r.Version, Tombstone: r.Tombstone})
}

// Get implements dataplane.Store.
func (s *notedStore) Get(dst []byte, hash uint64, key []byte) (kv.Entry, []byte, bool) {
	s.run.door.pass()
	return s.Store.Get(dst, hash, key)
}

// Scan implements dataplane.Store.
func (s *notedStore) Scan(partition int, from uint64, fn func(hash uint64, r *kv.Record) bool) {
	s.run.door.pass()
	s.Store.Scan(partition, from, fn)
}

// Digests implements dataplane.Store.
func (s *notedStore) Digests(partition int, dst *[shard.Buckets]uint64) {
	s.run.door.pass()
	s.Store.Digests(partition, dst)
}

// Digest implements dataplane.Store.
func (s *notedStore) Digest(partition int) uint64 {
	s.run.door.pass()
	return s.Store.Digest(partition)
}

// ApplySync implements dataplane.Store.
func (s *notedStore) ApplySync(hash uint64, r *kv.Record) (kv.Applied, error) {
	return s.apply(hash, r, nil, func() (kv.Applied, error) { return s.Store.ApplySync(hash, r) })
}

// ApplyAll implements dataplane.Store.
func (s *notedStore) ApplyAll(offers []kv.Offer) {
	for i := range offers {
		o := &offers[i]
		if o.Decision != nil {
			o.Applied, o.Err = s.Decide(o.Hash, o.Decision)
		} else {
			o.Applied, o.Err = s.Apply(o.Hash, o.Record)
		}
	}
}

// DropIf implements dataplane.Store.
func (s *notedStore) DropIf(partition int, digests *[shard.Buckets]uint64) bool {
	s.run.door.pass()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.Store.DropIf(partition, digests) {
		return false
	}
	for _, key := range s.keys[partition] {
		s.rec.event(Event{Kind: Dropped, Node: s.run.name(), Key: key})
	}
	s.keys[partition] = nil
	return true
}

// recorder takes down what the checker looks at.
type recorder struct {
	log   *eventLog
	table *ring.Table

	mu     sync.Mutex // guards all below
	ops    []Op
	events []Event
}

// all is what was taken down so far. Nodes still run: one may drop what it has handed over.
func (r *recorder) all() ([]Op, []Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ops, r.events
}

func (r *recorder) event(e Event) {
	e.At = r.log.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

// begin notes an operation, whose outcome is unknown until it has ended, and returns its number.
func (r *recorder) begin(o Op) int {
	o.Begin, o.End = r.log.now(), Never
	r.mu.Lock()
	defer r.mu.Unlock()
	o.ID = len(r.ops)
	r.ops = append(r.ops, o)
	return o.ID
}

// end changes an operation by what came of it.
func (r *recorder) end(id int, with func(o *Op)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	with(&r.ops[id])
}

// mustStart starts a node that is to run and does not.
func (s *sim) mustStart(n *node) {
	if err := s.start(n); err != nil {
		panic("BUG: simnet: " + err.Error())
	}
}

// start starts a node, empty, if it is to run and does not.
func (s *sim) start(n *node) error {
	n.starts <- struct{}{}
	defer func() { <-n.starts }()
	s.net.mu.Lock()
	needless := n.gone || n.run != nil
	s.net.mu.Unlock()
	if needless {
		return nil
	}
	boot := n.boots.Uint64() | 1
	run := &running{node: n, since: s.log.now()}
	wall := s.keep(run)
	run.clock = kv.NewClock(uint16(n.index), run.now)
	inner, err := shard.Open(shard.Options{
		Partitions: s.shape.Partitions, Grace: s.shape.Grace, SweepEvery: s.shape.SweepEvery, Now: run.expiry,
	})
	if err != nil {
		return err
	}
	run.store = &notedStore{Store: inner, run: run, rec: s.rec, keys: make([][]string, s.shape.Partitions)}
	o := dataplane.Options{
		Name: n.name, Ring: s.table.Settings(), Store: run.store, Clock: run.clock, Wall: wall,
		Limits: kv.DefaultLimits(), Log: slog.New(s.logOf(n)),
		Dial: func(to string) peer.Transport {
			return &link{net: s.net, from: run, to: to, abort: make(chan struct{})}
		},
		QueueBytes: s.shape.QueueBytes, ProbeEvery: s.shape.ProbeEvery, BothAsk: s.shape.BothAsk, Random: n.random.next,
		Boot: boot, Grace: s.shape.Grace, Describe: func(*wire.Ping, bool) {},
	}
	if s.shape.Store != nil {
		o.Store = s.shape.Store(n.index, run.store)
	}
	if s.shape.Members != nil {
		if err := s.newMembers(run, &o); err != nil {
			return err
		}
	}
	run.plane, err = dataplane.New(&o)
	if err != nil {
		return fmt.Errorf("cannot start %s: %w", n.name, err)
	}
	s.mustFollow(run)
	s.dawdle(n)
	s.net.mu.Lock()
	n.run, n.last = run, run.since
	s.net.mu.Unlock()
	s.health.trouble()
	s.dawdle(n)
	if run.members != nil {
		s.startMembers(run) // before the topology, which asks it for hellos
		s.dawdle(n)
	}
	run.plane.Start()
	s.log.add("%s starts, boot %x", n.name, boot)
	return nil
}

// members are the nodes of the beginning: all, if no members come and go.
func (s *sim) members() wire.Members {
	m := wire.Members{Digest: 1}
	for _, n := range s.table.Nodes() {
		m.All = append(m.All, wire.Member{Name: n.Name, Weight: n.Weight, Zone: n.Zone})
	}
	return m
}

// kill ends a node as a crash does, or one that has left. From one instant on nothing comes out of
// it, and its memory is gone. It does nothing if there is no node: run is nil.
func (s *sim) kill(run *running, how EventKind) {
	if run == nil {
		return
	}
	run.node.starts <- struct{}{}
	defer func() { <-run.node.starts }()
	s.health.trouble()
	s.net.mu.Lock()
	runs := run.node.run == run
	if runs {
		run.node.run = nil
	}
	s.net.mu.Unlock()
	if !runs {
		return
	}
	run.dead.Store(true)
	run.store.mu.Lock() // what is being stored just now comes before the end
	s.rec.event(Event{Kind: how, Node: run.name()})
	run.store.rec = &recorder{log: s.log, table: s.table} // what a dead node stores is nobody's
	run.store.mu.Unlock()
	run.door.open()
	if run.members != nil {
		run.members.Close()
	}
	run.plane.Close()
	_ = run.store.Close() // it is always nil
}
