package topology

import (
	"slices"

	"httpdhs/peer"
	"httpdhs/placement"
	"httpdhs/rebalance"
	"httpdhs/ring"
	"httpdhs/wire"
)

// statement is what this node says of itself in a ping.
func (t *Topology) statement() wire.Ping {
	p := wire.Ping{
		Name: t.opt.Name, Boot: t.opt.Boot, Settings: t.settings,
		Clock: t.clock.Last(), Wall: t.clock.Wall().UnixMicro(), Lead: t.clock.Lead().Microseconds(),
		Sees: make(map[uint64]wire.Sight), Acknowledged: make(map[uint64]uint64),
		PrimaryEpoch: t.primacy.epoch.Load(),
	}
	if t.opt.Wall != nil {
		p.Machine = t.opt.Wall.Machine().UnixMicro()
	}
	// What it has acknowledged is looked up before what it holds: it gives that up first.
	for _, m := range t.others() {
		m.mention(&p)
	}
	p.InSync = t.board.InSync()
	t.opt.Describe(&p)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.pings++
	p.Number, p.Said, p.Dead = t.pings, *t.rings.state.Said(), t.electorateLocked().dead()
	return p
}

// Advance takes the steps that take a while: it learns rings, and looks at clocks.
func (t *Topology) Advance() {
	if err := t.learnRings(); err != nil {
		t.opt.Log.Debug("cannot learn a ring yet", "error", err)
	}
	t.reconsider()
	t.steer()
	t.follow()
}

// reconsider takes a step of the protocol by what is known now, and tells the members if that
// changes what this node states.
func (t *Topology) reconsider() {
	t.mu.Lock()
	r := &t.rings
	if r.target == 0 || t.ended {
		t.mu.Unlock()
		return
	}
	before, underWay, epoch := r.state.Said().Seq, len(r.retired), t.primacy.epoch.Load()
	t.stepLocked()
	changed := r.state.Said().Seq != before || len(r.retired) < underWay || t.primacy.epoch.Load() != epoch
	unknown := len(r.unknown) > 0
	tell, victims := t.roster.list, t.victimsLocked()
	gone := t.forgetLocked()
	t.mu.Unlock()
	if changed {
		for _, m := range tell {
			m.probeSoon()
		}
	}
	if changed || unknown {
		t.board.Wake()
	}
	for _, m := range gone {
		t.done.Go(m.peer.Close)
	}
	for _, name := range victims {
		t.opt.Members.Evict(name)
	}
}

// stepLocked steps until nothing changes any more, and writes what follows on the board.
func (t *Topology) stepLocked() {
	r := &t.rings
	world := t.worldLocked()
	for {
		r.state.Step(world)
		if v := t.board.View(); v == nil || v.Generation != r.state.Generation() {
			t.replaceViewLocked()
		}
		seq := r.state.Said().Seq
		if r.retire(t.board.View()) {
			r.state.Over(r.state.Generation())
		}
		if r.state.Said().Seq == seq {
			break
		}
	}
	r.established = r.state.Established(world)
	r.noteReaders()
	t.holdLocked()
	t.primacy.decides.Store(r.state.MayDecide(world))
	t.admitLocked(world)
	t.judgeLocked()
	for t.acknowledgeEpochsLocked() {
		r.retire(t.board.View())
	}
}

// worldLocked is what this node knows of the others.
func (t *Topology) worldLocked() *rebalance.World {
	r := &t.rings
	clear(r.unknown)
	w := &rebalance.World{
		Map: t.roster.members.Digest, Target: r.target,
		Members: make(map[string]rebalance.Peer),
		Known:   r.known, On: r.on, Gains: r.gains,
	}
	for i := range t.roster.members.All {
		entry := &t.roster.members.All[i]
		leaving := entry.State == wire.Leaving
		m := t.roster.byName[entry.Name]
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

// replaceViewLocked makes the view of the rings that are read and written now.
func (t *Topology) replaceViewLocked() {
	r := &t.rings
	var writes []*ring.Table
	for _, x := range r.state.Writes() {
		writes = append(writes, r.tables[x])
	}
	r.serial++
	v := placement.NewView(r.state.Generation(), r.serial, writes, t.opt.Name, func(name string) *peer.Peer {
		return t.memberLocked(name).peer // nobody steps any more once no member is made
	})
	old := t.board.Replace(v)
	if old == nil {
		return
	}
	r.retired = append(r.retired, old)
	if old.Generation != v.Generation {
		t.opt.Log.Info("ring changes", "reads", ringName(r.state.Reads()), "writes", len(writes), "nodes", len(v.Names))
	}
}

// holdLocked works out the partitions that there is authority for.
func (t *Topology) holdLocked() {
	r := &t.rings
	holds, v := r.state.Said().Holds, t.board.View()
	if slices.Equal(holds, r.heldFor) && v == r.hadBy {
		return
	}
	r.heldFor, r.hadBy = holds, v
	held, had := make([]bool, t.opt.Ring.Partitions), make([]bool, t.opt.Ring.Partitions)
	for _, x := range holds {
		for part, owns := range r.owned(t.opt.Name, x) {
			held[part] = held[part] || owns
		}
	}
	for part := range had {
		had[part] = held[part] || r.had != nil && r.had[part] && v.Mine(part)
	}
	r.had = had
	t.board.SetHeld(held)
}

// admitLocked says whether operations may begin.
func (t *Topology) admitLocked(w *rebalance.World) {
	ready := t.started && t.rings.state.MayCoordinate(w)
	for i := range t.roster.members.All {
		m := t.roster.byName[t.roster.members.All[i].Name]
		ready = ready && (m == nil || m.probed.Load())
	}
	if was := t.board.SetReady(ready); ready && !was {
		close(t.ready)
	} else if was && !ready {
		t.ready = make(chan struct{})
	}
}

// judgeLocked works out how this node and its peers stand: in sync or not.
func (t *Topology) judgeLocked() {
	r := &t.rings
	v, said := t.board.View(), r.state.Said()
	_, on := v.Read.Index(t.opt.Name)
	t.board.SetInSync(on && r.state.Holds(r.state.Reads()))
	t.board.SetStable(r.state.Stated() && len(said.Holds) == len(said.Wants) && !v.Moving())
	t.board.Alone(len(t.roster.list) == 0)
	for _, m := range t.roster.list {
		m.mu.Lock()
		m.peer.SetInSync(m.belief.holds(r.state.Reads(), m.down()))
		m.mu.Unlock()
	}
}
