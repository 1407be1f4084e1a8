package replicate

import (
	"testing"
	"time"

	"httpdhs/internal/memnet"
	"httpdhs/rebalance"
	"httpdhs/ring"
)

// without are the members of a cluster but for one, as the map with that digest has them.
func (c *cluster) without(out int, digest uint64) Members {
	m := Members{Digest: digest}
	for i, n := range c.table.Nodes() {
		if i != out {
			m.All = append(m.All, Member{Node: n})
		}
	}
	return m
}

// all are all members, as the map with that digest has them.
func (c *cluster) all(digest uint64) Members { return c.without(-1, digest) }

func (n *testNode) set(t *testing.T, m Members) {
	t.Helper()
	if err := n.SetMembers(m); err != nil {
		t.Fatal(err)
	}
}

func (n *testNode) hasPeer(name string) bool {
	n.rings.mu.Lock()
	defer n.rings.mu.Unlock()
	return n.rings.peers[name] != nil
}

// A member that is removed, comes back, and is removed again before it has answered, is still told how often it was taken
// for down in its first life, and is believed when it comes back again: what it has heeded would be more than ever was.
func TestMemberThatWasNotHeardBetweenTwoRemovals(t *testing.T) { bubble(t, testNotHeardBetween) }

func testNotHeardBetween(t *testing.T) {
	c := newCluster(t, clusterOptions{nodes: 3, replicas: 2})
	c.cut(2)
	c.heal(2) // now node 2 has something to heed
	c.settle()
	c.net.Toward("node2", memnet.FailWith(memnet.ErrReset))
	for digest := uint64(2); digest <= 4; digest += 2 {
		for _, n := range c.nodes[:2] {
			n.set(t, c.without(2, digest))
		}
		for _, n := range c.nodes[:2] {
			eventually(t, "the member is forgotten", func() bool { return !n.hasPeer("node2") })
		}
		if digest == 4 {
			c.net.Toward("node2", nil)
		}
		for _, n := range c.nodes {
			n.set(t, c.all(digest+1))
		}
	}
	for _, n := range c.nodes {
		eventually(t, n.name+" reads by the ring of all again", func() bool {
			now, next := n.Rings()
			return now == next && len(now.Nodes()) == 3 && n.Synced()
		})
	}
}

// A member that was down for long, was removed for it, and is a member again, is not dead at once: it would be removed again
// before it could answer, and come back, without end.
func TestMemberThatIsBackIsNotDeadAtOnce(t *testing.T) { bubble(t, testNotDeadAtOnce) }

func testNotDeadAtOnce(t *testing.T) {
	c := newCluster(t, clusterOptions{nodes: 3, replicas: 2, evictAfter: time.Second, probeEvery: 30 * time.Millisecond})
	n := c.nodes[0]
	dead := func(want int) {
		t.Helper()
		if _, _, names := n.said(); len(names) != want {
			t.Errorf("dead are %v, want %d", names, want)
		}
	}
	c.cut(2)
	dead(0)
	time.Sleep(2 * time.Second)
	dead(1)
	n.set(t, c.without(2, 2))
	if !n.hasPeer("node2") {
		t.Fatal("forgotten already: the test is about one that is not")
	}
	n.set(t, c.all(3))
	dead(0)
	time.Sleep(2 * time.Second)
	dead(1)
}

// The table of a ring that is written because another wants it is kept, also when an equal one has taken its place meanwhile,
// as one that was asked for does: the next view is made of it.
func TestTableOfARingThatIsWrittenIsKept(t *testing.T) { bubble(t, testTableIsKept) }

func testTableIsKept(t *testing.T) {
	c := newCluster(t, clusterOptions{nodes: 3, replicas: 2})
	n, members := c.nodes[0], c.all(2)
	members.All = append(members.All, Member{Node: ring.Node{Name: "node3", Weight: 1}}) // which never runs
	c.nodes[1].set(t, members)
	var wanted rebalance.Ring
	eventually(t, "the ring that another wants is written", func() bool {
		n.rings.mu.Lock()
		defer n.rings.mu.Unlock()
		for _, x := range n.rings.state.Writes() {
			if x != n.rings.target {
				wanted = x
			}
		}
		return wanted != 0 && n.rings.state.Stated()
	})
	n.rings.mu.Lock()
	equal, err := ring.New(n.rings.tables[wanted].Nodes(), n.opt.Ring)
	if err != nil {
		t.Fatal(err)
	}
	n.rings.tables[wanted] = equal
	n.rings.mu.Unlock()
	n.reconsider()
	n.rings.mu.Lock()
	defer n.rings.mu.Unlock()
	if n.rings.tables[wanted] == nil {
		t.Error("it is forgotten")
	}
}
