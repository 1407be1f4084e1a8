package replicate

import (
	"time"

	"httpdhs/kv"
	"httpdhs/peer"
)

// Members stamp writes by clocks that differ. This file bounds by how much, and has a write wait
// for that long where it matters.
//
// A member's answer to a probe says by which time it stamps. It was read while the probe was
// under way. So it is later than that member's time when the probe began, and earlier than its
// time when the answer came.

const (
	// driftShare is the share of a passing time by which two stamping clocks may drift apart
	// meanwhile: two time daemons slew in opposite directions, by 500 microseconds a second each at
	// most, and a lead falls.
	driftShare = 900

	// leadShare is the share of a passing time by which a lead falls that nobody justifies any more.
	leadShare = 10_000
)

// lag bounds by how much a member's stamps are behind this node's: by most at time at, and by
// more as both clocks drift. The zero lag is not known.
type lag struct {
	most time.Duration
	at   time.Time
}

// upTo is the bound at the given time. Clocks that are further apart than clockApart are moved,
// so that is the bound where less is known.
func (l *lag) upTo(now time.Time) time.Duration {
	if l.at.IsZero() {
		return clockApart
	}
	return min(l.most+now.Sub(l.at)/driftShare, clockApart)
}

// learn takes in an exchange that says that the member is behind by least at least and by most at
// most. A former bound may be tighter, if the exchange was quicker. It is no longer true if it
// contradicts this one: then a clock was moved.
func (l *lag) learn(least, most time.Duration, now time.Time) {
	if former := l.upTo(now); !l.at.IsZero() && least <= former && former < most {
		most = former
	}
	*l = lag{most, now}
}

// moved takes in that this node's clock was moved ahead by d.
func (p *member) moved(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lag.most += d
}

// follow has this node stamp by the time of the member whose clock is furthest ahead, as far as
// that is certain. So the members' stamps are about as far apart as messages take, however far
// their clocks are apart. The clocks themselves stay as they are.
func (c *Coordinator) follow() {
	c.steering.Lock()
	defer c.steering.Unlock()
	now, peers := time.Now(), c.others()
	former := c.clock.Lead()
	lead := max(0, former-now.Sub(c.followed)/leadShare) // stamps do not fall back at once
	c.followed = now
	for _, p := range peers {
		if r, ok := p.reading(c.clock.Wall()); ok && p.State() != peer.Down {
			lead = max(lead, min(r.node-r.slack, clockApart))
		}
	}
	c.clock.SetLead(lead)
	furthest := lag{at: now}
	for _, p := range peers {
		p.mu.Lock()
		p.lag.most += max(0, lead-former)
		if p.State() != peer.Down {
			furthest.most = max(furthest.most, p.lag.upTo(now))
		}
		p.mu.Unlock()
	}
	c.lag.Store(&furthest)
}

// outwait holds back the answer to a write that fewer than all owners have, until every member
// stamps above it. So a write that begins after the answer has the greater stamp, whichever owners
// it meets. The same goes for what a read of several owners has found, which may be such a write.
// As a rule all that is so before the owners have answered.
func (c *Coordinator) outwait(p *pending, call *kv.Call) {
	furthest := c.lag.Load()
	if furthest == nil || !waits(call) {
		return // there are no other members, or it is all reads of one replica
	}
	stamped := p.lastPartial(call)
	if stamped == 0 {
		return
	}
	now := time.Now()
	ahead := stamped.Instant().Sub(c.clock.Reading())
	if ahead > clockApart { // the clocks stand still: tell the members of the stamp
		if !c.Refresh(call.Deadline) {
			p.failPartial(call, kv.ErrTimeout)
		}
		return
	}
	wait := furthest.upTo(now) + ahead
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
		if op := &call.Ops[i]; op.Kind != kv.OpGet || op.Required > 1 {
			return true
		}
	}
	return false
}

// lastPartial is the last stamp that the call has written or found, and that fewer than all owners
// may have. While the ring changes owners may be unknown, and it is of all that the call has
// written. 0: there is none.
func (p *pending) lastPartial(call *kv.Call) (stamped kv.Version) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range call.Ops {
		op, o := &call.Ops[i], p.at(i)
		switch {
		case !o.settled || o.err != nil:
		case op.Kind == kv.OpGet && op.Required > 1:
			stamped = max(stamped, o.found.Version)
		case op.Kind != kv.OpGet && (p.moving || int(o.have()) < op.Replicas):
			stamped = max(stamped, op.Version)
		}
	}
	return stamped
}

// failPartial fails what lastPartial is about.
func (p *pending) failPartial(call *kv.Call, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range call.Ops {
		op, o := &call.Ops[i], p.at(i)
		found := op.Kind == kv.OpGet && op.Required > 1
		if o.err == nil && (found || op.Kind != kv.OpGet && int(o.have()) < op.Replicas) {
			o.err = err
		}
	}
}
