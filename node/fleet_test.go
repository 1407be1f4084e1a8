package node_test

import (
	"fmt"
	"os"
	"testing"

	"httpdhs/api"
	"httpdhs/internal/testcluster"
	"httpdhs/node"
)

// Many nodes in one process come up and agree who is there; and when one dies, all others notice.
// SOAK=1 has more of them.
func TestManyNodes(t *testing.T) {
	nodes := 20
	if testing.Short() {
		nodes = 8
	}
	if os.Getenv("SOAK") != "" {
		nodes = 50
	}
	c := testcluster.Start(t, testcluster.Options{Nodes: nodes, Unready: true, Configure: func(_ int, cfg *node.Config) {
		cfg.ProbeEvery, cfg.OpenFiles = 0, node.OpenFiles()/nodes // as httpdhs dev
	}})
	agree := func(i, down int) error {
		view := c.View(i).Nodes
		if len(view) != nodes {
			return fmt.Errorf("node %d knows %d of %d", i, len(view), nodes)
		}
		for _, n := range view {
			if (n.State == api.StateDown) != (down >= 0 && n.Name == c.Name(down)) || n.State == api.StateJoining {
				return fmt.Errorf("to node %d, %s is %s: %s", i, n.Name, n.State, n.Reason)
			}
		}
		return nil
	}
	for i := range nodes {
		c.Eventually("all agree", func() error { return agree(i, -1) })
	}
	c.Kill(nodes - 1)
	for i := range nodes - 1 {
		c.Eventually("all others notice that one is gone", func() error { return agree(i, nodes-1) })
	}
}
