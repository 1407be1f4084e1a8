package replicate

import (
	"time"

	"httpdhs/kv"
	"httpdhs/peer"
	"httpdhs/wire"
)

// readOne asks one owner after the other until one that is in sync has
// answered.
func (c *Coordinator) readOne(v *view, p *pending, call *kv.Call, i int) {
	c.askNext(v, p, call, i, opState{phase: phaseReadOne, required: 1})
}

// askNext asks the next owner that was not asked yet. What owners that are not
// in sync have answered so far is in o.
func (c *Coordinator) askNext(v *view, p *pending, call *kv.Call, i int, o opState) {
	op := &call.Ops[i]
	partition := v.partition(op.Hash)
	owners := v.owners(partition)
	for {
		k := c.candidate(v, partition, o.asked)
		if k < 0 {
			c.asked(v, p, i, &o, len(owners))
			return
		}
		o.asked |= 1 << k
		if int(owners[k]) == v.self {
			synced := c.holds(partition)
			have := len(call.Buf)
			e, buf, ok := c.store.Get(call.Buf, op.Hash, op.Key)
			call.Buf = buf
			if full(call.MaxBytes, have, len(buf)-have) {
				call.Buf, o.refusal = buf[:have], kv.ErrAnswerFull
			}
			o.answered |= 1 << k
			if synced {
				o.whole |= 1 << k
				synced = !c.behind.lacks(partition, op.Hash, e.Version)
			}
			if ok && (!o.found.Exists() || e.Supersedes(&o.found)) {
				o.found, o.local = e, true
			}
			if synced {
				o.acks = 1
				p.conclude(i, &o, nil)
				return
			}
			continue
		}
		o.waiting = 1
		t := p.begin(i, o)
		t.Owner = uint8(k)
		if c.send(v, p, call, v.peers[owners[k]], op.Key, t, c.substitute(v, partition, o.asked) >= 0) {
			return
		}
		p.drop()
	}
}

// send has a peer read the key; false: it is down. Where another owner could be asked as well, a
// lone read is not carried for longer than it waits before it does so.
func (c *Coordinator) send(v *view, p *pending, call *kv.Call, q *member, key []byte, t peer.Ticket, hedged bool) bool {
	alone := len(call.Ops) == 1
	carry := alone && (!hedged || c.maySpend(hedgeCost))
	if !q.Read(key, t, carry) {
		return false
	}
	delay := q.Patience()
	if hedged && (p.patience == 0 || delay < p.patience) {
		p.patience = delay
	}
	if !carry {
		return true
	}
	switch late := time.Now().Add(delay); {
	case !hedged || !late.Before(call.Deadline):
		q.Carry(call.Deadline)
	case q.CarryReads(late):
		c.spend(hedgeCost - 1) // it is sent once more
		p.patience = 1         // now
	}
	return true
}

// candidate is the owner to ask next: this node before others, those in sync
// before those that are not, those that answer as fast as usual before those that are late, and
// those by the ring that is read before the rest; -1: none is left that is up.
func (c *Coordinator) candidate(v *view, partition int, asked ownerSet) int {
	second := -1
	first, late := -1, -1
	for k, n := range v.owners(partition) {
		if asked&(1<<k) != 0 {
			continue
		}
		self, fit := int(n) == v.self, false
		if self {
			fit = k < v.replicas && c.holds(partition)
		} else {
			q := v.peers[n]
			if q.State() == peer.Down {
				continue
			}
			fit = k < v.replicas && q.Up() && q.InSync()
			if fit && q.Late() {
				if late < 0 {
					late = k
				}
				continue
			}
		}
		switch {
		case fit && self:
			return k
		case fit && first < 0:
			first = k
		case !fit && (second < 0 || self):
			second = k
		}
	}
	switch {
	case first >= 0:
		return first
	case late >= 0:
		return late
	}
	return second
}

// asked draws the conclusion when no owner is left to ask and none of those
// that answered has authority. A value is answered. So is absence, if all owners
// have authority but for what they have refused: none of them holds that. Else
// absence is not known, even if all owners say so and hold a tombstone: a node
// that is no owner may still keep a newer write for them. When all owners are up
// one of them soon has authority.
func (c *Coordinator) asked(v *view, p *pending, i int, o *opState, owners int) {
	switch {
	case o.found.Live(c.clock.Wall().UnixMilli()), int(count(o.whole)) == owners:
		p.conclude(i, o, nil)
	case o.answered != 0:
		o.again = c.passing(v) || int(count(o.answered)) == owners
		p.conclude(i, o, kv.ErrAbsenceUnknown)
	default:
		o.again = c.passing(v)
		p.conclude(i, o, kv.ErrUnavailable)
	}
}

// readOneAnswered draws the conclusion when an owner has answered, or failed
// to.
func (c *Coordinator) readOneAnswered(v *view, p *pending, call *kv.Call, i int, o *opState) {
	if o.acks == 0 {
		next := *o
		next.done = false
		c.askNext(v, p, call, i, next)
		return
	}
	op := &call.Ops[i]
	partition := v.partition(op.Hash)
	if o.found.Exists() && o.refusal == nil && (!c.holds(partition) || c.behind.any(partition)) {
		c.keepOwn(v, op, &o.found)
	}
	p.settle(i, nil)
}

// keepOwn stores what another owner had for a key that this node owns.
func (c *Coordinator) keepOwn(v *view, op *kv.Op, e *kv.Entry) {
	for _, n := range v.owners(v.partition(op.Hash)) {
		if int(n) == v.self {
			c.counters.repairs.Add(1)
			c.merge(op.Hash, &kv.Record{Key: op.Key, Entry: *e})
		}
	}
}

// readMany asks all owners at once; the newest entry wins.
func (c *Coordinator) readMany(v *view, p *pending, call *kv.Call, i int) {
	op := &call.Ops[i]
	partition := v.partition(op.Hash)
	owners := v.readers(partition)
	t := p.begin(i, opState{
		phase:    phaseReadMany,
		required: uint8(op.Required),
		waiting:  uint8(len(owners)),
	})
	for k, n := range owners {
		t.Owner = uint8(k)
		if int(n) == v.self {
			var r wire.Result
			scratch := call.Buf
			r, call.Buf = c.readOwn(call.Buf, partition, op.Hash, op.Key)
			p.Resolve(t, &r) // copies
			call.Buf = call.Buf[:len(scratch)]
			continue
		}
		if !v.peers[n].Read(op.Key, t, false) {
			p.Resolve(t, c.failure())
		}
	}
}

// readOwn is this node's answer to a read; the value is appended to dst.
func (c *Coordinator) readOwn(dst []byte, partition int, hash uint64, key []byte) (wire.Result, []byte) {
	// Whether the node is in sync is asked first: what it came to hold
	// meanwhile does no harm, what it lacked before would.
	r := wire.Result{Code: wire.Absent, NoAuthority: !c.holds(partition)}
	e, dst, ok := c.store.Get(dst, hash, key)
	if ok {
		r.Code, r.Record = wire.Found, kv.Record{Key: key, Entry: e}
	}
	r.Behind = c.behind.lacks(partition, hash, e.Version)
	return r, dst
}

// readManyAnswered draws the conclusion when enough owners have answered, and
// has those that are behind store what was read, before the answer where the
// level needs it: so a later read of the same level never goes back (Attiya,
// Bar-Noy, Dolev, "Sharing Memory Robustly in Message-Passing Systems", 1995).
func (c *Coordinator) readManyAnswered(v *view, p *pending, call *kv.Call, i int, o *opState) {
	op := &call.Ops[i]
	owners := v.readers(v.partition(op.Hash))
	if o.acks < o.required && int(count(o.answered)) < len(owners) {
		p.giveUp(i, kv.ErrUnavailable, c.passing(v))
		return
	}
	absent, all := !o.found.Live(c.clock.Wall().UnixMilli()), int(count(o.answered)) == len(owners)
	if absent && o.behind != 0 && o.whole&^o.behind == 0 && !all {
		// What these replicas have refused may be at one that did not answer.
		p.giveUp(i, kv.ErrAbsenceUnknown, c.passing(v))
		return
	}
	if absent && o.acks == 0 || !o.found.Exists() && o.acks < o.required && v.moving() {
		// Readers without authority know nothing together: another node may hold more, an owner to come or one that was an owner.
		p.giveUp(i, kv.ErrAbsenceUnknown, true)
		return
	}
	// Of a value that was beyond the call's bound only the version is known:
	// it must not be spread.
	if !o.found.Exists() || o.refusal != nil {
		p.settle(i, nil)
		return
	}
	c.repair(v, p, call, i, o)
}

// repair has the owners that were behind store what was read. While the ring changes, the owners by
// other rings that are up store it too: other nodes may read by these rings already. Owners that have
// refused it, or something before it, fetch it when they have room.
func (c *Coordinator) repair(v *view, p *pending, call *kv.Call, i int, o *opState) {
	op := &call.Ops[i]
	owners := v.owners(v.partition(op.Hash))
	extra, behind := 0, o.older()&^o.behind
	for k, n := range owners[v.replicas:] {
		if q := v.peers[n]; q == nil || q.State() != peer.Down {
			extra, behind = extra+1, behind|1<<(v.replicas+k)
		}
	}
	if behind == 0 {
		p.settle(i, nil)
		return
	}
	c.counters.repairs.Add(int64(count(behind)))
	record := kv.Record{Key: op.Key, Entry: o.found}
	next := *o
	next.phase, next.concede, next.waiting = phaseRepair, true, 0
	next.readers, next.extra = uint8(v.replicas), uint8(extra)
	next.acks, next.refused = count(o.newest), count(o.older()&o.behind)
	for k, n := range owners {
		if bit := ownerSet(1) << k; int(n) == v.self && behind&bit != 0 {
			behind &^= bit
			r := c.merge(op.Hash, &record)
			next.takeWrite(&r, uint8(k))
		}
	}
	nobody := next.acks >= next.enough()
	if !nobody {
		next.waiting = count(behind)
	}
	t := p.begin(i, next)
	if nobody {
		t = peer.Ticket{}
	}
	c.hand(v, call, owners, behind, &record, t, false)
}

// repaired draws the conclusion when the owners that were behind have answered.
//
// One that refused to store what was read does not fail the read: see behind. An acknowledged
// write is at w owners without the repair. Another one may be at fewer, and those that refused it
// say so to whoever reads next, who then looks for it at all owners that are up.
func (c *Coordinator) repaired(v *view, p *pending, i int, o *opState) {
	if o.have()+o.refused < o.enough() {
		p.giveUp(i, kv.ErrUnavailable, o.elsewhere || c.passing(v))
		return
	}
	p.settle(i, nil)
}
