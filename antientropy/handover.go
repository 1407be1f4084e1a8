package antientropy

import (
	"fmt"
	"slices"
	"time"

	"httpdhs/kv"
	"httpdhs/peer"
	"httpdhs/placement"
	"httpdhs/wire"
)

// handOver gives what this node holds of partitions that it does not own to those who do, and drops
// it once all of them have confirmed it: rule 5 of docs/design/membership.md. It returns how many
// such partitions are left.
//
// Most often there is nothing to send: the new owners have pulled it all, and digests are all that
// is exchanged.
func (r *Repairer) handOver() (left int) {
	v := r.board.View()
	for part := range v.Partitions() {
		if v.Mine(part) || r.digest(part) == 0 {
			continue
		}
		if r.closed() || r.board.View() != v {
			return left + 1
		}
		if err := r.handOverPartition(v, part); err != nil {
			r.opt.Log.Debug("a partition cannot be handed over yet", "partition", part, "error", err)
			left++
		}
	}
	return left
}

// handOverPartition drops a partition once its owners have all of it.
func (r *Repairer) handOverPartition(v *placement.View, partition int) error {
	own := r.digests(partition)
	for _, n := range v.Owners(partition) {
		p := v.Peers[n]
		if p == nil || !p.Up() {
			return fmt.Errorf("%w: %s is not up", placement.ErrNotInSync, v.Names[n])
		}
		theirs, err := r.remote(p, false).digests(wire.EachBucket, []int{partition})
		if err != nil {
			return err
		}
		if err := r.push(p, partition, own.Differ(theirs)); err != nil {
			return err
		}
	}
	if !r.store.DropIf(partition, (*[wire.DigestBuckets]uint64)(&own)) {
		return fmt.Errorf("%w: it was written to meanwhile", placement.ErrNotInSync)
	}
	return nil
}

// push sends the records of some buckets of a partition to an owner, and makes sure that it has
// each of them, or a newer one.
func (r *Repairer) push(p *peer.Peer, partition int, buckets wire.Buckets) error {
	for from, more := uint64(0), buckets.Any(); more; {
		var msg []byte
		var items int
		msg, items, from, more = r.collect(wire.OpenBatch(nil), &wire.Pull{Partition: partition, From: from, Buckets: buckets})
		if err := r.pace.pay(len(msg)); err != nil {
			return err
		}
		if err := r.deliver(p, msg, items); err != nil {
			return err
		}
		r.HandedOver.Add(int64(items))
	}
	return nil
}

// collect appends records to a batch until it is full. next is where to go on, if there are more.
func (r *Repairer) collect(dst []byte, of *wire.Pull) (batch []byte, items int, next uint64, more bool) {
	now, last := r.opt.Clock.Wall().UnixMilli(), uint64(0)
	r.store.Scan(of.Partition, of.From, func(hash uint64, record *kv.Record) bool {
		if !r.travels(of, hash, record, now) {
			return true
		}
		if len(dst) > peer.BatchBytes && hash != last {
			next, more = hash, true
			return false
		}
		dst, last = wire.AppendApply(dst, record), hash
		items++
		return true
	})
	return dst, items, next, more
}

// travels says whether a record is of the buckets, and counts still.
func (r *Repairer) travels(of *wire.Pull, hash uint64, record *kv.Record, now int64) bool {
	return of.Buckets.Has(wire.Bucket(hash, r.board.Partitions())) && !record.Collectable(now, r.opt.Grace)
}

// deliver sends records past the queue, and returns an error unless the peer has stored each of
// them, as an owner, or holds a newer one.
func (r *Repairer) deliver(p *peer.Peer, msg []byte, items int) error {
	if items == 0 {
		return nil
	}
	wire.SetClock(msg, r.opt.Clock.Last())
	answer, err := p.Ask(msg, time.Now().Add(askTimeout))
	if err != nil {
		return err
	}
	clock, body, err := wire.SplitBatch(answer)
	if err != nil {
		return err
	}
	r.opt.Clock.Observe(clock)
	for range items {
		var result wire.Result
		if result, body, err = wire.NextResult(body); err != nil {
			return err
		}
		if result.Code != wire.Stored && result.Code != wire.Stale {
			return fmt.Errorf("%w: %s does not take a record (%d)", placement.ErrNotInSync, p.Name(), result.Code)
		}
	}
	return nil
}

// Leaving says how much of what this node holds it has still to hand over: 0 when a node that
// leaves may go.
func (r *Repairer) Leaving() (partitions int) {
	v := r.board.View()
	if v == nil {
		return 0
	}
	for part := range v.Partitions() {
		if v.Mine(part) || r.digest(part) != 0 {
			partitions++
		}
	}
	return partitions
}

// HandingOver says of how many partitions this node is an owner, or holds records, that it does not
// own by the ring to come.
func (r *Repairer) HandingOver() (partitions int) {
	v, target := r.board.View(), r.topology.Target()
	if v == nil || target == nil {
		return 0
	}
	self, on := target.Index(r.opt.Name)
	for part := range v.Partitions() {
		if on && slices.Contains(target.Owners(part), uint16(self)) {
			continue
		}
		if v.Mine(part) || r.digest(part) != 0 {
			partitions++
		}
	}
	return partitions
}
