package simnet

import (
	"testing"

	"httpdhs/kv"
)

// fell has a node stop, with a version of the key on its disk at least.
func (m *made) fell(second float64, node string, v kv.Version) *made {
	m.h.Events = append(m.h.Events, Event{At: at(second), Kind: Fell, Node: node, Kept: map[string]kv.Version{"k": v}})
	return m
}

// Where owners sync always, a write counts as acknowledged by those on whose disk it is.
func TestCheckAcksOnDisk(t *testing.T) {
	start := func(durable ...Durable) *made {
		m := newMade().op(1, 3, put(5, "x", 2)).stored(2, 5, "a", "b")
		m.h.OnDisk, m.h.Durables = true, map[string][]Durable{"a": {{at(2), 1}}, "b": durable}
		return m
	}
	start(Durable{at(2.5), 2}).want(t)
	start(Durable{at(2.5), 9}, Durable{at(2.6), 1}).want(t)
	start().want(t, "acks")
	start(Durable{at(2.5), 1}).want(t, "acks") // of what was stored before
	start(Durable{at(3.5), 2}).want(t, "acks")
}

// A quorum read meets what was acknowledged, whoever stops, unless it is lost from the disks of too
// many.
func TestCheckStrictOnDisk(t *testing.T) {
	start := func() *made {
		return newMade().stored(1, 4, "a", "b", "c").stored(2, 5, "a", "b").
			op(0, 1, put(4, "old", 3)).op(1, 3, put(5, "new", 2))
	}
	old := found(4, "old", 2)
	start().fell(3.5, "a", 5).fell(3.5, "b", 5).op(4, 5, old).want(t, "strict")
	start().fell(3.5, "c", 0).op(4, 5, old).want(t, "strict")
	start().fell(3.5, "a", 4).op(4, 5, old).want(t)
	start().fell(5.5, "a", 4).op(4, 5, old).want(t, "strict")
}

// What the disks of owners keep is not absent, and not lost, though all stop at once. What they
// need not keep may be.
func TestCheckSurvivesOnDisk(t *testing.T) {
	start := func(kept kv.Version) *made {
		return newMade().stored(0.5, 5, "a", "b").op(0, 1, put(5, "x", 2)).fell(2, "a", kept).fell(2, "b", 0)
	}
	start(5).op(3, 4, absent(0, 2)).want(t, "absent")
	start(0).op(3, 4, absent(0, 2)).want(t)
	end := func(m *made) *made {
		m.h.Listed["a"] = []string{"k"}
		return m.stored(3, 4, "a", "b", "c").held(4, "w", "a", "b", "c")
	}
	end(start(5)).want(t, "lost")
	end(start(0)).want(t)
}

// A tombstone that is old enough may be collected, and not before.
func TestCheckCollected(t *testing.T) {
	start := func(dead float64) *made {
		m := newMade().stored(0.5, 5, "a", "b", "c").op(0, 1, del(5, 3)).op(20, 21, absent(0, 2))
		for i := range m.h.Events {
			m.h.Events[i].Dead = m.h.Epoch.Add(at(dead)).UnixMilli()
		}
		m.h.Grace, m.h.Ended = at(10), at(30)
		return m
	}
	start(1).want(t)
	start(15).want(t, "strict")
}

// Of two writes the later is the newer where they meet at an owner. They need not where some owners
// have lost the earlier one from their disks, and those that have it still are not up.
func TestCheckLastOnDisk(t *testing.T) {
	start := func() *made {
		return newMade().stored(0.5, 5, "a", "b", "c").op(0, 1, put(5, "x", 3)).fell(2, "a", 0).fell(2, "b", 0)
	}
	later := func(m *made, acks int) *made { return m.stored(4.5, 4, "a", "b").op(4, 5, put(4, "y", acks)) }
	later(start().fell(3, "c", 5), 2).want(t)
	later(start(), 2).want(t, "last")                                            // c was up
	later(start().fell(3, "c", 5).event(3.5, InSync, "c", 0), 2).want(t, "last") // it was again
	later(start().fell(4.2, "c", 5), 2).want(t)                                  // it stopped meanwhile
	later(start(), 2).fell(6, "c", 5).want(t, "last")                            // it stopped afterwards
	later(newMade().stored(0.5, 5, "a", "b", "c").op(0, 1, put(5, "x", 3)).fell(2, "a", 0).fell(3, "c", 5).fell(3, "b", 5), 2).want(t, "last")
	later(start().fell(3, "c", 5).event(3.5, InSync, "a", 0), 2).want(t, "last") // a compared itself with c
	few := newMade().stored(0.5, 5, "a", "c").op(0, 1, put(5, "x", 2)).fell(2, "a", 0).fell(3, "c", 5)
	later(few, 2).want(t, "last") // clocks were past it when it was answered
}

// A node that was started again stamps above what fewer than all owners have, once it knows the
// time. Before, its write has to meet the earlier one at an owner that is up.
func TestCheckLastByAnUnsetClock(t *testing.T) {
	start := func() *made {
		m := newMade()
		for _, node := range []string{"a", "b", "c", "d"} {
			m.event(0.1, InSync, node, 0)
		}
		o := put(5, "x", 1)
		o.Level = kv.LevelLive
		return m.fell(0.2, "a", 0).fell(0.2, "b", 0).stored(0.5, 5, "c").op(0.3, 1, o)
	}
	later := func(m *made) *made {
		o := put(4, "y", 2)
		o.Node = "a"
		return m.stored(4.5, 4, "a", "b").op(4, 5, o)
	}
	later(start().fell(2, "c", 5).fell(2, "d", 0)).want(t)
	later(start().fell(2, "d", 0)).want(t, "last")                                          // c was up
	later(start().fell(2, "c", 5).fell(2, "d", 0).event(3, InSync, "c", 0)).want(t, "last") // it was again
	later(start().fell(2, "c", 5).fell(2, "d", 0).event(3, InSync, "a", 0)).want(t, "last") // it knew the time
	later(start().event(2, InSync, "b", 0).fell(2, "c", 5)).want(t, "last")                 // it heard three of four
	later(start().fell(2, "c", 5)).want(t)                                                  // or two of four
	later(start().event(2, InSync, "c", 0).fell(2, "d", 0)).fell(6, "c", 5).want(t, "last") // it stopped afterwards
	later(start().stored(1.5, 5, "b").fell(2, "c", 5).fell(2, "d", 0)).want(t, "last")      // b has it, too
	later(start().fell(2, "c", 0).fell(2, "d", 0)).want(t)                                  // it is lost
}

// A memory goes back to an older version where a tombstone was collected, and not before. An
// acknowledged delete is not forgotten in that way while an owner is without it.
func TestCheckGoesBack(t *testing.T) {
	const old, gone = 5, 6
	start := func(back float64, acked bool) *made {
		m := newMade().stored(0.5, old, "a", "b", "c").op(0, 1, put(old, "x", 3)).stored(2, gone, "a").stored(back, old, "a")
		m.h.Events[3].Dead = m.h.Epoch.Add(at(2)).UnixMilli()
		m.h.Grace, m.h.Ended = at(10), at(30)
		m.h.Listed["a"] = []string{"k"}
		if acked {
			m.op(2, 3, del(gone, 1))
		} else {
			m.op(2, 3, Op{Kind: kv.OpDelete})
		}
		return m
	}
	start(20, false).held(old, "x", "a", "b", "c").want(t)
	start(11, false).held(old, "x", "a", "b", "c").want(t, "copies") // it was too early
	start(20, true).held(old, "x", "a", "b", "c").want(t, "lost")
	m := start(20, false)
	m.h.Events = m.h.Events[:4] // a has the tombstone still
	m.held(old, "x", "a", "b", "c").want(t, "copies")
}

// A read that found a tombstone binds those that acknowledged the delete, where disks may not take
// it: while these are down, another may answer what was there before.
func TestCheckBackWhereRefused(t *testing.T) {
	start := func(acks int, full, disk bool) *made {
		m := newMade().stored(0.5, 4, "a", "b", "c").op(0, 1, put(4, "old", 3)).stored(2, 5, []string{"a", "b"}[:acks]...)
		m.h.Full, m.h.NoDisk = full, disk
		return m.op(2, 3, del(5, acks)).op(4, 5, absent(5, 2)).op(6, 7, found(4, "old", 2))
	}
	start(1, true, true).want(t)
	start(1, true, false).want(t, "back", "once") // a full memory has room for tombstones
	start(1, false, false).want(t, "back", "once")
	start(2, true, true).want(t, "back", "once", "strict")
}
