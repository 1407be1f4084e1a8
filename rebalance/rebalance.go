package rebalance

import "slices"

// Ring is the fingerprint of a ring; 0 is none.
type Ring uint64

// RingsMax bounds the rings that a node writes at a time. More are wanted only while members learn
// of several changes in different orders. What is beyond the bound is not written yet, and so
// nobody gets authority for it yet.
const RingsMax = 4

// Statement is what a node says of itself to another: in each probe, and in each answer to one. A
// statement that was made is never changed: its slices may be kept.
type Statement struct {
	Seq    uint64 // grows whenever the rest changes
	Map    uint64 // digest of the member map
	Reads  Ring   // operations that read by an earlier one are over; 0: none yet
	Guess  bool   // Reads is the target of one that has just started, or taken over from one that guesses
	Writes []Ring // operations that did not write one of these are over
	Wants  []Ring
	Holds  []Ring // of Wants: there is authority for them
}

// Peer is another member of the map as this node knows it.
type Peer struct {
	Live     bool // not taken for down, or heard of lately
	InTarget bool // active, and so in the ring that is the target

	// Counts: it counts on this node, and has delivered what it kept for it.
	Counts bool

	// Said is its latest statement; nil: none since it was last started.
	Said *Statement

	// Regards: it says that it takes this node for live, and its suspicion epoch of this node is
	// the one that this node has acknowledged.
	Regards bool

	// Answered is the largest Seq of this node that it has answered.
	Answered uint64

	// Believed: what it says to hold may be believed. It has acknowledged every time that this node
	// took it for down.
	Believed bool
}

// World is what this node knows when it takes a step.
type World struct {
	Map     uint64 // digest of its member map
	Target  Ring   // the ring of all active members
	Leaving bool   // this node is not one of them
	Members map[string]Peer

	// Known says whether the members behind a ring are known: only then can it be written.
	Known func(Ring) bool

	// On says whether the member, or [Self], is on the ring.
	On func(name string, r Ring) bool

	// Gains says whether the member owns something in the target that it owns in none of these
	// rings.
	Gains func(name string, rings []Ring) bool
}

// State is one node's part in the protocol.
type State struct {
	reads      Ring
	guess      bool // what Statement.Guess says, of reads
	writes     []Ring
	generation uint64 // grows when reads or writes change

	said    Statement
	wanted  map[Ring]uint64 // since which Seq each ring of said.Wants is stated without a break
	readsAt uint64          // the Seq that first said said.Reads
	caught  bool            // up with what the members want, since it was started, or the last fence
}

// Reads is the ring by whose owners the node reads; 0 before it knows.
func (s *State) Reads() Ring { return s.reads }

// Writes are the rings to whose owners the node writes; Reads is the first of them.
func (s *State) Writes() []Ring { return s.writes }

// Generation counts the changes of Reads and Writes.
func (s *State) Generation() uint64 { return s.generation }

// Said is what the node states.
func (s *State) Said() *Statement {
	said := s.said
	return &said
}

// Holds says whether there is authority for the ring.
func (s *State) Holds(r Ring) bool { return contains(s.said.Holds, r) }

// Step takes in what has become known. It changes the statement, Reads and Writes. The caller looks
// at Generation to know whether the latter two have changed.
func (s *State) Step(w *World) {
	s.choose(w)
	s.want(w)
	s.write(w)
	s.caught = s.caught || s.catchesUp(w)
	if s.said.Map != w.Map {
		s.said.Map = w.Map
		s.said.Seq++
	}
}

// choose is rule 4: what to read by.
func (s *State) choose(w *World) {
	next, guess := s.reads, false
	switch {
	case s.heldByAll(w, w.Target):
		next = w.Target
	case s.crowded(w) && s.common(w) != 0:
		next = s.common(w)
	case len(s.said.Holds) == 0 && s.adoptable(w) != 0:
		next = s.adoptable(w)
		guess = s.guessed(w, next)
	case next == 0, s.crowded(w) && s.nobodyHolds(w):
		next, guess = w.Target, true
	default:
		guess = s.guess
	}
	if next != s.reads {
		s.reads = next
		s.generation++
	}
	s.guess = guess
	if s.said.Reads == s.reads && s.said.Guess != guess {
		s.said.Guess = guess
		s.said.Seq++
	}
}

// crowded says whether somebody, this node or a live member, has no room left to write the target.
// It happens when several targets followed each other, and members read by so many of them. Nobody
// would ever hold the target.
func (s *State) crowded(w *World) bool {
	full := func(writes []Ring) bool { return len(writes) >= RingsMax && !contains(writes, w.Target) }
	if full(s.writes) {
		return true
	}
	for _, m := range w.Members {
		if m.Live && m.Said != nil && full(m.Said.Writes) {
			return true
		}
	}
	return false
}

// common is the least of the rings that somebody live reads by and all that are live hold: all that
// are crowded choose alike, and what nobody reads by any more makes room. 0: there is none.
func (s *State) common(w *World) (least Ring) {
	read := appendNew(nil, s.reads)
	for _, m := range w.Members {
		if m.Live && m.Said != nil {
			read = appendNew(read, m.Said.Reads)
		}
	}
	for _, r := range read {
		held := s.Holds(r)
		for _, m := range w.Members {
			held = held && (!m.Live || m.holds(r))
		}
		if held && (least == 0 || r < least) {
			least = r
		}
	}
	return least
}

// nobodyHolds says whether neither this node nor any live member has authority for anything that it
// owns. While a live member was not heard yet, that is not known, and the answer is no. Members may
// each read by a ring of their own: all have just started with a member map of their own, or have
// removed each other. Where these rings are more than there is room for, there is nothing to stay
// with.
func (s *State) nobodyHolds(w *World) bool {
	holds := func(name string, rings []Ring) bool {
		return slices.ContainsFunc(rings, func(r Ring) bool { return w.On(name, r) || !w.Known(r) })
	}
	for name, m := range w.Members {
		if m.Live && (m.Said == nil || holds(name, m.Said.Holds)) {
			return false
		}
	}
	return !holds(Self, s.said.Holds)
}

// heldByAll says whether every live member of the target, this node included, holds it, and there
// is at least one. A leaving node owns nothing in the target and so holds it at once: while all
// others are down, it would let go what it alone has. A member that is down holds nothing. It may
// stay an owner of what it owns, but must not gain anything.
func (s *State) heldByAll(w *World, target Ring) bool {
	if !s.Holds(target) {
		return false
	}
	some, inUse := !w.Leaving, s.InUse(w)
	for name, m := range w.Members {
		switch {
		case !m.InTarget:
		case m.Live && m.holds(target):
			some = true
		case m.Live, w.Gains(name, inUse):
			return false
		}
	}
	return some
}

// InUse are the ring that this node reads by, and those that live members of that ring read by.
// Such a member knows the same members and has authority for what it reads by. Who is on one of
// these rings is an owner by it, and has held what it owns there. What a joiner reads by may be a
// guess.
func (s *State) InUse(w *World) (rings []Ring) {
	rings = appendNew(rings, s.reads)
	for name, m := range w.Members {
		if m.Live && m.Said != nil && m.Said.Map == w.Map && m.holds(m.Said.Reads) && w.On(name, s.reads) {
			rings = appendNew(rings, m.Said.Reads)
		}
	}
	return rings
}

// Established are the rings by which this node or a live member reads, without the guesses of those
// that have just started. Who is on none of them has never had its share. If all guess, it is what
// this node reads by. Unlike InUse it has rings for which authority was lost.
func (s *State) Established(w *World) (rings []Ring) {
	if !s.guess {
		rings = appendNew(rings, s.reads)
	}
	for _, m := range w.Members {
		if m.Live && m.Said != nil && m.Said.Reads != 0 && !m.Said.Guess {
			rings = appendNew(rings, m.Said.Reads)
		}
	}
	if len(rings) == 0 {
		rings = appendNew(rings, s.reads)
	}
	return rings
}

func (m *Peer) holds(r Ring) bool {
	return m.Believed && m.Said != nil && contains(m.Said.Holds, r)
}

// adoptable is the ring by which a node without any authority should read: one that a live member
// reads by and has authority for. It is the present one if that is such a ring, else the target,
// else the least, so that all choose alike.
func (s *State) adoptable(w *World) (best Ring) {
	for _, m := range w.Members {
		if !m.Live || m.Said == nil || !m.holds(m.Said.Reads) || !w.Known(m.Said.Reads) {
			continue
		}
		switch r := m.Said.Reads; {
		case r == s.reads:
			return r
		case best == w.Target:
		case best == 0, r == w.Target, r < best:
			best = r
		}
	}
	return best
}

// guessed says whether all live members that read by a ring, and have authority for it, do so as a
// guess.
func (s *State) guessed(w *World, r Ring) bool {
	for _, m := range w.Members {
		if m.Live && m.holds(r) && m.Said.Reads == r && !m.Said.Guess {
			return false
		}
	}
	return true
}

// want is rule 2.
func (s *State) want(w *World) {
	wants := appendNew(make([]Ring, 0, RingsMax), s.reads, w.Target, s.said.Reads)
	for _, m := range w.Members {
		if m.Live && m.Said != nil {
			wants = appendNew(wants, m.Said.Reads)
		}
	}
	sortFrom(wants, min(2, len(wants)))
	wants = wants[:min(len(wants), RingsMax)]
	if sameSet(wants, s.said.Wants) {
		return
	}
	s.said.Seq++
	wanted := make(map[Ring]uint64, len(wants))
	for _, r := range wants {
		if since, ok := s.wanted[r]; ok {
			wanted[r] = since
		} else {
			wanted[r] = s.said.Seq
		}
	}
	s.wanted, s.said.Wants = wanted, wants
	s.said.Holds = intersection(s.said.Holds, wants)
}

// write is rule 1, and the first half of rule 5.
func (s *State) write(w *World) {
	must := appendNew(make([]Ring, 0, RingsMax), s.reads)
	wanted := appendNew(nil, s.said.Reads, w.Target)
	wanted = append(wanted, s.said.Wants...)
	for _, m := range w.Members {
		if m.Live && m.Said != nil {
			wanted = append(wanted, m.Said.Wants...)
		}
	}
	// What is written already goes first: it may be held by now.
	must = appendNew(must, intersection(s.writes, wanted)...)
	fresh := appendNew(nil, wanted...)
	sortFrom(fresh, 0)
	for _, r := range fresh {
		if len(must) < RingsMax && w.Known(r) {
			must = appendNew(must, r)
		}
	}
	if !equal(must, s.writes) {
		s.writes = must
		s.generation++
	}
	if stated := intersection(s.said.Writes, must); len(stated) != len(s.said.Writes) {
		s.said.Writes = stated
		s.said.Seq++
	}
}

// catchesUp says whether two things hold. Every live member counts this node among the live, so the
// member claims nothing from now on without this node's answer. And all that they want is written.
func (s *State) catchesUp(w *World) bool {
	for _, m := range w.Members {
		if m.Live && (m.Said == nil || !m.Regards || len(intersection(m.Said.Wants, s.writes)) < len(m.Said.Wants)) {
			return false
		}
	}
	return true
}

// MayCoordinate says whether operations may begin here: the second half of rule 1.
func (s *State) MayCoordinate(w *World) bool {
	for _, m := range w.Members {
		if m.Live && m.Said == nil {
			return false
		}
	}
	return s.caught
}

// Over says that the operations are over that began before the generation: what is read and written
// since can be stated.
func (s *State) Over(generation uint64) {
	if generation != s.generation || s.said.Reads == s.reads && sameSet(s.said.Writes, s.writes) {
		return
	}
	s.said.Seq++
	s.said.Writes = append([]Ring(nil), s.writes...)
	if s.said.Reads != s.reads {
		s.said.Reads, s.said.Guess, s.readsAt = s.reads, s.guess, s.said.Seq
	}
}

// Stated says whether all that is read and written is stated.
func (s *State) Stated() bool { return s.said.Reads == s.reads && sameSet(s.said.Writes, s.writes) }

// Missing is the first half of rule 3: the name of a member that stands against a claim of the
// ring, or "" if nobody does. A name that is not a member's, Self, means this node itself.
func (s *State) Missing(r Ring, w *World) (name string, missing bool) {
	since, ok := s.wanted[r]
	if !ok || !contains(s.said.Writes, r) || s.said.Map != w.Map {
		return Self, true
	}
	for name, m := range w.Members {
		if !m.Live {
			continue
		}
		if m.Said == nil || m.Answered < since || m.Said.Map != w.Map || !contains(m.Said.Writes, r) || !m.Counts {
			return name, true
		}
	}
	return "", false
}

// Self stands for this node where a member is named.
const Self = "self"

// Since names the time from which on the ring is wanted without a break, and no fence was raised;
// 0: it is not wanted. A claim takes it when [State.Missing] finds nobody, and shows it at its end.
func (s *State) Since(r Ring) uint64 { return s.wanted[r] }

// Claim gives authority for the ring: the second half of rule 3 is done. It does nothing if the
// ring is not wanted since then any more: who let it go meanwhile may not be writing it again.
func (s *State) Claim(r Ring, since uint64) {
	if since == 0 || s.wanted[r] != since || s.Holds(r) {
		return
	}
	s.said.Holds = append(append([]Ring(nil), s.said.Holds...), r)
	s.said.Seq++
}

// Fence takes all authority away: others have gone on without this node. Each claim needs new
// answers.
func (s *State) Fence() {
	s.said.Seq++
	s.said.Holds = nil
	s.caught = false
	for r := range s.wanted {
		s.wanted[r] = s.said.Seq
	}
}

// MayDecide says whether this node may decide conditions. It is the primary by the ring that it
// reads by, but others may be by other rings.
func (s *State) MayDecide(w *World) bool {
	if s.said.Reads != s.reads || !s.Holds(s.reads) {
		return false
	}
	for _, m := range w.Members {
		if m.Live && (m.Said == nil || m.Answered < s.readsAt || m.Said.Reads != s.reads) {
			return false
		}
	}
	return true
}
