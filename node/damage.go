package node

import (
	"context"
	"fmt"
	"sync"
)

// consent is waited for until an operator gives it.
type consent struct {
	given chan struct{}
	once  sync.Once
}

// give says whether it was waited for until now.
func (c *consent) give() (first bool) {
	c.once.Do(func() { close(c.given); first = true })
	return first
}

// suspect looks whether a part of the disk was damaged. What it held is fetched again from the
// other owners. Where there are none, an operator has to say that the node is to go on without it.
func (n *Node) suspect(ctx context.Context) error {
	lost, damage := n.cfg.Disk.Lost()
	if len(lost) == 0 {
		return nil
	}
	if n.cfg.Replicas > 1 && len(n.members.Members()) > 1 {
		n.log.Error("a part of the data directory is damaged: what it held is fetched again from the other owners",
			"partitions", len(lost), "damage", damage)
		n.plane.Repairer.Suspect(lost, n.cfg.Disk.Newest())
		n.synced.Then(n.cfg.Disk.Mend)
		return nil
	}
	reason := fmt.Sprintf("a part of the data directory is damaged (%v), and no other node has what it held, of %d of %d partitions: "+
		"restore a backup, or go on without it (httpdhs recover --accept-loss %s)", damage, len(lost), n.cfg.Partitions, n.cfg.Name)
	n.log.Error(reason)
	wait := &consent{given: make(chan struct{})}
	n.start.consent.Store(wait)
	defer n.start.consent.Store(nil)
	n.start.say(func() string { return reason })
	select {
	case <-wait.given:
		n.cfg.Disk.Mend()
		n.log.Warn("LOSS ACCEPTED by an operator: the node goes on without what was damaged")
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
