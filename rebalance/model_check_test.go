package rebalance

import "fmt"

// The properties.

func (m *model) failf(format string, args ...any) {
	if m.fault == "" {
		m.fault = fmt.Sprintf(format, args...)
	}
}

// acknowledge takes note of a write that is answered as stored.
//
// It does not count if its coordinator was taken for down by somebody and has not heard of it yet.
// That is a split, in which either side goes on by itself. For the same reason it does not count
// against a node that the coordinator takes, or took, for down, and that has not raised its fence
// since.
func (m *model) acknowledge(n *node, o *op) {
	if o.version <= m.acked[o.part].version {
		return
	}
	a := ack{version: o.version, coordinator: n.id, boot: n.boot}
	for x, other := range m.nodes {
		if x == n.id || !other.running {
			continue
		}
		if other.suspicionOf(n) > n.acknowledgedOf(other) {
			return
		}
		if n.suspicionOf(other) > other.acknowledgedOf(n) {
			a.without[x] = excuse{true, other.boot, other.fence}
		}
	}
	m.acked[o.part] = a
	m.lose() // those that stored it may have crashed meanwhile
}

// excused says whether the newest acknowledged write does not count against the node.
func (m *model) excused(n *node, part int) bool {
	e := m.acked[part].without[n.id]
	return e.given && e.boot == n.boot && e.fence == n.fence
}

// inherit: who pulls from a node that does not know yet that others went on without it knows no
// more than that.
func (m *model) inherit(n, from *node, part int) {
	if a := &m.acked[part]; m.excused(from, part) && n.store[part] < a.version {
		a.without[n.id] = excuse{true, n.boot, n.fence}
	}
}

// acknowledgedOf is how often the node knows to have been taken for down by the other.
func (n *node) acknowledgedOf(by *node) int {
	if n.peers[by.id].boot != by.boot {
		return 0
	}
	return n.peers[by.id].acknowledged
}

// share notes the partitions that a node has come to hold. It owns them from then on, and those of
// the first ring, even after a crash: that is the loss of a replica. A node that has never had
// authority for a partition owns no copy that could be lost.
//
// A node that comes to hold what it reads by while nobody else has authority for anything founds
// the ring again.
func (m *model) share(n *node) {
	if n.joined && n.st.Holds(n.st.Reads()) && !m.othersHold(n) {
		for x := range m.nodes {
			for part := range parts {
				m.owned[x][part] = m.owned[x][part] || m.owns(x, n.st.Reads(), part)
			}
		}
	}
	for part := range parts {
		if n.joined && m.authority(n, part) {
			m.owned[n.id][part] = true
		}
	}
}

// joining says whether to a node another has never had its share: it is on no ring that is in use.
func (m *model) joining(n *node, x int) bool {
	for _, r := range n.st.InUse(m.world(n)) {
		if mask(r).has(x) {
			return false
		}
	}
	return n.members[x].state == active
}

// othersHold says whether a node but this one has authority for any partition.
func (m *model) othersHold(n *node) bool {
	for _, o := range m.nodes {
		for part := range parts {
			if o != n && o.running && m.authority(o, part) {
				return true
			}
		}
	}
	return false
}

// unshare: a node that joins again owns nothing, unless somebody still reads by a ring that it is
// on.
func (m *model) unshare(n *node) {
	for _, o := range m.nodes {
		if o.running && o.joined && (mask(o.st.Reads()).has(n.id) || mask(o.st.said.Reads).has(n.id)) {
			return
		}
	}
	m.owned[n.id] = [parts]bool{}
}

// checkShares: who reads by a ring, and has authority for it, knows that each of its members has
// had its share. When all replicas have lost their memory nothing is left that could be had.
func (m *model) checkShares(n *node) {
	r := n.st.Reads()
	for part := range parts {
		for _, x := range m.owners(r, part) {
			if n.joined && n.st.Holds(r) && !m.owned[x][part] && m.lost < m.cfg.replicas {
				m.failf("P5: %c reads by %d, and %c has never had partition %d", 'a'+n.id, r, 'a'+x, part)
			}
		}
	}
}

// found says whether some node that has the version is asked for the partition. It is not promised
// where a ring has fewer nodes than replicas, and before anybody has authority for what it reads
// by.
func (m *model) found(part, version int) bool {
	known := false
	for _, n := range m.nodes {
		known = known || n.running && n.joined && n.st.Holds(n.st.Reads())
		if n.running && n.joined && len(m.owners(n.st.Reads(), part)) < m.cfg.replicas {
			return true
		}
		for _, x := range m.owners(n.st.Reads(), part) {
			if n.running && n.joined && m.nodes[x].running && m.nodes[x].store[part] >= version {
				return true
			}
		}
	}
	return !known
}

// lose is called after a crash: what only those had that have crashed is gone. That is a fault only
// if three things hold. No more than replicas-1 have crashed that owned something. Nobody was
// falsely taken for down. The cluster had as many members as replicas all the time. It is a fault
// too if nobody is asked who has it.
func (m *model) lose() {
	crashed := m.lost
	for part := range m.acked {
		a := &m.acked[part]
		if a.version == 0 {
			continue
		}
		had, sure := false, false
		for _, n := range m.nodes {
			if n.running && n.store[part] >= a.version {
				had = true
				sure = sure || n.joined && m.authority(n, part)
			}
		}
		peaceful := crashed < m.cfg.replicas && m.left.falseDowns == m.cfg.budget.falseDowns && m.left.removals == m.cfg.budget.removals
		if had && peaceful && !m.found(part, a.version) {
			m.failf("P5: nobody is asked who has the acknowledged version %d of partition %d, with %d crashes", a.version, part, crashed)
		}
		if had && (sure || crashed < m.cfg.replicas) {
			continue
		}
		if peaceful {
			m.failf("P2: partition %d has lost the acknowledged version %d with %d crashes", part, a.version, crashed)
		}
		*a = ack{}
	}
}

// checkKept says that what was acknowledged is somewhere.
func (m *model) checkKept(why string) {
	for part, a := range m.acked {
		kept := a.version == 0
		for _, n := range m.nodes {
			kept = kept || n.running && n.store[part] >= a.version
		}
		if !kept {
			m.failf("P2: %s, and nobody has version %d of partition %d any more", why, a.version, part)
		}
	}
}

// check looks at a state.
func (m *model) check() string {
	for x, n := range m.nodes {
		if !n.running || !n.joined {
			continue
		}
		for part := range parts {
			m.checkReads(n, part)
		}
		for y, o := range m.nodes {
			if x != y && o.running && o.joined && n.others().has(y) && o.others().has(x) {
				m.checkWritten(n, o)
				if x < y {
					m.checkDeciders(n, o)
				}
			}
		}
	}
	return m.fault
}

// checkReads: who may be believed that a partition has nothing newer has the newest acknowledged.
func (m *model) checkReads(n *node, part int) {
	a := &m.acked[part]
	if n.store[part] >= a.version || !m.authority(n, part) {
		return
	}
	if m.excused(n, part) {
		// The one that went on without it must not believe it either.
		c := m.nodes[a.coordinator]
		p := &c.peers[n.id]
		if !c.running || c.boot != a.boot || !c.live(n.id) || p.boot != n.boot || p.hasAcknowledged != p.suspicion && m.cfg.broken != alwaysBelieved {
			return
		}
	}
	m.failf("P1: %c has authority for partition %d, by %v, with version %d; %d is acknowledged", 'a'+n.id, part, n.st.said.Holds, n.store[part], a.version)
}

// split says whether one of the two takes the other for down, or did and the other has not heard.
func split(n, o *node) bool {
	p, q := &n.peers[o.id], &o.peers[n.id]
	return p.status == down || q.status == down || n.suspicionOf(o) > o.acknowledgedOf(n) || o.suspicionOf(n) > n.acknowledgedOf(o)
}

// checkWritten: a node that holds a ring is written to by every live node that coordinates.
func (m *model) checkWritten(holder, writer *node) {
	if split(holder, writer) {
		return
	}
	for _, r := range holder.st.said.Holds {
		if !contains(writer.st.Writes(), r) && m.ready(writer) {
			m.failf("I1: %c holds ring %d, and %c writes only %v", 'a'+holder.id, r, 'a'+writer.id, writer.st.Writes())
		}
	}
}

// decides says whether the node would decide a condition on the partition's key.
func (m *model) decides(n *node, part int) bool {
	if !m.authority(n, part) {
		return false
	}
	everywhere := true
	for _, r := range n.st.Writes() {
		primary := m.primary(n, r, part)
		if r == n.st.Reads() && primary != n.id {
			return false
		}
		everywhere = everywhere && primary == n.id
	}
	if everywhere || !m.ready(n) {
		return everywhere && m.ready(n)
	}
	w := m.world(n)
	if m.cfg.broken == decidesWithoutAnswers {
		(answersNotAwaited).world(w)
	}
	return n.st.MayDecide(w)
}

// primary is the first owner that is up.
func (m *model) primary(n *node, r Ring, part int) int {
	for _, y := range m.owners(r, part) {
		if y == n.id || n.live(y) {
			return y
		}
	}
	return -1
}

// checkDeciders: of two nodes that may decide, one is down to the other.
func (m *model) checkDeciders(n, o *node) {
	if split(n, o) {
		return
	}
	for part := range parts {
		if m.decides(n, part) && m.decides(o, part) {
			m.failf("P3: both %c and %c decide conditions on partition %d", 'a'+n.id, 'a'+o.id, part)
		}
	}
}

// checkStable says what is missing to the end of all changes.
func (m *model) checkStable() error {
	for _, n := range m.nodes {
		if !n.running {
			continue
		}
		target := Ring(n.members.members(true))
		switch {
		case !n.joined:
			return fmt.Errorf("%c has not joined", 'a'+n.id)
		case n.st.Reads() != target:
			return fmt.Errorf("%c reads by %d, not by the target %d", 'a'+n.id, n.st.Reads(), target)
		case mask(target).has(n.id) && !n.st.Holds(target):
			name, missing := n.st.Missing(target, m.world(n))
			return fmt.Errorf("%c does not hold the target %d: %v %s, claim %+v", 'a'+n.id, target, missing, name, n.claim)
		case !sameSet(n.st.Writes(), []Ring{target}) || !n.st.Stated():
			return fmt.Errorf("%c writes %v, states %+v", 'a'+n.id, n.st.Writes(), n.st.said)
		case mask(target).has(n.id) && !n.st.MayDecide(m.world(n)):
			return fmt.Errorf("%c may not decide", 'a'+n.id)
		}
		for part := range parts {
			if m.orphan(n, part) {
				return fmt.Errorf("%c still has partition %d", 'a'+n.id, part)
			}
			if m.owns(n.id, target, part) && n.store[part] < m.acked[part].version {
				return fmt.Errorf("%c lacks version %d of partition %d", 'a'+n.id, m.acked[part].version, part)
			}
		}
	}
	return nil
}
