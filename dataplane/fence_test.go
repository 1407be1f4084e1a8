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
	"httpdhs/topology"
	"httpdhs/wire"
)

// A member that was cut off, with its memory kept, lacks what the others acknowledged meanwhile.
// Their queues may have dropped it. Once they talk again no node says that such a key is absent:
// neither the member itself, nor others that would ask it, nor a listing. And a key that exists is
// not created again.
func TestCutOffMemberIsAskedOnlyWhenItHasCaughtUp(t *testing.T) { bubble(t, testCutOff) }

func testCutOff(t *testing.T) {
	c := newCluster(t, clusterOptions{nodes: 3, replicas: 2, queueBytes: 2 * peer.BatchBytes})
	const keys = 200
	c.cut(2)
	for i := range keys {
		c.nodes[i%2].mustPut(t, fmt.Sprint("missed", i), "v", kv.LevelLive)
	}
	large := string(make([]byte, peer.BatchBytes-100))
	for i := range 20 { // push the small ones out of the queues
		c.nodes[i%2].mustPut(t, fmt.Sprint("large", i), large, kv.LevelLive)
	}
	if c.nodes[0].peer(2).DroppedRecords.Load() == 0 {
		t.Fatal("no hint was dropped: the test shows nothing")
	}
	c.heal(2)
	check := func() {
		for n, node := range c.nodes {
			for i := range keys {
				switch o := node.get(fmt.Sprint("missed", i), kv.LevelOne); o.Err {
				case nil, kv.ErrAbsenceUnknown, kv.ErrUnavailable:
				default:
					t.Fatalf("node%d says of a key that exists: %v", n, o.Err)
				}
			}
			page, err := node.List(&kv.ListRequest{Prefix: []byte("missed"), Limit: 1000, Deadline: time.Now().Add(time.Second)})
			if err == nil && !page.More && len(page.Records) != keys {
				t.Fatalf("node%d lists %d of %d keys", n, len(page.Records), keys)
			}
			created := node.do(condOp("missed0", "again", kv.IfAbsent), kv.LevelLive)
			if created.Err == nil {
				t.Fatalf("node%d creates a key that exists", n)
			}
		}
	}
	for range 20 {
		check()
		time.Sleep(time.Millisecond)
	}
	c.rest()
	check()
	for i := range keys {
		key := fmt.Sprint("missed", i)
		for _, owner := range c.ownersOf(key) {
			if !c.nodes[owner].has(key, "v") {
				t.Errorf("node%d is in sync and lacks %s", owner, key)
			}
		}
	}
}

// A node was stopped for so long that others may have taken it for down. It does not trust itself
// from the first request on, before any of them tells it.
func TestStoppedNodeDoesNotTrustItself(t *testing.T) { bubble(t, testStopped) }

func testStopped(t *testing.T) {
	// Probers that sleep for so long are as if the process had been stopped.
	c := newCluster(t, clusterOptions{nodes: 3, replicas: 2, probeEvery: 2 * topology.SilenceMax})
	n := c.nodes[0]
	poll.True(t, "no ring is changing", n.Board.Stable)
	poll.True(t, "it does not trust itself after a pause", func() bool { return !n.Board.InSync() })
	fence := n.Board.Fence()
	poll.True(t, "it has been through another pass", func() bool { return n.Board.Fence() > fence && n.Board.InSync() })
}

// A clock far ahead is not followed, whoever brings it: a message, a record, a
// read, a peer. The record is refused and counted, the peer is not a member, and the
// node's own stamps stay where they were.
func TestClockFarAheadIsNotFollowed(t *testing.T) { bubble(t, testFarAhead) }

func testFarAhead(t *testing.T) {
	c := newCluster(t, clusterOptions{nodes: 3, replicas: 2})
	n := c.nodes[0]
	far := kv.VersionAt(time.Now().Add(2 * kv.MaxAhead))
	for _, clock := range []kv.Version{far, ^kv.Version(0)} {
		msg := wire.OpenBatch(nil)
		wire.SetClock(msg, clock)
		msg = wire.AppendApply(msg, &kv.Record{Key: []byte("k"), Entry: kv.Entry{Version: clock, Value: []byte("v")}})
		answer, err := n.Exchange(nil, msg)
		if err != nil {
			t.Fatal(err)
		}
		if r, _, err := wire.NextResult(answer[wire.BatchHead:]); err != nil || r.Code != wire.TooFarAhead {
			t.Errorf("a record stamped far ahead: result %d, %v", r.Code, err)
		}
	}
	if n.held("k") != nil && n.held("k").Exists() {
		t.Error("a record stamped far ahead is held")
	}
	if got := n.Refused.Load(); got != 2 {
		t.Errorf("%d refused records counted, want 2", got)
	}
	key := c.keyOwnedBy(0, 0, 1)
	c.nodes[1].plant(t, key, "of a wrong clock", far)
	n.getWithin(50*time.Millisecond, key, kv.LevelAll)
	if n.held(key).Exists() {
		t.Error("a record stamped far ahead, that was read from another, is held")
	}
	o := n.mustPut(t, "k", "mine", kv.LevelLive)
	if o.Version >= far {
		t.Errorf("the node stamps %v, after a message said %v", o.Version.Time(), far.Time())
	}
}

// A value that a get found beyond its call's bound is refused to the client, and
// is never written anywhere without its bytes: not to an owner that a read of
// many found behind, and not to this node when it fills itself up.
func TestRefusedValueIsNotSpread(t *testing.T) { bubble(t, testRefusedValue) }

func testRefusedValue(t *testing.T) {
	c := newCluster(t, clusterOptions{nodes: 3, replicas: 2})
	first, second := c.keyOwnedBy(0, 0, 1), c.keyOwnedBy(1, 0, 1)
	large := string(make([]byte, 1000))
	c.nodes[0].mustPut(t, first, large, kv.LevelAll)
	c.nodes[0].plant(t, second, large, planted(1)) // node1 is behind
	for name, read := range map[string]struct {
		at     int
		level  kv.Level
		unsync bool
	}{"many": {2, kv.LevelAll, false}, "one, not in sync": {1, kv.LevelOne, true}} {
		n := c.nodes[read.at]
		if read.unsync {
			n.forget()
		}
		call := kv.Call{Read: read.level, MaxBytes: 1500, Deadline: time.Now().Add(time.Second),
			Ops: []kv.Op{op(kv.OpGet, first, ""), op(kv.OpGet, second, "")}}
		n.Do(&call)
		if call.Ops[0].Err != nil || call.Ops[1].Err != kv.ErrAnswerFull {
			t.Errorf("%s: %v and %v", name, call.Ops[0].Err, call.Ops[1].Err)
		}
		if e := c.nodes[1].held(second); e.Exists() && len(e.Value) != len(large) {
			t.Errorf("%s: node1 holds %d bytes of %d", name, len(e.Value), len(large))
		}
		n.remember()
	}
}

// A peer that took this node for down, and was restarted before they spoke
// again, cannot tell. What it had written elsewhere meanwhile is found all the
// same, by a look at the others.
func TestMissedThroughAPeerThatWasRestarted(t *testing.T) { bubble(t, testMissedThroughRestarted) }

func testMissedThroughRestarted(t *testing.T) {
	c := newCluster(t, clusterOptions{nodes: 3, replicas: 2})
	key := c.keyOwnedBy(0, 0, 2)
	for _, link := range [][2]string{{"node0", "node1"}, {"node1", "node0"}} {
		c.net.Between(link[0], link[1], memnet.FailWith(memnet.ErrReset))
	}
	poll.True(t, "node1 takes node0 for down", func() bool { return c.nodes[1].peer(0).State() == peer.Down })
	c.nodes[1].mustPut(t, key, "v", kv.LevelLive)
	if c.nodes[0].has(key, "v") {
		t.Fatal("node0 has it: the test shows nothing")
	}
	c.kill(1)
	c.net.Clear()
	c.boot(1, 77, clusterOptions{})
	began := time.Now()
	poll.True(t, "node0 has what it missed", func() bool { return c.nodes[0].has(key, "v") })
	if waited := time.Since(began); waited > 10*time.Second/2 {
		t.Errorf("it took %v of virtual time: it was chance that found it", waited)
	}
}

// A primary decided a condition while others took it for down and went on without it. When it has
// heard of that, it does not acknowledge the write. Of two creates one succeeds.
func TestDecisionThatOthersHaveGoneOnWithout(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, clusterOptions{nodes: 3, replicas: 2})
		key := c.keyOwnedBy(0, 0, 1)
		names := []string{c.nodes[0].name, c.nodes[1].name, c.nodes[2].name}
		writes := memnet.NewGate(t)
		c.net.Between(names[0], names[1], memnet.OnBatches(writes.Hold))
		var first error
		var done sync.WaitGroup
		done.Go(func() { first = c.nodes[0].do(condOp(key, "first", kv.IfAbsent), kv.LevelLive).Err })
		writes.Wait(t, 1)
		for _, n := range []int{1, 2} {
			c.net.Between(names[n], names[0], memnet.FailWith(errors.New("connection refused")))
		}
		for _, n := range []int{1, 2} {
			poll.True(t, "it is seen down", func() bool { return c.nodes[n].peer(0).State() == peer.Down })
		}
		second := c.nodes[2].do(condOp(key, "second", kv.IfAbsent), kv.LevelLive).Err
		poll.True(t, "it has heard of that", func() bool { return c.nodes[0].Board.Fence() > 0 })
		c.net.Clear()
		writes.Open()
		done.Wait()
		if second != nil || first == nil {
			t.Errorf("the creates end with %v and %v", first, second)
		}
	})
}
