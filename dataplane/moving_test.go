package dataplane

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"httpdhs/internal/memnet"
	"httpdhs/internal/poll"
	"httpdhs/kv"
	"httpdhs/peer"
)

// joiningCluster is a cluster that node3 has joined, and cannot fetch its share. All write to it,
// and nobody reads by the ring with it. key is owned by node0 and node1 by the ring that is read.
// By the other ring node3 owns it too.
func joiningCluster(t *testing.T) (c *cluster, key string) {
	t.Helper()
	o := clusterOptions{nodes: 4, replicas: 2, members: []int{0, 1, 2}, probeEvery: 100 * time.Millisecond}
	c, keys := withKeys(t, o)
	for _, n := range c.nodes[:3] {
		c.net.Between("node3", n.name, noPulls)
	}
	o.members = nil
	c.boot(3, 103, o)
	for _, n := range c.nodes {
		n.set(t, c.members())
	}
	for _, n := range c.nodes[:3] {
		poll.True(t, n.name+" holds the ring that is to be", n.holdsTarget)
	}
	for _, k := range keys {
		v := c.nodes[0].Board.View()
		var owners []string
		for _, n := range v.Owners(v.Partition(kv.Hash([]byte(k)))) {
			owners = append(owners, v.Names[n])
		}
		if slices.Equal(owners, []string{"node0", "node1", "node3"}) {
			return c, k
		}
	}
	t.Fatal("no key is owned by node0 and node1, and soon by node3")
	return nil, ""
}

// newer is a version of the key above those that the nodes hold. The time alone is not one, since
// versions of the same moment differ by their tags.
func (c *cluster) newer(key string) kv.Version {
	var v kv.Version
	for _, n := range c.nodes {
		v = max(v, n.held(key).Version)
	}
	return v + 1<<20
}

// While the ring changes, owners by the ring that is read and owners by the target get each write,
// whoever coordinates it.
func TestWritesGoToBothRings(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, key := joiningCluster(t)
		for _, n := range c.nodes {
			if o := n.put(key, n.name, kv.LevelAll); o.Err != nil {
				t.Fatalf("at %s: %v", n.name, o.Err)
			}
			for _, owner := range []int{0, 1, 3} {
				if !c.nodes[owner].has(key, n.name) {
					t.Errorf("node%d has not what was put at %s", owner, n.name)
				}
			}
		}
	})
}

// What a read of several owners has found is also at the owners by the target when the read is
// answered. Others may read by that ring already.
func TestReadReachesOwnersToCome(t *testing.T) { bubble(t, testOwnersToCome) }

func testOwnersToCome(t *testing.T) {
	c, key := joiningCluster(t)
	newer := c.newer(key)
	c.nodes[1].plant(t, key, "newer", newer)
	wantValue(t, c.nodes[0].get(key, kv.LevelAll), "newer")
	if got := c.nodes[3].held(key).Version; got != newer {
		t.Errorf("node3 holds version %x, want %x", got, newer)
	}
	// One that is down is not waited for.
	c.kill(3)
	poll.True(t, "node3 is down", func() bool { return c.nodes[0].peerNamed("node3").State() == peer.Down })
	c.nodes[1].plant(t, key, "newest", newer+1<<20)
	wantValue(t, c.nodes[0].get(key, kv.LevelAll), "newest")
}

// Readers are asked first: the owners by the ring that is read. An owner that is only written to is
// asked after them, even if it has authority by the next ring or by the previous one, and is this
// node itself.
func TestOwnersOfTheRingThatIsReadAreAskedFirst(t *testing.T) { bubble(t, testReadersFirst) }

func testReadersFirst(t *testing.T) {
	c, key := joiningCluster(t)
	all := make([]bool, testPartitions)
	for i := range all {
		all[i] = true
	}
	c.nodes[3].writer().SetHeld(all)
	newer := c.newer(key)
	for i := range 2 {
		c.nodes[i].plant(t, key, "newer", newer)
	}
	wantValue(t, c.nodes[3].get(key, kv.LevelOne), "newer")
}

// While the ring changes readers together do not know that a key is absent, since an owner by the
// target may hold it. They do if as many have authority as the level asks for.
func TestAbsenceWhileTheRingChanges(t *testing.T) { bubble(t, testAbsenceWhileItChanges) }

func testAbsenceWhileItChanges(t *testing.T) {
	c, other := joiningCluster(t)
	v, key := c.nodes[0].Board.View(), ""
	for i := 0; key == "" || v.Partition(kv.Hash([]byte(key))) != v.Partition(kv.Hash([]byte(other))); i++ {
		key = fmt.Sprint("new", i)
	}
	c.nodes[3].plant(t, key, "of an owner to come", kv.VersionAt(time.Now()))
	c.nodes[0].forget()
	defer c.nodes[0].remember()
	wantOp(t, c.nodes[0].getWithin(50*time.Millisecond, key, kv.LevelAll), kv.ErrAbsenceUnknown)
}

// A write at level live needs an owner that readers ask. While none of those is up it fails, though
// an owner by the target has stored it: nobody reads there, and the target may be given up. That
// holds for owners that are down and for those that recover, and for any coordinator. The answer
// says that more replicas had to store it than have.
func TestLiveNeedsAnOwnerThatIsRead(t *testing.T) {
	for _, state := range []peer.State{peer.Down, peer.Recovering} {
		for _, from := range []int{2, 3} {
			t.Run(fmt.Sprintf("owners are %v, at node%d", state, from), func(t *testing.T) {
				bubble(t, func(t *testing.T) { testLiveNeedsReader(t, state, from) })
			})
		}
	}
}

func testLiveNeedsReader(t *testing.T, state peer.State, from int) {
	c, key := joiningCluster(t)
	n, readers := c.nodes[from], []string{"node0", "node1"}
	await := func(want peer.State) {
		t.Helper()
		for _, name := range readers {
			poll.True(t, name+" is "+want.String(), func() bool { return n.peerNamed(name).State() == want })
		}
	}
	if o := n.put(key, "before", kv.LevelLive); o.Err != nil || o.Acks != 2 {
		t.Fatalf("all are up: %v, %d acks", o.Err, o.Acks)
	}
	for _, name := range readers {
		c.net.Between(n.name, name, memnet.FailWith(memnet.ErrReset))
	}
	await(peer.Down)
	if state == peer.Recovering {
		for range 4 { // hints, in batches of their own
			n.put(key, string(make([]byte, peer.BatchBytes)), kv.LevelLive)
		}
		hold := memnet.NewGate(t)
		for _, name := range readers {
			c.net.Between(n.name, name, memnet.OnBatches(hold.Hold))
		}
		await(peer.Recovering)
	}
	o := n.put(key, "value", kv.LevelLive)
	wantOp(t, o, kv.ErrUnavailable)
	if o.Acks != 1 || o.Required <= o.Acks {
		t.Errorf("%d of %d acks", o.Acks, o.Required)
	}
	if !c.nodes[3].has(key, "value") {
		t.Error("the owner by the target has not stored it: the test shows nothing")
	}
}

// A write comes after what was acknowledged before it began, though an owner by the target has not
// heard of that, and stores the write as it is: who coordinated the earlier one may not have known
// of the target, and have a clock that is ahead.
func TestOwnerToComeSaysNothingOfTheOrder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, key := joiningCluster(t)
		ahead := kv.VersionAt(time.Now().Add(20 * time.Second))
		for _, n := range c.nodes[:2] {
			n.plant(t, key, "earlier", ahead)
		}
		o := c.nodes[2].put(key, "later", kv.LevelLive)
		if wantOp(t, o, nil); o.Version <= ahead {
			t.Errorf("it is stamped %x, and what was there before %x", o.Version, ahead)
		}
		for _, i := range []int{0, 1, 3} {
			if !c.nodes[i].has(key, "later") {
				t.Errorf("node%d has not the later one", i)
			}
		}
	})
}
