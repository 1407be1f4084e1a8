package replicate

import (
	"fmt"
	"slices"
	"time"

	"httpdhs/kv"
	"httpdhs/peer"
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

// SetMembers tells the coordinator who the members are. It begins to talk to those that are new, and to change over to their ring.
func (c *Coordinator) SetMembers(m Members) error {
	var active []ring.Node
	for i := range m.All {
		if !m.All[i].Leaving {
			active = append(active, m.All[i].Node)
		}
	}
	r := &c.rings
	r.mu.Lock()
	if len(active) > 0 || r.target == 0 { // else all leave: one of them will stay, and until then the target does
		table, err := ring.New(active, c.opt.Ring)
		if err != nil {
			r.mu.Unlock()
			return fmt.Errorf("cannot make a ring of the members: %w", err)
		}
		r.target = rebalance.Ring(table.Fingerprint())
		if r.tables[r.target] == nil {
			r.tables[r.target] = table
		}
	}
	for i := range r.members.All {
		name := r.members.All[i].Name
		if p := r.peers[name]; p != nil && !m.has(name) {
			p.removed()
		}
	}
	for i := range m.All {
		name := m.All[i].Name
		if p := r.peers[name]; p != nil && !r.members.has(name) {
			p.readmitted()
		}
	}
	r.members = m
	c.clock.SetTag(clockTag(m.All, c.opt.Name))
	for i := range m.All {
		c.peerLocked(m.All[i].Name)
	}
	r.mu.Unlock()
	c.reconsider()
	return nil
}

// has says whether the name is a member's.
func (m *Members) has(name string) bool {
	return slices.ContainsFunc(m.All, func(o Member) bool { return o.Name == name })
}

// removed counts as if the peer had been taken for down: what this node coordinates from now on may not reach it.
func (p *member) removed() {
	p.mu.Lock()
	p.downs++
	p.SetInSync(false)
	p.mu.Unlock()
}

// readmitted: it is a member again. Whether it is dead is found out anew, or it would be removed again at once, and come back, without end.
func (p *member) readmitted() {
	p.mu.Lock()
	p.downSince, p.upSince = time.Now(), time.Now()
	p.mu.Unlock()
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
func (c *Coordinator) peerLocked(name string) *member {
	r := &c.rings
	p, ok := r.peers[name]
	if ok || name == c.opt.Name || r.ended {
		return p
	}
	p = newMember(name, c.opt.Boot, c.opt.QueueBytes, c.opt.Dial(name), c.clock, c.opt.Log, c)
	p.evictAfter = c.opt.EvictAfter
	if len(r.list) == 0 {
		c.lastBeat.Store(0) // there was nobody to beat for
	}
	p.past = r.past[name]
	delete(r.past, name)
	r.peers[name] = p
	r.list = append(slices.Clone(r.list), p)
	if r.started {
		p.start(c.opt.ProbeEvery)
	}
	return p
}

// forgetLocked lets go of what no ring and no member needs any more: the peers are the caller's to close.
func (c *Coordinator) forgetLocked() (gone []*member) {
	r := &c.rings
	v := c.view.Load()
	if len(r.retired) > 0 || !r.state.Stated() {
		return nil
	}
	for x := range r.tables {
		if !slices.Contains(r.state.Writes(), x) && x != r.target && !slices.Contains(r.state.Said().Wants, x) {
			delete(r.tables, x)
		}
	}
	for _, p := range r.list {
		if !r.members.has(p.Name()) && !slices.Contains(v.names, p.Name()) {
			delete(r.peers, p.Name())
			c.rememberLocked(p.Name(), p)
			gone = append(gone, p)
		}
	}
	if len(gone) > 0 {
		r.list = slices.DeleteFunc(slices.Clone(r.list), func(p *member) bool { return slices.Contains(gone, p) })
	}
	return gone
}

// pastMax bounds the members that are remembered after they were removed.
const pastMax = 1024

// rememberLocked keeps what a member that comes back with its memory has to be told.
func (c *Coordinator) rememberLocked(name string, p *member) {
	r := &c.rings
	for other := range r.past {
		if len(r.past) < pastMax {
			break
		}
		delete(r.past, other)
	}
	p.mu.Lock()
	last := past{p.ping.Boot, p.downs + 1}
	if last.boot == 0 { // it was not heard this time: what it has to be told of before that is not over
		last = past{p.past.boot, p.past.downs + p.downs + 1}
	}
	p.mu.Unlock()
	r.past[name] = last
}

// Live says whether the member of that name is not down; false too where there is none.
func (c *Coordinator) Live(name string) bool {
	c.rings.mu.Lock()
	p := c.rings.peers[name]
	c.rings.mu.Unlock()
	return p != nil && p.State() != peer.Down
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

// Overtaken tells the coordinator that others have gone on without this node: they have taken it off the ring, or it had a ring of its own.
func (c *Coordinator) Overtaken(reason string) { c.missed(reason) }
