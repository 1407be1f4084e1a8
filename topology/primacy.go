package topology

import (
	"slices"
	"sync/atomic"

	"httpdhs/placement"
)

// A node comes to be the primary of some keys when it is in sync again, and when the one before it
// is not any more. Until then that one has decided. It may go on while it has not heard of it. Or
// it is gone, and a coordinator still has what it has decided, for the other owners. Then two
// creates of one key would succeed, and of two sums one would be lost. So each time a node begins a
// primary epoch, which it tells the others. It decides nothing before each node that is up has
// acknowledged the epoch. A node that has acknowledged it takes the beginner for in sync, and so
// asks nobody else and decides nothing in its place. What it coordinated before it did so is over,
// and delivered.

// primacy is this node's part in that.
type primacy struct {
	epoch      atomic.Uint64 // how many it has begun
	decides    atomic.Bool   // it may decide while the ring changes
	departures atomic.Uint64 // how often a member was in sync, and is not any more
	turns      atomic.Uint64 // these, and how often a member that was down came back

	// acked is what turns was, and one more, when all that were up had acknowledged the epoch;
	// 0: they have not.
	acked atomic.Uint64

	// Under Topology.mu.
	open     bool   // the epoch is not over
	since    uint64 // serial of the view by which operations go that began before the epoch
	departed uint64 // what departures was when it began
}

// arrives says that a member that was down is about to take part again: it may decide
// until it acknowledges this node's epoch.
func (p *primacy) arrives() { p.turns.Add(1) }

// departs says that a member which is in sync is about to be so no longer: this node may decide in
// its place then, in another epoch.
func (p *primacy) departs() {
	p.departures.Add(1)
	p.turns.Add(1)
}

// acknowledged says whether all that are up have acknowledged this node's epoch, those that have
// just come back too.
func (p *primacy) acknowledged() bool { return p.acked.Load() == p.turns.Load()+1 }

// lose ends the epoch: this node is not in sync any more.
func (p *primacy) lose() {
	p.open = false
	p.acked.Store(0)
}

// follow begins an epoch, or ends it, as the node comes to be in sync or not, or the primary of
// more. began: operations have to go by a new view than that of the serial.
func (p *primacy) follow(inSync bool, serial uint64) (began bool) {
	departures := p.departures.Load()
	if inSync == p.open && (!inSync || departures == p.departed) {
		return false
	}
	p.acked.Store(0)
	p.departed = departures
	if p.open = inSync; inSync {
		p.epoch.Add(1)
		p.since = serial
	}
	return inSync
}

// count takes note of whether all have acknowledged the epoch. turns is from before they were
// looked at.
func (p *primacy) count(all bool, turns uint64) {
	if all {
		p.acked.Store(turns + 1)
	} else {
		p.acked.Store(0)
	}
}

// primaryAck is how far a node is with acknowledging a member's primary epoch; under the member's
// mu.
type primaryAck struct {
	epoch uint64 // of the member, in which it is in sync
	since uint64 // serial of the last view by which operations go that began before
	over  bool   // those operations are over
	left  uint64 // and then Peer.Finished has to be this, so that what they have queued is delivered
}

// acknowledgedEpochLocked says which primary epoch of the member is acknowledged; 0: none. The
// caller holds the member's mu.
func (m *member) acknowledgedEpochLocked() uint64 {
	a := &m.belief.primary
	if !m.peer.InSync() || a.epoch == 0 || a.since >= m.t.oldest.Load() {
		return 0
	}
	if !a.over {
		a.over, a.left = true, m.peer.Queued()
	}
	if m.peer.Finished() < a.left {
		return 0
	}
	return a.epoch
}

// acknowledgeEpochs begins to acknowledge the epochs of members that are new, and notes who
// acknowledges this node's. It says whether operations go by a new view.
func (s *state) acknowledgeEpochs() (replaced bool) {
	serial, turns := s.board.View().Serial, s.primacy.turns.Load()
	replaced = s.primacy.follow(s.board.SaidInSync(), serial)
	all := s.primacy.open && s.primacy.since < s.rings.oldest.Load() && !replaced
	for _, m := range s.roster.list() {
		m.mu.Lock()
		b := &m.belief
		switch {
		case !m.peer.InSync():
			b.primary = primaryAck{} // operations may ask another from now on, even if the epoch stays the same
		case b.ping.PrimaryEpoch != b.primary.epoch:
			b.primary, replaced = primaryAck{epoch: b.ping.PrimaryEpoch, since: serial}, true
		}
		all = all && (m.down() || b.ping.Sees.Of(b.self).PrimaryEpoch == s.primacy.epoch.Load())
		m.mu.Unlock()
	}
	s.primacy.count(all, turns)
	if replaced {
		s.replaceView()
	}
	return replaced
}

// MayDecide says whether this node may decide on a partition. It has to be the primary:
// the first owner that is up and in sync. While the ring changes, two rings may have different
// primaries. Then it takes more: see docs/design/membership.md.
func (t *Topology) MayDecide(partition int) bool {
	v := t.board.View() // the present one: an operation may go by an earlier
	readers := v.Readers(partition)
	if !t.board.Holds(partition) || v.Self < 0 || !slices.Contains(readers, uint16(v.Self)) {
		return false
	}
	for _, n := range readers {
		p := v.Peers[n]
		if p == nil {
			break // it is this node's turn
		}
		if p.Up() && p.InSync() {
			t.Probe(p) // whoever asks has found it down
			return false
		}
	}
	if !t.primacy.acknowledged() {
		for _, m := range t.others() { // they are asked again
			m.prober.soon()
		}
		t.board.Wake()
		return false
	}
	if !v.Moving() && t.board.SaidStable() {
		return true
	}
	first, same := primaries(v, partition)
	return first == t.opt.Name && (same && t.stated() || t.primacy.decides.Load())
}

// primaries is the first owner that is not down by the ring that is read, and whether it is by all
// that are written.
func primaries(v *placement.View, partition int) (first string, same bool) {
	first, same = v.FirstLive(v.Read, partition), true
	for _, table := range v.Writes[1:] {
		same = same && v.FirstLive(table, partition) == first
	}
	return first, same
}

// stated says whether this node's statement says all that it reads by and writes to.
func (t *Topology) stated() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.mu.rings.state.Stated()
}
