package rebalance

import (
	"math"
	"math/bits"
	"slices"
)

// The model is a cluster of a few nodes around real States. It has all that the protocol is told
// of: member maps, probes and their answers as messages of their own, operations, pulls, handing
// over, crashes. It has no goroutine, no clock and no chance: what may happen next is a list of
// actions, and a search picks among them. One key stands for a partition, so what a node has of it
// is one version.

const (
	nodesMax = 4
	parts    = 3
)

// order is who owns a partition: of a ring, the first members in this order, as many as there are
// replicas. The last node to come is the primary of one partition and no owner of another.
var order = [parts][nodesMax]int{{0, 1, 2, 3}, {3, 2, 1, 0}, {2, 0, 3, 1}}

// A mask is a set of nodes; it is also the fingerprint of the ring that has them as its members.
type mask uint8

func (m mask) has(x int) bool { return m&(1<<x) != 0 }

// A memberState is that of an entry in the member map.
type memberState uint8

const (
	unheardOf memberState = iota
	active
	leaving
	removed
)

type entry struct {
	version uint8
	state   memberState
}

type memberMap [nodesMax]entry

func (m *memberMap) merge(o *memberMap) {
	for x := range m {
		// One version may be given twice, by a member that leaves and by one that removes it: the
		// further state wins.
		if o[x].version > m[x].version || o[x].version == m[x].version && o[x].state > m[x].state {
			m[x] = o[x]
		}
	}
}

func (m *memberMap) digest() (d uint64) {
	for _, e := range m {
		d = d*64 + uint64(e.version)*4 + uint64(e.state)
	}
	return d
}

// members are those that are not removed, or only the active ones.
func (m *memberMap) members(onlyActive bool) (set mask) {
	for x, e := range m {
		if e.state == active || e.state == leaving && !onlyActive {
			set |= 1 << x
		}
	}
	return set
}

// status is a peer as a node sees it.
type status uint8

const (
	unknown status = iota // neither heard of nor found down
	down
	recovering // back, and not yet sent all that was kept for it
	up
)

// A peer is what a node knows of another.
type peer struct {
	boot     int
	status   status
	said     *Statement
	answered uint64

	// The suspicion epochs: of the peer, since its boot; of this node, as far as it has
	// acknowledged them; and of the peer, as far as the peer says to have acknowledged them.
	suspicion, acknowledged, hasAcknowledged int

	counts  bool // it counts on this node, in the epoch that is acknowledged
	regards bool // it takes it for live, in that epoch
	before  int  // operations up to this one began before its boot was heard of, or before it came back to the map
	queue   []item
}

// An item is a record that is queued for a peer; op is the operation that waits for it.
type item struct{ part, version, op int }

// An op is a write that a node coordinates.
type op struct {
	id, part, version int
	need, stored      mask
	generation        uint64
	fence             int
}

// A claim is the second half of rule 3 on its way.
type claim struct {
	ring   Ring
	since  uint64
	todo   [parts]bool
	pulled [parts]mask
}

// A handover is what owners have confirmed of a partition that is not owned any more.
type handover struct {
	version int
	by      mask
}

type node struct {
	id              int
	running, joined bool
	boot, fence     int
	st              State
	members         memberMap
	peers           [nodesMax]peer
	store           [parts]int
	ops             []op
	claim           *claim
	hand            [parts]handover
}

type kind uint8

const (
	probe kind = iota
	answer
	hello
	welcome // the answer to a hello
)

// A message is bound to the processes at both ends: it does not outlive either.
type message struct {
	kind         kind
	boot, toBoot int
	said         *Statement
	suspicion    int // of the receiver, by the sender
	acknowledged int // of the sender, by the receiver, as far as the sender has acknowledged it
	counts       bool
	regards      bool
	seq          uint64 // in an answer: of the probe
	probed       int    // in an answer: the suspicion in the probe
	members      memberMap
}

// ack is the newest write of a partition that counts as acknowledged.
type ack struct {
	version     int
	coordinator int
	boot        int
	without     [nodesMax]excuse
}

// An excuse says that a write was acknowledged while its coordinator took the node for down: it
// counts against the node once the node has raised its fence.
type excuse struct {
	given       bool
	boot, fence int
}

// What may still happen, so often.
type budget struct{ joins, leaves, crashes, restarts, removals, falseDowns, writes int }

type config struct {
	replicas int
	initial  mask // are members from the start
	all      mask
	budget   budget
	broken   mutation
}

type model struct {
	cfg      *config
	nodes    [nodesMax]*node
	wire     [nodesMax][nodesMax][]message
	acked    [parts]ack
	left     budget
	owned    [nodesMax][parts]bool // see share
	lost     int                   // crashes of nodes that owned something
	abandons bool                  // see heal, as evicts
	evicts   bool
	away     mask // joiners that do not come back
	stamped  int
	ids      int
	fault    string // the property that was broken
}

func newModel(cfg *config) *model {
	m := &model{cfg: cfg, left: cfg.budget}
	for x := range m.nodes {
		n := &node{id: x, boot: 1}
		m.nodes[x] = n
		if !cfg.initial.has(x) {
			continue
		}
		n.running, n.joined = true, true
		for y := range n.members {
			if cfg.initial.has(y) {
				n.members[y] = entry{1, active}
			}
		}
	}
	for x, n := range m.nodes {
		if n.running {
			for part := range parts {
				m.owned[x][part] = m.owns(x, Ring(cfg.initial), part)
			}
			m.step(n)
		}
	}
	return m
}

// ownerTable has the owners by replicas, ring and partition, the primary first.
var ownerTable = func() (table [nodesMax + 1][1 << nodesMax][parts][]int) {
	for replicas := range table {
		for r := range table[replicas] {
			for part := range parts {
				for _, x := range order[part] {
					if owners := &table[replicas][r][part]; mask(r).has(x) && len(*owners) < replicas {
						*owners = append(*owners, x)
					}
				}
			}
		}
	}
	return table
}()

func (m *model) owners(r Ring, part int) []int { return ownerTable[m.cfg.replicas][r][part] }

func (m *model) owns(x int, r Ring, part int) bool { return slices.Contains(m.owners(r, part), x) }

// ownersOf are those of any of the rings.
func (m *model) ownersOf(rings []Ring, part int) (set mask) {
	for _, r := range rings {
		for _, x := range m.owners(r, part) {
			set |= 1 << x
		}
	}
	return set
}

// gains says whether x owns something by the ring that it owns by none of the others.
func (m *model) gains(x int, r Ring, others []Ring) bool {
	for part := range parts {
		if m.owns(x, r, part) && !m.ownersOf(others, part).has(x) {
			return true
		}
	}
	return false
}

func (m *model) authority(n *node, part int) bool {
	return m.ownersOf(n.st.said.Holds, part).has(n.id)
}

func (m *model) each(set mask, f func(x int)) {
	for ; set != 0; set &= set - 1 {
		f(bits.TrailingZeros8(uint8(set)))
	}
}

// others are the members of the node's map that are not removed, itself aside.
func (n *node) others() mask { return n.members.members(false) &^ (1 << n.id) }

func (n *node) live(y int) bool { return n.others().has(y) && n.peers[y].status != down }

// world is what the node's State is told.
func (m *model) world(n *node) *World {
	w := &World{
		Map: n.members.digest(), Target: Ring(n.members.members(true)), Members: make(map[string]Peer, nodesMax),
		Known: func(r Ring) bool {
			for y, e := range n.members {
				if mask(r).has(y) && e.state == unheardOf {
					return false
				}
			}
			return true
		},
	}
	w.On = func(name string, r Ring) bool {
		if name == Self {
			return mask(r).has(n.id)
		}
		return mask(r).has(int(name[0] - 'a'))
	}
	w.Gains = func(name string, rings []Ring) bool { return m.gains(int(name[0]-'a'), w.Target, rings) }
	target := n.members.members(true)
	w.Leaving = !target.has(n.id)
	m.each(n.others(), func(y int) {
		p := &n.peers[y]
		w.Members[string(rune('a'+y))] = Peer{
			Live: p.status != down, InTarget: target.has(y), Counts: p.counts, Regards: p.regards,
			Said: p.said, Answered: p.answered, Believed: p.hasAcknowledged == p.suspicion,
		}
	})
	m.cfg.broken.world(w)
	return w
}

func (m *model) step(n *node) {
	before := n.st.Reads()
	n.st.Step(m.world(n))
	m.share(n)
	if n.st.Reads() != before {
		m.checkShares(n)
	}
}

func (m *model) raiseFence(n *node) {
	n.fence++
	n.st.Fence()
}

// ready says whether the node may coordinate.
func (m *model) ready(n *node) bool {
	if !n.running || !n.joined || len(n.st.writes) == 0 {
		return false
	}
	return m.cfg.broken == coordinatesUnheard || n.st.MayCoordinate(m.world(n))
}

// suspicionOf is how often the node has taken the present process of another for down.
func (n *node) suspicionOf(o *node) int {
	if p := &n.peers[o.id]; p.boot == o.boot || p.boot == 0 {
		return p.suspicion
	}
	return 0
}

// over says whether the operations are over that began before the present boot of a peer was heard
// of.
func (m *model) over(n *node, p *peer) bool {
	return m.cfg.broken == countsOnNewBootAtOnce || !slices.ContainsFunc(n.ops, func(o op) bool { return o.id <= p.before })
}

func (m *model) markDown(n *node, y int) {
	p := &n.peers[y]
	p.status = down
	p.suspicion++
	for i := range n.ops {
		n.ops[i].need &^= 1 << y
	}
}

// merge takes in another's member map.
func (m *model) merge(n *node, o *memberMap) {
	before := n.members
	n.members.merge(o)
	for y, e := range n.members {
		if y == n.id || e == before[y] {
			continue
		}
		if before[y].state == removed {
			n.peers[y].before = m.ids // what began while it was away was not queued for it
		}
		// A removal counts as having taken it for down, and the count is kept.
		if p := &n.peers[y]; e.state == removed && before[y].state != removed {
			if p.status != down {
				m.markDown(n, y)
			}
			p.queue = nil
		}
	}
	own := &n.members[n.id]
	switch was := before[n.id]; {
	case *own == was || own.state == active:
	case own.state == removed || was.state == active:
		// It was removed, or it left before it was started again: it joins as a new one.
		m.unshare(n)
		*own = entry{own.version + 1, active}
		m.raiseFence(n)
	}
}

// send puts a message on the wire, unless the receiver does not run.
func (m *model) send(from, to int, msg message) {
	a, b := m.nodes[from], m.nodes[to]
	if !b.running {
		return
	}
	p := &a.peers[to]
	msg.boot, msg.toBoot = a.boot, b.boot
	if msg.kind == probe || msg.kind == answer {
		msg.said = a.st.Said()
		if p.boot == b.boot {
			msg.suspicion, msg.acknowledged = p.suspicion, p.acknowledged
			msg.regards, msg.counts = p.status >= recovering, p.status == up && m.over(a, p)
		}
	}
	msg.members = a.members
	m.wire[from][to] = append(m.wire[from][to], msg)
}

// receive takes a message in, and answers it.
func (m *model) receive(from, to int, msg message) {
	n := m.nodes[to]
	if !n.running || n.boot != msg.toBoot || m.nodes[from].boot != msg.boot {
		return
	}
	switch msg.kind {
	case hello:
		if !n.joined {
			return
		}
		m.merge(n, &msg.members)
		m.send(to, from, message{kind: welcome})
	case welcome:
		m.merge(n, &msg.members)
		if n.members[n.id] == msg.members[n.id] {
			n.joined = true
		}
	case probe, answer:
		if !n.joined || !n.others().has(from) {
			return
		}
		m.hear(n, from, &msg)
		if msg.kind == probe {
			m.step(n)
			m.send(to, from, message{kind: answer, seq: msg.said.Seq, probed: msg.suspicion})
		}
	}
	m.step(n)
}

// hear takes in what a peer says of itself.
func (m *model) hear(n *node, from int, msg *message) {
	p := &n.peers[from]
	if msg.boot < p.boot {
		return
	}
	if msg.boot > p.boot {
		first := peer{boot: msg.boot, status: p.status, queue: p.queue, before: m.ids}
		if p.boot == 0 {
			first.suspicion = p.suspicion // it was found down before it was ever heard: that counts
		}
		*p = first
	}
	if p.said == nil || msg.said.Seq > p.said.Seq {
		p.said = msg.said
	}
	back := false
	if msg.kind == answer {
		p.answered = max(p.answered, msg.seq)
		// One that was down is back when it answers a probe that told it so. The epoch grows at
		// this end too: until it has acknowledged that, it may think that it got on without this
		// node.
		if p.status == down && msg.probed == p.suspicion {
			p.status = recovering
			if m.cfg.broken != countsOneEnd {
				p.suspicion++
			}
			back = true
		}
	}
	if msg.suspicion > p.acknowledged {
		p.acknowledged, p.counts, p.regards = msg.suspicion, false, false
		m.raiseFence(n)
		if p.status == down && m.cfg.broken != countsOneEnd {
			p.suspicion++ // what it hears from us is not over
		}
	}
	if msg.suspicion == p.acknowledged {
		p.counts = p.counts || msg.counts
		p.regards = p.regards || msg.regards
	}
	if back && p.acknowledged > 0 && !p.counts && m.cfg.broken != countsOneEnd {
		m.raiseFence(n) // it does not wait for this node yet, which may have claimed without it
	}
	p.hasAcknowledged = max(p.hasAcknowledged, msg.acknowledged)
	if p.status == unknown {
		p.status = up // nothing is kept for it, and it is waited for from the first write on
	}
}

// mutation is a way to use the State that breaks the protocol: the checks have to notice.
type mutation int

const (
	sound mutation = iota
	mapsNotCompared
	answersNotAwaited
	deliveryNotAwaited
	regardNotAwaited
	alwaysBelieved
	decidesWithoutAnswers
	wantsNotHeeded
	statedTooSoon
	coordinatesUnheard
	claimsWithoutSince
	claimsWithoutPull
	pullsFromAnyone
	staleOperations
	dropsUnconfirmed
	keptCountsAsStored
	countsOnNewBootAtOnce
	countsOneEnd
	downOwnersNotAwaited
)

// world withholds from a State what the mutation says.
func (b mutation) world(w *World) {
	switch b {
	case sound:
		return
	case downOwnersNotAwaited:
		w.Gains = func(string, []Ring) bool { return false }
	}
	for name, member := range w.Members {
		said := member.Said
		if said == nil {
			continue
		}
		changed := *said
		switch b {
		case mapsNotCompared:
			changed.Map = w.Map
		case answersNotAwaited:
			member.Answered = math.MaxUint64
		case deliveryNotAwaited:
			member.Counts = true
		case regardNotAwaited:
			member.Regards = true
		case alwaysBelieved:
			member.Believed = true
		case wantsNotHeeded:
			changed.Wants = nil
		default:
			return
		}
		member.Said = &changed
		w.Members[name] = member
	}
}
