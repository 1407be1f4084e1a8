package topology

import (
	"testing"
	"time"

	"httpdhs/internal/memnet"
	"httpdhs/internal/poll"
	"httpdhs/kv"
	"httpdhs/peer"
	"httpdhs/wire"
)

// claimTime is more than a claim takes that nothing stands against.
const claimTime = time.Second

// holdsTarget says whether the node has authority for the ring to come.
func (n *testNode) holdsTarget() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.mu.rings.state.Holds(n.mu.rings.target)
}

// countsOn says whether the node states that it counts on node j.
func (n *testNode) countsOn(c *cluster, j int) bool {
	return n.node(c, j).sight().Counts
}

// A node claims no ring before all that are up have answered that they write to it. Else it would
// miss what a node acknowledges that does not write to it.
func TestClaimWaitsForAllThatAreUp(t *testing.T) { bubble(t, testClaimWaitsForAll) }

func testClaimWaitsForAll(t *testing.T) {
	c := newCluster(t, 3)
	n := c.nodes[0]
	n.set(t, c.members(2, 2))
	time.Sleep(claimTime)
	if n.holdsTarget() {
		t.Error("it has authority for a ring of members that another has not heard of")
	}
	c.nodes[1].set(t, c.members(2, 2))
	poll.True(t, "it has authority once the other has", n.holdsTarget)
}

// A member that was down is counted on once it has been sent all its hints. It gets no authority
// before: else it would say of what is on its way that it does not exist.
func TestMemberIsCountedOnOnceItHasWhatWasKept(t *testing.T) { bubble(t, testHasWhatWasKept) }

func testHasWhatWasKept(t *testing.T) {
	c := newCluster(t, 3)
	n, back := c.nodes[0], c.nodes[2]
	for _, other := range c.nodes[:2] {
		c.net.Between(other.name, back.name, memnet.FailWith(memnet.ErrReset))
		poll.True(t, "it is down", other.node(c, 2).down)
	}
	kept := kv.Record{Key: []byte("key"), Entry: kv.Entry{Version: kv.VersionAt(time.Now()), Value: []byte("value")}}
	n.node(c, 2).peer.Apply([]peer.Write{{Record: &kept}}, false, false)
	records := memnet.NewGate(t)
	c.net.Between(c.nodes[1].name, back.name, nil)
	c.net.Between(n.name, back.name, memnet.OnBatches(func(msg []byte, _ func() ([]byte, error)) ([]byte, error) {
		return records.Hold(msg, func() ([]byte, error) {
			return wire.AppendResult(wire.OpenBatch(nil), &wire.Result{Code: wire.Stored}), nil
		})
	}))
	records.Wait(t, 1)
	time.Sleep(claimTime)
	if n.countsOn(c, 2) || back.board.InSync() {
		t.Error("it is counted on, or in sync, before it has what was kept for it")
	}
	records.Open()
	c.rest()
	poll.True(t, "it is counted on", func() bool { return n.countsOn(c, 2) })
}

// A member that was restarted is counted on once the operations are over that began before it was
// heard. What they have stored in its earlier process is lost.
func TestRestartedMemberIsCountedOnOnceOperationsAreOver(t *testing.T) {
	bubble(t, testOnceOperationsAreOver)
}

func testOnceOperationsAreOver(t *testing.T) {
	c := newCluster(t, 3)
	n := c.nodes[0]
	began := n.board.Enter()
	c.kill(2)
	back := c.boot(2, 777, c.members(-1, 1))
	poll.True(t, "it is heard", func() bool { return n.Boot(n.node(c, 2).peer) == 777 && n.node(c, 2).peer.Up() })
	time.Sleep(claimTime)
	if n.countsOn(c, 2) || back.board.InSync() {
		t.Error("it is counted on, or in sync, while an operation goes on that may count on its earlier life")
	}
	n.board.Leave(began)
	c.rest()
	poll.True(t, "it is counted on", func() bool { return n.countsOn(c, 2) })
}

// Others may have gone on without a node: it was evicted, or was a cluster of its own. It gives up
// all authority, whoever has told it. It gets it again by a claim.
func TestOvertakenNodeHasNoAuthority(t *testing.T) { bubble(t, testOvertaken) }

func testOvertaken(t *testing.T) {
	c := newCluster(t, 3)
	n := c.nodes[0]
	for other := 1; other <= 2; other++ { // or it would claim again at once
		c.cut(0, other)
		poll.True(t, "it is down", n.node(c, other).down)
	}
	if !n.board.InSync() {
		t.Fatal("it is not in sync already: the test shows nothing")
	}
	n.Overtaken("a test")
	if said, _ := n.statement(nil, false); n.board.InSync() || len(said.Said.Holds) > 0 {
		t.Errorf("it has authority for %d rings", len(said.Said.Holds))
	}
	c.net.Clear()
	c.rest()
}

// A node that gave up its authority tells all others at once. Their answers are what its next claim
// waits for. It does not wait for the pause between two probes: it is not ready meanwhile.
func TestOvertakenNodeIsBackSoon(t *testing.T) { bubble(t, testBackSoon) }

func testBackSoon(t *testing.T) {
	c := newClusterOf(t, 3, func(c *cluster) {
		c.adjust = func(o *Options) { o.ProbeEvery = ProbeEveryMax }
	})
	n := c.nodes[0]
	for _, since := range []time.Duration{0, ProbeEveryMax / 3, ProbeEveryMax / 2} { // the last probe
		time.Sleep(5*ProbeEveryMax + since)
		n.Overtaken("a test")
		began := time.Now()
		poll.True(t, "it is in sync again", n.board.InSync)
		if took := time.Since(began); took > 4*unsettledProbe {
			t.Errorf("it took %v", took)
		}
	}
}
