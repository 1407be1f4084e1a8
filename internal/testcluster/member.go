package testcluster

import (
	"context"
	"fmt"
	"net/http"

	"httpdhs/api"
	"httpdhs/internal/ports"
	"httpdhs/internal/syncbuf"
)

// Join starts one more node, which joins the others, and returns its number. It does not wait: see
// AwaitReady and AwaitRing.
func (c *Cluster) Join() int {
	c.t.Helper()
	ln, err := ports.Listen()
	if err != nil {
		c.t.Fatal(err)
	}
	name := ln.Addr().String()
	c.net.add(name)
	c.mu.Lock()
	i := len(c.names)
	c.names, c.logs, c.nodes = append(c.names, name), append(c.logs, new(syncbuf.Buffer)), append(c.nodes, nil)
	c.mu.Unlock()
	c.open(i, ln)
	return i
}

// Leave asks node i to leave, waits until it has, and takes it down. The others may still be about
// to hear of it.
func (c *Cluster) Leave(i int) {
	c.t.Helper()
	n := c.Node(i)
	if resp := c.Do(i, http.MethodPost, "/cluster/leave", ""); resp.Status != http.StatusAccepted {
		c.t.Fatalf("node %d is asked to leave: %d %s %v", i, resp.Status, resp.Body, resp.Err)
	}
	c.Eventually(fmt.Sprintf("node %d has left", i), func() error {
		select {
		case <-n.Left():
			return nil
		default:
			state, reason := c.State(i, i)
			return fmt.Errorf("it is %s: %s", state, reason)
		}
	})
	if err := c.Stop(context.Background(), i); err != nil {
		c.t.Errorf("node %d stops after it has left: %v", i, err)
	}
}

// AwaitRing waits until each node that runs has these members and no others, all active, and reads
// by one ring, which is not changing.
func (c *Cluster) AwaitRing(members ...int) {
	c.t.Helper()
	want := make(map[string]bool)
	for _, i := range members {
		want[c.Name(i)] = true
	}
	c.Eventually(fmt.Sprintf("the ring is that of nodes %v", members), func() error {
		ring := ""
		for _, i := range c.running() {
			doc := c.View(i)
			if len(doc.Nodes) != len(want) || doc.Target != "" || ring != "" && doc.Ring != ring {
				return fmt.Errorf("node %d has %d members, ring %s, target %q", i, len(doc.Nodes), doc.Ring, doc.Target)
			}
			ring = doc.Ring
			for _, n := range doc.Nodes {
				if !want[n.Name] || n.State != api.StateActive {
					return fmt.Errorf("node %d says that %s is %s: %s", i, n.Name, n.State, n.Reason)
				}
			}
		}
		return nil
	})
}
