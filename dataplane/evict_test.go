package dataplane

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"httpdhs/internal/memnet"
	"httpdhs/internal/poll"
	"httpdhs/peer"
	"httpdhs/wire"
)

// A member that is down is removed when a majority of those on the ring have found it so for long
// enough, and by no minority.
func TestMajorityEvicts(t *testing.T) {
	for _, tc := range []struct {
		nodes, down int
		evicted     bool
	}{{5, 2, true}, {5, 3, false}, {2, 1, false}, {3, 1, true}} {
		bubble(t, func(t *testing.T) {
			var mu sync.Mutex
			victims := make(map[string]bool) // guarded by mu
			o := clusterOptions{nodes: tc.nodes, replicas: 2, evictAfter: 10 * time.Second, probeEvery: 100 * time.Millisecond}
			o.evict = func(_ int, name string, after time.Duration) {
				mu.Lock()
				defer mu.Unlock()
				if after != o.evictAfter {
					t.Errorf("%s is said to be removed after %s", name, after)
				}
				victims[name] = true
			}
			c := newCluster(t, o)
			for i := range tc.down {
				c.kill(i)
			}
			time.Sleep(9 * time.Second)
			mu.Lock()
			if len(victims) > 0 {
				t.Errorf("%d of %d down: evicted too early: %v", tc.down, tc.nodes, victims)
			}
			mu.Unlock()
			time.Sleep(12 * time.Second)
			mu.Lock()
			defer mu.Unlock()
			want := 0
			if tc.evicted {
				want = tc.down
			}
			if len(victims) != want {
				t.Errorf("%d of %d down: %v evicted, want %d", tc.down, tc.nodes, victims, want)
			}
		})
	}
}

// A member that went down while it was leaving is removed as any other is, though it may be on no
// ring that is read by then. One that was started again meanwhile, and is down again before it has
// had its share, is a joiner: it is removed sooner. What is said of it has that time.
func TestLeaverThatDies(t *testing.T) {
	for what, back := range map[string]bool{"it leaves": false, "it is back and joins": true} {
		t.Run(what, func(t *testing.T) { bubble(t, func(t *testing.T) { testLeaverDies(t, back) }) })
	}
}

func testLeaverDies(t *testing.T, back bool) {
	began, want := time.Now(), time.Minute
	var removed atomic.Int64 // when it was said first that a member is to be removed
	o := clusterOptions{nodes: 3, replicas: 2, evictAfter: want, probeEvery: 100 * time.Millisecond}
	o.evict = func(_ int, name string, after time.Duration) {
		if name != "node2" || after != want {
			t.Errorf("%s is said to be removed after %s, want %s", name, after, want)
		}
		removed.CompareAndSwap(0, int64(time.Since(began)))
	}
	c := newCluster(t, o)
	leaving := c.members()
	leaving.All[2].State, leaving.Digest = wire.Leaving, 99
	for _, n := range c.nodes {
		n.set(t, leaving)
	}
	c.awaitRing(leaving)
	if back {
		want = 5 * time.Second
		c.net.Toward("node2", memnet.FailWith(memnet.ErrReset))
		for _, n := range c.nodes[:2] {
			poll.True(t, n.name+" finds it down", func() bool { return n.Topology.Down("node2") })
			n.set(t, c.members())
		}
	} else {
		c.kill(2)
	}
	down := time.Since(began)
	poll.True(t, "it is removed", func() bool { return removed.Load() > 0 })
	if after := time.Duration(removed.Load()) - down; after < want-2*time.Second || after > want+5*time.Second {
		t.Errorf("it is removed after %s, want %s", after, want)
	}
}

// Members whose connections break for a moment, again and again, still agree on who is dead.
func TestMomentsOfAbsenceDoNotKeepTheDead(t *testing.T) { bubble(t, testMoments) }

func testMoments(t *testing.T) {
	const evictAfter = 8 * time.Second
	var evicted atomic.Bool
	c := newCluster(t, clusterOptions{nodes: 3, replicas: 2, evictAfter: evictAfter, evict: func(_ int, name string, _ time.Duration) {
		if name != "node0" {
			t.Errorf("%s is removed", name)
		}
		evicted.Store(true)
	}})
	c.kill(0)
	for began := time.Now(); time.Since(began) < 2*evictAfter; time.Sleep(2 * time.Second) {
		c.net.Between("node1", "node2", memnet.FailWith(memnet.ErrReset))
		poll.True(t, "node2 is down for a moment", func() bool { return c.nodes[1].peer(2).State() == peer.Down })
		c.net.Between("node1", "node2", nil)
		poll.True(t, "node2 is back", func() bool { return c.nodes[1].peer(2).State() != peer.Down })
	}
	if !evicted.Load() {
		t.Error("the dead node is still a member")
	}
}

// A split that leaves no majority removes nobody, neither while it lasts nor when it is over. Nodes
// that hear from others again do not count the time in which they did not.
func TestSplitWithoutMajorityEvictsNobody(t *testing.T) { bubble(t, testNoMajority) }

func testNoMajority(t *testing.T) {
	const evictAfter = 3 * time.Second
	var mu sync.Mutex
	victims := make(map[string]int) // by whom; guarded by mu
	c := newCluster(t, clusterOptions{nodes: 5, replicas: 2, probeEvery: 50 * time.Millisecond, evictAfter: evictAfter, evict: func(by int, name string, _ time.Duration) {
		mu.Lock()
		defer mu.Unlock()
		victims[name] = by
	}})
	c.cutSides([]int{0, 0, 1, 1, 2})
	time.Sleep(2 * evictAfter)
	c.net.Clear()
	time.Sleep(2 * evictAfter)
	c.rest()
	mu.Lock()
	defer mu.Unlock()
	if len(victims) > 0 {
		t.Errorf("removed, and by whom: %v", victims)
	}
}

// cutSides breaks all ways between nodes of different sides.
func (c *cluster) cutSides(side []int) {
	for i, from := range c.table.Nodes() {
		for j, to := range c.table.Nodes() {
			if side[i] != side[j] {
				c.net.Between(from.Name, to.Name, memnet.FailWith(memnet.ErrReset))
			}
		}
	}
}

// Nodes that join the sides of a split give neither a majority: a side removes nobody, neither
// while the split lasts nor when it is over.
func TestJoinersHaveNoVoteOnWhoWasDownBefore(t *testing.T) { bubble(t, testJoinersOfSides) }

func testJoinersOfSides(t *testing.T) {
	const evictAfter = 3 * time.Second
	o := clusterOptions{nodes: 4, replicas: 2, members: []int{0, 1}, probeEvery: 50 * time.Millisecond, evictAfter: evictAfter, evict: func(by int, name string, _ time.Duration) {
		t.Errorf("node%d removes %s", by, name)
	}}
	c := newCluster(t, o)
	side := []int{0, 1, 0, 1}
	c.cutSides(side)
	for _, joins := range []int{2, 3} {
		member := c.nodes[side[joins]]
		poll.True(t, "the other side is down", func() bool { return member.peer(1-side[joins]).State() == peer.Down })
		o.members = []int{0, 1, joins}
		joiner := c.boot(joins, uint64(100+joins), o)
		member.set(t, c.members(o.members...))
		for _, n := range []*testNode{member, joiner} {
			poll.True(t, n.name+" reads by the ring of three", func() bool { now, next := n.Topology.Rings(); return now == next && len(now.Nodes()) == 3 })
		}
	}
	time.Sleep(2 * evictAfter)
	c.net.Clear()
	for _, n := range c.nodes {
		n.set(t, c.members())
	}
	time.Sleep(2 * evictAfter)
	c.rest()
}

// The same holds where the members that are joined have lost their authority, and where the sides
// meet for a moment.
func TestJoinersHaveNoVoteWhateverTheirSideIs(t *testing.T) {
	const evictAfter = 8 * time.Second
	split := func(t *testing.T, meanwhile func(c *cluster, side []int), later func(c *cluster)) {
		bubble(t, func(t *testing.T) {
			o := clusterOptions{nodes: 4, replicas: 2, members: []int{0, 1}, probeEvery: 50 * time.Millisecond, evictAfter: evictAfter, evict: func(by int, name string, _ time.Duration) {
				if name == "node0" || name == "node1" {
					t.Errorf("node%d removes %s", by, name)
				}
			}}
			c, side := newCluster(t, o), []int{0, 1, 0, 1}
			c.cutSides(side)
			for n := range 2 {
				poll.True(t, "the other side is down", func() bool { return c.nodes[n].peer(1-n).State() == peer.Down })
			}
			meanwhile(c, side)
			for _, joins := range []int{2, 3} {
				o.members = []int{0, 1, joins}
				c.boot(joins, uint64(100+joins), o)
				c.nodes[side[joins]].set(t, c.members(o.members...))
			}
			time.Sleep(evictAfter / 2)
			later(c)
			c.cutSides(side)
			time.Sleep(3 * evictAfter)
		})
	}
	t.Run("no authority", func(t *testing.T) {
		split(t, func(c *cluster, _ []int) {
			for _, n := range c.nodes[:2] {
				n.Topology.Overtaken("it was stopped")
			}
		}, func(*cluster) {})
	})
	t.Run("contact for a moment", func(t *testing.T) {
		split(t, func(*cluster, []int) {}, func(c *cluster) {
			c.net.Between("node0", "node1", nil)
			c.net.Between("node1", "node0", nil)
			poll.True(t, "they have met", func() bool { return c.nodes[0].peer(1).State() != peer.Down && c.nodes[1].peer(0).State() != peer.Down })
		})
	})
}

// A joiner that takes the place of a dead node does not keep the dead node a member, even if the
// joiner dies too.
func TestJoinerInThePlaceOfTheDead(t *testing.T) {
	for name, dies := range map[string]bool{"it lives": false, "it dies too": true} {
		t.Run(name, func(t *testing.T) { bubble(t, func(t *testing.T) { testInThePlace(t, dies) }) })
	}
}

func testInThePlace(t *testing.T, dies bool) {
	var evicted atomic.Bool
	o := clusterOptions{nodes: 4, replicas: 2, members: []int{0, 1, 2}, evictAfter: 30 * time.Second, probeEvery: 200 * time.Millisecond}
	o.evict = func(by int, name string, _ time.Duration) {
		switch {
		case name == "node2":
			evicted.Store(true)
		case !dies:
			t.Errorf("node%d removes %s", by, name)
		}
	}
	c := newCluster(t, o)
	c.kill(2)
	c.waitState(2, peer.Down)
	o.members = nil
	c.boot(3, 103, o)
	for _, n := range c.nodes[:2] {
		n.set(t, c.members())
	}
	for _, i := range []int{0, 1, 3} {
		n := c.nodes[i]
		poll.True(t, n.name+" reads by the ring of four", func() bool { now, next := n.Topology.Rings(); return now == next && len(now.Nodes()) == 4 })
	}
	if dies {
		c.kill(3)
	}
	time.Sleep(2 * o.evictAfter)
	if !evicted.Load() {
		t.Error("the dead node is still a member")
	}
}
