package replicate

import (
	"httpdhs/kv"
	"httpdhs/peer"
)

// bulk puts the operations of a call on their way.
type bulk struct{ *attempt }

// merging is what bulk needs for its writes, and to look ahead.
type merging struct {
	gathered
	ops    [gatherMax]int32     // that are gathered
	next   [gatherMax]operation // of each, the round that is to begin
	writes [][]peer.Write       // for each peer of the view, those that are to be queued
	hashes [touchMax]uint64     // scratch of touch
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
	reads, quiet := 0, 0
	a.quiet = true
	for k, at := range order {
		if quiet >= wakeBytes {
			a.wake()
			quiet = 0
		}
		if k%touchMax == 0 {
			a.touch(order[k:min(k+touchMax, len(order))])
		}
		i := int(at)
		op := &a.call.Ops[i]
		quiet += max(len(op.Value), wakeLeast)
		owners := a.v.Owners(a.v.Partition(op.Hash))
		mode := op.Mode()
		plain := mode == kv.ModeMerge
		if mode == kv.ModeRead {
			reads++
		}
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
	a.quiet = false
	a.wake()
	a.Reads.Add(int64(reads))
	a.Writes.Add(int64(len(order) - reads))
}

// The senders of peers are woken after so many bytes of values, each of which counts as wakeLeast
// at least. A sender that is woken by the first operation takes that alone, and the rest of the
// call needs another message.
const (
	wakeBytes = peer.BatchBytes
	wakeLeast = 512
)

// wake has the peers sent what is queued for them.
func (a bulk) wake() {
	for _, p := range a.v.Peers {
		if p != nil {
			p.Wake()
		}
	}
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
	for k := range g.n {
		g.next[k] = operation{round: round{readers: uint8(a.v.Replicas)}}
		r := a.replica.result(&g.gathered, k)
		g.next[k].takeWrite(&r, uint8(a.v.Place(a.v.Owners(a.v.Partition(g.offers[k].Hash)))))
	}
	a.pass()
	g.reset()
}

// pass begins the rounds of the writes that were merged, and puts them into the queues of the other
// owners: of each peer at once.
func (a bulk) pass() {
	g := a.p.merging
	for len(g.writes) < len(a.v.Peers) {
		g.writes = append(g.writes, nil)
	}
	a.p.Lock()
	for k, i := range g.ops[:g.n] {
		op, next := &a.call.Ops[i], &g.next[k]
		owners := a.v.Owners(a.v.Partition(op.Hash))
		writes(a).ask(op, next, len(owners))
		t := a.p.beginWrite(int(i), next, uint8(len(owners)-1))
		for at, n := range owners {
			if t.Owner = uint8(at); int(n) != a.v.Self {
				g.writes[n] = append(g.writes[n], peer.Write{Record: &op.Record, Ticket: t})
			}
		}
	}
	a.p.Unlock()
	for n, queued := range g.writes {
		if len(queued) == 0 {
			continue
		}
		if !a.v.Peers[n].Apply(queued, g.next[0].live, true) {
			a.refuse(queued)
		}
		clear(queued) // they point to the call
		g.writes[n] = queued[:0]
	}
}

// refuse resolves the tickets of writes to a peer that does not take part.
func (a bulk) refuse(queued []peer.Write) {
	a.p.Lock()
	defer a.p.Unlock()
	for i := range queued {
		if t := queued[i].Ticket; t.Waiter != nil {
			a.p.Resolve(t, a.failure())
		}
	}
}
