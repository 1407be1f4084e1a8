package replicate

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"httpdhs/kv"
	"httpdhs/rebalance"
	"httpdhs/ring"
)

// Members are all members of the cluster, this node included.
type Members struct {
	All    []Member // in any order
	Digest uint64   // of the map that they are from: equal where the maps are
}

// Member is one of them.
type Member struct {
	ring.Node
	Leaving bool // it hands over what it has: it is on the rings that are, and not on the next
}

// rings is the coordinator's part in the protocol of package rebalance, and what it has to know for it.
type rings struct {
	mu      sync.Mutex // guards all below; peers' locks may be taken under it
	state   rebalance.State
	started bool
	ended   bool
	members Members
	target  rebalance.Ring
	tables  map[rebalance.Ring]*ring.Table
	unknown map[rebalance.Ring]string // rings that are wanted, and at whom to ask who is on them
	peers   map[string]*Peer
	list    []*Peer // the same, in any order: replaced, never modified
	retired []*view // replaced, with operations that may go by them still
	heldFor []rebalance.Ring
	had     []bool // partitions that there was authority for since the start
}

func (r *rings) init(partitions int) {
	r.tables = make(map[rebalance.Ring]*ring.Table)
	r.unknown = make(map[rebalance.Ring]string)
	r.peers = make(map[string]*Peer)
	r.had = make([]bool, partitions)
}

const (
	// heardFor is how long a peer that this node takes for down, but that asks this node how it is, stands in the way of a
	// claim: one direction may be broken.
	heardFor = 3 * time.Second

	// retryPause is how long an operation waits for the rings to settle before another attempt.
	retryPause = 10 * time.Millisecond
)

// SetMembers tells the coordinator who the members are. It begins to talk to those that are new, and to change over to their ring.
func (c *Coordinator) SetMembers(m Members) error {
	var active []ring.Node
	for i := range m.All {
		if !m.All[i].Leaving {
			active = append(active, m.All[i].Node)
		}
	}
	table, err := ring.New(active, c.opt.Ring)
	if err != nil {
		return fmt.Errorf("cannot make a ring of the members: %w", err)
	}
	r := &c.rings
	r.mu.Lock()
	r.members, r.target = m, rebalance.Ring(table.Fingerprint())
	r.tables[r.target] = table
	c.clock.SetTag(clockTag(m.All, c.opt.Name))
	for i := range m.All {
		c.peerLocked(m.All[i].Name)
	}
	r.mu.Unlock()
	c.reconsider()
	return nil
}

// clockTag is what a member marks its versions with: its name's hash, or the next number that is free after those of the
// names before. Members that know the same members have different tags.
func clockTag(all []Member, self string) uint16 {
	names := make([]string, len(all))
	for i := range all {
		names[i] = all[i].Name
	}
	slices.Sort(names)
	taken := make(map[uint16]bool, len(names))
	for _, name := range names {
		tag := uint16(kv.Hash([]byte(name))) & kv.MaxTag
		for taken[tag] && len(taken) <= kv.MaxTag {
			tag = (tag + 1) & kv.MaxTag
		}
		if name == self {
			return tag
		}
		taken[tag] = true
	}
	return uint16(kv.Hash([]byte(self))) & kv.MaxTag
}

// peerLocked is the peer of that name, made when it is new; nil: it is this node.
func (c *Coordinator) peerLocked(name string) *Peer {
	r := &c.rings
	p, ok := r.peers[name]
	if ok || name == c.opt.Name || r.ended {
		return p
	}
	p = newPeer(name, c.opt.Boot, c.opt.QueueBytes, c.opt.Dial(name), c.clock, c.opt.Log, c)
	r.peers[name] = p
	r.list = append(slices.Clone(r.list), p)
	if r.started {
		p.start(c.opt.ProbeEvery)
	}
	return p
}

// others are the peers.
func (c *Coordinator) others() []*Peer {
	c.rings.mu.Lock()
	defer c.rings.mu.Unlock()
	return c.rings.list
}

// endPeers returns the peers for the last time: no more are made.
func (c *Coordinator) endPeers() []*Peer {
	c.rings.mu.Lock()
	defer c.rings.mu.Unlock()
	c.rings.ended = true
	return c.rings.list
}

// said is what this node states of the rings, and whom it would have removed.
func (c *Coordinator) said() (rebalance.Statement, []string) {
	c.rings.mu.Lock()
	defer c.rings.mu.Unlock()
	return *c.rings.state.Said(), c.deadLocked()
}

// settled implements peerHost.
func (c *Coordinator) settled() bool { return c.stable.Load() && !c.stalled() }

// reconsider implements peerHost: it takes a step of the protocol by what is known now, and tells the peers if that changes what this node states.
func (c *Coordinator) reconsider() {
	r := &c.rings
	r.mu.Lock()
	if r.target == 0 || r.ended {
		r.mu.Unlock()
		return
	}
	before := r.state.Said().Seq
	c.stepLocked()
	changed := r.state.Said().Seq != before
	unknown := len(r.unknown) > 0
	tell, victims := r.list, c.evictLocked()
	gone := c.forgetLocked()
	r.mu.Unlock()
	if changed {
		for _, p := range tell {
			p.probeSoon()
		}
	}
	if changed || unknown {
		c.wakeSync()
	}
	for _, p := range gone {
		c.done.Go(p.close)
	}
	for _, name := range victims {
		c.opt.Evict(name)
	}
}

// compareMaps implements peerHost: the peer states another member map than this node's.
func (c *Coordinator) compareMaps(name string, digest uint64) {
	c.rings.mu.Lock()
	differs := digest != c.rings.members.Digest
	c.rings.mu.Unlock()
	if differs && c.opt.Differs != nil {
		c.opt.Differs(name)
	}
}

// stepLocked steps until nothing changes any more.
func (c *Coordinator) stepLocked() {
	r := &c.rings
	world := c.worldLocked()
	for {
		r.state.Step(world)
		if v := c.view.Load(); v == nil || v.epoch != r.state.Epoch() {
			c.replaceViewLocked()
		}
		seq := r.state.Said().Seq
		r.retired = slices.DeleteFunc(r.retired, func(v *view) bool { return v.ops.Load() == 0 })
		if len(r.retired) == 0 {
			r.state.Over(r.state.Epoch())
		}
		if r.state.Said().Seq == seq {
			break
		}
	}
	c.holdLocked()
	c.decides.Store(r.state.MayDecide(world))
	c.judgeLocked()
}

// worldLocked is what this node knows of the others.
func (c *Coordinator) worldLocked() *rebalance.World {
	r := &c.rings
	clear(r.unknown)
	w := &rebalance.World{
		Map: r.members.Digest, Target: r.target,
		Members: make(map[string]rebalance.Member),
		Known:   func(x rebalance.Ring) bool { return r.tables[x] != nil },
	}
	introduced := true
	for i := range r.members.All {
		m := &r.members.All[i]
		p := r.peers[m.Name]
		if p == nil {
			continue
		}
		introduced = introduced && p.probed.Load() && p.State() != Recovering
		w.Members[m.Name] = p.member(c.opt.Boot, !m.Leaving)
		if said := w.Members[m.Name].Said; said != nil {
			for _, x := range said.Wants {
				if r.tables[x] == nil {
					r.unknown[x] = m.Name
				}
			}
		}
	}
	if introduced && r.started {
		select {
		case <-c.introduced:
		default:
			close(c.introduced)
		}
	}
	return w
}

// member is the peer as package rebalance sees it.
func (p *Peer) member(boot uint64, inTarget bool) rebalance.Member {
	p.mu.Lock()
	defer p.mu.Unlock()
	state := p.State()
	m := rebalance.Member{
		Live:     state != Down || !p.heard.IsZero() && time.Since(p.heard) < heardFor,
		InTarget: inTarget, Answered: p.answeredTo, Believed: p.believedLocked(),
	}
	if p.ping.Boot != 0 {
		said := p.ping.Said
		m.Said = &said
		_, m.Settled = p.ping.Sees[boot]
		m.Settled = m.Settled && state != Down
	}
	return m
}

// mention fills in what a ping says of the peer.
func (p *Peer) mention(sees, heeds map[uint64]uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.State() == Up && !p.settling {
		sees[p.ping.Boot] = p.downs
	}
	if p.heeded != 0 {
		heeds[p.ping.Boot] = p.heeded
	}
}

// replaceViewLocked makes the view of the rings that are read and written now.
func (c *Coordinator) replaceViewLocked() {
	r := &c.rings
	var writes []*ring.Table
	for _, x := range r.state.Writes() {
		writes = append(writes, r.tables[x])
	}
	v := newView(r.state.Epoch(), writes, c.opt.Name, c.peerLocked)
	if old := c.view.Swap(v); old != nil {
		old.retired.Store(true)
		r.retired = append(r.retired, old)
		c.opt.Log.Info("ring changes", "reads", ringName(r.state.Reads()), "writes", len(writes), "nodes", len(v.names))
	}
}

func ringName(x rebalance.Ring) string { return fmt.Sprintf("%016x", uint64(x)) }

// holdLocked works out the partitions that there is authority for.
func (c *Coordinator) holdLocked() {
	r := &c.rings
	holds := r.state.Said().Holds
	if slices.Equal(holds, r.heldFor) {
		return
	}
	r.heldFor = holds
	held := make([]bool, len(r.had))
	for _, x := range holds {
		table := r.tables[x]
		self, ok := table.Index(c.opt.Name)
		for p := 0; ok && p < len(held); p++ {
			if slices.Contains(table.Owners(p), uint16(self)) {
				held[p], r.had[p] = true, true
			}
		}
	}
	c.held.Store(&held)
}

// judgeLocked works out how this node and its peers stand: in sync or not.
func (c *Coordinator) judgeLocked() {
	r := &c.rings
	v, said := c.view.Load(), r.state.Said()
	_, on := v.read.Index(c.opt.Name)
	c.synced.Store(on && r.state.Holds(r.state.Reads()))
	c.stable.Store(r.state.Stated() && len(said.Holds) == len(said.Wants) && !v.moving())
	for _, p := range r.list {
		p.mu.Lock()
		p.synced.Store(p.believedLocked() && slices.Contains(p.ping.Said.Holds, r.state.Reads()))
		p.mu.Unlock()
	}
}

// forgetLocked lets go of what no ring and no member needs any more: the peers are the caller's to close.
func (c *Coordinator) forgetLocked() (gone []*Peer) {
	r := &c.rings
	v := c.view.Load()
	if len(r.retired) > 0 || !r.state.Stated() {
		return nil
	}
	for x, table := range r.tables {
		if !slices.Contains(v.writes, table) && x != r.target && !slices.Contains(r.state.Said().Wants, x) {
			delete(r.tables, x)
		}
	}
	for name, p := range r.peers {
		isMember := slices.ContainsFunc(r.members.All, func(m Member) bool { return m.Name == name })
		if !isMember && !slices.Contains(v.names, name) {
			delete(r.peers, name)
			gone = append(gone, p)
		}
	}
	if len(gone) > 0 {
		r.list = make([]*Peer, 0, len(r.peers))
		for _, p := range r.peers {
			r.list = append(r.list, p)
		}
	}
	return gone
}

// mayDecide says whether this node may decide conditions on a partition. While the ring changes, the primary by one ring may be another than by the next:
// then it takes more than to hold the partition. See docs/design/membership.md.
func (c *Coordinator) mayDecide(v *view, partition int) bool {
	if !c.holds(partition) {
		return false
	}
	if !v.moving() && c.stable.Load() {
		return true
	}
	first, same := v.firstLive(v.read, partition), true
	for _, t := range v.writes[1:] {
		same = same && v.firstLive(t, partition) == first
	}
	return same && c.stated() || c.decides.Load() && first == c.opt.Name
}

// stated says whether this node's statement says all that it reads by and writes to.
func (c *Coordinator) stated() bool {
	c.rings.mu.Lock()
	defer c.rings.mu.Unlock()
	return c.rings.state.Stated()
}

// firstLive is the first owner of the partition by a ring that is not down.
func (v *view) firstLive(t *ring.Table, partition int) string {
	for _, n := range t.Owners(partition) {
		name := t.NodeAt(n).Name
		if p := v.peers[slices.Index(v.names, name)]; p == nil || p.State() != Down {
			return name
		}
	}
	return ""
}

// passing says whether the view is on its way out: what it could not do, the next may.
func (c *Coordinator) passing(v *view) bool { return c.view.Load() != v || v.moving() }

// pause waits a moment for the rings to settle; false: there is no time left, or the node stops.
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

// awaitIntroduction waits until this node may coordinate: it has heard from every member, or found it down. Before that it does not know to
// whom to write. false: it is not to be.
func (c *Coordinator) awaitIntroduction(deadline time.Time) bool {
	select {
	case <-c.introduced:
		return true
	default:
	}
	late := time.NewTimer(time.Until(deadline))
	defer late.Stop()
	select {
	case <-c.introduced:
		return true
	case <-late.C:
	case <-c.quit:
	}
	return false
}

// Live says whether the member of that name is not down; false too where there is none.
func (c *Coordinator) Live(name string) bool {
	c.rings.mu.Lock()
	p := c.rings.peers[name]
	c.rings.mu.Unlock()
	return p != nil && p.State() != Down
}

// Heard has the member of that name asked at once how it is: something else says that it is there.
func (c *Coordinator) Heard(name string) {
	c.rings.mu.Lock()
	p := c.rings.peers[name]
	c.rings.mu.Unlock()
	if p != nil {
		p.probeSoon()
	}
}

// Removed tells the coordinator that others have taken this node off the ring, and went on without it.
func (c *Coordinator) Removed() { c.missed("others have removed it") }

// Rings are the table of the owners that readers ask, and of those that will be when the present change is over: the same while there is none. Both are nil
// before there are members.
func (c *Coordinator) Rings() (now, next *ring.Table) {
	c.rings.mu.Lock()
	defer c.rings.mu.Unlock()
	v := c.view.Load()
	if v == nil {
		return nil, nil
	}
	return v.read, c.rings.tables[c.rings.target]
}
