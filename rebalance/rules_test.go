package rebalance

import (
	"math"
	"testing"
)

const (
	oldRing Ring = 3
	newRing Ring = 7
)

// at is a world of one member, which is live, counts on this node and has answered all, and states
// what is given.
func at(target Ring, said *Statement) (*World, *Peer) {
	b := &Peer{Live: true, InTarget: true, Counts: true, Regards: true, Believed: true, Answered: math.MaxUint64, Said: said}
	w := &World{Map: 1, Target: target, Known: func(Ring) bool { return true }, Gains: func(string, []Ring) bool { return false }, On: func(string, Ring) bool { return true }}
	w.set(b)
	return w, b
}

func (w *World) set(b *Peer) { w.Members = map[string]Peer{"b": *b} }

// holding is a State that reads by the old ring and holds it, as the member does whose world is
// returned.
func holding(t *testing.T) (*State, *World, *Peer) {
	t.Helper()
	s := new(State)
	w, b := at(oldRing, &Statement{Seq: 9, Map: 1, Reads: oldRing, Writes: []Ring{oldRing}, Wants: []Ring{oldRing}, Holds: []Ring{oldRing}})
	s.Step(w)
	s.Over(s.Generation())
	s.Step(w)
	s.Claim(oldRing, s.Since(oldRing))
	if !s.Holds(oldRing) || s.Reads() != oldRing {
		t.Fatalf("reads by %d, says %+v", s.Reads(), s.Said())
	}
	return s, w, b
}

func sameRings(t *testing.T, what string, got []Ring, want ...Ring) {
	t.Helper()
	if !sameSet(got, want) {
		t.Errorf("%s %v, want %v", what, got, want)
	}
}

// A new target is written and wanted at once. It is stated when the operations from before are
// over, and that counts for the present generation alone.
func TestNewTargetIsWrittenAtOnceAndStatedWhenOperationsAreOver(t *testing.T) {
	s, w, _ := holding(t)
	before := s.Generation()
	w.Target = newRing
	s.Step(w)
	sameRings(t, "writes", s.Writes(), oldRing, newRing)
	sameRings(t, "wants", s.Said().Wants, oldRing, newRing)
	s.Over(before)
	sameRings(t, "states", s.Said().Writes, oldRing)
	if s.Stated() {
		t.Error("all is stated, though operations of before go on")
	}
	s.Over(s.Generation())
	sameRings(t, "states", s.Said().Writes, oldRing, newRing)
	if !s.Stated() {
		t.Error("not all is stated")
	}
}

// What another reads by is wanted, what another wants is written, and not any more when nobody
// does; one that is down does not count.
func TestRingsOfOthersAreWantedAndWritten(t *testing.T) {
	s, w, b := holding(t)
	b.Said = &Statement{Seq: 10, Map: 1, Reads: 5, Wants: []Ring{5, 6}}
	w.set(b)
	s.Step(w)
	sameRings(t, "wants", s.Said().Wants, oldRing, 5)
	sameRings(t, "writes", s.Writes(), oldRing, 5, 6)
	s.Over(s.Generation())
	b.Live = false
	w.set(b)
	s.Step(w)
	sameRings(t, "wants", s.Said().Wants, oldRing)
	sameRings(t, "writes", s.Writes(), oldRing)
	sameRings(t, "states", s.Said().Writes, oldRing)
}

// A ring whose members are not known is wanted by others in vain, and no more than RingsMax are
// written or wanted.
func TestUnknownRingsAndThoseBeyondTheBoundAreNotWritten(t *testing.T) {
	s, w, b := holding(t)
	b.Said = &Statement{Seq: 10, Map: 1, Reads: oldRing, Wants: []Ring{11, 12, 13, 14, 15}}
	w.set(b)
	w.Known = func(r Ring) bool { return r != 11 }
	s.Step(w)
	sameRings(t, "writes", s.Writes(), oldRing, 12, 13, 14)
}

// A claim waits for a live member until four conditions are met. The member has answered the
// statement that wants the ring, has the same map, writes to the ring, and has delivered what it
// kept.
func TestClaimWaitsForEachMember(t *testing.T) {
	fresh := func() (*State, *World, *Peer) {
		s, w, b := holding(t)
		w.Target = newRing
		b.Said = &Statement{Seq: 10, Map: 1, Reads: oldRing, Writes: []Ring{oldRing, newRing}, Wants: []Ring{oldRing, newRing}}
		w.set(b)
		s.Step(w)
		s.Over(s.Generation())
		s.Step(w)
		return s, w, b
	}
	s, w, _ := fresh()
	if name, missing := s.Missing(newRing, w); missing {
		t.Fatalf("missing: %s", name)
	}
	if s.Since(newRing) == 0 || s.Since(99) != 0 {
		t.Error("Since names no time, or one for a ring that is not wanted")
	}
	for what, spoil := range map[string]func(*State, *World, *Peer){
		"it has said nothing":         func(_ *State, _ *World, b *Peer) { b.Said = nil },
		"it has not answered":         func(s *State, _ *World, b *Peer) { b.Answered = s.Since(newRing) - 1 },
		"its map is another":          func(_ *State, _ *World, b *Peer) { b.Said.Map = 2 },
		"it does not write the ring":  func(_ *State, _ *World, b *Peer) { b.Said.Writes = []Ring{oldRing} },
		"it keeps something":          func(_ *State, _ *World, b *Peer) { b.Counts = false },
		"it has missed what was said": func(s *State, _ *World, b *Peer) { b.Answered = s.Said().Seq; s.Fence() },
	} {
		s, w, b := fresh()
		spoil(s, w, b)
		w.set(b)
		if name, missing := s.Missing(newRing, w); !missing || name != "b" {
			t.Errorf("%s: missing %q %v, want b", what, name, missing)
		}
		b.Live = false
		w.set(b)
		if name, missing := s.Missing(newRing, w); missing {
			t.Errorf("%s, and it is down: missing %q", what, name)
		}
	}
	for what, spoil := range map[string]func(*State, *World){
		"the ring is not wanted":    func(s *State, _ *World) { delete(s.wanted, newRing) },
		"it is not stated":          func(s *State, _ *World) { s.said.Writes = nil },
		"the map has changed since": func(_ *State, w *World) { w.Map = 2 },
	} {
		s, w, _ := fresh()
		spoil(s, w)
		if name, missing := s.Missing(newRing, w); !missing || name != Self {
			t.Errorf("%s: missing %q %v, want self", what, name, missing)
		}
	}
}

// A claim that was begun does not end if the ring was let go and wanted again meanwhile, or if the
// fence was raised.
func TestClaimOfBeforeDoesNotCount(t *testing.T) {
	s, w, _ := holding(t)
	w.Target = newRing
	s.Step(w)
	since := s.Since(newRing)
	w.Target = oldRing
	s.Step(w)
	s.Claim(newRing, since)
	w.Target = newRing
	s.Step(w)
	s.Claim(newRing, since)
	if s.Holds(newRing) {
		t.Error("a claim counts though the ring was let go meanwhile")
	}
	since = s.Since(newRing)
	s.Fence()
	s.Claim(newRing, since)
	if s.Holds(newRing) || s.Holds(oldRing) {
		t.Error("a claim counts, or what was held is held, though something was missed")
	}
	seq := s.Said().Seq
	s.Claim(newRing, s.Since(newRing))
	s.Claim(newRing, s.Since(newRing))
	if !s.Holds(newRing) || s.Said().Seq != seq+1 {
		t.Error("a claim does not count, or is stated twice")
	}
}

// The target is read by once each live member of it holds it and may be believed; what was read by
// goes on being wanted until that is stated.
func TestTargetIsReadByOnceAllHoldIt(t *testing.T) {
	s, w, b := holding(t)
	w.Target = newRing
	s.Step(w)
	s.Over(s.Generation())
	b.Said = &Statement{Seq: 10, Map: 1, Reads: oldRing, Wants: []Ring{oldRing, newRing}, Holds: []Ring{newRing}}
	w.set(b)
	s.Step(w)
	if s.Reads() != oldRing {
		t.Error("the target is read by, and this node does not hold it")
	}
	s.Claim(newRing, s.Since(newRing))
	b.Believed = false
	w.set(b)
	s.Step(w)
	if s.Reads() != oldRing {
		t.Error("one is believed that does not know that it was down")
	}
	b.Believed = true
	b.Said = &Statement{Seq: 11, Map: 1, Reads: newRing, Wants: []Ring{newRing}, Holds: []Ring{newRing}}
	w.set(b)
	s.Step(w)
	if s.Reads() != newRing {
		t.Errorf("reads by %d, want the target", s.Reads())
	}
	sameRings(t, "wants, before that is stated", s.Said().Wants, oldRing, newRing)
	s.Over(s.Generation())
	s.Step(w)
	sameRings(t, "wants", s.Said().Wants, newRing)
	sameRings(t, "writes", s.Writes(), newRing)
}

// A node that leaves holds the target with nothing in it: it goes on reading by the old ring until
// a live member of the target holds that.
func TestLeavingNodeWaitsForAMemberOfTheTarget(t *testing.T) {
	s, w, b := holding(t)
	w.Target, w.Leaving, b.Live = newRing, true, false
	w.set(b)
	s.Step(w)
	s.Claim(newRing, s.Since(newRing))
	s.Step(w)
	if s.Reads() != oldRing {
		t.Error("the target is read by, and nobody in it is live")
	}
	b.Live = true
	b.Said = &Statement{Seq: 10, Reads: oldRing, Wants: []Ring{oldRing, newRing}, Holds: []Ring{newRing}}
	w.set(b)
	s.Step(w)
	if s.Reads() != newRing {
		t.Error("the target is not read by, and all in it hold it")
	}
}

// A member that is down takes no new ownership: the target is not read by before it owns all that
// it would own there by a ring in use. In use is what this node reads by, and what a live member
// reads by that has authority for it and knows the same members.
func TestMemberThatIsDownBecomesNoOwner(t *testing.T) {
	const between Ring = 5
	for _, c := range []struct {
		what  string
		owner Ring // by which the member that is down owns all that it would own by the target
		said  Statement
		down  bool // the one that says so
		joins bool // it is on no ring that this node reads by
		want  Ring
	}{
		{"it joins", 0, Statement{Map: 1, Reads: oldRing, Holds: []Ring{oldRing, newRing}}, false, false, oldRing},
		{"it owns no more than before", oldRing, Statement{Map: 1, Reads: oldRing, Holds: []Ring{oldRing, newRing}}, false, false, newRing},
		{"a member reads by a ring that it is on", between, Statement{Map: 1, Reads: between, Holds: []Ring{between, newRing}}, false, false, newRing},
		{"that member knows other members", between, Statement{Map: 2, Reads: between, Holds: []Ring{between, newRing}}, false, false, oldRing},
		{"that member has no authority for it", between, Statement{Map: 1, Reads: between, Holds: []Ring{newRing}}, false, false, oldRing},
		{"that member joins itself", between, Statement{Map: 1, Reads: between, Holds: []Ring{between, newRing}}, false, true, oldRing},
		{"that member is down", between, Statement{Map: 1, Reads: between, Holds: []Ring{between, newRing}}, true, false, oldRing},
	} {
		s, w, b := holding(t)
		w.Target = newRing
		s.Step(w)
		s.Over(s.Generation())
		s.Step(w)
		s.Claim(newRing, s.Since(newRing))
		b.Said, b.Live = &c.said, !c.down
		w.Gains = func(name string, rings []Ring) bool { return name == "c" && !contains(rings, c.owner) }
		w.On = func(string, Ring) bool { return !c.joins }
		w.Members = map[string]Peer{"b": *b, "c": {InTarget: true}}
		s.Step(w)
		if s.Reads() != c.want {
			t.Errorf("%s: reads by %d, want %d", c.what, s.Reads(), c.want)
		}
	}
}

// A node without authority reads by what a member has authority for and reads by: what it reads by
// already, else the target, else the least.
func TestNodeWithoutAuthorityReadsAsOthersDo(t *testing.T) {
	say := func(r Ring) Peer {
		return Peer{Live: true, InTarget: true, Believed: true, Said: &Statement{Seq: 1, Reads: r, Holds: []Ring{r}}}
	}
	for _, c := range []struct {
		what   string
		others []Peer
		want   Ring
	}{
		{"nobody knows", []Peer{{Live: true}, {Live: false, Said: say(5).Said}}, 9},
		{"the least", []Peer{say(6), say(5), say(8)}, 5},
		{"the target", []Peer{say(5), say(9), say(6)}, 9},
	} {
		s := new(State)
		w := &World{Target: 9, Known: func(Ring) bool { return true }, Members: map[string]Peer{}}
		for i, m := range c.others {
			w.Members[string(rune('b'+i))] = m
		}
		s.Step(w)
		if s.Reads() != c.want {
			t.Errorf("%s: reads by %d, want %d", c.what, s.Reads(), c.want)
		}
		w.Members = map[string]Peer{"b": say(c.want), "c": say(1)}
		s.Step(w)
		if s.Reads() != c.want {
			t.Errorf("%s: reads by %d, want %d as before", c.what, s.Reads(), c.want)
		}
	}
}

// A node that has started, or has raised its fence, coordinates on three conditions. Every live
// member has been heard. Each counts it among the live. And all that they want is written.
func TestNodeCoordinatesOnceItIsCountedOn(t *testing.T) {
	s, w, b := holding(t)
	if !s.MayCoordinate(w) {
		t.Fatal("may not coordinate")
	}
	b.Regards = false
	w.set(b)
	s.Step(w)
	if !s.MayCoordinate(w) {
		t.Error("may not coordinate any more, though nothing was missed")
	}
	s.Fence()
	s.Step(w)
	if s.MayCoordinate(w) {
		t.Error("may coordinate though the member takes it for down")
	}
	b.Regards = true
	w.set(b)
	w.Known = func(Ring) bool { return false }
	b.Said.Wants = []Ring{oldRing, 5}
	s.Step(w)
	if s.MayCoordinate(w) {
		t.Error("may coordinate though it does not write what is wanted")
	}
	w.Known = func(Ring) bool { return true }
	s.Step(w)
	if !s.MayCoordinate(w) {
		t.Error("may not coordinate")
	}
	w.Members["c"] = Peer{Live: true}
	if s.MayCoordinate(w) {
		t.Error("may coordinate before it has heard from a new member")
	}
}

// A node that decides conditions holds what it reads by and has stated it. Each live member has
// answered that and reads by the same ring.
func TestConditionsAreDecidedOnceAllReadByTheSameRing(t *testing.T) {
	s, w, b := holding(t)
	if !s.MayDecide(w) {
		t.Fatal("may not decide")
	}
	for what, spoil := range map[string]func(*State, *Peer){
		"it has missed something":      func(s *State, _ *Peer) { s.Fence() },
		"its reads are not stated yet": func(s *State, _ *Peer) { s.said.Reads = newRing },
		"the member is silent":         func(_ *State, b *Peer) { b.Said = nil },
		"it has not answered":          func(s *State, b *Peer) { b.Answered = s.readsAt - 1 },
		"it reads by another ring":     func(_ *State, b *Peer) { b.Said = &Statement{Reads: newRing} },
	} {
		s, w, b := holding(t)
		spoil(s, b)
		w.set(b)
		if s.MayDecide(w) {
			t.Errorf("may decide though %s", what)
		}
	}
	b.Live, b.Said = false, nil
	w.set(b)
	if !s.MayDecide(w) {
		t.Error("may not decide without one that is down")
	}
}

// One that has just started reads by the target, and says that this is a guess: nobody takes the
// target's members for owners by that, and nor does it itself while another reads by a ring. It
// goes on guessing with one that guesses, and ends when it follows one that does not, or when all
// hold the target.
func TestGuess(t *testing.T) {
	start := func(said Statement) (*State, *World, *Peer) {
		s := new(State)
		w, b := at(newRing, &said)
		s.Step(w)
		s.Over(s.Generation())
		return s, w, b
	}
	real := Statement{Seq: 9, Map: 1, Reads: oldRing, Writes: []Ring{oldRing, newRing}, Wants: []Ring{oldRing, newRing}}
	s, w, b := start(real)
	if s.Reads() != newRing || !s.Said().Guess {
		t.Errorf("it reads by %d, and says %+v", s.Reads(), s.Said())
	}
	sameRings(t, "established:", s.Established(w), oldRing)

	guess := real
	guess.Guess = true
	b.Said = &guess
	w.set(b)
	sameRings(t, "of two that guess:", s.Established(w), newRing)
	guess.Holds = []Ring{oldRing}
	s.Step(w)
	s.Over(s.Generation())
	if s.Reads() != oldRing || !s.Said().Guess {
		t.Errorf("with one that guesses it reads by %d, and says %+v", s.Reads(), s.Said())
	}
	real.Holds = []Ring{oldRing}
	b.Said = &real
	w.set(b)
	s.Step(w)
	s.Over(s.Generation())
	if s.Reads() != oldRing || s.Said().Guess {
		t.Errorf("with one that does not it reads by %d, and says %+v", s.Reads(), s.Said())
	}

	s, w, _ = start(Statement{Seq: 9, Map: 1, Reads: newRing, Guess: true, Writes: []Ring{newRing}, Wants: []Ring{newRing}, Holds: []Ring{newRing}})
	s.Claim(newRing, s.Since(newRing))
	s.Step(w)
	if s.Reads() != newRing || s.Said().Guess {
		t.Errorf("when all hold the target it reads by %d, and says %+v", s.Reads(), s.Said())
	}
}
