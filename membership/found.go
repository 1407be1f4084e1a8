package membership

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"httpdhs/wire"
)

// Founding with Options.Expect. The node with the least name of those that it has heard opens an
// attempt, and asks the others to agree. It founds when as many as are expected have, itself
// included. A node gives its word to one attempt at a time, so two foundings take twice as many
// nodes as are expected. docs/design/membership.md says why that is right.

// founding is how far a node has come that is to found a cluster with others. state.mu guards it.
type founding struct {
	latest wire.Founding // attempt of this node
	word   word
	near   []string // nodes that it last heard of that are not part of a cluster either
}

// word is to which attempt a node has agreed; zero: to none. With its own it agrees too.
type word struct {
	to      string // the founder
	boot    uint64 // of the founder
	attempt uint64
	with    []string // the names of all that were asked, in order
}

func (w *word) given() bool { return w.to != "" }

// is says whether the word was given to an attempt.
func (w *word) is(o *word) bool {
	return w.to == o.to && w.boot == o.boot && w.attempt == o.attempt
}

// sayFounding adds to a hello what a node says that is not part of a cluster.
func (s *state) sayFounding(h *wire.Hello) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h.Expect, h.Founding = s.id.expect, s.latest
	h.Join = slices.Concat(s.join, s.near)
	h.Join = h.Join[:min(len(h.Join), wire.JoinMax)]
}

// met notes who else is not part of a cluster, where so many are expected: others are told by name
// of those that were found by their addresses.
func (s *state) met(heard map[string]*wire.Hello) {
	if s.id.expect == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.near = slices.Sorted(maps.Keys(heard))
}

// wordGiven is the word that the node has given to another.
func (s *state) wordGiven() (given word) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.word.to != s.id.name {
		given = s.word
	}
	return given
}

// agree gives the node's word to the attempt of another, if it is asked to and may.
func (s *state) agree(h *wire.Hello) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := word{h.From, h.Boot, h.Founding.Attempt, h.Founding.With}
	switch {
	case s.formed, h.Formed, h.Expect != s.id.expect, h.Expect == 0:
		return false
	case h.Founding.Attempt == 0, h.Founding.Over, h.To != s.id.name, !slices.Contains(asked.with, s.id.name):
		return false
	case s.word.given() && (s.word.to != asked.to || s.word.boot != asked.boot || s.word.attempt > asked.attempt):
		wake(s.wakeJoin) // it asks what has come of the other
		return false
	}
	s.word = asked
	wake(s.wakeJoin)
	return true
}

// takeBack frees the node of a word that was given before a round, if what was heard then allows
// it.
func (s *state) takeBack(given word, heard map[string]*wire.Hello) {
	founder := heard[given.to]
	if founder == nil { // nothing was given, or the founder is silent: it may have founded
		return
	}
	over := false
	if said := &founder.Founding; founder.Boot == given.boot {
		over = said.Attempt > given.attempt || said.Attempt == given.attempt && said.Over
	} else { // it is another process: the earlier one may have founded, and told any of them
		over = !slices.ContainsFunc(given.with, func(name string) bool { return name != s.id.name && heard[name] == nil })
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if over && s.word.is(&given) {
		s.word = word{}
	}
}

// open begins an attempt with others. It returns whether the node may: it has not given its word to
// another.
func (s *state) open(with []string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.formed || s.word.given() {
		return false
	}
	s.latest = wire.Founding{Attempt: s.latest.Attempt + 1, With: with}
	s.word = word{s.id.name, s.id.boot, s.latest.Attempt, with}
	return true
}

// abandon ends an attempt to which too few have agreed.
func (s *state) abandon() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.latest.Over, s.word = true, word{}
}

// foundWith makes a cluster of this node and those that have agreed, unless it is part of one.
func (s *state) foundWith(others []wire.Member) (founded bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.formed {
		return false
	}
	s.absorbLocked(others)
	s.formLocked()
	return true
}

// found founds a cluster, if the node may by what it has heard in a round. done: it is part of one.
// Else it says why not; empty: the reasons of the round say it.
func (j *joiner) found(r *round) (done bool, why string) {
	named := slices.ContainsFunc(j.o.Join, func(join string) bool {
		_, named := wire.CutName(join)
		return named
	})
	switch {
	case j.o.Expect > 0:
		return j.foundExpected(r)
	case named:
		return false, "nobody there is part of a cluster, and what a name leads to founds none without --expect"
	case !r.all || slices.ContainsFunc(slices.Collect(maps.Keys(r.heard)), func(name string) bool { return name < j.state.id.name }):
		return false, ""
	}
	if j.state.foundWith(nil) {
		j.o.Log.Info("founded a cluster: nobody on the list to join is part of one")
	}
	return true, ""
}

// foundExpected founds a cluster with as many as are expected.
func (j *joiner) foundExpected(r *round) (done bool, why string) {
	self := j.state.id.name
	there := append(slices.Collect(maps.Keys(r.heard)), self)
	slices.Sort(there)
	counted := fmt.Sprintf("%d of %d nodes are there (%s)", len(there), j.o.Expect, strings.Join(there, ", "))
	switch given := j.state.wordGiven(); {
	case len(there) < j.o.Expect:
		why = fmt.Sprintf("%s: waits for %d more", counted, j.o.Expect-len(there))
	case len(there) > wire.MaxMembers:
		why = fmt.Sprintf("%d nodes are there, and %d members are the most: start fewer", len(there), wire.MaxMembers)
	case given.given():
		why = fmt.Sprintf("%s: has agreed that %s founds, and waits to hear from it", counted, given.to)
	case there[0] != self:
		why = fmt.Sprintf("%s: waits for %s to found", counted, there[0])
	default:
		done, why = j.attempt(there)
	}
	if why != "" {
		j.waits.note(self, why)
	}
	return done, why
}

// attempt asks all to agree that this node founds a cluster, each at its name. Of those that agree
// the cluster is made.
func (j *joiner) attempt(with []string) (done bool, why string) {
	if !j.state.open(with) {
		return j.state.isFormed(), "has agreed that another founds"
	}
	agreed := make([]*wire.Member, len(with))
	failed := make([]error, len(with))
	var all sync.WaitGroup
	for i, name := range with {
		if name != j.state.id.name {
			all.Go(func() { agreed[i], failed[i] = j.askToAgree(name) })
		}
	}
	all.Wait()
	var others []wire.Member
	var reasons []string
	for i, entry := range agreed {
		switch {
		case entry != nil:
			others = append(others, *entry)
		case failed[i] != nil:
			reasons = append(reasons, fmt.Sprintf("%s: %s", with[i], failed[i]))
		}
	}
	if len(others)+1 < j.o.Expect {
		j.state.abandon()
		return false, fmt.Sprintf("%d nodes are there, and %d of %d agree that this one founds: %s",
			len(with), len(others)+1, j.o.Expect, strings.Join(reasons, "; "))
	}
	if j.state.foundWith(others) {
		j.o.Log.Info("founded a cluster: as many as are expected have agreed", "members", len(others)+1, "expect", j.o.Expect)
	}
	return true, ""
}

// askToAgree asks a node to agree to this node's attempt. It returns the entry of one that does.
func (j *joiner) askToAgree(name string) (*wire.Member, error) {
	h, err := j.ask(j.ctx, At(name), name)
	if err != nil {
		return nil, err
	}
	entry, ok := h.Entry(name)
	switch {
	case h.Formed:
		return nil, fmt.Errorf("it is part of a cluster by now")
	case !h.Agrees:
		return nil, fmt.Errorf("it has agreed that another founds, and asks what came of that")
	case !ok || entry.State != wire.Active:
		return nil, fmt.Errorf("%w for itself", errNoPlace)
	}
	return &entry, nil
}
