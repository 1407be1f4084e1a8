package wire

import (
	"bytes"
	"reflect"
	"testing"

	"httpdhs/kv"
)

// Whatever operations are decided on whatever is held, what came of them is read as it was. So is
// what a decision that was repeated knows.
func FuzzDecided(f *testing.F) {
	ops := func(ops ...*kv.Op) []byte {
		var msg []byte
		for _, op := range ops {
			msg = appendOp(msg, op)
		}
		return msg
	}
	f.Add(ops(variety(nil)...), []byte("41"), []byte("t/t"), int64(9000), false)
	f.Add(ops(variety(nil)...), []byte(nil), []byte(nil), int64(0), true)
	f.Add(ops(sums(9, "7").Ops...), []byte("6"), []byte(nil), int64(0), false)
	f.Add(ops(&kv.Op{Kind: kv.OpDelete, Prior: true}), []byte("was"), []byte("a"), int64(50), false)
	f.Add(ops(&kv.Op{Kind: kv.OpIncr, Number: -1}), []byte("-7"), []byte("a"), int64(5), true)
	f.Fuzz(func(t *testing.T, msg, value, meta []byte, expires int64, repeat bool) {
		d := new(kv.Decision)
		key := []byte("key")
		for len(msg) > 0 && len(d.Ops) < 50 {
			op, err := new(kv.Op), error(nil)
			if msg, _, err = NextOp(msg, op, nil); err != nil {
				break
			}
			op.Key = key
			d.Ops = append(d.Ops, op)
		}
		if len(d.Ops) == 0 || len(meta) > kv.DefaultLimits().MaxValueBytes {
			return
		}
		held := kv.Entry{Version: 5, Value: bytes.Clone(value), Meta: bytes.Clone(meta), Expires: max(0, expires)}
		if len(meta) > 255 {
			held.Meta = nil
		}
		d.Begin(9, 1<<10, 1<<12)
		if repeat {
			held.Version = 9
			d.Repeat(&held)
		} else {
			d.Decide(&held, 10)
		}
		r, rest, err := NextResult(AppendResult(nil, &Result{Code: Decided, Decision: d}))
		if err != nil || len(rest) > 0 || r.Changed != d.Changed {
			t.Fatalf("%v, %d bytes are left, changed %v", err, len(rest), r.Changed)
		}
		got := &kv.Decision{Ops: d.Ops, Version: 9}
		if err := ReadDecided(r.Outcome, got); err != nil {
			t.Fatalf("%v of %+v", err, d.Results)
		}
		plain := func(e kv.Entry) kv.Entry { // no bytes are no bytes
			e.Value, e.Meta = append([]byte{}, e.Value...), append([]byte{}, e.Meta...)
			return e
		}
		if got.Current != d.Current || d.Changed && !d.Derived() && !reflect.DeepEqual(plain(got.Record.Entry), plain(d.Record.Entry)) {
			t.Errorf("got %+v of %x, want %+v of %x", got.Record, got.Current, d.Record, d.Current)
		}
		for i := range d.Results {
			want, have := d.Results[i], got.Results[i]
			if want.Made {
				want.Entry = d.Record.Entry
			}
			if want.Entry, have.Entry = plain(want.Entry), plain(have.Entry); !reflect.DeepEqual(have, want) {
				t.Errorf("result %d is %+v, want %+v", i, have, want)
			}
		}
	})
}
