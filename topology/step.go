package topology

import (
	"slices"
	"time"

	"httpdhs/peer"
	"httpdhs/placement"
	"httpdhs/rebalance"
	"httpdhs/ring"
	"httpdhs/wire"
)

// statement is what this node says of itself in a ping to a member; nil: to one that it does not
// know. figures: those are counted now.
func (t *Topology) statement(to *member, figures bool) (wire.Ping, sent) {
	var s sent
	var boot, heard uint64
	var held time.Duration
	if to != nil { // before the clocks are read, and before it is told
		s.told = to.suspicion()
		boot, heard, held = to.heard()
	}
	s.at, s.stamped, s.revision = time.Now(), t.clock.Reading(), t.revision.Load()
	p := wire.Ping{
		Name: t.opt.Name, Boot: t.opt.Boot, Settings: t.settings,
		Clock: t.clock.Last(), Wall: t.clock.Wall().UnixMicro(), Lead: t.clock.Lead().Microseconds(),
		PrimaryEpoch: t.primacy.epoch.Load(),
	}
	if t.opt.Wall != nil {
		p.Machine = t.opt.Wall.Machine().UnixMicro()
	}
	// What it has acknowledged is looked up before what it holds: it gives that up first.
	if to != nil {
		p.Sees = to.sight()
		if p.Sees.Boot == boot {
			p.Heard, p.Held = heard, held.Microseconds()
		}
	}
	p.InSync = t.board.InSync()
	t.opt.Describe(&p, figures)
	t.mu.Lock()
	t.mu.pings++
	p.Number, p.Said, p.Dead = t.mu.pings, *t.mu.rings.state.Said(), t.mu.dead
	t.mu.Unlock()
	if s.number, s.seq = p.Number, p.Said.Seq; to != nil {
		to.mu.Lock()
		to.sent.add(&s)
		to.mu.Unlock()
	}
	return p, s
}

// Advance takes the steps that take a while: it learns rings, and looks at clocks.
func (t *Topology) Advance() {
	if err := t.claims.learn(); err != nil {
		t.opt.Log.Debug("cannot learn a ring yet", "error", err)
	}
	t.reconsiderSoon()
	if !t.halved() || t.clocks.looks.due(t.opt.ProbeEvery) {
		t.clocks.steer(t.others())
		t.clocks.follow(t.others())
	}
}

// stepShare is how much of a pause there is between two steps for each member, where there are
// many: a step looks at all of them, and all of them bring news at the same time.
const stepShare = 15 * time.Microsecond

// reconsiderSoon is reconsider. Where there are many members it waits for more news that comes at
// the same time.
func (t *Topology) reconsiderSoon() {
	var pause time.Duration
	if others := len(t.others()); t.many(others) {
		pause = time.Duration(others*others) * stepShare
	}
	if pause == 0 || t.steps.due(pause) {
		t.reconsider()
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.mu.stepping || t.mu.ended {
		return
	}
	t.mu.stepping = true
	t.done.Go(func() {
		select {
		case <-time.After(pause):
		case <-t.quit:
			return
		}
		t.mu.Lock()
		t.mu.stepping = false
		t.mu.Unlock()
		t.reconsider()
	})
}

// reconsider takes a step of the protocol by what is known now, and tells the members if that
// changes what this node states.
func (t *Topology) reconsider() {
	t.steps.done()
	t.mu.Lock()
	r := &t.mu.rings
	if r.target == 0 || t.mu.ended {
		t.mu.Unlock()
		return
	}
	before, underWay, epoch := r.state.Said().Seq, len(r.retired), t.primacy.epoch.Load()
	old := t.board.View()
	t.mu.step()
	view, reads := t.board.View(), r.state.Reads()
	changed := r.state.Said().Seq != before || len(r.retired) < underWay || t.primacy.epoch.Load() != epoch
	unknown := len(r.unknown) > 0
	e := t.mu.electorate()
	t.mu.dead = e.dead()
	tell, victims := t.mu.roster.list(), t.mu.victims(e)
	for _, m := range t.mu.forget() {
		t.done.Go(m.peer.Close) // Close waits for these, and has not begun to
	}
	t.mu.Unlock()
	if old != nil && old.Generation != view.Generation {
		t.opt.Log.Info("ring changes", "reads", ringName(reads), "writes", len(view.Writes), "nodes", len(view.Names))
	}
	if changed {
		t.restated(tell)
	}
	if changed || unknown {
		t.board.Wake()
	}
	for _, v := range victims {
		t.opt.Members.Evict(v.name, v.after)
	}
}

// restated has members told that what this node states has changed.
func (t *Topology) restated(members []*member) {
	t.revision.Add(1)
	for _, m := range members {
		m.prober.tell()
	}
}

// step steps until nothing changes any more, and writes what follows on the board.
func (s *state) step() {
	r := &s.rings
	world := s.world()
	for {
		r.state.Step(world)
		if v := s.board.View(); v == nil || v.Generation != r.state.Generation() {
			s.replaceView()
		}
		seq := r.state.Said().Seq
		if r.retire(s.board.View()) {
			r.state.Over(r.state.Generation())
		}
		if r.state.Said().Seq == seq {
			break
		}
	}
	r.established = r.state.Established(world)
	r.noteReaders()
	s.hold()
	s.primacy.decides.Store(r.state.MayDecide(world))
	s.admit(world)
	s.judge()
	for s.acknowledgeEpochs() {
		r.retire(s.board.View())
	}
}

// world is what this node knows of the others.
func (s *state) world() *rebalance.World {
	r := &s.rings
	clear(r.unknown)
	w := &rebalance.World{
		Map: s.roster.members.Digest, Target: r.target,
		Members: make(map[string]rebalance.Peer),
		Known:   r.known, On: r.on, Gains: r.gains,
	}
	for i := range s.roster.members.All {
		entry := &s.roster.members.All[i]
		leaving := entry.State == wire.Leaving
		m := s.roster.byName[entry.Name]
		if m == nil {
			w.Leaving = leaving
			continue
		}
		seen := m.asSeen(!leaving)
		w.Members[entry.Name] = seen
		if seen.Live && seen.Said != nil { // one that is down wants nothing any more, and cannot be asked
			r.wonder(entry.Name, seen.Said)
		}
	}
	return w
}

// replaceView makes the view of the rings that are read and written now.
func (s *state) replaceView() {
	r := &s.rings
	var writes []*ring.Table
	for _, x := range r.state.Writes() {
		writes = append(writes, r.tables[x])
	}
	r.serial++
	v := placement.NewView(r.state.Generation(), r.serial, writes, s.opt.Name, func(name string) *peer.Peer {
		return s.member(name).peer // nobody steps any more once no member is made
	})
	old := s.board.Replace(v)
	if old == nil {
		return
	}
	r.retired = append(r.retired, old)
}

// hold works out the partitions that there is authority for.
func (s *state) hold() {
	r := &s.rings
	holds, v := r.state.Said().Holds, s.board.View()
	if slices.Equal(holds, r.heldFor) && v == r.hadBy {
		return
	}
	r.heldFor, r.hadBy = holds, v
	held, had := make([]bool, s.opt.Ring.Partitions), make([]bool, s.opt.Ring.Partitions)
	for _, x := range holds {
		for part, owns := range r.owned(s.opt.Name, x) {
			held[part] = held[part] || owns
		}
	}
	for part := range had {
		had[part] = held[part] || r.had != nil && r.had[part] && v.Mine(part)
	}
	r.had = had
	s.board.SetHeld(held)
}

// admit says whether operations may begin.
func (s *state) admit(w *rebalance.World) {
	ready := s.started && s.rings.state.MayCoordinate(w)
	for i := range s.roster.members.All {
		m := s.roster.byName[s.roster.members.All[i].Name]
		ready = ready && (m == nil || m.judged.Load())
	}
	if was := s.board.SetReady(ready); ready && !was {
		if close(s.ready); s.opt.Wall != nil {
			s.opt.Wall.Compared() // steer was called when the last member was judged
		}
	} else if was && !ready {
		s.ready = make(chan struct{})
	}
}

// judge works out how this node and its peers stand: in sync or not.
func (s *state) judge() {
	r := &s.rings
	v, said := s.board.View(), r.state.Said()
	_, on := v.Read.Index(s.opt.Name)
	s.board.SetInSync(on && r.state.Holds(r.state.Reads()))
	s.board.SetStable(r.state.Stated() && len(said.Holds) == len(said.Wants) && !v.Moving())
	s.board.Alone(len(s.roster.list()) == 0)
	for _, m := range s.roster.list() {
		m.mu.Lock()
		holds := m.belief.holds(r.state.Reads(), m.down())
		if !holds {
			m.outOfSync()
		}
		m.peer.SetInSync(holds)
		m.mu.Unlock()
	}
}
