package replicate

import (
	"time"

	"httpdhs/kv"
)

// outwait holds back the answer to a write that fewer than all owners have, until every member
// stamps above it. So a write that begins after the answer has the greater stamp, whichever owners
// it meets. The same goes for what a read of several owners has found, which may be such a write.
// As a rule all that is so before the owners have answered.
func (c *Coordinator) outwait(p *pending, call *kv.Call) {
	if c.board.Solitary() || !waits(call) {
		return // there are no other members, or it is all reads of one replica
	}
	stamped := p.lastPartial(call)
	if stamped == 0 {
		return
	}
	now := time.Now()
	behind, known := c.topology.Behind(now)
	if !known {
		return
	}
	ahead := stamped.Instant().Sub(c.clock.Reading())
	if ahead > kv.MaxApart { // the clocks stand still: tell the members of the stamp
		if !c.topology.Refresh(call.Deadline) {
			p.failPartial(call, kv.ErrTimeout)
		}
		return
	}
	wait := behind + ahead
	if wait <= 0 {
		return
	}
	inTime := now.Add(wait).Before(call.Deadline)
	late := time.NewTimer(min(wait, call.Deadline.Sub(now)))
	defer late.Stop()
	select {
	case <-late.C:
		if inTime {
			return
		}
	case <-c.quit:
	}
	p.failPartial(call, kv.ErrTimeout)
}

// waits says whether the call has an operation that outwait is about.
func waits(call *kv.Call) bool {
	for i := range call.Ops {
		if op := &call.Ops[i]; op.Mode() != kv.ModeRead || op.Required > 1 {
			return true
		}
	}
	return false
}

// partial is the stamp of what an operation has written or found, if fewer than all owners may have
// it. While the ring changes owners may be unknown: then it is any write. 0: there is none.
func (p *pending) partial(call *kv.Call, i int, o *operation) kv.Version {
	op, mode := &call.Ops[i], p.runs.mode(call, i)
	switch {
	case !o.ended || o.err != nil || p.leaves(o):
		return 0
	case mode == kv.ModeRead && op.Required > 1:
		return p.reading(o).found.Version
	case mode != kv.ModeRead && (p.moving || int(o.have()) < op.Replicas):
		return op.Version
	}
	return 0
}

// lastPartial is the last stamp of the call that is partial; 0: there is none.
func (p *pending) lastPartial(call *kv.Call) (stamped kv.Version) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range call.Ops {
		if p.runs.follows(i) {
			continue // its leader has the stamp
		}
		stamped = max(stamped, p.partial(call, i, p.at(i)))
	}
	return stamped
}

// failPartial fails the operations of the call that are partial.
func (p *pending) failPartial(call *kv.Call, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range call.Ops {
		if o := p.at(i); !p.runs.follows(i) && p.partial(call, i, o) != 0 {
			o.err = err
		}
	}
}
