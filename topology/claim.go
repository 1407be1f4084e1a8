package topology

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"httpdhs/kv"
	"httpdhs/peer"
	"httpdhs/placement"
	"httpdhs/rebalance"
	"httpdhs/ring"
	"httpdhs/wire"
)

// roomPause is how long a claim waits that has found too little room: it fetches what it has no
// room for each time.
const roomPause = 5 * time.Second

// claims is how this node gets authority. One goroutine claims at a time.
type claims struct {
	t      *Topology
	noRoom time.Time // when a claim last found too little room
}

// Claim gets this node authority for each ring that it wants and has none for. The error says why a
// ring is still unclaimed. It wraps placement.ErrNotInSync where nothing broke and another try is
// worth it soon.
func (t *Topology) Claim(pull placement.Puller) error {
	var early, failed error
	for _, x := range t.claims.unclaimed() {
		switch err := t.claims.claim(x, pull); {
		case t.closed.Load():
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
		t.reason.Store(&failed)
		return failed
	case early != nil:
		t.reason.Store(&early)
	}
	return early
}

// Claiming says whether there is a ring to claim.
func (t *Topology) Claiming() bool { return len(t.claims.unclaimed()) > 0 }

// unclaimed are the rings that this node wants and has no authority for.
func (c *claims) unclaimed() (rings []rebalance.Ring) {
	c.t.mu.Lock()
	defer c.t.mu.Unlock()
	said := c.t.mu.rings.state.Said()
	for _, x := range said.Wants {
		if !slices.Contains(said.Holds, x) && c.t.mu.rings.known(x) {
			rings = append(rings, x)
		}
	}
	return rings
}

// wants says whether this node still wants the ring.
func (c *claims) wants(x rebalance.Ring) bool {
	c.t.mu.Lock()
	defer c.t.mu.Unlock()
	return slices.Contains(c.t.mu.rings.state.Said().Wants, x)
}

// hadAll says whether this node has had authority for the partitions since it was started, and has
// been an owner of them since. Then what it lacks is what it missed since, and it knows what it
// refused of that. For a partition that it has not had it may have no room at all.
func (c *claims) hadAll(partitions []int) bool {
	c.t.mu.Lock()
	defer c.t.mu.Unlock()
	return c.t.mu.rings.had != nil && !slices.ContainsFunc(partitions, func(part int) bool { return !c.t.mu.rings.had[part] })
}

// claim is the pass that gives this node authority for a ring: rule 3 of docs/design/membership.md.
//
// It starts only when every member that is up writes to the ring, counts this node as up, and has
// delivered what it kept for it. From then on nothing is acknowledged without this node, and what
// was acknowledged before is at an owner that is asked now.
func (c *claims) claim(x rebalance.Ring, pull placement.Puller) error {
	if time.Since(c.noRoom) < roomPause {
		return fmt.Errorf("%w: %w", placement.ErrNotInSync, placement.ErrNoRoom)
	}
	fence := c.t.board.Fence()
	if _, err := c.handshake(x); err != nil {
		return err // by what is known: nobody need be asked
	}
	c.t.hearAll(time.Now().Add(probeTimeout)) // what they said before a pause is over
	since, err := c.handshake(x)
	if err != nil {
		return err
	}
	if err := c.fetch(x, pull); err != nil {
		if errors.Is(err, placement.ErrNoRoom) {
			c.noRoom = time.Now()
		}
		return err
	}
	c.t.mu.Lock()
	err = c.t.mu.upToDate()
	if c.t.board.Fence() != fence {
		err = fmt.Errorf("%w: others went on without it meanwhile", placement.ErrNotInSync)
	}
	if err != nil {
		c.t.mu.Unlock()
		return err
	}
	c.t.mu.rings.state.Claim(x, since)
	c.t.mu.hold()
	c.t.mu.Unlock()
	c.t.reconsider()
	return nil
}

// fetch pulls what this node lacks of what it owns by a ring.
func (c *claims) fetch(x rebalance.Ring, pull placement.Puller) error {
	from, err := c.sources(x, nil)
	if err != nil {
		return err
	}
	task := placement.Pull{
		Ring: ringName(x), From: from,
		Wanted: func() bool { return c.wants(x) }, Had: c.hadAll,
	}
	doubtful, err := pull(&task)
	if err != nil || len(doubtful) == 0 {
		return err
	}
	if task.From, err = c.sources(x, doubtful); err != nil {
		return err
	}
	_, err = pull(&task)
	return err
}

// upToDate is an error if the members are others by now than this node goes by. One that was
// admitted meanwhile may have found this node down, and gone on without it.
func (s *state) upToDate() error {
	if s.opt.Members != nil && s.opt.Members.Outdated(s.roster.members.Digest) {
		return fmt.Errorf("%w: the members have just changed", placement.ErrNotInSync)
	}
	return nil
}

// handshake says why a pass for the ring cannot begin yet, or since when the ring is wanted.
func (c *claims) handshake(x rebalance.Ring) (since uint64, err error) {
	c.t.mu.Lock()
	defer c.t.mu.Unlock()
	if err := c.t.mu.upToDate(); err != nil {
		return 0, err
	}
	for i := range c.t.mu.roster.members.All {
		if m := c.t.mu.roster.byName[c.t.mu.roster.members.All[i].Name]; m != nil && !m.judged.Load() {
			return 0, fmt.Errorf("%w: %s was not reached yet", placement.ErrNotInSync, m.peer.Name())
		}
	}
	if name, missing := c.t.mu.rings.state.Missing(x, c.t.mu.world()); missing {
		if name == rebalance.Self {
			return 0, fmt.Errorf("%w: operations by an earlier ring are under way", placement.ErrNotInSync)
		}
		return 0, fmt.Errorf("%w: %s does not count on this node yet", placement.ErrNotInSync, name)
	}
	return c.t.mu.rings.state.Since(x), nil
}

// sources are the partitions to pull for a ring, by the peers to pull them from. These are all
// owners that are up and have authority for the partition by any ring. Where there is none, all
// owners by all rings that are written have to be up, but those that are no members any more. Then
// all members that are up are asked, since one may keep what it was sent when it was an owner.
// Nobody else holds more.
//
// If doubtful is not empty, only its partitions are pulled. Nobody is believed to have authority
// for them.
func (c *claims) sources(x rebalance.Ring, doubtful []int) (from []placement.Source, err error) {
	c.t.mu.Lock()
	defer c.t.mu.Unlock()
	v, table := c.t.board.View(), c.t.mu.rings.tables[x]
	if table == nil { // nobody wants it any more, and it was forgotten
		return nil, fmt.Errorf("%w: the ring has changed", placement.ErrNotInSync)
	}
	self, ok := table.Index(c.t.opt.Name)
	if !ok {
		return nil, nil
	}
	authority := c.t.mu.authority(v)
	if len(doubtful) > 0 {
		authority = func(node, partition int) bool { return false }
	}
	held := c.t.board.Held()
	for part := range table.Partitions() {
		if !slices.Contains(table.Owners(part), uint16(self)) || part < len(held) && held[part] ||
			len(doubtful) > 0 && !slices.Contains(doubtful, part) {
			continue
		}
		all, err := c.t.mu.partSources(v, part, authority)
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
	for i := range from {
		from[i].Seldom = c.t.mu.roster.byName[from[i].Peer.Name()].prober.awaitsQuestions()
	}
	return from, nil
}

// authority says which peers have authority for which partitions, by their node index in the
// view.
func (s *state) authority(v *placement.View) func(node, partition int) bool {
	type part struct {
		table *ring.Table
		index uint16
	}
	holds := make([][]part, len(v.Peers))
	for n, p := range v.Peers {
		if p == nil {
			continue
		}
		m := s.roster.byName[p.Name()]
		m.mu.Lock()
		if m.belief.trusted(m.down()) {
			for _, x := range m.belief.ping.Said.Holds {
				if table := s.rings.tables[x]; table != nil {
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

// partSources are the peers that tell all that there is of a partition.
func (s *state) partSources(v *placement.View, partition int, authority func(node, partition int) bool) (all []placement.Source, err error) {
	for _, n := range v.Owners(partition) {
		switch p := v.Peers[n]; {
		case p == nil:
		case p.State() != peer.Down:
			if authority(int(n), partition) {
				all = append(all, placement.Source{Peer: p, Sure: true})
			}
		case s.roster.members.Has(p.Name()):
			_, reason := p.Why()
			err = fmt.Errorf("%w: %s is down (%v), and no other owner of some keys is in sync", placement.ErrNotInSync, p.Name(), reason)
		}
	}
	if len(all) > 0 {
		return all, nil
	}
	for _, m := range s.roster.list() {
		if !m.down() {
			all = append(all, placement.Source{Peer: m.peer})
		}
	}
	return all, err
}

// learn asks others who is on the rings that they want and this node does not know.
func (c *claims) learn() error {
	c.t.mu.Lock()
	ask := make(map[rebalance.Ring]*member, len(c.t.mu.rings.unknown))
	for x, name := range c.t.mu.rings.unknown {
		if m := c.t.mu.roster.byName[name]; m != nil {
			ask[x] = m
		}
	}
	c.t.mu.Unlock()
	var errs []error
	for _, x := range slices.Sorted(maps.Keys(ask)) {
		m := ask[x]
		table, err := c.learnRing(x, m)
		if err != nil {
			errs = append(errs, fmt.Errorf("cannot learn from %s who is on ring %s: %w", m.peer.Name(), ringName(x), err))
			continue
		}
		c.t.mu.Lock()
		if c.t.mu.rings.tables[x] == nil { // it may have become the target meanwhile, and be written
			c.t.mu.rings.tables[x] = table
		}
		c.t.mu.Unlock()
	}
	if len(ask) > len(errs) {
		c.t.reconsider()
	}
	return errors.Join(errs...)
}

func (c *claims) learnRing(x rebalance.Ring, m *member) (*ring.Table, error) {
	answer, err := m.peer.Ask(wire.AppendRing(nil, x), time.Now().Add(probeTimeout))
	if err != nil {
		return nil, err
	}
	nodes, err := wire.ParseNodes(answer)
	if err != nil {
		return nil, err
	}
	table, err := ring.New(nodes, c.t.opt.Ring)
	if err != nil {
		return nil, err
	}
	if got := rebalance.Ring(table.Fingerprint()); got != x {
		return nil, fmt.Errorf("%w: its members make ring %s", placement.ErrNotInSync, ringName(got))
	}
	return table, nil
}
