package node_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"httpdhs/internal/testcluster"
	"httpdhs/node"
)

// noise flips a bit in some of what nodes say to each other, both ways and anywhere in a frame. In
// the HTTP before the first one it might only make a node wait.
type noise struct {
	quiet   atomic.Bool
	flipped atomic.Int64
	mu      sync.Mutex // guards rng
	rng     *rand.Rand
}

func (n *noise) over(p []byte) {
	if len(p) == 0 || bytes.Contains(p, []byte("HTTP/1.1 ")) || bytes.HasPrefix(p, []byte("GET ")) || n.quiet.Load() {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.rng.IntN(4) == 0 {
		p[n.rng.IntN(len(p))] ^= 1 << n.rng.IntN(8)
		n.flipped.Add(1)
	}
}

type noisyConn struct {
	net.Conn
	n *noise
}

func (c *noisyConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.n.over(p[:n])
	return n, err
}

func (c *noisyConn) Write(p []byte) (int, error) {
	p = bytes.Clone(p)
	c.n.over(p)
	return c.Conn.Write(p)
}

// Where bits flip on the way between nodes, what was written still gets to all owners. Nothing is
// dropped, and nothing else is there.
func TestBitsFlipOnTheWay(t *testing.T) {
	t.Parallel()
	n := &noise{rng: rand.New(rand.NewPCG(1, 2))}
	n.quiet.Store(true)
	c := testcluster.Start(t, testcluster.Options{Nodes: 2, Configure: func(_ int, cfg *node.Config) {
		dial := cfg.Dial
		cfg.Dial = func(addr string, timeout time.Duration) (net.Conn, error) {
			conn, err := dial(addr, timeout)
			if err != nil {
				return nil, err
			}
			return &noisyConn{conn, n}, nil
		}
	}})
	n.quiet.Store(false)
	all := keys("noisy", 200)
	for i, key := range all {
		mustPut(t, c, i%2, key, "value of "+key, "?w=one")
	}
	c.Eventually("enough bits have flipped", func() error {
		if flipped := n.flipped.Load(); flipped < 100 {
			return fmt.Errorf("%d have", flipped)
		}
		return nil
	})
	n.quiet.Store(true)
	c.AwaitReady()
	for _, key := range all {
		c.Eventually("both have what was written", func() error { return agree(c, 0, key) })
		wantValue(t, c, key, "value of "+key, 0, 1)
	}
	for i := range 2 {
		if lines := strings.Count(c.Do(i, "GET", "/db?limit=1000", "", "Accept", "application/x-ndjson").Body, "\n"); lines != len(all) {
			t.Errorf("node %d lists %d keys, want %d", i, lines, len(all))
		}
		if c.Logged(i, "dropped") {
			t.Errorf("node %d has dropped a batch", i)
		}
	}
	t.Logf("%d bits were flipped", n.flipped.Load())
}
