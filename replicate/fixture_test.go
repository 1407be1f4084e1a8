package replicate

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"httpdhs/internal/memnet"
	"httpdhs/kv"
	"httpdhs/peer"
	"httpdhs/placement"
	"httpdhs/ring"
	"httpdhs/shard"
	"httpdhs/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait of these tests: only a test that fails takes so long.
const patience = time.Minute

const (
	testPartitions = 256 // enough for every order of three of four owners
	testLease      = time.Second
)

// bubble runs a test in a time of its own, which passes only when all goroutines wait. Pools are
// emptied, for what has a timer must not leave its bubble.
func bubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	empty := func() { pendings = sync.Pool{New: pendings.New} }
	empty()
	defer empty()
	synctest.Test(t, test)
}

// cluster is a number of coordinators in this process, by a ring that does not change. There is no
// topology: all nodes have authority for what they own, and peers are up until the test says that
// they are not.
type cluster struct {
	t     testing.TB
	net   *memnet.Network
	table *ring.Table
	nodes []*testNode
}

// testNode is a node of a cluster, and its own topology.
type testNode struct {
	*Coordinator
	name       string
	board      placement.Writer
	store      *shard.Store
	disk       *disk
	clock      *kv.Clock
	peers      []*peer.Peer // by node; nil: itself
	links      []*memnet.Link
	incomplete bool // no peer is to be listed from
}

func (n *testNode) Await(time.Time) error                             { return nil }
func (n *testNode) Probe(*peer.Peer)                                  {}
func (n *testNode) Complete(*peer.Peer) bool                          { return !n.incomplete }
func (n *testNode) Refresh(time.Time) bool                            { return true }
func (n *testNode) Behind(time.Time) (most time.Duration, known bool) { return 0, true }
func (n *testNode) MayDecide(partition int) bool {
	v := n.board.View()
	for _, i := range v.Readers(partition) {
		if p := v.Peers[i]; p == nil || p.Up() {
			return p == nil
		}
	}
	return false
}

// down is a detector that takes a peer for down whenever a batch breaks.
type down struct{ peer *peer.Peer }

func (d *down) Broke(reason error) { d.peer.MarkDown(reason).Finish() }
func (d *down) CameUp()            {}

func newCluster(t testing.TB, nodes, replicas int) *cluster {
	t.Helper()
	c := &cluster{t: t, net: memnet.New()}
	members := make([]ring.Node, nodes)
	for i := range members {
		members[i] = ring.Node{Name: fmt.Sprintf("node%d", i), Weight: 1}
	}
	var err error
	if c.table, err = ring.New(members, ring.Settings{Partitions: testPartitions, Replicas: replicas}); err != nil {
		t.Fatal(err)
	}
	for i := range nodes {
		c.nodes = append(c.nodes, c.newNode(i))
	}
	t.Cleanup(func() {
		c.net.Clear()
		for _, n := range c.nodes {
			n.Close()
			for _, p := range n.peers {
				if p != nil {
					p.Close()
				}
			}
			_ = n.store.Close()
		}
		c.net.Wait()
	})
	return c
}

func (c *cluster) newNode(i int) *testNode {
	c.t.Helper()
	n := &testNode{
		name: c.table.Nodes()[i].Name, board: placement.Writer{Board: placement.NewBoard(testPartitions, testLease)}, clock: kv.NewClock(uint16(i), time.Now),
		disk: new(disk), peers: make([]*peer.Peer, len(c.table.Nodes())), links: make([]*memnet.Link, len(c.table.Nodes())),
	}
	var err error
	n.store, err = shard.Open(shard.Options{Partitions: testPartitions, Grace: kv.Grace{Keep: time.Hour}, SweepEvery: -1, Journal: n.disk})
	if err != nil {
		c.t.Fatal(err)
	}
	for j, other := range c.table.Nodes() {
		if j == i {
			continue
		}
		d := new(down)
		n.links[j] = c.net.Link(n.name, other.Name)
		n.peers[j] = peer.New(&peer.Options{
			Name: other.Name, Transport: n.links[j], QueueBytes: 64 << 20, Clock: n.clock,
			Log: slog.New(slog.DiscardHandler), Detector: d,
		})
		d.peer = n.peers[j]
		n.peers[j].Start()
		n.peers[j].MarkBack(true)
		n.peers[j].SetInSync(true)
	}
	n.board.Replace(placement.NewView(1, 1, []*ring.Table{c.table}, n.name, func(name string) *peer.Peer {
		j, _ := c.table.Index(name)
		return n.peers[j]
	}))
	n.remember()
	n.board.SetReady(true)
	n.Coordinator, err = New(&Options{
		Board: n.board.Board, Topology: n, Store: n.store, Clock: n.clock, Limits: kv.DefaultLimits(), Replicas: c.table.Replicas(),
	})
	if err != nil {
		c.t.Fatal(err)
	}
	c.net.Put(n.name, n)
	return n
}

// remember gives the node authority for all that it owns; forget takes it away.
func (n *testNode) remember() {
	all := make([]bool, testPartitions)
	for p := range all {
		all[p] = n.board.View().Mine(p)
	}
	n.board.SetHeld(all)
	n.board.SetInSync(true)
}

// Exchange answers batches and listings.
func (n *testNode) Exchange(dst, msg []byte) ([]byte, error) {
	kind, body, err := wire.Split(msg)
	switch {
	case err != nil:
		return dst, err
	case kind == wire.KindList:
		return n.ServeList(dst, body)
	case kind == wire.KindBatch:
		return n.ServeBatch(dst, body)
	}
	return dst, errors.New("no such message")
}

// shortCut has the node talk to another without a network.
func (n *testNode) shortCut(i int) { n.links[i].Short.Store(true) }

// keyOwnedBy is a key whose owners are these, in this order.
func (c *cluster) keyOwnedBy(owners ...int) string {
	c.t.Helper()
	for i := range 100000 {
		key := fmt.Sprintf("key%d", i)
		got := c.table.Owners(c.table.Partition(kv.Hash([]byte(key))))
		if slices.EqualFunc(got, owners, func(a uint16, b int) bool { return int(a) == b }) {
			return key
		}
	}
	c.t.Fatalf("no key is owned by %v", owners)
	return ""
}

// op is an operation of the given kind.
func op(kind kv.OpKind, key, value string) kv.Op {
	o := kv.Op{Kind: kind, Hash: kv.Hash([]byte(key)), Record: kv.Record{Key: []byte(key)}}
	if kind == kv.OpPut {
		o.Value = []byte(value)
	}
	return o
}

func (n *testNode) do(o kv.Op, level kv.Level) kv.Op {
	call := kv.Call{Ops: []kv.Op{o}, Write: level, Read: level, Deadline: time.Now().Add(patience)}
	n.Do(&call)
	return call.Ops[0]
}

func (n *testNode) mustPut(t testing.TB, key, value string, w kv.Level) kv.Op {
	t.Helper()
	o := n.do(op(kv.OpPut, key, value), w)
	if o.Err != nil {
		t.Fatalf("put %s: %v", key, o.Err)
	}
	return o
}

// held is what the node itself holds of a key.
func (n *testNode) held(key string) *kv.Entry {
	e, _, _ := n.store.Get(nil, kv.Hash([]byte(key)), []byte(key))
	return &e
}

// plant stores a record at the node alone.
func (n *testNode) plant(t testing.TB, key, value string, v kv.Version) {
	t.Helper()
	r := kv.Record{Key: []byte(key), Entry: kv.Entry{Version: v, Value: []byte(value)}}
	if _, err := n.store.Apply(kv.Hash(r.Key), &r); err != nil {
		t.Fatal(err)
	}
}

func wantOp(t testing.TB, o kv.Op, err error) {
	t.Helper()
	if !errors.Is(o.Err, err) {
		t.Errorf("%s: %v, want %v", o.Key, o.Err, err)
	}
}

func wantValue(t testing.TB, o kv.Op, value string) {
	t.Helper()
	if o.Err != nil || string(o.Value) != value {
		t.Errorf("%s: %q, %v, want %q", o.Key, o.Value, o.Err, value)
	}
}
