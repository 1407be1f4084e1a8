package replicate

import "httpdhs/peer"

// A node that comes to be in sync is the primary again of keys on whose conditions another has decided until then, and decides while it has not heard of
// it. Two primaries would let two creates of one key succeed. So each time that a node comes to be in sync it begins a term, which it tells the others, and
// decides nothing before each that is up has heeded it: that one takes it for in sync, and so asks nobody else and decides nothing in its place; and what it
// coordinated before it did so is over, and delivered.

// heeding is how far a node is with heeding a peer's term; under the peer's mu.
type heeding struct {
	term  uint64 // of the peer, in which it is in sync
	since uint64 // serial of the last view by which operations go that began before
	over  bool   // those operations are over
	left  uint64 // and then Peer.Finished has to be this, so that what they have queued is delivered
}

// heedsLocked says which term of the peer is heeded; 0: none. The caller holds the peer's mu.
func (p *member) heedsLocked() uint64 {
	h := &p.heeding
	if !p.InSync() || h.term == 0 || h.since >= p.host.oldest() {
		return 0
	}
	if !h.over {
		h.over, h.left = true, p.Queued()
	}
	if p.Finished() < h.left {
		return 0
	}
	return h.term
}

// heedLocked begins to heed the terms of peers that are new, and notes who heeds this node's. It says whether operations go by a new view.
func (c *Coordinator) heedLocked() (replaced bool) {
	r := &c.rings
	serial, arrivals := c.view.Load().serial, c.arrivals.Load()
	if synced := c.synced.Load(); synced != c.inTerm {
		c.deferred.Store(0)
		if c.inTerm = synced; synced {
			c.term.Add(1)
			c.termSince, replaced = serial, true
		}
	}
	all := c.inTerm && c.termSince < r.oldest.Load() && !replaced
	for _, p := range r.list {
		p.mu.Lock()
		switch {
		case !p.InSync():
			p.heeding = heeding{} // operations may ask another from now on, be it the same term still
		case p.ping.PrimaryEpoch != p.heeding.term:
			p.heeding, replaced = heeding{term: p.ping.PrimaryEpoch, since: serial}, true
		}
		all = all && (p.State() == peer.Down || p.ping.Sees[p.boot].PrimaryEpoch == c.term.Load())
		p.mu.Unlock()
	}
	if all {
		c.deferred.Store(arrivals + 1)
	} else {
		c.deferred.Store(0)
	}
	if replaced {
		c.replaceViewLocked()
	}
	return replaced
}

// arrives implements peerHost: a peer that was down may decide conditions until it heeds this node's term.
func (c *Coordinator) arrives() { c.arrivals.Add(1) }

// heeded says whether all that are up heed this node's term, those that have just come back too.
func (c *Coordinator) heeded() bool { return c.deferred.Load() == c.arrivals.Load()+1 }

// mayDecideYet says whether this node's term is heeded. If not, the others are asked again.
func (c *Coordinator) mayDecideYet() bool {
	if c.heeded() {
		return true
	}
	for _, p := range c.others() {
		p.probeSoon()
	}
	c.wakeSync()
	return false
}
