package replicate

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"httpdhs/kv"
)

// A large value is copied for a get only when the call has memory for it, whoever holds it, at any
// level, and in a decision. Small ones are copied without asking.
func TestValuesAreHeldBeforeTheyAreCopied(t *testing.T) {
	c := newCluster(t, 3, 2)
	n := c.nodes[0]
	large := strings.Repeat("v", kv.HeldBytes+1)
	for _, tc := range []struct {
		name, key string
		read      kv.Level
		together  bool
	}{
		{"here", c.keyOwnedBy(0, 1), kv.LevelOne, false},
		{"there", c.keyOwnedBy(1, 2), kv.LevelOne, false},
		{"quorum with this node", c.keyOwnedBy(0, 1), kv.LevelAll, false},
		{"quorum of others", c.keyOwnedBy(1, 2), kv.LevelAll, false},
		{"decided here", c.keyOwnedBy(0, 1), kv.LevelOne, true},
		{"decided there", c.keyOwnedBy(1, 2), kv.LevelOne, true},
	} {
		small := large[1:]
		if tc.together {
			small = small[:len(small)/2] // it is found twice
		}
		for _, value := range []string{large, small} {
			n.mustPut(t, tc.key, value, kv.LevelAll)
			for _, there := range []bool{true, false} {
				var asked atomic.Int64
				call := kv.Call{
					Ops: []kv.Op{op(kv.OpGet, tc.key, "")}, Write: kv.LevelAll, Read: tc.read, Together: tc.together,
					Deadline: time.Now().Add(patience),
					Hold:     func(n kv.Copies) bool { asked.Add(int64(n.Sum())); return there },
				}
				if tc.together {
					call.Ops = append(call.Ops, op(kv.OpGet, tc.key, ""))
				}
				n.Do(&call)
				got := call.Ops[0]
				switch isLarge := len(value) > kv.HeldBytes; {
				case isLarge && !there:
					if !errors.Is(got.Err, kv.ErrAnswersHeld) || len(got.Value) > 0 || len(call.Buf) > 0 {
						t.Errorf("%s: without memory: %v, %d bytes, %d in the buffer", tc.name, got.Err, len(got.Value), len(call.Buf))
					}
				case got.Err != nil || string(got.Value) != value:
					t.Errorf("%s: %v, %d bytes, want %d", tc.name, got.Err, len(got.Value), len(value))
				case isLarge != (asked.Load() >= int64(len(value))):
					t.Errorf("%s: a value of %d bytes, and asked for %d", tc.name, len(value), asked.Load())
				}
			}
		}
	}
}
