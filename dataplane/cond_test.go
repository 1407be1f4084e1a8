package dataplane

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"httpdhs/internal/memnet"
	"httpdhs/internal/poll"
	"httpdhs/kv"
	"httpdhs/peer"
	"httpdhs/wire"
)

func condOp(key, value string, kind kv.ConditionKind, versions ...kv.Version) kv.Op {
	o := op(kv.OpPut, key, value)
	o.Cond = kv.Condition{Kind: kind, Versions: versions}
	return o
}

// Many create the same key on the condition that it is absent, through all nodes at once. Exactly
// one succeeds, and every replica holds its value. The others are told that the condition does not
// hold. A key that was deleted is absent again.
func TestOneOfManyCreates(t *testing.T) { bubble(t, testOneOfManyCreates) }

func testOneOfManyCreates(t *testing.T) {
	c := newCluster(t, clusterOptions{nodes: 3, replicas: 2, skew: map[int]time.Duration{0: 25 * time.Second, 1: -25 * time.Second}})
	for round := range 20 {
		key := c.keyOwnedBy(round/2, 0, 1) // each twice
		won := make(chan string, 30)
		var all sync.WaitGroup
		for i := range 30 {
			all.Go(func() {
				value := fmt.Sprint(round, "-", i)
				switch o := c.nodes[i%3].do(condOp(key, value, kv.IfAbsent), kv.LevelAll); {
				case o.Err == nil && !o.Existed && o.Acks == 2:
					won <- value
				case !errors.Is(o.Err, kv.ErrConditionFailed):
					t.Errorf("create ended with %v, existed %v, %d acks", o.Err, o.Existed, o.Acks)
				}
			})
		}
		all.Wait()
		if len(won) != 1 {
			t.Fatalf("%d of 30 created the key", len(won))
		}
		winner := <-won
		if !c.nodes[0].has(key, winner) || !c.nodes[1].has(key, winner) {
			t.Fatalf("not both replicas hold the winner's value")
		}
		wantOp(t, c.nodes[round%3].del(key, kv.LevelAll), nil)
	}
}

// A condition on a version holds for that version alone, and a write that is
// done under one tells whether it replaced a value.
func TestConditionsOnVersions(t *testing.T) { bubble(t, testConditionsOnVersions) }

func testConditionsOnVersions(t *testing.T) {
	c := newCluster(t, clusterOptions{nodes: 3, replicas: 2})
	for from, n := range c.nodes {
		key := c.keyOwnedBy(from, 0, 1)
		wantOp(t, n.do(condOp(key, "v0", kv.IfPresent), 0), kv.ErrConditionFailed)
		wantOp(t, n.do(condOp(key, "v0", kv.IfVersion, 1), 0), kv.ErrConditionFailed)
		first := n.do(condOp(key, "v1", kv.IfNotVersion, 1), 0)
		if wantOp(t, first, nil); first.Existed {
			t.Error("a new key is said to have existed")
		}
		wantOp(t, n.do(condOp(key, "v2", kv.IfNotVersion, 7, first.Version), 0), kv.ErrConditionFailed)
		second := n.do(condOp(key, "v2", kv.IfVersion, 7, first.Version), 0)
		if wantOp(t, second, nil); !second.Existed || second.Version <= first.Version || second.Acks != 2 {
			t.Errorf("existed %v, %x after %x, %d acks", second.Existed, second.Version, first.Version, second.Acks)
		}
		wantOp(t, n.do(condOp(key, "v3", kv.IfVersion, first.Version), 0), kv.ErrConditionFailed)
		del := condOp(key, "", kv.IfVersion, second.Version)
		del.Kind = kv.OpDelete
		if o := n.do(del, 0); o.Err != nil || !o.Existed {
			t.Errorf("delete: %v, existed %v", o.Err, o.Existed)
		}
		wantOp(t, n.get(key, 0), kv.ErrNotFound)
	}
}

// The primary's answer is lost after it has stored the write. The write is asked for again under
// the same version. It succeeds: it is never said, wrongly, that the condition did not hold. Where
// the second answer is lost as well the outcome is unknown.
func TestConditionalWriteWhoseAnswerIsLost(t *testing.T) { bubble(t, testCondAnswerLost) }

func testCondAnswerLost(t *testing.T) {
	c := newCluster(t, clusterOptions{nodes: 3, replicas: 2})
	n := c.nodes[2]
	for lost, want := range []error{nil, nil, kv.ErrUnknownOutcome} {
		key := c.keyOwnedBy(lost, 0, 1)
		c.net.Between("node2", "node0", memnet.OnBatches(memnet.LoseReply(lost)))
		o := n.do(condOp(key, "v", kv.IfAbsent), kv.LevelOne)
		wantOp(t, o, want)
		if o.Existed {
			t.Errorf("%d answers lost: a new key is said to have existed", lost)
		}
		if !c.nodes[0].has(key, "v") {
			t.Errorf("%d answers lost: the primary does not hold it", lost)
		}
		poll.True(t, "node0 is up and in sync", func() bool { return n.peer(0).Up() && n.peer(0).InSync() })
	}

	// Another writer comes between: the first try may have won, so it is not
	// said that the condition failed.
	key := c.keyOwnedBy(5, 0, 1)
	first := true
	c.net.Between("node2", "node0", memnet.OnBatches(func(_ []byte, pass func() ([]byte, error)) ([]byte, error) {
		answer, err := pass()
		if first {
			first = false
			time.Sleep(time.Millisecond) // so it is the later one
			c.nodes[1].mustPut(t, key, "between", kv.LevelAll)
			return nil, memnet.ErrReset
		}
		return answer, err
	}))
	wantOp(t, n.do(condOp(key, "mine", kv.IfAbsent), kv.LevelOne), kv.ErrUnknownOutcome)
}

// While the primary is down the next owner in sync decides, and the primary
// gets the write when it is back. With no owner up nothing is decided.
func TestNextOwnerDecides(t *testing.T) { bubble(t, testNextOwnerDecides) }

func testNextOwnerDecides(t *testing.T) {
	c := newCluster(t, clusterOptions{nodes: 3, replicas: 2})
	key := c.keyOwnedBy(0, 0, 1)
	c.cut(0)
	for i, n := range c.nodes[1:] {
		wantOp(t, n.do(condOp(key, "v", kv.IfAbsent), kv.LevelLive), []error{nil, kv.ErrConditionFailed}[i])
	}
	c.cut(1)
	wantOp(t, c.nodes[2].do(condOp(key, "w", kv.IfPresent), kv.LevelOne), kv.ErrUnavailable)
	c.heal(1)
	c.heal(0)
	poll.True(t, "the primary has it", func() bool { return c.nodes[0].has(key, "v") })
}

// An owner that started empty cannot decide, and says so when it is asked
// before that is known: the next owner decides.
func TestOwnerThatIsNotInSyncDoesNotDecide(t *testing.T) { bubble(t, testUnsyncedDoesNotDecide) }

func testUnsyncedDoesNotDecide(t *testing.T) {
	c := newCluster(t, clusterOptions{nodes: 3, replicas: 2})
	key, lonely := c.keyOwnedBy(0, 0, 1), c.keyOwnedBy(1, 0, 1)
	c.nodes[2].mustPut(t, key, "v", kv.LevelAll)
	for _, to := range []string{"node1", "node2"} { // so that it stays out of sync
		c.net.Between("node0", to, func(msg []byte, pass func() ([]byte, error)) ([]byte, error) {
			if wire.KindOf(msg) == wire.KindDigests {
				return nil, memnet.ErrReset
			}
			return pass()
		})
	}
	c.nodes[0].Topology.Overtaken("a test")
	c.nodes[0].store.Drop(c.table.Partition(kv.Hash([]byte(key))))
	if o := c.nodes[2].do(condOp(key, "w", kv.IfAbsent), kv.LevelOne); !errors.Is(o.Err, kv.ErrConditionFailed) {
		t.Errorf("create of a key that is there ended with %v", o.Err)
	}
	c.net.Toward("node1", memnet.FailWith(memnet.ErrReset))
	c.waitState(1, peer.Down)
	wantOp(t, c.nodes[2].do(condOp(lonely, "w", kv.IfAbsent), kv.LevelOne), kv.ErrUnavailable)
}

// A conditional write decided by a primary whose clock is ahead is stamped
// above what it found there, so it wins over that.
func TestConditionalWriteOverOneStampedAhead(t *testing.T) { bubble(t, testCondAhead) }

func testCondAhead(t *testing.T) {
	c := newCluster(t, clusterOptions{nodes: 3, replicas: 2})
	for from, n := range c.nodes {
		key := c.keyOwnedBy(from, 0, 1)
		ahead := kv.VersionAt(time.Now().Add(time.Duration(from+1) * 15 * time.Second))
		c.nodes[0].plant(t, key, "early", ahead)
		c.nodes[1].plant(t, key, "early", ahead)
		o := n.do(condOp(key, "late", kv.IfVersion, ahead), kv.LevelAll)
		if wantOp(t, o, nil); o.Version <= ahead || !o.Existed {
			t.Errorf("stamped %x over %x, existed %v", o.Version, ahead, o.Existed)
		}
		if !c.nodes[0].has(key, "late") || !c.nodes[1].has(key, "late") {
			t.Error("not both replicas hold the later write")
		}
	}
}

// An owner that holds something newer than what the primary has decided was written to meanwhile.
// The write was done there and then overwritten, so it counts as stored.
func TestConditionalWriteThatIsOvertaken(t *testing.T) { bubble(t, testCondOvertaken) }

func testCondOvertaken(t *testing.T) {
	c := newCluster(t, clusterOptions{nodes: 3, replicas: 2})
	for from, n := range c.nodes {
		key := c.keyOwnedBy(from, 0, 1)
		c.nodes[1].plant(t, key, "newer", kv.VersionAt(time.Now().Add(50*time.Second)))
		o := n.do(condOp(key, "v", kv.IfAbsent), kv.LevelAll)
		if wantOp(t, o, nil); o.Acks != 2 || !c.nodes[1].has(key, "newer") {
			t.Errorf("%d acks, node1 holds %q", o.Acks, c.nodes[1].held(key).Value)
		}
	}
}

// The primary alone decides a condition. Another owner may be asked past it, by an earlier ring or
// over a broken link. That owner does not decide while it knows the primary to be up and in sync.
// Once the primary is down the next owner does.
func TestOnlyThePrimaryDecides(t *testing.T) { bubble(t, testOnlyThePrimary) }

func testOnlyThePrimary(t *testing.T) {
	c := newCluster(t, clusterOptions{nodes: 3, replicas: 2})
	partition := c.table.Partition(kv.Hash([]byte(c.keyOwnedBy(0, 0, 1))))
	decides := func(node int, want bool) {
		t.Helper()
		if got := c.nodes[node].Topology.MayDecide(partition); got != want {
			t.Errorf("node%d decides: %v, want %v", node, got, want)
		}
	}
	decides(0, true)
	decides(1, false)
	decides(2, false)
	c.cut(0)
	decides(1, true)
	decides(2, false)
}

// A write whose condition does not hold tells the version of the value that is there, whichever
// node decides it and is asked. It tells none if there is no value, even if there is a tombstone.
func TestFailedConditionTellsWhatIsThere(t *testing.T) { bubble(t, testFailedConditionTells) }

func testFailedConditionTells(t *testing.T) {
	c := newCluster(t, clusterOptions{nodes: 3, replicas: 2})
	for from, n := range c.nodes {
		key := c.keyOwnedBy(from, 0, 1)
		never := condOp(key, "x", kv.IfVersion, 1)
		if o := n.do(never, kv.LevelAll); o.Err != kv.ErrConditionFailed || o.Version != 0 {
			t.Errorf("node%d, no value: %v, version %x", from, o.Err, o.Version)
		}
		there := c.nodes[0].mustPut(t, key, "there", kv.LevelAll).Version
		for _, o := range []kv.Op{never, condOp(key, "x", kv.IfAbsent), condOp(key, "x", kv.IfNotVersion, there)} {
			if o = n.do(o, kv.LevelAll); o.Err != kv.ErrConditionFailed || o.Version != there {
				t.Errorf("node%d, condition %d: %v, version %x, want %x", from, o.Cond.Kind, o.Err, o.Version, there)
			}
		}
		wantOp(t, c.nodes[0].del(key, kv.LevelAll), nil)
		if o := n.do(never, kv.LevelAll); o.Err != kv.ErrConditionFailed || o.Version != 0 {
			t.Errorf("node%d, a tombstone: %v, version %x", from, o.Err, o.Version)
		}
	}
}
