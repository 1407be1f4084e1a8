package replicate

import (
	"time"

	"httpdhs/kv"
	"httpdhs/peer"
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
)

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
		q := v.peers[n]
		if asked&(1<<k) == 0 && q != nil && q.Up() && q.InSync() && !q.Late() {
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
		q := v.peers[v.owners(partition)[k]]
		if again == 0 || q.Patience() < again {
			again = q.Patience()
		}
		if !c.spend(1) {
			return again
		}
		t, ok := p.join(i, k)
		if !ok {
			continue
		}
		c.counters.hedges.Add(1)
		if !q.Read(call.Ops[i].Key, t, false) {
			p.Resolve(t, c.failure())
		}
	}
	return again
}

// join adds a ticket to the round of a read that waits, for one more owner; false: it does not
// wait any more.
func (p *pending) join(i, owner int) (t peer.Ticket, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	o := p.at(i)
	if o.done || o.phase != phaseReadOne || o.waiting == 0 {
		return peer.Ticket{}, false
	}
	o.asked |= 1 << owner
	o.waiting++
	p.refs++
	return peer.Ticket{Waiter: p, Op: int32(i), Owner: uint8(owner), Round: o.round}, true
}
