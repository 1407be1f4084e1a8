package dataplane

import (
	"bytes"
	"strconv"
	"testing"
	"time"

	"httpdhs/internal/memnet"
	"httpdhs/kv"
	"httpdhs/peer"
	"httpdhs/wire"
)

// A primary goes down after it has decided, and before the other owner has what came of it. The
// other owner, which decides in its place, does so on what the first has decided: both sums count,
// or one of them is not acknowledged.
func TestSuccessorKnowsWhatWasDecided(t *testing.T) { bubble(t, testSuccession) }

func testSuccession(t *testing.T) {
	for _, from := range []int{1, 2} { // who coordinates the second: the successor, and another
		c := newCluster(t, clusterOptions{nodes: 4, replicas: 2})
		key := c.keyOwnedBy(0, 0, 1)
		hold := memnet.NewGate(t)
		c.net.Between("node3", "node1", memnet.OnBatches(hold.Hold))
		done := make(chan kv.Op, 2)
		add := func(n *testNode) {
			o := op(kv.OpIncr, key, "")
			o.Number = 1
			done <- n.do(o, kv.LevelLive)
		}
		go add(c.nodes[3])
		time.Sleep(10 * time.Millisecond)
		if !c.nodes[0].has(key, "1") {
			t.Fatal("the primary has not decided")
		}
		c.kill(0)
		c.waitState(0, peer.Down)
		go add(c.nodes[from])
		time.Sleep(500 * time.Millisecond)
		hold.Open()
		acked := 0
		for range 2 {
			if o := <-done; o.Err == nil {
				acked++
			}
		}
		o := c.nodes[2].get(key, kv.LevelOne)
		if sum, _ := strconv.Atoi(string(o.Value)); o.Err != nil || sum < acked || acked == 0 {
			t.Errorf("the sum is %q, %v, after %d additions were acknowledged", o.Value, o.Err, acked)
		}
	}
}

// A node declines a run since it is not the primary yet. The message arrives once more when it is,
// just before the run is asked for again: it takes effect once all the same.
func TestDeclinedRunTakesEffectOnce(t *testing.T) { bubble(t, testDeclined) }

func testDeclined(t *testing.T) {
	c := newCluster(t, clusterOptions{nodes: 4, replicas: 2})
	key := c.keyOwnedBy(0, 0, 1)
	var declined []byte
	tries := 0
	c.net.Between("node3", "node0", memnet.OnBatches(func(msg []byte, pass func() ([]byte, error)) ([]byte, error) {
		switch tries++; tries {
		case 1:
			declined = bytes.Clone(msg)
			return wire.AppendResult(wire.OpenBatch(nil), &wire.Result{Code: wire.NotPrimary}), nil
		case 2:
			if _, err := c.nodes[0].Exchange(nil, declined); err != nil {
				t.Error(err)
			}
		}
		return pass()
	}))
	o := op(kv.OpIncr, key, "")
	o.Number = 1
	if o = c.nodes[3].do(o, kv.LevelAll); o.Err != nil || string(o.Value) != "1" || tries != 2 {
		t.Errorf("the sum is %q, %v, after %d tries", o.Value, o.Err, tries)
	}
	if o := c.nodes[2].get(key, kv.LevelAll); string(o.Value) != "1" {
		t.Errorf("the counter is %q", o.Value)
	}
}
