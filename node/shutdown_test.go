package node_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"httpdhs/api"
	"httpdhs/internal/testcluster"
)

// What a node has acknowledged before it stopped in good order is on the
// others afterwards, whatever the level of the write: what had not reached
// them yet is handed over.
func TestShutdownUnderLoad(t *testing.T) {
	t.Parallel()
	for _, level := range []string{"live", "one"} {
		t.Run(level, func(t *testing.T) {
			t.Parallel()
			c := testcluster.Start(t, testcluster.Options{})
			c.Delay(0, 20*time.Millisecond) // so that there is something to hand over
			var mu sync.Mutex
			acked := map[string]string{} // key to version
			var clients sync.WaitGroup
			for n := range 8 {
				clients.Go(func() {
					for k := 0; ; k++ {
						key := fmt.Sprintf("stop-%d-%d", n, k)
						resp := c.Put(0, key, "of "+key, "?w="+level)
						if resp.Err != nil || resp.Status == 503 {
							return // it has stopped
						}
						if !resp.OK() {
							t.Errorf("PUT %s: %d %s", key, resp.Status, resp.Body)
						}
						mu.Lock()
						acked[key] = versionOf(resp)
						mu.Unlock()
					}
				})
			}
			c.Eventually("writes are under way", func() error {
				mu.Lock()
				defer mu.Unlock()
				if len(acked) < 400 {
					return fmt.Errorf("%d so far", len(acked))
				}
				return nil
			})
			if err := c.Stop(context.Background(), 0); err != nil {
				t.Errorf("the node did not stop in good order: %v", err)
			}
			clients.Wait()
			for key := range acked {
				wantValue(t, c, key, "of "+key, 1, 2)
			}
		})
	}
}

// A node that is told to stop answers every request that it has taken. Some of them wait for a peer
// that does not answer. Before the node's time is over, they hear that they have to look elsewhere.
func TestShutdownAnswersWhoWaits(t *testing.T) {
	t.Parallel()
	c := testcluster.Start(t, testcluster.Options{})
	waiting := ownedBy(c, 0, "waits", 12, 0, 1)
	before, err := metric(c, 0, "httpdhs_coordinator_writes_total")
	if err != nil {
		t.Fatal(err)
	}
	c.Silence(1)
	answers := make([]testcluster.Response, len(waiting))
	var clients sync.WaitGroup
	for n, key := range waiting {
		clients.Go(func() { answers[n] = c.Put(0, key, "value", "?w=all&timeout=25s") })
	}
	c.Eventually("the node waits for its peer", func() error {
		now, err := metric(c, 0, "httpdhs_coordinator_writes_total")
		if err == nil && now-before < float64(len(waiting)) {
			err = fmt.Errorf("%v writes so far", now-before)
		}
		return err
	})
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_ = c.Stop(ctx, 0) // it says that it could not hand over what the silent peer did not take
	clients.Wait()
	for n, resp := range answers {
		if resp.Status != 503 {
			t.Errorf("PUT %s: %d %q %v, want 503", waiting[n], resp.Status, resp.Body, resp.Err)
		}
	}
}

// A node that stops is not ready, and is known to be down, not to have left:
// when it is back it is one of the members as before.
func TestStopIsNotALeave(t *testing.T) {
	t.Parallel()
	c := testcluster.Start(t, testcluster.Options{})
	ring := c.View(0).Ring
	if err := c.Stop(context.Background(), 2); err != nil {
		t.Fatal(err)
	}
	c.AwaitState(2, api.StateDown, 0, 1)
	if now := c.View(0); now.Ring != ring || len(now.Nodes) != 3 {
		t.Errorf("ring %s of %d nodes, want %s of 3", now.Ring, len(now.Nodes), ring)
	}
	for i := range 2 {
		wantStatus(t, c.Do(i, "GET", "/readyz", ""), 200)
	}
	c.Restart(2)
	if now := c.View(2); now.Ring != ring || len(now.Nodes) != 3 {
		t.Errorf("ring %s of %d nodes, want %s of 3", now.Ring, len(now.Nodes), ring)
	}
}
