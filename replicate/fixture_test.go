package replicate

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"httpdhs/kv"
	"httpdhs/ring"
	"httpdhs/shard"
	"httpdhs/wire"
)

// What fasthttp starts and nobody can end is no leak of this package's: its one clock for Date
// headers, and a client's sleep before it looks whether it has connections left.
func TestMain(m *testing.M) {
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
	empty := func() { pendings = sync.Pool{New: pendings.New} }
	empty()
	defer empty()
	synctest.Test(t, test)
}

var (
	errReset   = errors.New("connection reset")
	errTimeout = timeoutError{}
)

type timeoutError struct{}

func (timeoutError) Error() string { return "no answer in time" }
func (timeoutError) Timeout() bool { return true }

// fatalT is a *testing.T or a *rapid.T.
type fatalT interface {
	Helper()
	Fatalf(format string, args ...any)
}

// hook stands between two nodes: it may answer in the peer's place, or pass
// the message on and do as it likes with the answer.
type hook func(msg []byte, pass func() ([]byte, error)) ([]byte, error)

// network carries messages between the nodes of one process.
type network struct {
	mu    sync.Mutex
	nodes map[string]*Coordinator // those that run
	hooks map[[2]string]hook      // by from and to
	moves sync.WaitGroup          // round trips under way, also those given up
	deaf  atomic.Bool             // aborts are not heard
}

// set has h stand between two nodes; nil clears the way.
func (n *network) set(from, to string, h hook) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hooks[[2]string{from, to}] = h
}

// toward sets the hook on all ways to a node.
func (n *network) toward(to string, h hook) {
	n.mu.Lock()
	names := make([]string, 0, len(n.nodes))
	for name := range n.nodes {
		names = append(names, name)
	}
	n.mu.Unlock()
	for _, from := range names {
		n.set(from, to, h)
	}
}

func (n *network) clear() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.hooks)
}

func (n *network) look(from, to string) (hook, *Coordinator) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.hooks[[2]string{from, to}], n.nodes[to]
}

// link is one node's transport to another.
type link struct {
	net      *network
	from, to string

	mu    sync.Mutex
	abort chan struct{} // closed by Abort and replaced
}

func (w *link) Abort() {
	if w.net.deaf.Load() {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	close(w.abort)
	w.abort = make(chan struct{})
}

func (w *link) RoundTrip(dst, message []byte, deadline time.Time) ([]byte, error) {
	w.mu.Lock()
	abort := w.abort
	w.mu.Unlock()
	type reply struct {
		answer []byte
		err    error
	}
	done := make(chan reply, 1)
	msg := bytes.Clone(message)
	w.net.moves.Go(func() {
		h, node := w.net.look(w.from, w.to)
		pass := func() ([]byte, error) {
			if node == nil {
				return nil, fmt.Errorf("connection refused by %s", w.to)
			}
			return node.Exchange(nil, msg)
		}
		var r reply
		if h == nil {
			r.answer, r.err = pass()
		} else {
			r.answer, r.err = h(msg, pass)
		}
		done <- r
	})
	late := time.NewTimer(time.Until(deadline))
	defer late.Stop()
	select {
	case r := <-done:
		return append(dst, r.answer...), r.err
	case <-abort:
		return dst, errReset
	case <-late.C:
		return dst, errTimeout
	}
}

// onBatches lets all but batches pass.
func onBatches(h hook) hook {
	return func(msg []byte, pass func() ([]byte, error)) ([]byte, error) {
		if wire.KindOf(msg) != wire.KindBatch {
			return pass()
		}
		return h(msg, pass)
	}
}

func failWith(err error) hook {
	return func([]byte, func() ([]byte, error)) ([]byte, error) { return nil, err }
}

func answerWith(answer []byte) hook {
	return func([]byte, func() ([]byte, error)) ([]byte, error) { return answer, nil }
}

// loseReply has the peer carry the message out, and breaks the connection
// before its answer; so often.
func loseReply(times int) hook {
	var mu sync.Mutex
	return func(_ []byte, pass func() ([]byte, error)) ([]byte, error) {
		answer, err := pass()
		mu.Lock()
		defer mu.Unlock()
		if times--; times >= 0 {
			return nil, errReset
		}
		return answer, err
	}
}

// gate holds what comes by until it is opened.
type gate struct {
	arrived chan struct{} // a token for each message that is held
	opened  chan struct{}
	once    sync.Once
}

func newGate(t testing.TB) *gate {
	g := &gate{arrived: make(chan struct{}, 1000), opened: make(chan struct{})}
	t.Cleanup(g.open)
	return g
}

func (g *gate) open() { g.once.Do(func() { close(g.opened) }) }

func (g *gate) hold(_ []byte, pass func() ([]byte, error)) ([]byte, error) {
	g.arrived <- struct{}{}
	<-g.opened
	return pass()
}

// wait waits until so many messages are held.
func (g *gate) wait(t fatalT, messages int) {
	t.Helper()
	for range messages {
		select {
		case <-g.arrived:
		case <-time.After(patience):
			t.Fatalf("no message came to the gate")
		}
	}
}

// cluster is a number of coordinators in this process.
type cluster struct {
	t     testing.TB
	net   *network
	table *ring.Table
	nodes []*testNode // in the table's order
}

// testNode is a node of a cluster.
type testNode struct {
	*Coordinator
	name  string
	store *shard.Store
}

type clusterOptions struct {
	nodes, replicas int
	queueBytes      int
	probeEvery      time.Duration
	limits          kv.Limits
	skew            map[int]time.Duration // by node: how far its clock is off
	walls           []*kv.Wall            // by node: clocks that are kept together
	members         []int                 // those that there are when nodes start; nil: all; empty: none, as before a join
	evictAfter      time.Duration
	evict           func(by int, name string)
	differs         func(by int, name string) // by is to say hello to the node of that name
	maxBytes        map[int]int64             // by node: bound of its store
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
	c.settle()
	return c
}

// idleCluster makes the ring of a cluster of which no node runs yet.
func idleCluster(t testing.TB, o clusterOptions) *cluster {
	t.Helper()
	c := &cluster{t: t, net: &network{nodes: make(map[string]*Coordinator), hooks: make(map[[2]string]hook)}}
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
		c.net.clear()
		for i := range c.nodes {
			c.kill(i)
		}
		c.net.moves.Wait()
	})
	return c
}

// boot starts node i, empty.
func (c *cluster) boot(i int, boot uint64, o clusterOptions) *testNode {
	c.t.Helper()
	n := &testNode{name: c.table.Nodes()[i].Name}
	wall := func() time.Time { return time.Now().Add(o.skew[i]) }
	var steered *kv.Wall
	if o.walls != nil {
		steered = o.walls[i]
		wall = steered.Now
	}
	var err error
	n.store, err = shard.Open(shard.Options{
		Partitions: testPartitions, Grace: time.Hour, SweepEvery: -1, Now: wall, MaxBytes: o.maxBytes[i],
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
	known := Members{}
	if o.members == nil || len(o.members) > 0 {
		known = c.members(o.members...)
	}
	n.Coordinator, err = New(Options{
		Name: n.name, Members: known, Ring: c.table.Settings(), Store: n.store, Clock: kv.NewClock(uint16(i), wall), Wall: steered,
		Limits: o.limits, Log: slog.New(slog.DiscardHandler),
		Dial: func(to string) Transport {
			return &link{net: c.net, from: n.name, to: to, abort: make(chan struct{})}
		},
		QueueBytes: o.queueBytes, ProbeEvery: o.probeEvery,
		Boot: boot, Grace: time.Hour, Describe: func(*wire.Ping) {},
		EvictAfter: o.evictAfter, Evict: func(name string) {
			if o.evict != nil {
				o.evict(i, name)
			}
		},
		Differs: func(name string) {
			if o.differs != nil {
				o.differs(i, name)
			}
		},
	})
	if err != nil {
		c.t.Fatal(err)
	}
	c.nodes[i] = n
	c.net.mu.Lock()
	c.net.nodes[n.name] = n.Coordinator
	c.net.mu.Unlock()
	n.Start()
	return n
}

// members are the nodes of these numbers; none: all.
func (c *cluster) members(nodes ...int) Members {
	m := Members{}
	for i, n := range c.table.Nodes() {
		if len(nodes) == 0 || slices.Contains(nodes, i) {
			m.All = append(m.All, Member{Node: n})
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
	c.net.mu.Lock()
	delete(c.net.nodes, n.name)
	c.net.mu.Unlock()
	n.Close()
	_ = n.store.Close()
	c.nodes[i] = nil
}

// settle waits until all nodes that run are in sync and see all others up and
// in sync.
func (c *cluster) settle() {
	c.t.Helper()
	for _, n := range c.nodes {
		if n == nil {
			continue
		}
		eventually(c.t, n.name+" is in sync", n.Synced)
		for _, other := range c.nodes {
			if other == nil {
				continue
			}
			if p := n.peerNamed(other.name); p != nil {
				eventually(c.t, n.name+" sees "+other.name+" up and in sync", func() bool { return p.up() && p.isSynced() })
			}
		}
	}
}

// peerNamed is the node of that name as n sees it; nil: it is n.
func (n *testNode) peerNamed(name string) *Peer {
	n.rings.mu.Lock()
	defer n.rings.mu.Unlock()
	return n.rings.peers[name]
}

// peer is node j as n sees it; nil: it is n.
func (n *testNode) peer(j int) *Peer { return n.view.Load().peers[j] }

// cut breaks all ways to node i and waits until the others see it down.
func (c *cluster) cut(i int) {
	c.t.Helper()
	c.net.toward(c.table.Nodes()[i].Name, failWith(errReset))
	c.waitState(i, Down)
}

// heal clears the ways to node i and waits until the others see it up.
func (c *cluster) heal(i int) {
	c.t.Helper()
	c.net.toward(c.table.Nodes()[i].Name, nil)
	c.waitState(i, Up)
}

func (c *cluster) waitState(i int, want State) {
	c.t.Helper()
	for _, n := range c.nodes {
		if n == nil || n.peer(i) == nil {
			continue
		}
		eventually(c.t, fmt.Sprintf("%s sees node%d %v", n.name, i, want), func() bool { return n.peer(i).State() == want })
	}
}

func eventually(t fatalT, what string, ok func() bool) {
	t.Helper()
	end, pause := time.Now().Add(patience), 200*time.Microsecond
	for !ok() {
		if time.Now().After(end) {
			t.Fatalf("it does not come true that %s", what)
		}
		time.Sleep(pause)
		pause = min(2*pause, 5*time.Millisecond)
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
