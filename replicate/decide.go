package replicate

import (
	"httpdhs/kv"
	"httpdhs/wire"
)

// unpausedRounds is how many rounds an operation may have before the primary is asked again only
// after a pause, by the next attempt: it refuses a stamp below what it holds. Those of all attempts
// count.
const unpausedRounds = 16

// start has the key's primary decide a conditional write: the first owner that is up and in sync.
// Owners in declined are passed over: they were asked, and said that they may not decide. The
// primary stores the write in the same step, under the key's lock. Then the other owners store the
// same version. A primary that is asked twice, since a connection broke, finds the version there
// and says that it is stored.
func (a decisions) start(i int, declined ownerSet) {
	op := &a.call.Ops[i]
	stamp(op, a.clock.Now())
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
			next := asking(k, declined)
			r := a.replica.decide(partition, op.Hash, &op.Record, &op.Cond)
			next.takeWrite(&r, uint8(k))
			a.p.begin(i, &next)
			return
		}
		if a.ask(i, n, k, declined) {
			return
		}
	}
	// One that is up and would not decide may in a moment: it finds out who is down, or the ring
	// has changed.
	a.p.giveUp(i, kv.ErrUnavailable, declined != 0 || a.board.Passing(a.v))
}

// asking is an operation that asks owner k to decide.
func asking(k int, declined ownerSet) operation {
	return operation{
		round:      round{phase: phaseDecide, asked: 1 << k},
		writeState: writeState{declined: declined},
	}
}

// ask has a peer decide, the k-th owner; false: it is not the primary, or down.
func (a decisions) ask(i int, n uint16, k int, declined ownerSet) bool {
	op, p := &a.call.Ops[i], a.v.Peers[n]
	if !p.Up() || !p.InSync() {
		return false
	}
	next := asking(k, declined)
	next.waiting, next.required = 1, 1
	t := a.p.begin(i, &next)
	t.Owner = uint8(k)
	alone := len(a.call.Ops) == 1
	if !p.Decide(&op.Cond, &op.Record, t, alone || a.quiet) {
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
	case wire.Stored:
		// An owner that holds something newer was written to meanwhile: the
		// write was done, and then overwritten.
		writes(a).spread(i, &operation{
			round:      round{acks: 1, concede: true},
			writeState: writeState{existed: o.existed, knew: true, passed: true},
		}, o.asked)
	case wire.Stale:
		a.restamp(i, o)
	case wire.NotPrimary:
		a.start(i, o.declined|o.asked)
	case wire.ConditionFailed:
		a.p.end(i, kv.ErrConditionFailed)
	case wire.NoMemory, wire.Refused, wire.TooFarAhead:
		a.p.end(i, o.refusal)
	default:
		a.p.end(i, kv.ErrUnknownOutcome)
	}
}

// restamp asks the primary again, with a stamp above what it holds.
func (a decisions) restamp(i int, o *operation) {
	switch {
	case !a.raise(i, o):
	case o.number >= unpausedRounds:
		a.p.giveUp(i, kv.ErrUnavailable, true)
	default:
		a.Restamps.Add(1)
		a.start(i, o.declined)
	}
}
