package simnet

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"httpdhs/dataplane"
	"httpdhs/disk"
	"httpdhs/kv"
	"httpdhs/ring"
)

// Shape is what a run is made of. [Draw] draws all of it from a seed; tests change some of it.
type Shape struct {
	Seed       uint64
	Nodes      int
	Replicas   int
	Partitions int
	QueueBytes int           // bound of a peer's queue
	ProbeEvery time.Duration // pause between two probes of a peer
	BothAsk    int           // up to how many nodes both of a pair probe the other; 0: 13
	Grace      time.Duration // of tombstones
	SweepEvery time.Duration // less than 0: never

	Ahead    []time.Duration // of the clock of a node's machine, by node
	Kept     bool            // nodes keep their clocks together
	Span     time.Duration   // how long clients work and faults come
	Clients  int
	Pause    time.Duration // of a client between two operations, on the average
	Strict   bool          // clients ask for quorums alone
	Weak     bool          // clients ask for one replica alone
	Deletes  float64       // share of them among the operations on keys with which everything is done, up to 0.6
	Faults   []*Fault
	Crowds   []*Crowd
	Adders   int           // clients that add to counters
	Leavers  int           // clients that delete keys for good
	Lead     time.Duration // of crowds before clients and faults come
	Sizes    int           // how many bytes values may be longer than they need
	Fetching time.Duration // that each message of a fetch takes: as more data does, and a low --sync-rate
	Dawdles  time.Duration // that a node takes at most from one step of its start to the next; 0: none
	AtOnce   bool          // clients begin before the nodes are in sync
	RestTime time.Duration

	// Members is how members come and go; nil: they stay as they are, and nobody asks package
	// membership.
	Members *Coming

	Disks *Disks // nil: nodes have none

	// Store stands between a node and its store. Tests lie with it.
	Store func(node int, s dataplane.Store) dataplane.Store

	Verbose bool // messages are part of the log
}

// Draw draws the shape of a run.
func Draw(seed uint64) Shape { return drawShape(seed, named) }

// era is what a seed draws. Each era draws what the one before does, and more. So a seed that has
// once found something goes on drawing what it drew then.
type era int

const (
	unchanging era = iota // members stay as they are
	changing              // they come and go
	together              // nodes keep their clocks together
	crowded               // there are crowds, slow links, joiners that die, and replicas that are full
	sided                 // there are long splits in three sides
	dawdling              // time passes between the steps of a node's start
	pairing               // of each two nodes one probes the other, as in a large cluster
	counting              // clients add to counters
	onDisk                // nodes have disks
	stopping              // nodes are stopped whenever that is safe
	named                 // nodes find each other by a name, and so many found a cluster as are expected
)

func drawShape(seed uint64, as era) Shape {
	c := newChance(seed, streamShape)
	s := Shape{
		Seed: seed, Nodes: 5, Replicas: pick(c, 2, 3, 3, 3), Partitions: pick(c, 8, 16, 32),
		QueueBytes: pick(c, 1<<10, 64<<10, 64<<20), ProbeEvery: 500 * time.Millisecond,
		Grace: time.Hour, SweepEvery: time.Second,
		Span: c.between(2*time.Second, 14*time.Second), Clients: 3 + c.IntN(4),
		Pause: c.between(10*time.Millisecond, 150*time.Millisecond), Strict: c.yes(0.2), Weak: c.yes(0.05),
		Deletes: 0.2, AtOnce: c.yes(0.1), RestTime: 20 * time.Minute,
	}
	if c.yes(0.25) { // what lasts for milliseconds is met by those who ask often
		s.Span, s.Pause = c.between(time.Second, 3*time.Second), c.between(2*time.Millisecond, 10*time.Millisecond)
	}
	skew := pick(c, 0, 20*time.Millisecond, 5*time.Second)
	for range s.Nodes {
		s.Ahead = append(s.Ahead, c.between(-skew, skew))
	}
	p := drawProfile(c)
	if as >= changing {
		s.drawMembers(newChance(seed, streamChanges))
	}
	s.Faults = drawFaults(newChance(seed, streamFaults), p, s.places(), s.Span)
	if as >= together {
		s.drawClocks(newChance(seed, streamClocks))
	}
	if as >= crowded {
		s.drawFalter(newChance(seed, streamFalter))
		s.drawSlow(newChance(seed, streamSlow))
		s.drawFull(newChance(seed, streamFull))
		s.drawCrowds(newChance(seed, streamCrowds))
	}
	if as >= sided {
		s.drawSides(newChance(seed, streamSides))
	}
	if as >= dawdling {
		s.drawDawdles(newChance(seed, streamDawdles))
	}
	if as >= pairing && newChance(seed, streamPairs).yes(0.3) {
		s.BothAsk = 1
	}
	if as >= counting {
		s.drawCounters(newChance(seed, streamCounters))
	}
	if as >= onDisk {
		s.drawDisks(newChance(seed, streamDisks))
	}
	if as >= stopping {
		s.drawStops(newChance(seed, streamStops))
	}
	if as >= named {
		s.drawNames(newChance(seed, streamNames))
	}
	return s
}

// places are the names of all nodes that there may be: those of the beginning, then those that may
// join.
func (s *Shape) places() (all []string) {
	if s.Members == nil {
		return names(s.Nodes)
	}
	for _, name := range names(s.Nodes + s.Members.Spares) {
		all = append(all, name+":1") // package membership wants host:port
	}
	return all
}

func names(nodes int) (all []string) {
	for i := range nodes {
		all = append(all, fmt.Sprintf("node%d", i))
	}
	return all
}

// sim is a run under way.
type sim struct {
	shape Shape
	log   *eventLog
	rec   *recorder
	net   *network
	table *ring.Table // of those that begin
	ring  *ring.Table // of those that last agreed at rest; only the goroutine of Run uses it
	nodes []*node
	keys  []string

	works   sync.WaitGroup // operations under way
	helps   sync.WaitGroup // the watch and the faults
	acts    sync.WaitGroup // of the operators: members that are made to go
	revives sync.WaitGroup // of the operators: nodes that have ended by themselves
	ended   chan struct{}
	apart   time.Duration
	splits  *splitWatch
	clocks  clockWatch
	health  healthWatch
	stops   []SafeStop
}

// Run carries out a run, and returns what came of it. It must be called in a bubble of
// testing/synctest.
func Run(shape Shape) (*History, error) {
	s, err := build(shape)
	if err != nil {
		return nil, err
	}
	for _, n := range s.nodes[:shape.Nodes] {
		if err := s.start(n); err != nil {
			s.stop()
			return nil, err
		}
	}
	s.helps.Go(s.watch)
	h := s.history()
	founding := s.founding()
	if !shape.AtOnce {
		if h.Rest = s.rest(); h.Rest != "" {
			h.Rest = "at the start: " + h.Rest
		}
	}
	if two := founding(); two != "" {
		h.Rest = two
	}
	if h.Rest == "" {
		s.work()
		s.log.add("all faults are over")
		s.setRight()
		s.helps.Go(s.lookAgain)
		s.heal()
		if h.Rest = s.withoutAway(); h.Rest == "" {
			h.Rest = s.rest()
		}
		if h.Rest == "" {
			s.log.add("at rest")
			s.expire()
			s.finalReads(h)
			s.look(h)
		}
	}
	s.rec.all(h)
	h.Ended = s.log.now()
	h.Stops = s.stops
	h.Splits, h.Apart, h.log = s.splits.all(), s.apart, s.log.all()
	h.Healthy = s.health.all()
	h.Untimely, h.Few = s.clocks.untimely, s.clocks.few
	if h.Kept && !h.Few {
		h.Apart = timelyWithin
	}
	s.stop() // what is stored and lost from here on is not part of it
	return h, nil
}

func build(shape Shape) (*sim, error) {
	start := time.Now()
	s := &sim{shape: shape, ended: make(chan struct{})}
	s.log = &eventLog{start: start, verbose: shape.Verbose}
	s.net = &network{
		log: s.log, seed: shape.Seed, fetching: shape.Fetching, nodes: make(map[string]*node), faults: make(map[*Fault]struct{}),
		ways: make(map[[2]string]way), fates: make(map[course]chance),
	}
	var members []ring.Node
	for i, name := range shape.places() {
		n := &node{
			name: name, index: i, boots: newChance(shape.Seed, uint64(streamsPerNode*streamBoots+i)),
			dawdles: &shared{c: newChance(shape.Seed, uint64(streamsPerNode*streamDawdles+i))}, starts: make(chan struct{}, 1),
			random: &shared{c: newChance(shape.Seed, uint64(streamsPerNode*streamJitter+i))},
		}
		if shape.Disks != nil {
			n.slot.copies, n.slot.fates = make(map[*Fault]*snapshot), newChance(shape.Seed, uint64(streamsPerNode*streamFates+i))
			n.slot.renew(shape.Disks.Sync, 0)
		}
		s.setClock(n, shape.Ahead[i])
		s.nodes = append(s.nodes, n)
		s.net.nodes[name] = n
		if n.gone = i >= shape.Nodes; !n.gone {
			members = append(members, ring.Node{Name: name, Weight: 1})
		}
	}
	var err error
	s.table, err = ring.New(members, ring.Settings{Partitions: shape.Partitions, Replicas: shape.Replicas})
	if err != nil {
		return nil, err
	}
	s.ring = s.table
	s.rec = &recorder{log: s.log, table: s.table}
	s.splits = &splitWatch{log: s.log}
	s.health.log = s.log
	s.keys = allKeys()
	if len(shape.Crowds) > 0 {
		s.keys = append(s.keys, crowdKeys...)
	}
	if shape.Adders > 0 {
		s.keys = append(s.keys, counterKeys...)
	}
	if shape.Leavers > 0 {
		s.keys = append(s.keys, leftKeys...)
	}
	return s, nil
}

func (s *sim) history() *History {
	return &History{
		Seed: s.shape.Seed, Replicas: s.shape.Replicas, Epoch: s.log.start, Listed: make(map[string][]string),
		Owners: s.owners, Changed: s.shape.changes(), Grace: s.shape.Grace, OnDisk: s.shape.Disks != nil && s.shape.Disks.Sync == disk.SyncAlways,
		Kept: s.shape.Kept, Overload: s.shape.QueueBytes < overloadBytes,
		Full:   slices.ContainsFunc(s.shape.Faults, (*Fault).refuses),
		NoDisk: slices.ContainsFunc(s.shape.Faults, func(f *Fault) bool { return f.refuses() && f.Kind != Full }),
	}
}

// owners are the names of a key's owners, the primary first.
func (s *sim) owners(key string) (names []string) { return ownersBy(s.ring, key) }

func ownersBy(t *ring.Table, key string) (names []string) {
	for _, i := range t.Owners(t.Partition(kv.Hash([]byte(key)))) {
		names = append(names, t.NodeAt(i).Name)
	}
	return names
}

// setClock sets the clock of a node's machine so far ahead of the run's.
func (s *sim) setClock(n *node, ahead time.Duration) {
	n.ahead.Store(int64(ahead))
	s.apart = max(s.apart, ahead.Abs())
}

// work has the clients work while faults come and go. It returns when all faults are over and every
// operation that a node has taken has ended.
func (s *sim) work() {
	var clients sync.WaitGroup
	clients.Go(func() { s.crowds(time.Now()) })
	time.Sleep(s.shape.Lead)
	begin := time.Now()
	for i := range s.shape.Clients {
		c := s.newClient(i)
		clients.Go(func() { c.work(begin.Add(s.shape.Span)) })
	}
	s.adders(&clients, begin.Add(s.shape.Span))
	s.leavers(&clients, begin.Add(s.shape.Span))
	if s.shape.Members != nil {
		s.acts.Go(func() { s.change(begin) })
	}
	s.faults(begin)
	clients.Wait()
	s.acts.Wait()
	s.works.Wait()
}

// faults turns the faults on and off, in the order of their times.
func (s *sim) faults(begin time.Time) {
	type turn struct {
		at time.Duration
		f  *Fault
		do func(*Fault)
	}
	var turns []turn
	for _, f := range s.shape.Faults {
		if f.Kind == Stale {
			turns = append(turns, turn{max(0, f.At+f.By), f, s.snapAll})
		}
		turns = append(turns, turn{f.At, f, func(f *Fault) { s.turn(f, true) }}, turn{f.At + f.For, f, func(f *Fault) { s.turn(f, false) }})
	}
	for len(turns) > 0 {
		next := 0
		for i := range turns {
			if turns[i].at < turns[next].at {
				next = i
			}
		}
		t := turns[next]
		turns = append(turns[:next], turns[next+1:]...)
		time.Sleep(time.Until(begin.Add(t.at)))
		t.do(t.f)
	}
}

// turn turns a fault on or off.
func (s *sim) turn(f *Fault, on bool) {
	if on {
		s.log.add("begins: %v", f)
	} else {
		s.log.add("ends: %v", f)
	}
	if f.splits() {
		s.splits.turn(on, f.Kind == Wild)
	}
	switch f.Kind {
	case StopIfSafe:
		if on {
			s.stopIfSafe(f)
			return
		}
		for _, name := range f.A {
			s.mustStart(s.net.nodes[name])
		}
		return
	case Crash, Killed, Powerless, Restarted, Stale:
		s.health.trouble()
		s.turnNodes(f, on)
		return
	}
	s.health.turn(on, f.Kind)
	for _, name := range f.A {
		n := s.net.nodes[name]
		switch f.Kind {
		case Full:
			n.full.Store(on)
		case Unwritable, Unsyncable, DiskFull, SlowDisk:
			s.turnDisk(n, f.Kind, on)
		case Stop:
			if run := s.net.at(name); run != nil {
				if on {
					run.door.close()
				} else {
					run.door.open()
				}
			}
		case Wild, Jump:
			by := f.By
			if !on {
				by = -by
			}
			s.setClock(n, time.Duration(n.ahead.Load())+by)
		}
	}
	s.net.set(f, on)
}

// stop ends everything.
func (s *sim) stop() {
	close(s.ended)
	s.helps.Wait()
	s.revives.Wait()
	for _, n := range s.nodes {
		s.kill(s.net.at(n.name), killed)
	}
	s.acts.Wait()
	s.works.Wait()
	s.net.moves.Wait()
	s.net.hands.end()
}
