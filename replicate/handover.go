package replicate

import (
	"fmt"
	"slices"
	"time"

	"httpdhs/kv"
	"httpdhs/peer"
	"httpdhs/wire"
)

// handOver gives what this node holds of partitions that it does not own to those who do, and drops it once all of them
// have confirmed it: rule 5 of docs/design/membership.md. It returns how many such partitions are left.
//
// Most often there is nothing to send: the new owners have pulled it all, and digests are all that is exchanged.
func (c *Coordinator) handOver() (left int) {
	v := c.view.Load()
	for part := range v.partitions() {
		if v.mine[part] || c.digest(part) == 0 {
			continue
		}
		if c.closed.Load() || c.view.Load() != v {
			return left + 1
		}
		if err := c.handOverPartition(v, part); err != nil {
			c.opt.Log.Debug("a partition cannot be handed over yet", "partition", part, "error", err)
			left++
		}
	}
	return left
}

// handOverPartition drops a partition once its owners have all of it.
func (c *Coordinator) handOverPartition(v *view, partition int) error {
	own := c.digests(partition)
	for _, n := range v.owners(partition) {
		p := v.peers[n]
		if p == nil || !p.Up() {
			return fmt.Errorf("%w: %s is not up", errNotYet, v.names[n])
		}
		theirs, err := origin{p, false}.digests(wire.EachBucket, []int{partition})
		if err != nil {
			return err
		}
		differ := own.Differ(theirs)
		if err := c.push(p, partition, &differ); err != nil {
			return err
		}
	}
	if !c.store.DropIf(partition, (*[wire.DigestBuckets]uint64)(&own)) {
		return fmt.Errorf("%w: it was written to meanwhile", errNotYet)
	}
	return nil
}

// push sends the records of some buckets of a partition to an owner, and makes sure that it has each of them, or a newer one.
func (c *Coordinator) push(p *member, partition int, buckets *wire.Buckets) error {
	now := c.clock.Wall().UnixMilli()
	for from, more := uint64(0), buckets.Any(); more; {
		msg := wire.OpenBatch(nil)
		items, last := 0, uint64(0)
		more = false
		c.store.Scan(partition, from, func(hash uint64, r *kv.Record) bool {
			if !buckets.Has(wire.Bucket(hash, c.Partitions())) || r.Collectable(now, c.opt.Grace) {
				return true
			}
			if len(msg) > peer.BatchBytes && hash != last {
				from, more = hash, true
				return false
			}
			msg, last = wire.AppendApply(msg, r), hash
			items++
			return true
		})
		if err := c.pay(len(msg)); err != nil {
			return err
		}
		if err := c.deliverItems(p, msg, items); err != nil {
			return err
		}
		c.counters.handedOver.Add(int64(items))
	}
	return nil
}

// deliverItems sends records past the queue, and returns an error unless the peer has stored each of them, as an owner, or holds a newer one.
func (c *Coordinator) deliverItems(p *member, msg []byte, items int) error {
	if items == 0 {
		return nil
	}
	wire.SetClock(msg, c.clock.Last())
	answer, err := p.Ask(msg, time.Now().Add(syncTimeout))
	if err != nil {
		return err
	}
	clock, body, err := wire.SplitBatch(answer)
	if err != nil {
		return err
	}
	c.clock.Observe(clock)
	for range items {
		var r wire.Result
		if r, body, err = wire.NextResult(body); err != nil {
			return err
		}
		if r.Code != wire.Stored && r.Code != wire.Stale {
			return fmt.Errorf("%w: %s does not take a record (%d)", errNotYet, p.Name(), r.Code)
		}
	}
	return nil
}

// Leaving says how much of what this node holds it has still to hand over: 0 when a node that leaves may go.
func (c *Coordinator) Leaving() (partitions int) {
	v := c.view.Load()
	if v == nil {
		return 0
	}
	for part := range v.partitions() {
		if v.mine[part] || c.digest(part) != 0 {
			partitions++
		}
	}
	return partitions
}

// HandingOver says of how many partitions this node is an owner, or holds records, that it does not own by the target.
func (c *Coordinator) HandingOver() (partitions int) {
	c.rings.mu.Lock()
	v, target := c.view.Load(), c.rings.tables[c.rings.target]
	c.rings.mu.Unlock()
	if v == nil || target == nil {
		return 0
	}
	self, on := target.Index(c.opt.Name)
	for part := range v.partitions() {
		if on && slices.Contains(target.Owners(part), uint16(self)) {
			continue
		}
		if v.mine[part] || c.digest(part) != 0 {
			partitions++
		}
	}
	return partitions
}
