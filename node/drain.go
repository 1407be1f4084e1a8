package node

import (
	"context"
	"time"
)

// Drain is what comes before Shutdown where clients find the node by somebody who asks for its
// readiness: a load balancer, or Kubernetes. The node is not ready any more, and all answers end
// their connections. All else is as ever, new connections too. Drain returns after
// Config.DrainDelay, or at the end of ctx. It does not return to before: Shutdown is to follow.
func (n *Node) Drain(ctx context.Context) {
	delay := n.cfg.DrainDelay
	if delay <= 0 {
		return
	}
	n.draining.Store(true)
	n.announce()
	n.server.SetDraining(true)
	n.log.Info("node drains: it is not ready, and serves who comes all the same", "for", delay)
	select {
	case <-time.After(delay):
	case <-ctx.Done():
		n.log.Info("the draining is cut short")
	case <-n.quit:
	}
}

// Stopping is closed when Drain or Shutdown begins.
func (n *Node) Stopping() <-chan struct{} { return n.ending }

// announce tells who waits for Stopping.
func (l *life) announce() { l.endingOnce.Do(func() { close(l.ending) }) }

// isEnding says that Drain or Shutdown has begun.
func (l *life) isEnding() bool { return l.draining.Load() || l.stopping.Load() }

// drain is Drain of a node that leaves, before it is no member any more: only a member can serve.
// It says whether the time has passed; else the node stops.
func (r *roster) drain() bool {
	if r.cfg.DrainDelay <= 0 {
		return true
	}
	r.setDraining(true)
	select {
	case <-time.After(r.cfg.DrainDelay):
		return true
	case <-r.quit:
		return false
	}
}
