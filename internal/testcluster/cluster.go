// Package testcluster runs several nodes in one process, for tests: real
// nodes that speak HTTP over the loopback, each of which can be stopped,
// killed, started again empty, and cut off from the others.
//
// The nodes know each other by a static list; more can join them, and leave. Their ports are open
// before the first of them starts, so names are known and nothing is guessed. What they say to each
// other goes through links that the cluster can cut; what a test asks of them does not, so a node
// that is cut off can still be asked.
//
// Nothing here waits in hope: Start, Restart and Heal return when the nodes
// say that it is so, and Eventually waits for whatever else a test needs, each
// with a deadline that fails the test. When a test fails, the logs of the
// nodes are part of its output.
//
// A Cluster may be used by many goroutines at once; Stop, Kill and Restart of
// one node by one at a time.
package testcluster

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"httpdhs/api"
	"httpdhs/internal/poll"
	"httpdhs/internal/ports"
	"httpdhs/internal/syncbuf"
	"httpdhs/node"
)

// Options say what to start. The zero value is three nodes and two replicas.
type Options struct {
	Nodes      int // 0: 3
	Replicas   int // 0: 2
	Partitions int // 0: 64, which is quick to set up

	// Configure, when given, changes the settings of node i before it starts,
	// and before it starts again.
	Configure func(i int, cfg *node.Config)

	// ClientTLS is what Do uses towards nodes that serve over TLS.
	ClientTLS *tls.Config

	// Unready has Start return at once, for clusters that do not come to be.
	Unready bool
}

// stopTimeout is what Stop gives a node, and the end of a test all of them.
const stopTimeout = time.Minute

// Cluster is the nodes of a test.
type Cluster struct {
	t      testing.TB
	opt    Options
	net    network
	client *http.Client

	mu      sync.Mutex // guards all below
	nodes   []*node.Node
	logs    []*syncbuf.Buffer
	names   []string
	members int // the first of them know each other by a list, the others have joined
}

// Start runs a cluster until the end of the test, and waits until all of it
// is ready.
func Start(t testing.TB, o Options) *Cluster {
	t.Helper()
	if o.Nodes == 0 {
		o.Nodes = 3
	}
	if o.Replicas == 0 {
		o.Replicas = 2
	}
	if o.Partitions == 0 {
		o.Partitions = 64
	}
	c := &Cluster{t: t, opt: o, client: newClient(o.ClientTLS), nodes: make([]*node.Node, o.Nodes), members: o.Nodes}
	var listeners []net.Listener
	for range o.Nodes {
		ln, err := ports.Listen()
		if err != nil {
			t.Fatal(err)
		}
		listeners = append(listeners, ln)
		c.names = append(c.names, ln.Addr().String())
		c.logs = append(c.logs, new(syncbuf.Buffer))
	}
	c.net.init(c.names)
	t.Cleanup(c.close)
	for i, ln := range listeners {
		c.open(i, ln)
	}
	if !o.Unready {
		c.AwaitReady()
	}
	return c
}

func (c *Cluster) open(i int, ln net.Listener) {
	c.t.Helper()
	c.mu.Lock()
	name, names, log := c.names[i], slices.Clone(c.names[:c.members]), c.logs[i]
	c.mu.Unlock()
	cfg := node.Config{
		Name: name, Listener: ln,
		Replicas: c.opt.Replicas, Partitions: c.opt.Partitions,
		ProbeEvery: 20 * time.Millisecond,
		Dial:       c.net.dialer(i),
		Log:        slog.New(slog.NewTextHandler(log, nil)),
		Version:    "test",
	}
	if i < len(names) {
		cfg.Members = names
	} else {
		cfg.Join = names
	}
	if c.opt.Configure != nil {
		c.opt.Configure(i, &cfg)
	}
	n, err := node.Open(cfg)
	if err != nil {
		c.t.Fatalf("cannot start node %d: %v", i, err)
	}
	c.mu.Lock()
	c.nodes[i] = n
	c.mu.Unlock()
}

// close ends what runs, and tells what was logged if the test failed.
func (c *Cluster) close() {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	c.net.healAll()
	var all sync.WaitGroup
	for i := range c.Size() {
		if n := c.take(i); n != nil {
			all.Go(n.Kill)
		}
	}
	all.Wait()
	c.client.CloseIdleConnections()
	c.net.wait(ctx)
	if c.t.Failed() {
		for i, l := range c.logs {
			c.t.Logf("log of node %d, %s:\n%s", i, c.names[i], l)
		}
	}
}

func (c *Cluster) take(i int) *node.Node {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.nodes[i]
	c.nodes[i] = nil
	return n
}

// Size is the number of nodes, running or not.
func (c *Cluster) Size() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.names)
}

// Name is the name of node i, which is its host:port.
func (c *Cluster) Name(i int) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.names[i]
}

// Index is the number of the node of that name.
func (c *Cluster) Index(name string) int {
	c.t.Helper()
	i := c.net.index(name)
	if i < 0 {
		c.t.Fatalf("no node is called %s", name)
	}
	return i
}

// Node is node i; nil: it does not run.
func (c *Cluster) Node(i int) *node.Node {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.nodes[i]
}

// running are the numbers of the nodes that run.
func (c *Cluster) running() (all []int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, n := range c.nodes {
		if n != nil {
			all = append(all, i)
		}
	}
	return all
}

// Stop takes node i down in good order, within the deadline of ctx.
func (c *Cluster) Stop(ctx context.Context, i int) error {
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	return c.take(i).Shutdown(ctx)
}

// Kill drops node i as a crash does.
func (c *Cluster) Kill(i int) { c.take(i).Kill() }

// Restart starts node i again, at the same address and with nothing in memory,
// and waits until it and the others have met.
func (c *Cluster) Restart(i int) {
	c.t.Helper()
	c.Reopen(i)
	c.AwaitMet()
}

// Reopen is Restart without the wait.
func (c *Cluster) Reopen(i int) {
	c.t.Helper()
	var ln net.Listener
	c.Eventually("the address of a node that stopped is free", func() error {
		var err error
		ln, err = net.Listen("tcp", c.Name(i))
		return err
	})
	c.open(i, ln)
}

// View is the cluster as node i sees it.
func (c *Cluster) View(i int) api.Cluster {
	n := c.Node(i)
	if n == nil {
		return api.Cluster{}
	}
	return n.Cluster(time.Now().Add(stopTimeout))
}

// State is what node i says of node j, and why.
func (c *Cluster) State(i, j int) (state, reason string) {
	for _, n := range c.View(i).Nodes {
		if n.Name == c.Name(j) {
			return n.State, n.Reason
		}
	}
	return "unknown", "not a member"
}

// AwaitReady waits until every node that runs is ready and sees the others
// that run active.
func (c *Cluster) AwaitReady() {
	c.t.Helper()
	c.Eventually("all nodes are ready", func() error {
		for _, i := range c.running() {
			if ok, reason := c.Node(i).Ready(); !ok {
				return fmt.Errorf("node %d is not: %s", i, reason)
			}
		}
		return c.each(func(i, j int, state string) bool { return state == api.StateActive })
	})
}

// AwaitMet waits until no node that runs takes another that runs, and that it
// can reach, for down.
func (c *Cluster) AwaitMet() {
	c.t.Helper()
	c.Eventually("the nodes have met", func() error {
		return c.each(func(i, j int, state string) bool {
			return state != api.StateDown || !c.net.connected(i, j)
		})
	})
}

// AwaitState waits until each of the nodes sees node j in that state.
func (c *Cluster) AwaitState(j int, state string, at ...int) {
	c.t.Helper()
	c.Eventually(fmt.Sprintf("node %d is %s", j, state), func() error {
		for _, i := range at {
			if is, reason := c.State(i, j); is != state {
				return fmt.Errorf("node %d says %s: %s", i, is, reason)
			}
		}
		return nil
	})
}

func (c *Cluster) each(ok func(i, j int, state string) bool) error {
	for _, i := range c.running() {
		for _, j := range c.running() {
			if state, reason := c.State(i, j); !ok(i, j, state) {
				return fmt.Errorf("node %d says that node %d is %s: %s", i, j, state, reason)
			}
		}
	}
	return nil
}

// CutOff breaks all that connects node i to the others, in both directions:
// connections end and new ones are refused. Clients still reach it.
func (c *Cluster) CutOff(i int) { c.net.set(i, cut) }

// Silence has what goes between node i and the others vanish, in both
// directions, as on a network that drops packets: nothing ends, nothing
// comes. Clients still reach it.
func (c *Cluster) Silence(i int) { c.net.set(i, silent) }

// Delay has every message between node i and the others take that much longer.
func (c *Cluster) Delay(i int, by time.Duration) { c.net.delay(i, by) }

// Heal undoes CutOff and Silence, and waits until the nodes have met.
func (c *Cluster) Heal(i int) {
	c.t.Helper()
	c.net.set(i, open)
	c.AwaitMet()
}

// Eventually waits until cond returns nil, and ends the test with its last error if that does not
// come.
func (c *Cluster) Eventually(what string, cond func() error) {
	c.t.Helper()
	poll.Until(c.t, what, cond)
}

// Logged says whether node i has logged a text.
func (c *Cluster) Logged(i int, text string) bool {
	c.mu.Lock()
	l := c.logs[i]
	c.mu.Unlock()
	return strings.Contains(l.String(), text)
}
