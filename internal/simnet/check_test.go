package simnet

import (
	"slices"
	"testing"
	"time"

	"httpdhs/kv"
)

// made is a history made by hand: one key, "k", with three replicas, at a, b and c; times are in
// seconds.
type made struct{ h History }

func newMade() *made {
	return &made{History{
		Replicas: 3, Owners: func(string) []string { return []string{"a", "b", "c"} },
		Epoch: time.Unix(1000, 0), Listed: make(map[string][]string), Kept: true, Few: true,
	}}
}

func at(seconds float64) time.Duration { return time.Duration(seconds * float64(time.Second)) }

// op adds an operation; the last of with may change it.
func (m *made) op(begin, end float64, o Op) *made {
	o.ID, o.Key, o.Begin, o.End = len(m.h.Ops), "k", at(begin), at(end)
	if o.Outcome == Unknown {
		o.End = Never
	}
	o.Required = max(o.Required, 1)
	m.h.Ops = append(m.h.Ops, o)
	return m
}

func (m *made) event(second float64, kind EventKind, node string, v kv.Version) *made {
	e := Event{At: at(second), Kind: kind, Node: node, Version: v}
	if kind == Stored || kind == Dropped {
		e.Key = "k"
	}
	m.h.Events = append(m.h.Events, e)
	return m
}

// stored has nodes store a version.
func (m *made) stored(second float64, v kv.Version, nodes ...string) *made {
	for _, node := range nodes {
		m.event(second, Stored, node, v)
	}
	return m
}

func (m *made) split(from, to float64) *made {
	m.h.Splits = append(m.h.Splits, Span{at(from), at(to)})
	return m
}

// held is what nodes hold at the end; an empty value is a tombstone.
func (m *made) held(v kv.Version, value string, nodes ...string) *made {
	for _, node := range nodes {
		m.h.Held = append(m.h.Held, Held{Node: node, Key: "k", Version: v, Value: value, Tombstone: value == ""})
	}
	return m
}

// want fails unless exactly these properties are found broken. Those of the end are looked at only
// where something is said of the end.
func (m *made) want(t *testing.T, properties ...string) {
	t.Helper()
	if len(m.h.Held) == 0 {
		m.h.Rest, properties = "it was not waited for", append(properties, "rest")
	}
	found := []string{}
	for _, v := range Check(&m.h, Rules{}) {
		if !slices.Contains(found, v.Property) {
			found = append(found, v.Property)
		}
	}
	slices.Sort(found)
	slices.Sort(properties)
	if !slices.Equal(found, properties) {
		t.Errorf("broken are %v, want %v", found, properties)
	}
}

func put(v kv.Version, value string, acks int) Op {
	return Op{Kind: kv.OpPut, Outcome: OK, Version: v, Value: value, Acks: acks, Level: kv.Level(acks)}
}

func del(v kv.Version, acks int) Op {
	return Op{Kind: kv.OpDelete, Outcome: OK, Version: v, Acks: acks, Level: kv.Level(acks)}
}

func found(v kv.Version, value string, required int) Op {
	return Op{Kind: kv.OpGet, Outcome: OK, Version: v, Value: value, Required: required}
}

func absent(v kv.Version, required int) Op {
	return Op{Kind: kv.OpGet, Outcome: Absent, Version: v, Required: required}
}

// A write counts as acknowledged by as many owners as have stored it, or something newer, when it
// is answered.
func TestCheckAcks(t *testing.T) {
	newMade().op(1, 3, put(5, "x", 2)).stored(2, 5, "a", "b").want(t)
	newMade().op(1, 3, put(5, "x", 2)).stored(2, 5, "a").stored(2, 6, "b").want(t)
	newMade().op(1, 3, put(5, "x", 2)).stored(2, 5, "a").want(t, "acks")
	newMade().op(1, 3, put(5, "x", 2)).stored(2, 5, "a", "a").want(t, "acks")
	newMade().op(1, 3, put(5, "x", 2)).stored(2, 5, "a", "stranger").want(t, "acks")
	newMade().op(1, 3, put(5, "x", 2)).stored(2, 5, "a").stored(4, 5, "b").want(t, "acks")
}

// A quorum read meets what a quorum has acknowledged, also in a split. A weaker read need not. No
// read need when an owner lost its memory, or when the two were at the same time.
func TestCheckStrict(t *testing.T) {
	start := func(acks int) *made {
		return newMade().stored(1, 4, "a", "b", "c").stored(2, 5, "a", "b").
			op(0, 1, put(4, "old", 3)).op(1, 3, put(5, "new", acks))
	}
	start(2).op(4, 5, found(5, "new", 2)).want(t)
	start(2).op(4, 5, found(4, "old", 2)).want(t, "strict")
	start(2).split(0, 9).op(4, 5, found(4, "old", 2)).want(t, "strict")
	start(2).op(4, 5, found(4, "old", 1)).want(t)
	start(1).op(4, 5, found(4, "old", 2)).want(t)
	start(2).op(2, 5, found(4, "old", 2)).want(t)
	start(2).event(3.5, Lost, "a", 0).op(4, 5, found(4, "old", 2)).want(t)
	start(2).event(3.5, Lost, "stranger", 0).op(4, 5, found(4, "old", 2)).want(t, "strict")
}

// Of two quorum reads the later does not go back, whoever makes them.
func TestCheckBack(t *testing.T) {
	start := func() *made {
		return newMade().op(0, 1, put(4, "old", 1)).stored(0, 4, "a", "b", "c").
			op(1, 1, Op{Kind: kv.OpPut, Value: "new"}) // its outcome is unknown
	}
	start().op(2, 3, found(5, "new", 2)).op(4, 5, found(5, "new", 2)).want(t)
	start().op(2, 3, found(4, "old", 2)).op(4, 5, found(5, "new", 2)).want(t)
	start().op(2, 3, found(5, "new", 2)).op(4, 5, found(4, "old", 2)).want(t, "back")
	start().op(2, 3, found(5, "new", 1)).op(4, 5, found(4, "old", 2)).want(t)
	start().op(2, 4.5, found(5, "new", 2)).op(4, 5, found(4, "old", 2)).want(t)
}

// Of two writes at levels other than one, the later is the newer.
func TestCheckLast(t *testing.T) {
	start := func() *made { return newMade().stored(0.5, 5, "a", "b").op(0, 1, put(5, "x", 2)) }
	start().stored(2, 6, "b", "c").op(2, 3, put(6, "y", 2)).want(t)
	start().stored(2, 4, "b", "c").op(2, 3, put(4, "y", 2)).want(t, "last")
	apart := start().stored(2, 4, "b", "c").op(2, 3, put(4, "y", 2))
	apart.h.Kept = false // and the first is not at all owners
	apart.want(t)
	start().stored(2.5, 6, "b", "c").op(2, 3, put(4, "y", 2)).want(t) // it was replaced before it was stored
	start().stored(2.5, 6, "b").op(2, 3, put(4, "y", 2)).want(t, "last")
	mixed := put(4, "y", 2)
	mixed.Cond = kv.IfPresent
	start().stored(2, 4, "b", "c").op(2, 3, mixed).want(t)
	start().stored(0.7, 4, "b", "c").op(0.9, 3, put(4, "y", 2)).want(t)
	start().stored(2, 4, "c").op(2, 3, put(4, "y", 1)).want(t) // the two need not have met
	start().split(0, 2).stored(2, 4, "b", "c").op(2, 3, put(4, "y", 2)).want(t)
	start().event(2, Lost, "a", 0).event(2, Lost, "b", 0).stored(2, 4, "b", "c").op(2, 3, put(4, "y", 2)).want(t)
}

// "No such key" is not said of a key that was acknowledged at level live. It may be said where the
// key may be deleted or expired, the network is split, or all that had it lost their memory.
func TestCheckAbsent(t *testing.T) {
	start := func() *made {
		w := put(5, "x", 2)
		w.Level = kv.LevelLive
		return newMade().stored(0.5, 5, "a", "b").op(0, 1, w)
	}
	read := absent(0, 1)
	start().op(4, 5, read).want(t, "absent")
	start().split(4.5, 6).op(4, 5, read).want(t)
	start().split(2, 3).op(4, 5, read).want(t, "absent")
	start().stored(2.5, 6, "a", "b").op(2, 3, del(6, 2)).op(4, 5, read).want(t)
	start().op(2, 3, Op{Kind: kv.OpDelete}).op(4, 5, read).want(t)
	start().op(4.9, 6, Op{Kind: kv.OpDelete}).op(4, 5, read).want(t)
	start().op(2, 3, Op{Kind: kv.OpDelete, Outcome: ConditionFailed}).op(4, 5, read).want(t, "absent")
	start().stored(0.6, 4, "c").op(0, 0.7, del(4, 1)).op(4, 5, read).want(t, "absent")
	start().event(2, Lost, "a", 0).op(4, 5, read).want(t, "absent")
	start().event(2, Lost, "a", 0).event(3, Lost, "b", 0).op(4, 5, read).want(t)
	start().event(2, Lost, "a", 0).event(2.5, InSync, "a", 0).event(3, Lost, "b", 0).op(4, 5, read).want(t, "absent")
	start().split(2, 3).event(2, Lost, "a", 0).event(2.5, InSync, "a", 0).event(3.5, Lost, "b", 0).op(4, 5, read).want(t)

	expiring := put(6, "y", 2)
	expiring.Expires = time.Unix(1004, 0).UnixMilli()
	start().stored(2, 6, "a", "b").op(2, 3, expiring).op(4.5, 5, absent(6, 1)).want(t)
	expiring.Expires = time.Unix(2000, 0).UnixMilli()
	start().stored(2, 6, "a", "b").op(2, 3, expiring).op(4.5, 5, absent(6, 1)).want(t, "absent")
	weak := newMade().stored(0.5, 5, "a").op(0, 1, put(5, "x", 1))
	weak.op(4, 5, read).want(t)
}

// One create of a key succeeds, and one of the writes that replace the same version.
func TestCheckCreate(t *testing.T) {
	create := func(v kv.Version, value string, acks int) Op {
		o := put(v, value, acks)
		o.Cond = kv.IfAbsent
		return o
	}
	start := func(acks int) *made {
		return newMade().stored(0.5, 5, "a", "b", "c").stored(0.5, 6, "a", "b", "c").op(0, 2, create(5, "x", acks))
	}
	start(2).op(1, 3, Op{Kind: kv.OpPut, Cond: kv.IfAbsent, Outcome: ConditionFailed}).want(t)
	start(2).op(1, 3, create(6, "y", 2)).want(t, "create")
	start(2).op(4, 5, create(6, "y", 2)).want(t, "create")
	start(2).split(4, 9).op(4, 5, create(6, "y", 2)).want(t)
	start(2).event(3, Lost, "a", 0).op(4, 5, create(6, "y", 2)).want(t)
	start(3).event(3, Lost, "a", 0).op(4, 5, create(6, "y", 2)).want(t, "create")
	start(2).op(3, 3, Op{Kind: kv.OpDelete}).op(4, 5, create(6, "y", 2)).want(t)

	replace := func(v kv.Version, expect kv.Version) Op {
		o := put(v, string(rune('a'+v)), 2)
		o.Cond, o.Expect = kv.IfVersion, expect
		return o
	}
	start(2).stored(2, 8, "a", "b").op(3, 4, replace(7, 5)).op(3, 4, replace(8, 7)).want(t)
	start(2).stored(2, 8, "a", "b").op(3, 4, replace(7, 5)).op(3, 4, replace(8, 5)).want(t, "create")
}

// A read finds what was written under the key by then, and is not expired.
func TestCheckValue(t *testing.T) {
	start := func() *made { return newMade().stored(0.5, 5, "a", "b").op(0, 1, put(5, "x", 2)) }
	start().op(2, 3, found(5, "x", 1)).want(t)
	start().op(2, 3, found(5, "z", 1)).want(t, "value")
	start().op(2, 3, found(9, "x", 1)).want(t, "value")
	start().op(2, 3, found(5, "y", 1)).op(4, 5, Op{Kind: kv.OpPut, Value: "y"}).want(t, "value")
	old := found(5, "x", 1)
	old.Expires = time.Unix(1001, 0).UnixMilli()
	expired := newMade().stored(0.5, 5, "a", "b").op(0, 1, put(5, "x", 2))
	expired.h.Ops[0].Expires = old.Expires
	expired.op(2, 3, old).want(t, "value")
	expired.h.Apart = at(2)
	expired.want(t)
}

// What was acknowledged is there at the end, unless all that stored it lost their memory. One of
// them that said that it is in sync again has it again.
func TestCheckLost(t *testing.T) {
	start := func() *made { return newMade().stored(0.5, 5, "a", "b").op(0, 1, put(5, "x", 2)) }
	all := []string{"a", "b", "c"}
	listed := func(m *made) *made { m.h.Listed["a"] = []string{"k"}; return m }
	listed(start().stored(2, 5, "c").held(5, "x", all...)).want(t)
	listed(start().event(2, Lost, "a", 0).event(2, Lost, "b", 0).stored(3, 4, all...).held(4, "w", all...)).want(t)
	listed(start().event(2, Lost, "a", 0).event(2.5, InSync, "a", 0).event(3, Lost, "b", 0).
		stored(4, 4, all...).held(4, "w", all...)).want(t, "lost")
	listed(start().event(2, Lost, "a", 0).event(3, Lost, "b", 0).event(4, InSync, "a", 0).
		stored(4, 4, all...).held(4, "w", all...)).want(t)
	listed(newMade().stored(0.5, 5, "a").op(0, 1, put(5, "x", 1)).event(2, InSync, "c", 0).event(3, Lost, "a", 0).
		stored(4, 4, all...).held(4, "w", all...)).want(t)
	listed(start().event(0.7, Lost, "a", 0).event(0.8, Lost, "b", 0).stored(4, 4, all...).held(4, "w", all...)).want(t)
	listed(start().event(2, Dropped, "a", 0).event(2, Dropped, "b", 0).stored(3, 4, all...).held(4, "w", all...)).want(t, "lost")
}

// At the end all owners hold the newest that any memory has, nobody else does, and all nodes answer
// and list that.
func TestCheckEnd(t *testing.T) {
	start := func() *made { return newMade().stored(0.5, 5, "a", "b", "c").op(0, 1, put(5, "x", 3)) }
	read := found(5, "x", 1)
	read.Final = true
	gone := absent(6, 1)
	gone.Final = true
	list := func(m *made, keys ...string) *made { m.h.Listed["b"] = keys; return m }
	list(start().held(5, "x", "a", "b", "c").op(8, 9, read), "k").want(t)
	list(start().held(5, "x", "a", "b", "c").op(8, 9, gone), "k").want(t, "agree", "absent")
	list(start().held(5, "x", "a", "b", "c"), "k", "k").want(t, "agree")
	list(start().held(5, "x", "a", "b", "c")).want(t, "agree")
	list(start().held(5, "x", "a", "b", "c", "stranger"), "k").want(t, "copies")
	list(start().held(5, "x", "a", "b"), "k").want(t, "copies", "lost")
	list(start().held(5, "x", "a", "b").held(5, "z", "c"), "k").want(t, "copies")
	list(start().stored(2, 6, "b").held(5, "x", "a", "b", "c"), "k").want(t, "copies")
	list(start().stored(2, 6, "b").event(3, Lost, "b", 0).held(5, "x", "a", "b", "c"), "k").want(t)

	deleted := func() *made { return start().stored(2, 6, "a", "b", "c").op(2, 3, del(6, 3)) }
	list(deleted().held(6, "", "a", "b", "c").op(8, 9, gone)).want(t)
	list(deleted().held(5, "x", "a", "b", "c").op(8, 9, read), "k").want(t, "strict", "once", "deleted", "copies", "lost")
}

// An answer comes at its deadline. A cluster that does not come to rest is reported.
func TestCheckLateAndRest(t *testing.T) {
	late := put(5, "x", 2)
	late.Late = time.Second
	newMade().stored(0.5, 5, "a", "b").op(0, 1, late).want(t, "late")
	m := newMade()
	m.h.Rest = "node1 is not in sync"
	if found := Check(&m.h, Rules{}); len(found) != 1 || found[0].Property != "rest" {
		t.Errorf("found %v", found)
	}
}
