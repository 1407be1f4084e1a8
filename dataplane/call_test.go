package dataplane

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"httpdhs/internal/memnet"
	"httpdhs/kv"
	"httpdhs/peer"
)

// The operations of a call on the same key take effect in their order, for any
// owner and none, with values from empty to many times what an answer holds.
func TestOperationsOfACallKeepTheirOrder(t *testing.T) { bubble(t, testCallOrder) }

func testCallOrder(t *testing.T) {
	c := newCluster(t, clusterOptions{nodes: 3, replicas: 2})
	for from, n := range c.nodes {
		for _, level := range []kv.Level{kv.LevelOne, kv.LevelAll} {
			for _, size := range []int{0, 10, peer.BatchBytes} {
				var ops []kv.Op
				var want []string
				for i := range 6 {
					key := fmt.Sprintf("%d-%d", level, i%3)
					a := string(bytes.Repeat([]byte{byte('a' + i)}, size+i/5*size*2))
					b := a + "!"
					ops = append(ops, op(kv.OpPut, key, a), op(kv.OpGet, key, ""), op(kv.OpPut, key, b), op(kv.OpGet, key, ""),
						op(kv.OpDelete, key, ""), op(kv.OpGet, key, ""))
					want = append(want, "", a, "", b, "", "absent")
				}
				call := kv.Call{Ops: ops, Write: kv.LevelAll, Read: level, Deadline: time.Now().Add(time.Minute)}
				n.Do(&call)
				for i := range call.Ops {
					o := &call.Ops[i]
					switch {
					case want[i] == "absent" && o.Err != kv.ErrNotFound:
						t.Fatalf("node%d, level %d, size %d: operation %d finds %.20q (%v) after the delete", from, level, size, i, o.Value, o.Err)
					case want[i] != "absent" && o.Err != nil:
						t.Fatalf("node%d, level %d, size %d: operation %d: %v", from, level, size, i, o.Err)
					case o.Kind == kv.OpGet && want[i] != "absent" && string(o.Value) != want[i]:
						t.Fatalf("node%d, level %d, size %d: operation %d finds %.20q, want %.20q", from, level, size, i, o.Value, want[i])
					case o.Kind == kv.OpPut && o.Existed != (i%6 == 2):
						t.Fatalf("node%d, level %d, size %d: put %d: existed %v", from, level, size, i, o.Existed)
					}
				}
				if len(c.nodes) == 3 && n.status((from+1)%3).SendErrors.Load() != 0 {
					t.Fatalf("node%d: an answer was not understood", from)
				}
			}
		}
	}
}

// An operation that was decided in time counts, even if another one of the call is not decided at
// the deadline. That one alone times out.
func TestOperationsOfACallHaveTheirOwnOutcome(t *testing.T) { bubble(t, testOwnOutcome) }

func testOwnOutcome(t *testing.T) {
	c := newCluster(t, clusterOptions{nodes: 4, replicas: 2})
	n := c.nodes[3]
	slow, quick := c.keyOwnedBy(0, 0, 1), c.keyOwnedBy(0, 1, 2)
	n.mustPut(t, quick, "v", kv.LevelAll)
	hold := memnet.NewGate(t)
	c.net.Between("node3", "node0", memnet.OnBatches(hold.Hold))
	call := kv.Call{Write: kv.LevelAll, Deadline: time.Now().Add(time.Second)}
	call.Ops = []kv.Op{
		op(kv.OpPut, slow, "w"), op(kv.OpPut, quick, "w"), op(kv.OpGet, quick, ""),
		condOp(quick, "x", kv.IfAbsent), op(kv.OpDelete, c.keyOwnedBy(1, 1, 2), ""),
	}
	start := time.Now()
	n.Do(&call)
	if took := time.Since(start); took != time.Second {
		t.Errorf("it took %v", took)
	}
	wantOp(t, call.Ops[0], kv.ErrTimeout)
	if o := call.Ops[0]; o.Acks != 1 || o.Required != 2 {
		t.Errorf("timeout with %d acks of %d, want 1 of 2", o.Acks, o.Required)
	}
	wantOp(t, call.Ops[1], nil)
	wantValue(t, call.Ops[2], "w")
	wantOp(t, call.Ops[3], kv.ErrConditionFailed)
	wantOp(t, call.Ops[4], nil)
}

// A call may be used again, and values that its gets found, from this node and
// from others, stay what they are until then.
func TestCallIsReused(t *testing.T) { bubble(t, testCallIsReused) }

func testCallIsReused(t *testing.T) {
	c := newCluster(t, clusterOptions{nodes: 3, replicas: 2})
	n := c.nodes[0]
	var call kv.Call
	for round := range 30 {
		call.Reset()
		for i := range round + 1 {
			n.mustPut(t, fmt.Sprint(i), fmt.Sprint(round, "/", i), kv.LevelAll)
			call.Ops = append(call.Ops, op(kv.OpGet, fmt.Sprint(i), ""), op(kv.OpGet, fmt.Sprint("absent", i), ""))
		}
		call.Deadline = time.Now().Add(patience)
		call.Read = kv.Level(round%2 + 1)
		n.Do(&call)
		for i := range round + 1 {
			wantValue(t, call.Ops[2*i], fmt.Sprint(round, "/", i))
			wantOp(t, call.Ops[2*i+1], kv.ErrNotFound)
		}
	}
	call.Reset()
	n.Do(&call) // of nothing
}

// Values beyond what one answer holds come in several: the rest of the batch,
// writes too, waits for the next, so the operations keep their order.
func TestAnswersBeyondTheBound(t *testing.T) { bubble(t, testAnswersBeyondTheBound) }

func testAnswersBeyondTheBound(t *testing.T) {
	c := newCluster(t, clusterOptions{nodes: 3, replicas: 2})
	n := c.nodes[2]
	const keys = 12
	big := bytes.Repeat([]byte("x"), (8<<20)/8)
	var call kv.Call
	for i := range keys {
		n.mustPut(t, c.keyOwnedBy(i, 0, 1), fmt.Sprint(i)+string(big), kv.LevelAll)
		call.Ops = append(call.Ops, op(kv.OpGet, c.keyOwnedBy(i, 0, 1), ""))
	}
	for i := range keys {
		key := c.keyOwnedBy(i, 0, 1)
		call.Ops = append(call.Ops, op(kv.OpPut, key, "new"), op(kv.OpGet, key, ""), condOp(key, "newer", kv.IfPresent))
	}
	sent := n.peer(0).SentBatches.Load()
	call.Write, call.Deadline = kv.LevelAll, time.Now().Add(patience)
	n.Do(&call)
	for i := range keys {
		wantValue(t, call.Ops[i], fmt.Sprint(i)+string(big))
		wantOp(t, call.Ops[keys+3*i], nil)
		wantValue(t, call.Ops[keys+3*i+1], "new")
		wantOp(t, call.Ops[keys+3*i+2], nil)
		if !c.nodes[0].has(string(call.Ops[i].Key), "newer") || !c.nodes[1].has(string(call.Ops[i].Key), "newer") {
			t.Errorf("key %d does not end with its last write", i)
		}
	}
	if got := n.peer(0).SentBatches.Load() - sent; got < keys/9 || got > keys {
		t.Errorf("%d batches", got)
	}
	if s := n.status(0); s.SendErrors.Load() != 0 || s.State != peer.Up {
		t.Errorf("%d errors, %v", s.SendErrors.Load(), s.State)
	}
}
