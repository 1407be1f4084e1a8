package simnet

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"httpdhs/dataplane"
	"httpdhs/membership"
	"httpdhs/wire"
)

// Coming is how members come and go in a run.
type Coming struct {
	Spares     int           // places of nodes that may join, after those of the beginning
	Founding   bool          // the nodes of the beginning join each other; else they have a list of all
	EvictAfter time.Duration // 0: no majority removes anybody
	Weights    []int         // by place
	Zones      []string      // by place
	Changes    []*Change     // in the order of their times
	Names      *Names        // by which the nodes of the beginning find each other; nil: by a list
}

// ChangeKind is what members do, or is done to them.
type ChangeKind uint8

const (
	Join   ChangeKind = iota // one that does not run joins
	Leave                    // one hands over what it has and goes
	Away                     // one crashes, and comes back much later: a majority may have removed it
	Remove                   // one crashes, an operator removes it, and it may come back
	Expel                    // an operator removes one that runs, if another takes it for down
	Falter                   // one joins, and crashes before it has its share, or soon after; another restarts then
	changeKinds
)

func (k ChangeKind) String() string {
	return [...]string{"join", "leave", "away", "remove", "expel", "falter"}[k]
}

// Change is one change of a run.
type Change struct {
	Kind  ChangeKind
	At    time.Duration // since the clients began
	Place int           // of the first node to consider: the change is about the first that it can be about
	After time.Duration // from the crash to the operator; of Falter from its start to the crash
	Back  time.Duration // from the crash until the node comes back; 0: it does not
	Then  time.Duration // of Falter: from there until another restarts
}

const (
	removeEvery = 200 * time.Millisecond // an operator tries again as long as the node is not taken for down
	expelTime   = 3 * time.Second        // that an operator tries to remove one that runs
	leavePoll   = 50 * time.Millisecond
	tellTime    = 2 * time.Second // a node that leaves has to tell the others
	formTime    = 5 * time.Second // until an operator restarts a node that has found nobody
	againEvery  = 5 * time.Second // an operator looks for members that are gone, and tries so long to remove one
)

// drawMembers draws how members come and go, if they do, and changes the shape accordingly.
func (s *Shape) drawMembers(c chance) {
	if c.yes(0.5) {
		return
	}
	m := &Coming{Spares: 1 + c.IntN(3), Founding: c.yes(0.5)}
	s.Nodes, s.Members = 2+c.IntN(4), m
	s.RestTime = 5 * time.Minute // nodes that do not come to rest ask each other often, which takes long
	if c.yes(0.5) {
		m.EvictAfter = c.between(500*time.Millisecond, 4*time.Second)
	}
	heavy, zones := pick(c, 1, 1, 3), pick(c, 1, 1, 2, 3)
	for i := range s.Nodes + m.Spares {
		m.Weights = append(m.Weights, 1+c.IntN(heavy))
		m.Zones = append(m.Zones, fmt.Sprint("zone", c.IntN(zones)))
		if i >= len(s.Ahead) {
			s.Ahead = append(s.Ahead, s.Ahead[c.IntN(i)])
		}
	}
	for range 1 + c.IntN(6) {
		ch := &Change{Kind: pick(c, Join, Join, Join, Leave, Leave, Away, Remove, Remove, Expel), At: c.between(0, s.Span)}
		ch.Place, ch.After = c.IntN(s.Nodes+m.Spares), c.between(100*time.Millisecond, 3*time.Second)
		if back := c.between(time.Second, 8*time.Second); ch.Kind == Away || c.yes(0.5) {
			ch.Back = back
		}
		m.Changes = append(m.Changes, ch)
	}
	sortChanges(m.Changes)
}

// detectTime is how long it takes until all find down whom they do not reach.
const detectTime = 4 * time.Second

// drawSides draws a split in three sides, none of which need be a majority, for so long that each
// would remove the others. No operator removes anybody: sides that have removed each other stay
// apart.
func (s *Shape) drawSides(c chance) {
	byHand := func(ch *Change) bool { return ch.Kind == Remove || ch.Kind == Expel }
	if s.Members == nil || s.Members.EvictAfter == 0 || slices.ContainsFunc(s.Members.Changes, byHand) {
		return
	}
	nodes := s.places()
	c.Shuffle(len(nodes), func(i, j int) { nodes[i], nodes[j] = nodes[j], nodes[i] })
	third, silent := (len(nodes)+1)/3, c.yes(0.5)
	at, lasts := c.between(0, s.Span/2), s.Members.EvictAfter+detectTime+c.between(0, 2*time.Second)
	for _, f := range []Fault{{A: nodes[:third], B: nodes[third:]}, {A: nodes[third : 2*third], B: nodes[2*third:]}} {
		f.Kind, f.At, f.For, f.Silent = Cut, at, lasts, silent
		s.Faults = append(s.Faults, &f)
	}
	s.Span = max(s.Span, at+lasts+c.between(0, 8*time.Second))
}

func sortChanges(all []*Change) {
	slices.SortStableFunc(all, func(a, b *Change) int { return int(a.At - b.At) })
}

// newMembers makes a node's part in the membership: what package node does.
func (s *sim) newMembers(run *running, o *dataplane.Options) (err error) {
	c, n := s.shape.Members, run.node
	settings := s.table.Settings()
	mo := membership.Options{
		Self:     wire.Member{Name: n.name, Weight: c.Weights[n.index], Zone: c.Zones[n.index]},
		Settings: wire.Settings{Partitions: settings.Partitions, Replicas: settings.Replicas, Partitioner: settings.Partitioner},
		Hello: func(ctx context.Context, to membership.Place, request []byte) ([]byte, error) {
			return s.hello(ctx, run, to.Addr, request)
		},
		Log: o.Log, Random: n.random.next,
	}
	if mo.Known, err = run.known(); err != nil {
		return err
	}
	if run.log != nil {
		mo.InSyncAt = run.synced.Said
	}
	mo.Static, mo.Join = s.introduce(n)
	s.byName(n, &mo)
	if len(mo.Static) == 0 && !s.anyFormed() {
		run.alone = max(s.log.now(), 1) // it may found a cluster
	}
	if run.members, err = membership.New(mo); err != nil {
		return err
	}
	s.log.add("%s is to know %v, to join %v, weight %d, %s", n.name, mo.Static, mo.Join, mo.Self.Weight, mo.Self.Zone)
	o.EvictAfter, o.Members, o.Hello = c.EvictAfter, mapOf{s, run}, run.members.ServeHello
	return nil
}

// mapOf is a node's member map, as its topology uses it.
type mapOf struct {
	*sim
	run *running
}

// Differs implements topology.Members.
func (m mapOf) Differs(name string) { m.run.members.Differs(name) }

// Outdated implements topology.Members.
func (m mapOf) Outdated(digest uint64) bool { return m.run.members.Digest() != digest }

// Evict implements topology.Members.
func (m mapOf) Evict(name string, _ time.Duration) {
	m.health.trouble()
	m.log.add("%s evicts %s: %v", m.run.name(), name, m.run.members.Remove(name))
}

// startMembers starts a node's part in the membership: its topology follows it from now on.
func (s *sim) startMembers(run *running) {
	t := run.plane.Topology
	run.members.Start(membership.Events{
		Live: t.Live, Down: t.Down, Overtaken: t.Overtaken, Heard: t.Heard,
		Changed: func() {
			run.keepMembers()
			s.dawdle(run.node)
			s.mustFollow(run)
		},
	})
}

// mustFollow tells a node's topology who the members are, if it is one of them.
func (s *sim) mustFollow(run *running) {
	now, member := s.members(), true
	if run.members != nil {
		now, member = run.members.Now()
	}
	if !member {
		return
	}
	if err := run.plane.Topology.SetMembers(now); err != nil {
		panic("BUG: simnet: " + err.Error())
	}
}

// anyFormed says whether a node that runs is part of a cluster.
func (s *sim) anyFormed() bool {
	return slices.ContainsFunc(s.runs(), func(run *running) bool { return run.members.Formed() })
}

// introduce says what a node that starts is told of the others. A list of all members is right only
// as long as nobody has joined or gone; else it gets some that are part of the cluster. If there
// are none, all that are to run: they found one.
func (s *sim) introduce(n *node) (static, join []string) {
	var formed, all []string
	outdated := false
	for i, other := range s.nodes {
		s.net.mu.Lock()
		run, gone, away := other.run, other.gone || other.ended, other.away
		s.net.mu.Unlock()
		if !gone || away { // all that found a cluster get the same list
			all = append(all, other.name)
		}
		outdated = outdated || gone == (i < s.shape.Nodes)
		if run != nil && run.members.Formed() && !run.leaving.Load() {
			formed = append(formed, other.name)
		}
	}
	switch initial := s.shape.places()[:s.shape.Nodes]; {
	case n.index < s.shape.Nodes && !outdated && !s.shape.Members.Founding:
		return initial, nil
	case len(formed) == 0:
		return nil, all
	}
	from := int(n.random.next() * float64(len(formed)))
	most := 1 + int(n.random.next()*float64(len(formed)))
	return nil, slices.Concat(formed[from:], formed[:from])[:most]
}

// forlorn says whether others run, and a node neither knows one of them as a member nor is known by
// one.
func (s *sim) forlorn(run *running) bool {
	if run.members == nil || !run.members.Formed() {
		return false
	}
	knows := func(a, b *running) bool {
		return slices.ContainsFunc(a.members.Members(), func(m wire.Member) bool { return m.Name == b.name() })
	}
	runs := s.runs()
	return len(runs) > 1 && !slices.ContainsFunc(runs, func(other *running) bool {
		return other != run && (knows(run, other) || knows(other, run))
	})
}

// anyForlorn says whether a node is forlorn. Such sides do not look for each other any more.
func (s *sim) anyForlorn() bool { return slices.ContainsFunc(s.runs(), s.forlorn) }

// hello carries a hello over the network.
func (s *sim) hello(ctx context.Context, run *running, addr string, request []byte) ([]byte, error) {
	w := &link{net: s.net, from: run, to: addr, abort: make(chan struct{})}
	defer context.AfterFunc(ctx, w.Abort)()
	deadline, ok := ctx.Deadline()
	if !ok {
		panic("BUG: simnet: a hello that nothing bounds")
	}
	answer, err := w.RoundTrip(nil, wire.AppendHello(nil, request), deadline)
	if err != nil {
		return nil, err
	}
	return wire.SplitHello(answer)
}

// change has members come and go, at their times.
func (s *sim) change(begin time.Time) {
	for _, ch := range s.shape.Members.Changes {
		time.Sleep(time.Until(begin.Add(ch.At)))
		switch n := s.about(ch); {
		case n == nil:
			s.log.add("%v: there is no node for it", ch.Kind)
		case ch.Kind == Join, ch.Kind == Falter:
			s.log.add("%s joins", n.name)
			s.setGone(n, false)
			s.mustStart(n)
			if ch.Kind == Falter {
				s.acts.Go(func() { s.falter(n, ch) })
			}
		case ch.Kind == Leave:
			s.acts.Go(func() { s.leave(s.net.at(n.name)) })
		case ch.Kind == Expel:
			s.acts.Go(func() { s.remove(n, time.Now().Add(expelTime)) })
		default:
			s.acts.Go(func() { s.away(n, ch) })
		}
	}
}

// setGone says whether the node is to run.
func (s *sim) setGone(n *node, gone bool) {
	s.health.trouble()
	s.net.mu.Lock()
	defer s.net.mu.Unlock()
	n.gone, n.away, n.ended, n.owner = gone, false, false, n.owner && gone
}

// about is the node that a change can be about: from its place on. Two at least are left of those
// that are to run.
func (s *sim) about(ch *Change) *node {
	s.net.mu.Lock()
	defer s.net.mu.Unlock()
	stay, joins := 0, ch.Kind == Join || ch.Kind == Falter
	for _, n := range s.nodes {
		if !n.gone && !n.ended && (n.run == nil || !n.run.leaving.Load()) {
			stay++
		}
	}
	for i := range s.nodes {
		n := s.nodes[(ch.Place+i)%len(s.nodes)]
		runs := n.run != nil && !n.run.leaving.Load()
		if joins && n.gone && n.run == nil || !joins && runs && stay > 2 {
			return n
		}
	}
	return nil
}

// leave has a node hand over what it holds and go: what package node does.
func (s *sim) leave(run *running) {
	if run == nil || !run.members.Formed() || !run.begun.Load() {
		return
	}
	run.leaving.Store(true)
	s.health.trouble()
	err := run.members.BeginLeave()
	s.log.add("%s begins to leave: %v", run.name(), err)
	if err != nil {
		run.leaving.Store(false)
		return
	}
	stays := func() bool { // of several that all leave, one does
		return slices.ContainsFunc(run.members.All(), func(m wire.Member) bool { return m.Name == run.name() && m.State == wire.Active })
	}
	for end := time.Now().Add(s.shape.Span + s.shape.RestTime); run.plane.Repairer.Leaving() > 0 && !stays(); {
		if time.Now().After(end) {
			s.tellStatements()
			s.withoutEnded() // a node that leaves waits for them
			end = end.Add(s.shape.RestTime)
		}
		time.Sleep(leavePoll)
		run.door.pass()
		if run.dead.Load() {
			return
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), tellTime)
	defer cancel()
	err = run.members.Left(ctx)
	s.log.add("%s has left: %v", run.name(), err)
	if errors.Is(err, membership.ErrNotLeaving) {
		run.leaving.Store(false)
		return
	}
	if run.dead.Load() {
		return
	}
	s.setGone(run.node, true)
	s.kill(run, left)
	if err != nil && s.shape.Members.EvictAfter == 0 { // it could not tell all: it is a dead member, which nobody else removes
		s.remove(run.node, time.Now().Add(s.shape.RestTime))
	}
}

// away has a node crash, and come back if it does, and an operator remove it meanwhile.
func (s *sim) away(n *node, ch *Change) {
	s.log.add("%s crashes for %v", n.name, ch.Back)
	began := time.Now()
	s.setGone(n, true)
	s.net.mu.Lock()
	n.away = ch.Back > 0
	s.net.mu.Unlock()
	s.kill(s.net.at(n.name), killed)
	if ch.Kind == Remove || ch.Back == 0 {
		time.Sleep(ch.After)
		end := began.Add(ch.Back)
		if ch.Back == 0 {
			end = began.Add(s.shape.RestTime)
		}
		s.remove(n, end)
	}
	if ch.Back > 0 {
		time.Sleep(time.Until(began.Add(ch.Back)))
		s.setGone(n, false)
		s.mustStart(n)
	}
}

// heal has an operator restart nodes that have nobody to join: those that they know are gone, or
// have never been there.
func (s *sim) heal() {
	if s.shape.Members == nil {
		return
	}
	for end := time.Now().Add(s.shape.RestTime); time.Now().Before(end); {
		time.Sleep(formTime)
		var lost []*node
		for _, n := range s.nodes {
			if run := s.net.at(n.name); run != nil && !run.members.Formed() {
				lost = append(lost, n)
			}
		}
		if len(lost) == 0 {
			return
		}
		for _, n := range lost {
			s.log.add("an operator starts %s anew", n.name)
			s.kill(s.net.at(n.name), killed)
		}
		for _, n := range lost {
			s.mustStart(n)
		}
	}
}

// discord says which members do not agree on who the members are, or by which ring they go; empty:
// they do, and the ring is that of all who run.
func (s *sim) discord() string {
	var first *running
	var names []string
	for _, run := range s.runs() {
		names = append(names, run.name())
	}
	for _, run := range s.runs() {
		if !run.members.Formed() {
			return fmt.Sprintf("%s is not part of a cluster: %v", run.name(), run.members.Ready())
		}
		if run.leaving.Load() {
			return fmt.Sprintf("%s is still leaving, with %d partitions to hand over", run.name(), run.plane.Repairer.Leaving())
		}
		if first == nil {
			first = run
		}
		members, _ := run.members.Now()
		var known []string
		for i := range members.All {
			known = append(known, members.All[i].Name)
		}
		now, next := run.plane.Topology.Rings()
		switch {
		case now == nil:
			return fmt.Sprintf("%s has worked out no ring yet", run.name())
		case !slices.Equal(known, names):
			return fmt.Sprintf("the members are %v to %s, and %v run", known, run.name(), names)
		case run.members.Digest() != first.members.Digest():
			return fmt.Sprintf("%s and %s have other maps", first.name(), run.name())
		case now.Fingerprint() != next.Fingerprint():
			return fmt.Sprintf("%s reads by ring %x and goes to %x", run.name(), now.Fingerprint(), next.Fingerprint())
		case len(run.plane.Topology.Peers()) != len(names)-1:
			return fmt.Sprintf("%s still has %d peers, and %v run", run.name(), len(run.plane.Topology.Peers()), names)
		}
		if of, _ := first.plane.Topology.Rings(); now.Fingerprint() != of.Fingerprint() {
			return fmt.Sprintf("%s and %s read by other rings", first.name(), run.name())
		}
	}
	return ""
}

// runs are the nodes that run.
func (s *sim) runs() (all []*running) {
	for _, n := range s.nodes {
		if run := s.net.at(n.name); run != nil {
			all = append(all, run)
		}
	}
	return all
}
