package topology

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"httpdhs/internal/memnet"
	"httpdhs/internal/poll"
	"httpdhs/kv"
)

// hold has nothing pass between two nodes until the gate is opened.
func (c *cluster) hold(i, j int) *memnet.Gate {
	g := memnet.NewGate(c.t)
	a, b := c.table.Nodes()[i].Name, c.table.Nodes()[j].Name
	c.net.Between(a, b, g.Hold)
	c.net.Between(b, a, g.Hold)
	return g
}

// A node that starts does not coordinate without a member that hangs before it has taken it for
// down. So the member hears of it when it goes on, and gives up its authority.
func TestUnheardMemberHasToBeDown(t *testing.T) {
	for _, nodes := range []int{3, 16} {
		t.Run(fmt.Sprint(nodes), func(t *testing.T) {
			bubble(t, func(t *testing.T) { testUnheard(t, nodes) })
		})
	}
}

func testUnheard(t *testing.T, nodes int) {
	c := newCluster(t, nodes)
	c.kill(0)
	other := 2
	for nodes > bothAskMost && !asker("node0", c.table.Nodes()[other].Name) {
		other++
	}
	hangs := c.nodes[other]
	poll.True(t, "node0 is found down", func() bool { return !hangs.Live("node0") })
	before := hangs.board.Fence()
	gate := c.hold(0, other)
	n := c.boot(0, 999, c.members(-1, 1))
	poll.True(t, "node0 may coordinate", n.board.Ready)
	if m := n.find(hangs.name); m.suspicion() == 0 || !m.down() {
		t.Errorf("it goes on without %s, of which it has suspicion epoch %d", hangs.name, m.suspicion())
	}
	c.net.Clear()
	gate.Open()
	c.rest()
	if hangs.board.Fence() == before {
		t.Errorf("%s has not heard that node0 went on without it", hangs.name)
	}
}

// A member that is dead does not keep a node that starts from work for longer in a large cluster,
// where others may start too. A member that is in sync shows that they do not.
func TestDeadMemberAtAStart(t *testing.T) {
	for _, nodes := range []int{13, 20} {
		t.Run(fmt.Sprint(nodes), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newCluster(t, nodes)
				dead := 1
				for nodes > bothAskMost && asker("node0", c.table.Nodes()[dead].Name) {
					dead++
				}
				c.kill(dead)
				c.kill(0)
				time.Sleep(10 * time.Second)
				began := time.Now()
				n := c.boot(0, 999, c.members(-1, 1))
				poll.True(t, "it may coordinate", n.board.Ready)
				if took := time.Since(began); took > SilenceMax/4 {
					t.Errorf("it may coordinate after %s", took)
				}
			})
		})
	}
}

// A node that starts has no vote on members that it has not asked yet, however long its start takes
// and however soon a member is dead.
func TestUnaskedMemberIsNotDead(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 3)
		c.kill(0)
		gates := []*memnet.Gate{c.hold(0, 1), c.hold(0, 2)}
		c.adjust = func(o *Options) { o.EvictAfter = 10 * time.Millisecond }
		n := c.boot(0, 999, c.members(-1, 1))
		time.Sleep(time.Second)
		if dead := n.dead(); len(dead) > 0 {
			t.Errorf("dead are %v, which did not answer yet", dead)
		}
		poll.True(t, "both are dead once they were found down", func() bool { return len(n.dead()) == 2 })
		for _, g := range gates {
			g.Open()
		}
	})
}

// Values expire at a node that starts once it has compared its clock with those of all members.
func TestNothingExpiresBeforeClocksAreCompared(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 3)
		c.kill(0)
		gate := c.hold(0, 1)
		wall := kv.NewWall(nil)
		c.adjust = func(o *Options) { o.Wall = wall }
		n := c.boot(0, 999, c.members(-1, 1))
		poll.True(t, "one member is heard", func() bool { return n.Live("node2") })
		if by := wall.Expiry(); by.Unix() != 0 {
			t.Errorf("values expire by %s, and one member is not heard yet", by)
		}
		gate.Open()
		poll.True(t, "it may coordinate", n.board.Ready)
		if by := wall.Expiry(); by.Unix() == 0 {
			t.Error("nothing expires, though all members are heard")
		}
	})
}

// The lease of a node that gives others more time does not lapse while its probers wait for a
// place, and then for an answer: it was not stopped.
func TestLeaseOutlastsSlowProbes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 3)
		n, stop := c.nodes[0], make(chan struct{})
		n.loop.Go(func() { // its timers are late
			for {
				n.strain.note(time.Hour, time.Now())
				select {
				case <-time.After(lateHalves / 4):
				case <-stop:
					return
				}
			}
		})
		before := n.board.Fence()
		slow := func(_ []byte, pass func() ([]byte, error)) ([]byte, error) {
			time.Sleep(patienceMax*probeTimeout - 100*time.Millisecond)
			return pass()
		}
		for _, to := range c.nodes[1:] {
			c.net.Between(n.name, to.name, slow)
		}
		time.Sleep(SilenceMax) // none is under way that is not slow
		for range 3 {
			for range probesAtOnce {
				n.ofUp <- struct{}{}
			}
			time.Sleep(SilenceMax / 2) // its probers wait
			for range probesAtOnce {
				<-n.ofUp
			}
			time.Sleep(SilenceMax)
		}
		if n.board.Fence() != before {
			t.Error("it gave up its authority, as if it had been stopped")
		}
		for _, m := range n.others() {
			if m.down() {
				t.Errorf("%s is down: the test shows nothing", m.peer.Name())
			}
		}
		close(stop)
		c.net.Clear()
	})
}

// lateMap is a member map of which the topology has not been told yet.
type lateMap struct{ outdated atomic.Bool }

func (*lateMap) Differs(string)              {}
func (*lateMap) Evict(string, time.Duration) {}
func (m *lateMap) Outdated(_ uint64) bool    { return m.outdated.Load() }

// A node claims no ring by members of which it was not told the latest: one that was admitted
// meanwhile may have found it down, and gone on without it.
func TestNodeClaimsByTheLatestMembers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 2)
		c.kill(1)
		poll.True(t, "node1 is found down", func() bool { return !c.nodes[0].Live("node1") })
		m := &lateMap{}
		m.outdated.Store(true)
		c.adjust = func(o *Options) { o.Members = m }
		n := c.boot(1, 999, c.members(-1, 1))
		time.Sleep(time.Minute)
		if n.board.InSync() {
			t.Error("it is in sync by members that are not the latest")
		}
		m.outdated.Store(false)
		c.rest()
	})
}
