package replicate

import (
	"cmp"

	"httpdhs/kv"
	"httpdhs/wire"
)

// unpausedRounds is how many rounds an operation may have before the primary is asked again only
// after a pause, by the next attempt: it refuses a stamp below what it holds. Those of all attempts
// count.
const unpausedRounds = 16

// start has the key's primary decide a run: the first owner that is up and in sync.
// Owners in declined are passed over: they were asked, and said that they may not decide. The
// primary stores what comes of it in the same step, under the key's lock. Then the other owners
// store the same record. A primary that is asked twice, since a connection broke, finds the version
// there and says that it is stored.
//
// The run keeps its stamp when it is asked for again, unless the stamp was too low. Else a message
// that arrives once more, long after it was declined, could have it take effect twice.
//
// What the decision copies of values comes here, and is memory of the call. The primary alone knows
// how much that is. Where it is more than a little, the primary decides nothing and says how much.
// Then the call asks for that memory, and once more for the decision. room is what it has for it.
func (a decisions) start(i int, declined ownerSet, room kv.Copies) {
	op := &a.call.Ops[i]
	if op.Version == 0 {
		op.Version = a.clock.Now()
	}
	partition := a.v.Partition(op.Hash)
	for k, n := range a.v.Readers(partition) {
		if declined&(1<<k) != 0 {
			if p := a.v.Peers[n]; p != nil && p.Up() && p.InSync() {
				a.topology.Probe(p)
				break // not past the primary, even if not all know yet that it is
			}
			continue
		}
		if int(n) == a.v.Self {
			if !a.topology.MayDecide(partition) {
				if declined |= 1 << k; a.board.SaidInSync() {
					break
				}
				continue
			}
			a.decideHere(i, partition, uint8(k), room)
			return
		}
		if a.ask(i, n, k, declined, room) {
			return
		}
	}
	if declined != 0 {
		// One that is up and would not decide may in a moment: it finds out who is down, or the
		// ring has changed. It goes on declining if it reaches a primary that this node does not.
		a.p.giveUp(i, kv.ErrNoPrimary, true)
		return
	}
	a.p.giveUp(i, kv.ErrUnavailable, a.board.Passing(a.v))
}

// asking is an operation that asks owner k to decide.
func asking(k int, declined ownerSet, room kv.Copies) operation {
	return operation{
		round:      round{phase: phaseDecide, asked: 1 << k},
		writeState: writeState{declined: declined, room: room},
	}
}

// decideHere has this node decide, owner k.
func (a decisions) decideHere(i, partition int, k uint8, room kv.Copies) {
	op, d := &a.call.Ops[i], a.p.decision(a.call, i)
	d.Begin(op.Version, a.replica.limits.MaxValueBytes, answerBytes)
	d.Room = &a.p.copied.left
	for {
		if room.Sum() > 0 {
			a.p.lent = room.Sum()
			d.Room = &a.p.lent
		}
		r := a.replica.decide(partition, op.Hash, d)
		if r.Code != wire.Larger {
			if next, passes := a.made(i, &r, k, room); passes {
				writes(a).spread(i, &next, 1<<k)
			}
			return
		}
		var ok bool // again, and once more if it was overwritten with a longer one meanwhile
		if room, ok = a.borrow(room, r.Needs); !ok {
			a.p.end(i, kv.ErrUndecided)
			return
		}
	}
}

// made takes what this node has decided, owner k, and says whether other owners are to store it:
// next is the round in which they do. Else the answer is as good as that of a peer.
func (a decisions) made(i int, r *wire.Result, k uint8, room kv.Copies) (next operation, passes bool) {
	a.wrote = true
	a.p.Lock()
	defer a.p.Unlock()
	if r.Code == wire.Decided {
		a.p.takeDecision(i, r.Decision, r.Decision.Detach())
		passes = a.p.adopt(i, &a.call.Ops[i])
	}
	if passes {
		next = passed()
		next.own = r.Code
		return next, true
	}
	next = asking(int(k), 0, room)
	next.takeOwn(r, k)
	a.p.beginLocked(i, &next)
	return next, false
}

// passed is a run that the primary has decided and stored.
func passed() operation {
	return operation{round: round{acks: 1, concede: true}, writeState: writeState{passed: true}}
}

// ask has a peer decide, the k-th owner; false: it is not the primary, or down.
func (a decisions) ask(i int, n uint16, k int, declined ownerSet, room kv.Copies) bool {
	op, p := &a.call.Ops[i], a.v.Peers[n]
	if !p.Up() || !p.InSync() {
		return false
	}
	next := asking(k, declined, room)
	next.waiting, next.required = 1, 1
	t := a.p.begin(i, &next)
	t.Owner = uint8(k)
	alone := len(a.call.Ops) == 1
	d, most := a.p.decision(a.call, i), room.Sum()
	if most == 0 {
		most = a.p.copied.share(a.call, d)
	}
	if !p.Decide(op.Version, most, d.Ops, t, alone || a.quiet) {
		a.p.drop()
		return false
	}
	if alone {
		p.Carry(a.call.Deadline)
	}
	return true
}

// answered draws the conclusion from the primary's answer.
func (a decisions) answered(i int, o *operation) {
	switch o.decision {
	case wire.Decided:
		a.p.Lock()
		passes := a.p.adopt(i, &a.call.Ops[i])
		a.p.Unlock()
		if !passes {
			a.p.end(i, nil)
			return
		}
		// An owner that holds something newer was written to meanwhile: the
		// write was done, and then overwritten.
		if len(a.call.Ops) > 1 {
			bulk(a).spread(i, o.asked)
			return
		}
		next := passed()
		writes(a).spread(i, &next, o.asked)
	case wire.Stale:
		a.restamp(i, o)
	case wire.NotPrimary:
		a.start(i, o.declined|o.asked, o.room)
	case wire.Larger:
		a.enlarge(i, o)
	default:
		a.p.end(i, cmp.Or(o.refusal, kv.ErrUnknownOutcome))
	}
}

// restamp asks the primary again, with a stamp above what it holds.
func (a decisions) restamp(i int, o *operation) {
	a.call.Ops[i].Version = 0
	switch {
	case !a.raise(i, o):
	case o.number >= unpausedRounds:
		a.p.giveUp(i, kv.ErrUnavailable, true)
	default:
		a.Restamps.Add(1)
		a.start(i, o.declined, o.room)
	}
}

// enlarge asks the primary again, with the memory for what it copies. Nothing was done so far.
func (a decisions) enlarge(i int, o *operation) {
	room, ok := a.borrow(o.room, o.needs)
	switch {
	case !ok:
		a.p.end(i, kv.ErrUndecided)
	case o.number >= unpausedRounds: // others make the value longer all the time
		a.p.giveUp(i, kv.ErrUnavailable, true)
	default:
		a.start(i, o.declined, room)
	}
}

// borrow asks for the memory of what a decision copies beyond what it has. It asks for some more,
// if that is there: others may make the value longer until it is decided.
func (a decisions) borrow(has, needs kv.Copies) (room kv.Copies, ok bool) {
	more := func(n int) int {
		if n == 0 {
			return 0
		}
		return max(n, min(n+n/8+kv.HeldBytes, a.replica.limits.MaxValueBytes))
	}
	lends := func(n kv.Copies) bool {
		return a.call.Holds(kv.Copies{Found: n.Found - has.Found, Made: n.Made - has.Made})
	}
	least := kv.Copies{Found: max(has.Found, needs.Found), Made: max(has.Made, needs.Made)}
	wide := kv.Copies{Found: max(has.Found, more(needs.Found)), Made: max(has.Made, more(needs.Made))}
	if wide != least && lends(wide) {
		return wide, true
	}
	return least, lends(least)
}
