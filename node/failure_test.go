package node_test

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"httpdhs/api"
	"httpdhs/internal/poll"
	"httpdhs/internal/testcluster"
	"httpdhs/node"
)

// writers write without a pause, each its own keys over and over.
type writers struct {
	stop    atomic.Bool
	running sync.WaitGroup
	done    atomic.Int64

	mu     sync.Mutex
	last   map[string]string // key to the value that was last acknowledged
	failed []string
}

func startWriters(c *testcluster.Cluster, query string, at ...int) *writers {
	w := &writers{last: make(map[string]string)}
	for n := range 6 {
		i := at[n%len(at)]
		w.running.Go(func() {
			for round := 0; !w.stop.Load(); round++ {
				key, value := fmt.Sprintf("writer-%d-%d", n, round%40), fmt.Sprint(round)
				resp := c.Put(i, key, value, query)
				w.mu.Lock()
				if resp.OK() {
					w.last[key] = value
				} else {
					w.failed = append(w.failed, fmt.Sprintf("PUT %s at node %d: %d %s %v", key, i, resp.Status, resp.Body, resp.Err))
				}
				w.mu.Unlock()
				w.done.Add(1)
			}
		})
	}
	return w
}

// more waits until so many more writes were answered.
func (w *writers) more(t *testing.T, n int64) {
	t.Helper()
	want := w.done.Load() + n
	poll.Until(t, "writes are answered", func() error {
		if got := w.done.Load(); got < want {
			return fmt.Errorf("%d, want %d", got, want)
		}
		return nil
	})
}

func (w *writers) end(t *testing.T) {
	t.Helper()
	w.stop.Store(true)
	w.running.Wait()
	for n, f := range w.failed {
		if t.Errorf("%s", f); n == 10 {
			t.Fatalf("... %d failed", len(w.failed))
		}
	}
}

// When one of three nodes is killed, no write at the others fails, and every key reads at both of
// them as it was last acknowledged. Then the node is back, at its address and empty. What was
// written in its absence reaches its own store from the queues, and what it had before from the
// other owners.
func TestKilledNode(t *testing.T) {
	t.Parallel()
	c := testcluster.Start(t, testcluster.Options{})
	w := startWriters(c, "", 0, 1)
	w.more(t, 300)
	c.Kill(2)
	w.more(t, 300)
	w.end(t)
	for key, value := range w.last {
		wantValue(t, c, key, value, 0, 1)
	}

	c.AwaitState(2, api.StateDown, 0, 1)
	missed := map[string]string{} // key to version
	for n, key := range ownedBy(c, 0, "missed", 60, 2) {
		missed[key] = versionOf(mustPut(t, c, n%2, key, "while it was away", ""))
	}
	if kept := hints(c, 2, 0, 1); kept == 0 {
		t.Error("the others keep nothing for the node that is away")
	}
	c.Restart(2)
	for key, version := range missed {
		c.Eventually("the node has what it missed", func() error { return holds(c, 0, 2, key, version) })
	}
	c.Eventually("no hints are left", func() error {
		if kept := hints(c, 2, 0, 1); kept != 0 {
			return fmt.Errorf("%d bytes are", kept)
		}
		return nil
	})
	for key, value := range w.last {
		wantValue(t, c, key, value, 0, 1, 2)
	}

	// It also gets back what it had before: then another may go.
	c.AwaitReady()
	c.Kill(1)
	for key, value := range w.last {
		wantValue(t, c, key, value, 0, 2)
	}
}

// hints are the bytes that the nodes at keep for node j.
func hints(c *testcluster.Cluster, j int, at ...int) (sum int64) {
	for _, i := range at {
		for _, n := range c.View(i).Nodes {
			if n.Name == c.Name(j) {
				sum += n.HintBytes
			}
		}
	}
	return sum
}

// A node that came back empty does not say that there is no such key where
// there is one: not while the other owners are up, and not when they are gone
// too. What it cannot know is a 503.
func TestRestartedNodeTellsNoLies(t *testing.T) {
	t.Parallel()
	c := testcluster.Start(t, testcluster.Options{})
	shared := ownedBy(c, 0, "shared", 40, 1, 2)
	for _, key := range shared {
		mustPut(t, c, 0, key, "value", "")
	}
	c.Kill(2)
	c.AwaitState(2, api.StateDown, 0, 1)
	c.Restart(2)
	for _, key := range shared[:20] {
		wantValue(t, c, key, "value", 0, 1, 2)
	}
	wantStatus(t, c.Get(2, "no-such-key"), 404)

	c.Kill(1)
	for _, key := range shared {
		for _, i := range []int{0, 2} {
			switch resp := c.Get(i, key); {
			case resp.Status == 200 && resp.Body == "value", resp.Status == 503:
			default:
				t.Errorf("GET %s at node %d: %d %q %v", key, i, resp.Status, resp.Body, resp.Err)
			}
		}
	}
}

// When all nodes are restarted at once nobody holds anything that another
// misses: they are ready again, and empty.
func TestRestartOfAll(t *testing.T) {
	t.Parallel()
	c := testcluster.Start(t, testcluster.Options{})
	for _, key := range keys("key", 20) {
		mustPut(t, c, 0, key, "value", "")
	}
	for i := range 3 {
		c.Kill(i)
	}
	for i := range 3 {
		c.Reopen(i)
	}
	c.AwaitReady()
	for _, key := range keys("key", 20) {
		for i := range 3 {
			wantStatus(t, c.Get(i, key), 404)
		}
	}
	mustPut(t, c, 1, "key-0", "new", "?w=all")
	wantValue(t, c, "key-0", "new", 0, 1, 2)
}

// Writes at level one go on at both sides of a cut. When it is healed they
// reach the owners on the other side, and a key that was written on both sides
// is the same at all of them.
func TestCutOffAndHealed(t *testing.T) {
	t.Parallel()
	c := testcluster.Start(t, testcluster.Options{})
	c.CutOff(2)
	c.AwaitState(2, api.StateDown, 0, 1)
	c.AwaitState(0, api.StateDown, 2)
	c.AwaitState(1, api.StateDown, 2)
	var written []string
	put := func(i int, keys []string) {
		t.Helper()
		for _, key := range keys {
			mustPut(t, c, i, key, fmt.Sprint("at ", i), "?w=one")
		}
		written = append(written, keys...)
	}
	both := ownedBy(c, 0, "both", 30, 2)
	put(2, ownedBy(c, 0, "minority", 30, 2))
	put(0, ownedBy(c, 0, "majority", 30, 2))
	put(1, both[:15])
	put(2, both)
	put(0, both[15:])

	c.Heal(2)
	for _, key := range written {
		c.Eventually("the owners agree", func() error { return agree(c, 1, key) })
		value := c.Get(0, key).Body
		wantValue(t, c, key, value, 1, 2)
	}
	for _, key := range both[15:] {
		wantValue(t, c, key, "at 0", 0, 1, 2) // the later write
	}
	for _, key := range both[:15] {
		wantValue(t, c, key, "at 2", 0, 1, 2)
	}
	c.AwaitReady()
}

// A peer that takes connections and never answers delays requests until it is found out, and fails
// none of them. Then it is as one that is down. When it speaks again it gets what it missed.
func TestSilentPeer(t *testing.T) {
	t.Parallel()
	c := testcluster.Start(t, testcluster.Options{})
	known := ownedBy(c, 0, "known", 20, 1, 2)
	for _, key := range known {
		mustPut(t, c, 0, key, "value", "")
	}
	c.Silence(2)
	w := startWriters(c, "?timeout=30s", 0, 1)
	for _, key := range known {
		if resp := c.Do(0, "GET", "/db/"+key+"?timeout=30s", ""); resp.Status != 200 {
			t.Errorf("GET %s: %d %s %v", key, resp.Status, resp.Body, resp.Err)
		}
	}
	c.AwaitState(2, api.StateDown, 0, 1)
	w.more(t, 100)
	w.end(t)
	c.Heal(2)
	for key, value := range w.last {
		c.Eventually("the owners agree", func() error { return agree(c, 0, key) })
		wantValue(t, c, key, value, 0, 1, 2)
	}
}

// When more was written in a node's absence than is kept for it, the oldest is
// dropped and counted; the node has it all the same before it says that it is
// ready.
func TestMoreThanHintsCanHold(t *testing.T) {
	t.Parallel()
	const bound = 64 << 10
	c := testcluster.Start(t, testcluster.Options{Configure: func(_ int, cfg *node.Config) { cfg.HintBytes = bound }})
	c.Kill(2)
	c.AwaitState(2, api.StateDown, 0, 1)
	value := strings.Repeat("x", 4<<10)
	missed := ownedBy(c, 0, "missed", 60, 2)
	for _, key := range missed {
		mustPut(t, c, 0, key, value, "")
	}
	if kept := hints(c, 2, 0); kept == 0 || kept > bound {
		t.Errorf("%d bytes are kept, bound %d", kept, bound)
	}
	dropped, err := metric(c, 0, fmt.Sprintf("httpdhs_peer_dropped_records_total{peer=%q}", c.Name(2)))
	if err != nil || dropped < float64(len(missed)-bound/len(value)) {
		t.Errorf("%v records are counted as dropped, %v", dropped, err)
	}
	c.Restart(2)
	c.AwaitReady()
	for _, key := range missed {
		if err := agree(c, 0, key); err != nil {
			t.Error(err)
		}
	}
}
