package replicate

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Sync makes a node hold what the other owners of its partitions hold. It is a
// pull: the node compares its bucket digests with another owner's and fetches
// the records of the buckets that differ. Merging decides what is kept, so a
// pull never undoes anything, and any number may go on at once.
//
// One pass over all partitions and all owners that are in sync is what brings
// a node that started empty in sync. Later, a pull from a random owner every
// driftEvery finds what a queue has dropped or a fault has lost.
const (
	driftEvery = 10 * time.Second

	// unsyncedProbe is the pause between probes, and between attempts to get
	// in sync, while this node is not, or a ring is changing.
	unsyncedProbe = 50 * time.Millisecond
)

// errUnheard is why a node that is in sync may not coordinate.
var errUnheard = errors.New("a member that is up has not taken note of this node yet: can it reach this node's address?")

// errNotYet is why a pass cannot bring the node in sync, though nothing broke.
var errNotYet = errors.New("not in sync")

// syncLoop claims the rings that this node wants, hands over what it does not own, and looks for drift, until quit.
func (c *Coordinator) syncLoop() {
	var drift time.Time // when it was last looked for
	for {
		wait := c.syncStep(&drift)
		select {
		case <-time.After(wait):
		case <-c.syncNow:
		case <-c.quit:
			return
		}
	}
}

// syncStep does what is to be done now, and returns how long to wait before the next step if nothing happens.
func (c *Coordinator) syncStep(drift *time.Time) time.Duration {
	if c.view.Load() == nil {
		return time.Second // there are no members yet
	}
	if err := c.learnRings(); err != nil {
		c.opt.Log.Debug("cannot learn a ring yet", "error", err)
	}
	c.reconsider()
	c.steer()
	c.follow()
	c.catchUp()
	var early, failed error
	for _, x := range c.unclaimed() {
		switch err := c.claim(x); {
		case c.closed.Load():
			return 0
		case errors.Is(err, errNotYet):
			early = err
		case err != nil:
			failed = err
		}
	}
	switch {
	case failed != nil:
		c.opt.Log.Warn("cannot get in sync yet", "error", failed)
		c.setSyncReason(failed)
		return time.Second
	case early != nil:
		c.setSyncReason(early)
		return unsyncedProbe
	}
	if c.compareAll.Load() || time.Since(*drift) >= driftEvery {
		*drift = time.Now()
		c.lookForDrift()
	}
	left := c.handOver()
	switch {
	case !c.settled(), c.compareAll.Load():
		return unsyncedProbe
	case left > 0:
		return time.Second
	}
	return driftEvery
}

// beat implements peerHost. A pause between the beats of all probers together
// means that the process was stopped, or starved of processor time, for so
// long that others may have taken it for down.
func (c *Coordinator) beat() {
	now := int64(time.Since(c.born))
	if last := c.lastBeat.Swap(now); last != 0 && !c.alone.Load() && now-last > int64(stallMax) {
		c.missed(fmt.Sprintf("it was stopped for %s", time.Duration(now-last).Round(time.Millisecond)))
	}
}

// stalled says that the next beat will find a pause: nothing that was not
// found can be said not to exist until then.
func (c *Coordinator) stalled() bool {
	last := c.lastBeat.Load()
	return last != 0 && !c.alone.Load() && int64(time.Since(c.born))-last > int64(stallMax)
}

// missed implements peerHost: others have gone on without this node, so it has
// to compare itself with them once more.
func (c *Coordinator) missed(reason string) {
	c.misses.Add(1) // a pass that is under way does not count
	c.rings.mu.Lock()
	c.rings.state.Miss()
	c.holdLocked()
	c.inTerm = false
	c.deferred.Store(0)
	was := c.synced.Swap(false)
	c.rings.mu.Unlock()
	if was {
		c.opt.Log.Warn("not in sync any more", "reason", reason)
		c.setSyncReason(fmt.Errorf("%w: %s", errNotYet, reason))
	}
	c.wakeSync()
}

// met implements peerHost. A peer that was restarted forgot what it knew of
// this one, and what it kept for it: whether this node has missed something
// is seen by a look at all the others.
func (c *Coordinator) met(p *member) {
	c.rings.mu.Lock()
	if !c.rings.ended {
		// What operations under way have stored at its earlier life counts for nothing: it is counted on when they are over.
		// A node that joins may hear of a peer before it has a view. Then nothing is under way, and serial is 0.
		last := c.rings.serial
		if c.view.Load() != nil {
			c.replaceViewLocked()
		}
		p.mu.Lock()
		p.met = last
		p.mu.Unlock()
	}
	c.rings.mu.Unlock()
	c.compareAll.Store(true)
	c.wakeSync()
}

func (c *Coordinator) wakeSync() {
	select {
	case c.syncNow <- struct{}{}:
	default:
	}
}

// lookForDrift pulls what a random peer in sync has more of, or each of them.
func (c *Coordinator) lookForDrift() {
	v := c.view.Load()
	var peers []*member
	for _, p := range v.peers {
		if p != nil && p.Up() && p.InSync() {
			peers = append(peers, p)
		}
	}
	if len(peers) == 0 {
		return
	}
	all := c.compareAll.Swap(false)
	if !all {
		one := int(c.opt.Random() * float64(len(peers)))
		peers = peers[one : one+1]
	}
	for _, p := range peers {
		err := c.pullFrom(origin{p, false}, c.comparable(v.shared(p), all))
		if err != nil && !errors.Is(err, errNotYet) && !c.closed.Load() {
			c.opt.Log.Warn("sync with a peer broke off", "peer", p.Name(), "error", err)
		}
	}
}

// comparable are those of the partitions that are worth comparing in turn: owners that evict differ, and that is no fault.
func (c *Coordinator) comparable(partitions []int, all bool) []int {
	if all {
		return partitions
	}
	return slices.DeleteFunc(partitions, c.store.Evicted)
}

// shared are the partitions that readers ask this node and p for.
func (v *view) shared(p *member) (partitions []int) {
	at := uint16(slices.Index(v.peers, p))
	for part := range v.partitions() {
		if owners := v.readers(part); v.self >= 0 && slices.Contains(owners, uint16(v.self)) && slices.Contains(owners, at) {
			partitions = append(partitions, part)
		}
	}
	return partitions
}
