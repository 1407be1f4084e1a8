package replicate

import (
	"fmt"
	"slices"
	"time"

	"httpdhs/peer"
	"httpdhs/rebalance"
	"httpdhs/ring"
)

// roomPause is how long a claim waits that has found too little room: it fetches what it has no room
// for each time.
const roomPause = 5 * time.Second

// unclaimed are the rings that this node wants and has no authority for.
func (c *Coordinator) unclaimed() (rings []rebalance.Ring) {
	c.rings.mu.Lock()
	defer c.rings.mu.Unlock()
	said := c.rings.state.Said()
	for _, x := range said.Wants {
		if !slices.Contains(said.Holds, x) && c.rings.tables[x] != nil {
			rings = append(rings, x)
		}
	}
	return rings
}

// wants says whether this node still wants the ring.
func (c *Coordinator) wants(x rebalance.Ring) bool {
	c.rings.mu.Lock()
	defer c.rings.mu.Unlock()
	return slices.Contains(c.rings.state.Said().Wants, x)
}

// claim is the pass that gives this node authority for a ring: rule 3 of docs/design/membership.md.
//
// It starts only when every member that is up writes to the ring, counts this node as up, and has delivered what it kept
// for it: from then on nothing is acknowledged without this node, and what was acknowledged before is at an owner that is asked
// now.
func (c *Coordinator) claim(x rebalance.Ring) error {
	if time.Since(c.behind.full) < roomPause {
		return fmt.Errorf("%w: %w", errNotYet, errNoRoom)
	}
	misses := c.misses.Load()
	c.Refresh(time.Now().Add(probeTimeout)) // what they said before a pause is over
	since, err := c.mayClaim(x)
	if err != nil {
		return err
	}
	from, err := c.sources(x, nil)
	if err != nil {
		return err
	}
	doubtful, err := c.pullAll(x, from)
	if err == nil && len(doubtful) > 0 {
		if from, err = c.sources(x, doubtful); err == nil {
			_, err = c.pullAll(x, from)
		}
	}
	if err != nil {
		return err
	}
	c.rings.mu.Lock()
	if c.misses.Load() != misses {
		c.rings.mu.Unlock()
		return fmt.Errorf("%w: others went on without it meanwhile", errNotYet)
	}
	c.rings.state.Claim(x, since)
	c.holdLocked()
	c.rings.mu.Unlock()
	was := c.synced.Load()
	c.reconsider()
	if !was && c.synced.Load() {
		c.passes.Add(1)
		c.opt.Log.Info("in sync", "ring", ringName(x), "records_fetched", c.counters.pulled.Load())
	}
	return nil
}

// mayClaim says why a pass for the ring cannot begin yet, or since when the ring is wanted.
func (c *Coordinator) mayClaim(x rebalance.Ring) (since uint64, err error) {
	c.rings.mu.Lock()
	defer c.rings.mu.Unlock()
	for i := range c.rings.members.All {
		if p := c.rings.peers[c.rings.members.All[i].Name]; p != nil && !p.probed.Load() {
			return 0, fmt.Errorf("%w: %s was not reached yet", errNotYet, p.Name())
		}
	}
	if name, missing := c.rings.state.Missing(x, c.worldLocked()); missing {
		if name == rebalance.Self {
			return 0, fmt.Errorf("%w: operations by an earlier ring are under way", errNotYet)
		}
		return 0, fmt.Errorf("%w: %s does not count on this node yet", errNotYet, name)
	}
	return c.rings.state.Since(x), nil
}

// sources are the partitions to pull for a ring, by whom to pull them from: all owners that are up and have authority for the partition by
// any ring. Where there is none, all owners have to be up, by all rings that are written, but those that are no members any more; and all
// members that are up are asked, for one may keep what it was sent when it was an owner: then nobody holds more.
//
// Of the partitions in doubtful, all that are asked if there are any, nobody has authority, whatever is said.
func (c *Coordinator) sources(x rebalance.Ring, doubtful []int) (from []fetch, err error) {
	c.rings.mu.Lock()
	defer c.rings.mu.Unlock()
	r, v := &c.rings, c.view.Load()
	table := r.tables[x]
	if table == nil { // nobody wants it any more, and it was forgotten
		return nil, fmt.Errorf("%w: the ring has changed", errNotYet)
	}
	self, ok := table.Index(c.opt.Name)
	if !ok {
		return nil, nil
	}
	authority := c.authorityLocked()
	if len(doubtful) > 0 {
		authority = func(node, partition int) bool { return false }
	}
	held := *c.held.Load()
	for part := range table.Partitions() {
		if !slices.Contains(table.Owners(part), uint16(self)) || part < len(held) && held[part] ||
			len(doubtful) > 0 && !slices.Contains(doubtful, part) {
			continue
		}
		all, err := c.sourcesLocked(v, part, authority)
		if err != nil {
			return nil, err
		}
		for _, o := range all {
			at := slices.IndexFunc(from, func(s fetch) bool { return s.origin == o })
			if at < 0 {
				at, from = len(from), append(from, fetch{origin: o})
			}
			from[at].partitions = append(from[at].partitions, part)
		}
	}
	return from, nil
}

// authorityLocked says which peers have authority for which partitions, by their node index in the view.
func (c *Coordinator) authorityLocked() func(node, partition int) bool {
	r, v := &c.rings, c.view.Load()
	type part struct {
		table *ring.Table
		index uint16
	}
	holds := make([][]part, len(v.peers))
	for n, p := range v.peers {
		if p == nil {
			continue
		}
		p.mu.Lock()
		if p.believedLocked() {
			for _, x := range p.ping.Said.Holds {
				if t := r.tables[x]; t != nil {
					if i, ok := t.Index(p.Name()); ok {
						holds[n] = append(holds[n], part{t, uint16(i)})
					}
				}
			}
		}
		p.mu.Unlock()
	}
	return func(node, partition int) bool {
		return slices.ContainsFunc(holds[node], func(h part) bool {
			return slices.Contains(h.table.Owners(partition), h.index)
		})
	}
}

// sourcesLocked are the peers that settle a partition.
func (c *Coordinator) sourcesLocked(v *view, partition int, authority func(node, partition int) bool) (all []origin, err error) {
	for _, n := range v.owners(partition) {
		switch p := v.peers[n]; {
		case p == nil:
		case p.State() != peer.Down:
			if authority(int(n), partition) {
				all = append(all, origin{p, true})
			}
		case c.rings.members.has(p.Name()):
			err = fmt.Errorf("%w: %s is down (%v), and no other owner of some keys is in sync", errNotYet, p.Name(), p.Status().Reason)
		}
	}
	if len(all) > 0 {
		return all, nil
	}
	for _, p := range c.rings.list {
		if p.State() != peer.Down {
			all = append(all, origin{p, false})
		}
	}
	return all, err
}
