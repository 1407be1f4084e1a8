package replicate

import (
	"bytes"
	"slices"
	"sync"
	"time"

	"httpdhs/kv"
	"httpdhs/peer"
	"httpdhs/wire"
)

// pending is one Do under way: what its operations wait for. Tickets in the queues of peers point
// to it. So it lives until the last of them is resolved, which may be after Do has returned.
type pending struct {
	mu       sync.Mutex  // guards all to max
	refs     int         // unresolved tickets, and one for Do
	open     int         // operations not yet decided
	due      bool        // an operation goes on whatever others do: its primary has decided, or others wait for it
	over     bool        // Do has returned: nobody reads the results
	ops      []operation // where the operations stand, in the order of their partitions: see at
	readings []reading   // of the gets among them
	rulings  []ruling    // what the primaries have made of runs
	results  []kv.Result // and of the operations in these
	answered kv.Decision // scratch: what a peer has answered
	there    values      // that peers have sent, and that decisions have found or made
	received purse       // for what reads have found at peers
	max      int         // bytes of them; 0: no bound

	// These do not change once the first ticket is handed out.
	call  *kv.Call // until Do is over
	order order    // of operations
	runs  runs     // of operations

	// Of Do alone.
	here     values        // that reads have found here; its piece is the call's
	copied   purse         // for what is copied here, and what decisions of peers bring
	lent     int           // for what a decision copies here beyond that
	fence    uint64        // when the attempt began
	moving   bool          // the ring was changing in an attempt
	merging  *merging      // of calls of many operations; nil: it had none yet
	deciding kv.Decision   // scratch: what is asked, or decided here
	patience time.Duration // when reads ask one more owner; 0: never
	timer    *time.Timer

	wake chan struct{} // one token when open reaches zero
}

var pendings = sync.Pool{New: func() any {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return &pending{wake: make(chan struct{}, 1), timer: t}
}}

func acquirePending(call *kv.Call) *pending {
	p, n := pendings.Get().(*pending), len(call.Ops)
	p.ops = slices.Grow(p.ops[:0], n)[:n] // zero: see Unlock
	p.readings = p.readings[:0]
	p.order.reset()
	p.runs.reset()
	p.call = call
	p.due = false
	p.refs, p.open, p.over, p.patience = 1, n, false, 0
	p.here, p.there = values{piece: call.Buf[:0]}, values{piece: p.there.piece[:0]}
	p.moving, p.max = false, call.MaxBytes
	p.received.open(call)
	p.copied.open(call)
	return p
}

// keepBytes is the most memory that a pooled pending keeps for values.
const keepBytes = 1 << 20

// Lock implements peer.Waiter.
func (p *pending) Lock() { p.mu.Lock() }

// Unlock gives it back, too, if neither Do nor a ticket refers to it any more. So it is for who has
// given up a reference; anybody else may as well unlock mu.
func (p *pending) Unlock() {
	last := p.refs == 0
	p.mu.Unlock()
	if !last {
		return
	}
	select { // a wake that came when nobody waited any more
	case <-p.wake:
	default:
	}
	if p.here = (values{}); cap(p.there.piece) > keepBytes {
		p.there.piece = nil
	}
	clear(p.ops)
	clear(p.readings) // entries point to values
	p.releaseRulings()
	pendings.Put(p)
}

// Resolve implements peer.Waiter: it hands the result of a ticket to its operation.
func (p *pending) Resolve(t peer.Ticket, r *wire.Result) {
	p.refs--
	if o := p.at(int(t.Op)); !p.over && o.number == t.Round {
		o.waiting--
		switch {
		case r.Code != wire.Decided:
		case o.phase == phaseDecide:
			p.takeAnswer(int(t.Op), r)
		default:
			r.Code = peer.FailedDown // nobody has asked for that
		}
		p.take(o, r, t.Owner)
		p.decideLocked(o)
	}
}

// Wants implements peer.Waiter. An answer is of no use once Do is over or the round is, or once
// there is no room for another value.
func (p *pending) Wants(t peer.Ticket) bool {
	o := p.at(int(t.Op))
	return !p.over && o.number == t.Round && !o.done && !p.sated(o)
}

// sated says whether no value has room any more among those that gets find.
func (p *pending) sated(o *operation) bool {
	return o.phase == phaseRead && p.max > 0 && p.there.sum >= p.max
}

// resolve is Resolve for who does not hold the lock.
func (p *pending) resolve(t peer.Ticket, r *wire.Result) {
	p.Lock()
	defer p.Unlock()
	p.Resolve(t, r)
}

// drop gives a ticket back that was not handed out.
func (p *pending) drop() {
	p.Lock()
	defer p.Unlock()
	p.refs--
}

// decideLocked looks whether the round of o is decided.
func (p *pending) decideLocked(o *operation) {
	if o.done || !o.decided() {
		return
	}
	o.done = true
	p.open--
	p.due = p.due || o.phase == phaseDecide || p.runs.staged
	if p.open > 0 && !p.due {
		return
	}
	select {
	case p.wake <- struct{}{}:
	default: // Do has not taken the last token yet, and looks at all of it
	}
}

// at is where operation i stands. The states of many operations are more than a cache holds. So
// they lie in the order in which the operations are gone through. That is also the order in which
// they are queued, and so in which their tickets are resolved.
func (p *pending) at(i int) *operation { return &p.ops[p.order.place(i)] }

// note takes down what a get has found.
func (p *pending) note(o *operation, g *reading) {
	if o.get == 0 {
		p.readings = append(p.readings, reading{})
		o.get = int32(len(p.readings))
	}
	*p.reading(o) = *g
}

// refuse takes down why the value that a get finds at this node is not copied.
func (p *pending) refuse(i int, why error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.at(i).refusal = why
}

// reading is what a get has found.
func (p *pending) reading(o *operation) *reading { return &p.readings[o.get-1] }

// state copies where operation i stands.
func (p *pending) state(i int) operation {
	p.mu.Lock()
	defer p.mu.Unlock()
	return *p.at(i)
}

// found copies where get i stands, and what it has found.
func (p *pending) found(i int) (operation, reading) {
	p.mu.Lock()
	defer p.mu.Unlock()
	o := p.at(i)
	return *o, *p.reading(o)
}

// begin opens the next round of operation i: next says how many tickets wait, and how many owners
// have acknowledged already. Nobody else touches the operation until the first of the tickets is
// handed out. It returns the ticket to hand out.
func (p *pending) begin(i int, next *operation) peer.Ticket {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.beginLocked(i, next)
}

// beginWrite is begin of a round in which so many owners are sent a record; the caller holds the
// lock. Where the level is met already nobody waits for them: the ticket is the zero one then.
func (p *pending) beginWrite(i int, next *operation, owners uint8) peer.Ticket {
	waits := next.live || next.have() < next.enough()
	if next.waiting = 0; waits {
		next.waiting = owners
	}
	t := p.beginLocked(i, next)
	if !waits {
		t = peer.Ticket{}
	}
	return t
}

func (p *pending) beginLocked(i int, next *operation) peer.Ticket {
	o := p.at(i)
	if o.done {
		p.open++
	}
	next.number, next.vain, next.get, next.ruling = o.number+1, o.vain, o.get, o.ruling
	if o.again {
		next.vain = o.err
	}
	next.done = false
	*o = *next
	p.refs += int(o.waiting)
	p.decideLocked(o)
	return peer.Ticket{Waiter: p, Op: int32(i), Round: o.number}
}

// beginRead is begin of a get, with what it has found so far.
func (p *pending) beginRead(i int, next *operation, g *reading) peer.Ticket {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.note(p.at(i), g)
	return p.beginLocked(i, next)
}

// join adds a ticket to the round of a read that waits, for one more owner; false: it does not
// wait any more.
func (p *pending) join(i, owner int) (t peer.Ticket, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	o := p.at(i)
	if o.done || o.phase != phaseRead || o.waiting == 0 {
		return peer.Ticket{}, false
	}
	o.asked |= 1 << owner
	o.waiting++
	p.refs++
	return peer.Ticket{Waiter: p, Op: int32(i), Owner: uint8(owner), Round: o.number}, true
}

// endMet ends the writes that have met their level, in a call of many. They are all as a rule, and
// one lock is enough for them. It says whether any other operation is to be looked at. good is
// asked once the results are in, whether they may be acknowledged.
func (p *pending) endMet(good func() bool) (rest bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !good() {
		return true
	}
	for k := range p.ops {
		o := &p.ops[k]
		switch {
		case o.done && !o.ended && !o.held && o.phase == phaseWrite && o.met():
			p.endLocked(o, nil)
		case !o.ended || o.redo || p.runs.staged:
			rest = true
		}
	}
	return rest
}

// disown takes back what this node has counted for itself, of all operations. The code says why.
func (p *pending) disown(why wire.Code) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for k := range p.ops {
		p.ops[k].disown(why)
	}
}

// end ends operation i with err, whatever is still under way.
func (p *pending) end(i int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.endLocked(p.at(i), err)
}

func (p *pending) endLocked(o *operation, err error) {
	o.number++ // what comes later no longer counts
	o.err, o.ended = err, true
	if !o.done {
		o.done = true
		p.open-- // it is Do that ends it, and looks at open before it waits
	}
}

// giveUp ends operation i with err; again says that another attempt, by another view, may go
// better.
func (p *pending) giveUp(i int, err error, again bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	o := p.at(i)
	o.again = again
	p.endLocked(o, err)
}

// endRead ends get i with what it has found and err.
func (p *pending) endRead(i int, last *operation, g *reading, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	o := p.at(i)
	last.number, last.done, last.get = o.number, o.done, o.get
	*o = *last
	p.note(o, g)
	p.endLocked(o, err)
}

// bequeath leaves the outcome of write i to a later write of its key.
func (p *pending) bequeath(i, heir int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	o := p.at(i)
	o.heir = int32(heir) + 1
	p.endLocked(o, nil)
}

// redoReads marks the reads after write i of its key: they have to follow it once more.
func (p *pending) redoReads(call *kv.Call, i int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for j := i + 1; j < len(call.Ops); j++ {
		if later := &call.Ops[j]; later.Mode() == kv.ModeRead && sameKey(later, &call.Ops[i]) {
			p.at(j).redo = true
		}
	}
}

func sameKey(a, b *kv.Op) bool { return a.Hash == b.Hash && bytes.Equal(a.Key, b.Key) }

// heir is the last write after i of its key that an owner may have stored, also by an
// attempt before; -1: none.
func (p *pending) heir(call *kv.Call, i int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	for j := len(call.Ops) - 1; j > i; j-- {
		later := &call.Ops[j]
		if o := p.at(j); later.Mode() != kv.ModeRead && sameKey(later, &call.Ops[i]) && (o.acks > 0 || o.concede || o.lost) {
			return j
		}
	}
	return -1
}

// again says whether an operation is worth another attempt.
func (p *pending) again() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.ops {
		if p.ops[i].again {
			return true
		}
	}
	return false
}

// wait blocks until every operation is decided, or one that is due; false: the deadline came first.
func (p *pending) wait(deadline time.Time) bool {
	if p.toLookAt() {
		return true
	}
	p.timer.Reset(time.Until(deadline))
	defer p.timer.Stop()
	for {
		select {
		case <-p.wake:
			if p.toLookAt() {
				return true
			}
		case <-p.timer.C:
			return false
		}
	}
}

// toLookAt says whether there is something for Do to look at. It is asked before Do looks.
func (p *pending) toLookAt() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	is := p.open == 0 || p.due
	p.due = false
	return is
}
