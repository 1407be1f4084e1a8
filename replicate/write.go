package replicate

import (
	"errors"

	"httpdhs/kv"
	"httpdhs/peer"
	"httpdhs/wire"
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
// The answers tell which case it is, without any clock. What was acknowledged by all owners
// before this write began is held by all of them, so none stores the first stamp. If one does
// store it, the newer one was concurrent. If none does, nobody has seen the write, and a second
// stamp above everything that they hold does no harm. An owner that holds something newer than
// the second stamp got that after its first answer, so the second stamp is the last.
//
// What fewer owners have acknowledged is not held by all. Its answer waits until every member
// stamps above it: see outwait. docs/design/replication.md has the whole argument.
//
// An owner that does not answer leaves the case open, and the write waits for it.

// decisionsMax bounds how often the primary is asked to decide a condition without a pause. It
// refuses a stamp below what it holds.
const decisionsMax = 16

// stamp makes the operation's record a new one, of the given version.
func (c *Coordinator) stamp(op *kv.Op, version kv.Version) {
	op.Version = version
	op.Tombstone = false
	if op.Kind == kv.OpDelete {
		op.Bury()
		op.Expires = 0
	}
}

// write stores a put or delete at all owners.
func (c *Coordinator) write(v *view, p *pending, call *kv.Call, i int) {
	c.stamp(&call.Ops[i], c.clock.Now())
	c.spread(v, p, call, i, opState{}, 0)
}

// spread stores the operation's record at all owners but those in have. Its
// state so far is carried in next.
func (c *Coordinator) spread(v *view, p *pending, call *kv.Call, i int, next opState, have ownerSet) {
	op := &call.Ops[i]
	k := v.ownsAmong(v.owners(v.partition(op.Hash)))
	if k >= 0 && have&(1<<k) == 0 {
		have |= 1 << k
		r := c.merge(op.Hash, &op.Record)
		next.takeWrite(&r, uint8(k))
	}
	c.pass(v, p, call, i, next, have)
}

// pass sends the operation's record to the owners that are not in have, of
// which this node is one if it is an owner.
func (c *Coordinator) pass(v *view, p *pending, call *kv.Call, i int, next opState, have ownerSet) {
	op := &call.Ops[i]
	owners := v.owners(v.partition(op.Hash))
	next.phase = phaseWrite
	next.required = uint8(op.Required)
	next.live = call.Write == kv.LevelLive || call.Write == 0
	if next.readers = uint8(v.replicas); !next.live {
		next.extra = uint8(len(owners) - v.replicas)
	}
	// Once the level is met nobody waits for the others.
	nobody := !next.live && next.have() >= next.enough()
	if !nobody {
		next.waiting = uint8(len(owners)) - count(have)
	}
	t := p.begin(i, next)
	if nobody {
		t = peer.Ticket{}
	}
	c.hand(v, call, owners, ^have, &op.Record, t, next.live)
}

// hand puts a record into the queues of the owners in to. A call of one
// operation that has to wait for all of them carries it to the last one itself.
func (c *Coordinator) hand(v *view, call *kv.Call, owners []uint16, to ownerSet, r *kv.Record, t peer.Ticket, live bool) {
	to &= 1<<len(owners) - 1
	alone := len(call.Ops) == 1 && (live || call.Ops[0].Required == len(owners))
	var carrier *member
	for k, n := range owners {
		if to&(1<<k) == 0 {
			continue
		}
		to &^= 1 << k
		t.Owner = uint8(k)
		carry := alone && to == 0 && t.Waiter != nil
		if !v.peers[n].Apply(r, t, live, carry) {
			if t.Waiter != nil {
				t.Waiter.Resolve(t, c.failure())
			}
		} else if carry {
			carrier = v.peers[n]
		}
	}
	if carrier != nil {
		carrier.Carry(call.Deadline)
	}
}

// Failures that this side makes up for peers that are not asked.
var (
	resultUnasked  = wire.Result{Code: wire.FailedUnasked}
	resultStopping = wire.Result{Code: wire.FailedStopping}
)

func (c *Coordinator) failure() *wire.Result {
	if c.closed.Load() {
		return &resultStopping
	}
	return &resultUnasked
}

// merge offers a record to this node's store: one that it stamped, or that was read from another, whose clock may be wrong.
func (c *Coordinator) merge(hash uint64, r *kv.Record) wire.Result {
	if !c.clock.Observe(r.Version) {
		c.counters.refused.Add(1)
		return wire.Result{Code: wire.TooFarAhead}
	}
	applied, err := c.store.Apply(hash, r)
	result := c.mergeResult(applied, err)
	c.refuse(hash, r.Version, &result)
	return result
}

func (c *Coordinator) mergeResult(a kv.Applied, err error) wire.Result {
	// Where this very version is held already, by an earlier try, what was
	// there before it is not known any more.
	r := wire.Result{Existed: a.Existed && a.Outcome != kv.Same, Version: a.Current}
	switch {
	case errors.Is(err, kv.ErrConditionFailed):
		r.Code = wire.ConditionFailed
	case errors.Is(err, kv.ErrNoMemory):
		r.Code = wire.NoMemory
	case err != nil:
		r.Code = wire.Refused
	case a.Outcome == kv.Stale:
		r.Code = wire.Stale
	default:
		r.Code = wire.Stored
	}
	return r
}

// written draws the conclusion when the owners have answered a write.
func (c *Coordinator) written(v *view, p *pending, call *kv.Call, i int, o *opState) {
	switch {
	case o.elsewhere, p.misses != c.misses.Load(), c.stalled():
		// It was written by an old ring, or others have gone on without this node meanwhile: who acknowledged it need not be who is read.
		p.giveUp(i, kv.ErrUnavailable, true)
	case o.refusal != nil && o.live:
		p.settle(i, o.refusal)
	case o.have() >= o.enough():
		p.settle(i, nil)
	case o.unseen() && (o.refusal == nil || o.newer >= o.enough()):
		c.stampAgain(v, p, call, i, o)
	case o.refusal != nil:
		p.settle(i, o.refusal)
	default:
		p.settle(i, kv.ErrUnavailable)
	}
}

// stampAgain gives a write that no owner has stored its second stamp, above all that they hold. If
// a later write of the call to the same key was stored, that takes its place: a second stamp would
// put this one above it.
func (c *Coordinator) stampAgain(v *view, p *pending, call *kv.Call, i int, o *opState) {
	if heir := p.heir(call, i); heir > i {
		p.bequeath(i, heir)
		return
	}
	if !c.clock.Observe(o.stale) { // this node's clock is wrong, and it cannot stamp above that
		p.settle(i, kv.ErrUnavailable)
		return
	}
	c.counters.restamps.Add(1)
	c.stamp(&call.Ops[i], c.clock.Now())
	c.spread(v, p, call, i, opState{existed: o.existed, knew: o.knew, concede: true}, 0)
	p.redoReads(call, i)
}

// retry makes another attempt at operation i. A write that an owner may have stored keeps its
// stamp: under another it would take effect twice. If this node has missed something since the
// attempt before, others may have decided the same condition: then the outcome is unknown.
func (c *Coordinator) retry(v *view, p *pending, call *kv.Call, i int, o *opState, missed bool) {
	op := &call.Ops[i]
	switch {
	case o.passed && missed:
		p.giveUp(i, kv.ErrUnknownOutcome, false)
	case op.Kind != kv.OpGet && (op.Cond.Kind == kv.Always || o.passed):
		stored := o.concede || o.acks > 0 || o.elsewhere
		lost := o.lost || o.gone > 0 // what is kept for an owner that was down is delivered when it is back
		c.spread(v, p, call, i, opState{existed: o.existed, knew: stored, concede: stored, lost: lost, passed: o.passed}, 0)
	default:
		c.start(v, p, call, i)
	}
}

// redo reads operation i once more.
func (c *Coordinator) redo(v *view, p *pending, call *kv.Call, i int) {
	if call.Ops[i].Required == 1 {
		c.readOne(v, p, call, i)
	} else {
		c.readMany(v, p, call, i)
	}
}

// decide has a conditional write decided by the key's primary: the first
// owner that is up and in sync, and not among those in unsynced, which were
// asked and said that they may not decide. The primary stores it in the same step, under
// the key's lock; then the other owners store the same version. A primary that
// is asked twice, since a connection broke, finds the version there and says
// that it is stored.
func (c *Coordinator) decide(v *view, p *pending, call *kv.Call, i int, unsynced ownerSet) {
	op := &call.Ops[i]
	c.stamp(op, c.clock.Now())
	partition := v.partition(op.Hash)
	for k, n := range v.readers(partition) {
		if unsynced&(1<<k) != 0 {
			if q := v.peers[n]; q != nil && q.Up() && q.InSync() {
				q.probeSoon()
				break // not past who is the primary, be it that not all know it yet
			}
			continue
		}
		next := opState{phase: phaseDecide, asked: 1 << k, unsynced: unsynced}
		if int(n) == v.self {
			if !c.mayDecide(partition) {
				if unsynced |= 1 << k; c.synced.Load() {
					break
				}
				continue
			}
			r := c.applyIf(partition, op.Hash, &op.Record, &op.Cond)
			next.takeWrite(&r, uint8(k))
			p.begin(i, next)
			return
		}
		q := v.peers[n]
		if !q.Up() || !q.InSync() {
			continue
		}
		next.waiting, next.required = 1, 1
		t := p.begin(i, next)
		t.Owner = uint8(k)
		alone := len(call.Ops) == 1
		if q.Decide(&op.Cond, &op.Record, t, alone) {
			if alone {
				q.Carry(call.Deadline)
			}
			return
		}
		p.drop()
	}
	// One that is up and would not decide may in a moment: it finds out who is down, or the ring has changed.
	p.giveUp(i, kv.ErrUnavailable, unsynced != 0 || c.passing(v))
}

// decided draws the conclusion from the primary's answer.
func (c *Coordinator) decided(v *view, p *pending, call *kv.Call, i int, o *opState) {
	switch o.decision {
	case wire.Stored:
		// An owner that holds something newer was written to meanwhile: the
		// write was done, and then overwritten.
		c.spread(v, p, call, i, opState{acks: 1, existed: o.existed, knew: true, concede: true, passed: true}, o.asked)
	case wire.Stale:
		if !c.clock.Observe(o.stale) {
			p.settle(i, kv.ErrUnavailable)
			return
		}
		if heir := p.heir(call, i); heir > i { // the condition held; a new stamp would be above that
			p.bequeath(i, heir)
			return
		}
		if o.round >= decisionsMax {
			p.giveUp(i, kv.ErrUnavailable, true)
			return
		}
		c.counters.restamps.Add(1)
		c.decide(v, p, call, i, o.unsynced)
	case wire.NotPrimary:
		c.decide(v, p, call, i, o.unsynced|o.asked)
	case wire.ConditionFailed:
		p.settle(i, kv.ErrConditionFailed)
	case wire.NoMemory, wire.Refused, wire.TooFarAhead:
		p.settle(i, o.refusal)
	default:
		p.settle(i, kv.ErrUnknownOutcome)
	}
}
