package topology

import (
	"time"

	"httpdhs/wire"
)

// answered draws the conclusions from what the member says of itself in answer to a probe.
func (m *member) answered(said *answer) {
	ping := &said.Ping
	m.t.clock.Observe(ping.Clock)
	m.mu.Lock()
	b, back := &m.belief, m.down()
	if m.peer.Closed() || b.heldUp(back, said.told) {
		m.mu.Unlock()
		return
	}
	met, news := ping.Boot != b.ping.Boot, back || b.news(ping) || b.answeredTo < said.to
	suspected := b.hear(ping)
	b.answeredTo = max(b.answeredTo, said.to)
	m.proven = said.at
	epoch := b.suspicion
	if back {
		sight := ping.Sees.Of(b.self)
		suspected = suspected || sight.Suspicion > 0 && !sight.Counts
	}
	m.mu.Unlock()
	if suspected {
		m.acknowledge(ping.Boot) // before the member takes part, and acknowledges what this node decides without knowing it
	}
	if back {
		kept := m.rise(ping.Boot, epoch)
		if suspected {
			m.t.fence(m.peer.Name() + " was away") // a claim may have ended without it just now
		}
		if kept > 0 {
			m.t.opt.Log.Info("peer back, sending it what it missed", "peer", m.peer.Name(), "bytes", kept)
		}
	}
	if met {
		m.t.recount(m)
	}
	if ping.InSync {
		m.t.heardRunning()
	}
	m.concluded(ping.Said.Map, news)
	m.took(ping, said.at)
	if back {
		m.t.clocks.follow(m.t.others()) // it counts from now on
		m.t.clocks.looks.hurry()
		if !said.asks {
			m.prober.soon() // it has to be told
		}
	}
}

// asked takes note of what the member says of itself in a probe of its own.
func (m *member) asked(p *wire.Ping, now time.Time) {
	proof, rtt, proven := m.proof(p, now)
	m.mu.Lock()
	b := &m.belief
	stamped := m.mayStamp()
	b.asked = now
	if m.peer.Closed() || m.down() || b.ping.Boot != p.Boot {
		met := b.ping.Boot == 0 && b.suspicion == 0 && proven && !m.peer.Closed() && m.t.halved()
		if b.ping.Boot != p.Boot && m.clock.boot != p.Boot {
			m.lag, stamped = lag{}, false
		}
		m.mu.Unlock()
		if !stamped {
			m.t.clocks.follow(m.t.others()) // before it hears from this node, and may coordinate
		}
		if met {
			m.meets(p, &proof, rtt, now)
		} else if !m.expects(proven) {
			m.prober.soon() // it is there; the rest is believed of an answer alone, which is not late
		}
		return
	}
	m.t.clock.Observe(p.Clock)
	news := b.news(p) || proven && b.answeredTo < proof.seq
	suspected := b.hear(p)
	if proven {
		b.answeredTo, m.proven = max(b.answeredTo, proof.seq), now
	}
	m.mu.Unlock()
	if proven {
		m.readClock(p, rtt, proof.stamped)
	}
	if suspected {
		m.acknowledge(p.Boot)
	}
	m.concluded(p.Said.Map, news || suspected)
	m.took(p, now)
}

// heardRunning takes note that the cluster runs already, and so that nobody is late for having just
// started. Members that were to ask this node are asked.
func (t *Topology) heardRunning() {
	if t.runs.Load() || t.runs.Swap(true) {
		return
	}
	for _, m := range t.others() {
		if !m.judged.Load() && m.prober.awaitsQuestions() {
			m.prober.soon()
		}
	}
}

// meets takes a question for an answer, of a member that was not heard before and was never found
// down.
func (m *member) meets(p *wire.Ping, proof *sent, rtt time.Duration, now time.Time) {
	m.readClock(p, rtt, proof.stamped)
	m.answered(&answer{*p, proof.seq, proof.told, now, true})
	m.judge(true)
}

// expects says whether a member that was not heard yet, and has just asked, will ask again soon,
// and prove then that it is there.
func (m *member) expects(proven bool) bool {
	return !proven && m.prober.awaitsQuestions() && !m.judged.Load()
}

// acknowledge raises the fence, for the member has taken this node for down. Only then this node
// says that it knows.
func (m *member) acknowledge(boot uint64) {
	m.mu.Lock()
	epoch := m.belief.suspectedBy
	m.mu.Unlock()
	m.t.fence(m.peer.Name() + " took this node for down")
	m.mu.Lock()
	m.belief.acknowledge(boot, epoch)
	m.mu.Unlock()
	m.prober.soon() // it waits for that
}

// concluded goes on when what the member says is noted. digest is that of its member map. Most
// pings bring no news, and a step looks at all members: without any it is taken once in a while,
// for what is a matter of time.
func (m *member) concluded(digest uint64, news bool) {
	m.t.mu.Lock()
	differs := digest != m.t.mu.roster.members.Digest
	m.t.mu.Unlock()
	if differs {
		m.t.introduce(m.peer.Name())
	}
	if news || m.t.steps.due(m.t.opt.ProbeEvery) {
		m.t.reconsiderSoon()
	}
}

// introduce has hello said to a node that does not take this node for a member, or has another
// member map. Hellos are taken from anybody. The node is not down for that: it would have to give
// up what it holds.
func (t *Topology) introduce(name string) {
	if t.opt.Members != nil {
		t.opt.Members.Differs(name)
	}
}

// recount replaces the view, since a member is there that was not there before, or not with that
// boot. What operations under way have stored at its earlier life counts for nothing: it is counted
// on when they are over. It forgot what it knew of this node, and what it kept for it: whether this
// node lacks something is seen by a look at all the others.
func (t *Topology) recount(m *member) {
	t.mu.Lock()
	if !t.mu.ended {
		last := t.mu.rings.serial
		if t.board.View() != nil { // else this node joins, and nothing is under way
			t.mu.replaceView()
		}
		m.mu.Lock()
		m.belief.metAt = last
		m.mu.Unlock()
	}
	t.mu.Unlock()
	t.board.Restart()
	t.board.Wake()
}
