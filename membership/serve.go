package membership

import (
	"context"
	"errors"
	"fmt"

	"httpdhs/wire"
)

// greetedMax bounds how many nodes that are not formed can make this one try to join at once.
const greetedMax = 128

// checksMax bounds how many nodes that want to join are looked for at once: of those that are
// members by their name, as after a restart, and as many of all others.
const checksMax = 4

// ServeHello answers a hello that came over HTTP. What it learns is in the map before it answers, so that a node that has
// joined is known to whom it joined. A refusal is an answer too; the error wraps [wire.ErrBadHello] or is [ErrClosed].
func (m *Membership) ServeHello(request []byte) (answer []byte, err error) {
	if m.ctx.Err() != nil {
		return nil, ErrClosed
	}
	h, err := wire.DecodeHello(request)
	var format wire.HelloFormatError
	if errors.As(err, &format) {
		return m.refuse("a node of another version", format.Error()), nil
	}
	if err != nil {
		return nil, err
	}
	if reason := m.id.refuses(h, h.To, m.id.name); reason != "" {
		return m.refuse(h.From, reason), nil
	}
	if h.Who {
		return m.identify(), nil
	}
	if h.From == m.id.name {
		return m.message("").Encode(), nil // this node itself, by an address that leads back here
	}
	if reason := m.strange(h); reason != "" {
		return m.refusal(reason), nil
	}
	if !m.takeIn(h) {
		return m.refuse(h.From, fmt.Sprintf("the cluster has %d members, which is the most: remove one first", wire.MaxMembers)), nil
	}
	m.refused.over(h.From)
	m.putOff.over(h.From)
	m.hear(h.From)
	return m.message("").Encode(), nil
}

// identify says who this node is, and nothing else.
func (m *Membership) identify() []byte {
	h := wire.Hello{From: m.id.name, Boot: m.id.boot, Settings: m.id.settings}
	return h.Encode()
}

// strange says why a node that wants to join must not: nobody reaches it at its name, so it would be a member that is always down, or another process is
// there, whose writes it would take. "" if the name leads back to it.
//
// Who asks may be anybody, who wants to know what is where in this node's network, or to use up its files. So all are told the same, after the same
// time, and what was found is for the log; and few are looked for at once.
func (m *Membership) strange(h *wire.Hello) (reason string) {
	if h.Formed || !m.Formed() {
		return ""
	}
	checks := m.checks
	if m.isMember(h.From) {
		checks = m.rechecks
	}
	select {
	case checks <- struct{}{}:
		defer func() { <-checks }()
	default:
		reason = fmt.Sprintf("%s is looking for others that want to join: try again", m.id.name)
		m.putOff.note(h.From, reason)
		return reason
	}
	ctx, cancel := context.WithTimeout(m.ctx, m.o.pace.hello/2) // the asker waits no longer
	defer cancel()
	found := m.lookFor(ctx, h)
	if found == "" {
		return ""
	}
	m.refused.note(h.From, found)
	<-ctx.Done()
	return fmt.Sprintf("%s does not find this node at %s: start it with an --advertise at which the others reach it, and which no other node has (the log of %s says what was found)",
		m.id.name, h.From, m.id.name)
}

// lookFor says what is found at the name of the node that says hello; "" if it is that node.
func (m *Membership) lookFor(ctx context.Context, h *wire.Hello) string {
	there, err := m.who(ctx, h.From)
	switch {
	case errors.Is(err, wire.ErrBadHello):
		return fmt.Sprintf("what answers at %s is no node: %v", h.From, err)
	case err != nil:
		return fmt.Sprintf("%s cannot be reached from %s (%v): start it with an --advertise at which the others reach it", h.From, m.id.name, err)
	case there.From != h.From || there.Boot != h.Boot:
		return fmt.Sprintf("another process answers at %s: give each node an --advertise of its own", h.From)
	}
	return ""
}

// isMember says whether a member has that name.
func (m *Membership) isMember(name string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	entry, ok := m.m.Get(name)
	return ok && entry.State != wire.Removed
}

// who asks who answers at a name.
func (m *Membership) who(ctx context.Context, name string) (*wire.Hello, error) {
	ask := wire.Hello{From: m.id.name, To: name, Boot: m.id.boot, Settings: m.id.settings, Who: true}
	answer, err := m.o.Hello(ctx, name, ask.Encode())
	if err != nil {
		return nil, err
	}
	return wire.DecodeHello(answer)
}

// Twin asks who answers at this node's own name, for a node that no member admits, since it is part of a cluster from the start. The error, which wraps [ErrTwin],
// says that it is another node; nil that it is this one, or that it cannot be told, for a node need not reach itself.
func (m *Membership) Twin(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, m.o.pace.hello)
	defer cancel()
	there, err := m.who(ctx, m.id.name)
	if err != nil || there.From == m.id.name && there.Boot == m.id.boot {
		return nil
	}
	return fmt.Errorf("%w answers at this node's name, %s, and calls itself %s: give each node a line, or an --advertise, of its own", ErrTwin, m.id.name, there.From)
}

// refuse makes an answer that says so, and has the log say it too.
func (m *Membership) refuse(from, reason string) []byte {
	m.refused.note(from, reason)
	return m.refusal(reason)
}

func (m *Membership) refusal(reason string) []byte {
	answer := wire.Hello{From: m.id.name, Boot: m.id.boot, Formed: m.Formed(), Settings: m.id.settings, Refused: reason}
	return answer.Encode()
}

// takeIn merges the hello of another node, if one of the two is part of the cluster. It returns false if there is no
// place for a newcomer.
func (m *Membership) takeIn(h *wire.Hello) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case h.Formed:
		// An unformed node is found by the others if it was restarted: then they have its entry.
		own, ok := h.Entry(m.id.name)
		if m.formed || ok && own.State != wire.Removed {
			m.absorbLocked(h.Members)
			if !m.formed {
				m.formLocked()
			}
		}
	case m.formed:
		entry, ok := h.Entry(h.From)
		known, there := m.m.Get(h.From)
		if (!there || known.State == wire.Removed) && m.fullLocked() {
			return false
		}
		if ok {
			m.alone = false // it joins this node
			m.absorbLocked([]wire.Member{entry})
		}
	default:
		// Both are trying. Another that has come up may be what this one waits for.
		if _, known := m.greeted[h.Boot]; !known && len(m.greeted) < greetedMax {
			m.greeted[h.Boot] = struct{}{}
			wake(m.wakeJoin)
		}
	}
	return true
}

func (m *Membership) fullLocked() bool {
	members := 0
	for _, entry := range m.m.entries {
		if entry.State != wire.Removed {
			members++
		}
	}
	return members >= wire.MaxMembers
}

// ask says hello to the node at an address, which is a member's name if to is given, and checks the answer. The answer
// is not merged.
func (m *Membership) ask(ctx context.Context, addr, to string) (*wire.Hello, error) {
	h, err := m.exchange(ctx, addr, to)
	switch {
	case errors.Is(err, ErrRefused):
		m.refusedBy.note(addr, err.Error())
	case errors.Is(err, wire.ErrBadHello):
		m.notUnderstood.note(addr, err.Error())
	case err == nil:
		m.refusedBy.over(addr)
		m.notUnderstood.over(addr)
	}
	return h, err
}

func (m *Membership) exchange(ctx context.Context, addr, to string) (*wire.Hello, error) {
	ctx, cancel := context.WithTimeout(ctx, m.o.pace.hello)
	defer cancel()
	answer, err := m.o.Hello(ctx, addr, m.message(to).Encode())
	if err != nil {
		return nil, err
	}
	h, err := wire.DecodeHello(answer)
	if err != nil {
		var format wire.HelloFormatError
		if errors.As(err, &format) {
			return nil, fmt.Errorf("%w: %w", ErrRefused, err)
		}
		return nil, err
	}
	switch {
	case h.Refused != "":
		return nil, fmt.Errorf("%w by %s: %s", ErrRefused, h.From, h.Refused)
	case h.From == m.id.name && h.Boot == m.id.boot:
		return nil, errMyself
	}
	if reason := m.id.refuses(h, to, h.From); reason != "" {
		return nil, fmt.Errorf("%w: %s", ErrRefused, reason)
	}
	return h, nil
}
