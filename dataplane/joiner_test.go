package dataplane

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"httpdhs/internal/memnet"
	"httpdhs/internal/poll"
	"httpdhs/kv"
	"httpdhs/peer"
	"httpdhs/rebalance"
	"httpdhs/wire"
)

// holdsTarget says whether the node has authority for the ring that is to be.
func (n *testNode) holdsTarget() bool {
	_, next := n.Topology.Rings()
	said, target := n.statement(n.t).Said, rebalance.Ring(next.Fingerprint())
	return slices.Contains(said.Holds, target) && said.Reads != target
}

// noPulls lets everything pass but what a node fetches.
func noPulls(msg []byte, pass func() ([]byte, error)) ([]byte, error) {
	if kind, _, err := wire.Split(msg); err == nil && kind == wire.KindPull {
		return nil, memnet.ErrReset
	}
	return pass()
}

// A node that dies before it has fetched its share owns nothing. The others go on to read by the
// ring without it. When one more of them dies each key is found at its other owner. After a while a
// majority removes the joiner, whatever EvictAfter says, so that the ring is at rest. An owner that
// is down is not removed so soon. The joiner joins again when it is back, and has its share then.
func TestJoinerThatDiesOwnsNothing(t *testing.T) { bubble(t, testJoinerDies) }

func testJoinerDies(t *testing.T) {
	var mu sync.Mutex
	evicted := make(map[string]bool)
	o := clusterOptions{nodes: 4, replicas: 2, members: []int{0, 1, 2}, probeEvery: 100 * time.Millisecond, evict: func(_ int, name string, after time.Duration) {
		mu.Lock()
		defer mu.Unlock()
		evicted[name] = true
		if after != 5*time.Second {
			t.Errorf("%s is said to be removed after %s", name, after)
		}
	}}
	c, keys := withKeys(t, o)
	found := func(when string) {
		t.Helper()
		for _, n := range c.nodes {
			for _, key := range keys {
				if n == nil {
					continue
				}
				if got := n.get(key, kv.LevelOne); got.Err != nil || string(got.Value) != key {
					t.Fatalf("%s: %s at %s: %q, %v", when, key, n.name, got.Value, got.Err)
				}
			}
		}
	}
	for _, n := range c.nodes[:3] {
		c.net.Between("node3", n.name, noPulls)
	}
	join := func(boot uint64) {
		all := o
		all.members = nil
		c.boot(3, boot, all)
		for _, n := range c.nodes {
			if n != nil {
				n.set(t, c.members())
			}
		}
	}
	join(103)
	for _, n := range c.nodes[:3] {
		poll.True(t, n.name+" holds the ring that is to be", n.holdsTarget)
	}
	c.kill(3)
	for _, n := range c.nodes[:3] {
		poll.True(t, n.name+" finds it down", func() bool { return n.peerNamed("node3").State() == peer.Down })
	}
	time.Sleep(4 * time.Second)
	for _, n := range c.nodes[:3] {
		if now, next := n.Topology.Rings(); now == next {
			t.Fatalf("%s reads by the ring of the joiner", n.name)
		}
	}
	mu.Lock()
	early := evicted["node3"]
	mu.Unlock()
	if early {
		t.Error("it is removed at once")
	}
	poll.True(t, "it is removed", func() bool { mu.Lock(); defer mu.Unlock(); return evicted["node3"] })
	c.kill(2)
	found("a joiner and an owner are down")
	for _, n := range c.nodes[:2] {
		n.set(t, c.members(0, 1, 2))
		poll.True(t, n.name+" is at rest", func() bool { now, next := n.Topology.Rings(); return now == next && len(now.Nodes()) == 3 })
	}
	found("the joiner is removed")
	time.Sleep(2 * 5 * time.Second)
	mu.Lock()
	early = evicted["node2"]
	mu.Unlock()
	if early {
		t.Error("an owner is removed as a joiner is")
	}
	c.net.Clear()
	join(203)
	for _, n := range []*testNode{c.nodes[0], c.nodes[1], c.nodes[3]} {
		poll.True(t, n.name+" reads by the ring of the joiner", func() bool {
			now, next := n.Topology.Rings()
			return now == next && len(now.Nodes()) == 4 && n.Board.InSync()
		})
	}
	found("it has joined again, without an owner that is down")
}

// An owner that is down holds up a change in which it gets something that it has never had, until
// it is back.
func TestOwnerThatIsDownGetsNothingNew(t *testing.T) { bubble(t, testOwnerDown) }

func testOwnerDown(t *testing.T) {
	o := clusterOptions{nodes: 4, replicas: 2, probeEvery: 100 * time.Millisecond}
	c, keys := withKeys(t, o)
	c.kill(3)
	for _, n := range c.nodes[:3] {
		poll.True(t, n.name+" finds it down", func() bool { return n.peerNamed("node3").State() == peer.Down })
	}
	leaving := c.members()
	leaving.All[2].State = wire.Leaving
	leaving.Digest = 99
	for _, n := range c.nodes[:3] {
		n.set(t, leaving)
	}
	time.Sleep(10 * time.Second)
	for _, n := range c.nodes[:3] {
		if now, next := n.Topology.Rings(); now == next {
			t.Errorf("%s reads by a ring in which one that is down has got more", n.name)
		}
	}
	n := c.boot(3, 203, o)
	n.set(t, leaving)
	c.awaitRing(leaving)
	for _, key := range keys {
		if got := c.copies(key); got != 2 {
			t.Fatalf("%s has %d copies", key, got)
		}
	}
	if slices.ContainsFunc(keys, func(key string) bool { return c.nodes[0].get(key, kv.LevelOne).Err != nil }) {
		t.Error("a key is not found")
	}
}

// A joiner that died before it had its share is removed, even where too few are left that know so.
// A member that was restarted takes the word of one that was not. One that was removed has no vote.
func TestJoinerIsRemovedWhoeverElseIsGone(t *testing.T) {
	for name, then := range map[string]func(t *testing.T, c *cluster, o clusterOptions){
		"the other is started again": func(t *testing.T, c *cluster, o clusterOptions) {
			o.members = nil
			c.boot(1, 201, o).set(t, c.members())
		},
		"the other is removed": func(t *testing.T, c *cluster, o clusterOptions) { c.nodes[0].set(t, c.members(0, 2)) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) { testJoinerRemoved(t, then) })
		})
	}
}

func testJoinerRemoved(t *testing.T, then func(*testing.T, *cluster, clusterOptions)) {
	var evicted atomic.Bool
	o := clusterOptions{nodes: 3, replicas: 2, members: []int{0, 1}, probeEvery: 100 * time.Millisecond, evict: func(_ int, name string, _ time.Duration) {
		if name != "node2" {
			t.Errorf("%s is removed", name)
		}
		evicted.Store(true)
	}}
	c, _ := withKeys(t, o)
	all := o
	all.members = nil
	for i := range 2 {
		c.net.Between("node2", c.nodes[i].name, memnet.FailWith(memnet.ErrReset))
	}
	c.boot(2, 102, all)
	for _, n := range c.nodes {
		n.set(t, c.members())
	}
	time.Sleep(time.Second)
	c.kill(2)
	poll.True(t, "node0 finds it down", func() bool { return c.nodes[0].peerNamed("node2").State() == peer.Down })
	c.kill(1)
	time.Sleep(time.Second)
	then(t, c, o)
	time.Sleep(3 * 5 * time.Second)
	if !evicted.Load() {
		t.Error("it is not removed")
	}
}

// While all members leave, the ring stays as it is. That ends when one of them finds that it has to
// stay.
func TestWhileAllLeaveTheRingStays(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, clusterOptions{nodes: 2, replicas: 2})
		m := c.members()
		for i := range m.All {
			m.All[i].State = wire.Leaving
		}
		m.Digest++
		before, _ := c.nodes[0].Topology.Rings()
		c.nodes[0].set(t, m)
		if now, next := c.nodes[0].Topology.Rings(); now != before || next != before {
			t.Error("it goes to another ring")
		}
	})
}
