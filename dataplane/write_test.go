package dataplane

import (
	"fmt"
	"testing"
	"time"

	"httpdhs/internal/memnet"
	"httpdhs/internal/poll"
	"httpdhs/kv"
	"httpdhs/peer"
)

// level is a level of writing and what is to come of it.
type levelCase struct {
	level    kv.Level
	err      error
	required int
}

// Exactly the replicas that a level names meet it. Those that are down never count, though the
// record is kept for them. A level that cannot be met is refused without waiting for its deadline.
// Live does not wait for replicas that are down.
func TestWriteLevelsCountReplicasThatStored(t *testing.T) {
	levels := func(one, two, three error) []levelCase {
		return []levelCase{
			{kv.LevelOne, one, 1}, {kv.LevelQuorum, two, 2}, {kv.LevelAll, three, 3}, {kv.LevelLive, one, 1}, {0, one, 1},
			{1, one, 1}, {2, two, 2}, {3, three, 3}, {4, kv.ErrLevel, 4},
		}
	}
	un := kv.ErrUnavailable
	for down, cases := range [][]levelCase{
		levels(nil, nil, nil),
		levels(nil, nil, un),
		levels(nil, un, un),
		levels(un, un, un),
	} {
		bubble(t, func(t *testing.T) {
			c := newCluster(t, clusterOptions{nodes: 4, replicas: 3})
			key := c.keyOwnedBy(0, 0, 1, 2)
			for i := range down {
				c.cut(2 - i)
			}
			for n, lc := range cases {
				value := fmt.Sprintf("%d-%d", down, n)
				o := c.nodes[3].put(key, value, lc.level)
				wantOp(t, o, lc.err)
				if lc.level == kv.LevelLive || lc.level == 0 {
					lc.required = max(1, 3-down) // every replica that is up
				}
				if o.Required != lc.required || o.Replicas != 3 {
					t.Fatalf("level %d: required %d of %d, want %d of 3", lc.level, o.Required, o.Replicas, lc.required)
				}
				if o.Acks > 3-down || (o.Err == nil && o.Acks < o.Required) {
					t.Fatalf("level %d: %d acks with %d of 3 down", lc.level, o.Acks, down)
				}
				if (lc.level == kv.LevelLive || lc.level == kv.LevelAll) && o.Err == nil && o.Acks != 3-down {
					t.Fatalf("level %d: %d acks, want %d", lc.level, o.Acks, 3-down)
				}
			}
			last := c.nodes[3].put(key, "last", kv.LevelLive) // what is known of it is not lost either
			for i := range down {
				c.heal(2 - i)
			}
			for i := range 3 {
				poll.True(t, fmt.Sprintf("node%d has the last write (%v)", i, last.Err), func() bool { return c.nodes[i].has(key, "last") })
			}
		})
	}
}

// At level all a write is not answered before the slowest replica has stored it. At level one it
// is.
func TestLevelAllWaitsForTheSlowest(t *testing.T) { bubble(t, testLevelAllWaitsForTheSlowest) }

func testLevelAllWaitsForTheSlowest(t *testing.T) {
	c := newCluster(t, clusterOptions{nodes: 3, replicas: 3})
	slow := memnet.NewGate(t)
	c.net.Between("node0", "node2", memnet.OnBatches(slow.Hold))
	key := c.keyOwnedBy(0, 0, 1, 2)

	wantOp(t, c.nodes[0].put(key, "one", kv.LevelOne), nil)
	slow.Wait(t, 1)
	done := make(chan kv.Op, 1)
	go func() { done <- c.nodes[0].put(key, "all", kv.LevelAll) }()
	poll.True(t, "the quick replica has it", func() bool { return c.nodes[1].has(key, "all") })
	select {
	case o := <-done:
		t.Fatalf("answered (%v) while node2 holds %q", o.Err, c.nodes[2].held(key).Value)
	default:
	}
	slow.Open()
	o := <-done
	if wantOp(t, o, nil); o.Acks != 3 || !c.nodes[2].has(key, "all") {
		t.Fatalf("%d acks, node2 holds %q", o.Acks, c.nodes[2].held(key).Value)
	}
}

// A replica that dies while a write is under way to it no longer counts. A write at level live ends
// with the acks of the others, and one at level all fails. Neither waits for its deadline.
func TestReplicaThatDiesInFlight(t *testing.T) { bubble(t, testReplicaThatDiesInFlight) }

func testReplicaThatDiesInFlight(t *testing.T) {
	for _, tc := range []levelCase{{kv.LevelLive, nil, 1}, {kv.LevelAll, kv.ErrUnavailable, 3}, {kv.LevelQuorum, nil, 2}} {
		c := newCluster(t, clusterOptions{nodes: 3, replicas: 3})
		key := c.keyOwnedBy(0, 0, 1, 2)
		hold := memnet.NewGate(t)
		c.net.Between("node0", "node2", memnet.OnBatches(hold.Hold))
		done := make(chan kv.Op, 1)
		go func() { done <- c.nodes[0].put(key, "v", tc.level) }()
		hold.Wait(t, 1)
		c.net.Between("node0", "node2", memnet.FailWith(memnet.ErrReset)) // pings too
		o := <-done
		if wantOp(t, o, tc.err); o.Acks != 2 && tc.level != kv.LevelAll {
			t.Fatalf("level %d: %d acks, want 2", tc.level, o.Acks)
		}
	}
}

// A peer is recovering: more is kept for it than it was sent yet. It takes writes. Live does not
// wait for it, and all does.
func TestLiveDoesNotWaitForWhoeverRecovers(t *testing.T) {
	bubble(t, testLiveDoesNotWaitForWhoeverRecovers)
}

func testLiveDoesNotWaitForWhoeverRecovers(t *testing.T) {
	c := newCluster(t, clusterOptions{nodes: 3, replicas: 3})
	key := c.keyOwnedBy(0, 0, 1, 2)
	c.cut(2)
	big := string(make([]byte, peer.BatchBytes))
	for i := range 4 { // batches of their own
		wantOp(t, c.nodes[0].put(fmt.Sprintf("big%d", i), big, kv.LevelLive), nil)
	}
	hold := memnet.NewGate(t)
	c.net.Toward("node2", memnet.OnBatches(hold.Hold))
	c.nodes[0].Topology.Probe(c.nodes[0].peer(2))
	hold.Wait(t, 1)
	if s := c.nodes[0].peer(2).State(); s != peer.Recovering {
		t.Fatalf("node2 is %v with hints of several batches to send", s)
	}
	if o := c.nodes[0].put(key, "live", kv.LevelLive); o.Err != nil || o.Acks != 2 {
		t.Fatalf("live: %v, %d acks", o.Err, o.Acks)
	}
	done := make(chan kv.Op, 1)
	go func() { done <- c.nodes[0].put(key, "all", kv.LevelAll) }()
	poll.True(t, "node1 has it", func() bool { return c.nodes[1].has(key, "all") })
	hold.Open()
	if o := <-done; o.Err != nil || o.Acks != 3 {
		t.Fatalf("all: %v, %d acks", o.Err, o.Acks)
	}
	c.waitState(2, peer.Up)
}

// A write that is made after another wins at every replica, even if its coordinator's clock is far
// behind the other's. That holds at every level that meets the earlier write, whichever replicas
// answer first. It also holds where one owner is slower than those that have something newer.
func TestLaterWriteWinsWhateverTheClocksSay(t *testing.T) {
	bubble(t, testLaterWriteWinsWhateverTheClocksSay)
}

func testLaterWriteWinsWhateverTheClocksSay(t *testing.T) {
	for _, w := range []kv.Level{kv.LevelLive, kv.LevelQuorum, kv.LevelAll} {
		for _, slow := range []string{"", "node2"} {
			c := newCluster(t, clusterOptions{nodes: 4, replicas: 3})
			key := c.keyOwnedBy(0, 0, 1, 2)
			ahead := kv.VersionAt(time.Now().Add(50 * time.Second))
			for i := range 3 {
				c.nodes[i].plant(t, key, "early", ahead)
			}
			hold := memnet.NewGate(t)
			if slow != "" {
				c.net.Between("node3", slow, memnet.OnBatches(hold.Hold))
			}
			behind := c.nodes[3]
			done := make(chan kv.Op, 1)
			go func() { done <- behind.put(key, "late", w) }()
			if slow != "" {
				hold.Wait(t, 1)
				hold.Open()
			}
			wantOp(t, <-done, nil)
			for i := range 3 {
				poll.True(t, fmt.Sprintf("node%d has the later write (w=%d, slow %q)", i, w, slow),
					func() bool { return c.nodes[i].has(key, "late") })
			}
			if n := behind.Restamps.Load(); n != 1 {
				t.Errorf("%d restamps, want 1", n)
			}
		}
	}
}

// A write tells whether a value was there before it, also where it was sent twice because the first
// answer was lost.
func TestExistedIsWhatWasThereBefore(t *testing.T) { bubble(t, testExistedIsWhatWasThereBefore) }

func testExistedIsWhatWasThereBefore(t *testing.T) {
	c := newCluster(t, clusterOptions{nodes: 3, replicas: 2})
	key := c.keyOwnedBy(0, 0, 1)
	n := c.nodes[2]
	for i, want := range []bool{false, true} {
		c.net.Between("node2", "node0", memnet.OnBatches(memnet.LoseReply(1)))
		c.net.Between("node2", "node1", nil)
		if o := n.mustPut(t, key, fmt.Sprint(i), kv.LevelAll); o.Existed != want {
			t.Errorf("put %d: existed %v, want %v", i, o.Existed, want)
		}
	}
	if o := n.del(key, kv.LevelAll); !o.Existed || o.Err != nil {
		t.Errorf("delete of a value: existed %v, %v", o.Existed, o.Err)
	}
	if o := n.del(key, kv.LevelAll); o.Existed || o.Err != nil {
		t.Errorf("delete of a tombstone: existed %v, %v", o.Existed, o.Err)
	}
}

// A replica without memory fails a write whose level needs that replica, and the error says why. It
// does not fail a write whose level does not need it.
func TestReplicaWithoutMemory(t *testing.T) { bubble(t, testReplicaWithoutMemory) }

func testReplicaWithoutMemory(t *testing.T) {
	c := newCluster(t, clusterOptions{nodes: 3, replicas: 3, maxBytes: map[int]int64{1: 1}})
	key := c.keyOwnedBy(0, 0, 1, 2)
	wantOp(t, c.nodes[0].put(key, "v", kv.LevelLive), kv.ErrNoMemory)
	wantOp(t, c.nodes[0].put(key, "v", kv.LevelAll), kv.ErrNoMemory)

	// The refusal comes first, and then the second of two acks.
	hold := memnet.NewGate(t)
	c.net.Between("node0", "node2", memnet.OnBatches(hold.Hold))
	refusals := c.nodes[0].peer(1).SentRecords.Load()
	done := make(chan kv.Op, 1)
	go func() { done <- c.nodes[0].put(key, "v", kv.LevelQuorum) }()
	hold.Wait(t, 1)
	poll.True(t, "node1 has refused it", func() bool { return c.nodes[0].peer(1).SentRecords.Load() > refusals })
	hold.Open()
	wantOp(t, <-done, nil)
}

// An operation that is refused as an overload has no effect anywhere. One that does not go through
// the full queue is carried out.
func TestOverloadHasNoEffect(t *testing.T) { bubble(t, testOverloadHasNoEffect) }

func testOverloadHasNoEffect(t *testing.T) {
	c := newCluster(t, clusterOptions{nodes: 3, replicas: 2, queueBytes: 10000})
	local, shared, remote := c.keyOwnedBy(0, 0, 2), c.keyOwnedBy(0, 0, 1), c.keyOwnedBy(0, 1, 2)
	c.nodes[0].mustPut(t, shared, "before", kv.LevelAll)
	hold := memnet.NewGate(t)
	c.net.Between("node0", "node1", memnet.OnBatches(hold.Hold))
	c.nodes[0].mustPut(t, shared, "flies", kv.LevelOne)
	hold.Wait(t, 1)
	c.nodes[0].mustPut(t, c.keyOwnedBy(1, 0, 1), string(make([]byte, 20000)), kv.LevelOne)

	wantOp(t, c.nodes[0].put(shared, "over", kv.LevelOne), kv.ErrOverloaded)
	cond := op(kv.OpPut, remote, "over")
	cond.Cond.Kind = kv.IfAbsent
	wantOp(t, c.nodes[0].do(cond, kv.LevelOne), kv.ErrOverloaded)
	wantOp(t, c.nodes[0].get(remote, kv.LevelOne), kv.ErrOverloaded)
	wantOp(t, c.nodes[0].put(local, "v", kv.LevelAll), nil)
	wantValue(t, c.nodes[0].get(shared, kv.LevelOne), "flies") // needs no queue
	if n := c.nodes[0].Overloads.Load(); n != 3 {
		t.Errorf("%d overloads counted, want 3", n)
	}
	hold.Open()
	poll.True(t, "the queue is empty", func() bool { return c.nodes[0].Topology.Drain(t.Context()) == nil })
	for i, n := range c.nodes {
		if n.has(shared, "over") || n.held(remote).Exists() {
			t.Errorf("node%d holds what was refused", i)
		}
	}
}
