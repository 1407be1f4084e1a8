package node_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"strings"
	"testing"

	"httpdhs/api"
	"httpdhs/internal/testcert"
	"httpdhs/internal/testcluster"
	"httpdhs/node"
)

// Nodes whose settings would give them different rings do not take each other
// for members: both sides say that the other is down, and which settings to
// look at, and neither stores anything at the other. Those whose settings are
// alike go on.
func TestMismatchedSettings(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*node.Config){
		"replicas":    func(cfg *node.Config) { cfg.Replicas = 3 },
		"partitions":  func(cfg *node.Config) { cfg.Partitions *= 2 },
		"partitioner": func(cfg *node.Config) { cfg.Partitioner = "modulus" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := testcluster.Start(t, testcluster.Options{Unready: true, Configure: func(i int, cfg *node.Config) {
				if i == 2 {
					change(cfg)
				}
			}})
			awaitDown(t, c, 2, "must be the same", 0, 1)
			awaitDown(t, c, 0, "must be the same", 2)
			awaitDown(t, c, 1, "must be the same", 2)
			c.AwaitState(1, api.StateJoining, 0)
			for n, key := range keys("key", 40) {
				c.Put(n%2, key, "value", "?w=one") // the hints of some are all that there is
			}
			for range 20 {
				for _, n := range c.View(2).Nodes {
					if n.Name == c.Name(2) && n.Keys != 0 {
						t.Fatalf("the node with other settings was given %d keys", n.Keys)
					}
				}
				for _, i := range []int{0, 1} {
					if state, _ := c.State(i, 2); state != api.StateDown {
						t.Fatalf("node %d says that it is %s", i, state)
					}
				}
			}
		})
	}
}

// awaitDown waits until each of the nodes says that node j is down, for that
// reason, and is not ready.
func awaitDown(t *testing.T, c *testcluster.Cluster, j int, why string, at ...int) {
	t.Helper()
	c.Eventually(fmt.Sprintf("node %d is down: %s", j, why), func() error {
		for _, i := range at {
			state, reason := c.State(i, j)
			if state != api.StateDown || !strings.Contains(reason, why) {
				return fmt.Errorf("node %d says %s: %s", i, state, reason)
			}
			if ready := c.Do(i, "GET", "/readyz", ""); ready.Status != 503 {
				return fmt.Errorf("/readyz of node %d: %d %s", i, ready.Status, ready.Body)
			}
		}
		return nil
	})
}

// A node that has the wrong cluster secret, or none, is not a member. Those who know the secret say
// that it is down and why, and it says so of them.
func TestWrongClusterSecret(t *testing.T) {
	t.Parallel()
	for _, secret := range []string{"", "a guess"} {
		c := testcluster.Start(t, testcluster.Options{Unready: true, Configure: func(i int, cfg *node.Config) {
			cfg.ClusterSecret = "the secret"
			if i == 2 {
				cfg.ClusterSecret = secret
			}
		}})
		awaitDown(t, c, 0, "--cluster-secret-file", 2)
		awaitDown(t, c, 2, "--cluster-secret-file", 0, 1)
		c.AwaitState(1, api.StateJoining, 0)
		wantStatus(t, c.Do(0, "POST", "/internal/exchange", "x"), 426)
	}
}

// With the same secret at all nodes there is a cluster; with a token clients
// need it, and the readiness stays open to who has none.
func TestSecretAndToken(t *testing.T) {
	t.Parallel()
	c := testcluster.Start(t, testcluster.Options{Configure: func(_ int, cfg *node.Config) {
		cfg.ClusterSecret, cfg.AuthToken = "the secret", "the token"
	}})
	token := []string{"Authorization", "Bearer the token"}
	wantStatus(t, c.Do(0, "PUT", "/db/key", "value", token...), 201)
	if resp := c.Do(1, "GET", "/db/key", "", token...); resp.Body != "value" {
		t.Errorf("GET with the token: %d %q", resp.Status, resp.Body)
	}
	for _, path := range []string{"/db/key", "/db", "/cluster", "/cluster/ring", "/cluster/key/key", "/metrics", "/"} {
		resp := c.Do(2, "GET", path, "")
		if resp.Status != 401 || resp.Header.Get("WWW-Authenticate") == "" {
			t.Errorf("GET %s without a token: %d %v", path, resp.Status, resp.Header)
		}
	}
	wantStatus(t, c.Do(2, "GET", "/db/key", "", "Authorization", "Bearer the secret"), 401)
	wantStatus(t, c.Do(0, "POST", "/internal/exchange", "x", token...), 426)
	wantStatus(t, c.Do(2, "GET", "/readyz", ""), 200)
	wantStatus(t, c.Do(2, "GET", "/healthz", ""), 200)
}

// Over TLS nodes and clients speak as they do without. A client that does not
// trust the authority gets nowhere, and neither does a node.
func TestTLS(t *testing.T) {
	t.Parallel()
	authority, pair := testcert.New(t)
	trusting := &tls.Config{RootCAs: authority, MinVersion: tls.VersionTLS12}
	serve := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	c := testcluster.Start(t, testcluster.Options{ClientTLS: trusting, Configure: func(_ int, cfg *node.Config) {
		cfg.ServerTLS, cfg.ClientTLS = serve.Clone(), trusting.Clone()
	}})
	if url := c.Node(0).URL(); url != "https://"+c.Name(0) {
		t.Errorf("URL %s", url)
	}
	for n, key := range keys("key", 20) {
		put := mustPut(t, c, n%3, key, "value", "?w=all")
		if got := put.Header.Get("X-Dht-Acks"); got != "2/2" {
			t.Errorf("acks %s", got)
		}
		wantValue(t, c, key, "value", 0, 1, 2)
	}
	mustPut(t, c, 0, "large", strings.Repeat("x", 3<<20), "")
	wantValue(t, c, "large", strings.Repeat("x", 3<<20), 1, 2)

	stranger := testcluster.Start(t, testcluster.Options{Unready: true, ClientTLS: trusting, Configure: func(i int, cfg *node.Config) {
		cfg.ServerTLS, cfg.ClientTLS = serve.Clone(), trusting.Clone()
		if i == 2 {
			cfg.ClientTLS = &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}
		}
	}})
	awaitDown(t, stranger, 0, "certificate", 2)
}

// A node that evicts is not started with so little memory that tombstones alone would fill it, and
// is told what to do; without eviction, or with enough, it is.
func TestLittleMemoryForEviction(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		eviction string
		memory   int64
		ok       bool
	}{
		{"s3-fifo", 32<<20 - 1, false},
		{"s3-fifo", 8 << 20, false},
		{"s3-fifo", 32 << 20, true},
		{"none", 8 << 20, true},
		{"", 8 << 20, true},
	} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		n, err := node.Open(node.Config{Name: ln.Addr().String(), Listener: ln, Partitions: 1024, MaxMemory: row.memory, Eviction: row.eviction})
		if row.ok != (err == nil) || err != nil && (!strings.Contains(err.Error(), "needs at least 33554432") || !strings.Contains(err.Error(), "fewer --partitions")) {
			t.Errorf("%d bytes, eviction %q: %v", row.memory, row.eviction, err)
		}
		if err == nil {
			n.Kill()
		}
	}
}
