package topology

import (
	"time"

	"httpdhs/kv"
)

// Members stamp writes by clocks that differ. This file bounds by how much: a write waits for that
// long where it matters.
//
// A member's answer to a probe says by which time it stamps. It was read while the probe was
// under way. So it is later than that member's time when the probe began, and earlier than its
// time when the answer came.

const (
	// driftShare is the share of a passing time by which two stamping clocks may drift apart
	// meanwhile: two time daemons slew in opposite directions, by 500 microseconds a second each at
	// most, and a lead falls.
	driftShare = 900

	// leadShare is the share of a passing time by which a lead falls that nobody justifies any
	// more.
	leadShare = 10_000
)

// lag bounds by how much a member's stamps are behind this node's: by most at time at, and by
// more as both clocks drift. The zero lag is not known.
type lag struct {
	most time.Duration
	at   time.Time
}

// upTo is the bound at the given time. Clocks that are further apart than kv.MaxApart are moved,
// so that is the bound where less is known.
func (l *lag) upTo(now time.Time) time.Duration {
	if l.at.IsZero() {
		return kv.MaxApart
	}
	return min(l.most+now.Sub(l.at)/driftShare, kv.MaxApart)
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
func (m *member) moved(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lag.most += d
}

// follow has this node stamp by the time of the member whose clock is furthest ahead, as far as
// that is certain. A member that is not in sync may still have a wrong clock. So the members'
// stamps are about as far apart as messages take, however far their clocks are apart. The clocks
// themselves stay as they are.
func (c *clocks) follow(members []*member) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	former := c.clock.Lead()
	lead := max(0, former-now.Sub(c.followed)/leadShare) // stamps do not fall back at once
	c.followed = now
	for _, m := range members {
		if r, ok := m.reading(c.clock.Wall()); ok && r.established && !m.down() {
			lead = max(lead, min(r.node-r.slack, kv.MaxApart))
		}
	}
	c.clock.SetLead(lead)
	furthest := lag{at: now}
	for _, m := range members {
		m.mu.Lock()
		m.lag.most += max(0, lead-former)
		if m.mayStamp() {
			furthest.most = max(furthest.most, m.lag.upTo(now))
		}
		m.mu.Unlock()
	}
	c.lag.Store(&furthest)
}

// mayStamp says whether the member may coordinate: it is not down, or it has asked how this node is
// since a probe of it failed. The caller holds mu.
func (m *member) mayStamp() bool { return !m.down() || m.belief.asked.After(m.belief.failed) }

// Behind bounds by how much the stamps of members may be behind this node's. Not known: there are
// no other members.
func (t *Topology) Behind(now time.Time) (most time.Duration, known bool) {
	furthest := t.clocks.lag.Load()
	if furthest == nil {
		return 0, false
	}
	return furthest.upTo(now), true
}
