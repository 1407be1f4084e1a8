package rebalance

import (
	"fmt"
	"slices"
)

// A verb is something that may happen.
type verb uint8

const (
	sends       verb = iota // x probes y
	greets                  // x says hello to y
	delivers                // the i-th message from x to y arrives
	repeats                 // and stays on the wire
	loses                   // or is lost
	stores                  // y stores the first record that x has queued for it
	storesAgain             // and the answer is lost
	settles                 // x has sent y what it kept for it
	begins                  // x begins to write partition i
	acknowledges
	givesUp
	states     // the operations of before are over at x
	readies    // x begins to claim a ring
	pulls      // x pulls partition i from y
	claims     // x ends its claim
	handsOver  // x hands partition i over to y
	drops      // x drops partition i
	suspects   // x takes y for down
	crashes    // x
	restarts   // x, or it starts for the first time
	leaves     // x begins to leave
	leftBehind // x has left, and ends
	removes    // x removes y, which it takes for down
)

var verbs = [...]string{"sends", "greets", "delivers", "repeats", "loses", "stores", "storesAgain", "settles", "begins", "acknowledges", "givesUp",
	"states", "readies", "pulls", "claims", "handsOver", "drops", "suspects", "crashes", "restarts", "leaves", "leftBehind", "removes"}

// An action is a verb and what it is about.
type action struct {
	verb verb
	x, y int
	i    int
}

func (a action) String() string {
	return fmt.Sprintf("%s(%c,%c,%d)", verbs[a.verb], 'a'+a.x, 'a'+a.y, a.i)
}

const wireMax = 3 // messages of one node to another at a time

// can says whether an action is possible.
func (m *model) can(a action) bool {
	n, o := m.nodes[a.x], m.nodes[a.y]
	p := &n.peers[a.y]
	if a.verb == delivers || a.verb == repeats || a.verb == loses {
		return a.x != a.y && a.i < len(m.wire[a.x][a.y])
	}
	if a.verb == restarts {
		first := n.members[a.x].state == unheardOf && n.boot == 1
		return !n.running && (first && m.left.joins > 0 || !first && m.left.restarts > 0) && m.cfg.all.has(a.x)
	}
	if !n.running {
		return false
	}
	if a.verb == greets {
		return a.x != a.y && o.running && len(m.wire[a.x][a.y]) < wireMax &&
			(!n.joined || n.members.digest() != o.members.digest())
	}
	if !n.joined {
		return a.verb == crashes && m.left.crashes > 0
	}
	peered := a.x != a.y && n.others().has(a.y)
	switch a.verb {
	case sends:
		return peered && o.running && len(m.wire[a.x][a.y]) < wireMax
	case stores, storesAgain:
		return peered && p.status != down && p.boot == o.boot && o.running && len(p.queue) > 0
	case settles:
		return peered && p.status == recovering && len(p.queue) == 0
	case begins:
		return m.left.writes > 0 && len(n.ops) < 2 && m.ready(n)
	case acknowledges:
		return a.i < len(n.ops) && m.mayAcknowledge(n, &n.ops[a.i])
	case givesUp:
		return a.i < len(n.ops)
	case states:
		return !n.st.Stated() && (m.cfg.broken == statedTooSoon || m.calm(n))
	case readies:
		return n.claim == nil && m.mayClaim(n, Ring(a.i))
	case pulls:
		return n.claim != nil && a.x != a.y && n.claim.todo[a.i] && !n.claim.pulled[a.i].has(a.y) && m.mayPull(n, a.y, a.i)
	case claims:
		return n.claim != nil && m.claimed(n)
	case handsOver:
		h := &n.hand[a.i]
		return a.x != a.y && m.orphan(n, a.i) && m.ownersOf([]Ring{n.st.reads}, a.i).has(a.y) && o.running && o.joined && n.live(a.y) && p.boot == o.boot &&
			(h.version != n.store[a.i] || !h.by.has(a.y))
	case drops:
		owners := m.ownersOf([]Ring{n.st.reads}, a.i)
		h := &n.hand[a.i]
		return m.orphan(n, a.i) && owners != 0 && (h.version == n.store[a.i] && h.by&owners == owners || m.cfg.broken == dropsUnconfirmed)
	case suspects:
		return peered && p.status != down && (!o.running || p.boot != 0 && p.boot != o.boot || m.left.falseDowns > 0)
	case crashes:
		return m.left.crashes > 0 && m.joinedWithout(a.x) > 0
	case leaves:
		return m.left.leaves > 0 && n.members[a.x].state == active && n.members.members(true) != 1<<a.x
	case leftBehind:
		return n.members[a.x].state == leaving && m.joinedWithout(a.x) > 0 && m.empty(n) && len(n.ops) == 0 && n.st.Stated() &&
			sameSet(n.st.writes, []Ring{Ring(n.members.members(true))})
	case removes:
		return peered && p.status == down && m.left.removals > 0 && n.members.members(true)&^(1<<a.y) != 0
	}
	return false
}

func (m *model) joinedWithout(x int) (others int) {
	for _, n := range m.nodes {
		if n.id != x && n.running && n.joined {
			others++
		}
	}
	return others
}

func (m *model) empty(n *node) bool { return n.store == [parts]int{} }

// calm says that no operation is under way that began before the present rings.
func (m *model) calm(n *node) bool {
	return !slices.ContainsFunc(n.ops, func(o op) bool { return o.generation < n.st.Generation() })
}

func (m *model) mayAcknowledge(n *node, o *op) bool {
	return o.stored != 0 && o.need&^o.stored == 0 && (o.fence == n.fence || m.cfg.broken == staleOperations)
}

func (m *model) mayClaim(n *node, r Ring) bool {
	if _, wanted := n.st.wanted[r]; !wanted || n.st.Holds(r) {
		return false
	}
	_, missing := n.st.Missing(r, m.world(n))
	return !missing
}

// orphan says whether the node has something of a partition that it owns in no ring that it writes.
func (m *model) orphan(n *node, part int) bool {
	return n.store[part] > 0 && !m.ownersOf(n.st.Writes(), part).has(n.id)
}

// sources are the nodes that a partition is pulled from: live believed owners with authority by any
// ring. Without any it is all who are live and all owners by the rings that are written, if they
// are still members.
func (m *model) sources(n *node, part int) (set mask, authority bool) {
	m.each(n.others(), func(y int) {
		p := &n.peers[y]
		believed := p.hasAcknowledged == p.suspicion || m.cfg.broken == alwaysBelieved
		if n.live(y) && p.said != nil && believed && m.ownersOf(p.said.Holds, part).has(y) {
			set |= 1 << y
		}
	})
	if set != 0 {
		return set, true
	}
	set = m.ownersOf(n.st.Writes(), part) & n.others()
	m.each(n.others(), func(y int) {
		if n.live(y) {
			set |= 1 << y // it may keep something for others
		}
	})
	return set, false
}

func (m *model) mayPull(n *node, y, part int) bool {
	o, p := m.nodes[y], &n.peers[y]
	from, authority := m.sources(n, part)
	return from.has(y) && n.live(y) && o.running && o.joined && p.boot == o.boot &&
		(!authority || m.authority(o, part) || m.cfg.broken == pullsFromAnyone)
}

// claimed says whether all has been pulled that a claim needs.
func (m *model) claimed(n *node) bool {
	for part, todo := range n.claim.todo {
		from, _ := m.sources(n, part)
		if todo && from&^n.claim.pulled[part] != 0 && m.cfg.broken != claimsWithoutPull {
			return false
		}
	}
	return true
}

// do lets an action happen.
func (m *model) do(a action) {
	n := m.nodes[a.x]
	switch a.verb {
	case sends:
		m.send(a.x, a.y, message{kind: probe})
	case greets:
		m.send(a.x, a.y, message{kind: hello})
	case delivers, repeats, loses:
		wire := m.wire[a.x][a.y]
		msg := wire[a.i]
		if a.verb != repeats {
			m.wire[a.x][a.y] = slices.Delete(slices.Clone(wire), a.i, a.i+1)
		}
		if a.verb != loses {
			m.receive(a.x, a.y, msg)
		}
	case stores, storesAgain:
		m.deliverRecord(n, a.y, a.verb == stores)
	case settles:
		n.peers[a.y].status = up
	case begins:
		m.begin(n, a.i)
	case acknowledges:
		m.acknowledge(n, &n.ops[a.i])
		n.ops = slices.Delete(n.ops, a.i, a.i+1)
	case givesUp:
		n.ops = slices.Delete(n.ops, a.i, a.i+1)
	case states:
		n.st.Over(n.st.Generation())
		m.step(n)
	case readies:
		m.startClaim(n, Ring(a.i))
	case pulls:
		n.store[a.i] = max(n.store[a.i], m.nodes[a.y].store[a.i])
		n.claim.pulled[a.i] |= 1 << a.y
		m.inherit(n, m.nodes[a.y], a.i)
	case claims:
		m.endClaim(n)
	case handsOver:
		m.handOver(n, a.y, a.i)
	case drops:
		n.store[a.i] = 0
		m.checkKept(fmt.Sprintf("%c drops partition %d", 'a'+a.x, a.i))
	case suspects:
		if o := m.nodes[a.y]; o.running && (n.peers[a.y].boot == o.boot || n.peers[a.y].boot == 0) {
			m.left.falseDowns--
		}
		m.markDown(n, a.y)
		m.step(n)
	default:
		m.come(a)
	}
}

// come is all by which nodes come and go.
func (m *model) come(a action) {
	n := m.nodes[a.x]
	switch a.verb {
	case crashes:
		m.left.crashes--
		if m.owned[n.id] != [parts]bool{} {
			m.lost++
		}
		m.end(n)
		m.lose()
	case restarts:
		if n.members[a.x].state == unheardOf && n.boot == 1 {
			m.left.joins--
		} else {
			m.left.restarts--
		}
		*n = node{id: n.id, boot: n.boot + 1, running: true}
		n.members[a.x] = entry{1, active}
	case leaves:
		m.left.leaves--
		n.members[a.x] = entry{n.members[a.x].version + 1, leaving}
		m.step(n)
	case leftBehind:
		n.members[a.x] = entry{n.members[a.x].version + 1, removed}
		for y, o := range m.nodes {
			if y != a.x && o.running {
				m.send(a.x, y, message{kind: hello}) // its last word; it may be lost
			}
		}
		n.running = false
	case removes:
		m.left.removals--
		e := n.members
		e[a.y] = entry{e[a.y].version + 1, removed}
		m.merge(n, &e)
		m.step(n)
	}
}

// end is a crash: the memory is lost, and what was on the wire.
func (m *model) end(n *node) {
	*n = node{id: n.id, boot: n.boot, members: n.members}
	for y := range m.nodes {
		m.wire[n.id][y], m.wire[y][n.id] = nil, nil
	}
}

func (m *model) deliverRecord(n *node, y int, answered bool) {
	o, p := m.nodes[y], &n.peers[y]
	it := p.queue[0]
	o.store[it.part] = max(o.store[it.part], it.version)
	if !answered {
		return
	}
	p.queue = slices.Delete(slices.Clone(p.queue), 0, 1)
	i := slices.IndexFunc(n.ops, func(w op) bool { return w.id == it.op })
	switch {
	case i < 0:
	case m.ownersOf(o.st.Writes(), it.part).has(y) || m.cfg.broken == keptCountsAsStored:
		n.ops[i].stored |= 1 << y
	default: // kept, and not acknowledged: the operation has failed
		n.ops = slices.Delete(n.ops, i, i+1)
	}
}

// begin is what a coordinator does when a write comes in.
func (m *model) begin(n *node, part int) {
	m.left.writes--
	m.stamped++
	m.ids++
	o := op{id: m.ids, part: part, version: m.stamped, generation: n.st.Generation(), fence: n.fence}
	m.each(m.ownersOf(n.st.Writes(), part), func(y int) {
		switch {
		case y == n.id:
			n.store[part] = max(n.store[part], o.version)
			o.stored |= 1 << y
		case n.others().has(y):
			p := &n.peers[y]
			p.queue = append(p.queue, item{part, o.version, o.id})
			if p.status == up {
				o.need |= 1 << y
			}
		}
	})
	n.ops = append(n.ops, o)
}

func (m *model) startClaim(n *node, r Ring) {
	c := &claim{ring: r, since: n.st.Since(r)}
	for part := range parts {
		c.todo[part] = m.owns(n.id, r, part) && !m.authority(n, part)
	}
	n.claim = c
}

func (m *model) endClaim(n *node) {
	c := n.claim
	n.claim = nil
	if m.cfg.broken == claimsWithoutSince {
		c.since = n.st.Since(c.ring)
	}
	n.st.Claim(c.ring, c.since)
	m.step(n)
}

func (m *model) handOver(n *node, y, part int) {
	o, h := m.nodes[y], &n.hand[part]
	if h.version != n.store[part] {
		*h = handover{version: n.store[part]}
	}
	o.store[part] = max(o.store[part], h.version)
	if m.ownersOf(o.st.Writes(), part).has(y) {
		h.by |= 1 << y
	}
}
