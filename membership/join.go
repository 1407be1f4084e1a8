package membership

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"httpdhs/wire"
)

// entryAttempts is how often a node that joins says its entry before it looks elsewhere: once, and
// again where the cluster remembers an earlier one of it that was newer.
const entryAttempts = 3

// joiner makes the node part of a cluster.
type joiner struct {
	*asker
	faults *fault // why it cannot join
}

func newJoiner(a *asker) *joiner {
	return &joiner{a, newFault(a.o.Log, slog.LevelWarn, "cannot join yet")}
}

// loop tries the addresses of the join list until the node is part of a cluster.
func (j *joiner) loop() {
	for pause := j.o.pace.joinMin; !j.round(); pause = min(2*pause, j.o.pace.joinMax) {
		select {
		case <-time.After(j.o.jitter(pause)):
		case <-j.state.wakeJoin:
			pause = j.o.pace.joinMin
		case <-j.ctx.Done():
			return
		}
	}
}

// attempt is what came of an address.
type attempt struct {
	addr     string
	unformed *wire.Hello // of a node that is not part of a cluster either
	err      error
}

// round asks all addresses at once, and returns whether the node need not go on.
//
// A node that is not part of a cluster either names whom it wants to join by. These are asked too:
// there may be a cluster that it is about to join, and a second one beside it would stay alone.
func (j *joiner) round() (done bool) {
	if j.state.isFormed() {
		return true
	}
	tried := make(map[string]bool)
	founder, all := j.state.id.name, true
	var reasons, unsaid []string
	for todo := j.o.Join; len(todo) > 0; {
		var more []string
		attempts := j.try(todo, tried)
		if j.state.isFormed() {
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
	if all && founder == j.state.id.name {
		if j.state.found() {
			j.o.Log.Info("founded a cluster: nobody on the list to join is part of one")
		}
		return true
	}
	err := fmt.Errorf("%w: tried %s", ErrNotFormed, strings.Join(reasons, "; "))
	j.state.cannotJoin(err)
	if len(unsaid) > 0 {
		j.faults.note(j.state.id.name, strings.Join(unsaid, "; "))
	} else {
		j.faults.over(j.state.id.name)
	}
	return false
}

// try asks addresses that were not tried yet, all at once. Of what others name it tries one more
// than may be, at most.
func (j *joiner) try(addrs []string, tried map[string]bool) (attempts []*attempt) {
	var wg sync.WaitGroup
	for _, addr := range addrs {
		if tried[addr] || len(tried) > wire.JoinMax {
			continue
		}
		tried[addr] = true
		a := &attempt{addr: addr}
		attempts = append(attempts, a)
		if addr == j.state.id.name {
			a.err = errMyself
			continue
		}
		wg.Go(func() { a.unformed, a.err = j.by(addr) })
	}
	wg.Wait()
	return attempts
}

// by asks one address. It returns what a node said that is not part of a cluster, or makes this
// node part of its cluster.
func (j *joiner) by(addr string) (unformed *wire.Hello, err error) {
	for range entryAttempts {
		h, err := j.ask(j.ctx, addr, "")
		if err != nil {
			return nil, err
		}
		if !h.Formed {
			return h, nil
		}
		entry, ok := h.Entry(j.state.id.name)
		if !ok {
			return nil, fmt.Errorf("%s: %w for this node", h.From, errNoPlace)
		}
		switch formed, joined := j.state.joinBy(h, entry); {
		case joined:
			j.o.Log.Info("joined", "by", h.From, "members", len(j.state.members()))
			return nil, nil
		case formed:
			return nil, nil // by another address
		}
	}
	return nil, fmt.Errorf("%w: it goes on saying something else of this node", errNoPlace)
}
