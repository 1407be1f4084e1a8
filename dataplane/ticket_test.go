package dataplane

import (
	"sync"
	"testing"
	"time"

	"httpdhs/internal/memnet"
	"httpdhs/kv"
)

// A waiter that gives up gets its answer at its deadline. An answer that comes later has no effect
// on it, nor on another call that has taken over its memory.
func TestAnswersThatComeTooLate(t *testing.T) { bubble(t, testAnswersThatComeTooLate) }

func testAnswersThatComeTooLate(t *testing.T) {
	c := newCluster(t, clusterOptions{nodes: 3, replicas: 2})
	n := c.nodes[2]
	keys := make([]string, 20)
	for i := range keys {
		keys[i] = c.keyOwnedBy(i, 0, 1)
		n.mustPut(t, keys[i], "value of "+keys[i], kv.LevelAll)
	}
	var all sync.WaitGroup
	for round := range 20 {
		hold := memnet.NewGate(t)
		c.net.Between("node2", "node0", memnet.OnBatches(hold.Hold))
		for i, key := range keys {
			all.Go(func() {
				o := op(kv.OpGet, key, "")
				if i%2 == 0 {
					o = op(kv.OpPut, key, "value of "+key)
				}
				call := kv.Call{Ops: []kv.Op{o}, Write: kv.LevelAll, Deadline: time.Now().Add(time.Millisecond)}
				start := time.Now()
				n.Do(&call)
				if err := call.Ops[0].Err; err != kv.ErrTimeout || time.Since(start) != time.Millisecond {
					t.Errorf("round %d: %v after %v, want a timeout at the deadline", round, err, time.Since(start))
				}
			})
		}
		all.Wait()
		hold.Open()
		c.net.Between("node2", "node0", nil)
		for _, key := range keys { // while the late answers arrive
			all.Go(func() {
				if o := n.get(key, kv.LevelQuorum); o.Err != nil || string(o.Value) != "value of "+key {
					t.Errorf("round %d: get %s: %q, %v", round, key, o.Value, o.Err)
				}
			})
		}
		all.Wait()
	}
	if got := n.Timeouts.Load(); got != 20*20 {
		t.Errorf("%d timeouts counted, want %d", got, 20*20)
	}
}
