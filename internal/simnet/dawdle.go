package simnet

import "time"

// Nodes that are slow to start. If all that a node does between two messages took no time, no
// answer would ever come in between. So none would come before the node knows who the members are,
// or before it has worked out what follows from that.

// drawDawdles draws how slow nodes are to start, in some of the runs.
func (s *Shape) drawDawdles(c chance) {
	if c.yes(0.7) {
		return
	}
	s.Dawdles = pick(c, 5*time.Millisecond, 50*time.Millisecond, 500*time.Millisecond, 3*time.Second)
}

// dawdle has some time pass, or none. The caller holds no lock: time does not pass while a
// goroutine waits for one.
func (s *sim) dawdle(n *node) {
	if s.shape.Dawdles == 0 {
		return
	}
	if share := 2*n.dawdles.next() - 1; share > 0 {
		time.Sleep(time.Duration(share * float64(s.shape.Dawdles)))
	}
}

// logOf is a node's log. A node writes no debug line under a lock, so time may pass there.
func (s *sim) logOf(n *node) *nodeLog {
	h := &nodeLog{log: s.log, node: n.name}
	if s.shape.Dawdles > 0 {
		h.slow = func() { s.dawdle(n) }
	}
	return h
}
