package dataplane

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"httpdhs/internal/memnet"
	"httpdhs/internal/poll"
	"httpdhs/kv"
	"httpdhs/peer"
)

// In these tests node fullNode has less memory than the others: fullBytes.
const (
	fullNode  = 0
	fullBytes = 256 << 10
)

func fullCluster(t *testing.T, nodes, replicas int) *cluster {
	t.Helper()
	return newCluster(t, clusterOptions{
		nodes: nodes, replicas: replicas, maxBytes: map[int]int64{fullNode: fullBytes},
	})
}

// large is a value that a full node has no room for.
func large(s string) string { return s + string(make([]byte, fullBytes)) }

// readable fails unless every node reads the value, or absence (empty), at each of the levels.
func (c *cluster) readable(t *testing.T, key, want string, levels ...kv.Level) {
	t.Helper()
	for _, n := range c.nodes {
		for _, level := range levels {
			o := n.get(key, level)
			if want == "" {
				wantOp(t, o, kv.ErrNotFound)
				continue
			}
			if wantOp(t, o, nil); string(o.Value) != want {
				t.Fatalf("%s finds %d bytes, %.10q, at level %v, want %.10q", n.name, len(o.Value), o.Value, level, want)
			}
		}
	}
}

// A replica without memory for a write fails no read of its key, at any level and any node. Nobody
// is answered with the value from before, not even by the replica that refused the write. The write
// itself is refused, and counts who has it.
func TestFullReplicaFailsNoRead(t *testing.T) {
	for _, replicas := range []int{2, 3} {
		t.Run(fmt.Sprint(replicas, " replicas"), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := fullCluster(t, 4, replicas)
				for n, owners := range [][]int{{0, 1, 2}, {1, 0, 2}} {
					key, fresh := c.keyOwnedBy(n, owners[:replicas]...), c.keyOwnedBy(n+1, owners[:replicas]...)
					for from := range c.nodes {
						was := large(fmt.Sprint("new", from))
						if from == 0 {
							c.nodes[1].mustPut(t, key, "old", kv.LevelAll)
						}
						o := c.nodes[from].put(key, was, kv.LevelLive)
						if wantOp(t, o, kv.ErrNoMemory); o.Acks != replicas-1 {
							t.Errorf("%d acks", o.Acks)
						}
						c.readable(t, key, was, kv.LevelOne, kv.LevelQuorum, kv.LevelAll)
						if !c.nodes[fullNode].has(key, "old") {
							t.Fatal("the full node has not kept what it held")
						}
						wantOp(t, c.nodes[from].put(fresh, was, kv.LevelLive), kv.ErrNoMemory)
						c.readable(t, fresh, was, kv.LevelOne, kv.LevelQuorum, kv.LevelAll)
					}
				}
			})
		})
	}
}

// A full replica that refuses a read repair does not fail the read either. It says from then on
// that it is behind. So does a replica whose limits are lower.
func TestRefusedRepairFailsNoRead(t *testing.T) { bubble(t, testRefusedRepair) }

func testRefusedRepair(t *testing.T) {
	c := fullCluster(t, 4, 3)
	for n, owners := range [][]int{{0, 1, 2}, {2, 0, 1}} {
		for from := range c.nodes {
			key := c.keyOwnedBy(2*from+n, owners...)
			for i := range 3 {
				c.nodes[i].plant(t, key, "old", planted(1))
			}
			c.nodes[1].plant(t, key, large("new"), planted(2))
			wantValue(t, c.nodes[from].get(key, kv.LevelAll), large("new"))
			c.readable(t, key, large("new"), kv.LevelOne, kv.LevelQuorum, kv.LevelAll)
		}
	}
}

// A quorum read has found a write that only one replica took. While all replicas are up another
// quorum read finds it too, even if those that refused it answer first.
func TestQuorumReadOfARefusedWriteDoesNotGoBack(t *testing.T) { bubble(t, testRefusedNotBack) }

func testRefusedNotBack(t *testing.T) {
	c := newCluster(t, clusterOptions{nodes: 4, replicas: 3, maxBytes: map[int]int64{
		0: fullBytes, 2: fullBytes,
	}})
	key := c.keyOwnedBy(0, 0, 1, 2)
	c.nodes[3].mustPut(t, key, "old", kv.LevelAll)
	wantOp(t, c.nodes[3].put(key, large("new"), kv.LevelQuorum), kv.ErrNoMemory)
	wantValue(t, c.nodes[3].get(key, kv.LevelQuorum), large("new"))
	c.net.Between("node3", "node1", memnet.OnBatches(func(_ []byte, pass func() ([]byte, error)) ([]byte, error) {
		time.Sleep(100 * time.Millisecond)
		return pass()
	}))
	wantValue(t, c.nodes[3].get(key, kv.LevelQuorum), large("new"))
	// While its only holder is down, it is as if it had not been.
	c.cut(1)
	wantValue(t, c.nodes[3].get(key, kv.LevelQuorum), "old")
	wantValue(t, c.nodes[3].get(key, kv.LevelOne), "old")
}

// Replicas that have refused a key, and hold nothing of it, do not say that it does not exist while
// another one may hold it.
func TestRefusedKeyIsNotSaidToBeAbsent(t *testing.T) { bubble(t, testRefusedNotAbsent) }

func testRefusedNotAbsent(t *testing.T) {
	c := newCluster(t, clusterOptions{nodes: 4, replicas: 3, maxBytes: map[int]int64{0: fullBytes, 2: fullBytes}})
	key := c.keyOwnedBy(0, 0, 1, 2)
	wantOp(t, c.nodes[3].put(key, large("new"), kv.LevelOne), nil)
	c.waitDrained(3)
	c.cut(1)
	for _, level := range []kv.Level{kv.LevelOne, kv.LevelQuorum} {
		wantOp(t, c.nodes[3].get(key, level), kv.ErrAbsenceUnknown)
	}
	c.heal(1)
	c.readable(t, key, large("new"), kv.LevelOne, kv.LevelQuorum, kv.LevelAll)
}

// A node neither fetches nor remembers what it refused of a partition that it does not own any
// more.
func TestRefusalsEndWithOwnership(t *testing.T) { bubble(t, testRefusalsEnd) }

func testRefusalsEnd(t *testing.T) {
	c := newCluster(t, clusterOptions{nodes: 3, replicas: 2, probeEvery: time.Second})
	key := c.keyOwnedBy(0, 0, 1)
	c.nodes[0].mustPut(t, key, "value", kv.LevelAll)
	hash := kv.Hash([]byte(key))
	n := c.nodes[2]
	n.Board.Refuse(hash, kv.VersionAt(time.Now()), kv.ErrNoMemory)
	poll.True(t, "the note is gone", func() bool { return !n.behindAnywhere() })
	if got := n.Repairer.Pulled.Load(); got > 0 {
		t.Errorf("it has fetched %d records that it does not own", got)
	}
}

// A node with too little memory for what it is to own does not become its owner: the others keep
// it, and say why. It becomes one when there is room.
func TestFullJoinerOwnsNothing(t *testing.T) { bubble(t, testFullJoiner) }

func testFullJoiner(t *testing.T) {
	o := clusterOptions{nodes: 4, replicas: 2, members: []int{0, 1, 2}, probeEvery: 100 * time.Millisecond, maxBytes: map[int]int64{3: fullBytes}}
	c := newCluster(t, o)
	key := c.keyOwnedBy(0, 3, 0)
	c.nodes[0].mustPut(t, key, large("value"), kv.LevelAll)
	o.members = nil
	joiner := c.boot(3, 103, o)
	for _, n := range c.nodes {
		n.set(t, c.members())
	}
	time.Sleep(time.Minute)
	if err := joiner.Topology.SyncReason(); err == nil || !strings.Contains(err.Error(), "too little memory") {
		t.Errorf("the joiner says %v", err)
	}
	c.readable(t, key, large("value"), kv.LevelOne, kv.LevelQuorum, kv.LevelAll)
	wantOp(t, c.nodes[1].del(key, kv.LevelAll), nil)
	for _, n := range c.nodes {
		poll.True(t, n.name+" reads by the ring of the joiner", func() bool {
			now, next := n.Topology.Rings()
			return now == next && len(now.Nodes()) == 4 && n.Board.InSync()
		})
	}
}

// Full replicas refuse a write, and the other replica cannot store it under its first stamp. It is
// stored under the second, if that meets the level.
func TestFullReplicasLeaveAWriteToTheOther(t *testing.T) { bubble(t, testLeftToTheOther) }

func testLeftToTheOther(t *testing.T) {
	c := newCluster(t, clusterOptions{nodes: 4, replicas: 3, maxBytes: map[int]int64{0: fullBytes, 2: fullBytes}})
	for level, want := range map[kv.Level]error{kv.LevelOne: nil, kv.LevelQuorum: kv.ErrNoMemory, kv.LevelLive: kv.ErrNoMemory} {
		key := c.keyOwnedBy(int(10+level), 0, 1, 2)
		c.nodes[1].plant(t, key, "of a clock that is ahead", kv.VersionAt(time.Now().Add(time.Second)))
		wantOp(t, c.nodes[3].put(key, large("new"), level), want)
		if want == nil {
			c.readable(t, key, large("new"), kv.LevelOne, kv.LevelQuorum, kv.LevelAll)
		}
	}
}

// A write that every replica has refused leaves the key as it was, and the replicas forget it
// when they have compared themselves with each other.
func TestWriteThatAllRefuse(t *testing.T) { bubble(t, testAllRefuse) }

func testAllRefuse(t *testing.T) {
	c := newCluster(t, clusterOptions{
		nodes: 3, replicas: 2, probeEvery: time.Second, maxBytes: map[int]int64{0: fullBytes, 1: fullBytes},
	})
	key, none := c.keyOwnedBy(0, 0, 1), c.keyOwnedBy(1, 0, 1)
	c.nodes[2].mustPut(t, key, "old", kv.LevelAll)
	for _, k := range []string{key, none} {
		wantOp(t, c.nodes[2].put(k, large("new"), kv.LevelOne), kv.ErrNoMemory)
	}
	c.readable(t, key, "old", kv.LevelOne, kv.LevelAll)
	c.readable(t, none, "", kv.LevelOne, kv.LevelAll)
	for _, n := range c.nodes { // at once: there is nothing to wait for
		wantOp(t, n.getWithin(time.Millisecond, none, kv.LevelOne), kv.ErrNotFound)
	}
	for i := range 2 {
		poll.True(t, "notes are forgotten", func() bool { return !c.nodes[i].behindAnywhere() })
	}
	c.readable(t, key, "old", kv.LevelOne, kv.LevelAll)
}

// When there is room, a replica fetches what it has refused, and answers with it again. So it does
// with notes past the bound of a partition.
func TestFullReplicaHeals(t *testing.T) { bubble(t, testFullHeals) }

func testFullHeals(t *testing.T) {
	c := newCluster(t, clusterOptions{
		nodes: 3, replicas: 2, probeEvery: time.Second, maxBytes: map[int]int64{fullNode: 1 << 20},
	})
	full := c.nodes[fullNode]
	ballast := c.keyOwnedBy(0, 0, 1)
	c.nodes[2].mustPut(t, ballast, string(make([]byte, 900<<10)), kv.LevelAll)
	part := c.table.Partition(kv.Hash([]byte(ballast)))
	var keys []string
	for i := 0; len(keys) < 2*64; i++ {
		key := fmt.Sprint("many", i)
		if c.table.Partition(kv.Hash([]byte(key))) == part {
			keys = append(keys, key)
		}
	}
	value := string(make([]byte, 4000))
	refused := 0
	for _, key := range keys {
		if o := c.nodes[2].put(key, value, kv.LevelOne); o.Err != nil {
			t.Fatal(o.Err)
		}
		c.waitDrained(2)
		if !full.has(key, value) {
			refused++
		}
	}
	if refused <= 64 {
		t.Fatalf("only %d were refused", refused)
	}
	for _, key := range keys {
		wantValue(t, full.get(key, kv.LevelOne), value)
	}
	wantOp(t, c.nodes[2].del(ballast, kv.LevelAll), nil)
	poll.True(t, "the replica has room and is whole", func() bool {
		for _, key := range keys {
			if !full.has(key, value) {
				return false
			}
		}
		return !full.behindAnywhere()
	})
}

// What a replica lacks for want of memory, a listing has from another owner, at any node.
func TestListingPassesAFullReplica(t *testing.T) { bubble(t, testListingFull) }

func testListingFull(t *testing.T) {
	c := fullCluster(t, 3, 2)
	var want []string
	for i := range 10 {
		key := c.keyOwnedBy(i, 0, 1)
		want = append(want, key)
		wantOp(t, c.nodes[2].put(key, large(key), kv.LevelLive), kv.ErrNoMemory)
	}
	slices.Sort(want)
	for _, n := range c.nodes {
		page, err := n.List(&kv.ListRequest{Limit: 100, Deadline: time.Now().Add(patience)})
		var got []string
		for i := range page.Records {
			got = append(got, string(page.Records[i].Key))
		}
		slices.Sort(got)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s lists %q, %v", n.name, got, err)
		}
	}
}

// A primary that is behind at a key does not decide a condition on it by the value from before.
func TestConditionAtAFullPrimary(t *testing.T) { bubble(t, testConditionFull) }

func testConditionFull(t *testing.T) {
	c := fullCluster(t, 3, 2)
	key, fresh := c.keyOwnedBy(0, 0, 1), c.keyOwnedBy(1, 0, 1)
	old := c.nodes[2].mustPut(t, key, "old", kv.LevelAll)
	wantOp(t, c.nodes[2].put(key, large("new"), kv.LevelOne), nil)
	wantOp(t, c.nodes[2].put(fresh, large("new"), kv.LevelOne), nil)
	c.waitDrained(2)
	match := condOp(key, "lost", kv.IfVersion)
	match.Cond.Versions = []kv.Version{old.Version}
	for _, n := range c.nodes {
		wantOp(t, n.do(match, kv.LevelLive), kv.ErrNoMemory)
		wantOp(t, n.do(condOp(fresh, "lost", kv.IfAbsent), kv.LevelLive), kv.ErrNoMemory)
	}
	c.readable(t, key, large("new"), kv.LevelOne)
	c.readable(t, fresh, large("new"), kv.LevelOne)
}

// A node lost its memory, and the only owner that is up is behind. From that owner alone the node
// does not learn what there is, while an owner that is down may hold it. It does once the latter is
// up again, or where all owners are up and none has it.
func TestBehindIsNoAuthority(t *testing.T) { bubble(t, testBehindNoAuthority) }

func testBehindNoAuthority(t *testing.T) {
	o := clusterOptions{nodes: 3, replicas: 3, probeEvery: time.Second, maxBytes: map[int]int64{fullNode: fullBytes}}
	c := newCluster(t, o)
	key := c.keyOwnedBy(0, 0, 1, 2)
	wantOp(t, c.nodes[1].put(key, large("new"), kv.LevelQuorum), nil)
	c.waitDrained(1)
	c.cut(2)
	c.kill(1)
	poll.True(t, "node1 is down", func() bool { return c.nodes[0].peer(1).State() == peer.Down })
	n := c.boot(1, 999, o)
	c.net.Between("node1", "node2", memnet.FailWith(memnet.ErrReset))
	poll.True(t, "the full node sees node1", func() bool { return c.nodes[0].peer(1).State() != peer.Down })
	for range 5 {
		time.Sleep(time.Second)
		if o := n.get(key, kv.LevelOne); o.Err != kv.ErrAbsenceUnknown && o.Err != kv.ErrUnavailable {
			t.Fatalf("a key that exists: %d bytes, %v", len(o.Value), o.Err)
		}
	}
	c.net.Between("node1", "node2", nil)
	c.heal(2)
	poll.True(t, "node1 is in sync", n.Board.InSync)
	c.readable(t, key, large("new"), kv.LevelOne)
	// Both others lose their memory, and with it the value: the full node is left with a note of
	// it.
	for _, i := range []int{1, 2} {
		c.kill(i)
		poll.True(t, "it is down", func() bool { return c.nodes[0].peer(i).State() == peer.Down })
	}
	for _, i := range []int{1, 2} {
		c.boot(i, uint64(2000+i), o)
	}
	for _, i := range []int{1, 2} {
		poll.True(t, "it is in sync", c.nodes[i].Board.InSync)
	}
	c.readable(t, key, "", kv.LevelOne, kv.LevelQuorum)
}

// behindAnywhere says whether the node has a note of a refusal.
func (n *testNode) behindAnywhere() bool {
	for part := range testPartitions {
		if n.Board.Refused.Any(part) {
			return true
		}
	}
	return false
}
