package membership

import (
	"context"
	"log/slog"
	"time"
)

const (
	callsMax    = 8  // hellos under way at a time
	seekMax     = 64 // members looked for in one round; the next begins where it ended
	entrancesOf = 3  // members by whom the gossip is entered
)

// Differs says that a probe has shown that a member's map is not this node's: the two say hello soon. Many calls make
// one hello, and two to the same member have a pause between them.
func (m *Membership) Differs(name string) { m.call(name) }

// call says hello to a member, unless that is being done; then it is done once more.
func (m *Membership) call(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if entry, ok := m.m.Get(name); !ok || entry.State == Removed || name == m.id.name || !m.formed || m.closed {
		return
	}
	if _, busy := m.calls[name]; busy {
		m.calls[name] = true
		return
	}
	m.calls[name] = false
	m.wg.Go(func() { m.converse(name) })
}

// converse says hello to a member for as long as somebody wants it.
func (m *Membership) converse(name string) {
	for {
		select {
		case m.slots <- struct{}{}:
		case <-m.ctx.Done():
			return
		}
		err := m.greet(m.ctx, name)
		<-m.slots
		if err == nil {
			m.enter(name)
		}
		m.mu.Lock()
		more := m.calls[name]
		if more {
			m.calls[name] = false
		} else {
			delete(m.calls, name)
		}
		m.mu.Unlock()
		if !more {
			return
		}
		select {
		case <-time.After(m.o.jitter(m.o.pace.again)):
		case <-m.ctx.Done():
			return
		}
	}
}

// greet exchanges maps with a member.
func (m *Membership) greet(ctx context.Context, name string) error {
	h, err := m.ask(ctx, name, name)
	if err != nil {
		return err
	}
	m.hear(name)
	if h.Formed {
		m.absorb(h.Members)
	}
	return nil
}

// enter joins the gossip with a member that memberlist does not have.
func (m *Membership) enter(name string) {
	if m.gossip == nil || m.gossip.isAlive(name) {
		return
	}
	m.mu.Lock()
	entry, _ := m.m.Get(name)
	m.mu.Unlock()
	if entry.Gossip == "" || entry.State == Removed || m.ctx.Err() != nil {
		return
	}
	reason := ""
	if err := m.gossip.join(m.ctx, entry.Gossip); err != nil {
		reason = err.Error()
	}
	m.note(entry.Gossip, reason, "a member answers hellos but not gossip: see that UDP and TCP get through, and that the secret is the same",
		slog.LevelWarn)
}

// seekLoop looks for members that are absent, for as long as they are members: memberlist forgets them after a while, and
// after a split each side would be a cluster of its own.
func (m *Membership) seekLoop() {
	for from := 0; ; {
		if m.Formed() {
			from = m.seek(from)
		}
		select {
		case <-time.After(m.o.jitter(m.o.pace.seek)):
		case <-m.wakeSeek:
		case <-m.ctx.Done():
			return
		}
	}
}

// seek says hello to members that are absent, from a place of the list on, and returns where to go on.
func (m *Membership) seek(from int) int {
	members := m.Members()
	m.enterFirst(members)
	calls := 0
	for i := range members {
		at := (from + i) % len(members)
		name := members[at].Name
		if name == m.id.name || m.live(name) && (m.gossip == nil || m.gossip.isAlive(name)) {
			continue
		}
		if calls == seekMax {
			return at
		}
		calls++
		m.call(name)
	}
	return 0
}

// enterFirst enters the gossip by a few members if nobody is known there: they tell of the rest, who then need no hello.
func (m *Membership) enterFirst(members []Member) {
	if m.gossip == nil || m.gossip.size() > 1 {
		return
	}
	tries, from := 0, int(m.o.Random()*float64(len(members)))
	for i := range members {
		if entry := members[(from+i)%len(members)]; entry.Name != m.id.name && entry.Gossip != "" && tries < entrancesOf && m.ctx.Err() == nil {
			tries++
			_ = m.gossip.join(m.ctx, entry.Gossip) // what does not answer is said hello to
		}
	}
}
