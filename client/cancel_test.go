package client

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"
)

// patience is how long something may take that is due at once: only a fault reaches it.
const patience = time.Minute

// hangingNode is a node that answers nothing whose path begins so, and tells of each such request.
// It lets go of all of them at the end of the test.
func hangingNode(t *testing.T, path string, n int) (cluster *fakeCluster, asked chan string) {
	t.Helper()
	asked = make(chan string, 100)
	end := make(chan struct{})
	cluster = newFakeCluster(t, n, func(_ int, w http.ResponseWriter, _ *http.Request) { reply(w, 200, "v") })
	for _, node := range cluster.nodes {
		answer := node.handler
		node.handler = func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == path {
				asked <- r.Method
				<-end
			}
			answer(w, r)
		}
	}
	t.Cleanup(func() { close(end) })
	return cluster, asked
}

// call is something that a client does. The node that it asks first is silent at a path.
type call struct {
	path string
	do   func(context.Context, *Client) error
	sent bool // a write that may have been done
}

func allCalls() map[string]call {
	put := func(ctx context.Context, c *Client) error {
		_, err := c.Put(ctx, "k", []byte("v"), nil)
		return err
	}
	return map[string]call{
		"get":                     {"/db/k", func(ctx context.Context, c *Client) error { _, err := c.Get(ctx, "k", nil); return err }, false},
		"put":                     {"/db/k", put, true},
		"delete":                  {"/db/k", func(ctx context.Context, c *Client) error { return c.Delete(ctx, "k", nil) }, true},
		"put that waits for ring": {"/cluster/ring", put, false},
		"gets": {"/batch", func(ctx context.Context, c *Client) error {
			_, err := c.GetMany(ctx, []string{"k"}, nil)
			return err
		}, false},
		"batch": {"/batch", func(ctx context.Context, c *Client) error {
			return c.Batch(ctx, []Op{{Kind: OpPut, Key: "k"}}, nil)[0].Err
		}, true},
		"cluster": {"/cluster", func(ctx context.Context, c *Client) error { _, err := c.Cluster(ctx); return err }, false},
		"ring":    {"/cluster/ring", func(ctx context.Context, c *Client) error { _, err := c.Ring(ctx); return err }, false},
		"locate":  {"/cluster/key/k", func(ctx context.Context, c *Client) error { _, err := c.Locate(ctx, "k"); return err }, false},
		"leave":   {"/cluster/leave", func(ctx context.Context, c *Client) error { _, err := c.Leave(ctx); return err }, true},
		"backup":  {"/cluster/backup", func(ctx context.Context, c *Client) error { _, err := c.Backup(ctx); return err }, false},
		"recover": {"/cluster/recover", func(ctx context.Context, c *Client) error { _, err := c.Recover(ctx, true); return err }, true},
		"safe": {"/cluster/safe-to-stop", func(ctx context.Context, c *Client) error {
			_, err := c.SafeToStop(ctx, nil, false)
			return err
		}, false},
		"remove": {"/cluster/nodes/n", func(ctx context.Context, c *Client) error { return c.Remove(ctx, "n") }, true},
		"keys": {"/db", func(ctx context.Context, c *Client) error {
			for _, err := range c.Keys(ctx, nil) {
				return err
			}
			return nil
		}, false},
		"load": {"/load-data", func(ctx context.Context, c *Client) error {
			_, err := c.NewLoader(&LoadOptions{BlockTimeout: time.Hour}).Load(ctx, ReadRecords(strings.NewReader("k\tv\n"), TSV, nil))
			return err
		}, true},
	}
}

// A call whose context's time is over says so, as those do of any package.
func TestCallsEndWithTheContextsTime(t *testing.T) {
	calls := allCalls()
	delete(calls, "put that waits for ring") // it goes on without
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster, _ := hangingNode(t, call.path, 1)
			c, _ := newClient(t, Options{Addrs: []string{cluster.nodes[0].addr}, Timeout: time.Hour})
			c.ringTimeout = time.Hour
			ctx, cancel := context.WithTimeout(background, 50*time.Millisecond)
			defer cancel()
			if err := call.do(ctx, c); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrOutcomeUnknown) != call.sent {
				t.Errorf("it returns %v", err)
			}
		})
	}
}

// A call whose context is cancelled returns at once, while the node that it asks goes on to be
// silent, and is not taken for down. No timeout of the client is near.
func TestCancelledCallsReturn(t *testing.T) {
	for name, call := range allCalls() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster, asked := hangingNode(t, call.path, 2)
			c, _ := newClient(t, Options{Addrs: []string{cluster.nodes[0].addr}, Timeout: time.Hour})
			c.ringTimeout = time.Hour
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			returned := make(chan error, 1)
			go func() { returned <- call.do(ctx, c) }()
			<-asked
			cancel()
			select {
			case err := <-returned:
				if !errors.Is(err, context.Canceled) || errors.Is(err, ErrOutcomeUnknown) != call.sent {
					t.Errorf("it returns %v", err)
				}
			case <-time.After(patience):
				t.Fatal("it does not return")
			}
			for _, e := range c.routes.Load().all {
				if !e.usable(time.Now()) {
					t.Errorf("%s is taken for down", e.addr)
				}
			}
		})
	}
}

// A ring that nobody tells takes no more than a part of the time for a call.
func TestCallsGoOnWithoutTheRing(t *testing.T) {
	t.Parallel()
	cluster, _ := hangingNode(t, "/cluster/ring", 1)
	const timeout = 6 * time.Second
	for name, opts := range map[string]Options{"options": {Timeout: timeout}, "context": {Timeout: time.Hour}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			opts.Addrs = []string{cluster.nodes[0].addr}
			c, _ := newClient(t, opts)
			c.ringTimeout = time.Hour
			ctx, cancel := background, func() {}
			if name == "context" {
				ctx, cancel = context.WithTimeout(background, timeout)
			}
			defer cancel()
			returned := make(chan error, 1)
			go func() { _, err := c.Put(ctx, "k", nil, nil); returned <- err }()
			select {
			case err := <-returned:
				if err != nil {
					t.Errorf("it returns %v", err)
				}
			case <-time.After(patience):
				t.Error("it does not return")
			}
		})
	}
}

// Who waits for another to look at the ring is not held up by it either.
func TestCancelledWaitForTheRing(t *testing.T) {
	t.Parallel()
	cluster, asked := hangingNode(t, "/cluster/ring", 1)
	c, _ := newClient(t, Options{Addrs: []string{cluster.nodes[0].addr}, Timeout: time.Hour})
	c.ringTimeout = time.Hour
	first, stop := context.WithCancel(context.Background())
	returned := make(chan error, 1)
	go func() { _, err := c.Ring(first); returned <- err }()
	<-asked
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := c.Ring(cancelled); !errors.Is(err, context.Canceled) {
		t.Errorf("it returns %v", err)
	}
	stop()
	<-returned
}

// A cancelled context is no word about the ring: the next call looks at it.
func TestCancelledLookAtTheRingIsRepeated(t *testing.T) {
	cluster := newFakeCluster(t, 1, func(_ int, w http.ResponseWriter, _ *http.Request) { reply(w, 200, "v") })
	c, _ := newClient(t, Options{Addrs: []string{cluster.nodes[0].addr}})
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := c.Get(cancelled, "k", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("it returns %v", err)
	}
	if _, err := c.Get(background, "k", nil); err != nil || c.routes.Load().ring == nil {
		t.Errorf("the ring was not looked at: %v", err)
	}
}
