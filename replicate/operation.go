package replicate

import (
	"cmp"
	"errors"
	"math/bits"

	"httpdhs/kv"
	"httpdhs/peer"
	"httpdhs/wire"
)

// MaxReplicas bounds the owners of a key by one ring.
const MaxReplicas = 16

// ownerSet is a set of owners of a partition by their place among them, a bit each: of up to
// rebalance.RingsMax rings at a time.
type ownerSet uint64

func count(owners ownerSet) uint8 { return uint8(bits.OnesCount64(uint64(owners))) }

// phase is what an operation's unresolved tickets are for.
type phase uint8

const (
	phaseWrite  phase = iota // owners store the record
	phaseDecide              // the primary decides
	phaseRead                // one owner after the other is asked
	phaseQuorum              // all owners are asked at once
	phaseRepair              // owners that answered with less store what was read
)

// operation is where one operation stands. It goes through rounds, and in each round owners are
// asked. What each result touches comes first. What reads find is apart, in reading, since most
// operations of a large call are writes.
type operation struct {
	round
	writeState
	outcome

	refusal error // an owner is up and would not, or there is no room for what a read found
	get     int32 // 1 + the place of its reading; 0: it is no get
	ruling  int32 // 1 + the place of what the primary has made of it; 0: nothing yet
}

// round is one round: owners that are asked at once. A result of an earlier round no longer counts.
type round struct {
	number   uint16 // retries make many: a ticket of a peer that hangs must not meet its round again
	phase    phase
	done     bool  // it is decided
	live     bool  // wait for every ticket, whatever required says
	required uint8 // acknowledgements that are asked for
	waiting  uint8 // unresolved tickets
	acks     uint8 // owners that stored, or answered a read with authority
	newer    uint8 // owners that hold something newer
	gone     uint8 // owners that are down, of those that readers ask

	// The first so many owners are those that readers ask. While the ring changes there are more.
	// extra is how many of these are up. So many more acknowledgements are asked for, at level live
	// too: so the level is met by the owners that readers ask, whoever else has stored it.
	readers uint8
	extra   uint8

	concede  bool      // whatever newer an owner holds came after this write began
	lost     bool      // an owner may have stored it, and did not say so, or will be read later
	oldView  bool      // an owner says that it is none: this node goes by an old ring
	behind   bool      // of phaseQuorum: an owner that answered has refused something newer than it holds
	refused  uint8     // of phaseRepair: owners that would not store what was found
	decision wire.Code // of phaseDecide
	own      wire.Code // what this node has made of a write, if it is one of the owners
	stopping bool      // this node is stopping
	asked    ownerSet  // of phaseDecide and phaseRead
}

// writeState is what the rounds of a put or delete have found out.
type writeState struct {
	existed  bool       // some owner held a readable value before
	knew     bool       // that was found out by an earlier round
	passed   bool       // the primary has decided it
	stale    kv.Version // the newest version that ours lost to
	declined ownerSet   // owners that would not decide
	room     kv.Copies  // that the primary may copy, if more than a little
	needs    kv.Copies  // that it has to, if it has decided nothing for that reason
}

// reading is what the rounds of a get have found.
type reading struct {
	answered ownerSet
	newest   ownerSet // of answered: hold what is in found
	behind   ownerSet // of answered: have refused something newer than they hold
	whole    ownerSet // of answered: have authority, but for what they have refused
	found    kv.Entry // the newest
	local    bool     // found is in the call's buffer, not in the pending's
}

// outcome is what comes of an operation.
type outcome struct {
	ended bool  // it has its outcome
	again bool  // in vain, by a view that is being replaced: worth another attempt
	redo  bool  // a read: an earlier write of the call to the same key has a second stamp
	held  bool  // it waits for another of the call, and is not begun
	heir  int32 // 1 + the later write of the call that took its place; 0: none
	err   error // once it is ended
	vain  error // the outcome of the attempt before
}

// enough is how many acknowledgements meet the level.
func (o *round) enough() uint8 { return o.required + o.extra }

// decided says whether nobody waits for the rest of the round.
func (o *round) decided() bool {
	if o.waiting == 0 {
		return true
	}
	if o.live || o.phase == phaseQuorum && o.behind {
		return false
	}
	// A level that cannot be met any more is no reason to stop: how many
	// replicas have the write is part of the answer.
	return o.have() >= o.enough()
}

// have is how many owners have the write, or had it before something newer took its place.
func (o *round) have() uint8 {
	if o.concede {
		return o.acks + o.newer
	}
	return o.acks
}

// met says whether a write has met its level: enough owners have it, none says that it is no owner,
// and at level live none has refused it.
func (o *operation) met() bool {
	return !o.oldView && (o.refusal == nil || !o.live) && o.have() >= o.enough()
}

// unseen says whether no owner that readers ask has stored the write, and some owners have refused
// it for something newer.
func (o *round) unseen() bool { return o.newer > 0 && !o.concede && !o.lost }

// lose takes note of an owner that does not take part.
func (o *round) lose(owner uint8) {
	switch {
	case owner < o.readers:
		o.gone++
	case o.extra > 0:
		o.extra--
	}
}

// take counts one owner's result.
func (p *pending) take(o *operation, r *wire.Result, owner uint8) {
	switch r.Code {
	case peer.FailedDown, peer.FailedStopping, peer.FailedUnasked:
		o.lose(owner)
		o.decision = r.Code
		o.stopping = o.stopping || r.Code == peer.FailedStopping
		o.lost = o.lost || r.Code != peer.FailedUnasked
		return
	}
	switch o.phase {
	case phaseWrite, phaseRepair, phaseDecide:
		o.takeWrite(r, owner)
	case phaseRead, phaseQuorum:
		p.takeRead(o, r, owner)
	}
}

func (o *operation) takeWrite(r *wire.Result, owner uint8) {
	o.decision = r.Code
	if !o.knew && r.Existed {
		o.existed = true
	}
	switch r.Code {
	case wire.Stored:
		o.acks++
		o.concede = o.concede || owner < o.readers
	case wire.Stale:
		o.newer++
		o.stale = max(o.stale, r.Version)
		o.lost = o.lost || r.Repeated
	case wire.NotOwner:
		o.oldView = true
		o.lose(owner)
	case wire.Larger:
		o.needs = r.Needs
	default:
		o.takeRefusal(r.Code)
	}
}

// takeRefusal counts an owner that refuses, if that is what the code says. An owner that has the
// write in memory alone may have shown it to a reader.
func (o *operation) takeRefusal(code wire.Code) {
	why := code.Refusal()
	switch {
	case why == nil:
	case o.phase != phaseRepair:
		if !errors.Is(o.refusal, kv.ErrNotDurable) { // which says most
			o.refusal = why
		}
		o.lost = o.lost || errors.Is(why, kv.ErrNotDurable)
	case code != wire.TooFarAhead:
		o.refused++
	}
}

// takeOwn is takeWrite of what this node has stored itself. It counts from now on, though it may
// not be durable yet: nobody acknowledges the write before it is.
func (o *operation) takeOwn(r *wire.Result, owner uint8) {
	o.takeWrite(r, owner)
	o.own = r.Code
}

// disown takes back what this node has counted for itself: it is not durable, and will not be. What
// ended before was durable.
func (o *operation) disown(why wire.Code) {
	switch {
	case o.ended:
		return
	case o.own == wire.Stored, o.own == wire.Decided && o.passed:
		o.acks--
	case o.own == wire.Stale:
		o.newer--
	case o.own != wire.Decided:
		return
	}
	o.takeOwn(&wire.Result{Code: why}, 0)
}

// takeRead keeps the newest entry; its value is copied.
func (p *pending) takeRead(o *operation, r *wire.Result, owner uint8) {
	if o.done && o.phase == phaseRead {
		return // of owners that were asked both, the first counts
	}
	g, bit := p.reading(o), ownerSet(1)<<owner
	if r.Code == peer.FailedUnwanted {
		o.refusal = cmp.Or(o.refusal, kv.ErrAnswerFull)
		o.acks++ // whatever it would have been: nobody else is asked
		return
	}
	g.answered |= bit
	if r.Behind {
		g.behind |= bit
		o.behind = true
	}
	if !r.NoAuthority {
		g.whole |= bit
		if !r.Behind || o.phase != phaseRead {
			o.acks++
		}
	}
	if r.Code != wire.Found {
		return
	}
	e := &r.Record.Entry
	switch {
	case !g.found.Exists() || e.Supersedes(&g.found):
		g.newest, g.local = bit, false
		g.found = *e
		if why := p.refuses(e); why != nil {
			o.refusal = why
			g.found.Value, g.found.Meta = nil, nil
			return
		}
		g.found.Value = p.there.keep(e.Value)
		g.found.Meta = p.there.keep(e.Meta)
	case e.Version == g.found.Version:
		g.newest |= bit
	}
}

// refuses says why an entry that a get finds is not to be copied, if it is not.
func (p *pending) refuses(e *kv.Entry) error {
	switch {
	case p.there.full(p.max, len(e.Value)):
		return kv.ErrAnswerFull
	case !p.received.takes(p.call, len(e.Value)+len(e.Meta)):
		return kv.ErrAnswersHeld
	}
	return nil
}

// older is the set of owners that answered a read with less than the newest.
func (g *reading) older() ownerSet { return g.answered &^ g.newest }
