package replicate

import (
	"slices"

	"httpdhs/kv"
	"httpdhs/placement"
	"httpdhs/wire"
)

// attempt is one attempt at the operations of a call, by one view. Its methods are the steps that
// all operations share. writes, decisions, reads, quorums, bulk and hedges have the steps of a
// phase.
type attempt struct {
	*Coordinator
	v    *placement.View
	p    *pending
	call *kv.Call

	quiet bool // the senders of peers are not woken by what is queued: bulk wakes them
	wrote bool // this node has stored or decided something that may not be durable yet
}

// Phases of an operation. Each is begun by one of its methods, and goes on in another when its
// round is decided.
type (
	writes    struct{ *attempt } // owners store the record
	decisions struct{ *attempt } // the primary decides a run
	reads     struct{ *attempt } // one owner after the other is asked
	quorums   struct{ *attempt } // all owners are asked at once, and repaired
)

// attempt carries the operations out by the present view: all of them, or those that are worth
// another attempt.
func (c *Coordinator) attempt(p *pending, call *kv.Call, again bool) {
	a := attempt{Coordinator: c, v: c.board.Enter(), p: p, call: call}
	defer c.board.Leave(a.v)
	before := p.fence
	p.fence = c.board.Fence()
	p.moving = p.moving || a.v.Moving()
	if again {
		for i := range call.Ops {
			if o := p.state(i); o.again {
				a.retry(i, &o, p.fence != before)
			}
		}
	} else {
		bulk{&a}.startAll()
	}
	for again := true; again; {
		a.awaitDurable()
		// Past the deadline what was decided in time still counts.
		inTime := hedges{&a}.await()
		again = a.advance() && inTime
	}
}

// awaitDurable waits until all that this node has stored of the call is durable, or takes it back.
// The records are in the queues of the other owners by then. What rests on something that is held
// already waits as well: that may have been stored a moment ago.
func (a *attempt) awaitDurable() {
	if !a.wrote {
		return
	}
	a.wrote = false
	if why := a.replica.store.Durable(a.call.Deadline); why != nil {
		a.p.disown(wire.RefusalOf(kv.NotDurable(why)))
	}
}

// start puts operation i on its way.
func (a *attempt) start(i int) {
	if a.mode(i) == kv.ModeRead {
		a.Reads.Add(1)
	} else {
		a.Writes.Add(1)
	}
	if a.admitOp(i) {
		a.dispatch(i)
	}
}

// mode is how operation i is carried out.
func (a *attempt) mode(i int) kv.Mode { return a.p.runs.mode(a.call, i) }

// admitOp refuses operation i, before it has any effect, where it cannot be carried out.
func (a *attempt) admitOp(i int) bool {
	op := &a.call.Ops[i]
	op.Err, op.Existed, op.Acks, op.Replicas = nil, false, 0, a.v.Replicas
	level := a.call.Write
	mode := a.mode(i)
	if mode == kv.ModeRead {
		level = a.call.Read
	}
	if op.Required = level.Required(a.v.Replicas); op.Required > a.v.Replicas {
		a.p.end(i, kv.ErrLevel)
		return false
	}
	if a.overloaded(op, mode) {
		a.Overloads.Add(1)
		a.p.end(i, kv.ErrOverloaded)
		return false
	}
	return true
}

// dispatch carries out operation i, which was admitted.
func (a *attempt) dispatch(i int) {
	switch a.mode(i) {
	case kv.ModeRead:
		a.read(i)
	case kv.ModeMerge:
		writes{a}.start(i)
	case kv.ModeDecide:
		decisions{a}.start(i, 0, kv.Copies{})
	}
}

// read reads operation i, for the first time or once more.
func (a *attempt) read(i int) {
	if a.call.Ops[i].Required == 1 {
		reads{a}.start(i)
	} else {
		quorums{a}.start(i)
	}
}

// overloaded says whether a queue that the operation goes through is at its
// bound.
func (a *attempt) overloaded(op *kv.Op, mode kv.Mode) bool {
	full := func(n uint16) bool { return a.v.Peers[n] != nil && a.v.Peers[n].Overloaded() }
	partition := a.v.Partition(op.Hash)
	owners := a.v.Owners(partition)
	switch {
	case !slices.ContainsFunc(owners, full): // as nearly always
		return false
	case mode == kv.ModeRead && op.Required == 1:
		k := reads{a}.candidate(partition, 0)
		return k >= 0 && full(owners[k])
	}
	return true
}

// advance looks at every operation that is decided. It says whether any is on its way still, or
// again.
func (a *attempt) advance() (again bool) {
	if len(a.call.Ops) > 1 {
		if !a.p.endMet(a.undisturbed) {
			return false
		}
		a.quiet = true
		defer bulk{a}.wakeAll()
	}
	again = a.look()
	if b := (bulk{a}); a.p.merging != nil && a.p.merging.ruled > 0 {
		b.spreadAll()
		again = true
	}
	return again
}

// look takes on each operation that is decided, and says whether any is on its way.
func (a *attempt) look() (again bool) {
	for k := range a.call.Ops {
		i := a.p.order.nth(k)
		o := a.p.state(i)
		switch {
		case !o.done:
			again = true
			continue
		case o.held:
			continue
		case o.redo && (!o.ended || o.err == nil):
			a.read(i)
		case !o.ended:
			a.next(i, &o)
		}
		again = a.goesOn(i) || again
	}
	return again
}

// goesOn says whether operation i is on its way, or has begun what was held back until it ended.
func (a *attempt) goesOn(i int) bool {
	switch o := a.p.state(i); {
	case !o.ended:
		return true
	case o.again:
		return false
	}
	held := a.p.runs.waiting(i)
	if held < 0 || !a.p.release(held) {
		return false
	}
	a.start(held)
	return true
}

// undisturbed says whether no others have gone on without this node since the attempt began. If
// they have, who acknowledged a write need not be who is read.
func (a *attempt) undisturbed() bool { return a.p.fence == a.board.Fence() && !a.board.Lapsed() }

// next takes operation i on, whose round is decided.
func (a *attempt) next(i int, o *operation) {
	switch o.phase {
	case phaseWrite:
		writes{a}.answered(i, o)
	case phaseDecide:
		decisions{a}.answered(i, o)
	case phaseRead:
		reads{a}.answered(i, o)
	case phaseQuorum:
		quorums{a}.answered(i, o)
	case phaseRepair:
		quorums{a}.repaired(i, o)
	}
}

// retry makes another attempt at operation i. A write that an owner may have stored keeps its
// stamp: under another it would take effect twice. If the fence was raised since the attempt
// before, others may have decided in its place: then the outcome is unknown.
func (a *attempt) retry(i int, o *operation, fenced bool) {
	switch {
	case o.passed && fenced:
		a.p.giveUp(i, kv.ErrUnknownOutcome, false)
	case a.mode(i) == kv.ModeMerge || o.passed:
		stored := o.concede || o.oldView
		lost := o.lost || o.gone > 0 || o.acks > 0 // an owner that was down gets its hint, and an owner to come is read
		writes{a}.spread(i, &operation{
			round:      round{concede: stored, lost: lost},
			writeState: writeState{existed: o.existed, knew: stored, passed: o.passed},
		}, 0)
	default:
		a.start(i)
	}
}
