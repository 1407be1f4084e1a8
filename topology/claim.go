package topology

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"httpdhs/kv"
	"httpdhs/peer"
	"httpdhs/placement"
	"httpdhs/rebalance"
	"httpdhs/ring"
)

// roomPause is how long a claim waits that has found too little room: it fetches what it has no
// room for each time.
const roomPause = 5 * time.Second

// Claim gets this node authority for each ring that it wants and has none for. The error says why
// one is still unclaimed. It wraps placement.ErrNotInSync where nothing broke and it is worth
// trying again soon.
func (t *Topology) Claim(pull placement.Puller) error {
	var early, failed error
	for _, x := range t.unclaimed() {
		switch err := t.claim(x, pull); {
		case t.closed():
			return kv.ErrStopping
		case errors.Is(err, placement.ErrNotInSync):
			early = err
		case err != nil:
			failed = err
		}
	}
	switch {
	case failed != nil:
		t.opt.Log.Warn("cannot get in sync yet", "error", failed)
		t.setReason(failed)
		return failed
	case early != nil:
		t.setReason(early)
	}
	return early
}

// Claiming says whether there is a ring to claim.
func (t *Topology) Claiming() bool { return len(t.unclaimed()) > 0 }

func (t *Topology) closed() bool {
	select {
	case <-t.quit:
		return true
	default:
		return false
	}
}

// unclaimed are the rings that this node wants and has no authority for.
func (t *Topology) unclaimed() (rings []rebalance.Ring) {
	t.mu.Lock()
	defer t.mu.Unlock()
	said := t.rings.state.Said()
	for _, x := range said.Wants {
		if !slices.Contains(said.Holds, x) && t.rings.known(x) {
			rings = append(rings, x)
		}
	}
	return rings
}

// wants says whether this node still wants the ring.
func (t *Topology) wants(x rebalance.Ring) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Contains(t.rings.state.Said().Wants, x)
}

// hadAll says whether this node has had authority for the partitions since it was started, and has
// been an owner of them since. Then it lacks what it has missed, and knows what it refused of that.
// Of one that it has not had, it may have no room for anything.
func (t *Topology) hadAll(partitions []int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.rings.had != nil && !slices.ContainsFunc(partitions, func(part int) bool { return !t.rings.had[part] })
}

// claim is the pass that gives this node authority for a ring: rule 3 of docs/design/membership.md.
//
// It starts only when every member that is up writes to the ring, counts this node as up, and has
// delivered what it kept for it. From then on nothing is acknowledged without this node, and what
// was acknowledged before is at an owner that is asked now.
func (t *Topology) claim(x rebalance.Ring, pull placement.Puller) error {
	if time.Since(t.noRoom) < roomPause {
		return fmt.Errorf("%w: %w", placement.ErrNotInSync, placement.ErrNoRoom)
	}
	fence := t.board.Fence()
	t.Refresh(time.Now().Add(probeTimeout)) // what they said before a pause is over
	since, err := t.handshake(x)
	if err != nil {
		return err
	}
	if err := t.fetch(x, pull); err != nil {
		if errors.Is(err, placement.ErrNoRoom) {
			t.noRoom = time.Now()
		}
		return err
	}
	t.mu.Lock()
	if t.board.Fence() != fence {
		t.mu.Unlock()
		return fmt.Errorf("%w: others went on without it meanwhile", placement.ErrNotInSync)
	}
	t.rings.state.Claim(x, since)
	t.holdLocked()
	t.mu.Unlock()
	t.reconsider()
	return nil
}

// fetch pulls what this node lacks of what it owns by a ring.
func (t *Topology) fetch(x rebalance.Ring, pull placement.Puller) error {
	from, err := t.sources(x, nil)
	if err != nil {
		return err
	}
	task := placement.Pull{
		Ring: ringName(x), From: from,
		Wanted: func() bool { return t.wants(x) }, Had: t.hadAll,
	}
	doubtful, err := pull(&task)
	if err != nil || len(doubtful) == 0 {
		return err
	}
	if task.From, err = t.sources(x, doubtful); err != nil {
		return err
	}
	_, err = pull(&task)
	return err
}

// handshake says why a pass for the ring cannot begin yet, or since when the ring is wanted.
func (t *Topology) handshake(x rebalance.Ring) (since uint64, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range t.roster.members.All {
		if m := t.roster.byName[t.roster.members.All[i].Name]; m != nil && !m.probed.Load() {
			return 0, fmt.Errorf("%w: %s was not reached yet", placement.ErrNotInSync, m.peer.Name())
		}
	}
	if name, missing := t.rings.state.Missing(x, t.worldLocked()); missing {
		if name == rebalance.Self {
			return 0, fmt.Errorf("%w: operations by an earlier ring are under way", placement.ErrNotInSync)
		}
		return 0, fmt.Errorf("%w: %s does not count on this node yet", placement.ErrNotInSync, name)
	}
	return t.rings.state.Since(x), nil
}

// sources are the partitions to pull for a ring, by whom to pull them from: all owners that are up
// and have authority for the partition by any ring. Where there is none, all owners have to be up,
// by all rings that are written, but those that are no members any more. And all members that are
// up are asked, for one may keep what it was sent when it was an owner: then nobody holds more.
//
// Of the partitions in doubtful, all that are asked if there are any, nobody has authority,
// whatever is said.
func (t *Topology) sources(x rebalance.Ring, doubtful []int) (from []placement.Source, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	v, table := t.board.View(), t.rings.tables[x]
	if table == nil { // nobody wants it any more, and it was forgotten
		return nil, fmt.Errorf("%w: the ring has changed", placement.ErrNotInSync)
	}
	self, ok := table.Index(t.opt.Name)
	if !ok {
		return nil, nil
	}
	authority := t.authorityLocked(v)
	if len(doubtful) > 0 {
		authority = func(node, partition int) bool { return false }
	}
	held := t.board.Held()
	for part := range table.Partitions() {
		if !slices.Contains(table.Owners(part), uint16(self)) || part < len(held) && held[part] ||
			len(doubtful) > 0 && !slices.Contains(doubtful, part) {
			continue
		}
		all, err := t.partSourcesLocked(v, part, authority)
		if err != nil {
			return nil, err
		}
		for _, o := range all {
			at := slices.IndexFunc(from, func(s placement.Source) bool { return s.Peer == o.Peer && s.Sure == o.Sure })
			if at < 0 {
				at, from = len(from), append(from, o)
			}
			from[at].Partitions = append(from[at].Partitions, part)
		}
	}
	return from, nil
}

// authorityLocked says which peers have authority for which partitions, by their node index in the
// view.
func (t *Topology) authorityLocked(v *placement.View) func(node, partition int) bool {
	type part struct {
		table *ring.Table
		index uint16
	}
	holds := make([][]part, len(v.Peers))
	for n, p := range v.Peers {
		if p == nil {
			continue
		}
		m := t.roster.byName[p.Name()]
		m.mu.Lock()
		if m.belief.trusted(m.down()) {
			for _, x := range m.belief.ping.Said.Holds {
				if table := t.rings.tables[x]; table != nil {
					if i, ok := table.Index(p.Name()); ok {
						holds[n] = append(holds[n], part{table, uint16(i)})
					}
				}
			}
		}
		m.mu.Unlock()
	}
	return func(node, partition int) bool {
		return slices.ContainsFunc(holds[node], func(h part) bool {
			return slices.Contains(h.table.Owners(partition), h.index)
		})
	}
}

// partSourcesLocked are the peers that tell all that there is of a partition.
func (t *Topology) partSourcesLocked(v *placement.View, partition int, authority func(node, partition int) bool) (all []placement.Source, err error) {
	for _, n := range v.Owners(partition) {
		switch p := v.Peers[n]; {
		case p == nil:
		case p.State() != peer.Down:
			if authority(int(n), partition) {
				all = append(all, placement.Source{Peer: p, Sure: true})
			}
		case t.roster.members.Has(p.Name()):
			reason, _ := p.Why()
			err = fmt.Errorf("%w: %s is down (%v), and no other owner of some keys is in sync", placement.ErrNotInSync, p.Name(), reason)
		}
	}
	if len(all) > 0 {
		return all, nil
	}
	for _, m := range t.roster.list {
		if !m.down() {
			all = append(all, placement.Source{Peer: m.peer})
		}
	}
	return all, err
}
