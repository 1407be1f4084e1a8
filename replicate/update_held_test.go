package replicate

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"httpdhs/kv"
)

// A value that cannot become longer has no more memory asked for than it needs, and no memory is
// asked for twice.
func TestMemoryThatIsRefusedIsNotAskedForAgain(t *testing.T) {
	c := newCluster(t, 3, 2)
	n := c.nodes[0]
	longest := strings.Repeat("v", n.replica.limits.MaxValueBytes)
	for name, key := range map[string]string{"here": c.keyOwnedBy(0, 1), "there": c.keyOwnedBy(1, 2)} {
		n.mustPut(t, key, longest, kv.LevelAll)
		expire := op(kv.OpExpire, key, "")
		expire.Expires = time.Now().Add(time.Hour).UnixMilli()
		var asked []kv.Copies
		call := kv.Call{
			Ops: []kv.Op{expire}, Write: kv.LevelAll, Deadline: time.Now().Add(patience),
			Hold: func(n kv.Copies) bool { asked = append(asked, n); return false },
		}
		n.Do(&call)
		if err := call.Ops[0].Err; !errors.Is(err, kv.ErrUndecided) || len(asked) != 1 || asked[0].Sum() != len(longest) {
			t.Errorf("%s: %v, it has asked for %v", name, err, asked)
		}
	}
}

// What changes or replaces a large value copies it only when the call has memory for that, whoever
// decides. Otherwise nothing is done, at any owner. A small one is copied without asking.
func TestUpdatesAreHeldBeforeTheyAreMade(t *testing.T) {
	c := newCluster(t, 3, 2)
	n := c.nodes[0]
	large := strings.Repeat("v", 10*kv.HeldBytes)
	for _, place := range []struct{ name, key, other string }{
		{"here", c.keyOwnedBy(0, 1), ""},
		{"there", c.keyOwnedBy(1, 2), ""},
		{"with others, here", c.keyOwnedBy(0, 1), c.keyOwnedBy(1, 2)},
		{"with others, there", c.keyOwnedBy(1, 2), c.keyOwnedBy(0, 1)},
	} {
		for _, tc := range []struct {
			name  string
			op    kv.Op
			after func(before string) string
		}{
			{"append", kv.Op{Kind: kv.OpAppend, Record: kv.Record{Entry: kv.Entry{Value: []byte("a")}}}, func(v string) string { return v + "a" }},
			{"range", kv.Op{Kind: kv.OpSetRange, Number: 0, Record: kv.Record{Entry: kv.Entry{Value: []byte("r")}}}, func(v string) string { return "r" + v[1:] }},
			{"expiry", kv.Op{Kind: kv.OpExpire, Record: kv.Record{Entry: kv.Entry{Expires: time.Now().Add(time.Hour).UnixMilli()}}}, func(v string) string { return v }},
			{"put that asks", kv.Op{Kind: kv.OpPut, Prior: true, Record: kv.Record{Entry: kv.Entry{Value: []byte("p")}}}, func(string) string { return "p" }},
		} {
			for _, value := range []string{large, large[:100]} {
				before := n.mustPut(t, place.key, value, kv.LevelAll)
				for _, there := range []bool{false, true} {
					var asked atomic.Int64
					o := tc.op
					o.Key, o.Hash = []byte(place.key), kv.Hash([]byte(place.key))
					call := kv.Call{
						Ops: []kv.Op{o}, Write: kv.LevelAll, Deadline: time.Now().Add(patience),
						Hold: func(n kv.Copies) bool { asked.Add(int64(n.Sum())); return there },
					}
					if place.other != "" {
						call.Ops = append(call.Ops, op(kv.OpPut, place.other, "other"))
					}
					n.Do(&call)
					got, want := call.Ops[0], tc.after(value)
					name, isLarge := place.name+": "+tc.name, len(value) > kv.HeldBytes
					switch {
					case isLarge && !there:
						if want = value; !errors.Is(got.Err, kv.ErrUndecided) || got.OutcomeUnknown(call.Write) {
							t.Errorf("%s without memory: %v", name, got.Err)
						}
					case got.Err != nil:
						t.Errorf("%s: %v", name, got.Err)
					case isLarge && (asked.Load() < int64(len(value)) || asked.Load() > 3*int64(len(value))):
						t.Errorf("%s: of a value of %d bytes it has asked for %d", name, len(value), asked.Load())
					case !isLarge && asked.Load() > 0:
						t.Errorf("%s: of a value of %d bytes it has asked for %d", name, len(value), asked.Load())
					case tc.op.Prior && string(got.Value) != value:
						t.Errorf("%s: it found %d bytes, want %d", name, len(got.Value), len(value))
					}
					for i, n := range c.nodes {
						e := n.held(place.key)
						if e == nil || !e.Exists() {
							continue
						}
						if string(e.Value) != want || isLarge && !there && e.Version != before.Version {
							t.Errorf("%s, asked %v: node %d has %d bytes, want %d", name, there, i, len(e.Value), len(want))
						}
					}
					if isLarge && there || !isLarge {
						break // it has changed
					}
				}
			}
		}
	}
}

// A pipeline of values that are small by themselves is counted too, in pieces, however many there
// are.
func TestManySmallValuesAreHeld(t *testing.T) {
	c := newCluster(t, 3, 2)
	n := c.nodes[0]
	here, there := c.keyOwnedBy(0, 1), c.keyOwnedBy(1, 2)
	value := strings.Repeat("v", kv.HeldBytes/4)
	const keys = 64
	for _, kind := range []kv.OpKind{kv.OpGet, kv.OpAppend} {
		for _, memory := range []int64{0, 1 << 30} {
			var asked, times atomic.Int64
			call := kv.Call{
				Write: kv.LevelAll, Deadline: time.Now().Add(patience),
				Hold: func(n kv.Copies) bool {
					times.Add(1)
					return asked.Add(int64(n.Sum())) <= memory
				},
			}
			for i := range keys {
				for _, key := range []string{here, there} {
					key := key + strings.Repeat("x", i)
					n.mustPut(t, key, value, kv.LevelAll)
					call.Ops = append(call.Ops, op(kind, key, ""))
					if kind == kv.OpAppend {
						call.Ops[len(call.Ops)-1].Value = []byte("a")
					}
				}
			}
			n.Do(&call)
			done := 0
			for i := range call.Ops {
				switch err := call.Ops[i].Err; {
				case err == nil:
					done++
				case !errors.Is(err, kv.ErrAnswersHeld):
					t.Fatal(err)
				}
			}
			if all := len(call.Ops); memory == 0 && done > 10 || memory > 0 && done != all {
				t.Errorf("kind %d with memory for %d bytes: %d of %d are done", kind, memory, done, all)
			}
			if sum := int64(2 * keys * len(value)); memory > 0 && asked.Load() < sum-2*kv.HeldBytes {
				t.Errorf("kind %d: it has asked for %d bytes, and copies %d", kind, asked.Load(), sum)
			}
		}
	}
}
