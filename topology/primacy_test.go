package topology

import (
	"testing"
	"time"

	"httpdhs/internal/poll"
	"httpdhs/wire"
)

// A primary epoch is acknowledged again by who has taken its node for one that is not in sync
// meanwhile: what began then may have asked another.
func TestEpochIsAcknowledgedAgainAfterADoubt(t *testing.T) { bubble(t, testAfterADoubt) }

func testAfterADoubt(t *testing.T) {
	c := newCluster(t, 3)
	n, m := c.nodes[0], c.nodes[0].node(c, 1)
	acknowledged := func() uint64 {
		m.mu.Lock()
		defer m.mu.Unlock()
		return m.acknowledgedEpochLocked()
	}
	poll.True(t, "its epoch is acknowledged", func() bool { return acknowledged() != 0 })
	n.mu.Lock() // nobody else judges meanwhile
	look := func(inSync bool) {
		m.peer.SetInSync(inSync)
		for n.mu.acknowledgeEpochs() {
			n.mu.rings.retire(n.board.View())
		}
	}
	look(false)
	began := n.board.Enter()
	look(true)
	if got := acknowledged(); got != 0 {
		t.Errorf("epoch %d is acknowledged while what began in doubt goes on", got)
	}
	n.mu.Unlock()
	n.board.Leave(began)
	poll.True(t, "its epoch is acknowledged again", func() bool { return acknowledged() != 0 })
}

// An epoch that began while a member was down is acknowledged by that one too before anything is
// decided in it: until then it may decide in this node's place.
func TestEpochWaitsForWhoComesBack(t *testing.T) { bubble(t, testWaitsForWhoComesBack) }

func testWaitsForWhoComesBack(t *testing.T) {
	c := newCluster(t, 3)
	n, m := c.nodes[0], c.nodes[0].node(c, 1)
	c.cut(0, 1)
	poll.True(t, "it is down", m.down)
	time.Sleep(2 * askedFor)
	n.mu.Lock() // nobody else judges meanwhile
	defer n.mu.Unlock()
	look := func(epoch uint64) bool {
		m.mu.Lock()
		m.belief.ping.Sees = wire.Sight{Boot: m.belief.self, PrimaryEpoch: epoch}
		m.mu.Unlock()
		for n.mu.acknowledgeEpochs() {
			n.mu.rings.retire(n.board.View())
		}
		return n.primacy.acknowledged()
	}
	if !look(0) {
		t.Fatal("it waits for one that is down")
	}
	n.primacy.arrives()
	if n.primacy.acknowledged() {
		t.Error("it decides when one is back, before it has looked at it")
	}
	m.mu.Lock()
	m.peer.MarkBack(true)
	m.mu.Unlock()
	if look(0) {
		t.Error("it decides before the one that is back has acknowledged its epoch")
	}
	if !look(n.primacy.epoch.Load()) {
		t.Error("it does not decide, though all have acknowledged its epoch")
	}
	if look(0) {
		t.Error("it decides, though one acknowledges its epoch no more, as if restarted before it was found down")
	}
}
