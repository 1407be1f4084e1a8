//go:build !race

package replicate

import (
	"testing"
	"time"

	"httpdhs/kv"
)

// A put and a get allocate nothing, at this node or through a peer, where the
// test brings a transport that answers by itself.
func TestDoDoesNotAllocate(t *testing.T) {
	c := newCluster(t, clusterOptions{nodes: 2, replicas: 1})
	n := c.nodes[0]
	own, other := c.keyOwnedBy(0, 0), c.keyOwnedBy(0, 1)
	n.mustPut(t, own, "value", kv.LevelAll)
	n.mustPut(t, other, "value", kv.LevelAll)
	p := n.peer(1)
	p.mu.Lock()
	p.transport = &shortWire{peer: c.nodes[1].Coordinator}
	p.mu.Unlock()

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

// shortWire answers in the caller's goroutine.
type shortWire struct{ peer *Coordinator }

func (w *shortWire) Abort() {}
func (w *shortWire) RoundTrip(dst, msg []byte, _ time.Time) ([]byte, error) {
	return w.peer.Exchange(dst, msg)
}
