package replicate

import (
	"httpdhs/kv"
	"httpdhs/peer"
)

// start asks all owners at once; the newest entry wins.
func (a quorums) start(i int) {
	op := &a.call.Ops[i]
	partition := a.v.Partition(op.Hash)
	owners := a.v.Readers(partition)
	next := operation{round: round{phase: phaseQuorum, required: uint8(op.Required), waiting: uint8(len(owners))}}
	t := a.p.beginRead(i, &next, new(reading))
	for k, n := range owners {
		t.Owner = uint8(k)
		if int(n) == a.v.Self {
			mark := a.p.here
			r, err := a.readHeld(op, partition)
			if err != nil {
				a.p.refuse(i, err)
				r.Code = peer.FailedUnwanted
			}
			a.p.resolve(t, &r) // copies
			a.p.here.forget(mark)
			continue
		}
		if !a.v.Peers[n].Read(op.Key, t, a.quiet) {
			a.p.resolve(t, a.failure())
		}
	}
}

// answered draws the conclusion when enough owners have answered. It has those that are behind
// store what was read, before the read is answered where the level needs that. So a later read of
// the same level never goes back (Attiya, Bar-Noy, Dolev, "Sharing Memory Robustly in
// Message-Passing Systems", 1995).
func (a quorums) answered(i int, _ *operation) {
	op := &a.call.Ops[i]
	o, g := a.p.found(i)
	owners := a.v.Readers(a.v.Partition(op.Hash))
	if o.acks < o.required && int(count(g.answered)) < len(owners) {
		a.p.giveUp(i, kv.ErrUnavailable, a.board.Passing(a.v))
		return
	}
	absent, all := !g.found.Live(a.clock.Wall().UnixMilli()), int(count(g.answered)) == len(owners)
	if absent && g.behind != 0 && g.whole&^g.behind == 0 && !all {
		// What these replicas have refused may be at one that did not answer.
		a.p.giveUp(i, kv.ErrAbsenceUnknown, a.board.Passing(a.v))
		return
	}
	if absent && o.acks == 0 || !g.found.Exists() && o.acks < o.required && a.v.Moving() {
		// Readers without authority know nothing together: another node may hold more, an owner to
		// come or one that was an owner.
		a.p.giveUp(i, kv.ErrAbsenceUnknown, true)
		return
	}
	// Of a value that was beyond the call's bound only the version is known:
	// it must not be spread.
	if !g.found.Exists() || o.refusal != nil {
		a.p.end(i, nil)
		return
	}
	a.repair(i, &o, &g)
}

// repair has the owners that were behind store what was read. While the ring changes, the owners by
// other rings that are up store it too: other nodes may read by these rings already. Owners that
// have refused it, or something before it, fetch it when they have room.
func (a quorums) repair(i int, o *operation, g *reading) {
	op := &a.call.Ops[i]
	owners := a.v.Owners(a.v.Partition(op.Hash))
	extra, behind := 0, g.older()&^g.behind
	for k, n := range owners[a.v.Replicas:] {
		if p := a.v.Peers[n]; p == nil || p.State() != peer.Down {
			extra, behind = extra+1, behind|1<<(a.v.Replicas+k)
		}
	}
	if behind == 0 {
		a.p.end(i, nil)
		return
	}
	a.Repairs.Add(int64(count(behind)))
	record := kv.Record{Key: op.Key, Entry: g.found}
	next := *o
	next.phase, next.concede = phaseRepair, true
	next.readers, next.extra = uint8(a.v.Replicas), uint8(extra)
	next.acks, next.refused = count(g.newest), count(g.older()&g.behind)
	for k, n := range owners {
		if bit := ownerSet(1) << k; int(n) == a.v.Self && behind&bit != 0 {
			behind &^= bit
			r := a.replica.merge(op.Hash, &record)
			next.takeWrite(&r, uint8(k))
		}
	}
	a.hand(i, &next, owners, behind, &record)
}

// repaired draws the conclusion when the owners that were behind have answered.
//
// An owner that refused to store what was read does not fail the read: see placement.Refusals. An
// acknowledged write is at w owners without the repair. Another write may be at fewer. Those that
// refused it say so to the next reader, which then looks for it at all owners that are up.
func (a quorums) repaired(i int, o *operation) {
	if o.have()+o.refused < o.enough() {
		a.p.giveUp(i, kv.ErrUnavailable, o.oldView || a.board.Passing(a.v))
		return
	}
	a.p.end(i, nil)
}
