package replicate

import (
	"httpdhs/kv"
	"httpdhs/peer"
	"httpdhs/wire"
)

// bulk puts the operations of a call on their way.
type bulk struct{ *attempt }

// merging is what bulk needs for its writes, and to look ahead.
type merging struct {
	gathered
	ops    [gatherMax]int32     // that are gathered
	next   [gatherMax]operation // of each, the round that is to begin
	have   [gatherMax]ownerSet  // of each, who is not sent it
	made   [gatherMax]kv.Decision
	ruled  int              // of ops: they were decided elsewhere, and are to be spread
	writes [][]peer.Write   // for each peer of the view, those that are to be queued
	hashes [touchMax]uint64 // scratch of touch
}

// startAll puts the operations of a call on their way, in the order of their partitions if there
// are many. Unconditional writes to keys that this node owns are gathered, and merged some at a
// time. So are the runs that it decides. Any other operation on the key of a gathered write has
// that merged first. So the operations on a key take effect in their order.
func (a bulk) startAll() {
	if len(a.call.Ops) == 1 {
		a.call.Ops[0].Version = 0 // it has no stamp yet
		a.start(0)
		return
	}
	if a.p.merging == nil {
		a.p.merging = new(merging)
	}
	g, order := a.p.merging, a.p.order.sort(a.v, a.call)
	a.p.runs.plan(a.call, a.call.Read.Required(a.v.Replicas) > 1)
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
		op.Version = 0
		quiet += max(len(op.Value), wakeLeast)
		if a.p.isHeld(i) {
			continue
		}
		if a.p.runs.follows(i) {
			a.p.follow(i)
			continue
		}
		for waits := a.p.runs.waiting(i); waits >= 0; waits = a.p.runs.waiting(waits) {
			a.p.holdBack(waits)
		}
		owners := a.v.Owners(a.v.Partition(op.Hash))
		mode := a.mode(i)
		plain := mode == kv.ModeMerge
		if mode == kv.ModeRead {
			reads++
		}
		if !plain && g.has(op.Hash, op.Key) {
			a.merge()
		}
		switch {
		case !a.admitOp(i):
		case mode == kv.ModeDecide && a.gathers(i, owners):
			g.ops[g.n] = int32(i)
			if g.decide(op.Hash, &g.made[g.n]) {
				a.merge()
			}
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
	a.wakeAll()
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

// wakeAll has what was queued sent, and so what is queued from now on.
func (a bulk) wakeAll() {
	a.quiet = false
	a.wake()
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

// gathers says whether this node is to decide operation i, and takes it in then.
func (a bulk) gathers(i int, owners []uint16) bool {
	op := &a.call.Ops[i]
	partition := a.v.Partition(op.Hash)
	if int(owners[0]) != a.v.Self || a.board.Refused.Any(partition) || !a.topology.MayDecide(partition) {
		return false
	}
	d := &a.p.merging.made[a.p.merging.n]
	d.Ops = a.p.runs.ops(d.Ops[:0], a.call, i)
	return true
}

// fill has the call ask for what the gathered decisions copy, as a rule.
func (a bulk) fill() {
	n := 0
	for k := range a.p.merging.offers[:a.p.merging.n] {
		if d := a.p.merging.offers[k].Decision; d != nil && !d.Small() {
			n += fillEach
		}
	}
	a.p.copied.fill(a.call, n)
}

// fillEach is what each decision that is gathered may copy, as a rule. What needs more than is left
// is decided once more.
const fillEach = kv.HeldBytes / gatherMax

// merge offers what is gathered to this node's store, and passes on to the other owners what comes
// of it.
func (a bulk) merge() {
	g := a.p.merging
	if g.n == 0 {
		return
	}
	a.fill()
	version := a.clock.Reserve(g.n)
	for k, i := range g.ops[:g.n] {
		if op, d := &a.call.Ops[i], g.offers[k].Decision; d != nil {
			op.Version = version
			d.Begin(version, a.replica.limits.MaxValueBytes, answerBytes)
			d.Room = &a.p.copied.left
		} else {
			stamp(op, version)
		}
		version = version.Next()
	}
	a.replica.mergeAll(&g.gathered)
	a.wrote = true
	stored := 0
	for k, i := range g.ops[:g.n] {
		r := a.replica.result(&g.gathered, k)
		place := uint8(a.v.Place(a.v.Owners(a.v.Partition(g.offers[k].Hash))))
		next := &g.next[stored]
		if d := g.offers[k].Decision; d == nil {
			*next = operation{round: round{readers: uint8(a.v.Replicas)}}
			next.takeOwn(&r, place)
		} else if r.Code == wire.Larger { // by itself, with memory that it asks for
			d.Release()
			decisions(a).start(int(i), 0, kv.Copies{})
			continue
		} else {
			made, goesOn := decisions(a).made(int(i), &r, place, kv.Copies{})
			if d.Release(); !goesOn {
				continue
			}
			*next = made
		}
		g.ops[stored], g.have[stored] = i, 1<<place
		stored++
	}
	a.pass(stored)
	g.reset()
}

// spread takes in a run that was decided elsewhere, for the other owners.
func (a bulk) spread(i int, asked ownerSet) {
	g := a.p.merging
	g.ops[g.ruled], g.have[g.ruled], g.next[g.ruled] = int32(i), asked, passed()
	if g.ruled++; g.ruled == gatherMax {
		a.spreadAll()
	}
}

// spreadAll stores what was decided elsewhere, where this node is an owner, and passes it on to the
// rest.
func (a bulk) spreadAll() {
	g := a.p.merging
	var offered [gatherMax]int
	for k, i := range g.ops[:g.ruled] {
		op := &a.call.Ops[i]
		if place := a.v.Place(a.v.Owners(a.v.Partition(op.Hash))); place >= 0 && g.have[k]&(1<<place) == 0 {
			offered[g.n] = k
			g.add(op.Hash, &op.Record)
		}
	}
	a.replica.mergeAll(&g.gathered)
	a.wrote = a.wrote || g.n > 0
	for j, k := range offered[:g.n] {
		r := a.replica.result(&g.gathered, j)
		place := a.v.Place(a.v.Owners(a.v.Partition(g.offers[j].Hash)))
		g.next[k].readers = uint8(a.v.Replicas)
		g.next[k].takeOwn(&r, uint8(place))
		g.have[k] |= 1 << place
	}
	a.pass(g.ruled)
	g.reset()
	g.ruled = 0
}

// pass begins the rounds of so many writes, and puts them into the queues of the owners that do not
// have them: of each peer at once.
func (a bulk) pass(n int) {
	g := a.p.merging
	for len(g.writes) < len(a.v.Peers) {
		g.writes = append(g.writes, nil)
	}
	a.p.Lock()
	for k, i := range g.ops[:n] {
		op, next := &a.call.Ops[i], &g.next[k]
		next.readers = uint8(a.v.Replicas)
		owners := a.v.Owners(a.v.Partition(op.Hash))
		writes(a).ask(op, next, len(owners))
		to := (1<<len(owners) - 1) &^ g.have[k]
		t := a.p.beginWrite(int(i), next, count(to))
		for at, n := range owners {
			if t.Owner = uint8(at); to&(1<<at) != 0 {
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
