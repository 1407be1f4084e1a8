package simnet

import (
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"httpdhs/dataplane"
	"httpdhs/disk"
	"httpdhs/kv"
	"httpdhs/membership"
	"httpdhs/peer"
	"httpdhs/shard"
	"httpdhs/wire"
)

// node is a place where a node runs, or does not: its name, its clock and its disk, if it has one.
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

	slot slot // of its disk, where nodes have one
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
	begun   atomic.Bool // it takes part
	disked
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

// mustStart starts a node that is to run and does not.
func (s *sim) mustStart(n *node) {
	if err := s.start(n); err != nil {
		panic("BUG: simnet: " + err.Error())
	}
}

// start starts a node, if it is to run and does not: with what its disk has, or empty.
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
	o, err := s.optionsOf(run, boot)
	if err != nil && run.log == nil && s.shape.Disks != nil {
		s.log.add("%s does not open its disk: %v", n.name, err)
		s.revives.Go(func() { s.revive(n) })
		return nil
	}
	if err == nil {
		run.plane, err = dataplane.New(o)
	}
	if err != nil {
		return fmt.Errorf("cannot start %s: %w", n.name, err)
	}
	if run.log == nil {
		s.mustFollow(run)
	}
	s.dawdle(n)
	s.net.mu.Lock()
	n.run, n.last = run, run.since
	s.net.mu.Unlock()
	s.health.trouble()
	s.log.add("%s starts, boot %x", n.name, boot)
	s.dawdle(n)
	if run.log != nil {
		run.boots.Go(func() { s.boot(run) })
		return nil
	}
	if run.members != nil {
		s.startMembers(run) // before the topology, which asks it for hellos
		s.dawdle(n)
	}
	run.plane.Start()
	run.begun.Store(true)
	return nil
}

// optionsOf opens what a node is made of, and says how to put it together.
func (s *sim) optionsOf(run *running, boot uint64) (*dataplane.Options, error) {
	n := run.node
	wall := s.keep(run)
	run.clock = kv.NewClock(uint16(n.index), run.now)
	grace, err := s.openDisk(run)
	if err != nil {
		return nil, err
	}
	so := shard.Options{Partitions: s.shape.Partitions, Grace: grace, SweepEvery: s.shape.SweepEvery, Now: run.expiry}
	if run.log != nil {
		so.Journal = run.log
	}
	inner, err := shard.Open(so)
	if err != nil {
		return nil, err
	}
	run.store = &notedStore{Store: inner, run: run, rec: s.rec, keys: make([][]string, s.shape.Partitions)}
	o := &dataplane.Options{
		Name: n.name, Ring: s.table.Settings(), Store: run.store, Clock: run.clock, Wall: wall,
		Limits: kv.DefaultLimits(), Log: slog.New(s.logOf(n)),
		Dial: func(to string) peer.Transport {
			return &link{net: s.net, from: run, to: to, abort: make(chan struct{})}
		},
		QueueBytes: s.shape.QueueBytes, ProbeEvery: s.shape.ProbeEvery, BothAsk: s.shape.BothAsk, Random: n.random.next,
		Boot: boot, Grace: grace, Describe: func(*wire.Ping, bool) {},
	}
	if run.log != nil {
		run.store.always, o.Starting = s.shape.Disks.Sync == disk.SyncAlways, run.starting
	}
	if s.shape.Store != nil {
		o.Store = s.shape.Store(n.index, run.store)
	}
	if s.shape.Members != nil {
		return o, s.newMembers(run, o)
	}
	return o, nil
}

// members are the nodes of the beginning: all, if no members come and go.
func (s *sim) members() wire.Members {
	m := wire.Members{Digest: 1}
	for _, n := range s.table.Nodes() {
		m.All = append(m.All, wire.Member{Name: n.Name, Weight: n.Weight, Zone: n.Zone})
	}
	return m
}

// end is how a node ends.
type end uint8

const (
	wiped  end = iota // it crashes, with its disk if it has one
	left              // it has left
	killed            // its process is killed
	cut               // it loses its power
	shut              // it is stopped in good order
)

// kill ends a node. From one instant on nothing comes out of it, and its memory is gone. It does
// nothing if there is no node: run is nil.
func (s *sim) kill(run *running, how end) {
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
	s.fall(run, how)
	run.door.open()
	if run.log != nil {
		run.cancel()
		run.boots.Wait()
		if how != shut {
			run.log.Kill()
		}
	}
	if run.members != nil {
		run.members.Close()
	}
	run.plane.Close()
	if run.log != nil && how == shut {
		if err := run.log.Close(); err != nil {
			s.log.add("%s does not end well: %v", run.name(), err)
		}
	}
	_ = run.store.Close() // it is always nil
}

// fall is the instant in which a node ends.
func (s *sim) fall(run *running, how end) {
	run.store.mu.Lock() // what is being stored just now comes before the end
	defer run.store.mu.Unlock()
	run.dead.Store(true)
	switch d := &run.node.slot; {
	case run.log != nil:
		d.mu.Lock()
		close(d.dies)
		s.fallTo(run.node, how)
		d.mu.Unlock()
	case how == left:
		s.rec.event(Event{Kind: Gone, Node: run.name()})
	default:
		s.rec.event(Event{Kind: Lost, Node: run.name()})
	}
	run.store.rec = &recorder{log: s.log, table: s.table} // what a dead node stores is nobody's
}
