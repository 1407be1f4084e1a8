package dataplane

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"httpdhs/kv"
	"httpdhs/peer"
)

// A new cluster is in sync once all its members are up, in whatever order they
// start and however long that takes, and not before.
func TestNewClusterIsInSyncWhenAllAreUp(t *testing.T) {
	for seed := range uint64(12) {
		bubble(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 0))
			c := idleCluster(t, clusterOptions{nodes: 3, replicas: 2})
			order := rng.Perm(3)
			for n, i := range order {
				c.boot(i, uint64(1+i), clusterOptions{})
				if n == len(order)-1 {
					break
				}
				time.Sleep(time.Duration(rng.IntN(200)) * time.Millisecond)
				for _, node := range c.nodes {
					if node != nil && node.Board.InSync() {
						t.Fatalf("order %v: %s is in sync with %d of 3 up", order, node.name, n+1)
					}
				}
			}
			c.rest()
			for _, n := range c.nodes {
				wantOp(t, n.get("absent", kv.LevelOne), kv.ErrNotFound)
				if err := n.Topology.SyncReason(); err != nil {
					t.Errorf("in sync, and yet: %v", err)
				}
			}
		})
	}
}

// A member that is restarted starts empty. It is not in sync before it holds all that it owns
// again, with what was written meanwhile. Until then nobody takes a key for absent because it lacks
// it.
func TestRestartedMemberFillsUp(t *testing.T) { bubble(t, testRestartedMember) }

func testRestartedMember(t *testing.T) {
	c := newCluster(t, clusterOptions{nodes: 3, replicas: 2})
	const keys = 500
	value := func(i int) string { return fmt.Sprintf("%d%s", i, string(make([]byte, i*20))) }
	for i := range keys {
		c.nodes[i%3].mustPut(t, fmt.Sprint(i), value(i), kv.LevelAll)
	}
	for victim := range 3 {
		c.kill(victim)
		c.waitState(victim, peer.Down)
		writer := c.nodes[(victim+1)%3]
		for i := range 50 { // these are hints
			writer.mustPut(t, fmt.Sprint(i), value(i+victim+1), kv.LevelLive)
		}
		c.boot(victim, uint64(1000+victim), clusterOptions{})
		for ; !c.nodes[victim].Board.InSync(); time.Sleep(time.Millisecond) {
			for i := 0; i < keys; i += 97 {
				if o := c.nodes[victim].get(fmt.Sprint(i), kv.LevelOne); o.Err != nil && o.Err != kv.ErrUnavailable && o.Err != kv.ErrAbsenceUnknown {
					t.Fatalf("get of a key that is there, of a node that is not in sync: %v", o.Err)
				}
			}
		}
		for i := range keys {
			key, want := fmt.Sprint(i), value(i)
			if i < 50 {
				want = value(i + victim + 1)
			}
			for _, owner := range c.ownersOf(key) {
				if int(owner) == victim && !c.nodes[victim].has(key, want) {
					t.Fatalf("node%d is in sync and lacks %s", victim, key)
				}
			}
		}
		c.rest()
	}
}

// When all members are restarted nobody holds anything. They are in sync once all are up. While one
// is missing, nobody says of a key that it may hold that the key is absent.
func TestAllRestarted(t *testing.T) { bubble(t, testAllRestarted) }

func testAllRestarted(t *testing.T) {
	c := newCluster(t, clusterOptions{nodes: 3, replicas: 2})
	key := c.keyOwnedBy(0, 0, 2)
	c.nodes[0].mustPut(t, key, "v", kv.LevelAll)
	for i := range 3 {
		c.kill(i)
	}
	for i := range 2 {
		c.boot(i, uint64(500+i), clusterOptions{})
	}
	time.Sleep(time.Second)
	for _, n := range c.nodes[:2] {
		if n.Board.InSync() || n.Topology.SyncReason() == nil {
			t.Errorf("%s is in sync without node2", n.name)
		}
		wantOp(t, n.get(key, kv.LevelOne), kv.ErrAbsenceUnknown)
	}
	c.boot(2, 502, clusterOptions{})
	c.rest()
	wantOp(t, c.nodes[1].get(key, kv.LevelOne), kv.ErrNotFound)
}

// What a fault has lost at one owner, a record or a delete, is found and put right, though nobody
// asks for the key.
func TestDriftIsRepaired(t *testing.T) { bubble(t, testDrift) }

func testDrift(t *testing.T) {
	c := newCluster(t, clusterOptions{nodes: 3, replicas: 2, probeEvery: time.Second})
	for i := range 200 {
		c.nodes[0].mustPut(t, fmt.Sprint(i), "v", kv.LevelAll)
	}
	v := c.nodes[0].clock.Now()
	gone, lost := c.keyOwnedBy(0, 0, 1), c.keyOwnedBy(0, 1, 2)
	c.nodes[0].plant(t, gone, "x", v)
	c.nodes[1].plant(t, gone, "", v+1<<12)
	c.nodes[2].plant(t, lost, "x", v)
	time.Sleep(20 * 10 * time.Second)
	if !c.nodes[0].held(gone).Tombstone || !c.nodes[1].has(lost, "x") {
		t.Errorf("after %v: delete %v, record %v", 20*10*time.Second, c.nodes[0].held(gone).Tombstone, c.nodes[1].has(lost, "x"))
	}
}
