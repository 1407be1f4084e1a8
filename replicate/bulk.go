package replicate

import (
	"httpdhs/kv"
)

// bulk puts the operations of a call on their way.
type bulk struct{ *attempt }

// merging is what bulk needs for its writes, and to look ahead.
type merging struct {
	gathered
	ops    [gatherMax]int32 // that are gathered
	hashes [touchMax]uint64 // scratch of touch
}

// startAll puts the operations of a call on their way, in the order of their partitions if there
// are many. Unconditional writes to keys that this node owns are gathered, and merged some at a
// time. Any other operation on the key of a gathered write has that merged first. So the operations
// on a key take effect in their order.
func (a bulk) startAll() {
	if len(a.call.Ops) == 1 {
		a.start(0)
		return
	}
	if a.p.merging == nil {
		a.p.merging = new(merging)
	}
	g, order := a.p.merging, a.p.order.sort(a.v, a.call)
	for k, at := range order {
		if k%touchMax == 0 {
			a.touch(order[k:min(k+touchMax, len(order))])
		}
		i := int(at)
		op := &a.call.Ops[i]
		owners := a.v.Owners(a.v.Partition(op.Hash))
		plain := op.Mode() == kv.ModeMerge
		if !plain && g.has(op.Hash, op.Key) {
			a.merge()
		}
		switch {
		case !a.admitOp(i):
		case plain && a.v.Place(owners) >= 0:
			g.ops[g.n] = int32(i)
			if g.add(op.Hash, &op.Record) {
				a.merge()
			}
		default:
			a.dispatch(i)
		}
	}
	a.merge()
}

// touchMax is how many operations are looked ahead at.
const touchMax = 16

// touch has the store load what reads will find at this node: writes that
// are merged together have no need of it.
func (a bulk) touch(next []int32) {
	hashes := a.p.merging.hashes[:0]
	for _, i := range next {
		op := &a.call.Ops[i]
		if op.Mode() == kv.ModeRead && a.v.Place(a.v.Owners(a.v.Partition(op.Hash))) >= 0 {
			hashes = append(hashes, op.Hash)
		}
	}
	if len(hashes) > 1 {
		a.replica.store.Touch(hashes)
	}
}

// merge offers the writes that are gathered to this node's store, and passes
// them on to the other owners.
func (a bulk) merge() {
	g := a.p.merging
	if g.n == 0 {
		return
	}
	version := a.clock.Reserve(g.n)
	for _, i := range g.ops[:g.n] {
		stamp(&a.call.Ops[i], version)
		version = version.Next()
	}
	a.replica.mergeAll(&g.gathered)
	for k, i := range g.ops[:g.n] {
		next := operation{round: round{readers: uint8(a.v.Replicas)}}
		at := a.v.Place(a.v.Owners(a.v.Partition(g.offers[k].Hash)))
		r := a.replica.result(&g.gathered, k)
		next.takeWrite(&r, uint8(at))
		writes(a).pass(int(i), &next, 1<<at)
	}
	g.reset()
}
