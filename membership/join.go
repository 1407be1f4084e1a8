package membership

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"httpdhs/wire"
)

// entryAttempts is how often a node that joins says its entry before it looks elsewhere: once, and again where the cluster
// remembers an earlier one of it that was newer.
const entryAttempts = 3

// joinLoop tries the addresses of the join list until the node is part of a cluster.
func (m *Membership) joinLoop() {
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
	addr     string
	unformed *wire.Hello // of a node that is not part of a cluster either
	err      error
}

// joinRound asks all addresses at once, and returns whether the node need not go on.
//
// It asks those too that nodes which are not part of a cluster want to join by: they may be about to join one that is there, and who founds
// another because it has seen nobody else would be alone for ever.
func (m *Membership) joinRound() (done bool) {
	if m.Formed() {
		return true
	}
	tried := make(map[string]bool)
	founder, all := m.id.name, true
	var reasons, unsaid []string
	for todo := m.o.Join; len(todo) > 0; {
		var more []string
		attempts := m.try(todo, tried)
		if m.Formed() {
			return true
		}
		for _, a := range attempts {
			switch {
			case errors.Is(a.err, errMyself):
			case a.err != nil:
				all = false
				reasons = append(reasons, fmt.Sprintf("%s: %s", a.addr, a.err))
				if !errors.Is(a.err, ErrRefused) { // a refusal was logged
					unsaid = append(unsaid, reasons[len(reasons)-1])
				}
			default:
				founder = min(founder, a.unformed.From)
				reasons = append(reasons, fmt.Sprintf("%s: not part of a cluster yet either", a.addr))
				more = append(more, a.unformed.Join...)
			}
		}
		todo = more
		if len(tried) > wire.JoinMax {
			todo, all = nil, false
			reasons = append(reasons, fmt.Sprintf("more than %d addresses, which is the most", wire.JoinMax))
		}
	}
	if all && founder == m.id.name {
		m.found()
		return true
	}
	err := fmt.Errorf("%w: tried %s", ErrNotFormed, strings.Join(reasons, "; "))
	m.setJoinErr(err)
	if len(unsaid) > 0 {
		m.cannotJoin.note(m.id.name, strings.Join(unsaid, "; "))
	} else {
		m.cannotJoin.over(m.id.name)
	}
	return false
}

// try asks addresses that were not tried yet, all at once: of what others name no more than is one too many.
func (m *Membership) try(addrs []string, tried map[string]bool) (attempts []*attempt) {
	var wg sync.WaitGroup
	for _, addr := range addrs {
		if tried[addr] || len(tried) > wire.JoinMax {
			continue
		}
		tried[addr] = true
		a := &attempt{addr: addr}
		attempts = append(attempts, a)
		if addr == m.id.name {
			a.err = errMyself
			continue
		}
		wg.Go(func() { a.unformed, a.err = m.joinBy(addr) })
	}
	wg.Wait()
	return attempts
}

// joinBy asks one address. It returns what a node said that is not part of a cluster, or makes this one part of its.
func (m *Membership) joinBy(addr string) (unformed *wire.Hello, err error) {
	for range entryAttempts {
		h, err := m.ask(m.ctx, addr, "")
		if err != nil {
			return nil, err
		}
		if !h.Formed {
			return h, nil
		}
		entry, ok := h.Entry(m.id.name)
		if !ok {
			return nil, fmt.Errorf("%s: %w for this node", h.From, errNoPlace)
		}
		switch formed, joined := m.joinWith(h, entry); {
		case joined:
			m.o.Log.Info("joined", "by", h.From, "members", len(m.Members()))
			return nil, nil
		case formed:
			return nil, nil // by another address
		}
	}
	return nil, fmt.Errorf("%w: it goes on saying something else of this node", errNoPlace)
}

// joinWith makes the node part of the cluster of a node whose map has its entry as it says it. If that is an older one which
// was newer, as of a node that was removed, it has to hear of one that is newer still, before this node takes part.
func (m *Membership) joinWith(h *wire.Hello, entry wire.Member) (formed, joined bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.formed {
		return true, false
	}
	m.absorbLocked([]wire.Member{entry})
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
