package simnet

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"httpdhs/disk"
	"httpdhs/kv"
	"httpdhs/membership"
	"httpdhs/wire"
)

// The start of a node with a disk goes through the stages of node/start.go, in their order: it
// answers hellos, loads, finds out whether others went on without it, and then takes part.

const (
	// reviveIn is how long an operator takes to start a node again that has ended by itself.
	reviveIn = time.Second

	// loadedKeep is by how much what a disk has of when its node was in sync may be behind.
	loadedKeep = membership.AttendanceBehind + cutWithin
)

// disked is what a node with a disk has more of. It is its zero value where there is none.
type disked struct {
	log    *disk.Log // nil: there is no disk
	ctx    context.Context
	cancel context.CancelFunc
	boots  sync.WaitGroup // what starts the node, and looks whether it is in sync
	synced *membership.Attendance
	away   atomic.Pointer[membership.Away] // nil: the node was not away for long
}

// openDisk opens the disk of a node that starts.
func (s *sim) openDisk(run *running) (grace kv.Grace, err error) {
	n := run.node
	grace.Keep = s.shape.Grace
	if s.shape.Disks == nil {
		return grace, nil
	}
	n.slot.mu.Lock()
	fs := n.slot.fs
	n.slot.dies = make(chan struct{})
	n.slot.mu.Unlock()
	if s.shape.Disks.Found != nil {
		s.shape.Disks.Found(fs)
	}
	settings, mode := s.table.Settings(), s.shape.Disks.Sync
	if s.shape.Disks.Late {
		mode = disk.SyncInterval
	}
	run.log, err = disk.Open(disk.Options{
		Dir: dataDir, FS: fs, Identity: disk.Identity{Node: n.name, Partitions: settings.Partitions},
		Sync: mode, SyncEvery: syncEvery, SegmentBytes: s.shape.Disks.Segment,
		Now: n.wall, Log: slog.New(&deadLog{s.logOf(n), run}),
	})
	if err != nil {
		return grace, err
	}
	if ran := run.log.Ran(); !ran.IsZero() {
		grace.OffFrom, grace.OffFor = ran.UnixMilli(), max(0, n.wall().Sub(ran))
	}
	run.ctx, run.cancel = context.WithCancel(context.Background())
	run.synced = membership.NewAttendance(membership.AttendanceOptions{
		InSync: run.inSync, Now: run.now, Grace: s.shape.Grace,
		Keep: func(at time.Time) {
			run.door.pass()
			run.log.KeepInSync(at)
		},
	})
	return grace, nil
}

// inSync says whether a node is in sync. One that is stopped does not look.
func (r *running) inSync() bool {
	stopped, _ := r.door.stopped()
	return !stopped && r.plane.Board.InSync()
}

// deadLog is the log of a disk, which says no more when its node is dead.
type deadLog struct {
	*nodeLog
	run *running
}

func (h *deadLog) Handle(ctx context.Context, r slog.Record) error {
	if h.run.dead.Load() {
		return nil
	}
	return h.nodeLog.Handle(ctx, r)
}

// boot starts a node with a disk. One that ends by itself is started again.
func (s *sim) boot(run *running) {
	switch err := s.load(run); {
	case run.ctx.Err() != nil:
		return
	case err != nil:
		s.log.add("%s ends: %v", run.name(), err)
		s.revives.Go(func() {
			s.kill(run, killed)
			s.revive(run.node)
		})
		return
	}
	run.boots.Go(func() { run.members.VisitAll(run.ctx) })
	run.synced.Run(run.ctx.Done())
}

// revive starts a node again after a while.
func (s *sim) revive(n *node) {
	select {
	case <-time.After(reviveIn):
		s.mustStart(n)
	case <-s.ended:
	}
}

func (s *sim) load(run *running) error {
	n := run.node
	if _, err := run.members.Visit(run.ctx); err != nil {
		return err
	}
	s.dawdle(n)
	if err := run.log.Load(run.ctx, run.store.Store); err != nil {
		return err
	}
	run.clock.Resume(run.log.Newest())
	holds := s.loaded(run)
	at := membership.Millis(run.log.InSyncAt())
	run.synced.Loaded(at)
	s.dawdle(n)
	since := max(at, membership.Millis(run.log.Began()))
	verdict := membership.Verdict{InSyncAt: since}
	if holds && !s.shape.Disks.Trusting {
		var err error
		if verdict, err = s.wasAway(run, since); err != nil {
			return err
		}
	}
	if verdict.Empty {
		if err := s.empty(run); err != nil {
			return err
		}
	}
	if holds {
		run.synced.GoesOn(verdict)
	}
	if err := run.ctx.Err(); err != nil {
		return err
	}
	s.mustFollow(run)
	s.dawdle(n)
	s.startMembers(run)
	s.dawdle(n)
	run.plane.Start()
	run.begun.Store(true)
	s.health.trouble()
	s.log.add("%s takes part", n.name)
	return nil
}

// wasAway is that of node/start.go.
func (s *sim) wasAway(run *running, at int64) (membership.Verdict, error) {
	v, away := run.members.Return(at, run.now(), s.shape.Grace)
	switch {
	case away == nil && v.Empty:
		s.log.add("%s was away, and is no member any more", run.name())
		return v, nil
	case away == nil:
		return v, nil
	}
	s.log.add("%s was away for long: in sync %v ago", run.name(), run.now().Sub(time.UnixMilli(at)))
	run.away.Store(away)
	v, err := away.Decide(run.ctx)
	s.log.add("%s was away: %+v, %v", run.name(), v, err)
	return v, err
}

// release has an operator tell a node that waits for members that do not come back to go on: see
// node/recover.go.
func (s *sim) release(run *running, victim *node) {
	away := run.away.Load()
	if away == nil || slices.ContainsFunc(s.runs(), func(r *running) bool { return r.synced.Said() == wire.InSyncUnknown }) {
		return // those that load will answer
	}
	s.net.mu.Lock()
	comesBack := slices.ContainsFunc(away.Silent(), func(name string) bool {
		n := s.net.nodes[name]
		return n != victim && !n.gone && !n.ended
	})
	s.net.mu.Unlock()
	if !comesBack && away.Release() {
		s.log.add("an operator has %s go on without %s", run.name(), victim.name)
	}
}

// awayMost is for how long a node may be away, and go on with what it has.
func (s *sim) awayMost() time.Duration { return membership.AwayMost(s.shape.Grace) }

// loaded notes what a node has loaded, and what is wrong with that.
func (s *sim) loaded(run *running) (holds bool) {
	n := run.node
	collected := time.Now().Add(timelyWithin - s.shape.Grace).UnixMilli()
	run.store.mu.Lock()
	defer run.store.mu.Unlock()
	n.slot.mu.Lock()
	defer n.slot.mu.Unlock()
	if run.dead.Load() {
		return false
	}
	if lost, damage := run.log.Lost(); len(lost) > 0 {
		s.misloaded(run, "finds damage: %v", damage)
	}
	l := n.slot.ledger
	var all []entry
	for _, key := range s.keys {
		hash := kv.Hash([]byte(key))
		held, _, ok := run.store.Store.Get(nil, hash, []byte(key))
		if why := l.wrong(key, held.Version, collected); why != "" {
			s.misloaded(run, "%s", why)
		}
		if !ok {
			continue
		}
		e := entry{s.log.now(), key, held.Version, deadAt(&held)}
		all = append(all, e)
		part := s.rec.table.Partition(hash)
		run.store.keys[part] = append(run.store.keys[part], key)
		run.store.rec.event(Event{
			Kind: Stored, Node: n.name, Key: key, Version: held.Version, Tombstone: held.Tombstone, Dead: e.dead, Loaded: true,
		})
	}
	l.loaded(all, s.log.now())
	run.store.rec.durable(n.name, run.store.rec.count())
	return len(all) > 0
}

// deadAt is when an entry ends to be a value, Unix milliseconds; 0: never.
func deadAt(e *kv.Entry) int64 {
	if e.Tombstone {
		return max(e.Version.Millis(), e.Expires)
	}
	return e.Expires
}

func (s *sim) misloaded(run *running, format string, args ...any) {
	s.rec.misload(fmt.Sprintf("%.6f: %s ", s.log.now().Seconds(), run.name()) + fmt.Sprintf(format, args...))
}

// empty is that of node/start.go.
func (s *sim) empty(run *running) error {
	n := run.node
	for part := range run.store.Store.Partitions() {
		run.store.Store.Drop(part)
	}
	if err := run.log.Empty(); err != nil {
		return err
	}
	run.store.mu.Lock()
	defer run.store.mu.Unlock()
	if run.dead.Load() {
		return nil
	}
	latest := time.Duration(-1)
	for _, o := range s.nodes {
		o.slot.mu.Lock()
		if o != n {
			latest = max(latest, o.slot.inSync)
		}
		o.slot.mu.Unlock()
	}
	n.slot.mu.Lock()
	defer n.slot.mu.Unlock()
	if latest-max(n.slot.inSync, n.slot.began) < s.awayMost()-loadedKeep && s.shape.Disks.Sync != disk.SyncNever && !s.shape.changes() {
		s.misloaded(run, "starts empty: it was in sync at %v, with a disk of %v, and no other after %v", n.slot.inSync, n.slot.began, latest)
	}
	n.slot.began = s.log.now()
	run.store.rec.event(Event{Kind: Lost, Node: n.name})
	n.slot.ledger.emptied()
	run.store.keys = make([][]string, len(run.store.keys))
	return nil
}

// keepMembers keeps the member map for the next start.
func (r *running) keepMembers() {
	if r.log != nil && r.members.Formed() {
		r.log.KeepMembers(wire.AppendMembers(nil, r.members.All()))
	}
}

// known are the members that the node knew when it last ran.
func (r *running) known() ([]wire.Member, error) {
	if r.log == nil || len(r.log.Members()) == 0 {
		return nil, nil
	}
	return wire.ParseMembers(r.log.Members())
}

// starting says why a node does not take part yet; nil: it does.
func (r *running) starting() error {
	if r.begun.Load() {
		return nil
	}
	return fmt.Errorf("%w: it loads", kv.ErrStarting)
}

// turnNodes ends nodes, or starts them again, each after its pause.
func (s *sim) turnNodes(f *Fault, on bool) {
	how := map[FaultKind]end{Crash: wiped, Killed: killed, Powerless: cut, Restarted: shut, Stale: killed}[f.Kind]
	var all sync.WaitGroup
	for _, name := range f.A {
		n := s.net.nodes[name]
		switch i := slices.Index(f.A, name); {
		case !on && i < len(f.Pauses):
			s.acts.Go(func() {
				time.Sleep(f.Pauses[i])
				s.mustStart(n)
			})
		case !on:
			s.mustStart(n)
		default:
			all.Go(func() { s.end(n, how, f) })
		}
	}
	all.Wait()
}

// end ends a node, and what becomes of its disk.
func (s *sim) end(n *node, how end, f *Fault) {
	if run := s.net.at(n.name); run != nil {
		s.kill(run, how)
	} else if how == cut {
		s.cutDown(n)
	}
	if f.Kind == Stale {
		s.putBack(n, f)
	}
}
