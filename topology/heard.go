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
		m.t.met(m)
	}
	m.concluded(ping.Said.Map, news)
	if back {
		m.t.clocks.looks.hurry() // it counts from now on
		m.probeSoon()            // it has to be told
	}
}

// asked takes note of what the member says of itself in a probe of its own.
func (m *member) asked(p *wire.Ping) {
	m.mu.Lock()
	b := &m.belief
	b.asked = time.Now()
	if m.peer.Closed() || m.down() || b.ping.Boot != p.Boot {
		m.mu.Unlock()
		m.probeSoon() // it is there; the rest is believed of an answer alone, which is not late
		return
	}
	m.t.clock.Observe(p.Clock)
	news := b.news(p)
	suspected := b.hear(p)
	m.mu.Unlock()
	if suspected {
		m.acknowledge(p.Boot)
	}
	m.concluded(p.Said.Map, news || suspected)
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
	m.probeSoon() // it waits for that
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
		m.t.reconsider()
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

// met replaces the view, since a member is there that was not there before, or not with that boot.
// What operations under way have stored at its earlier life counts for nothing: it is counted on
// when they are over. It forgot what it knew of this node, and what it kept for it: whether this
// node lacks something is seen by a look at all the others.
func (t *Topology) met(m *member) {
	t.mu.Lock()
	if !t.mu.ended {
		last := t.mu.rings.serial
		if t.board.View() != nil { // else this node joins, and nothing is under way
			t.mu.replaceView()
		}
		m.mu.Lock()
		m.belief.met = last
		m.mu.Unlock()
	}
	t.mu.Unlock()
	t.board.Restart()
	t.board.Wake()
}
