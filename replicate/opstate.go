package replicate

import (
	"math/bits"

	"httpdhs/kv"
	"httpdhs/wire"
)

// phase is what an operation's unresolved tickets are for.
type phase uint8

const (
	phaseWrite    phase = iota // owners store the record
	phaseDecide                // the primary decides a conditional write
	phaseReadOne               // one owner after the other is asked
	phaseReadMany              // all owners are asked at once
	phaseRepair                // owners that answered with less store what was read
)

// opState is where one operation stands. An operation goes through rounds; a
// result of an earlier round no longer counts.
type opState struct {
	phase    phase
	round    uint16 // retries make many: a ticket of a peer that hangs must not meet its round again
	done     bool   // this round is decided
	live     bool   // wait for every ticket, whatever required says
	required uint8
	waiting  uint8 // unresolved tickets of this round
	acks     uint8 // owners that stored, or answered a read with authority

	// Of writes.
	concede  bool       // whatever newer an owner holds came after this write began
	newer    uint8      // owners that hold something newer
	lost     bool       // an owner may have stored it, and did not say so
	heir     int32      // 1 + the later write of the call that took its place; 0: none
	existed  bool       // some owner held a readable value before
	knew     bool       // existed was settled by an earlier round
	passed   bool       // a condition has let it pass
	stale    kv.Version // the newest version that ours lost to, or the value for which its condition does not hold
	refusal  error      // an owner is up and would not
	gone     uint8      // owners that are down, of those that readers ask
	decision wire.Code  // of phaseDecide
	unsynced ownerSet   // owners that would not decide

	// While the ring changes there are more owners than those that readers ask, the first so many. extra is how many of them are up:
	// acknowledgements of as many more are asked for, so that by each ring the level is met.
	readers   uint8
	extra     uint8
	elsewhere bool // an owner says that it is none: this node's view is old

	// Of reads: sets of owners, a bit each, and the newest entry.
	asked    ownerSet
	answered ownerSet
	newest   ownerSet // of answered: hold what is in found
	behind   ownerSet // of answered: have refused something newer than they hold
	whole    ownerSet // of answered: have authority, but for what they have refused
	refused  uint8    // owners that would not store what was found
	found    kv.Entry
	local    bool // found is in the call's buffer, not in the pending's

	stopped bool  // this node is stopping
	err     error // the operation's, once it is settled
	settled bool
	redo    bool  // a read: an earlier write of the call to the same key has a second stamp
	again   bool  // settled in vain, by a view that is being replaced: worth another attempt
	vain    error // the outcome of the attempt before
}

// enough is how many acknowledgements meet the level.
func (o *opState) enough() uint8 { return o.required + o.extra }

func (o *opState) decided() bool {
	if o.waiting == 0 {
		return true
	}
	if o.live || o.phase == phaseReadMany && o.behind != 0 {
		return false
	}
	// A level that cannot be met any more is no reason to stop: how many
	// replicas have the write is part of the answer.
	return o.have() >= o.enough()
}

// have is how many owners have the write, or had it before something newer took its place.
func (o *opState) have() uint8 {
	if o.concede || o.acks > 0 {
		return o.acks + o.newer
	}
	return 0
}

// unseen says whether no owner has stored the write, and some have refused it for something newer.
func (o *opState) unseen() bool { return o.newer > 0 && o.acks == 0 && !o.concede && !o.lost }

// take counts one owner's result.
func (o *opState) take(r *wire.Result, owner uint8, p *pending) {
	switch r.Code {
	case wire.FailedDown, wire.FailedStopping, wire.FailedUnasked:
		o.lose(owner)
		o.decision = r.Code
		o.stopped = o.stopped || r.Code == wire.FailedStopping
		o.lost = o.lost || r.Code != wire.FailedUnasked
		return
	}
	switch o.phase {
	case phaseWrite, phaseRepair, phaseDecide:
		o.takeWrite(r, owner)
	case phaseReadOne, phaseReadMany:
		o.takeRead(r, owner, p)
	}
}

// lose takes note of an owner that does not take part.
func (o *opState) lose(owner uint8) {
	switch {
	case owner < o.readers:
		o.gone++
	case o.extra > 0:
		o.extra--
	}
}

func (o *opState) takeWrite(r *wire.Result, owner uint8) {
	o.decision = r.Code
	if !o.knew && r.Existed {
		o.existed = true
	}
	switch r.Code {
	case wire.Stored:
		o.acks++
	case wire.Stale:
		o.newer++
		o.stale = max(o.stale, r.Version)
		o.lost = o.lost || r.Repeated
	case wire.NoMemory, wire.Refused:
		if o.phase == phaseRepair {
			o.refused++
			return
		}
		o.refusal = kv.ErrNoMemory
		if r.Code == wire.Refused {
			o.refusal = kv.ErrRefused
		}
	case wire.ConditionFailed:
		if o.stale = 0; r.Existed { // else it is a tombstone's
			o.stale = r.Version
		}
	case wire.TooFarAhead:
		if o.phase != phaseRepair {
			o.refusal = kv.ErrRefused
		}
	case wire.NotOwner:
		o.elsewhere = true
		o.lose(owner)
	}
}

// takeRead keeps the newest entry; its value is copied.
func (o *opState) takeRead(r *wire.Result, owner uint8, p *pending) {
	if o.done && o.phase == phaseReadOne {
		return // of owners that were asked both, the first counts
	}
	bit := ownerSet(1) << owner
	o.answered |= bit
	if r.Behind {
		o.behind |= bit
	}
	if !r.NoAuthority {
		o.whole |= bit
		if !r.Behind || o.phase != phaseReadOne {
			o.acks++
		}
	}
	if r.Code != wire.Found {
		return
	}
	e := &r.Record.Entry
	switch {
	case !o.found.Exists() || e.Supersedes(&o.found):
		o.newest, o.local = bit, false
		o.found = *e
		if full(p.max, len(p.buf), len(e.Value)) {
			o.refusal = kv.ErrAnswerFull
			o.found.Value, o.found.Meta = nil, nil
			return
		}
		o.found.Value = keep(&p.buf, e.Value)
		o.found.Meta = keep(&p.buf, e.Meta)
	case e.Version == o.found.Version:
		o.newest |= bit
	}
}

// full says whether a value goes beyond the bound of what gets may find.
func full(bound, have, value int) bool { return bound > 0 && have > 0 && have+value > bound }

// keep appends b to buf and returns the copy.
func keep(buf *[]byte, b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	start := len(*buf)
	*buf = append(*buf, b...)
	return (*buf)[start:len(*buf):len(*buf)]
}

// older is the set of owners that answered a read with less than the newest.
func (o *opState) older() ownerSet { return o.answered &^ o.newest }

func count(owners ownerSet) uint8 { return uint8(bits.OnesCount64(uint64(owners))) }
