package membership

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"httpdhs/wire"
)

// ErrNotFormed says that the node is not part of a cluster.
var ErrNotFormed = errors.New("not part of a cluster yet")

// greetedMax bounds how many nodes that are not formed can make this one try to join at once.
const greetedMax = 128

// state is what this node knows of the members, and says of itself. It does no I/O: it wakes the
// loops that do.
type state struct {
	id   identity
	self wire.Member // what the node says of itself; State and Version are filled in
	join []string    // addresses of Options.Join

	inSyncAt func() int64 // Options.InSyncAt

	view   atomic.Pointer[view]
	joined chan struct{} // closed once formed

	wakeLoop chan struct{} // each of capacity one
	wakeSeek chan struct{}
	wakeJoin chan struct{}

	mu      sync.Mutex          // guards all below
	m       Map                 //
	formed  bool                // part of a cluster
	intent  wire.State          // what the node says of itself
	alone   bool                // it is a cluster of its own, which nobody has joined
	behind  string              // why others have gone on without this node, until it reenters
	news    news                // that the owner has to be told
	greeted map[uint64]struct{} // boots of unformed nodes that have said hello
	joinErr error               // what the last round of joining came to
	founding
}

// view is what readers see of the map. It does not change.
type view struct {
	all    []wire.Member // by name, removed ones included
	digest uint64
	formed bool
}

// news is what callbacks tell the owner.
type news struct {
	changed bool                // the map, or that the node is formed
	stays   bool                // it was leaving, and does not any more
	heard   map[string]struct{} // members that are there
}

func newState(o *Options) *state {
	s := &state{
		id:   identity{name: o.Self.Name, boot: uint64(o.Random() * (1 << 53)), settings: o.Settings, expect: o.Expect},
		self: o.Self, join: addresses(o.Join), inSyncAt: o.InSyncAt,
		joined:   make(chan struct{}),
		wakeLoop: make(chan struct{}, 1), wakeSeek: make(chan struct{}, 1), wakeJoin: make(chan struct{}, 1),
		greeted: make(map[uint64]struct{}),
		news:    news{heard: make(map[string]struct{})},
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.m.Merge(o.Known)
	for _, name := range o.Static {
		s.m.Merge([]wire.Member{{Name: name, State: wire.Active, Weight: 1}})
	}
	s.sayLocked()
	if len(o.Join) == 0 {
		s.formLocked()
		<-s.wakeSeek // nobody is up yet: the probers ask all that are known
	} else {
		s.joinErr = fmt.Errorf("%w: nothing was tried yet", ErrNotFormed)
		s.publishLocked()
	}
	return s
}

// members returns those that are not removed, by name.
func (v *view) members() []wire.Member {
	members := make([]wire.Member, 0, len(v.all))
	for _, entry := range v.all {
		if entry.State != wire.Removed {
			members = append(members, entry)
		}
	}
	return members
}

func (s *state) members() []wire.Member { return s.view.Load().members() }
func (s *state) isFormed() bool         { return s.view.Load().formed }

// ready says why the node is not part of a cluster; nil if it is.
func (s *state) ready() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.formed {
		return nil
	}
	return s.joinErr
}

// cannotJoin notes what a round of joining came to.
func (s *state) cannotJoin(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.joinErr = err
}

// entry returns the entry of a name, removed or not.
func (s *state) entry(name string) (wire.Member, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.m.Get(name)
}

// isMember says whether a member has that name.
func (s *state) isMember(name string) bool {
	entry, ok := s.entry(name)
	return ok && entry.State != wire.Removed
}

// hello is this node's hello to a member; to nobody in particular if to is empty.
func (s *state) hello(to string) *wire.Hello {
	v := s.view.Load()
	h := &wire.Hello{From: s.id.name, To: to, Boot: s.id.boot, Formed: v.formed, Settings: s.id.settings, Members: v.all, InSyncAt: s.inSyncAt()}
	if !v.formed {
		s.sayFounding(h)
	}
	return h
}

// absorb merges what another node said into the map.
func (s *state) absorb(entries []wire.Member) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.absorbLocked(entries)
}

// absorbLocked is absorb. The others may have gone on without this node. What depends on its being
// a member ends before it is one again.
func (s *state) absorbLocked(entries []wire.Member) {
	if !s.m.Merge(entries) {
		return
	}
	s.news.changed = true
	own, _ := s.m.Get(s.id.name)
	switch {
	case !s.formed || s.intent == wire.Removed:
	case own.State == wire.Removed:
		// A leaving node that has something to hand over becomes a member again too. Only members
		// learn whom to give it to.
		s.behind = "others have removed it"
	case s.alone:
		// It did not admit them: they are a cluster, and it was started again without a list, or
		// beside it.
		s.behind = "it was a cluster of its own, and has met another"
	}
	s.alone = s.alone && s.onlyLocked()
	if s.behind == "" {
		s.sayLocked()
	}
	s.publishLocked()
	wake(s.wakeLoop)
}

// onlyLocked says whether the map has this node alone.
func (s *state) onlyLocked() bool { return len(s.m.entries) == 1 }

// takeIn merges the hello of another node, if one of the two is part of the cluster. It returns
// false if there is no place for a newcomer.
func (s *state) takeIn(h *wire.Hello) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case h.Formed:
		// An unformed node is found by the others if it was restarted: then they have its entry.
		own, ok := h.Entry(s.id.name)
		if s.formed || ok && own.State != wire.Removed {
			s.absorbLocked(h.Members)
			if !s.formed {
				s.formLocked()
			}
		}
	case s.formed:
		entry, ok := h.Entry(h.From)
		known, there := s.m.Get(h.From)
		if (!there || known.State == wire.Removed) && s.m.full() {
			return false
		}
		if ok {
			s.alone = false // it joins this node
			s.absorbLocked([]wire.Member{entry})
		}
	default:
		// Both are trying. Another that has come up may be what this one waits for.
		if _, known := s.greeted[h.Boot]; !known && len(s.greeted) < greetedMax {
			s.greeted[h.Boot] = struct{}{}
			wake(s.wakeJoin)
		}
	}
	return true
}

// joinBy makes the node part of the cluster of a node whose map has this node's entry as it says
// it. The entry there may be an older one that was newer, as of a node that was removed. Then that
// node has to hear of one that is newer still, before this node takes part.
func (s *state) joinBy(h *wire.Hello, entry wire.Member) (formed, joined bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.formed {
		return true, false
	}
	s.absorbLocked([]wire.Member{entry})
	if own, _ := s.m.Get(s.id.name); own != entry {
		return false, false
	}
	s.absorbLocked(h.Members) // nothing to pass on: they know it, and nobody else knows this node
	s.formLocked()
	return true, true
}

// leave has the node say that it leaves. It returns whether others have to be told.
func (s *state) leave() (changed bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !s.formed:
		return false, ErrNotFormed
	case s.intent != wire.Active:
		return false, nil
	case !slices.ContainsFunc(s.m.All(), func(other wire.Member) bool {
		return other.State == wire.Active && other.Name != s.id.name
	}):
		return false, ErrLastMember
	}
	return s.declareLocked(wire.Leaving), nil
}

// left has the node say that it has left. It returns whether others have to be told.
func (s *state) left() (changed bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.intent == wire.Active {
		return false, ErrNotLeaving
	}
	return s.declareLocked(wire.Removed), nil
}

// declareLocked says a new intent.
func (s *state) declareLocked(intent wire.State) (changed bool) {
	s.intent = intent
	changed = s.sayLocked()
	s.publishLocked()
	wake(s.wakeLoop)
	return changed
}

// remove makes an entry Removed. It returns whether others have to be told.
func (s *state) remove(name string) (changed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	entry, ok := s.m.Get(name)
	if !ok || entry.State == wire.Removed {
		return false
	}
	entry.State, entry.Version = wire.Removed, s.m.next()
	s.absorbLocked([]wire.Member{entry})
	return true
}

// overtaken says why others have gone on without this node; "" if they have not.
func (s *state) overtaken() (reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.behind
}

// reenter takes up this node's entry again. It returns whether others have to be told.
func (s *state) reenter() (changed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.behind = ""
	changed = s.sayLocked()
	s.publishLocked()
	return changed
}

// sayLocked makes this node's entry what it says of itself. It returns whether that changed it.
func (s *state) sayLocked() (changed bool) {
	own, there := s.m.Get(s.id.name)
	if s.intent == wire.Removed && own.State == wire.Removed {
		return false // somebody was faster
	}
	if s.intent == wire.Leaving && s.staysLocked() {
		s.intent, s.news.stays = wire.Active, true
	}
	said := s.self
	said.State, said.Version = s.intent, own.Version
	if there && own == said {
		return false
	}
	said.Version = s.m.next()
	s.m.Merge([]wire.Member{said})
	s.news.changed = true
	return true
}

// staysLocked says whether this node, which is leaving, has to stay: of members that all leave the
// one with the smallest name stays. Two that begin to leave at the same moment each take the other
// for the one that stays.
func (s *state) staysLocked() bool {
	for _, entry := range s.m.All() {
		switch {
		case entry.State == wire.Active && entry.Name != s.id.name:
			return false
		case entry.State == wire.Leaving && entry.Name < s.id.name:
			return false
		}
	}
	return true
}

// formLocked makes the node part of a cluster.
func (s *state) formLocked() {
	s.formed, s.news.changed, s.alone = true, true, s.onlyLocked()
	s.publishLocked()
	close(s.joined)
	wake(s.wakeLoop)
	wake(s.wakeSeek)
	wake(s.wakeJoin)
}

// publishLocked lets readers see the map.
func (s *state) publishLocked() {
	all := s.m.All()
	s.view.Store(&view{all: all, digest: digestOf(all), formed: s.formed})
}

// hear notes that a member is there.
func (s *state) hear(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if entry, ok := s.m.Get(name); ok && entry.State != wire.Removed {
		s.news.heard[name] = struct{}{}
	}
	wake(s.wakeLoop)
}

// takeNews returns what has come up since it was called before.
func (s *state) takeNews() news {
	s.mu.Lock()
	defer s.mu.Unlock()
	taken := s.news
	s.news = news{heard: make(map[string]struct{})}
	return taken
}

// wake makes a loop look again. It does not wait.
func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
