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
	waits  *fault // for whom it waits to found a cluster
}

func newJoiner(a *asker) *joiner {
	return &joiner{
		asker:  a,
		faults: newFault(a.o.Log, slog.LevelWarn, "cannot join yet"),
		waits:  newFault(a.o.Log, slog.LevelInfo, "waits to found a cluster"),
	}
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

// attempt is what came of a place.
type attempt struct {
	at       Place
	unformed *wire.Hello // of a node that is not part of a cluster either
	err      error
}

// round is what a node that joins has heard when it has asked everywhere once.
type round struct {
	heard   map[string]*wire.Hello // of nodes that are not part of a cluster either, by name
	all     bool                   // all that there is to ask has answered so
	reasons []string               // why the node has not joined, by place
	unsaid  []string               // of these: what the log does not have yet
}

// fail notes why nothing came of a place.
func (r *round) fail(at string, err error) {
	r.all = false
	r.reasons = append(r.reasons, fmt.Sprintf("%s: %s", at, err))
	if !errors.Is(err, ErrRefused) { // a refusal was logged
		r.unsaid = append(r.unsaid, r.reasons[len(r.reasons)-1])
	}
}

// round asks everywhere once, and returns whether the node need not go on.
func (j *joiner) round() (done bool) {
	if j.state.isFormed() {
		return true
	}
	given := j.state.wordGiven()
	r := j.askAll(given)
	if j.state.isFormed() {
		return true
	}
	j.state.takeBack(given, r.heard)
	done, why := j.found(r)
	if done {
		return true
	}
	if len(r.reasons) > 0 {
		why = strings.TrimPrefix(why+"; tried "+strings.Join(r.reasons, "; "), "; ")
	}
	j.state.cannotJoin(fmt.Errorf("%w: %s", ErrNotFormed, why))
	if len(r.unsaid) > 0 {
		j.faults.note(j.state.id.name, strings.Join(r.unsaid, "; "))
	} else {
		j.faults.over(j.state.id.name)
	}
	return false
}

// askAll asks at all places at once.
//
// A node that is not part of a cluster either names whom it wants to join by. These are asked too:
// there may be a cluster that it is about to join, and a second one beside it would stay alone. So
// are those on whom it depends whether this node has to keep its word.
func (j *joiner) askAll(given word) *round {
	r := &round{heard: make(map[string]*wire.Hello), all: true}
	var todo []Place
	for _, p := range j.lookUp(j.ctx, j.o.Join) {
		todo = append(todo, p.all...)
		if p.err != nil {
			r.fail(p.join, p.err)
		}
	}
	for _, name := range given.with {
		todo = append(todo, At(name))
	}
	tried := make(map[string]bool)
	for len(todo) > 0 {
		var more []Place
		attempts := j.try(todo, tried)
		if j.state.isFormed() {
			return r
		}
		for _, a := range attempts {
			switch {
			case errors.Is(a.err, errMyself):
			case a.err != nil:
				r.fail(a.at.String(), a.err)
			default:
				r.heard[a.unformed.From] = a.unformed
				if j.o.Expect == 0 { // else they are counted
					r.reasons = append(r.reasons, fmt.Sprintf("%s: not part of a cluster yet either", a.at))
				}
				for _, addr := range a.unformed.Join {
					more = append(more, At(addr))
				}
			}
		}
		if todo = more; len(tried) > wire.JoinMax {
			todo = nil
			r.fail("the others", fmt.Errorf("more than %d addresses, which is the most", wire.JoinMax))
		}
	}
	j.state.met(r.heard)
	return r
}

// try asks at places that were not tried yet, at all at once. Of what others name it tries one more
// than may be, at most.
func (j *joiner) try(todo []Place, tried map[string]bool) (attempts []*attempt) {
	var wg sync.WaitGroup
	for _, at := range todo {
		if tried[at.Addr] || len(tried) > wire.JoinMax {
			continue
		}
		tried[at.Addr] = true
		a := &attempt{at: at}
		attempts = append(attempts, a)
		if at.Addr == j.state.id.name {
			a.err = errMyself
			continue
		}
		wg.Go(func() { a.unformed, a.err = j.by(at) })
	}
	wg.Wait()
	return attempts
}

// by asks at one place. It returns what a node said that is not part of a cluster, or makes this
// node part of its cluster.
func (j *joiner) by(at Place) (unformed *wire.Hello, err error) {
	for range entryAttempts {
		h, err := j.ask(j.ctx, at, "")
		if err != nil {
			return nil, err
		}
		if reason := j.state.id.foundsOtherwise(h); reason != "" {
			return nil, fmt.Errorf("%w: %s", ErrRefused, reason)
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
			return nil, nil // by another place
		}
	}
	return nil, fmt.Errorf("%w: it goes on saying something else of this node", errNoPlace)
}
