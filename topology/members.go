package topology

import (
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"httpdhs/kv"
	"httpdhs/ring"
	"httpdhs/wire"
)

// pastMax bounds the members that are remembered after they were removed.
const pastMax = 1024

// roster is who is a member, and who was. The topology's mu guards it.
type roster struct {
	members wire.Members
	byName  map[string]*member // also who is a member no more, as long as a view needs its peer
	past    map[string]past    // of members that were removed

	// The same as in byName, the oldest first. It is replaced, never modified, and read without the
	// lock, also by who holds a member's.
	listed *atomic.Pointer[[]*member]
}

func newRoster(listed *atomic.Pointer[[]*member]) roster {
	r := roster{byName: make(map[string]*member), past: make(map[string]past), listed: listed}
	r.setList(nil)
	return r
}

func (r *roster) list() []*member { return *r.listed.Load() }

func (r *roster) setList(all []*member) { r.listed.Store(&all) }

// add takes in a member.
func (r *roster) add(name string, m *member) {
	delete(r.past, name)
	r.byName[name] = m
	r.setList(append(slices.Clone(r.list()), m))
}

// drop lets go of members, and remembers what they have to be told if they come back.
func (r *roster) drop(gone []*member) {
	for _, m := range gone {
		name := m.peer.Name()
		delete(r.byName, name)
		for other := range r.past {
			if len(r.past) < pastMax {
				break
			}
			delete(r.past, other)
		}
		m.mu.Lock()
		r.past[name] = m.belief.rest()
		m.mu.Unlock()
	}
	if len(gone) > 0 {
		r.setList(slices.DeleteFunc(slices.Clone(r.list()), func(m *member) bool { return slices.Contains(gone, m) }))
	}
}

// SetMembers tells the topology who the members are. It begins to talk to those that are new, and
// to change over to the ring of the active ones. The error says why there can be no such ring. Then
// nothing is changed.
func (t *Topology) SetMembers(to wire.Members) error {
	var active []ring.Node
	for _, m := range to.All {
		if m.State == wire.Active {
			active = append(active, m.Node())
		}
	}
	t.mu.Lock()
	if len(active) > 0 || t.mu.rings.target == 0 { // else all leave: one of them will stay, and until then the target does
		table, err := ring.New(active, t.opt.Ring)
		if err != nil {
			t.mu.Unlock()
			return fmt.Errorf("cannot make a ring of the members: %w", err)
		}
		t.mu.rings.aim(table)
	}
	t.mu.compare(&to)
	t.mu.roster.members = to
	t.clock.SetTag(clockTag(to.All, t.opt.Name))
	for _, m := range to.All {
		t.mu.member(m.Name)
	}
	t.mu.shareQueues()
	t.mu.Unlock()
	t.opt.Log.Debug("the member map is another", "members", len(to.All)) // the simulator lets time pass here
	t.reconsider()
	return nil
}

// compare takes note of who is a member no more, and who is one again.
func (s *state) compare(to *wire.Members) {
	r := &s.roster
	for _, was := range r.members.All {
		if m := r.byName[was.Name]; m != nil && !to.Has(was.Name) {
			m.removed()
		}
	}
	for _, is := range to.All {
		if m := r.byName[is.Name]; m != nil && !r.members.Has(is.Name) {
			m.readmitted()
		}
	}
}

// member is the member of that name. It is made when it is new. nil: it is this node, or the
// topology has ended.
func (s *state) member(name string) *member {
	m, ok := s.roster.byName[name]
	if ok || name == s.opt.Name || s.ended {
		return m
	}
	m = s.make(name, s.roster.past[name])
	if len(s.roster.list()) == 0 {
		s.board.Fresh() // there was nobody to renew the lease
	}
	s.roster.add(name, m)
	if s.started {
		m.start()
	}
	return m
}

// shareQueues bounds each peer's queue by its share of what there is for all.
func (s *state) shareQueues() {
	if list := s.roster.list(); s.opt.QueuesSum > 0 {
		for _, m := range list {
			m.peer.BoundQueue(min(s.opt.QueueBytes, s.opt.QueuesSum/len(list)))
		}
	}
}

// forget lets go of what no ring and no member needs any more. The caller closes the members that
// are gone.
func (s *state) forget() (gone []*member) {
	v := s.board.View()
	if len(s.rings.retired) > 0 || !s.rings.state.Stated() {
		return nil
	}
	s.rings.forget()
	if len(s.roster.list()) < len(s.roster.members.All) { // all are members, and this node is one
		return nil
	}
	for _, m := range s.roster.list() {
		if name := m.peer.Name(); !s.roster.members.Has(name) && !slices.Contains(v.Names, name) {
			gone = append(gone, m)
		}
	}
	if len(gone) > 0 {
		s.roster.drop(gone)
		s.shareQueues()
	}
	return gone
}

// removed takes note that the member is none any more.
func (m *member) removed() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.belief.remove()
	m.outOfSync()
	m.peer.SetInSync(false)
}

// readmitted takes note that it is one again.
func (m *member) readmitted() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.belief.readmit(time.Now())
}

// clockTag is what a member marks its versions with. It is the hash of its name, or the next number
// that the names before leave free. Members that know the same members have different tags.
func clockTag(all []wire.Member, self string) uint16 {
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
