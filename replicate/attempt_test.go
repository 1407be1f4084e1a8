package replicate

import (
	"sync/atomic"
	"testing"
	"time"

	"httpdhs/internal/memnet"
	"httpdhs/internal/poll"
	"httpdhs/kv"
	"httpdhs/peer"
	"httpdhs/wire"
)

// begin is the first attempt of a call, as Do makes it.
func (n *testNode) begin(call *kv.Call) (*pending, *attempt) {
	p := acquirePending(call)
	p.fence = n.board.Fence()
	return p, &attempt{Coordinator: n.Coordinator, v: n.board.Enter(), p: p, call: call}
}

// end goes on until all operations have their outcome.
func (n *testNode) end(p *pending, a *attempt) {
	for p.wait(a.call.Deadline) && a.advance() {
	}
	n.board.Leave(a.v)
	n.finish(p, a.call)
}

// The coordinator's clock is behind, so the first write of a call has to be stamped again. The
// second need not be, as the clock has caught up by then. The call still ends with the second.
func TestRestampKeepsTheOrderOfACall(t *testing.T) { bubble(t, testRestampOrder) }

func testRestampOrder(t *testing.T) {
	for _, kind := range []kv.OpKind{kv.OpPut, kv.OpDelete} {
		c := newCluster(t, 3, 2)
		n := c.nodes[2]
		key := c.keyOwnedBy(0, 1)
		ahead := kv.VersionAt(time.Now().Add(50 * time.Second))
		for i := range 2 {
			c.nodes[i].plant(t, key, "early", ahead)
		}
		call := kv.Call{
			Ops:      []kv.Op{op(kv.OpPut, key, "first"), op(kind, key, "second"), op(kv.OpGet, key, "")},
			Write:    kv.LevelAll,
			Deadline: time.Now().Add(patience),
		}
		// As Do, with the clock moving on between the operations.
		p, a := n.begin(&call)
		a.start(0)
		n.clock.Observe(ahead)
		a.start(1)
		a.start(2)
		n.end(p, a)
		wantOp(t, call.Ops[0], nil)
		wantOp(t, call.Ops[1], nil)
		if !call.Ops[1].Existed {
			t.Error("the second replaces the first, and yet it found no value")
		}
		want := "second"
		if kind == kv.OpDelete {
			want = ""
			wantOp(t, call.Ops[2], kv.ErrNotFound)
		} else {
			wantValue(t, call.Ops[2], want)
		}
		for i := range 2 {
			if got := c.nodes[i].held(key); string(got.Value) != want {
				t.Errorf("node%d ends with %q, want %q", i, got.Value, want)
			}
		}
	}
}

// A call has two writes of a key. Nobody has stored the earlier one. An owner has stored the later
// one, which is tried again. The later one keeps its place: the earlier one gets no second stamp
// above it.
func TestRetryKeepsTheOrderOfACall(t *testing.T) { bubble(t, testRetryOrder) }

func testRetryOrder(t *testing.T) {
	c := newCluster(t, 3, 2)
	n := c.nodes[2]
	key := c.keyOwnedBy(0, 1)
	call := kv.Call{
		Ops:      []kv.Op{op(kv.OpPut, key, "first"), op(kv.OpPut, key, "second")},
		Write:    kv.LevelAll,
		Deadline: time.Now().Add(patience),
	}
	p, a := n.begin(&call)
	// The first attempt: the second write was stored, the first was not, and the ring has changed.
	for i := range call.Ops {
		a.admitOp(i)
		stamp(&call.Ops[i], n.clock.Now())
		p.begin(i, &operation{round: round{phase: phaseWrite, required: 2, acks: uint8(i), concede: i == 1}})
		p.giveUp(i, kv.ErrUnavailable, true)
	}
	for i := range 2 { // another client overwrites the second
		c.nodes[i].plant(t, key, "other", n.clock.Now())
	}
	for i := range call.Ops {
		o := p.state(i)
		a.retry(i, &o, false)
	}
	n.end(p, a)
	wantOp(t, call.Ops[0], nil)
	wantOp(t, call.Ops[1], nil)
	for i := range 2 {
		if got := c.nodes[i].held(key); string(got.Value) == "first" {
			t.Errorf("node%d ends with the first write of the call", i)
		}
	}
}

// A write that is kept for owners that are down is delivered when they are back. It may be read and
// replaced then. A later attempt gives it no second stamp, or it would take effect twice.
func TestWriteKeptForOwnersThatAreDownKeepsItsStamp(t *testing.T) { bubble(t, testKeptStamp) }

func testKeptStamp(t *testing.T) {
	c := newCluster(t, 3, 2)
	n, key := c.nodes[0], c.keyOwnedBy(1, 2)
	for _, i := range []int{1, 2} {
		n.peers[i].MarkDown(memnet.ErrReset).Finish()
	}
	call := kv.Call{Write: kv.LevelLive, Deadline: time.Now().Add(patience), Ops: []kv.Op{op(kv.OpPut, key, "X")}}
	time.Sleep(time.Millisecond)
	n.board.Renew()
	time.Sleep(2 * testLease) // who was stopped for so long tries once more
	p := acquirePending(&call)
	n.attempt(p, &call, false)
	if !p.again() {
		t.Fatal("the first attempt is the last: the test shows nothing")
	}
	n.board.Renew()
	for _, i := range []int{1, 2} {
		n.peers[i].MarkBack(false)
		poll.True(t, c.nodes[i].name+" has what was kept for it", func() bool { return string(c.nodes[i].held(key).Value) == "X" })
		n.peers[i].SetInSync(true)
	}
	c.nodes[1].mustPut(t, key, "Y", kv.LevelAll)
	n.attempt(p, &call, true)
	n.finish(p, &call)
	for _, other := range c.nodes {
		wantValue(t, other.do(op(kv.OpGet, key, ""), kv.LevelQuorum), "Y")
	}
}

// A condition that was tried many times while the ring changed is stamped again like any other.
func TestConditionIsStampedAgainAfterManyAttempts(t *testing.T) { bubble(t, testDecisionAfterAttempts) }

func testDecisionAfterAttempts(t *testing.T) {
	c := newCluster(t, 3, 2)
	n := c.nodes[2]
	key := c.keyOwnedBy(0, 1)
	for i := range 2 {
		c.nodes[i].plant(t, key, "early", kv.VersionAt(time.Now().Add(5*time.Second)))
	}
	late := op(kv.OpPut, key, "late")
	late.Cond.Kind = kv.IfPresent
	call := kv.Call{Ops: []kv.Op{late}, Write: kv.LevelAll, Deadline: time.Now().Add(patience)}
	p := acquirePending(&call)
	for range unpausedRounds {
		p.giveUp(0, kv.ErrUnavailable, true)
	}
	n.attempt(p, &call, true)
	for p.again() && n.pause(call.Deadline) {
		n.attempt(p, &call, true)
	}
	n.finish(p, &call)
	wantOp(t, call.Ops[0], nil)
}

// Owners acknowledged a write to a node before a fence. The node does not acknowledge it: the write
// is tried again. A condition that the node has let pass has an unknown outcome. It is so whether
// the write is alone in its call or not.
func TestFencedOperationsAreNotAcknowledged(t *testing.T) { bubble(t, testFenced) }

func testFenced(t *testing.T) {
	for _, others := range []int{0, 100} {
		testFencedAmong(t, others)
	}
}

func testFencedAmong(t *testing.T, others int) {
	for cond, want := range map[kv.ConditionKind]error{kv.Always: nil, kv.IfAbsent: kv.ErrUnknownOutcome} {
		c := newCluster(t, 2, 2)
		n := c.nodes[0]
		put := op(kv.OpPut, c.keyOwnedBy(0, 1), "value")
		put.Cond.Kind = cond
		var batches atomic.Int32
		c.net.Between("node0", "node1", memnet.OnBatches(func(_ []byte, pass func() ([]byte, error)) ([]byte, error) {
			if batches.Add(1) == 1 {
				n.board.RaiseFence()
			}
			return pass()
		}))
		call := kv.Call{
			Ops: append([]kv.Op{put}, benchOps(others, kv.OpPut)...), Write: kv.LevelAll,
			Deadline: time.Now().Add(patience),
		}
		n.Do(&call)
		wantOp(t, call.Ops[0], want)
		if want == nil && batches.Load() < 2 {
			t.Errorf("among %d others, it is acknowledged without having been tried again", others)
		}
	}
}

// An owner says that it is none, so the write went by an old ring. It is tried again, though this
// node has stored it and its level asks for no more.
func TestWriteByAnOldRingIsTriedAgain(t *testing.T) { bubble(t, testOldRing) }

func testOldRing(t *testing.T) {
	c := newCluster(t, 2, 2)
	var batches atomic.Int32
	c.net.Between("node0", "node1", memnet.OnBatches(func(_ []byte, pass func() ([]byte, error)) ([]byte, error) {
		if batches.Add(1) == 1 {
			return wire.AppendResult(wire.OpenBatch(nil), &wire.Result{Code: wire.NotOwner}), nil
		}
		return pass()
	}))
	c.nodes[0].mustPut(t, c.keyOwnedBy(0, 1), "value", kv.LevelLive)
	if batches.Load() < 2 {
		t.Error("it is acknowledged without having been tried again")
	}
}

// No more than one read in twenty asks a second owner, but for hedges that were saved up. These are
// bounded too, however many reads there were.
func TestHedgesAreBounded(t *testing.T) {
	var reads Counters
	b := budget{earned: &reads.Reads}
	for i, want := range []int{hedgeBurst, 10, hedgeBurst} {
		reads.Reads.Add([]int64{0, 10 * hedgeShare, 1000 * hedgeBurst * hedgeShare}[i])
		hedges := 0
		for b.has(1) && b.spend(1) {
			hedges++
		}
		if hedges != want || b.spend(1) {
			t.Errorf("step %d: %d hedges, want %d", i, hedges, want)
		}
	}
}

// A round waits for what it has to, and for no more.
func TestWhenARoundIsDecided(t *testing.T) {
	for name, c := range map[string]struct {
		round round
		want  bool
	}{
		"nobody is waited for":          {round{required: 2}, true},
		"too few":                       {round{required: 2, acks: 1, waiting: 1}, false},
		"enough":                        {round{required: 2, acks: 2, waiting: 1}, true},
		"enough, but for all that live": {round{required: 1, acks: 2, waiting: 1, live: true}, false},
		"by each ring":                  {round{required: 1, extra: 1, acks: 1, waiting: 1}, false},
		"overwritten, not seen":         {round{required: 1, newer: 1, waiting: 1}, false},
		"overwritten, stored elsewhere": {round{required: 2, newer: 1, acks: 1, waiting: 1, concede: true}, true},
		"overwritten, stored by others": {round{required: 1, extra: 1, newer: 1, acks: 1, waiting: 1}, false},
		"overwritten, conceded":         {round{required: 1, newer: 1, waiting: 1, concede: true}, true},
		"a quorum that is behind":       {round{phase: phaseQuorum, required: 1, acks: 1, waiting: 1, behind: true}, false},
	} {
		if got := c.round.decided(); got != c.want {
			t.Errorf("%s: decided is %v", name, got)
		}
	}
}

var _ peer.Waiter = (*pending)(nil)

// What an answer was held back for fails if it cannot wait so long. While the ring changes that is
// every write, also one that as many owners have as there are replicas: these may be of two rings.
func TestWhatWasHeldBackFails(t *testing.T) {
	for _, moving := range []bool{false, true} {
		call := kv.Call{Ops: []kv.Op{{Kind: kv.OpPut, Record: kv.Record{Key: []byte("k"), Entry: kv.Entry{Version: 7}}, Replicas: 2}}}
		p := acquirePending(&call)
		p.moving = moving
		p.begin(0, &operation{round: round{required: 1, acks: 2}})
		p.end(0, nil)
		held := p.lastPartial(&call) != 0
		p.failPartial(&call, kv.ErrTimeout)
		if failed := p.state(0).err != nil; held != moving || failed != held {
			t.Errorf("moving %t: held back %t, and it fails: %t", moving, held, failed)
		}
	}
}
