package client

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"httpdhs/api"
	"httpdhs/kv"
)

// fakeNode is a server that notes what it is asked and answers as it is told.
type fakeNode struct {
	*httptest.Server
	addr string

	mu      sync.Mutex
	asked   []string // method and target, as they came
	handler http.HandlerFunc
}

func newFakeNode(t *testing.T, handler http.HandlerFunc) *fakeNode {
	t.Helper()
	n := &fakeNode{handler: handler}
	n.Server = httptest.NewServer(n)
	n.addr = n.Listener.Addr().String()
	t.Cleanup(n.Close)
	return n
}

func (n *fakeNode) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n.mu.Lock()
	n.asked = append(n.asked, r.Method+" "+r.RequestURI)
	handler := n.handler
	n.mu.Unlock()
	w.Header().Set(headerNode, n.addr)
	handler(w, r)
}

// about returns what the node was asked whose target begins with prefix.
func (n *fakeNode) about(prefix string) []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	var out []string
	for _, a := range n.asked {
		if _, target, _ := strings.Cut(a, " "); strings.HasPrefix(target, prefix) {
			out = append(out, a)
		}
	}
	return out
}

// fakeCluster is some nodes that tell the same ring: partition p belongs to
// node p modulo their number, and its replica to the next one.
type fakeCluster struct {
	nodes []*fakeNode
	ring  *api.Ring
}

// newFakeCluster makes n nodes that answer what is not about the ring with
// handler.
func newFakeCluster(t *testing.T, n int, handler func(node int, w http.ResponseWriter, r *http.Request)) *fakeCluster {
	t.Helper()
	c := &fakeCluster{ring: &api.Ring{Fingerprint: "f1", Hash: "xxh3-64", Partitions: 64, Replicas: min(2, n)}}
	for i := range n {
		c.nodes = append(c.nodes, newFakeNode(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/cluster/ring" {
				handler(i, w, r)
				return
			}
			if r.Header.Get("If-None-Match") == `"`+c.ring.Fingerprint+`"` {
				w.WriteHeader(http.StatusNotModified)
				return
			}
			_ = json.NewEncoder(w).Encode(c.ring)
		}))
		c.ring.Nodes = append(c.ring.Nodes, api.RingNode{Name: c.nodes[i].addr, Weight: 1})
	}
	for p := range c.ring.Partitions {
		owners := []uint16{uint16(p % n)}
		if n > 1 {
			owners = append(owners, uint16((p+1)%n))
		}
		c.ring.Owners = append(c.ring.Owners, owners)
	}
	return c
}

func (c *fakeCluster) primary(key string) int { return int(kv.Hash([]byte(key))>>58) % len(c.nodes) }

// keyOf finds a key whose primary is node.
func (c *fakeCluster) keyOf(node int) string {
	for i := 0; ; i++ {
		if key := strings.Repeat("k", i); c.primary(key) == node && i > 0 {
			return key
		}
	}
}

// newClient makes a client whose waits are noted and not made.
func newClient(t *testing.T, opts Options) (*Client, *[]time.Duration) {
	t.Helper()
	c, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	var mu sync.Mutex
	waits := new([]time.Duration)
	c.sleep = func(_ context.Context, d time.Duration) error {
		mu.Lock()
		defer mu.Unlock()
		*waits = append(*waits, d)
		return nil
	}
	return c, waits
}

// deadAddr is an address at which nobody listens.
func deadAddr(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// hangUp breaks the connection after the request was read.
func hangUp(w http.ResponseWriter) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err == nil {
		conn.Close()
	}
}

func reply(w http.ResponseWriter, status int, body string) {
	w.WriteHeader(status)
	_, _ = w.Write([]byte(body))
}
