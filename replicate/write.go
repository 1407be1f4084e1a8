package replicate

import (
	"httpdhs/kv"
	"httpdhs/peer"
)

// A write has one place in the order of its key: its stamp. An owner that holds something newer
// does not store the write. There are two cases.
//
// The newer one came after this write began. Then both were under way at the same time. The
// newer one took this one's place, and the owner counts as one that has stored it.
//
// Or the newer one was acknowledged before this write began, by a node whose clock is ahead.
// Then this write has to come after it, and needs a second stamp.
//
// The answers tell which case it is, without any clock. What was acknowledged by all owners before
// this write began is held by all of them, so none stores the first stamp. If one does store it,
// the newer one was concurrent. An owner to come does not count: the other coordinator may not have
// known of it, and so may not have sent it the newer one. If none does, nobody has seen the write,
// and a second stamp above everything that they hold does no harm. An owner that holds something
// newer than the second stamp got that after its first answer, so the second stamp is the last.
//
// What fewer owners have acknowledged is not held by all. Its answer waits until every member
// stamps above it: see outwait. docs/design/replication.md has the whole argument.
//
// An owner that does not answer leaves the case open, and the write waits for it.

// stamp makes the operation's record a new one, of the given version.
func stamp(op *kv.Op, version kv.Version) {
	op.Version = version
	op.Tombstone = false
	if op.Kind == kv.OpDelete {
		op.Bury()
		op.Expires = 0
	}
}

// start stores a put or delete at all owners.
func (a writes) start(i int) {
	stamp(&a.call.Ops[i], a.clock.Now())
	a.spread(i, new(operation), 0)
}

// spread stores the operation's record at all owners but those in have. Its
// state so far is carried in next.
func (a writes) spread(i int, next *operation, have ownerSet) {
	op := &a.call.Ops[i]
	next.readers = uint8(a.v.Replicas)
	k := a.v.Place(a.v.Owners(a.v.Partition(op.Hash)))
	if k >= 0 && have&(1<<k) == 0 {
		have |= 1 << k
		r := a.replica.merge(op.Hash, &op.Record)
		next.takeOwn(&r, uint8(k))
		a.wrote = true
	}
	a.pass(i, next, have)
}

// pass sends the operation's record to the owners that are not in have, of
// which this node is one if it is an owner.
func (a writes) pass(i int, next *operation, have ownerSet) {
	op := &a.call.Ops[i]
	owners := a.v.Owners(a.v.Partition(op.Hash))
	a.ask(op, next, len(owners))
	a.hand(i, next, owners, ^have, &op.Record)
}

// ask makes next a round of a write to so many owners.
func (a writes) ask(op *kv.Op, next *operation, owners int) {
	next.phase = phaseWrite
	next.required = uint8(op.Required)
	next.live = a.call.Write == kv.LevelLive || a.call.Write == 0
	next.extra = uint8(owners - a.v.Replicas)
}

// hand begins the round next of operation i, and puts the record into the queues of the owners in
// to. A call of one operation that has to wait for all of them carries it to the last one itself.
func (a *attempt) hand(i int, next *operation, owners []uint16, to ownerSet, r *kv.Record) {
	to &= 1<<len(owners) - 1
	a.p.Lock()
	t := a.p.beginWrite(i, next, count(to))
	a.p.Unlock()
	waits := t.Waiter != nil
	alone := waits && len(a.call.Ops) == 1 && (next.live || a.call.Ops[0].Required == len(owners))
	var carrier *peer.Peer
	for k, n := range owners {
		if to&(1<<k) == 0 {
			continue
		}
		to &^= 1 << k
		t.Owner = uint8(k)
		carry := alone && to == 0
		switch p := a.v.Peers[n]; {
		case !p.Apply([]peer.Write{{Record: r, Ticket: t}}, next.live, carry || a.quiet):
			if waits {
				a.p.resolve(t, a.failure())
			}
		case carry:
			carrier = p
		}
	}
	if carrier != nil {
		carrier.Carry(a.call.Deadline)
	}
}

// answered draws the conclusion when the owners have answered a write.
func (a writes) answered(i int, o *operation) {
	switch undisturbed := a.undisturbed(); {
	case undisturbed && o.met():
		a.p.end(i, nil)
	case o.oldView, !undisturbed: // it was written by an old ring, or that may be so
		a.p.giveUp(i, kv.ErrUnavailable, true)
	case o.refusal != nil && o.live:
		a.p.end(i, o.refusal)
	case o.unseen() && (o.refusal == nil || o.newer >= o.enough()):
		a.restamp(i, o)
	case o.refusal != nil:
		a.p.end(i, o.refusal)
	default:
		a.p.end(i, kv.ErrUnavailable)
	}
}

// restamp gives a write that no owner has stored its second stamp, above all that they hold.
func (a writes) restamp(i int, o *operation) {
	if !a.raise(i, o) {
		return
	}
	a.Restamps.Add(1)
	stamp(&a.call.Ops[i], a.clock.Now())
	a.spread(i, &operation{
		round:      round{concede: true},
		writeState: writeState{existed: o.existed, knew: o.knew},
	}, 0)
	a.p.redoReads(a.call, i)
}

// raise makes the next stamp one above what operation i lost to; false: it has its outcome. If a
// later write of the call to the same key was stored, that takes its place: a second stamp would
// put this one above it.
func (a *attempt) raise(i int, o *operation) bool {
	if heir := a.p.heir(a.call, i); heir > i {
		a.p.bequeath(i, heir)
		return false
	}
	if !a.clock.Observe(o.stale) { // this node's clock is wrong, and it cannot stamp above that
		a.p.end(i, kv.ErrUnavailable)
		return false
	}
	return true
}
