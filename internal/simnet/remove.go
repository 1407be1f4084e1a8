package simnet

import (
	"errors"
	"slices"
	"time"

	"httpdhs/membership"
	"httpdhs/wire"
)

// remove has an operator ask one node after the other to remove a member, until the end.
func (s *sim) remove(victim *node, end time.Time) {
	for i := victim.index + 1; time.Now().Before(end); i++ {
		by := s.nodes[i%len(s.nodes)]
		run := s.net.at(by.name)
		if run == nil || by == victim {
			time.Sleep(removeEvery / 10)
			continue
		}
		if !run.members.Formed() || !run.begun.Load() {
			s.release(run, victim)
			time.Sleep(removeEvery / 10)
			continue
		}
		run.door.pass()
		s.health.trouble()
		err := run.members.Remove(victim.name)
		s.log.add("an operator removes %s at %s: %v", victim.name, by.name, err)
		time.Sleep(removeEvery)
		if (err == nil || errors.Is(err, membership.ErrUnknownMember)) && (s.net.at(victim.name) != nil || !s.isMember(victim.name)) {
			return
		}
	}
}

// removeAgain has an operator remove those that are gone, and are members to a node that had not
// heard of their removal.
func (s *sim) removeAgain() {
	for {
		select {
		case <-time.After(againEvery):
		case <-s.ended:
			return
		}
		for _, n := range s.nodes {
			s.net.mu.Lock()
			gone := n.gone && !n.away && n.run == nil
			s.net.mu.Unlock()
			if gone && s.isMember(n.name) {
				s.remove(n, time.Now().Add(againEvery))
			}
		}
	}
}

// isMember says whether a node that runs has the name on its map still: who removed it may have
// died before it told.
func (s *sim) isMember(name string) bool {
	return slices.ContainsFunc(s.runs(), func(run *running) bool {
		known, ok := run.members.Now()
		return ok && slices.ContainsFunc(known.All, func(m wire.Member) bool { return m.Name == name })
	})
}

// withoutEnded has an operator remove the members that do not come back.
func (s *sim) withoutEnded() {
	for _, n := range s.nodes {
		s.net.mu.Lock()
		ended := n.ended
		s.net.mu.Unlock()
		if ended {
			s.setGone(n, true)
			s.remove(n, time.Now().Add(s.shape.RestTime))
		}
	}
}
