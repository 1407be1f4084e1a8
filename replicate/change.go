package replicate

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"httpdhs/kv"
	"httpdhs/peer"
	"httpdhs/rebalance"
	"httpdhs/ring"
	"httpdhs/wire"
)

// rings is the coordinator's part in the protocol of package rebalance, and what it has to know for it.
type rings struct {
	mu          sync.Mutex // guards all below; peers' locks may be taken under it
	state       rebalance.State
	started     bool
	ended       bool
	members     Members
	target      rebalance.Ring
	tables      map[rebalance.Ring]*ring.Table
	unknown     map[rebalance.Ring]string // rings that are wanted, and at whom to ask who is on them
	peers       map[string]*member
	list        []*member // the same, the oldest first: replaced, never modified
	retired     []*view   // replaced, with operations that may go by them still
	heldFor     []rebalance.Ring
	had         []bool               // by partition: this node owns it, and had authority for it since it was started
	hadBy       *view                // by which had was worked out
	established []rebalance.Ring     // by them somebody reads: their members have had their share
	past        map[string]past      // of members that were removed
	since       map[string]time.Time // when nodes came onto the rings by which somebody reads; nil: nothing but guesses yet
	serial      uint64               // of the view
	pings       uint64               // that were made
	oldest      atomic.Uint64        // serial of the oldest view that operations may still go by
	ready       chan struct{}        // closed when this node may coordinate
}

func (r *rings) init() {
	r.tables = make(map[rebalance.Ring]*ring.Table)
	r.unknown = make(map[rebalance.Ring]string)
	r.peers = make(map[string]*member)
	r.past = make(map[string]past)
	r.ready = make(chan struct{})
}

const (
	// heardFor is how long a peer that this node takes for down, but that asks this node how it is, stands in the way of a
	// claim: one direction may be broken.
	heardFor = 3 * time.Second

	// introductionMax bounds how long an operation waits until this node may coordinate. Most often it is a round trip; where a member can
	// be reached, but does not reach this node, it is as long as that lasts.
	introductionMax = 2 * time.Second

	// retryPause is how long an operation waits for the rings to settle before another attempt.
	retryPause = 10 * time.Millisecond
)

// others are the peers.
func (c *Coordinator) others() []*member {
	c.rings.mu.Lock()
	defer c.rings.mu.Unlock()
	return c.rings.list
}

// endPeers returns the peers for the last time: no more are made.
func (c *Coordinator) endPeers() []*member {
	c.rings.mu.Lock()
	defer c.rings.mu.Unlock()
	c.rings.ended = true
	return c.rings.list
}

// said is what this node states of the rings, and whom it would have removed; of two, the one with the larger number is the later.
func (c *Coordinator) said() (number uint64, said rebalance.Statement, dead []string) {
	c.rings.mu.Lock()
	defer c.rings.mu.Unlock()
	c.rings.pings++
	return c.rings.pings, *c.rings.state.Said(), c.deadLocked()
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
	before, underWay, term := r.state.Said().Seq, len(r.retired), c.term.Load()
	c.stepLocked()
	changed := r.state.Said().Seq != before || len(r.retired) < underWay || c.term.Load() != term
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
		c.done.Go(p.Close)
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
	if differs {
		c.introduce(name)
	}
}

// introduce implements peerHost: the peer does not take this node for a member, and is said hello to, which it takes
// from anybody. It is not down for that: it would have to give up what it holds.
func (c *Coordinator) introduce(name string) {
	if c.opt.Differs != nil {
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
		if c.retireLocked() {
			r.state.Over(r.state.Epoch())
		}
		if r.state.Said().Seq == seq {
			break
		}
	}
	r.established = r.state.Established(world)
	r.noteReaders()
	c.holdLocked()
	c.decides.Store(r.state.MayDecide(world))
	c.admitLocked(world)
	c.judgeLocked()
	for c.heedLocked() {
		c.retireLocked()
	}
}

// retireLocked forgets views by which no operation goes any more, and says whether all go by the present one.
func (c *Coordinator) retireLocked() bool {
	r := &c.rings
	r.retired = slices.DeleteFunc(r.retired, func(v *view) bool { return v.ops.Load() == 0 })
	if len(r.retired) == 0 {
		r.oldest.Store(c.view.Load().serial)
		return true
	}
	r.oldest.Store(r.retired[0].serial)
	return false
}

// worldLocked is what this node knows of the others.
func (c *Coordinator) worldLocked() *rebalance.World {
	r := &c.rings
	clear(r.unknown)
	w := &rebalance.World{
		Map: r.members.Digest, Target: r.target,
		Members: make(map[string]rebalance.Member),
		Known:   func(x rebalance.Ring) bool { return r.tables[x] != nil },
		On: func(name string, x rebalance.Ring) bool {
			if name == rebalance.Self {
				name = c.opt.Name
			}
			return r.on(name, x)
		},
		Gains: r.gains,
	}
	for i := range r.members.All {
		m := &r.members.All[i]
		p := r.peers[m.Name]
		if p == nil {
			w.Leaving = m.Leaving
			continue
		}
		member := p.member(!m.Leaving)
		w.Members[m.Name] = member
		if said := member.Said; member.Live && said != nil { // one that is down wants nothing any more, and cannot be asked
			for _, x := range said.Wants {
				// Who writes it knows it. Others want it for that one's sake, and may not know it either.
				if asked := r.unknown[x]; r.tables[x] == nil && (asked == "" || slices.Contains(said.Writes, x) || said.Reads == x) {
					r.unknown[x] = m.Name
				}
			}
		}
	}
	return w
}

// on says whether a node is on a ring, as far as that is known.
func (r *rings) on(name string, x rebalance.Ring) bool {
	if r.tables[x] == nil {
		return false
	}
	_, on := r.tables[x].Index(name)
	return on
}

// gains says whether a node owns something in the target that it owns in none of the rings. Of a ring that is not known it owns nothing.
func (r *rings) gains(name string, others []rebalance.Ring) bool {
	if slices.Contains(others, r.target) {
		return false
	}
	owned := r.owned(name, r.target)
	for _, x := range others {
		for part, owns := range r.owned(name, x) {
			owned[part] = owned[part] && !owns
		}
	}
	return slices.Contains(owned, true)
}

// owned are the partitions that a node owns by a ring.
func (r *rings) owned(name string, x rebalance.Ring) []bool {
	table := r.tables[x]
	if table == nil {
		return nil
	}
	owned := make([]bool, table.Partitions())
	if self, ok := table.Index(name); ok {
		for part := range owned {
			owned[part] = slices.Contains(table.Owners(part), uint16(self))
		}
	}
	return owned
}

// admitLocked says whether operations may begin.
func (c *Coordinator) admitLocked(w *rebalance.World) {
	r := &c.rings
	ready := r.started && r.state.MayCoordinate(w)
	for i := range r.members.All {
		p := r.peers[r.members.All[i].Name]
		ready = ready && (p == nil || p.probed.Load())
	}
	if was := c.ready.Swap(ready); ready && !was {
		close(r.ready)
	} else if was && !ready {
		r.ready = make(chan struct{})
	}
}

// member is the peer as package rebalance sees it. One that was not asked yet may be there, and know better.
func (p *member) member(inTarget bool) rebalance.Member {
	p.mu.Lock()
	defer p.mu.Unlock()
	met, sight := p.ping.Boot != 0, p.ping.Sees[p.boot]
	m := rebalance.Member{
		Live:     !p.probed.Load() || p.State() != peer.Down || met && !p.heard.IsZero() && time.Since(p.heard) < heardFor,
		InTarget: inTarget, Answered: p.answeredTo, Believed: p.believedLocked(),
		Regards: sight.Live && sight.Suspicion == p.heeded,
		Settled: sight.Counts && p.State() != peer.Down,
	}
	if met {
		said := p.ping.Said
		m.Said = &said
	}
	return m
}

// mention fills in what a ping says of the peer.
func (p *member) mention(sees map[uint64]wire.Sight, heeds map[uint64]uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ping.Boot == 0 {
		return
	}
	sees[p.ping.Boot] = wire.Sight{Suspicion: p.downs, Live: p.State() != peer.Down, Counts: p.countedLocked(), PrimaryEpoch: p.heedsLocked()}
	if p.heeded != 0 {
		heeds[p.ping.Boot] = p.heeded
	}
}

// oldest implements peerHost.
func (c *Coordinator) oldest() uint64 { return c.rings.oldest.Load() }

// replaceViewLocked makes the view of the rings that are read and written now.
func (c *Coordinator) replaceViewLocked() {
	r := &c.rings
	var writes []*ring.Table
	for _, x := range r.state.Writes() {
		writes = append(writes, r.tables[x])
	}
	r.serial++
	v := newView(r.state.Epoch(), writes, c.opt.Name, c.peerLocked)
	v.serial = r.serial
	if old := c.view.Swap(v); old != nil {
		old.retired.Store(true)
		r.retired = append(r.retired, old)
		if old.epoch == v.epoch {
			return
		}
		c.opt.Log.Info("ring changes", "reads", ringName(r.state.Reads()), "writes", len(writes), "nodes", len(v.names))
	}
}

func ringName(x rebalance.Ring) string { return fmt.Sprintf("%016x", uint64(x)) }

// holdLocked works out the partitions that there is authority for.
func (c *Coordinator) holdLocked() {
	r := &c.rings
	holds, v := r.state.Said().Holds, c.view.Load()
	if slices.Equal(holds, r.heldFor) && v == r.hadBy {
		return
	}
	r.heldFor, r.hadBy = holds, v
	held, had := make([]bool, c.opt.Ring.Partitions), make([]bool, c.opt.Ring.Partitions)
	for _, x := range holds {
		for part, owns := range r.owned(c.opt.Name, x) {
			held[part] = held[part] || owns
		}
	}
	for part := range had {
		had[part] = held[part] || r.had != nil && r.had[part] && v.mine[part]
	}
	r.had = had
	c.held.Store(&held)
}

// hadAll says whether this node has had authority for the partitions since it was started, and has been
// an owner of them since. Then it lacks what it has missed, and knows what it refused of that: see behind.
// Of one that it has not had, it may have no room for anything.
func (c *Coordinator) hadAll(partitions []int) bool {
	c.rings.mu.Lock()
	defer c.rings.mu.Unlock()
	return c.rings.had != nil && !slices.ContainsFunc(partitions, func(part int) bool { return !c.rings.had[part] })
}

// judgeLocked works out how this node and its peers stand: in sync or not.
func (c *Coordinator) judgeLocked() {
	r := &c.rings
	v, said := c.view.Load(), r.state.Said()
	_, on := v.read.Index(c.opt.Name)
	c.synced.Store(on && r.state.Holds(r.state.Reads()))
	c.stable.Store(r.state.Stated() && len(said.Holds) == len(said.Wants) && !v.moving())
	c.alone.Store(len(r.list) == 0)
	for _, p := range r.list {
		p.mu.Lock()
		p.SetInSync(p.believedLocked() && slices.Contains(p.ping.Said.Holds, r.state.Reads()))
		p.mu.Unlock()
	}
}

// mayDecide says whether this node may decide conditions on a partition: it is the primary, the first owner that is up and in sync. While the ring changes, the
// primary by one ring may be another than by the next: then it takes more. See docs/design/membership.md.
func (c *Coordinator) mayDecide(partition int) bool {
	v := c.view.Load() // the present one: an operation may go by an earlier
	readers := v.readers(partition)
	if !c.holds(partition) || v.self < 0 || !slices.Contains(readers, uint16(v.self)) {
		return false
	}
	for _, n := range readers {
		p := v.peers[n]
		if p == nil {
			break // it is this node's turn
		}
		if p.Up() && p.InSync() {
			p.probeSoon() // whoever asks has found it down
			return false
		}
	}
	if !c.mayDecideYet() {
		return false
	}
	if !v.moving() && c.stable.Load() {
		return true
	}
	first, same := v.firstLive(v.read, partition), true
	for _, t := range v.writes[1:] {
		same = same && v.firstLive(t, partition) == first
	}
	return first == c.opt.Name && (same && c.stated() || c.decides.Load())
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
		if p := v.peers[slices.Index(v.names, name)]; p == nil || p.State() != peer.Down {
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

// introduced waits until this node may coordinate, and says why it may not.
func (c *Coordinator) introduced(deadline time.Time) error {
	switch {
	case c.awaitIntroduction(deadline):
		return nil
	case c.closed.Load():
		return kv.ErrStopping
	case c.view.Load() == nil:
		return kv.ErrNoCluster
	}
	return kv.ErrUnheard
}

// awaitIntroduction waits until this node may coordinate: it has heard from every member that is up, and they from it. Before that it does not know to
// whom to write. false: it is not to be.
func (c *Coordinator) awaitIntroduction(deadline time.Time) bool {
	if c.ready.Load() {
		return true
	}
	if most := time.Now().Add(introductionMax); deadline.After(most) {
		deadline = most
	}
	for !c.ready.Load() {
		c.rings.mu.Lock()
		ready := c.rings.ready
		c.rings.mu.Unlock()
		late := time.NewTimer(time.Until(deadline))
		select {
		case <-ready:
			late.Stop()
		case <-late.C:
			return false
		case <-c.quit:
			return false
		}
	}
	return true
}

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
