package replicate

import (
	"bytes"
	"math/bits"
	"slices"
	"sync"
	"time"

	"httpdhs/kv"
)

// MaxReplicas bounds the owners of a key by one ring.
const MaxReplicas = 16

// ownerSet is a set of owners of a partition by their place among them, a bit each: of up to rebalance.RingsMax rings at a time.
type ownerSet uint64

// pending is one Do under way: what its operations wait for. Tickets of peer
// queues point to it, so it lives until the last of them is resolved, which
// may be after Do has returned.
type pending struct {
	mu     sync.Mutex // guards all below but wake and timer
	refs   int        // unresolved tickets, and one for Do
	open   int        // operations not yet decided
	over   bool       // Do has returned: nobody reads the results
	ops    []opState  // where the operations stand, in the order of their partitions: see at
	buf    []byte     // values that peers have sent
	max    int        // bytes of them; 0: no bound
	misses uint64     // of the coordinator, when the attempt began

	order  []int32 // of operations, by partition; of Do alone
	places []int32 // of operations in order, once that is known; none: each is at its own
	ends   []int32 // scratch of order

	gathered gathered         // of Do alone
	hashes   [touchMax]uint64 // scratch of touchReads

	patience time.Duration // when reads ask one more owner; 0: never; of Do alone

	wake  chan struct{} // one token when open reaches zero
	timer *time.Timer   // of Do alone
}

// ticket is a place in a batch: whom to tell the result. The zero ticket is a
// hint's or a repair's, which nobody waits for.
type ticket struct {
	p     *pending
	op    int32
	owner uint8 // index among the owners of the partition
	round uint8
}

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
	round    uint8
	done     bool // this round is decided
	live     bool // wait for every ticket, whatever required says
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
	stale    kv.Version // the newest version that ours lost to
	refusal  error      // an owner is up and would not
	gone     uint8      // owners that are down, of those that readers ask
	decision resultCode // of phaseDecide
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
	refused  uint8    // owners that would not store what was found
	found    kv.Entry
	local    bool // found is in the call's buffer, not in the pending's

	stopped bool  // this node is stopping
	err     error // the operation's, once it is settled
	settled bool
	redo    bool // a read: an earlier write of the call to the same key has a second stamp
	again   bool // settled in vain, by a view that is being replaced: worth another attempt
}

var pendings = sync.Pool{New: func() any {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return &pending{wake: make(chan struct{}, 1), timer: t}
}}

func acquirePending(n int) *pending {
	p := pendings.Get().(*pending)
	if cap(p.ops) < n {
		p.ops = make([]opState, n)
	}
	p.ops = p.ops[:n] // zero: see releaseLocked
	p.order, p.places = p.order[:0], p.places[:0]
	p.refs, p.open, p.over, p.buf, p.patience = 1, n, false, p.buf[:0], 0
	return p
}

// keepBytes is the most memory that a pooled pending keeps for values.
const keepBytes = 1 << 20

// release gives up one reference; the caller holds mu, which is unlocked.
func (p *pending) releaseLocked() {
	p.refs--
	last := p.refs == 0
	p.mu.Unlock()
	if !last {
		return
	}
	select { // a wake that came when nobody waited any more
	case <-p.wake:
	default:
	}
	if cap(p.buf) > keepBytes {
		p.buf = nil
	}
	clear(p.ops) // entries point to values
	pendings.Put(p)
}

// at is where operation i stands. The states of many operations lie in the order in which these are gone through, here and, since they are
// queued so, by those who resolve their tickets: there are more of them than a cache holds.
func (p *pending) at(i int) *opState {
	if len(p.places) > 0 {
		i = int(p.places[i])
	}
	return &p.ops[i]
}

// nth is the operation that is gone through after k others.
func (p *pending) nth(k int) int {
	if len(p.order) > 0 {
		return int(p.order[k])
	}
	return k
}

// begin opens the next round of operation i with waiting tickets, of which
// acks are already acknowledged: nobody else touches the operation until the
// first of the tickets is handed out. It returns the ticket to hand out.
func (p *pending) begin(i int, next opState) ticket {
	p.mu.Lock()
	o := p.at(i)
	if o.done {
		p.open++
	}
	next.round = o.round + 1
	next.done = false
	*o = next
	p.refs += int(o.waiting)
	p.decideLocked(o)
	t := ticket{p: p, op: int32(i), round: o.round}
	p.mu.Unlock()
	return t
}

// settle ends operation i with err, whatever is still under way.
func (p *pending) settle(i int, err error) { p.conclude(i, nil, err) }

// giveUp ends operation i with err; again says that another attempt, by another view, may go better.
func (p *pending) giveUp(i int, err error, again bool) {
	o := p.state(i)
	o.again = again
	p.conclude(i, &o, err)
}

// conclude settles operation i in the given state.
func (p *pending) conclude(i int, last *opState, err error) {
	p.mu.Lock()
	o := p.at(i)
	round, done := o.round+1, o.done // what comes later no longer counts
	if last != nil {
		*o = *last
	}
	o.round, o.done = round, done
	o.err, o.settled = err, true
	if !o.done {
		o.done = true
		p.open-- // it is Do that concludes, and looks at open before it waits
	}
	p.mu.Unlock()
}

// redoReads marks the reads after write i of its key: they have to follow it once more.
func (p *pending) redoReads(call *kv.Call, i int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for j := i + 1; j < len(call.Ops); j++ {
		if later := &call.Ops[j]; later.Kind == kv.OpGet && sameKey(later, &call.Ops[i]) {
			p.at(j).redo = true
		}
	}
}

func sameKey(a, b *kv.Op) bool { return a.Hash == b.Hash && bytes.Equal(a.Key, b.Key) }

// heir is the last write after i of its key that an owner may have stored; -1: none.
func (p *pending) heir(call *kv.Call, i int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	for j := len(call.Ops) - 1; j > i; j-- {
		later := &call.Ops[j]
		if o := p.at(j); later.Kind != kv.OpGet && sameKey(later, &call.Ops[i]) && (o.acks > 0 || o.lost) {
			return j
		}
	}
	return -1
}

// bequeath leaves the outcome of write i to a later write of its key.
func (p *pending) bequeath(i, heir int) {
	o := p.state(i)
	o.heir = int32(heir) + 1
	p.conclude(i, &o, nil)
}

// orderFrom is how many operations are worth ordering.
const orderFrom = 64

// inOrder is the operations of the call in the order of their partitions, and
// of those of one partition in their own order, by counting. Operations of one
// partition, one after the other, are merged under one lock and meet a shard
// that is in the cache already, here and, since they are queued in this order,
// at the other owners. A few stay as they are.
func (p *pending) inOrder(v *view, call *kv.Call) []int32 {
	n, parts := len(call.Ops), v.partitions()
	p.order = slices.Grow(p.order[:0], n)[:n]
	if n < orderFrom {
		for i := range p.order {
			p.order[i] = int32(i)
		}
		return p.order
	}
	p.ends = slices.Grow(p.ends[:0], parts+1)[:parts+1]
	clear(p.ends)
	for i := range call.Ops {
		p.ends[v.partition(call.Ops[i].Hash)+1]++
	}
	for part := range parts {
		p.ends[part+1] += p.ends[part]
	}
	p.places = slices.Grow(p.places, n)[:n]
	for i := range call.Ops {
		part := v.partition(call.Ops[i].Hash)
		p.order[p.ends[part]], p.places[i] = int32(i), p.ends[part]
		p.ends[part]++
	}
	return p.order
}

// state copies where operation i stands.
func (p *pending) state(i int) opState {
	p.mu.Lock()
	defer p.mu.Unlock()
	return *p.at(i)
}

// settled says whether operation i has its outcome.
func (p *pending) settled(i int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.at(i).settled
}

// again says whether an operation is worth another attempt.
func (p *pending) again() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.ContainsFunc(p.ops, func(o opState) bool { return o.again })
}

func (p *pending) signal() {
	select {
	case p.wake <- struct{}{}:
	default: // Do has not taken the last token yet, and looks at all of it
	}
}

// wait blocks until every operation is decided; false: the deadline came
// first.
func (p *pending) wait(deadline time.Time) bool {
	p.mu.Lock()
	open := p.open
	p.mu.Unlock()
	if open == 0 {
		return true
	}
	p.timer.Reset(time.Until(deadline))
	defer p.timer.Stop()
	for {
		select {
		case <-p.wake:
			p.mu.Lock()
			open := p.open
			p.mu.Unlock()
			if open == 0 {
				return true
			}
		case <-p.timer.C:
			return false
		}
	}
}

// resolve hands the result of a ticket to its operation. The zero ticket is
// nobody's.
func (t ticket) resolve(r *result) {
	p := t.p
	if p == nil {
		return
	}
	p.mu.Lock()
	if o := p.at(int(t.op)); !p.over && o.round == t.round {
		o.waiting--
		o.take(r, t.owner, p)
		p.decideLocked(o)
	}
	p.releaseLocked()
}

// drop gives a ticket back that was not handed out.
func (t ticket) drop() {
	t.p.mu.Lock()
	t.p.releaseLocked()
}

// decideLocked looks whether the round of o is decided.
func (p *pending) decideLocked(o *opState) {
	if o.done || !o.decided() {
		return
	}
	o.done = true
	p.open--
	if p.open == 0 {
		p.signal()
	}
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

// take counts one owner's result.
func (o *opState) take(r *result, owner uint8, p *pending) {
	switch r.code {
	case failedDown, failedStopping, failedUnasked:
		o.lose(owner)
		o.decision = r.code
		o.stopped = o.stopped || r.code == failedStopping
		o.lost = o.lost || r.code != failedUnasked
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

func (o *opState) takeWrite(r *result, owner uint8) {
	o.decision = r.code
	if !o.knew && r.existed {
		o.existed = true
	}
	switch r.code {
	case resultStored:
		o.acks++
	case resultStale:
		o.newer++
		o.stale = max(o.stale, r.version)
		o.lost = o.lost || r.repeated
	case resultNoMemory, resultRefused:
		if o.phase == phaseRepair {
			o.refused++
			return
		}
		o.refusal = kv.ErrNoMemory
		if r.code == resultRefused {
			o.refusal = kv.ErrRefused
		}
	case resultUnbelieved:
		if o.phase != phaseRepair {
			o.refusal = kv.ErrRefused
		}
	case resultElsewhere:
		o.elsewhere = true
		o.lose(owner)
	}
}

// takeRead keeps the newest entry; its value is copied.
func (o *opState) takeRead(r *result, owner uint8, p *pending) {
	if o.done && o.phase == phaseReadOne {
		return // of owners that were asked both, the first counts
	}
	bit := ownerSet(1) << owner
	o.answered |= bit
	if r.behind {
		o.behind |= bit
	}
	if !r.unsynced && !(r.behind && o.phase == phaseReadOne) {
		o.acks++
	}
	if r.code != resultFound {
		return
	}
	e := &r.record.Entry
	switch {
	case !o.found.Exists() || e.Supersedes(&o.found):
		o.newest, o.local = bit, false
		o.found = *e
		if full(p.max, len(p.buf), len(e.Value)) {
			o.refusal = kv.ErrAnswerFull
			o.found.Value, o.found.ContentType = nil, nil
			return
		}
		o.found.Value = keep(&p.buf, e.Value)
		o.found.ContentType = keep(&p.buf, e.ContentType)
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
