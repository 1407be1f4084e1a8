package dataplane

import (
	"flag"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
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
	"httpdhs/shard"
	"httpdhs/topology"
	"httpdhs/wire"
)

// What fasthttp starts and nobody can end is no leak of this package's. It has one clock for Date
// headers, and a client sleeps before it looks whether it has connections left.
// The checks of rapid are fewer every day than its 100: make model has more.
func TestMain(m *testing.M) {
	if err := flag.Set("rapid.checks", "40"); err != nil { // what is asked for is read later
		panic("BUG: " + err.Error())
	}
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*HostClient).connsCleaner"))
}

// patience bounds every wait of these tests: only a test that fails takes so
// long.
const patience = time.Minute

const testPartitions = 256 // enough for every order of three of four owners

// bubble runs a test in a time of its own, which passes only when all
// goroutines wait: so hours pass at once, and how long something took is exact.
// Pools are emptied, for what has a timer must not leave its bubble.
func bubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	empty := func() {
		runtime.GC() // twice: a pool keeps for one what it had
		runtime.GC()
	}
	empty()
	defer empty()
	synctest.Test(t, test)
}

// fatalT is a *testing.T or a *rapid.T.
type fatalT interface {
	Helper()
	Fatalf(format string, args ...any)
}

// cluster is a number of nodes in this process: a plane each.
type cluster struct {
	t     testing.TB
	net   *memnet.Network
	table *ring.Table
	nodes []*testNode // in the table's order
}

// testNode is a node of a cluster.
type testNode struct {
	*Plane
	name  string
	store *shard.Store
	clock *kv.Clock
	t     fatalT
}

// writer writes what the node's topology would.
func (n *testNode) writer() placement.Writer { return placement.Writer{Board: n.Board} }

// digest is that of a partition.
func (n *testNode) digest(partition int) uint64 {
	var all wire.Digests
	n.store.Digests(partition, (*[wire.DigestBuckets]uint64)(&all))
	return all.Whole()
}

type clusterOptions struct {
	nodes, replicas int
	queueBytes      int
	probeEvery      time.Duration
	limits          kv.Limits
	skew            map[int]time.Duration // by node: how far its clock is off
	walls           []*kv.Wall            // by node: clocks that are kept together
	members         []int                 // those that there are when nodes start; nil: all
	evictAfter      time.Duration
	evict           func(by int, name string, after time.Duration)
	differs         func(by int, name string) // by is to say hello to the node of that name
	maxBytes        map[int]int64             // by node: bound of its store
	journals        map[int]shard.Journal     // by node
}

// newCluster starts nodes that are up and in sync with each other.
func newCluster(t testing.TB, o clusterOptions) *cluster {
	t.Helper()
	c := idleCluster(t, o)
	for i := range c.nodes {
		if o.members == nil || slices.Contains(o.members, i) {
			c.boot(i, uint64(100+i), o)
		}
	}
	c.rest()
	return c
}

// idleCluster makes the ring of a cluster of which no node runs yet.
func idleCluster(t testing.TB, o clusterOptions) *cluster {
	t.Helper()
	c := &cluster{t: t, net: memnet.New()}
	members := make([]ring.Node, o.nodes)
	for i := range members {
		members[i] = ring.Node{Name: fmt.Sprintf("node%d", i), Weight: 1}
	}
	var err error
	c.table, err = ring.New(members, ring.Settings{Partitions: testPartitions, Replicas: o.replicas})
	if err != nil {
		t.Fatal(err)
	}
	c.nodes = make([]*testNode, o.nodes)
	t.Cleanup(func() {
		c.net.Clear()
		for i := range c.nodes {
			c.kill(i)
		}
		c.net.Wait()
	})
	return c
}

// boot starts node i, empty.
func (c *cluster) boot(i int, boot uint64, o clusterOptions) *testNode {
	c.t.Helper()
	n := &testNode{name: c.table.Nodes()[i].Name, t: c.t}
	wall := func() time.Time { return time.Now().Add(o.skew[i]) }
	expiry := wall
	var steered *kv.Wall
	if o.walls != nil {
		steered = o.walls[i]
		wall, expiry = steered.Now, steered.Expiry
	}
	n.clock = kv.NewClock(uint16(i), wall)
	var err error
	n.store, err = shard.Open(shard.Options{
		Partitions: testPartitions, Grace: kv.Grace{Keep: time.Hour}, SweepEvery: -1, Now: expiry, MaxBytes: o.maxBytes[i],
		Journal: o.journals[i],
	})
	if err != nil {
		c.t.Fatal(err)
	}
	if o.limits == (kv.Limits{}) {
		o.limits = kv.DefaultLimits()
	}
	if o.probeEvery == 0 {
		o.probeEvery = 3 * time.Millisecond
	}
	if o.queueBytes == 0 {
		o.queueBytes = 64 << 20
	}
	n.Plane, err = New(&Options{
		Name: n.name, Members: told{i, &o}, Ring: c.table.Settings(), Store: n.store, Clock: n.clock, Wall: steered,
		Limits: o.limits, Log: slog.New(slog.DiscardHandler),
		Dial: func(to string) peer.Transport {
			return c.net.Link(n.name, to)
		},
		QueueBytes: o.queueBytes, ProbeEvery: o.probeEvery,
		Boot: boot, Grace: kv.Grace{Keep: time.Hour}, Describe: func(*wire.Ping, bool) {},
		EvictAfter: o.evictAfter,
	})
	if err == nil {
		err = n.Topology.SetMembers(c.members(o.members...))
	}
	if err != nil {
		c.t.Fatal(err)
	}
	c.nodes[i] = n
	c.net.Put(n.name, n.Plane)
	n.Start()
	return n
}

// told is a member map that tells the test what it is told.
type told struct {
	node int
	o    *clusterOptions
}

func (m told) Differs(name string) {
	if m.o.differs != nil {
		m.o.differs(m.node, name)
	}
}

func (m told) Evict(name string, after time.Duration) {
	if m.o.evict != nil {
		m.o.evict(m.node, name, after)
	}
}

func (m told) Outdated(uint64) bool { return false }

// members are the nodes of these numbers; none: all.
func (c *cluster) members(nodes ...int) wire.Members {
	m := wire.Members{}
	for i, n := range c.table.Nodes() {
		if len(nodes) == 0 || slices.Contains(nodes, i) {
			m.All = append(m.All, wire.Member{Name: n.Name, Weight: n.Weight, Zone: n.Zone})
			m.Digest |= 1 << i
		}
	}
	return m
}

// kill stops node i, if it runs, as a crash does.
func (c *cluster) kill(i int) {
	n := c.nodes[i]
	if n == nil {
		return
	}
	c.net.Put(n.name, nil)
	n.Close()
	_ = n.store.Close()
	c.nodes[i] = nil
}

// rest waits until all nodes that run are in sync, see all others up and in sync, and may decide
// for the keys whose primary they are.
func (c *cluster) rest() {
	c.t.Helper()
	for _, n := range c.nodes {
		if n == nil {
			continue
		}
		poll.True(c.t, n.name+" is in sync", n.Board.InSync)
		for _, other := range c.nodes {
			if other == nil {
				continue
			}
			if p := n.peerNamed(other.name); p != nil {
				poll.True(c.t, n.name+" sees "+other.name+" up and in sync", func() bool { return p.Up() && p.InSync() })
			}
		}
		poll.True(c.t, n.name+" may decide", func() bool {
			v := n.Board.View()
			for part := range testPartitions {
				if readers := v.Readers(part); len(readers) > 0 && int(readers[0]) == v.Self {
					return n.Topology.MayDecide(part)
				}
			}
			return true
		})
	}
}

// peerNamed is the node of that name as n sees it; nil: it is n.
func (n *testNode) peerNamed(name string) *peer.Peer {
	v := n.Board.View()
	if i := slices.Index(v.Names, name); i >= 0 {
		return v.Peers[i]
	}
	return nil
}

// status is how node j stands with n.
func (n *testNode) status(j int) topology.Status {
	name := n.peer(j).Name()
	all := n.Topology.Peers()
	return all[slices.IndexFunc(all, func(s topology.Status) bool { return s.Name == name })]
}

// peer is node j as n sees it; nil: it is n.
func (n *testNode) peer(j int) *peer.Peer { return n.Board.View().Peers[j] }

// statement is what the node says of itself.
func (n *testNode) statement(t fatalT) wire.Ping {
	t.Helper()
	answer, err := n.Exchange(nil, wire.AppendPing(nil, &wire.Ping{Name: "nobody", Started: time.Unix(0, 0)}))
	if err != nil {
		t.Fatalf("it says nothing: %v", err)
	}
	ping, err := wire.ParsePing(answer)
	if err != nil {
		t.Fatalf("what it says is none: %v", err)
	}
	return ping
}

// set tells the node who the members are.
func (n *testNode) set(t fatalT, m wire.Members) {
	t.Helper()
	if err := n.Topology.SetMembers(m); err != nil {
		t.Fatalf("cannot set members: %v", err)
	}
}

// cut breaks all ways to node i and waits until the others see it down.
func (c *cluster) cut(i int) {
	c.t.Helper()
	c.net.Toward(c.table.Nodes()[i].Name, memnet.FailWith(memnet.ErrReset))
	c.waitState(i, peer.Down)
}

// heal clears the ways to node i and waits until the others see it up.
func (c *cluster) heal(i int) {
	c.t.Helper()
	c.net.Toward(c.table.Nodes()[i].Name, nil)
	c.waitState(i, peer.Up)
}

func (c *cluster) waitState(i int, want peer.State) {
	c.t.Helper()
	for _, n := range c.nodes {
		if n == nil || n.peer(i) == nil {
			continue
		}
		poll.True(c.t, fmt.Sprintf("%s sees node%d %v", n.name, i, want), func() bool { return n.peer(i).State() == want })
	}
}

// keyOwnedBy is a key whose owners are these, in this order; key after key by n.
func (c *cluster) keyOwnedBy(n int, owners ...int) string {
	c.t.Helper()
	for i := range 100000 {
		key := fmt.Sprintf("key%d", i)
		got := c.table.Owners(c.table.Partition(kv.Hash([]byte(key))))
		same := slices.EqualFunc(got, owners, func(a uint16, b int) bool { return int(a) == b })
		if same {
			if n--; n < 0 {
				return key
			}
		}
	}
	c.t.Fatalf("no key is owned by %v", owners)
	return ""
}

// ownersOf are the node indices of a key's owners, primary first.
func (c *cluster) ownersOf(key string) []uint16 {
	return c.table.Owners(c.table.Partition(kv.Hash([]byte(key))))
}
