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
	moving bool       // the ring was changing in an attempt; of Do alone

	order  []int32 // of operations, by partition; of Do alone
	places []int32 // of operations in order, once that is known; none: each is at its own
	ends   []int32 // scratch of order

	gathered gathered         // of Do alone
	hashes   [touchMax]uint64 // scratch of touchReads

	patience time.Duration // when reads ask one more owner; 0: never; of Do alone

	wake  chan struct{} // one token when open reaches zero
	timer *time.Timer   // of Do alone
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
	p.moving = false
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
func (p *pending) begin(i int, next opState) peer.Ticket {
	p.mu.Lock()
	o := p.at(i)
	if o.done {
		p.open++
	}
	next.round, next.vain = o.round+1, o.vain
	if o.again {
		next.vain = o.err
	}
	next.done = false
	*o = next
	p.refs += int(o.waiting)
	p.decideLocked(o)
	t := peer.Ticket{Waiter: p, Op: int32(i), Round: o.round}
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

// heir is the last write after i of its key that an owner may have stored, be it by an attempt
// before; -1: none.
func (p *pending) heir(call *kv.Call, i int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	for j := len(call.Ops) - 1; j > i; j-- {
		later := &call.Ops[j]
		if o := p.at(j); later.Kind != kv.OpGet && sameKey(later, &call.Ops[i]) && (o.acks > 0 || o.concede || o.lost) {
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

// Resolve implements peer.Waiter: it hands the result of a ticket to its operation.
func (p *pending) Resolve(t peer.Ticket, r *wire.Result) {
	p.mu.Lock()
	if o := p.at(int(t.Op)); !p.over && o.round == t.Round {
		o.waiting--
		o.take(r, t.Owner, p)
		p.decideLocked(o)
	}
	p.releaseLocked()
}

// drop gives a ticket back that was not handed out.
func (p *pending) drop() {
	p.mu.Lock()
	p.releaseLocked()
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
