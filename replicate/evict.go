package replicate

import (
	"slices"
	"time"
)

// deadLocked are the members that have been down to this node for so long that it would have them removed.
func (c *Coordinator) deadLocked() (dead []string) {
	if c.opt.EvictAfter <= 0 {
		return nil
	}
	for i := range c.rings.members.All {
		name := c.rings.members.All[i].Name
		if p := c.rings.peers[name]; p != nil && p.downFor() >= c.opt.EvictAfter {
			dead = append(dead, name)
		}
	}
	return dead
}

// downFor is how long the peer has been down; 0: it is not.
func (p *Peer) downFor() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.State() != Down {
		return 0
	}
	return time.Since(p.downSince)
}

// evictLocked are the members that are to be removed: this node would have it so, and with it a majority of those on the ring that is read.
// A side of a split that is no majority removes nobody.
func (c *Coordinator) evictLocked() (victims []string) {
	if c.opt.Evict == nil {
		return nil
	}
	voters := c.view.Load().read.Nodes()
	for _, name := range c.deadLocked() {
		votes := 0
		for i := range voters {
			if p := c.rings.peers[voters[i].Name]; voters[i].Name == c.opt.Name || p != nil && p.wouldEvict(name) {
				votes++
			}
		}
		if votes > len(voters)/2 {
			victims = append(victims, name)
		}
	}
	return victims
}

// wouldEvict says whether the peer, which is not down, would have the member removed.
func (p *Peer) wouldEvict(name string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.State() != Down && slices.Contains(p.ping.Dead, name)
}
