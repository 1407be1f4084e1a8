package topology

import (
	"math"
	"slices"
	"time"

	"httpdhs/rebalance"
	"httpdhs/wire"
)

// belief is what is known of a member, and how far it is trusted. It is a state machine without
// locks, I/O or a clock. Whether the member is down is its peer's state, and passed in.
//
// A member that was down here has missed what this node coordinated meanwhile, and what was kept
// for it may have been dropped. Each such time is a suspicion epoch, of which this node tells the
// member in Sees. The member takes note by the fence: it gives up what it holds. Only afterwards it
// says in Sees.Acknowledged that it has. Until then nothing that it says to hold is believed. The
// same goes the other way round: suspectedBy and acknowledged are of the epochs in which the member
// suspected this node.
type belief struct {
	self uint64 // boot of this node

	ping       wire.Ping // what it last said of itself; zero: nothing yet
	answeredTo uint64    // the largest Seq of this node's statements that it has answered
	asked      time.Time // when it last asked this node how it is
	failed     time.Time // when a probe of it last failed
	taken      taken     // the latest of its pings that conclusions were drawn from

	suspicion    uint64 // epoch: grows when it is taken for down, and when it is live again
	suspectedBy  uint64 // its suspicion epoch of this node, as far as it said
	acknowledged uint64 // the same, once this node has drawn the conclusion
	primary      primaryAck
	metAt        uint64 // the serial of the view when its boot was first heard
	past         past   // of the same name, when it was a member before

	downSince time.Time // when it was last found down
	lostSince time.Time // the same, but not after contact for a moment, unless it is the first time
	upSince   time.Time // when it came back from an absence of more than absenceMax
}

// past is what is left of a member that was removed.
type past struct{ boot, suspicion uint64 }

func newBelief(self uint64, before past, now time.Time) belief {
	return belief{self: self, past: before, downSince: now, upSince: now}
}

// hear takes note of what the member says of itself. suspected: it has taken this node for down. So
// others, the member at least, have gone on without this node.
func (b *belief) hear(ping *wire.Ping) (suspected bool) {
	if ping.Boot != b.ping.Boot {
		b.meet(ping.Boot)
	} else if ping.Number < b.ping.Number {
		return false // overtaken by a later one
	}
	b.suspectedBy = max(b.suspectedBy, ping.Sees.Of(b.self).Suspicion)
	b.ping = *ping
	return b.acknowledged < b.suspectedBy
}

// news says whether a ping changes anything that a step of the protocol looks at. Two statements of
// the same Seq are the same.
func (b *belief) news(ping *wire.Ping) bool {
	was := &b.ping
	return ping.Boot != was.Boot || ping.Said.Seq != was.Said.Seq || ping.PrimaryEpoch != was.PrimaryEpoch ||
		ping.Sees != was.Sees || !slices.Equal(ping.Dead, was.Dead)
}

// meet begins again with a member that was restarted, or is heard for the first time.
func (b *belief) meet(boot uint64) {
	switch {
	case b.ping.Boot != 0:
		b.suspicion = 0
	case b.past.boot == boot, b.past.boot == 0: // 0: it was not heard then, and may have been this one
		b.suspicion += b.past.suspicion
	} // else it was found down before it was ever heard, or not, and that counts
	b.past = past{}
	b.suspectedBy, b.acknowledged, b.answeredTo = 0, 0, 0
	b.primary, b.taken = primaryAck{}, taken{}
	b.metAt = math.MaxUint64 // until it is known which operations began before
}

// fall takes note that the member was found down. first: it was not down before.
func (b *belief) fall(first bool, now time.Time, evictAfter time.Duration) {
	b.failed = now
	if !first && (b.ping.Boot != 0 || b.suspicion != 0) {
		return
	}
	b.suspicion++
	b.downSince = now
	if b.ping.Boot != 0 && (b.lostSince.IsZero() || now.Sub(b.upSince) >= evictAfter) {
		b.lostSince = now
	}
}

// rise takes note that a member that was down takes part again.
func (b *belief) rise(now time.Time, evictAfter time.Duration) {
	if b.suspicion > 0 {
		b.suspicion++
	}
	if now.Sub(b.downSince) > absenceMax(evictAfter) {
		b.upSince = now
	}
}

// acknowledge says that this node has drawn the conclusion from an epoch in which the process of
// that boot suspected it.
func (b *belief) acknowledge(boot, epoch uint64) {
	if b.ping.Boot == boot {
		b.acknowledged = max(b.acknowledged, epoch)
	}
}

// remove takes note that the member was removed. It counts as if it had been taken for down: what
// this node coordinates from now on may not reach it.
func (b *belief) remove() { b.suspicion++ }

// readmit takes note that it is a member again. Whether it is dead is found out from now on, or it
// would be removed again at once, and come back, without end.
func (b *belief) readmit(now time.Time) { b.downSince, b.upSince = now, now }

// rest is what a member that comes back with its memory has to be told.
func (b *belief) rest() past {
	if b.ping.Boot == 0 { // it was not heard this time: what it has to be told of before that is not over
		return past{b.past.boot, b.past.suspicion + b.suspicion + 1}
	}
	return past{b.ping.Boot, b.suspicion + 1}
}

// trusted says whether what the member says to hold may be believed.
func (b *belief) trusted(down bool) bool {
	return !down && b.ping.Sees.Of(b.self).Acknowledged == b.suspicion
}

// holds says whether the member has authority for a ring, and is trusted.
func (b *belief) holds(r rebalance.Ring, down bool) bool {
	return b.trusted(down) && slices.Contains(b.ping.Said.Holds, r)
}

// heardLately says whether the member has probed this node a moment ago. It may be so for one that
// is down, as one direction may be broken.
func (b *belief) heardLately(now time.Time) bool {
	return b.ping.Boot != 0 && !b.asked.IsZero() && now.Sub(b.asked) < askedFor
}

// askedFor is how long after its last probe of this node a member that is down here stands in the
// way of a claim.
const askedFor = 3 * time.Second

// heldUp says whether it is too soon for the member to take part again: one that is down has to be
// told of this epoch before.
func (b *belief) heldUp(down bool, told uint64) bool { return down && told != b.suspicion }
