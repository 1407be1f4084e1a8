package antientropy

import (
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"httpdhs/kv"
	"httpdhs/peer"
	"httpdhs/placement"
	"httpdhs/wire"
)

// giver gives away what this node holds and does not own.
type giver struct {
	own      *holdings
	board    *placement.Board
	remote   func(p *peer.Peer, sure bool) remote
	pace     *pace
	counters *Counters
	stopping *atomic.Bool
	log      *slog.Logger
}

// handOver gives the partitions that this node holds and does not own to their owners. It drops
// each once all owners have confirmed it: rule 5 of docs/design/membership.md. It returns how many
// such partitions are left.
//
// Most often there is nothing to send: the new owners have pulled it all, and only digests are
// exchanged.
func (g *giver) handOver() (left int) {
	v := g.board.View()
	for part := range v.Partitions() {
		if v.Mine(part) || g.own.digest(part) == 0 {
			continue
		}
		if g.stopping.Load() || g.board.View() != v {
			return left + 1
		}
		if err := g.handOverPartition(v, part); err != nil {
			g.log.Debug("a partition cannot be handed over yet", "partition", part, "error", err)
			left++
		}
	}
	return left
}

// handOverPartition drops a partition once its owners have all of it.
func (g *giver) handOverPartition(v *placement.View, partition int) error {
	own := g.own.digests(partition)
	for _, n := range v.Owners(partition) {
		p := v.Peers[n]
		if p == nil || !p.Up() {
			return fmt.Errorf("%w: %s is not up", placement.ErrNotInSync, v.Names[n])
		}
		if err := g.confirm(p, partition, &own); err != nil {
			return err
		}
	}
	if !g.own.store.DropIf(partition, (*[wire.DigestBuckets]uint64)(&own)) {
		return fmt.Errorf("%w: it was written to meanwhile", placement.ErrNotInSync)
	}
	return nil
}

// confirm returns once an owner has all of a partition, or something newer, on its disk if it has
// one. What it was sent it has acknowledged by its own settings, by which it may lose it with its
// machine. So it is asked once more then, and has to be the process that it was.
func (g *giver) confirm(p *peer.Peer, partition int, own *wire.Digests) error {
	o, part := g.remote(p, false), []int{partition}
	boot := o.boot(p)
	o.boot = func(*peer.Peer) uint64 { return boot }
	theirs, err := o.digests(wire.OnDisk, part)
	if err != nil {
		return err
	}
	differ := own.Differ(theirs)
	if !differ.Any() {
		return nil
	}
	if err := g.push(p, partition, differ); err != nil {
		return err
	}
	_, err = o.digests(wire.OnDisk, part)
	return err
}

// push sends the records of some buckets of a partition to an owner, and makes sure that it has
// each of them, or a newer one.
func (g *giver) push(p *peer.Peer, partition int, buckets wire.Buckets) error {
	for from, more := uint64(0), buckets.Any(); more; {
		msg, items := wire.OpenBatch(nil), 0
		from, more = g.own.scan(&wire.Pull{Partition: partition, From: from, Buckets: buckets}, func(record *kv.Record) (full bool) {
			msg = wire.AppendApply(msg, record)
			items++
			return len(msg) > peer.BatchBytes
		})
		if err := g.pace.pay(len(msg)); err != nil {
			return err
		}
		if err := g.deliver(p, msg, items); err != nil {
			return err
		}
		g.counters.HandedOver.Add(int64(items))
	}
	return nil
}

// deliver sends records past the queue. It returns an error unless the peer, as an owner, has
// stored each of them or holds a newer one.
func (g *giver) deliver(p *peer.Peer, msg []byte, items int) error {
	if items == 0 {
		return nil
	}
	wire.SetClock(msg, g.own.clock.Last())
	answer, err := p.Ask(msg, time.Now().Add(askTimeout))
	if err != nil {
		return err
	}
	clock, body, err := wire.SplitBatch(answer)
	if err != nil {
		return err
	}
	g.own.clock.Observe(clock)
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

// Leaving counts the partitions that this node has still to hand over: it owns them, or holds
// records of them. At 0 a leaving node may go.
func (r *Repairer) Leaving() (partitions int) {
	v := r.board.View()
	if v == nil {
		return 0
	}
	for part := range v.Partitions() {
		if v.Mine(part) || r.own.digest(part) != 0 {
			partitions++
		}
	}
	return partitions
}

// HandingOver counts the partitions that this node does not own by the ring to come, and of which
// it is an owner now or holds records.
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
		if v.Mine(part) || r.own.digest(part) != 0 {
			partitions++
		}
	}
	return partitions
}
