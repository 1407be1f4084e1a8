package replicate

import (
	"sync/atomic"
	"time"
)

// A read of level one waits for one owner. If that owner takes much longer than usual, the read
// asks the next one as well (a hedged request: Dean and Barroso, "The Tail at Scale", 2013). The
// first answer with authority decides the round, so the later one no longer counts. And while an
// owner owes an answer for that long, reads that begin ask others first, which costs nothing.
//
// Two bounds keep hedges from feeding an overload. Hedges are at most 1/hedgeShare of the reads of
// this node, and hedgeBurst of them may be saved up. And the delay follows what each peer takes.
const (
	hedgeShare = 20
	hedgeBurst = 256

	// hedgeCost is what a hedge takes of the budget if its read was carried: the batch is broken
	// off, and the sender sends it once more.
	hedgeCost = 2
)

// budget bounds hedges by the reads that there were.
type budget struct {
	earned *atomic.Int64 // reads
	spent  atomic.Int64
}

func (b *budget) earnings() int64 { return hedgeBurst + b.earned.Load()/hedgeShare }

// has says whether so many hedges are within the budget; spend takes them out of it.
func (b *budget) has(n int64) bool {
	earned := b.earnings()
	return earned-max(b.spent.Load(), earned-hedgeBurst) >= n
}

func (b *budget) spend(n int64) bool {
	for {
		earned, spent := b.earnings(), b.spent.Load()
		from := max(spent, earned-hedgeBurst) // what was earned before is lost
		if earned-from < n {
			return false
		}
		if b.spent.CompareAndSwap(spent, from+n) {
			return true
		}
	}
}

// hedges waits for the operations of an attempt.
type hedges struct{ *attempt }

// substitute is an owner to hedge with: another node that is up, in sync and not late; -1: there
// is none.
func (a *attempt) substitute(partition int, asked ownerSet) int {
	for k, n := range a.v.Readers(partition) {
		p := a.v.Peers[n]
		if asked&(1<<k) == 0 && p != nil && p.Up() && p.InSync() && !p.Late() {
			return k
		}
	}
	return -1
}

// await waits until every operation is decided; false: the deadline came first. Reads that wait
// for too long ask another owner meanwhile.
func (a hedges) await() (inTime bool) {
	for a.p.patience > 0 {
		late := time.Now().Add(a.p.patience)
		if !late.Before(a.call.Deadline) {
			break
		}
		if a.p.wait(late) {
			return true
		}
		a.p.patience = a.hedge()
	}
	return a.p.wait(a.call.Deadline)
}

// hedge has the reads that wait ask one more owner, and returns when to look again; 0: no more.
func (a hedges) hedge() (again time.Duration) {
	for i := range a.call.Ops {
		o := a.p.state(i)
		if o.done || o.phase != phaseRead {
			continue
		}
		partition := a.v.Partition(a.call.Ops[i].Hash)
		k := a.substitute(partition, o.asked)
		if k < 0 {
			continue
		}
		p := a.v.Peers[a.v.Owners(partition)[k]]
		if again == 0 || p.Patience() < again {
			again = p.Patience()
		}
		if !a.hedged.spend(1) {
			return again
		}
		t, ok := a.p.join(i, k)
		if !ok {
			continue
		}
		a.Hedges.Add(1)
		if !p.Read(a.call.Ops[i].Key, t, false) {
			a.p.resolve(t, a.failure())
		}
	}
	return again
}
