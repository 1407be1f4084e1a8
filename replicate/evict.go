package replicate

import (
	"slices"
	"time"

	"httpdhs/peer"
	"httpdhs/rebalance"
)

// joinerEvictAfter is how long a member that has never had its share may be down before it is removed, whatever
// EvictAfter says. It holds up every change of the ring, and owns nothing that would be lost. It joins anew when it is
// back. A restart takes less, and goes on with the same join.
const joinerEvictAfter = 5 * time.Second

// deadLocked are the members that have been down to this node for so long that it would have them removed.
func (c *Coordinator) deadLocked() (dead []string) {
	for i := range c.rings.members.All {
		m := &c.rings.members.All[i]
		if c.isDeadLocked(m) {
			dead = append(dead, m.Name)
		}
	}
	return dead
}

func (c *Coordinator) isDeadLocked(m *Member) bool {
	after, p := c.evictAfterLocked(m), c.rings.peers[m.Name]
	return after > 0 && p != nil && p.downFor() >= after
}

// evictAfterLocked is how long the member may be down until it is dead; 0: for ever.
func (c *Coordinator) evictAfterLocked(m *Member) time.Duration {
	after := c.opt.EvictAfter
	if !m.Leaving && (after <= 0 || after > joinerEvictAfter) && c.joiningLocked(m.Name) {
		return joinerEvictAfter
	}
	return after
}

// absenceMax is how long a voter may be down without being taken for cut off: a majority would else never agree on
// who is dead while connections of its own break now and then.
func absenceMax(evictAfter time.Duration) time.Duration {
	if evictAfter > 0 {
		return min(evictAfter, joinerEvictAfter) / 4
	}
	return joinerEvictAfter / 4
}

// joiningLocked says whether a member is on none of the rings by which somebody reads, and so has never had its share.
func (c *Coordinator) joiningLocked(name string) bool {
	for _, x := range c.rings.established {
		if c.rings.tables[x] == nil || c.rings.on(name, x) {
			return false
		}
	}
	return true
}

// downFor is how long the peer has been down; 0: it is not.
func (p *member) downFor() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.State() != peer.Down {
		return 0
	}
	return time.Since(p.downSince)
}

// wasLost is when the peer was found down after it had been up for long; zero if it never was.
func (p *member) wasLost() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lostSince
}

// upFor is how long the peer has been up, without absences of a moment; 0: it is down.
func (p *member) upFor() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.State() == peer.Down {
		return 0
	}
	return time.Since(p.upSince)
}

// evictLocked are the members that are to be removed: this node would have it so, and with it a majority of those on the ring that is read.
func (c *Coordinator) evictLocked() (victims []string) {
	if c.opt.Evict == nil {
		return nil
	}
	for i := range c.rings.members.All {
		if m := &c.rings.members.All[i]; c.isDeadLocked(m) && c.majorityLocked(m) {
			victims = append(victims, m.Name)
		}
	}
	return victims
}

// majorityLocked says whether a majority would have the member removed.
//
// A side of a split that is no majority removes no owner, neither while the split lasts nor when it is over. So a vote counts only if this node has heard
// from the voter for as long as the victim has to be down. And one side must not become a majority by nodes that join it: who came
// onto the ring after the victim went down is not counted.
func (c *Coordinator) majorityLocked(victim *Member) bool {
	after, joining := c.evictAfterLocked(victim), c.joiningLocked(victim.Name)
	lost := c.rings.peers[victim.Name].wasLost()
	var votes, all int
	for _, voter := range c.votersLocked(victim.Name) {
		if !joining && c.rings.cameAfter(voter, lost) {
			continue
		}
		all++
		if p := c.rings.peers[voter]; voter == c.opt.Name || p != nil && p.upFor() >= after && p.wouldEvict(victim.Name) {
			votes++
		}
	}
	return votes > all/2
}

// cameAfter says whether a node came onto the rings by which somebody reads after a moment.
func (r *rings) cameAfter(name string, moment time.Time) bool {
	came, known := r.since[name]
	return came.After(moment) || !known && r.since != nil
}

// noteReaders notes when nodes came onto the rings by which somebody reads. A node that was just started has not seen who came when: for
// those on the first rings that are no guess it is the zero time.
func (r *rings) noteReaders() {
	if said := r.state.Said(); said.Guess && slices.Equal(r.established, []rebalance.Ring{said.Reads}) {
		return
	}
	since := make(map[string]time.Time)
	for _, x := range r.established {
		if r.tables[x] == nil {
			return
		}
		for _, n := range r.tables[x].Nodes() {
			came, known := r.since[n.Name]
			if !known && r.since != nil {
				came = time.Now()
			}
			since[n.Name] = came
		}
	}
	r.since = since
}

// votersLocked are those who have a vote on a member. Who was removed has none on a joiner, which owns
// nothing: the ring that is read may have to wait for this very removal.
func (c *Coordinator) votersLocked(victim string) (names []string) {
	joining := c.joiningLocked(victim)
	for _, n := range c.view.Load().read.Nodes() {
		if !joining || c.rings.members.has(n.Name) {
			names = append(names, n.Name)
		}
	}
	return names
}

// wouldEvict says whether the peer, which is not down, would have the member removed.
func (p *member) wouldEvict(name string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.State() != peer.Down && slices.Contains(p.ping.Dead, name)
}
