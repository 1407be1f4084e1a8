package kv

import (
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// What a decision copies of values is said before, and of one operation on the byte: what it finds,
// and what it makes.
func TestDecisionsSayWhatTheyCopy(t *testing.T) {
	const size = decidedMax - 2
	held := lasting(strings.Repeat("l", size))
	for name, c := range map[string]struct {
		op   *Op
		want Copies
	}{
		"a get":                          {get(), Copies{Found: size}},
		"a put that asks":                {update(OpPut, "new", 0, prior), Copies{Found: size}},
		"a put that keeps":               {update(OpPut, "new", 0, keeps), Copies{Made: 3}},
		"a put that keeps and asks":      {update(OpPut, "new", 0, keeps, prior), Copies{Found: size, Made: 3}},
		"a put that is not done":         {update(OpPut, "new", 0, keeps, onlyIf(IfAbsent, "")), Copies{}},
		"one that is not done, and asks": {update(OpPut, "new", 0, prior, onlyIf(IfAbsent, "")), Copies{Found: size}},
		"a delete that asks":             {update(OpDelete, "", 0, prior), Copies{Found: size}},
		"an append":                      {update(OpAppend, "a", 0), Copies{Made: size + 1}},
		"an append of nothing":           {update(OpAppend, "", 0), Copies{}},
		"an append that is too long":     {update(OpAppend, "abc", 0), Copies{}},
		"a range":                        {update(OpSetRange, "r", 3), Copies{Made: size}},
		"a range behind":                 {update(OpSetRange, "r", size+1), Copies{Made: size + 2}},
		"a range too far behind":         {update(OpSetRange, "r", decidedMax), Copies{}},
		"a range of nothing":             {update(OpSetRange, "", 3), Copies{}},
		"an expiry":                      {update(OpExpire, "", 0, until(2000)), Copies{Made: size}},
		"an expiry that asks":            {update(OpExpire, "", 0, until(2000), prior), Copies{Found: size, Made: size}},
		"an expiry that is not set":      {update(OpExpire, "", 0, until(2000), onlyIf(IfExpiring, "")), Copies{}},
	} {
		room := 0
		d := &Decision{Ops: []*Op{c.op}}
		d.Begin(decidedAs, decidedMax, 1<<20)
		d.Room = &room
		if d.Decide(held, decidedAt); d.Needs != c.want {
			t.Errorf("%s: it needs %+v, want %+v", name, d.Needs, c.want)
		}
		if room = c.want.Sum() - 1; room >= 0 {
			if d.Decide(held, decidedAt); d.Needs != c.want || d.Changed || len(d.Results) > 0 {
				t.Errorf("%s: with a byte less it is done: %+v", name, d.Results)
			}
			room++
		} else {
			room = 0
		}
		if d.Decide(held, decidedAt); d.Needs != (Copies{}) || len(d.Results) != 1 || room != 0 {
			t.Errorf("%s: with room for %+v it is not done, or %d bytes are left", name, c.want, room)
		}
		if made := cap(d.value); made > 2*decidedMax {
			t.Errorf("%s: there is memory for %d bytes", name, made)
		}
	}
}

// What is made on the way counts too, whatever comes of it in the end.
func TestDecisionsSayWhatTheyMakeOnTheWay(t *testing.T) {
	room := 0
	d := &Decision{Ops: []*Op{update(OpAppend, "abc", 0), get(), update(OpDelete, "", 0)}}
	d.Begin(decidedAs, decidedMax, 1<<20)
	d.Room = &room
	if d.Decide(lasting("12"), decidedAt); d.Needs != (Copies{Found: 5, Made: 5}) {
		t.Errorf("it needs %+v", d.Needs)
	}
}

// Whatever operations come together, a decision copies no more than it has said. With that much
// room it does what it does without a bound, and with less it does nothing. A decision that is made
// again takes no more room than the first time.
func TestDecisionsKeepToTheirRoom(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		held := rapid.SampledFrom([]func() *Entry{
			absent, deleted, expired, func() *Entry { return lasting("7") }, func() *Entry { return expiring("0123456789") },
		}).Draw(t, "held")()
		d, free := new(Decision), new(Decision)
		for range rapid.IntRange(1, 6).Draw(t, "operations") {
			d.Ops = append(d.Ops, drawOp(t))
		}
		free.Ops = d.Ops
		free.Begin(decidedAs, decidedMax, 15)
		free.Decide(held, decidedAt)

		const most = 1 << 20
		room := most
		d.Begin(decidedAs, decidedMax, 15)
		d.Room = &room
		d.Decide(held, decidedAt)
		if d.Decide(held, decidedAt); !reflect.DeepEqual(d.Results, free.Results) || d.Changed != free.Changed {
			t.Fatalf("with room: %+v, without a bound: %+v", d.Results, free.Results)
		}
		took, copied := most-room, 0
		if d.Changed && !d.Derived() {
			copied += len(d.Record.Value)
		}
		for i := range d.Results {
			if r := &d.Results[i]; r.Found {
				copied += len(r.Entry.Value)
			}
		}
		if copied > took && !d.Small() {
			t.Fatalf("%d bytes were copied, and room for %d was taken", copied, took)
		}
		if took == 0 {
			return
		}
		room = took - 1
		d.Begin(decidedAs, decidedMax, 15)
		d.Room = &room
		d.Decide(held, decidedAt)
		if d.Needs.Sum() != took || d.Changed || len(d.Results) > 0 || room != took-1 {
			t.Fatalf("with a byte less than %d: it needs %+v, %d results, %d left", took, d.Needs, len(d.Results), room)
		}
	})
}
