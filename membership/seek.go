package membership

import (
	"context"
	"time"

	"httpdhs/wire"
)

const (
	callsMax = 8  // hellos under way at a time
	seekMax  = 64 // members looked for in one round; the next begins where it ended
)

// Differs says that a probe has shown that a member's map is not this node's: the two say hello soon. Many calls make
// one hello, and two to the same member have a pause between them.
func (m *Membership) Differs(name string) { m.call(name) }

// call says hello to a member, unless that is being done; then it is done once more.
func (m *Membership) call(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if entry, ok := m.m.Get(name); !ok || entry.State == wire.Removed || name == m.id.name || !m.formed || m.closed {
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
		_ = m.greet(m.ctx, name) // what went wrong is logged; a probe or the next look comes to it again
		<-m.slots
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

// seekLoop looks for members that are down, for as long as they are members: so a split heals by itself.
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

// seek says hello to members that are down, from a place of the list on, and returns where to go on.
func (m *Membership) seek(from int) int {
	members := m.Members()
	calls := 0
	for i := range members {
		at := (from + i) % len(members)
		name := members[at].Name
		if name == m.id.name || m.live(name) {
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
