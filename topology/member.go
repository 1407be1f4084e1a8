package topology

import (
	"sync"
	"sync/atomic"
	"time"

	"httpdhs/peer"
	"httpdhs/rebalance"
	"httpdhs/wire"
)

// member is another member: the way to it, and what this node knows of it.
type member struct {
	t    *Topology
	peer *peer.Peer

	tried  atomic.Bool // it was asked, whatever came of it
	judged atomic.Bool // and it is known since whether it is down

	prober prober

	mu     sync.Mutex // guards all below; the peer goes down, and comes back, under it
	belief belief
	clock  sample // its clocks
	lag    lag    // of its stamps
	sent   sentPings
	proven time.Time // when it last showed that it is well
}

func (t *Topology) newMember(name string, before past) *member {
	m := &member{t: t, belief: newBelief(t.opt.Boot, before, time.Now())}
	m.prober.m, m.prober.asker = m, asker(t.opt.Name, name)
	m.prober.poke, m.prober.news = make(chan struct{}, 1), make(chan struct{}, 1)
	m.peer = peer.New(&peer.Options{
		Name: name, Transport: t.opt.Dial(name), QueueBytes: t.opt.QueueBytes,
		Clock: t.clock, Log: t.opt.Log, Detector: m,
	})
	return m
}

func (m *member) start() {
	m.peer.Start()
	m.peer.Go(m.prober.loop)
}

// Broke implements peer.Detector.
func (m *member) Broke(reason error) { m.fall(reason) }

// CameUp implements peer.Detector.
func (m *member) CameUp() { m.t.reconsiderSoon() }

// fall is the verdict that the member is down.
func (m *member) fall(reason error) {
	m.mu.Lock()
	m.outOfSync()
	fall := m.peer.MarkDown(reason)
	if fall.Marked {
		m.belief.fall(fall.First, time.Now(), m.t.opt.EvictAfter)
	}
	m.mu.Unlock()
	fall.Finish()
	if fall.First {
		m.t.reconsiderSoon()
	}
}

// outOfSync is called before the member counts as out of sync; the caller holds mu.
func (m *member) outOfSync() {
	if m.peer.InSync() {
		m.t.primacy.departs()
	}
}

// rise makes a member that was down take part again, if it is that process and has been told of
// this suspicion epoch. It returns how many bytes were kept for it.
func (m *member) rise(boot, epoch uint64) (kept int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b := &m.belief
	if !m.down() || b.ping.Boot != boot || b.suspicion != epoch {
		return 0
	}
	m.t.primacy.arrives()
	kept, ok := m.peer.MarkBack(b.suspicion == 0) // it was never down, but not met yet
	if ok {
		b.rise(time.Now(), m.t.opt.EvictAfter)
	}
	return kept
}

func (m *member) down() bool { return m.peer.State() == peer.Down }

// countsLocked says whether this node counts on the member. The member is up and was sent all its
// hints. And the operations are over that began before this node heard of its boot.
func (m *member) countsLocked() bool {
	return m.peer.Delivered() && m.belief.metAt < m.t.oldest.Load()
}

func (m *member) complete() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.countsLocked() && (m.peer.InSync() || m.belief.trusted(m.down()))
}

// asSeen is the member as package rebalance sees it. One that was not asked yet may be there, and
// know better.
func (m *member) asSeen(inTarget bool) rebalance.Peer {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, down := &m.belief, m.down()
	sight := b.ping.Sees.Of(b.self)
	seen := rebalance.Peer{
		Live:     !m.judged.Load() || !down || b.heardLately(time.Now()),
		InTarget: inTarget, Answered: b.answeredTo, Believed: b.trusted(down),
		Regards: sight.Live && sight.Suspicion == b.acknowledged,
		Counts:  sight.Counts && !down,
	}
	if b.ping.Boot != 0 {
		said := b.ping.Said
		seen.Said = &said
	}
	return seen
}

// sight is what this node tells the member of how it sees it.
func (m *member) sight() wire.Sight {
	m.mu.Lock()
	defer m.mu.Unlock()
	b := &m.belief
	if b.ping.Boot == 0 {
		return wire.Sight{}
	}
	return wire.Sight{
		Boot: b.ping.Boot, Suspicion: b.suspicion, Live: !m.down(), Counts: m.countsLocked(),
		PrimaryEpoch: m.acknowledgedEpochLocked(), Acknowledged: b.acknowledged,
	}
}

// suspicion is this node's epoch of the member.
func (m *member) suspicion() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.belief.suspicion
}

// Status is a member as this node sees it.
type Status struct {
	Name   string
	State  peer.State
	Reason error     // why it is down
	Since  time.Time // when it was found down; only while it is
	Ping   wire.Ping // what it last said of itself; Boot is 0 before that
	Queued int       // bytes that wait for it
	Bound  int       // of these

	*peer.Counters
}

func (m *member) status() Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := Status{Name: m.peer.Name(), State: m.peer.State(), Ping: m.belief.ping, Counters: &m.peer.Counters}
	s.Queued, s.Reason = m.peer.Why()
	s.Bound = m.peer.QueueBound()
	if s.State == peer.Down {
		s.Since = m.belief.downSince
	}
	return s
}

// downFor is how long the member has been down; 0: it is not.
func (m *member) downFor() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.down() {
		return 0
	}
	return time.Since(m.belief.downSince)
}

// upFor is how long the member has been up, without absences of a moment; 0: it is down.
func (m *member) upFor() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down() {
		return 0
	}
	return time.Since(m.belief.upSince)
}
