package replicate

import (
	"bytes"

	"httpdhs/kv"
)

// gatherMax is how many writes are gathered before they are merged together:
// so many that the store can take them by partitions and have their misses of
// the cache overlap, so few that the other owners do not wait for them.
const gatherMax = 32

// gathered are writes that are admitted, and not stamped and merged yet.
type gathered struct {
	ops    []int32 // in the call
	offers []kv.Offer
}

// startAll puts the operations of a call on their way, in the order of their
// partitions if there are many. Unconditional writes to keys that this node owns are
// merged some at a time; whatever else meets a key of which a write is
// gathered has this merged first, so that the operations on a key take effect in
// their order.
func (c *Coordinator) startAll(v *view, p *pending, call *kv.Call) {
	if len(call.Ops) == 1 {
		c.start(v, p, call, 0)
		return
	}
	order := p.inOrder(v, call)
	for k, at := range order {
		if k%touchMax == 0 {
			c.touchReads(v, p, call, order[k:min(k+touchMax, len(order))])
		}
		i := int(at)
		op := &call.Ops[i]
		owners := v.owners(v.partition(op.Hash))
		plain := op.Kind != kv.OpGet && op.Cond.Kind == kv.Always
		if !plain && p.gathered.has(op) {
			c.mergeGathered(v, p, call)
		}
		switch {
		case !c.admit(v, p, call, i):
		case plain && v.ownsAmong(owners) >= 0:
			p.gathered.add(i, op)
			if len(p.gathered.ops) == gatherMax {
				c.mergeGathered(v, p, call)
			}
		default:
			c.dispatch(v, p, call, i)
		}
	}
	c.mergeGathered(v, p, call)
}

// touchMax is how many operations are looked ahead at.
const touchMax = 16

// touchReads has the store load what reads will find at this node: writes that
// are merged together have no need of it.
func (c *Coordinator) touchReads(v *view, p *pending, call *kv.Call, next []int32) {
	hashes := p.hashes[:0]
	for _, i := range next {
		op := &call.Ops[i]
		if op.Kind == kv.OpGet && v.ownsAmong(v.owners(v.partition(op.Hash))) >= 0 {
			hashes = append(hashes, op.Hash)
		}
	}
	if len(hashes) > 1 {
		c.store.Touch(hashes)
	}
}

// mergeGathered offers what is gathered to this node's store, and passes it on
// to the other owners.
func (c *Coordinator) mergeGathered(v *view, p *pending, call *kv.Call) {
	g := &p.gathered
	if len(g.ops) == 0 {
		return
	}
	version := c.clock.Reserve(len(g.ops))
	for _, i := range g.ops {
		c.stamp(&call.Ops[i], version)
		version = version.Next()
	}
	c.store.ApplyAll(g.offers)
	for k, i := range g.ops {
		o := &g.offers[k]
		owners := v.owners(v.partition(o.Hash))
		var next opState
		at := v.ownsAmong(owners)
		r := c.mergeResult(o.Applied, o.Err)
		c.refuse(o.Hash, o.Record.Version, &r)
		next.takeWrite(&r, uint8(at))
		c.pass(v, p, call, int(i), next, 1<<at)
	}
	g.reset()
}

func (g *gathered) add(i int, op *kv.Op) {
	g.ops = append(g.ops, int32(i))
	g.offers = append(g.offers, kv.Offer{Hash: op.Hash, Record: &op.Record})
}

// has says whether a write to the operation's key is gathered.
func (g *gathered) has(op *kv.Op) bool {
	for i := range g.offers {
		if o := &g.offers[i]; o.Hash == op.Hash && bytes.Equal(o.Record.Key, op.Key) {
			return true
		}
	}
	return false
}

func (g *gathered) reset() {
	clear(g.offers) // they point to the call's memory
	g.ops, g.offers = g.ops[:0], g.offers[:0]
}

// ownsAmong is this node's place among the owners of a partition; -1: none.
func (v *view) ownsAmong(owners []uint16) int {
	for k, n := range owners {
		if int(n) == v.self {
			return k
		}
	}
	return -1
}
