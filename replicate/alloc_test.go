//go:build !race

package replicate

import (
	"testing"
	"time"

	"httpdhs/kv"
	"httpdhs/wire"
)

// A put and a get allocate nothing, at this node or through a peer, where the
// test brings a transport that answers by itself.
func TestDoDoesNotAllocate(t *testing.T) {
	c := newCluster(t, 2, 1)
	n := c.nodes[0]
	own, other := c.keyOwnedBy(0), c.keyOwnedBy(1)
	n.mustPut(t, own, "value", kv.LevelAll)
	n.mustPut(t, other, "value", kv.LevelAll)
	n.shortCut(1)

	call := kv.Call{}
	for _, tc := range []struct {
		name string
		op   kv.Op
		most float64
	}{
		{"put here", op(kv.OpPut, own, "value"), 0},
		{"get here", op(kv.OpGet, own, ""), 0},
		{"put there", op(kv.OpPut, other, "value"), 0},
		{"get there", op(kv.OpGet, other, ""), 0},
	} {
		got := testing.AllocsPerRun(2000, func() {
			call.Ops = append(call.Ops[:0], tc.op)
			call.Deadline = time.Now().Add(patience)
			n.Do(&call)
			if call.Ops[0].Err != nil {
				t.Fatal(call.Ops[0].Err)
			}
		})
		if got > tc.most {
			t.Errorf("%s: %v allocations, at most %v", tc.name, got, tc.most)
		}
	}
}

// A call of a hundred operations allocates nothing, whoever owns their keys.
func TestDoOfManyDoesNotAllocate(t *testing.T) {
	c := newCluster(t, 2, 2)
	n := c.nodes[0]
	n.shortCut(1)
	ops := benchOps(100, kv.OpPut)
	for i := range ops {
		if i%2 == 1 {
			ops[i] = op(kv.OpGet, string(ops[i-1].Key), "")
		}
	}
	call := kv.Call{}
	got := leastAllocs(func() {
		call.Ops = append(call.Ops[:0], ops...)
		call.Deadline = time.Now().Add(patience)
		n.Do(&call)
		for i := range call.Ops {
			if call.Ops[i].Err != nil {
				t.Fatal(call.Ops[i].Err)
			}
		}
	})
	if got != 0 {
		t.Errorf("%v allocations for %d operations", got, len(ops))
	}
}

// A batch of a hundred records allocates nothing where it is received.
func TestServeBatchDoesNotAllocate(t *testing.T) {
	c := newCluster(t, 2, 2)
	ops := benchOps(100, kv.OpPut)
	var msg, answer []byte
	got := leastAllocs(func() {
		msg = benchBatch(msg[:0], ops, c.nodes[0].clock)
		var err error
		if answer, err = c.nodes[1].Exchange(answer[:0], msg); err != nil || len(answer) != wire.BatchHead+len(ops) {
			t.Fatalf("%q, %v", answer, err)
		}
	})
	if got != 0 {
		t.Errorf("%v allocations for %d records", got, len(ops))
	}
}

// leastAllocs is how often f allocates, for itself: probes and whatever else runs meanwhile are
// counted too, but not every time.
func leastAllocs(f func()) float64 {
	least := testing.AllocsPerRun(100, f)
	for range 9 {
		least = min(least, testing.AllocsPerRun(100, f))
	}
	return least
}
