package topology

import "time"

// How often a member is probed: see docs/design/pings.md.

const (
	// bothAskMost is up to how many members both of a pair ask, if nothing else is said.
	bothAskMost = 13

	// probesMost is how many probes a second a node sends by the clock, where a pause of pauseMax
	// is long enough for that: with it a member that hangs is noticed within five seconds still,
	// and the lease does not lapse. What has changed is told at once.
	probesMost = 25
	pauseMax   = 1700 * time.Millisecond

	// tellShare times the square of the other members is the least pause between two probes that
	// tell news. All have news at the same time. So all together send as many probes a second,
	// whatever their number is.
	tellShare = 170 * time.Microsecond

	// startShare is how much time members have to come up, for each of them, where there are many:
	// all that start at once are late.
	startShare = 200 * time.Millisecond
)

// halved says whether one of each pair asks, and not both.
func (t *Topology) halved() bool { return t.many(len(t.others())) }

func (t *Topology) many(others int) bool { return others >= t.opt.BothAsk }

// awaitsQuestions says whether this node leaves it to the member to ask.
func (p *prober) awaitsQuestions() bool { return !p.asker && p.m.t.halved() }

// firstPause is the time until the first probe. Where it is the other's part to ask, this node
// waits for that.
func (p *prober) firstPause() time.Duration {
	if !p.awaitsQuestions() {
		return 0
	}
	return time.Duration(len(p.m.t.others())) * startShare
}

// isAwaited says whether the member was not heard yet and may be starting, as this node is. It has
// not refused a connection.
func (p *prober) isAwaited() bool {
	others := len(p.m.t.others())
	if !p.m.t.many(others) || p.m.t.runs.Load() || time.Since(p.m.t.started) > time.Duration(others)*startShare {
		return false
	}
	p.m.mu.Lock()
	defer p.m.mu.Unlock()
	return p.m.belief.ping.Boot == 0
}

// tellPause is the least between two probes that tell news. All nodes have some at the same time,
// and what comes meanwhile is told with it.
func (p *prober) tellPause() time.Duration {
	others := len(p.m.t.others())
	pause := time.Duration(others*others) * tellShare
	switch {
	case !p.m.t.many(others):
		return 0
	case p.asker:
		return min(pause, pauseMax)
	}
	return min(2*pause, pauseMax*5/4) // the other's question may come before that
}

// pause is the time until the next probe. It grows with the members, so that what a node sends does
// not.
func (p *prober) pause() time.Duration {
	others := len(p.m.t.others())
	share := min(time.Duration(others)*time.Second/probesMost, pauseMax)
	many := p.m.t.many(others)
	if many && !p.asker {
		share += share / 4
	}
	switch {
	case p.silent.Load() > 0 && !p.m.down() && !p.isAwaited():
		return 0 // it hangs, and requests with it: know soon
	case p.m.t.board.Stable(), many && !p.asker:
		return max(p.m.t.opt.ProbeEvery, share)
	case many:
		return max(unsettledProbe, p.tellPause())
	default:
		return min(p.m.t.opt.ProbeEvery, unsettledProbe)
	}
}

// untold is how long ago the member was sent a ping, if this node has had news since.
func (p *prober) untold() (since time.Duration, news bool) {
	p.m.mu.Lock()
	defer p.m.mu.Unlock()
	last := p.m.sent.latest()
	if last == nil {
		return 0, false
	}
	return time.Since(last.at), last.revision < p.m.t.revision.Load()
}

// sinceProven is how long ago the member last proved, in an answer or a question, that it is well.
func (m *member) sinceProven() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	return time.Since(m.proven)
}

// rests is for how long the prober may wait; own is what is left of its pause.
func (p *prober) rests(own time.Duration) time.Duration {
	if p.m.judged.Load() && !p.m.down() { // its first question has come, and the wait for that is over
		own = min(own, p.pause()-p.m.sinceProven())
	}
	spared := p.questionDue()
	since, news := p.untold()
	switch tell := p.tellPause() - since; {
	case !news:
		return max(own, spared)
	case spared > 0:
		return tell // an answer may tell it before that
	default:
		return min(own, tell)
	}
}

// questionDue is for how long this node may wait for a question of the member. It is the member's
// part to ask, and it did. A node that waits for an answer to something else asks itself, when its
// prober wakes: the way there may be broken.
func (p *prober) questionDue() time.Duration {
	if p.silent.Load() > 0 || !p.m.judged.Load() || p.m.down() || !p.awaitsQuestions() || p.m.peer.Waits() {
		return 0
	}
	return max(0, p.pause()-p.m.sinceProven())
}
