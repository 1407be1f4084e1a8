package replicate

import (
	"slices"

	"httpdhs/kv"
)

// runs are the operations of a call that are decided together: all of those on one key, if the
// primary decides one of them. Else one owner would merge a put while another decides what comes
// before or after it. The first of a run leads it, and has the run's state. The others follow: they
// are in no round, and have their outcomes when the run has.
//
// What the primary finds may not be enough: a read may ask for more owners. Such a read is in no
// run. It waits for what is before it on its key, and what is behind it waits for the read. So does
// what is beyond kv.MaxRun operations.
type runs struct {
	next  []int32 // of each operation, 1 + the next of its run; 0: none. Empty: there are no runs
	first []int32 // of each operation, 1 + the leader that it follows; 0: none
	then  []int32 // of each leader, 1 + the leader that waits for it; 0: none
	keys  []runKey
	table []int32 // scratch: 1 + a place in keys, where a hash tells

	staged bool // some wait for others
}

// runKey is a key of the call.
type runKey struct {
	first   int32 // operation on it
	leader  int32 // of the run that the next operation may join
	last    int32 // operation so far
	run     int32 // how many operations the leader's run has
	decides bool  // the primary decides one of them
}

func (r *runs) reset() {
	r.next, r.first, r.then, r.keys, r.staged = r.next[:0], r.first[:0], r.then[:0], r.keys[:0], false
}

// plan finds the runs of a call. several: its reads ask for several owners.
func (r *runs) plan(call *kv.Call, several bool) {
	n := len(call.Ops)
	if n == 1 || !call.Together && !anyDecides(call) {
		return
	}
	size := 2
	for size < 2*n {
		size *= 2
	}
	zero := func(s []int32, n int) []int32 {
		s = slices.Grow(s[:0], n)[:n]
		clear(s)
		return s
	}
	r.next, r.first, r.then, r.table = zero(r.next, n), zero(r.first, n), zero(r.then, n), zero(r.table, size)
	for i := range call.Ops {
		r.link(call, int32(i), several)
	}
	for k := range r.keys {
		if !r.keys[k].decides {
			r.unlink(&r.keys[k])
		}
	}
	r.staged = slices.ContainsFunc(r.then, func(i int32) bool { return i > 0 })
}

func anyDecides(call *kv.Call) bool {
	for i := range call.Ops {
		if call.Ops[i].Mode() == kv.ModeDecide {
			return true
		}
	}
	return false
}

// link puts operation i behind those on its key.
func (r *runs) link(call *kv.Call, i int32, several bool) {
	op := &call.Ops[i]
	k := r.key(call, i)
	mode := op.Mode()
	k.decides = k.decides || mode == kv.ModeDecide || call.Together && k.first != i
	alone := func(i int32) bool { return several && call.Ops[i].Mode() == kv.ModeRead }
	switch {
	case k.first == i:
	case alone(i) || alone(k.leader) || k.run == kv.MaxRun:
		r.then[k.leader], k.leader, k.run = i+1, i, 0
	default:
		r.next[k.last], r.first[i] = i+1, k.leader+1
	}
	k.last = i
	k.run++
}

// key is that of operation i.
func (r *runs) key(call *kv.Call, i int32) *runKey {
	op := &call.Ops[i]
	for at := int(op.Hash) & (len(r.table) - 1); ; at = (at + 1) & (len(r.table) - 1) {
		if r.table[at] == 0 {
			r.keys = append(r.keys, runKey{first: i, leader: i, last: i})
			r.table[at] = int32(len(r.keys))
			return &r.keys[len(r.keys)-1]
		}
		if k := &r.keys[r.table[at]-1]; sameKey(&call.Ops[k.first], op) {
			return k
		}
	}
}

// unlink makes each operation on a key one by itself.
func (r *runs) unlink(k *runKey) {
	for leader := int(k.first); leader >= 0; {
		waits := int(r.then[leader]) - 1
		for i := leader; i >= 0; {
			after := r.after(i)
			r.next[i], r.first[i] = 0, 0
			i = after
		}
		r.then[leader] = 0
		leader = waits
	}
}

// after is the operation that follows i in its run; -1: none.
func (r *runs) after(i int) int {
	if len(r.next) == 0 {
		return -1
	}
	return int(r.next[i]) - 1
}

// follows says whether another operation leads the run of operation i.
func (r *runs) follows(i int) bool { return len(r.first) > 0 && r.first[i] > 0 }

// waiting is the operation that waits for i; -1: none.
func (r *runs) waiting(i int) int {
	if !r.staged {
		return -1
	}
	return int(r.then[i]) - 1
}

// follow ends operation i, whose run another leads: nothing is to be done for it.
func (p *pending) follow(i int) { p.end(i, nil) }

// holdBack leaves what waits for operation i for later.
func (p *pending) holdBack(i int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	o := p.at(i)
	o.held, o.done = true, true
	p.open--
}

// isHeld says whether operation i is held back.
func (p *pending) isHeld(i int) bool { return p.runs.staged && p.state(i).held }

// release says whether operation i was held back, and is not any more.
func (p *pending) release(i int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	o := p.at(i)
	held := o.held
	o.held = false
	return held
}

// ops appends the operations of the run that i leads.
func (r *runs) ops(dst []*kv.Op, call *kv.Call, i int) []*kv.Op {
	for ; i >= 0; i = r.after(i) {
		dst = append(dst, &call.Ops[i])
	}
	return dst
}

// mode is how operation i is carried out, with those that follow it.
func (r *runs) mode(call *kv.Call, i int) kv.Mode {
	if r.after(i) >= 0 {
		return kv.ModeDecide
	}
	return call.Ops[i].Mode()
}
