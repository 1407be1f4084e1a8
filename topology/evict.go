package topology

import (
	"slices"
	"time"

	"httpdhs/ring"
	"httpdhs/wire"
)

// joinerEvictAfter is how long a member that has never had its share may be down before it is
// removed, whatever EvictAfter says. It holds up every change of the ring, and owns nothing that
// would be lost. It joins again when it is back. A restart takes less, and goes on with the same
// join.
const joinerEvictAfter = 5 * time.Second

// absenceMax is how long a voter may be down without being taken for cut off. Else a majority would
// never agree on who is dead while its own connections break now and then.
func absenceMax(evictAfter time.Duration) time.Duration {
	if evictAfter > 0 {
		return min(evictAfter, joinerEvictAfter) / 4
	}
	return joinerEvictAfter / 4
}

// electorate says which members are dead, and who has a vote on that. It is made under the
// topology's mu, and used under it.
type electorate struct {
	self       string
	evictAfter time.Duration
	members    *wire.Members
	byName     map[string]*member
	rings      *rings
}

func (s *state) electorate() *electorate {
	return &electorate{
		self: s.opt.Name, evictAfter: s.opt.EvictAfter,
		members: &s.roster.members, byName: s.roster.byName, rings: &s.rings,
	}
}

// victim is a member that is to be removed.
type victim struct {
	name  string
	after time.Duration // how long it had to be down for that
}

// victims are the dead that are to be removed: those against whom a majority of the nodes on the
// ring that is read votes.
func (s *state) victims(e *electorate) (victims []victim) {
	if s.opt.Members == nil {
		return nil
	}
	for _, name := range s.dead {
		if e.majority(name, s.board.View().Read.Nodes()) {
			victims = append(victims, victim{name, e.after(e.member(name))})
		}
	}
	return victims
}

// dead are the members that have been down to this node for so long that it votes to remove them.
// Of one that it has not asked yet it knows nothing.
func (e *electorate) dead() (names []string) {
	for i := range e.members.All {
		entry := &e.members.All[i]
		m, after := e.byName[entry.Name], e.after(entry)
		if after > 0 && m != nil && m.judged.Load() && m.downFor() >= after {
			names = append(names, entry.Name)
		}
	}
	return names
}

// after is how long the member may be down until it is dead; 0: for ever.
func (e *electorate) after(m *wire.Member) time.Duration {
	after := e.evictAfter
	if m.State != wire.Leaving && (after <= 0 || after > joinerEvictAfter) && e.rings.joining(m.Name) {
		return joinerEvictAfter
	}
	return after
}

// member is the entry of a member.
func (e *electorate) member(name string) *wire.Member {
	i := slices.IndexFunc(e.members.All, func(m wire.Member) bool { return m.Name == name })
	return &e.members.All[i]
}

// majority says whether a majority votes to remove the member.
//
// A side of a split that is no majority removes no owner, neither while the split lasts nor when it
// is over. So a vote counts only if this node has heard from the voter for as long as the victim
// has to be down. And a side must not become a majority by nodes that join it. So a node that came
// onto the ring after the victim went down is not counted.
func (e *electorate) majority(victim string, readers []ring.Node) bool {
	after, joining, lost := e.after(e.member(victim)), e.rings.joining(victim), e.byName[victim].wasLost()
	var votes, all int
	for _, n := range readers {
		// Who was removed has no vote on a joiner, which owns nothing: the ring that is read may
		// have to wait for this very removal.
		if joining && !e.members.Has(n.Name) || !joining && e.rings.cameAfter(n.Name, lost) {
			continue
		}
		all++
		if m := e.byName[n.Name]; n.Name == e.self || m != nil && m.upFor() >= after && m.wouldEvict(victim) {
			votes++
		}
	}
	return votes > all/2
}

// wasLost is when the member was found down after it had been up for long; zero if it never was.
func (m *member) wasLost() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.belief.lostSince
}

// wouldEvict says whether the member, which is not down, votes to remove another.
func (m *member) wouldEvict(name string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return !m.down() && slices.Contains(m.belief.ping.Dead, name)
}
