package simnet

import (
	"testing"
	"time"

	"httpdhs/kv"
)

// What was seen, and then replaced, is not read again, whatever its version is. That holds where
// each of the three meets the next.
func TestCheckOnce(t *testing.T) {
	all := []string{"a", "b", "c"}
	x := Op{Kind: kv.OpPut, Value: "x"} // its outcome is unknown
	start := func(sees int) *made {
		return newMade().op(0, 1, x).stored(0.5, 5, all...).op(1, 2, found(5, "x", sees))
	}
	replaced := func(sees, acks int) *made {
		return start(sees).stored(3, 6, all...).stored(5, 7, all...).op(3, 4, put(6, "y", acks))
	}
	replaced(2, 2).op(6, 7, found(6, "y", 2)).want(t)
	replaced(2, 2).op(6, 7, found(7, "x", 2)).want(t, "once")
	replaced(2, 2).op(3.5, 7, found(7, "x", 2)).want(t)
	replaced(1, 2).op(6, 7, found(7, "x", 2)).want(t)
	replaced(2, 1).op(6, 7, found(7, "x", 2)).want(t)
	replaced(2, 2).op(6, 7, found(7, "x", 1)).want(t)
	replaced(2, 2).split(0, 9).op(6, 7, found(7, "x", 2)).want(t, "once")
	replaced(2, 2).event(5, Lost, "a", 0).op(6, 7, found(7, "x", 2)).want(t)

	late := newMade().op(0, 1, x).stored(3, 6, all...).stored(5, 7, all...).op(3, 4, put(6, "y", 2))
	late.op(6, 7, found(7, "x", 2)).want(t) // it may appear late, once
	start(2).op(3, 4, Op{Kind: kv.OpPut, Value: "y"}).op(3, 4, found(6, "y", 2)).op(5, 6, found(7, "x", 2)).want(t, "once")

	acked := newMade().stored(0.5, 5, all...).op(0, 1, put(5, "x", 2)).stored(3, 6, all...).op(3, 4, put(6, "y", 2))
	acked.op(6, 7, found(5, "x", 2)).want(t, "strict", "once")
	mixed := put(6, "y", 2)
	mixed.Cond = kv.IfPresent
	start(2).stored(3, 6, all...).op(3, 4, mixed).op(6, 7, found(7, "x", 2)).want(t)
}

// A delete that was seen, and written over, does not delete again. Its tombstones are told by who
// stamped them.
func TestCheckOnceOfDeletes(t *testing.T) {
	version := func(v, tag kv.Version) kv.Version { return v<<10 | tag }
	start := func() *made {
		m := newMade().op(0, 1, Op{Kind: kv.OpDelete, Node: "a"})
		y := put(version(6, 2), "y", 2)
		y.Node = "b"
		return m.op(1, 2, absent(version(5, 1), 2)).stored(3, version(6, 2), "a", "b").op(3, 4, y)
	}
	start().op(5, 6, found(version(6, 2), "y", 2)).want(t)
	start().op(5, 6, absent(version(7, 1), 2)).want(t, "once")
	start().op(3, 5, Op{Kind: kv.OpDelete, Node: "b"}).op(5, 6, absent(version(7, 2), 2)).want(t)
	start().op(3, 5, Op{Kind: kv.OpDelete, Node: "a"}).op(5, 6, absent(version(7, 1), 2)).want(t)
}

// What is read at rest is not what was replaced for good. Some owners lost their memory, but not
// all that had what took its place.
func TestCheckOnceAtRest(t *testing.T) {
	start := func(lost ...string) *made {
		m := newMade().op(0, 1, Op{Kind: kv.OpPut, Value: "x"}).stored(0.5, 5, "a", "b").op(1, 2, found(5, "x", 2))
		m.stored(3, 6, "a", "b").op(3, 4, put(6, "y", 2))
		for _, node := range lost {
			m.event(5, Lost, node, 0)
		}
		back := found(7, "x", 3)
		back.Final = true
		m.h.Listed["a"] = []string{"k"}
		return m.stored(6, 7, "a", "b", "c").held(7, "x", "a", "b", "c").op(8, 9, back)
	}
	start("a").want(t, "once")
	start("a", "b").want(t)
}

// An operation succeeds at a healthy cluster, if it had the time. The owners that are up and the
// memory that is free have to be enough for its level.
func TestCheckReason(t *testing.T) {
	with := func(o Op, h Health) *made {
		m := newMade()
		o.Timeout, o.Until = 2*time.Second, at(3)
		h.Span, h.Members = Span{at(1), at(9)}, max(h.Members, 3)
		m.h.Healthy = []Health{h}
		return m.op(2, 3, o)
	}
	fails := func(kind kv.OpKind, level kv.Level) Op { return Op{Kind: kind, Level: level, Value: "x"} }
	with(fails(kv.OpPut, kv.LevelLive), Health{}).want(t, "reason")
	with(fails(kv.OpPut, kv.LevelAll), Health{}).want(t, "reason")
	with(fails(kv.OpPut, kv.LevelAll), Health{Down: 1}).want(t)
	with(fails(kv.OpPut, kv.LevelQuorum), Health{Down: 1}).want(t, "reason")
	with(fails(kv.OpPut, kv.LevelQuorum), Health{Down: 2}).want(t)
	with(fails(kv.OpDelete, kv.LevelLive), Health{Full: true}).want(t, "reason")
	with(fails(kv.OpPut, kv.LevelLive), Health{Full: true}).want(t)
	with(fails(kv.OpPut, kv.LevelOne), Health{Full: true}).want(t, "reason")
	read := fails(kv.OpGet, kv.LevelAll)
	read.Outcome = Failed
	with(read, Health{Full: true}).want(t, "reason")
	read.Err = kv.ErrAbsenceUnknown.Error()
	read.Level = kv.LevelOne
	with(read, Health{}).want(t, "reason")
	with(read, Health{Down: 1}).want(t)
	crowded := fails(kv.OpPut, kv.LevelLive)
	crowded.Outcome, crowded.Err = Failed, kv.ErrOverloaded.Error()
	m := with(crowded, Health{})
	m.want(t, "reason")
	m.h.Overload = true
	m.want(t)
	short := with(fails(kv.OpPut, kv.LevelLive), Health{})
	short.h.Ops[0].Timeout = wellFor / 2
	short.want(t)
	ill := with(fails(kv.OpPut, kv.LevelLive), Health{})
	ill.h.Healthy[0].To = at(2.5)
	ill.want(t)
}
