package wire

import (
	"bytes"
	"errors"
	"math"
	"reflect"
	"testing"

	"httpdhs/kv"
)

// variety is a run that has operations of all kinds, and each field in one of them.
func variety(key []byte) []*kv.Op {
	ops := []*kv.Op{
		{Kind: kv.OpPut, Keep: true, Cond: kv.Condition{Kind: kv.IfEqual, Value: []byte("was")}, Record: kv.Record{Entry: kv.Entry{Value: []byte("is"), Meta: []byte("a/b"), Expires: 77}}},
		{Kind: kv.OpPut, Prior: true, Cond: kv.Condition{Kind: kv.IfVersion, Versions: []kv.Version{1, math.MaxUint64}}},
		{Kind: kv.OpDelete, Cond: kv.Condition{Kind: kv.IfNotVersion, Versions: make([]kv.Version, kv.MaxConditionVersions)}},
		{Kind: kv.OpGet},
		{Kind: kv.OpIncr, Number: math.MinInt64},
		{Kind: kv.OpIncrFloat, Record: kv.Record{Entry: kv.Entry{Value: []byte("-1.5e3")}}},
		{Kind: kv.OpAppend, Record: kv.Record{Entry: kv.Entry{Value: bytes.Repeat([]byte("x"), 300)}}},
		{Kind: kv.OpSetRange, Number: 1 << 20},
		{Kind: kv.OpExpire, Prior: true, Cond: kv.Condition{Kind: kv.IfLater}, Record: kv.Record{Entry: kv.Entry{Expires: 1 << 60}}},
	}
	for _, op := range ops {
		op.Key = key
	}
	return ops
}

// sums is what came of adding 1 to a number that was 1 less, and of a get before it.
func sums(version kv.Version, sum string) *kv.Decision {
	made := kv.Entry{Version: version, Value: []byte(sum)}
	return &kv.Decision{
		Ops: []*kv.Op{{Kind: kv.OpIncr, Number: 1}, {Kind: kv.OpGet}}, Version: version, Changed: true, Current: 8,
		Record:  kv.Record{Key: []byte("d"), Entry: made},
		Results: []kv.Result{{Existed: true, Found: true, Made: true, Entry: made}, {Err: kv.ErrNotFound}},
	}
}

// Operations that are to be decided come back as they were, and whatever cuts them short is an
// error.
func TestDecisionsComeBack(t *testing.T) {
	want := variety([]byte("key"))
	msg := AppendDecide(nil, 7, 1<<20, want)
	if most := DecideSizeMax(want); len(msg) > most {
		t.Errorf("%d bytes, which are said to be %d at most", len(msg), most)
	}
	it, rest := item(t, append(bytes.Clone(msg), "rest"...))
	if it.Kind != ItemDecide || it.Record.Version != 7 || string(it.Record.Key) != "key" || string(rest) != "rest" {
		t.Fatalf("got %+v and %q", it, rest)
	}
	var versions []kv.Version
	for _, op := range want {
		got := kv.Op{Record: kv.Record{Key: it.Record.Key}}
		var err error
		if it.Ops, versions, err = NextOp(it.Ops, &got, versions); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(&got, op) {
			t.Errorf("got %+v, want %+v", got, *op)
		}
	}
	if len(it.Ops) > 0 {
		t.Errorf("%d bytes are left", len(it.Ops))
	}
	for end := 1; end < len(msg); end++ {
		if _, _, err := NextItem(msg[:end]); !errors.Is(err, ErrMalformed) {
			t.Errorf("the first %d bytes of %d: %v", end, len(msg), err)
		}
	}
}

// What came of a decision comes back as it was. The record is sent where the other side does not
// know it, and once.
func TestOutcomesComeBack(t *testing.T) {
	key := []byte("key")
	put := &kv.Op{Kind: kv.OpPut, Prior: true, Record: kv.Record{Key: key, Entry: kv.Entry{Value: []byte("new")}}}
	add := &kv.Op{Kind: kv.OpIncr, Number: 1, Record: kv.Record{Key: key}}
	more := &kv.Op{Kind: kv.OpAppend, Record: kv.Record{Key: key, Entry: kv.Entry{Value: []byte("0")}}}
	get := &kv.Op{Kind: kv.OpGet, Record: kv.Record{Key: key}}
	never := &kv.Op{Kind: kv.OpPut, Cond: kv.Condition{Kind: kv.IfAbsent}, Record: kv.Record{Key: key}}
	live := kv.Entry{Version: 5, Value: []byte("41"), Meta: []byte("t/t"), Expires: 9000}
	for name, c := range map[string]struct {
		ops  []*kv.Op
		held kv.Entry
		sent int // how often a record is in the outcome
	}{
		"a sum":                 {[]*kv.Op{add}, live, 1},
		"a sum of nothing":      {[]*kv.Op{add}, kv.Entry{}, 1},
		"a put, and what was":   {[]*kv.Op{put}, live, 1},
		"a put of a new key":    {[]*kv.Op{put}, kv.Entry{}, 0},
		"a condition fails":     {[]*kv.Op{never}, live, 0},
		"a get and a sum":       {[]*kv.Op{get, add}, live, 2},
		"sums and what is made": {[]*kv.Op{add, get, add, more, get}, live, 5},
		"not a number":          {[]*kv.Op{put, add, get}, live, 3},
	} {
		t.Run(name, func(t *testing.T) {
			d := &kv.Decision{Ops: c.ops}
			d.Begin(7, 1<<20, 1<<20)
			d.Decide(&c.held, 10)
			msg := AppendResult(nil, &Result{Code: Decided, Decision: d})
			r, rest, err := NextResult(append(bytes.Clone(msg), "rest"...))
			if err != nil || r.Code != Decided || r.Changed != d.Changed || string(rest) != "rest" {
				t.Fatalf("got %+v, %q, %v", r, rest, err)
			}
			got := &kv.Decision{Ops: c.ops, Version: 7}
			if err := ReadDecided(r.Outcome, got); err != nil {
				t.Fatal(err)
			}
			if got.Current != d.Current || d.Changed && !d.Derived() && !reflect.DeepEqual(got.Record, d.Record) {
				t.Errorf("got %+v of %x, want %+v of %x", got.Record, got.Current, d.Record, d.Current)
			}
			for i := range d.Results {
				want := d.Results[i]
				if want.Made {
					want.Entry = d.Record.Entry
				}
				if g := got.Results[i]; !reflect.DeepEqual(g, want) {
					t.Errorf("result %d is %+v, want %+v", i, g, want)
				}
			}
			if n := bytes.Count(msg, key); n != c.sent {
				t.Errorf("it has %d records, want %d", n, c.sent)
			}
			for end := range msg {
				if _, _, err := NextResult(msg[:end]); err == nil {
					t.Errorf("the first %d bytes of %d: %v", end, len(msg), err)
				}
			}
		})
	}
}

// An outcome that does not fit what was asked is no outcome: another number of results, another
// version, a record where none is due.
func TestOutcomesFitTheirQuestion(t *testing.T) {
	outcome := func(d *kv.Decision) []byte {
		r, _, err := NextResult(AppendResult(nil, &Result{Code: Decided, Decision: d}))
		if err != nil {
			t.Fatal(err)
		}
		return r.Outcome
	}
	asked := sums(9, "7").Ops
	del := []*kv.Op{{Kind: kv.OpDelete}}
	for name, c := range map[string]struct {
		ops     []*kv.Op
		version kv.Version
		outcome []byte
	}{
		"fewer results":             {append(asked, asked...), 9, outcome(sums(9, "7"))},
		"more results":              {asked[:1], 9, outcome(sums(9, "7"))},
		"another version":           {asked, 8, outcome(sums(9, "7"))},
		"a record that nobody asks": {del, 9, outcome(sums(9, "7"))},
		"no record": {asked[:1], 9, outcome(&kv.Decision{Ops: del, Version: 9, Changed: true,
			Record: kv.Record{Key: []byte("d"), Entry: kv.Entry{Version: 9}}, Results: make([]kv.Result, 1)})},
	} {
		if err := ReadDecided(c.outcome, &kv.Decision{Ops: c.ops, Version: c.version}); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := ReadDecided(outcome(sums(9, "7")), &kv.Decision{Ops: asked, Version: 9}); err != nil {
		t.Errorf("what fits: %v", err)
	}
}
