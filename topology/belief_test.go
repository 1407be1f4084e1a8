package topology

import (
	"testing"
	"time"

	"httpdhs/rebalance"
	"httpdhs/wire"
)

const self = 1 // boot of the node whose beliefs these are

// says is a ping of a process, in which it has suspected this node so often, and has acknowledged
// that this node has suspected it so often.
func says(boot, number, suspicion, acknowledged uint64) *wire.Ping {
	return &wire.Ping{
		Boot: boot, Number: number,
		Sees: wire.Sight{Boot: self, Suspicion: suspicion, Acknowledged: acknowledged},
		Said: rebalance.Statement{Holds: []rebalance.Ring{7}},
	}
}

// A node learns that a member took it for down, while it looks or between two looks, and that
// it was down for the first time when they first speak.
func TestNodeLearnsThatItWasSuspected(t *testing.T) {
	for name, heard := range map[string][]struct {
		boot, suspicion uint64
		suspected       bool
	}{
		"while it looks":   {{5, 0, false}, {5, 1, true}, {5, 1, false}, {5, 2, true}},
		"before the first": {{5, 2, true}},
		"not met yet":      {{5, 0, false}, {5, 0, false}},
		"member restarted": {{5, 3, true}, {6, 0, false}, {6, 1, true}},
		"messages cross":   {{5, 2, true}, {5, 1, false}, {5, 2, false}},
	} {
		b := newBelief(self, past{}, time.Now())
		for i, s := range heard {
			if got := b.hear(says(s.boot, 0, s.suspicion, 0)); got != s.suspected {
				t.Errorf("%s, ping %d: suspected is %v, want %v", name, i, got, s.suspected)
			}
			b.acknowledge(s.boot, b.suspectedBy)
		}
	}
}

// What a member says to hold is not believed after it was taken for down, before it says that it
// knows of that, and of its return; unless it was restarted.
func TestSuspectedMemberHasToAcknowledge(t *testing.T) {
	now := time.Now()
	b := newBelief(self, past{}, now)
	number := uint64(0)
	want := func(what string, boot, acknowledged uint64, down, believed bool) {
		t.Helper()
		number++
		b.hear(says(boot, number, 0, acknowledged))
		if got := b.holds(7, down); got != believed {
			t.Errorf("%s: believed is %v, want %v", what, got, believed)
		}
	}
	want("never suspected", 5, 0, false, true)
	want("of another ring", 5, 0, true, false)
	b.fall(true, now, 0)
	want("down", 5, 0, true, false)
	b.rise(now, 0)
	want("back, and knows nothing", 5, 0, false, false)
	want("back, and knows that it was down", 5, 1, false, false)
	want("back, and knows that it is back", 5, 2, false, true)
	b.remove()
	want("was removed", 5, 2, false, false)
	want("knows of that", 5, 3, false, true)
	want("was restarted", 6, 0, false, true)
}

// A message of before says nothing.
func TestLateMessagesSayNothing(t *testing.T) {
	b := newBelief(self, past{}, time.Now())
	b.hear(says(5, 9, 0, 0))
	if b.hear(says(5, 8, 3, 0)) || b.suspectedBy != 0 || b.ping.Number != 9 {
		t.Errorf("an earlier message counts: %+v", b)
	}
}

// A member that was found down before it was ever heard begins with one suspicion, which it has to
// acknowledge. A member whose name was removed before is told how often it was suspected then.
func TestWhatWasBeforeCounts(t *testing.T) {
	now := time.Now()
	b := newBelief(self, past{}, now)
	b.fall(false, now, 0)
	b.fall(false, now, 0)
	if b.suspicion != 1 {
		t.Errorf("found down before it was heard: suspicion %d", b.suspicion)
	}
	b.hear(says(5, 1, 0, 0))
	if b.trusted(false) {
		t.Error("it is believed without having acknowledged that")
	}
	for name, c := range map[string]struct {
		was  past
		boot uint64
		want uint64
	}{
		"the same process":         {past{5, 3}, 5, 3},
		"another process":          {past{5, 3}, 6, 0},
		"one that was never heard": {past{0, 3}, 6, 3},
	} {
		b := newBelief(self, c.was, now)
		b.hear(says(c.boot, 1, 0, 0))
		if b.suspicion != c.want {
			t.Errorf("%s: suspicion %d, want %d", name, b.suspicion, c.want)
		}
	}
	b = newBelief(self, past{5, 3}, now)
	if got := b.rest(); got != (past{5, 4}) {
		t.Errorf("removed before it was heard again: %+v", got)
	}
}

// An answer from before a member went down does not make it take part again.
func TestAnswersFromBeforeTheFallComeTooLate(t *testing.T) {
	now := time.Now()
	b := newBelief(self, past{}, now)
	b.hear(says(5, 1, 0, 0))
	told := b.suspicion
	b.fall(true, now, 0)
	if !b.heldUp(true, told) || b.heldUp(true, b.suspicion) || b.heldUp(false, told) {
		t.Error("an answer counts by what was told")
	}
}

// A moment of contact does not end an absence, and a moment of absence does not end contact.
func TestMomentsDoNotCount(t *testing.T) {
	const evict = 20 * time.Second
	start := time.Now()
	b := newBelief(self, past{}, start)
	b.hear(says(5, 1, 0, 0))
	b.fall(true, start.Add(time.Minute), evict)
	lost := b.lostSince
	b.rise(start.Add(2*time.Minute), evict)
	b.fall(true, start.Add(2*time.Minute+time.Second), evict)
	if b.lostSince != lost {
		t.Error("contact for a second began another absence")
	}
	b.rise(start.Add(3*time.Minute), evict)
	up := b.upSince
	b.fall(true, start.Add(4*time.Minute), evict)
	b.rise(start.Add(4*time.Minute+absenceMax(evict)), evict)
	if b.upSince != up {
		t.Error("an absence of a moment ended the contact")
	}
}
