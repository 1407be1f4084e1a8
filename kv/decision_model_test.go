package kv

import (
	"math/big"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// plain is a key as one would write it down, and what operations do to it.
type plain struct {
	is      bool // there is a value
	value   string
	meta    string
	expires int64
	version Version
	changed bool
	stone   bool // it was deleted
}

// live makes what is expired nothing.
func (p *plain) live(now int64) {
	if p.is && p.expires != 0 && p.expires <= now {
		*p = plain{version: p.version, changed: p.changed}
	}
}

// answer is what an operation is told.
type answer struct {
	err     error
	existed bool
	found   string // "-" for nothing
	number  int64
}

func (p *plain) do(op *Op, now int64) (a answer) {
	p.live(now)
	a.existed, a.found = p.is, "-"
	if op.Kind == OpGet {
		if !p.is {
			a.err = ErrNotFound
		} else {
			a.found = p.value
		}
		return a
	}
	if op.Prior && p.is {
		a.found = p.value
	}
	switch {
	case op.Kind == OpExpire && !p.is:
		a.err = ErrNotFound
	case !p.holds(&op.Cond, op.Expires):
		a.err = ErrConditionFailed
	default:
		p.change(op, &a)
	}
	return a
}

func (p *plain) holds(c *Condition, expires int64) bool {
	const never = int64(1) << 62
	last := func(e int64) int64 {
		if e == 0 {
			return never
		}
		return e
	}
	switch c.Kind {
	case Always:
		return true
	case IfAbsent:
		return !p.is
	case IfNotVersion:
		return !p.is || !slices.Contains(c.Versions, p.version)
	case IfPresent:
		return p.is
	case IfVersion:
		return p.is && slices.Contains(c.Versions, p.version)
	case IfEqual:
		return p.is && p.value == string(c.Value)
	case IfLasting:
		return p.is && p.expires == 0
	case IfExpiring:
		return p.is && p.expires != 0
	case IfLater:
		return p.is && last(expires) > last(p.expires)
	case IfSooner:
		return p.is && last(expires) < last(p.expires)
	case IfExpiresSooner:
		return p.is && last(expires) < last(p.expires) && p.expires != 0
	}
	panic("a condition that the model does not know")
}

func (p *plain) change(op *Op, a *answer) {
	old := *p
	with := func(value string) {
		*p = plain{is: true, value: value, meta: old.meta, expires: old.expires, version: decidedAs, changed: true}
	}
	switch op.Kind {
	case OpPut:
		with(string(op.Value))
		if p.meta = string(op.Meta); !op.Keep || !old.is {
			p.expires = op.Expires
		}
	case OpDelete:
		*p = plain{version: decidedAs, changed: true, stone: true}
	case OpExpire:
		with(p.value)
		p.expires = op.Expires
	case OpIncr:
		n := new(big.Int)
		if _, ok := n.SetString(p.value, 10); p.is && (!ok || n.String() != p.value || !n.IsInt64()) {
			a.err = ErrNotInteger
			return
		}
		if n.Add(n, big.NewInt(op.Number)); !n.IsInt64() {
			a.err = ErrOverflow
			return
		}
		with(n.String())
		a.found = p.value
	case OpAppend:
		p.splice(len(p.value), op, a, with)
		if !p.is {
			with("")
		}
	case OpSetRange:
		p.splice(int(op.Number), op, a, with)
	}
}

func (p *plain) splice(at int, op *Op, a *answer, with func(string)) {
	end := at + len(op.Value)
	switch {
	case len(op.Value) == 0:
	case at < 0 || end > decidedMax:
		a.err = ErrValueTooLarge
		return
	default:
		text := p.value + strings.Repeat("\x00", max(0, end-len(p.value)))
		with(text[:at] + string(op.Value) + text[end:])
	}
	a.number = int64(len(p.value))
}

func drawOp(t *rapid.T) *Op {
	value := rapid.SampledFrom([]string{"", "a", "7", "-3", "9223372036854775807", "0123456789"})
	op := update(OpKind(rapid.IntRange(0, int(opKinds)-1).Draw(t, "kind")), value.Draw(t, "value"), rapid.Int64Range(-2, decidedMax+1).Draw(t, "number"))
	if op.Kind == OpIncrFloat { // TestIncrFloat has these
		op.Kind = OpGet
	}
	op.Keep, op.Prior = rapid.Bool().Draw(t, "keep"), rapid.Bool().Draw(t, "prior")
	op.Expires = rapid.SampledFrom([]int64{0, 500, decidedAt, 1500, 2000, 3000}).Draw(t, "expires")
	op.Meta = rapid.SampledFrom([][]byte{nil, []byte("x/y")}).Draw(t, "meta")
	op.Cond = Condition{
		Kind:     ConditionKind(rapid.IntRange(0, int(conditionKinds)-1).Draw(t, "cond")) * ConditionKind(rapid.IntRange(0, 1).Draw(t, "conditional")),
		Versions: []Version{4, rapid.SampledFrom([]Version{5, decidedAs}).Draw(t, "version")},
		Value:    []byte(value.Draw(t, "equal")),
	}
	return op
}

// Whatever operations come together, each is told and the key is left what a plain model says, and
// a decision whose memory is used again says the same.
func TestDecisionsAreThoseOfAModel(t *testing.T) {
	var d Decision
	rapid.Check(t, func(t *rapid.T) {
		held := rapid.SampledFrom([]func() *Entry{
			absent, deleted, expired, func() *Entry { return lasting("7") }, func() *Entry { return expiring("abc") },
			func() *Entry { return expiring("9223372036854775806") }, func() *Entry { return &Entry{Version: 5} },
		}).Draw(t, "held")()
		p := plain{version: held.Version}
		if !held.Tombstone && held.Version != 0 {
			p = plain{is: true, value: string(held.Value), meta: string(held.Meta), expires: held.Expires, version: held.Version}
		}
		d.Ops = d.Ops[:0] // a run before may have failed
		var want []answer
		for range rapid.IntRange(1, 6).Draw(t, "operations") {
			d.Ops = append(d.Ops, drawOp(t))
			want = append(want, p.do(d.Ops[len(d.Ops)-1], decidedAt))
		}
		d.Begin(decidedAs, decidedMax, 1<<20)
		d.Decide(held, decidedAt)
		scribble(held)
		for i := range want {
			r := &d.Results[i]
			got := answer{r.Err, r.Existed, "-", r.Number}
			if r.Found {
				got.found = string(r.Entry.Value)
			}
			if got != want[i] {
				t.Fatalf("operation %d, %+v: %+v, want %+v", i, d.Ops[i], got, want[i])
			}
			if r.Made && !(d.Changed && string(d.Record.Value) == got.found) {
				t.Fatalf("operation %d makes %q, and %q is stored", i, got.found, d.Record.Value)
			}
		}
		made := plain{version: held.Version}
		if e := &d.Record.Entry; d.Changed {
			made = plain{is: !e.Tombstone, value: string(e.Value), meta: string(e.Meta), expires: e.Expires, version: e.Version, changed: true, stone: e.Tombstone}
		}
		made.live(decidedAt)
		p.live(decidedAt)
		if !d.Changed {
			made = plain{is: p.is, value: p.value, meta: p.meta, expires: p.expires, version: p.version}
		}
		if made != p {
			t.Fatalf("%+v is stored, want %+v", made, p)
		}
		d.Release()
	})
}
