package kv

import (
	"errors"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
)

const (
	decidedAt  = 1000 // when the tests decide
	decidedAs  = Version(9)
	decidedMax = 20 // bytes of a value
)

// update is an operation on the key of the tests.
func update(kind OpKind, value string, number int64, with ...func(*Op)) *Op {
	op := &Op{Kind: kind, Number: number, Record: Record{Key: []byte("k")}}
	if value != "" {
		op.Value = []byte(value)
	}
	for _, w := range with {
		w(op)
	}
	return op
}

func keeps(op *Op)     { op.Keep = true }
func prior(op *Op)     { op.Prior = true }
func typed(op *Op)     { op.Meta = []byte("new/meta") }
func get() *Op         { return update(OpGet, "", 0) }
func incr() *Op        { return update(OpIncr, "", 1) }
func put(v string) *Op { return update(OpPut, v, 0) }

func ofType(meta string) func(*Op)  { return func(op *Op) { op.Meta = Meta(meta) } }
func until(expires int64) func(*Op) { return func(op *Op) { op.Expires = expires } }

func onlyIf(kind ConditionKind, value string, versions ...Version) func(*Op) {
	return func(op *Op) { op.Cond = Condition{Kind: kind, Value: []byte(value), Versions: versions} }
}

// What is held when an operation comes.
func absent() *Entry  { return &Entry{} }
func deleted() *Entry { return &Entry{Version: 5, Tombstone: true} }
func expired() *Entry {
	return &Entry{Version: 5, Expires: 900, Value: []byte("7"), Meta: []byte("m/m")}
}
func lasting(v string) *Entry {
	return &Entry{Version: 5, Value: []byte(v), Meta: []byte("m/m")}
}
func expiring(v string) *Entry {
	e := lasting(v)
	e.Expires = 2000
	return e
}

// decide decides operations on what is held, whose memory others use afterwards.
func decide(held *Entry, ops ...*Op) *Decision {
	d := &Decision{Ops: ops}
	d.Begin(decidedAs, decidedMax, 1000)
	d.Decide(held, decidedAt)
	scribble(held)
	return d
}

func scribble(e *Entry) {
	for _, b := range [][]byte{e.Value, e.Meta} {
		for i := range b {
			b[i] = '#'
		}
	}
}

// stored is what comes of a decision, in short: value, metadata, expiry.
func stored(d *Decision) string {
	e := &d.Record.Entry
	switch {
	case !d.Changed:
		return "as it was"
	case e.Version != decidedAs:
		return "of another version"
	case e.Tombstone:
		return "deleted"
	}
	s := string(e.Value) + "|" + string(e.Meta)
	if e.Expires != 0 {
		s += "|" + string(rune('0'+e.Expires/1000))
	}
	return s
}

// Each operation makes of what is held what it says, and of an expired or deleted value what it
// makes of none. Metadata and expiry stay, but for what changes them. Nothing of it lies in the
// memory of what was held.
func TestWhatOperationsMake(t *testing.T) {
	big := strings.Repeat("b", decidedMax)
	for _, c := range []struct {
		op      *Op
		none    string // of a key without a value
		value   string // of the value 7, which expires at 2000
		errNone error
		err     error
		number  int64 // of the value, and
		numbers int64 // of none
	}{
		{op: put("v"), none: "v|", value: "v|"},
		{op: update(OpPut, "v", 0, typed, until(3000)), none: "v|new/meta|3", value: "v|new/meta|3"},
		{op: update(OpPut, "v", 0, keeps), none: "v|", value: "v||2"},
		{op: update(OpPut, "v", 0, keeps, until(3000)), none: "v||3", value: "v||2"},
		{op: update(OpDelete, "", 0), none: "deleted", value: "deleted"},
		{op: get(), none: "as it was", value: "as it was", errNone: ErrNotFound},
		{op: update(OpIncr, "", 5), none: "5|", value: "12|m/m|2"},
		{op: update(OpIncr, "", 0), none: "0|", value: "7|m/m|2"},
		{op: update(OpIncr, "", -8), none: "-8|", value: "-1|m/m|2"},
		{op: update(OpIncr, "", math.MaxInt64), none: "9223372036854775807|", value: "as it was", err: ErrOverflow},
		{op: update(OpIncrFloat, "0.5", 0), none: "0.5|", value: "7.5|m/m|2"},
		{op: update(OpIncrFloat, "x", 0), none: "as it was", value: "as it was", errNone: ErrNotFloat, err: ErrNotFloat},
		{op: update(OpIncrFloat, "inf", 0), none: "as it was", value: "as it was", errNone: ErrInfinite, err: ErrInfinite},
		{op: update(OpAppend, "ab", 0), none: "ab|", value: "7ab|m/m|2", number: 3, numbers: 2},
		{op: update(OpAppend, "", 0), none: "|", value: "as it was", number: 1},
		{op: update(OpAppend, big, 0), none: big + "|", value: "as it was", err: ErrValueTooLarge, numbers: decidedMax},
		{op: update(OpAppend, big+"b", 0), none: "as it was", value: "as it was", errNone: ErrValueTooLarge, err: ErrValueTooLarge},
		{op: update(OpSetRange, "ab", 0), none: "ab|", value: "ab|m/m|2", number: 2, numbers: 2},
		{op: update(OpSetRange, "ab", 2), none: "\x00\x00ab|", value: "7\x00ab|m/m|2", number: 4, numbers: 4},
		{op: update(OpSetRange, "", 30), none: "as it was", value: "as it was", number: 1},
		{op: update(OpSetRange, "ab", decidedMax-2), none: strings.Repeat("\x00", decidedMax-2) + "ab|",
			value: "7" + strings.Repeat("\x00", decidedMax-3) + "ab|m/m|2", number: decidedMax, numbers: decidedMax},
		{op: update(OpSetRange, "ab", decidedMax-1), none: "as it was", value: "as it was", errNone: ErrValueTooLarge, err: ErrValueTooLarge},
		{op: update(OpSetRange, "ab", -1), none: "as it was", value: "as it was", errNone: ErrValueTooLarge, err: ErrValueTooLarge},
		{op: update(OpSetRange, "a", math.MaxInt64), none: "as it was", value: "as it was", errNone: ErrValueTooLarge, err: ErrValueTooLarge},
		{op: update(OpExpire, "", 0, until(3000)), none: "as it was", value: "7|m/m|3", errNone: ErrNotFound},
		{op: update(OpExpire, "", 0), none: "as it was", value: "7|m/m", errNone: ErrNotFound},
	} {
		before := *c.op
		for i, held := range []*Entry{expiring("7"), absent(), deleted(), expired()} {
			want, err, number, current := c.none, c.errNone, c.numbers, Version(0)
			if i == 0 {
				want, err, number, current = c.value, c.err, c.number, 5
			}
			d := decide(held, c.op)
			r := &d.Results[0]
			if got := stored(d); got != want || !errors.Is(r.Err, err) || r.Number != number || r.Existed != (i == 0) || d.Current != current {
				t.Errorf("%+v of held %d: %q, %v, number %d, existed %v, current %x, want %q, %v, %d",
					*c.op, i, got, r.Err, r.Number, r.Existed, d.Current, want, err, number)
			}
			if !reflect.DeepEqual(*c.op, before) {
				t.Fatalf("the operation was changed: %+v, want %+v", *c.op, before)
			}
		}
	}
}

// A range is put over what is there, and what is behind it stays.
func TestRangeInTheMiddle(t *testing.T) {
	d := decide(lasting("abcdef"), update(OpSetRange, "XY", 1))
	if stored(d) != "aXYdef|m/m" || d.Results[0].Number != 6 {
		t.Errorf("it is %q, and %d long", stored(d), d.Results[0].Number)
	}
}

// A condition is about what was there before the write, which is done where it holds.
func TestConditionsOfUpdates(t *testing.T) {
	later, sooner := until(3000), until(1500)
	for _, c := range []struct {
		cond, expires             func(*Op)
		none, lasting, expiringAt bool // whether it holds of these
	}{
		{onlyIf(Always, ""), later, true, true, true},
		{onlyIf(IfAbsent, ""), later, true, false, false},
		{onlyIf(IfPresent, ""), later, false, true, true},
		{onlyIf(IfVersion, "", 4, 5), later, false, true, true},
		{onlyIf(IfVersion, "", 4), later, false, false, false},
		{onlyIf(IfNotVersion, "", 5), later, true, false, false},
		{onlyIf(IfEqual, "7"), later, false, true, true},
		{onlyIf(IfEqual, "8"), later, false, false, false},
		{onlyIf(IfEqual, ""), later, false, false, false},
		{onlyIf(IfLasting, ""), later, false, true, false},
		{onlyIf(IfExpiring, ""), later, false, false, true},
		{onlyIf(IfLater, ""), later, false, false, true},
		{onlyIf(IfLater, ""), sooner, false, false, false},
		{onlyIf(IfLater, ""), until(2000), false, false, false},
		{onlyIf(IfLater, ""), until(0), false, false, true},
		{onlyIf(IfSooner, ""), sooner, false, true, true},
		{onlyIf(IfSooner, ""), later, false, true, false},
		{onlyIf(IfSooner, ""), until(2000), false, true, false},
		{onlyIf(IfSooner, ""), until(0), false, false, false},
		{onlyIf(IfExpiresSooner, ""), sooner, false, false, true},
		{onlyIf(IfExpiresSooner, ""), later, false, false, false},
		{onlyIf(IfExpiresSooner, ""), until(0), false, false, false},
	} {
		for i, held := range []*Entry{absent(), deleted(), expired(), lasting("7"), expiring("7")} {
			for _, kind := range []OpKind{OpPut, OpDelete, OpIncr, OpIncrFloat, OpAppend, OpSetRange, OpExpire} {
				op := update(kind, "7", 0, c.cond, c.expires)
				want, holds, version := ErrConditionFailed, []bool{c.none, c.none, c.none, c.lasting, c.expiringAt}[i], Version(0)
				switch {
				case kind == OpExpire && i < 3:
					want, holds = ErrNotFound, false
				case holds:
					want = nil
				case i >= 3:
					version = 5
				}
				again := *held
				again.Value, again.Meta = slices.Clone(held.Value), slices.Clone(held.Meta)
				d := decide(&again, op)
				if r := &d.Results[0]; r.Err != want || d.Changed != holds || !holds && r.Entry.Version != version {
					t.Errorf("operation %d if %d, held %d: %v of %x, changed %v, want %v of %x", kind, op.Cond.Kind, i, r.Err, r.Entry.Version, d.Changed, want, version)
				}
			}
		}
	}
}

// found is what an operation finds, in short.
func found(r *Result) string {
	switch {
	case r.Err != nil:
		return r.Err.Error()
	case !r.Found:
		return "-"
	}
	return string(r.Entry.Value)
}

// Operations of a decision take effect in their order, and each finds what those before it have
// made. One that fails leaves what is there to the next.
func TestRunsTakeEffectInOrder(t *testing.T) {
	not, failed := ErrNotInteger.Error(), ErrConditionFailed.Error()
	for name, c := range map[string]struct {
		held *Entry
		ops  []*Op
		want []string
		made string
	}{
		"sums":             {lasting("7"), []*Op{incr(), get(), incr(), get()}, []string{"8", "8", "9", "9"}, "9|m/m"},
		"a lock":           {absent(), []*Op{update(OpPut, "me", 0, onlyIf(IfAbsent, "")), get()}, []string{"-", "me"}, "me|"},
		"a lock of others": {lasting("you"), []*Op{update(OpPut, "me", 0, onlyIf(IfAbsent, "")), get()}, []string{failed, "you"}, "as it was"},
		"one fails":        {lasting("x"), []*Op{incr(), update(OpAppend, "y", 0), incr(), get()}, []string{not, "-", not, "xy"}, "xy|m/m"},
		"put and add":      {lasting("x"), []*Op{put("41"), incr(), get()}, []string{"-", "42", "42"}, "42|"},
		"delete and add":   {expiring("7"), []*Op{update(OpDelete, "", 0), get(), incr()}, []string{"-", ErrNotFound.Error(), "1"}, "1|"},
		"add and delete":   {lasting("7"), []*Op{incr(), update(OpDelete, "", 0)}, []string{"8", "-"}, "deleted"},
		"take": {expiring("7"), []*Op{update(OpDelete, "", 0, prior), update(OpPut, "n", 0, prior, keeps), get()},
			[]string{"7", "-", "n"}, "n|"},
		"swap":            {expiring("7"), []*Op{update(OpPut, "8", 0, prior, keeps), update(OpPut, "9", 0, prior)}, []string{"7", "8"}, "9|"},
		"expire at once":  {lasting("7"), []*Op{update(OpExpire, "", 0, until(decidedAt)), get(), incr()}, []string{"-", ErrNotFound.Error(), "1"}, "1|"},
		"append to a put": {absent(), []*Op{put("ab"), update(OpAppend, "cd", 0), update(OpSetRange, "X", 1), get()}, []string{"-", "-", "-", "aXcd"}, "aXcd|"},
		"floats":          {lasting("1"), []*Op{update(OpIncrFloat, ".5", 0), update(OpIncrFloat, ".5", 0), incr(), get()}, []string{"1.5", "2", "3", "3"}, "3|m/m"},
		"equal": {lasting("a"), []*Op{update(OpPut, "b", 0, onlyIf(IfEqual, "a")), update(OpPut, "c", 0, onlyIf(IfEqual, "a")), get()},
			[]string{"-", failed, "b"}, "b|"},
	} {
		t.Run(name, func(t *testing.T) {
			d := decide(c.held, c.ops...)
			var got []string
			for i := range d.Results {
				got = append(got, found(&d.Results[i]))
			}
			if !slices.Equal(got, c.want) || stored(d) != c.made {
				t.Errorf("found %q, made %q, want %q and %q", got, stored(d), c.want, c.made)
			}
			made := slices.ContainsFunc(d.Results, func(r Result) bool {
				return r.Made && string(r.Entry.Value) != string(d.Record.Value)
			})
			if made {
				t.Errorf("%+v: it is not what is stored", d.Results)
			}
		})
	}
}

// What operations find has the metadata and the expiry of the value, and its version: that of the
// decision once one of them has changed it.
func TestFoundIsWhole(t *testing.T) {
	d := decide(expiring("7"), get(), update(OpPut, "8", 0, prior, typed), get())
	want := []Entry{
		{Version: 5, Expires: 2000, Value: []byte("7"), Meta: []byte("m/m")},
		{Version: 5, Expires: 2000, Value: []byte("7"), Meta: []byte("m/m")},
		{Version: decidedAs, Value: []byte("8"), Meta: []byte("new/meta")},
	}
	for i := range want {
		if r := &d.Results[i]; !r.Found || !reflect.DeepEqual(r.Entry, want[i]) {
			t.Errorf("operation %d finds %+v, want %+v", i, r.Entry, want[i])
		}
	}
}

// What operations find is bounded together, and the first value is found however large it is. A
// write that is to find what there is no room for is not done.
func TestFoundIsBounded(t *testing.T) {
	d := &Decision{Ops: []*Op{get(), get(), update(OpPut, "new", 0, prior), update(OpAppend, "x", 0)}}
	d.Begin(decidedAs, decidedMax, 3)
	d.Decide(&Entry{Version: 5, Value: []byte("abcdefgh")}, decidedAt)
	for i, want := range []error{nil, ErrAnswerFull, ErrAnswerFull, nil} {
		if d.Results[i].Err != want {
			t.Errorf("operation %d: %v, want %v", i, d.Results[i].Err, want)
		}
	}
	if string(d.Record.Value) != "abcdefghx" {
		t.Errorf("it is %q", d.Record.Value)
	}
}

// Where the decision's own version is held, it was carried out before. It takes effect once. What
// it has made is known then, and what else there was is not.
func TestRepeatedDecisionTakesEffectOnce(t *testing.T) {
	held := func() *Entry {
		return &Entry{Version: decidedAs, Expires: 2000, Value: []byte("8"), Meta: []byte("m/m")}
	}
	unknown := Result{Err: ErrUnknownOutcome}
	sum := Result{Found: true, Made: true, Entry: *held()}
	for name, c := range map[string]struct {
		ops  []*Op
		want []Result
	}{
		"a sum":           {[]*Op{incr()}, []Result{sum}},
		"another sum":     {[]*Op{update(OpIncrFloat, "1", 0)}, []Result{sum}},
		"appended":        {[]*Op{update(OpAppend, "8", 0)}, []Result{{Number: 1}}},
		"a range":         {[]*Op{update(OpSetRange, "8", 0)}, []Result{{Number: 1}}},
		"an expiry":       {[]*Op{update(OpExpire, "", 0, until(2000))}, []Result{{}}},
		"a put":           {[]*Op{update(OpPut, "8", 0, onlyIf(IfAbsent, ""), ofType("m/m"))}, []Result{{}}},
		"a put that asks": {[]*Op{update(OpPut, "8", 0, prior, ofType("m/m"))}, []Result{unknown}},
		"a run":           {[]*Op{incr(), get()}, []Result{unknown, unknown}},
	} {
		e := held()
		d := &Decision{Ops: c.ops}
		d.Begin(decidedAs, decidedMax, 1000)
		d.Repeat(e)
		scribble(e)
		if !d.Changed || !reflect.DeepEqual(d.Record.Entry, *held()) {
			t.Errorf("%s: it is %+v, changed %v", name, d.Record.Entry, d.Changed)
		}
		if !reflect.DeepEqual(d.Results, c.want) {
			t.Errorf("%s: got %+v, want %+v", name, d.Results, c.want)
		}
	}
}

// Who has sent a put or delete knows what is stored of it, but for what depends on what was there.
func TestDerivedRecords(t *testing.T) {
	for i, c := range []struct {
		ops  []*Op
		want bool
	}{
		{[]*Op{update(OpPut, "v", 0, onlyIf(IfAbsent, ""))}, true},
		{[]*Op{update(OpPut, "v", 0, prior)}, true},
		{[]*Op{update(OpDelete, "", 0, prior)}, true},
		{[]*Op{update(OpPut, "v", 0, keeps)}, false},
		{[]*Op{incr()}, false},
		{[]*Op{update(OpExpire, "", 0)}, false},
		{[]*Op{put("v"), put("w")}, false},
	} {
		if got := (&Decision{Ops: c.ops}).Derived(); got != c.want {
			t.Errorf("case %d: %v", i, got)
		}
	}
}

// A decision is used again: nothing of the one before is left but memory, and not much of that.
func TestDecisionsAreUsedAgain(t *testing.T) {
	d := decide(lasting("abc"), get(), update(OpAppend, "d", 0))
	d.Release()
	if len(d.Ops)+len(d.Results) > 0 || cap(d.Results) == 0 || d.Results[:1][0].Found || d.Ops[:1][0] != nil || d.Changed || d.Record.Key != nil {
		t.Fatalf("released, it is %+v", d)
	}
	for range 2 { // decided twice: the store may look again
		d.Ops = append(d.Ops[:0], incr(), get())
		d.Begin(decidedAs, decidedMax, 1000)
		d.Decide(lasting("zzz"), decidedAt)
		d.Decide(expiring("1"), decidedAt)
		if len(d.Results) != 2 || found(&d.Results[1]) != "2" || stored(d) != "2|m/m|2" {
			t.Errorf("used again, it has %+v of %q", d.Results, stored(d))
		}
		d.Release()
	}
	d.Ops = append(d.Ops, get(), update(OpAppend, "x", 0))
	d.Begin(decidedAs, keepDecisionBytes*2, keepDecisionBytes)
	d.Decide(lasting(strings.Repeat("l", keepDecisionBytes)), decidedAt)
	if d.Release(); d.value != nil || d.found != nil {
		t.Errorf("it keeps %d and %d bytes", cap(d.value), cap(d.found))
	}
}
