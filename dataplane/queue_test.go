package dataplane

import (
	"testing"

	"httpdhs/internal/memnet"
	"httpdhs/internal/poll"
	"httpdhs/kv"
)

// waitDrained waits until nothing is queued at node i for peers that are up.
func (c *cluster) waitDrained(i int) {
	c.t.Helper()
	if err := c.nodes[i].Topology.Drain(c.t.Context()); err != nil {
		c.t.Fatal(err)
	}
}

// Writes that a peer missed while it was down reach it when it is back, deletes as well.
func TestHintsReachAPeerThatComesBack(t *testing.T) { bubble(t, testHints) }

func testHints(t *testing.T) {
	c := newCluster(t, clusterOptions{nodes: 3, replicas: 2})
	key, gone := c.keyOwnedBy(0, 1, 2), c.keyOwnedBy(1, 1, 2)
	c.nodes[0].mustPut(t, gone, "v", kv.LevelAll)
	c.cut(1)
	c.nodes[0].mustPut(t, key, "missed", kv.LevelLive)
	wantOp(t, c.nodes[0].del(gone, kv.LevelLive), nil)
	c.heal(1)
	poll.True(t, "node1 has what it missed", func() bool { return c.nodes[1].has(key, "missed") && c.nodes[1].held(gone).Tombstone })
	if d := c.nodes[0].peer(1).DroppedRecords.Load(); d != 0 {
		t.Errorf("%d records were dropped", d)
	}
}

// An answer that has not as many results as the batch has items has no effect on the reads of
// others. Each get is answered with its own key's value, whatever came before.
func TestTruncatedAnswersOfReads(t *testing.T) { bubble(t, testTruncatedAnswersOfReads) }

func testTruncatedAnswersOfReads(t *testing.T) {
	c := newCluster(t, clusterOptions{nodes: 3, replicas: 2})
	key := c.keyOwnedBy(0, 0, 1)
	c.nodes[2].mustPut(t, key, "some value", kv.LevelAll)
	for cut := 1; cut < 40; cut++ {
		c.net.Between("node2", "node0", memnet.OnBatches(func(_ []byte, pass func() ([]byte, error)) ([]byte, error) {
			answer, err := pass()
			return answer[:max(0, len(answer)-cut)], err
		}))
		wantValue(t, c.nodes[2].get(key, kv.LevelOne), "some value") // from node1
		c.net.Between("node2", "node0", nil)
		poll.True(t, "node0 is up", c.nodes[2].peer(0).Up)
	}
}
