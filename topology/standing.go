package topology

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"httpdhs/peer"
	"httpdhs/wire"
)

// WouldLose says what would be lost if these members stopped now, all at once. It asks all members
// that are up how they stand, and answers by the deadline. What it is not told counts against a
// stop: see [Loss].
//
// It asks at least twice. Between two answers the batches have to arrive that members had queued
// for each other by the first.
func (t *Topology) WouldLose(stop []string, deadline time.Time) Loss {
	var before map[string]*wire.Standing
	for {
		s, err := t.survey(stop, deadline)
		if err != nil {
			return Loss{Unsure: err}
		}
		loss := s.judge(before)
		late := time.Now().Add(standingPause).After(deadline)
		switch {
		case before == nil && len(loss.Last) == 0 && late:
			return Loss{Unsure: errNoTime}
		case before == nil && len(loss.Last) == 0:
			before = s.standings
		case !loss.underWay || late:
			return loss
		}
		select {
		case <-time.After(standingPause):
		case <-t.quit:
			return Loss{Unsure: errClosing}
		}
	}
}

// standingPause is how long batches have to arrive before members are asked once more.
const standingPause = 5 * time.Millisecond

var (
	errClosing = errors.New("this node is stopping")
	errNoTime  = errors.New("there was no time to ask twice")
)

// survey asks all members how they stand.
func (t *Topology) survey(stop []string, deadline time.Time) (*survey, error) {
	if err := t.SyncReason(); err != nil {
		return nil, fmt.Errorf("this node cannot tell: %w", err)
	}
	s := &survey{
		stop: stop, view: t.board.View(), self: t.opt.Name,
		standings: make(map[string]*wire.Standing), silent: make(map[string]error), down: make(map[string]bool), cutOff: make(map[string]error),
	}
	own := t.standing()
	s.standings[t.opt.Name] = &own
	t.mu.Lock()
	var asked []*member
	for i := range t.mu.roster.members.All {
		if m := t.mu.roster.byName[t.mu.roster.members.All[i].Name]; m != nil {
			asked = append(asked, m)
		}
	}
	t.mu.Unlock()
	answers, errs := make([]wire.Standing, len(asked)), make([]error, len(asked))
	var all peer.Group
	for i, m := range asked {
		switch {
		case m.judged.Load() && m.down():
			s.down[m.peer.Name()] = true
			if _, why := m.peer.Why(); !errors.Is(why, syscall.ECONNREFUSED) {
				s.cutOff[m.peer.Name()] = why
			}
		default:
			all.Go(func() { answers[i], errs[i] = t.askStanding(m, deadline) })
		}
	}
	all.Wait()
	for i, m := range asked {
		switch name := m.peer.Name(); {
		case s.down[name]:
		case errs[i] != nil:
			s.silent[name] = errs[i]
		default:
			s.standings[name] = &answers[i]
		}
	}
	return s, nil
}

func (t *Topology) askStanding(m *member, deadline time.Time) (wire.Standing, error) {
	answer, err := m.peer.Ask(wire.AppendStandingQuestion(nil), deadline)
	if err != nil {
		return wire.Standing{}, err
	}
	return wire.ParseStanding(answer, t.board.Partitions())
}

// ServeStanding says how this node stands.
func (t *Topology) ServeStanding(dst []byte) []byte {
	s := t.standing()
	return wire.AppendStanding(dst, &s)
}

// standing is how this node stands now.
func (t *Topology) standing() wire.Standing {
	var told wire.Ping
	t.opt.Describe(&told, false)
	s := wire.Standing{Boot: t.opt.Boot, Stopping: told.Stopping, Parts: make([]wire.Part, t.board.Partitions())}
	for part := range s.Parts {
		keys, held := t.holding(part)
		s.Parts[part] = wire.Part{Whole: t.board.Whole(part), Held: held, Keys: keys}
	}
	for _, m := range t.others() {
		m.mu.Lock()
		s.Ways = append(s.Ways, wire.Way{
			Name: m.peer.Name(), Counts: m.countsLocked() && m.belief.trusted(m.down()),
			Queued: m.peer.Queued(), Finished: m.peer.Finished(),
		})
		m.mu.Unlock()
	}
	return s
}

// holding is what this node holds of a partition.
func (t *Topology) holding(partition int) (keys int, any bool) {
	if t.opt.Holding == nil {
		return 0, false
	}
	return t.opt.Holding(partition)
}

// UnderReplicated counts the keys of which fewer copies are up and in sync than the ring that is
// read has owners. Of each partition one node counts the keys: the first owner that is up and in
// sync, or if there is none, the first that is up. So the sum over all nodes counts no key twice.
func (t *Topology) UnderReplicated() (keys int64) {
	v := t.board.View()
	if v == nil || v.Self < 0 {
		return 0
	}
	stands := make([]stands, len(v.Names))
	for n, p := range v.Peers {
		if p != nil {
			stands[n].up = p.State() != peer.Down
			stands[n].inSync = p.Up() && p.InSync()
		}
	}
	for part := range v.Partitions() {
		stands[v.Self].up, stands[v.Self].inSync = true, t.board.Holds(part)
		if countsKeys(v.Readers(part), v.Self, stands) {
			held, _ := t.holding(part)
			keys += int64(held)
		}
	}
	return keys
}

// stands is how an owner stands.
type stands struct{ up, inSync bool }

// countsKeys says whether too few owners of a partition are in sync, and this node is the one to
// count its keys. Owners are indices of of.
func countsKeys(owners []uint16, self int, of []stands) bool {
	synced, first, firstUp := 0, -1, -1
	for _, n := range owners {
		if of[n].up && firstUp < 0 {
			firstUp = int(n)
		}
		if of[n].inSync {
			if synced++; first < 0 {
				first = int(n)
			}
		}
	}
	if first < 0 {
		first = firstUp
	}
	return synced < len(owners) && first == self
}
