package membership

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// entryAttempts is how often a node that joins says its entry before it looks elsewhere: once, and again where the cluster
// remembers an earlier one of it that was newer.
const entryAttempts = 3

// joinLoop tries the addresses of the join list until the node is part of a cluster.
func (m *Membership) joinLoop() {
	m.setJoinErr(fmt.Errorf("%w: nothing was tried yet", ErrNotFormed))
	for pause := m.o.pace.joinMin; !m.joinRound(); pause = min(2*pause, m.o.pace.joinMax) {
		select {
		case <-time.After(m.o.jitter(pause)):
		case <-m.wakeJoin:
			pause = m.o.pace.joinMin
		case <-m.ctx.Done():
			return
		}
	}
}

func (m *Membership) setJoinErr(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.joinErr = err
}

// attempt is what came of an address.
type attempt struct {
	addr string
	name string // of a node that is not part of a cluster either
	err  error
}

// joinRound asks all addresses at once, and returns whether the node need not go on.
func (m *Membership) joinRound() (done bool) {
	if m.Formed() {
		return true
	}
	attempts := make([]attempt, len(m.o.Join))
	var wg sync.WaitGroup
	for i, addr := range m.o.Join {
		attempts[i].addr = addr
		if addr == m.id.name {
			attempts[i].err = errMyself
			continue
		}
		wg.Go(func() { attempts[i].name, attempts[i].err = m.joinBy(addr) })
	}
	wg.Wait()
	if m.Formed() {
		return true
	}
	founder, all := m.id.name, true
	var reasons []string
	for _, a := range attempts {
		switch {
		case errors.Is(a.err, errMyself):
		case a.err != nil:
			all = false
			reasons = append(reasons, fmt.Sprintf("%s: %s", a.addr, a.err))
		default:
			founder = min(founder, a.name)
			reasons = append(reasons, fmt.Sprintf("%s: not part of a cluster yet either", a.addr))
		}
	}
	if all && founder == m.id.name {
		m.found()
		return true
	}
	m.setJoinErr(fmt.Errorf("%w: tried %s", ErrNotFormed, strings.Join(reasons, "; ")))
	return false
}

// joinBy asks one address. It returns the name of a node that is not part of a cluster, or makes this one part of its.
func (m *Membership) joinBy(addr string) (unformed string, err error) {
	for range entryAttempts {
		h, err := m.ask(m.ctx, addr, "")
		if err != nil {
			return "", err
		}
		if !h.Formed {
			return h.From, nil
		}
		entry, ok := h.entry(m.id.name)
		if !ok {
			return "", fmt.Errorf("%s: %w for this node", h.From, errNoPlace)
		}
		switch formed, joined := m.joinWith(h, entry); {
		case joined:
			m.o.Log.Info("joined", "by", h.From, "members", len(m.Members()))
			return "", nil
		case formed:
			return "", nil
		}
	}
	return "", fmt.Errorf("%w: it goes on saying something else of this node", errNoPlace)
}

// joinWith makes the node part of the cluster of a node whose map has its entry as it says it. If that is an older one which
// was newer, as of a node that was removed, it has to hear of one that is newer still, before this node takes part.
func (m *Membership) joinWith(h *hello, entry Member) (formed, joined bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.formed {
		return true, false
	}
	m.absorbLocked([]Member{entry})
	if own, _ := m.m.Get(m.id.name); own != entry {
		return false, false
	}
	m.absorbLocked(h.Members) // nothing to pass on: they know it, and nobody else knows this node
	m.formLocked()
	return true, true
}

// found makes a cluster of this node alone. The others of the list join it.
func (m *Membership) found() {
	m.mu.Lock()
	first := !m.formed
	if first {
		m.formLocked()
	}
	m.mu.Unlock()
	if first {
		m.o.Log.Info("founded a cluster: nobody on the list to join is part of one")
	}
}
