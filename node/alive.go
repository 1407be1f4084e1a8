package node

import (
	"fmt"
	"time"
)

// sweepLate is how long ago the server's loop that runs every second may have run. A machine that
// has much else to do delays it by less.
const sweepLate = 30 * time.Second

// Alive looks whether the node still works, for a supervisor that restarts it if not. Where
// something holds a lock for good it does not return, which tells the supervisor too. It asks
// nobody over the network: a node that has no place for another connection is alive.
func (n *Node) Alive() error {
	if n.stopping.Load() {
		return nil // its time is bounded otherwise
	}
	if late := n.server.SweptAgo(); late > sweepLate {
		return fmt.Errorf("the loop that looks for slow clients has not run for %s", late)
	}
	n.store.Stats()              // takes the lock of each partition
	_ = n.plane.Topology.Peers() // of the members and their queues
	_, _ = n.Ready()             // of all else that a request may need; to be ready is another matter
	return nil
}
