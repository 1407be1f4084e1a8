package replicate

import "testing"

// A ring that this node asks another about, and that becomes its own target before the answer is there, stays the table that it is: the
// view goes by that one, and what the answer makes is another of the same.
func TestRingKnownWhileAskedFor(t *testing.T) { bubble(t, testRingKnownWhileAskedFor) }

func testRingKnownWhileAskedFor(t *testing.T) {
	c := newCluster(t, clusterOptions{nodes: 3, replicas: 2})
	n := c.nodes[0].Coordinator
	r := &n.rings
	r.mu.Lock()
	x := r.target
	was := r.tables[x]
	r.unknown[x] = "node1"
	r.mu.Unlock()
	if err := n.learnRings(); err != nil {
		t.Fatal(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.tables[x] != was || n.view.Load().read != was {
		t.Error("the table of a ring that is written was replaced")
	}
}
