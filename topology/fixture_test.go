package topology

import (
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"httpdhs/internal/memnet"
	"httpdhs/internal/poll"
	"httpdhs/kv"
	"httpdhs/peer"
	"httpdhs/placement"
	"httpdhs/ring"
	"httpdhs/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testPartitions = 64

// bubble runs a test in a time of its own, which passes only when all goroutines wait.
func bubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, test)
}

// cluster is a number of topologies in this process. They hold nothing, so there is nothing to pull
// where one claims a ring, and no operations.
type cluster struct {
	t     testing.TB
	net   *memnet.Network
	table *ring.Table
	nodes []*testNode

	adjust func(*Options) // changes the options of nodes that start from now on; nil: as they are
}

type testNode struct {
	*Topology
	name  string
	pings atomic.Int64 // that it was asked
	quit  chan struct{}
	loop  sync.WaitGroup
}

// newCluster starts nodes that are up and in sync with each other.
func newCluster(t testing.TB, nodes int) *cluster {
	t.Helper()
	return newClusterOf(t, nodes, func(*cluster) {})
}

// newClusterOf is newCluster. It lets the test set how nodes start.
func newClusterOf(t testing.TB, nodes int, set func(*cluster)) *cluster {
	t.Helper()
	c := &cluster{t: t, net: memnet.New()}
	set(c)
	members := make([]ring.Node, nodes)
	for i := range members {
		members[i] = ring.Node{Name: fmt.Sprintf("node%d", i), Weight: 1}
	}
	var err error
	if c.table, err = ring.New(members, ring.Settings{Partitions: testPartitions, Replicas: 2}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.net.Clear()
		for i := range c.nodes {
			c.kill(i)
		}
		c.net.Wait()
	})
	c.nodes = make([]*testNode, nodes)
	for i := range c.nodes {
		c.boot(i, uint64(100+i), c.members(-1, 1))
	}
	c.rest()
	return c
}

// boot starts node i. Without members it is as a node is before it has joined.
func (c *cluster) boot(i int, boot uint64, members wire.Members) *testNode {
	c.t.Helper()
	n := &testNode{name: c.table.Nodes()[i].Name, quit: make(chan struct{})}
	o := &Options{
		Name: n.name, Boot: boot, Ring: c.table.Settings(), Board: placement.NewBoard(testPartitions, SilenceMax),
		Clock: kv.NewClock(uint16(i), time.Now), Log: slog.New(slog.DiscardHandler),
		Dial:       func(to string) peer.Transport { return c.net.Link(n.name, to) },
		QueueBytes: 1 << 20, ProbeEvery: 3 * time.Millisecond, Describe: func(*wire.Ping, bool) {},
	}
	if c.adjust != nil {
		c.adjust(o)
	}
	n.Topology = New(o)
	if len(members.All) > 0 {
		n.set(c.t, members)
	}
	c.nodes[i] = n
	c.net.Put(n.name, n)
	n.Start()
	n.loop.Go(n.advance)
	return n
}

// advance is what anti-entropy does, where there is nothing to fetch.
func (n *testNode) advance() {
	for {
		n.Advance()
		_ = n.Claim(func(*placement.Pull) ([]int, error) { return nil, nil }) // it is tried again
		select {
		case <-time.After(50 * time.Millisecond):
		case <-n.board.Changed():
		case <-n.quit:
			return
		}
	}
}

// Exchange answers probes, and who is on a ring.
func (n *testNode) Exchange(dst, msg []byte) ([]byte, error) {
	kind, body, err := wire.Split(msg)
	switch {
	case err != nil:
		return dst, err
	case kind == wire.KindRing:
		return n.ServeRing(dst, body)
	case kind == wire.KindStanding:
		return n.ServeStanding(dst), nil
	case kind == wire.KindBatch:
		return wire.OpenBatch(dst), nil
	}
	n.pings.Add(1)
	return n.ServePing(dst, msg)
}

// kill stops node i, if it runs, as a crash does.
func (c *cluster) kill(i int) {
	n := c.nodes[i]
	if n == nil {
		return
	}
	c.net.Put(n.name, nil)
	close(n.quit)
	n.Close()
	n.loop.Wait()
	c.nodes[i] = nil
}

// rest waits until all nodes that run are in sync, and see all others up and in sync.
func (c *cluster) rest() {
	c.t.Helper()
	for _, n := range c.nodes {
		if n == nil {
			continue
		}
		poll.True(c.t, n.name+" is in sync", n.board.InSync)
		for _, other := range c.nodes {
			if other == nil || other == n {
				continue
			}
			poll.True(c.t, n.name+" sees "+other.name+" up and in sync", func() bool {
				m := n.find(other.name)
				return m != nil && m.peer.Up() && m.peer.InSync()
			})
		}
	}
}

// members are all but one, as the map with that digest has them.
func (c *cluster) members(without int, digest uint64) wire.Members {
	m := wire.Members{Digest: digest}
	for i, n := range c.table.Nodes() {
		if i != without {
			m.All = append(m.All, wire.Member{Name: n.Name, Weight: n.Weight, Zone: n.Zone})
		}
	}
	return m
}

func (n *testNode) set(t testing.TB, m wire.Members) {
	t.Helper()
	if err := n.SetMembers(m); err != nil {
		t.Fatal(err)
	}
}

// peer is node j as n sees it.
func (n *testNode) node(c *cluster, j int) *member { return n.find(c.table.Nodes()[j].Name) }

// dead are the members that the node would have removed.
func (n *testNode) dead() []string {
	n.reconsider()
	said, _ := n.statement(nil, false)
	return said.Dead
}

// cut breaks the ways between two nodes.
func (c *cluster) cut(i, j int) {
	a, b := c.table.Nodes()[i].Name, c.table.Nodes()[j].Name
	c.net.Between(a, b, memnet.FailWith(memnet.ErrReset))
	c.net.Between(b, a, memnet.FailWith(memnet.ErrReset))
}
