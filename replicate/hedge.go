package replicate

import (
	"sync/atomic"
	"time"

	"httpdhs/kv"
)

// A read of level one waits for one owner. If that owner takes much longer than usual, the read
// asks the next one as well (a hedged request: Dean and Barroso, "The Tail at Scale", 2013). The
// first answer with authority decides the round, so the later one no longer counts. And while an
// owner owes an answer for that long, reads that begin ask others first, which costs nothing.
//
// Two bounds keep hedges from feeding an overload. They are at most 1/hedgeShare of the reads of
// this node, of which hedgeBurst may be saved up. And the delay follows what each peer takes.
const (
	hedgeShare = 20
	hedgeBurst = 256

	// hedgeCost is what the hedge of a read takes of the budget that was carried: the batch is
	// broken off, and its sender sends it once more.
	hedgeCost = 2

	// hedgeFloor is the least delay: what the scheduler and the collector of garbage take at times.
	hedgeFloor = 5 * time.Millisecond

	// hedgeFirst is the delay while nothing is known of the peer.
	hedgeFirst = 50 * time.Millisecond
)

// latency is how long a peer takes for a batch, estimated as TCP estimates a round trip (Jacobson,
// "Congestion Avoidance and Control", 1988).
type latency struct {
	mean, deviation time.Duration // of whoever has the peer's flight

	delay atomic.Int64 // of a hedge, in nanoseconds
	owed  atomic.Int64 // since when it owes an answer, in nanoseconds since base; 0: it does not
	base  time.Time
}

func (l *latency) init() {
	l.base = time.Now()
	l.delay.Store(int64(hedgeFirst))
}

// begin notes that a batch takes off.
func (l *latency) begin(at time.Time) { l.owed.CompareAndSwap(0, max(1, int64(at.Sub(l.base)))) }

// end notes what became of it. What had no answer in time is sent again, and owed since the
// beginning. An answer that took longer than the delay counts as twice that: a pause moves the
// estimate little, and a slower network moves it within a few batches.
func (l *latency) end(began time.Time, err error) {
	if err != nil && isTimeout(err) {
		return
	}
	l.owed.Store(0)
	if err != nil {
		return
	}
	took := min(time.Since(began), 2*l.patience())
	if l.mean == 0 {
		l.mean, l.deviation = took, took/2
	} else {
		l.deviation += ((took - l.mean).Abs() - l.deviation) / 4
		l.mean += (took - l.mean) / 8
	}
	// A read may have to wait for the batch in flight, and then for its own.
	l.delay.Store(int64(max(hedgeFloor, 2*(l.mean+4*l.deviation))))
}

// patience is how long a read waits for the peer before it asks another.
func (l *latency) patience() time.Duration { return time.Duration(l.delay.Load()) }

// late says whether the peer owes an answer for longer than that.
func (l *latency) late() bool {
	since := l.owed.Load()
	return since != 0 && int64(time.Since(l.base))-since > l.delay.Load()
}

// forgive is for a peer that comes back: it is asked again.
func (l *latency) forgive() { l.owed.Store(0) }

// maySpend says whether so many hedges are within the budget; spend takes them out of it.
func (c *Coordinator) maySpend(n int64) bool {
	earned := hedgeBurst + c.counters.reads.Load()/hedgeShare
	return earned-max(c.hedged.Load(), earned-hedgeBurst) >= n
}

func (c *Coordinator) spend(n int64) bool {
	for {
		earned := hedgeBurst + c.counters.reads.Load()/hedgeShare
		spent := c.hedged.Load()
		from := max(spent, earned-hedgeBurst) // what was earned before is lost
		if earned-from < n {
			return false
		}
		if c.hedged.CompareAndSwap(spent, from+n) {
			return true
		}
	}
}

// substitute is an owner to hedge with: another node that is up, in sync and not late; -1: there
// is none.
func (c *Coordinator) substitute(v *view, partition int, asked ownerSet) int {
	for k, n := range v.readers(partition) {
		peer := v.peers[n]
		if asked&(1<<k) == 0 && peer != nil && peer.up() && peer.isSynced() && !peer.latency.late() {
			return k
		}
	}
	return -1
}

// await waits until every operation is decided; false: the deadline came first. Reads that wait
// for too long ask another owner meanwhile.
func (c *Coordinator) await(v *view, p *pending, call *kv.Call) (inTime bool) {
	for p.patience > 0 {
		late := time.Now().Add(p.patience)
		if !late.Before(call.Deadline) {
			break
		}
		if p.wait(late) {
			return true
		}
		p.patience = c.hedge(v, p, call)
	}
	return p.wait(call.Deadline)
}

// hedge has the reads that wait ask one more owner, and returns when to look again; 0: no more.
func (c *Coordinator) hedge(v *view, p *pending, call *kv.Call) (again time.Duration) {
	for i := range call.Ops {
		o := p.state(i)
		if o.done || o.phase != phaseReadOne {
			continue
		}
		partition := v.partition(call.Ops[i].Hash)
		k := c.substitute(v, partition, o.asked)
		if k < 0 {
			continue
		}
		peer := v.peers[v.owners(partition)[k]]
		if again == 0 || peer.latency.patience() < again {
			again = peer.latency.patience()
		}
		if !c.spend(1) {
			return again
		}
		t, ok := p.join(i, k)
		if !ok {
			continue
		}
		c.counters.hedges.Add(1)
		if !peer.read(call.Ops[i].Key, t, false) {
			t.resolve(c.failure())
		}
	}
	return again
}

// join adds a ticket to the round of a read that waits, for one more owner; false: it does not
// wait any more.
func (p *pending) join(i, owner int) (t ticket, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	o := p.at(i)
	if o.done || o.phase != phaseReadOne || o.waiting == 0 {
		return ticket{}, false
	}
	o.asked |= 1 << owner
	o.waiting++
	p.refs++
	return ticket{p: p, op: int32(i), owner: uint8(owner), round: o.round}, true
}
