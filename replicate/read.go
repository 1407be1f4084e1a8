package replicate

import (
	"time"

	"httpdhs/kv"
	"httpdhs/peer"
	"httpdhs/wire"
)

// start asks one owner after the other, until one with authority has answered.
func (a reads) start(i int) {
	next := operation{round: round{phase: phaseRead, required: 1}}
	a.askNext(i, &next, new(reading))
}

// askNext asks the next owner that was not asked yet. g has what owners without authority have
// answered so far.
func (a reads) askNext(i int, o *operation, g *reading) {
	op := &a.call.Ops[i]
	partition := a.v.Partition(op.Hash)
	owners := a.v.Owners(partition)
	for {
		k := a.candidate(partition, o.asked)
		if k < 0 {
			a.askedAll(i, o, g, len(owners))
			return
		}
		o.asked |= 1 << k
		if int(owners[k]) == a.v.Self {
			if a.readOwn(op, partition, k, o, g) {
				o.acks = 1
				a.p.endRead(i, o, g, nil)
				return
			}
			continue
		}
		o.waiting = 1
		t := a.p.beginRead(i, o, g)
		t.Owner = uint8(k)
		if a.send(a.v.Peers[owners[k]], op.Key, t, a.substitute(partition, o.asked) >= 0) {
			return
		}
		a.p.drop()
	}
}

// readOwn reads at this node, owner k, and says whether its word is all that is needed.
func (a reads) readOwn(op *kv.Op, partition, k int, o *operation, g *reading) (whole bool) {
	if bound := a.call.MaxBytes; bound > 0 && a.p.here.sum >= bound {
		o.refusal = kv.ErrAnswerFull // it need not be read
		return true
	}
	r, err := a.readHeld(op, partition)
	if err != nil {
		o.refusal = err
	}
	g.answered |= 1 << k
	if !r.NoAuthority {
		g.whole |= 1 << k
	}
	if e := &r.Record.Entry; e.Exists() && (!g.found.Exists() || e.Supersedes(&g.found)) {
		g.found, g.local = *e, true
	}
	return !r.NoAuthority && !r.Behind
}

// readHeld reads at this node, and keeps the value, if the call has room for it. The error says why
// not; the rest of the result holds then too.
func (a *attempt) readHeld(op *kv.Op, partition int) (wire.Result, error) {
	found := &a.p.here
	most, held := a.p.copied.left, false
	for {
		r, piece, size := a.replica.read(min(most, found.room()), found.piece, partition, op.Hash, op.Key)
		switch {
		case found.full(a.call.MaxBytes, size):
			return r, kv.ErrAnswerFull
		case size > most && !a.p.copied.takes(a.call, size):
			return r, kv.ErrAnswersHeld
		case size > most:
			most, held = size, true // unless it is overwritten with a longer one meanwhile
			continue
		case size > found.room():
			found.begin(size)
			continue
		case !held:
			a.p.copied.left -= size
		}
		found.sum += len(piece) - len(found.piece)
		found.piece = piece
		return r, nil
	}
}

// send has a peer read the key; false: it is down. A lone read may be carried. Where another owner
// could be asked as well, it is carried no longer than the read waits before it asks that one.
func (a reads) send(p *peer.Peer, key []byte, t peer.Ticket, hedged bool) bool {
	alone := len(a.call.Ops) == 1
	carry := alone && (!hedged || a.hedged.has(hedgeCost))
	if !p.Read(key, t, carry || a.quiet) {
		return false
	}
	delay := p.Patience()
	if hedged && (a.p.patience == 0 || delay < a.p.patience) {
		a.p.patience = delay
	}
	if !carry {
		return true
	}
	switch late := time.Now().Add(delay); {
	case !hedged || !late.Before(a.call.Deadline):
		p.Carry(a.call.Deadline)
	case p.CarryReads(late):
		a.hedged.spend(hedgeCost - 1) // it is sent once more
		a.p.patience = 1              // now
	}
	return true
}

// candidate is the owner to ask next; -1: none is left that is up. This node comes before others,
// owners in sync before those that are not, and owners that answer as fast as usual before late
// ones. Readers come before the rest.
func (a reads) candidate(partition int, asked ownerSet) int {
	first, late, second := -1, -1, -1
	owners := a.v.Owners(partition)
	if k := a.v.Place(owners); k >= 0 && asked&(1<<k) == 0 {
		if k < a.v.Replicas && a.board.Holds(partition) {
			return k
		}
		second = k
	}
	for k, n := range owners {
		if asked&(1<<k) != 0 || int(n) == a.v.Self {
			continue
		}
		p := a.v.Peers[n]
		switch fit := k < a.v.Replicas && p.Up() && p.InSync(); {
		case p.State() == peer.Down:
		case fit && p.Late():
			if late < 0 {
				late = k
			}
		case fit && first < 0:
			first = k
		case !fit && second < 0:
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

// askedAll draws the conclusion when no owner is left to ask and none of those that answered has
// authority. A value is answered. So is absence, if all owners have authority but for what they
// have refused: none of them holds that. Else absence is not known, even if all owners say so and
// hold a tombstone. A node that is no owner may still keep a newer write for them. When all owners
// are up one of them soon has authority.
func (a reads) askedAll(i int, o *operation, g *reading, owners int) {
	switch {
	case g.found.Live(a.clock.Wall().UnixMilli()), int(count(g.whole)) == owners:
		a.p.endRead(i, o, g, nil)
	case g.answered != 0:
		o.again = a.board.Passing(a.v) || int(count(g.answered)) == owners
		a.p.endRead(i, o, g, kv.ErrAbsenceUnknown)
	default:
		o.again = a.board.Passing(a.v)
		a.p.endRead(i, o, g, kv.ErrUnavailable)
	}
}

// answered draws the conclusion when an owner has answered, or failed to.
func (a reads) answered(i int, _ *operation) {
	o, g := a.p.found(i)
	if o.acks == 0 {
		o.done = false
		a.askNext(i, &o, &g)
		return
	}
	op := &a.call.Ops[i]
	partition := a.v.Partition(op.Hash)
	if g.found.Exists() && o.refusal == nil && !a.board.Whole(partition) && a.v.Place(a.v.Owners(partition)) >= 0 {
		// What another owner had for a key that this node owns is stored here too.
		a.Repairs.Add(1)
		a.replica.merge(op.Hash, &kv.Record{Key: op.Key, Entry: g.found})
	}
	a.p.end(i, nil)
}
