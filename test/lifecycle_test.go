package test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"httpdhs/internal/poll"
)

// load is clients that write until they are told to stop, or the node is gone.
type load struct {
	stop    atomic.Bool
	clients sync.WaitGroup

	mu     sync.Mutex
	acked  map[string]string // key to value
	failed []string
}

// startLoad has eight clients write at the nodes. With until503 they stop at
// the first answer that is none, or says that the node is stopping.
func startLoad(c *cluster, until503 bool, at ...int) *load {
	l := &load{acked: make(map[string]string)}
	for n := range 8 {
		l.clients.Go(func() {
			for k := 0; !l.stop.Load(); k++ {
				key, query := fmt.Sprintf("load-%d-%d", n, k), "?w=live"
				if k%2 == 1 {
					query = "?w=one"
				}
				a := c.do(at[n%len(at)], "PUT", "/db/"+key+query, "of "+key)
				if until503 && (a.status == 0 || a.status == 503) {
					return
				}
				l.mu.Lock()
				if a.ok() {
					l.acked[key] = "of " + key
				} else {
					l.failed = append(l.failed, fmt.Sprintf("PUT %s: %d %s", key, a.status, a.body))
				}
				l.mu.Unlock()
			}
		})
	}
	return l
}

// more waits for so many more acknowledged writes.
func (l *load) more(t *testing.T, n int) {
	t.Helper()
	count := func() int {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.acked)
	}
	want := count() + n
	poll.Until(t, "writes go on", func() error {
		if got := count(); got < want {
			return fmt.Errorf("%d acknowledged, want %d", got, want)
		}
		return nil
	})
}

// end stops the clients and says that none of their writes failed.
func (l *load) end(t *testing.T) {
	t.Helper()
	l.stop.Store(true)
	l.clients.Wait()
	if len(l.failed) > 0 {
		t.Errorf("%d writes failed, the first: %s", len(l.failed), l.failed[0])
	}
}

func wantValues(t *testing.T, c *cluster, values map[string]string, at ...int) {
	t.Helper()
	bad := 0
	for key, value := range values {
		for _, i := range at {
			if a := c.do(i, "GET", "/db/"+key, ""); a.status != 200 || string(a.body) != value {
				if t.Errorf("GET %s at node %d: %d %q, want %q", key, i, a.status, a.body, value); bad == 10 {
					t.Fatal("... and more")
				}
				bad++
			}
		}
	}
}

// With one of three processes killed no write at the others fails, and all
// that was acknowledged reads at both. What needs the replica that is gone is
// a 503 that says so. When the process is back it is a member again, takes part
// in everything, and gets back what it owns: then another may go.
func TestKill9(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	l := startLoad(c, false, 0, 1)
	l.more(t, 300)
	c.kill9(2)
	l.more(t, 300)
	l.end(t)
	wantValues(t, c, l.acked, 0, 1)

	c.awaitDown(t, 2, 0, 1)
	short := 0
	for n := range 30 {
		a := c.do(n%2, "PUT", fmt.Sprintf("/db/all-%d?w=all", n), "x")
		if a.ok() {
			continue
		}
		short++
		var doc struct {
			Error          string
			Acks, Required *int
			Outcome        string
		}
		if err := json.Unmarshal(a.body, &doc); err != nil || a.status != 503 || doc.Error == "" ||
			doc.Acks == nil || *doc.Acks > 1 || doc.Required == nil || *doc.Required != 2 || doc.Outcome != "unknown" {
			t.Errorf("w=all: %d %s %v", a.status, a.body, err)
		}
	}
	if short == 0 || short == 30 {
		t.Errorf("%d of 30 writes at all replicas failed with one of three nodes down", short)
	}

	c.restart(t, 2)
	wantValues(t, c, l.acked, 0, 1, 2)
	if err := c.awaitReady(); err != nil {
		t.Fatal(err)
	}
	if a := c.do(2, "PUT", "/db/back?w=all", "again"); !a.ok() || a.header.Get("X-Dht-Acks") != "2/2" {
		t.Errorf("w=all at all nodes: %d %s", a.status, a.body)
	}
	c.kill9(0)
	wantValues(t, c, l.acked, 1, 2) // it has got what it owns back
}

// SIGTERM under load: the process ends with 0, and all that it has answered
// with success, whatever the level, is on the others.
func TestSIGTERM(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	l := startLoad(c, true, 0)
	l.more(t, 400)
	if status := c.terminate(t, 0); status != 0 {
		t.Errorf("exit status %d", status)
	}
	l.clients.Wait()
	if len(l.failed) > 0 {
		t.Errorf("%d writes failed, the first: %s", len(l.failed), l.failed[0])
	}
	wantValues(t, c, l.acked, 1, 2)
	for i := 1; i < 3; i++ {
		if status := c.terminate(t, i); status != 0 {
			t.Errorf("node %d: exit status %d", i, status)
		}
	}
}

// Nodes that are started with other settings than the rest say so, and the
// rest does, and all go on without each other.
func TestMismatchedFlags(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	c.kill9(2)
	c.flags = []string{"--partitions=512"}
	if err := c.launch(2); err != nil {
		t.Fatal(err)
	}
	poll.Until(t, "both sides say what is wrong", func() error {
		for i := range 3 {
			if a := c.do(i, "GET", "/cluster", ""); !strings.Contains(string(a.body), "must be the same at all nodes") || !strings.Contains(string(a.body), "--partitions") {
				return fmt.Errorf("node %d: %d %s", i, a.status, a.body)
			}
		}
		return nil
	})
	if a := c.do(0, "PUT", "/db/key", "value"); !a.ok() {
		t.Errorf("PUT at the others: %d %s", a.status, a.body)
	}
}
