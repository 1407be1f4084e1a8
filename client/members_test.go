package client

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"httpdhs/api"
	"httpdhs/kv"
)

// ringOf has the cluster tell another ring, of these of its nodes.
func (c *fakeCluster) ringOf(fingerprint string, nodes ...int) {
	c.ring = &api.Ring{Fingerprint: fingerprint, Hash: "xxh3-64", Partitions: 64, Replicas: 1}
	for _, n := range nodes {
		c.ring.Nodes = append(c.ring.Nodes, api.RingNode{Name: c.nodes[n].addr, Weight: 1})
	}
	for p := range c.ring.Partitions {
		if len(nodes) == 0 {
			c.ring.Owners = append(c.ring.Owners, nil)
			continue
		}
		c.ring.Owners = append(c.ring.Owners, []uint16{uint16(p % len(nodes))})
	}
}

// A client goes with the cluster: to nodes that have joined, and on without those that have left.
// The node that it was given may be one of these.
func TestClientFollowsTheRing(t *testing.T) {
	cluster := newFakeCluster(t, 3, func(_ int, w http.ResponseWriter, _ *http.Request) { reply(w, 200, "v") })
	cluster.ringOf("first", 0)
	c, _ := newClient(t, Options{Addrs: []string{cluster.nodes[0].addr}})
	now := time.Now()
	c.now = func() time.Time { return now }
	asked := func(node int, key string) int { return len(cluster.nodes[node].about("/db/" + key)) }
	get := func(key string, want int) {
		t.Helper()
		before := asked(want, key)
		if _, err := c.Get(background, key, nil); err != nil {
			t.Fatal(err)
		}
		if asked(want, key) != before+1 {
			t.Errorf("node %d was not asked for %q", want, key)
		}
	}
	partition := func(key string) int { return int(kv.Hash([]byte(key)) >> 58) }
	key := "k"
	for partition(key)%2 != 1 {
		key += "k"
	}
	get(key, 0)

	cluster.ringOf("joined", 0, 1)
	now = now.Add(ringMaxAge)
	get(key, 1)

	cluster.ringOf("left", 1, 2)
	cluster.nodes[0].Close() // whose address is the only one that was given
	now = now.Add(ringMaxAge)
	get(key, 2)
	get(key, 2)

	// A member may be gone before the client has heard of it. That costs one request its way, and
	// then the client looks at the ring again.
	cluster.ringOf("again", 1)
	cluster.nodes[2].Close()
	get(key, 1)
	now = now.Add(ringRetry)
	looks := len(cluster.nodes[1].about("/cluster/ring"))
	get(key, 1)
	if got := len(cluster.nodes[1].about("/cluster/ring")); got != looks+1 {
		t.Errorf("the ring was looked at %d times after a node was gone, want once", got-looks)
	}
	if got := c.routes.Load().ring.Fingerprint; got != "again" {
		t.Errorf("it goes by ring %s", got)
	}
}

// A node that is part of no cluster, yet or any more, knows no ring. It takes none away from the
// client, and a load to it alone goes to it.
func TestNoRingIsNoRing(t *testing.T) {
	target := newLoadTarget(2)
	cluster := newFakeCluster(t, 2, func(node int, w http.ResponseWriter, r *http.Request) { target.take(t, node, w, r, nil) })
	known := cluster.ring
	cluster.ringOf("0000000000000000")
	c, _ := newClient(t, Options{Addrs: []string{cluster.nodes[0].addr}})
	now := time.Now()
	c.now = func() time.Time { return now }
	if report, err := loadTSV(c, "a\t1\nb\t2\n"); err != nil || report.Loaded != 2 {
		t.Errorf("a load to a node without a ring: %+v, %v", report, err)
	}
	cluster.ring = known
	now = now.Add(ringRetry)
	c.current(background)
	if got := c.routes.Load().ring; got == nil || got.Fingerprint != known.Fingerprint {
		t.Fatal("the ring is not looked at again soon")
	}
	cluster.ringOf("0000000000000000")
	now = now.Add(ringMaxAge)
	c.current(background)
	if got := c.routes.Load().ring.Fingerprint; got != known.Fingerprint {
		t.Errorf("the ring is forgotten for %s", got)
	}
}

// Leave asks the node that was given and no other, however it answers: another would leave in its
// place.
func TestLeaveAsksOneNode(t *testing.T) {
	status, body := 202, `{"node":"a:1","state":"leaving","partitions":3,"bytes":7,"message":"m"}`
	cluster := newFakeCluster(t, 2, func(_ int, w http.ResponseWriter, _ *http.Request) { reply(w, status, body) })
	c, _ := newClient(t, Options{Addrs: []string{cluster.nodes[1].addr, cluster.nodes[0].addr}})
	if _, err := c.Ring(background); err != nil {
		t.Fatal(err)
	}
	doc, err := c.Leave(background)
	if err != nil || *doc != (api.Leaving{Node: "a:1", State: "leaving", Partitions: 3, Bytes: 7, Message: "m"}) {
		t.Errorf("got %+v, %v", doc, err)
	}
	status, body = 409, `{"error":"the only one"}`
	var refusal *StatusError
	if _, err = c.Leave(background); !errors.As(err, &refusal) || refusal.Status != 409 || !strings.Contains(refusal.Message, "the only one") {
		t.Errorf("refused: %v", err)
	}
	cluster.nodes[1].Close()
	if _, err = c.Leave(background); !errors.Is(err, ErrUnavailable) {
		t.Errorf("out of reach: %v", err)
	}
	if got := cluster.nodes[0].about("/cluster/leave"); len(got) != 0 {
		t.Errorf("the other node was asked: %q", got)
	}
}

// Recover asks the node that was given and no other, and says whether loss is accepted.
func TestRecoverAsksOneNode(t *testing.T) {
	status, body := 200, `{"node":"a:1","released":true,"removed":["b:1"],"undecided":["c:1"]}`
	cluster := newFakeCluster(t, 2, func(_ int, w http.ResponseWriter, _ *http.Request) { reply(w, status, body) })
	c, _ := newClient(t, Options{Addrs: []string{cluster.nodes[1].addr, cluster.nodes[0].addr}})
	doc, err := c.Recover(background, true)
	if err != nil || !doc.Released || !slices.Equal(doc.Removed, []string{"b:1"}) || !slices.Equal(doc.Undecided, []string{"c:1"}) {
		t.Errorf("got %+v, %v", doc, err)
	}
	status, body = 400, `{"error":"it would"}`
	var refusal *StatusError
	if _, err = c.Recover(background, false); !errors.As(err, &refusal) || refusal.Status != 400 || errors.Is(err, ErrOutcomeUnknown) {
		t.Errorf("refused: %v", err)
	}
	want := []string{"POST /cluster/recover?accept_loss=true", "POST /cluster/recover?accept_loss=false"}
	if got := cluster.nodes[1].about("/cluster/recover"); !slices.Equal(got, want) {
		t.Errorf("asked %q", got)
	}
	if got := cluster.nodes[0].about("/cluster/recover"); len(got) != 0 {
		t.Errorf("the other node was asked: %q", got)
	}
}

// Whether it is safe to stop nodes is an answer, be it yes or no. Of other nodes any is asked; of
// itself the one that was given.
func TestSafeToStop(t *testing.T) {
	status, body := 200, `{"node":"a:1","nodes":["b:1"],"safe":true,"reason":"so"}`
	cluster := newFakeCluster(t, 1, func(_ int, w http.ResponseWriter, _ *http.Request) { reply(w, status, body) })
	c, _ := newClient(t, Options{Addrs: []string{cluster.nodes[0].addr}})
	if doc, err := c.SafeToStop(background, []string{"b:1", "[::1]:2"}, true); err != nil || !doc.Safe || doc.Reason != "so" {
		t.Errorf("got %+v, %v", doc, err)
	}
	status, body = 409, `{"node":"a:1","nodes":["a:1"],"safe":false,"reason":"no","error":"no","waits":[{"node":"c:1"}]}`
	if doc, err := c.SafeToStop(background, nil, false); err != nil || doc.Safe || doc.Reason != "no" || doc.Waits[0].Node != "c:1" {
		t.Errorf("got %+v, %v", doc, err)
	}
	status, body = 404, `{"error":"no such node"}`
	if _, err := c.SafeToStop(background, []string{"who:1"}, false); !errors.Is(err, ErrNotFound) {
		t.Errorf("of a stranger: %v", err)
	}
	if _, err := c.SafeToStop(background, []string{""}, false); err == nil {
		t.Error("of nobody: no error")
	}
	want := []string{
		"GET /cluster/safe-to-stop?quorum=true&nodes=b%3A1,%5B%3A%3A1%5D%3A2", "GET /cluster/safe-to-stop?quorum=false",
		"GET /cluster/safe-to-stop?quorum=false&nodes=who%3A1",
	}
	if got := cluster.nodes[0].about("/cluster/safe-to-stop"); !slices.Equal(got, want) {
		t.Errorf("asked %q", got)
	}
}

// Leave and Remove may have been done where the node hangs up, though they are sent again.
func TestMembersMayHaveChanged(t *testing.T) {
	cluster := newFakeCluster(t, 2, func(_ int, w http.ResponseWriter, _ *http.Request) { hangUp(w) })
	c, _ := newClient(t, Options{Addrs: []string{cluster.nodes[0].addr, cluster.nodes[1].addr}, NoRouting: true})
	wantErrors(t, "remove", c.Remove(background, "n:1"), ErrUnavailable, ErrOutcomeUnknown)
	_, err := c.Leave(background)
	wantErrors(t, "leave", err, ErrUnavailable, ErrOutcomeUnknown)
	for i, want := range []int{2, 1} {
		if got := len(cluster.nodes[i].about("/")); got != want {
			t.Errorf("node %d was asked %d times, want %d", i, got, want)
		}
	}
	cluster.nodes[0].Close()
	cluster.nodes[1].Close()
	wantErrors(t, "remove, with nobody there", c.Remove(background, "n:1"), ErrUnavailable)
}

// Remove names the node in one segment of the path, and any node will do.
func TestRemove(t *testing.T) {
	cluster := newFakeCluster(t, 2, func(_ int, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) })
	cluster.nodes[0].Close()
	c, _ := newClient(t, Options{Addrs: []string{cluster.nodes[0].addr, cluster.nodes[1].addr}})
	if err := c.Remove(background, "[::1]:1234"); err != nil {
		t.Error(err)
	}
	if got := cluster.nodes[1].about("/cluster/nodes"); !slices.Equal(got, []string{"DELETE /cluster/nodes/%5B%3A%3A1%5D%3A1234"}) {
		t.Errorf("asked %q", got)
	}
}
