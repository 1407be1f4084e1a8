package testcluster

import (
	"context"
	"testing"

	"go.uber.org/goleak"

	"httpdhs/api"
)

// What fasthttp starts and nobody can end is not a leak of the cluster's: its
// one clock for Date headers, and a client's sleep before it looks whether it
// has connections left.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*HostClient).connsCleaner"))
}

// A cluster that has started answers at each of its nodes.
func TestStart(t *testing.T) {
	c := Start(t, Options{Nodes: 2})
	for i := range c.Size() {
		if resp := c.Do(i, "GET", "/readyz", ""); resp.Status != 200 {
			t.Errorf("node %d: %d %s %v", i, resp.Status, resp.Body, resp.Err)
		}
	}
	if !c.Logged(0, "node starts") || c.Index(c.Name(1)) != 1 {
		t.Error("no log, or no names")
	}
}

// A node that is cut off, and one that is in silence, is down for the others
// and they for it, while it still answers clients; the others see each other.
// Healing brings them together again, and a node that was stopped or killed
// comes back at the same address.
func TestFaults(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]struct{ begin, end func(*Cluster, int) }{
		"cut off": {(*Cluster).CutOff, (*Cluster).Heal},
		"silence": {(*Cluster).Silence, (*Cluster).Heal},
		"kill":    {(*Cluster).Kill, (*Cluster).Restart},
		"stop": {func(c *Cluster, i int) {
			if err := c.Stop(context.Background(), i); err != nil {
				t.Error(err)
			}
		}, (*Cluster).Restart},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := Start(t, Options{})
			fault.begin(c, 1)
			c.AwaitState(1, api.StateDown, 0, 2)
			if state, why := c.State(0, 2); state != api.StateActive {
				t.Errorf("a node that nothing happened to is %s: %s", state, why)
			}
			if c.Node(1) != nil {
				c.AwaitState(0, api.StateDown, 1)
				if resp := c.Do(1, "GET", "/healthz", ""); resp.Status != 200 {
					t.Errorf("a client cannot reach it: %d %v", resp.Status, resp.Err)
				}
			} else if resp := c.Do(1, "GET", "/healthz", ""); resp.Err == nil {
				t.Errorf("a node that does not run answers %d", resp.Status)
			}
			fault.end(c, 1)
			for _, i := range []int{0, 2} {
				if state, why := c.State(i, 1); state == api.StateDown {
					t.Errorf("afterwards node %d says that it is down: %s", i, why)
				}
			}
		})
	}
}
