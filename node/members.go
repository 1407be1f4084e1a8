package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"httpdhs/api"
	"httpdhs/kv"
	"httpdhs/membership"
	"httpdhs/server"
	"httpdhs/wire"
)

// helloTimeout is how long a hello may take where nothing else bounds it.
const helloTimeout = 2 * time.Second

// newMembers makes the node's part in the membership.
func (p *parts) newMembers() (err error) {
	cfg := &p.cfg
	settings := cfg.ringSettings()
	known, err := p.known()
	if err != nil {
		return err
	}
	p.synced = p.newAttendance()
	p.members, err = membership.New(membership.Options{
		Self:     wire.Member{Name: cfg.Name, Weight: cfg.Weight, Zone: cfg.Zone},
		Static:   cfg.Members,
		Join:     cfg.Join,
		Expect:   cfg.Expect,
		Lookup:   p.lookup,
		Known:    known,
		InSyncAt: p.synced.Said,
		Settings: wire.Settings{Partitions: settings.Partitions, Replicas: settings.Replicas, Partitioner: settings.Partitioner},
		Hello:    p.hello,
		Log:      p.log,
	})
	return err
}

// newAttendance makes what knows when the node was in sync.
func (p *parts) newAttendance() *membership.Attendance {
	o := membership.AttendanceOptions{
		InSync: func() bool { return p.plane.Board.InSync() }, Now: p.wall.Now, Grace: p.cfg.TombstoneGrace,
	}
	if p.cfg.Disk != nil {
		o.Keep = p.cfg.Disk.KeepInSync
	}
	return membership.NewAttendance(o)
}

// roster follows the members for the topology, and changes them.
type roster struct {
	*parts
	*life
	evictions atomic.Int64  // of members, by this node
	left      chan struct{} // closed when the node has left the cluster

	setDraining func(on bool) // of the server

	mu      sync.Mutex
	leaving bool // guarded by mu: the goroutine of leave was started

	keeping sync.Mutex // held while the members are kept: what is kept last is the latest
}

// begin has the membership talk to others. The topology, and the hosts that are not nil, follow it
// from now on.
func (r *roster) begin(h *hosts) {
	t := r.plane.Topology
	r.members.Start(membership.Events{
		Live: t.Live, Down: t.Down, Overtaken: t.Overtaken, Heard: t.Heard,
		Changed: func() {
			if h != nil {
				h.changed()
			}
			r.keepMembers() // before anything is done by them
			if err := r.follow(); err != nil {
				r.log.Error("the members make no ring", "error", err)
			}
		},
	})
}

// follow tells the topology who the members are, if this node is one of them.
func (r *roster) follow() error {
	now, member := r.members.Now()
	if !member {
		return nil
	}
	return r.plane.Topology.SetMembers(now)
}

// known are the members that the node knew when it last ran.
func (p *parts) known() ([]wire.Member, error) {
	if p.cfg.Disk == nil {
		return nil, nil
	}
	kept := p.cfg.Disk.Members()
	if len(kept) == 0 {
		return nil, nil
	}
	known, err := wire.ParseMembers(kept)
	if err != nil {
		return nil, fmt.Errorf("cannot read who the members were: %w", err)
	}
	return known, nil
}

// keepMembers keeps the member map for the next start. Before it is part of a cluster, a node has
// none.
func (r *roster) keepMembers() {
	if r.cfg.Disk == nil || !r.members.Formed() {
		return
	}
	r.keeping.Lock()
	defer r.keeping.Unlock()
	r.cfg.Disk.KeepMembers(wire.AppendMembers(nil, r.members.All()))
}

// lookup finds the addresses of a host to join.
func (p *parts) lookup(ctx context.Context, host string) (all []string, err error) {
	addrs, err := p.cfg.Lookup(ctx, host)
	for _, addr := range addrs {
		all = append(all, addr.Unmap().String())
	}
	return all, err
}

// hello carries a hello to another node, over a connection of its own: it may be no member yet.
func (p *parts) hello(ctx context.Context, to membership.Place, request []byte) ([]byte, error) {
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(helloTimeout)
	}
	t := p.dialAt(to)
	defer context.AfterFunc(ctx, t.Abort)()
	defer t.Abort() // closes the connection
	answer, err := t.RoundTrip(nil, wire.AppendHello(nil, request), deadline)
	if err != nil {
		return nil, err
	}
	return wire.SplitHello(answer)
}

// twinPause is the time between two looks for a twin.
const twinPause = 2 * time.Second

// lookForTwin ends serving if another process has this node's name, and answers there. It looks
// until the node is ready. The others count on who is at the name, so a second node of that name is
// never ready; and the first may have been down before.
func (r *roster) lookForTwin(isReady func() (ok bool, reason string)) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-r.quit:
			cancel()
		case <-ctx.Done():
		}
	}()
	for ready := false; !ready && ctx.Err() == nil; ready, _ = isReady() {
		if err := r.members.Twin(ctx); err != nil {
			r.log.Error("this node ends", "error", err)
			r.fail(err)
			return
		}
		select {
		case <-time.After(twinPause):
		case <-ctx.Done():
		}
	}
}

// Differs implements topology.Members.
func (r *roster) Differs(name string) { r.members.Differs(name) }

// Outdated implements topology.Members.
func (r *roster) Outdated(digest uint64) bool { return r.members.Digest() != digest }

// Evict implements topology.Members: it removes a member that a majority has found dead.
func (r *roster) Evict(name string, after time.Duration) {
	if r.start.err() != nil {
		return // the members are not asked yet; it is told again
	}
	if !slices.Contains(r.memberNames(), name) {
		return // another of the majority was faster
	}
	if err := r.members.Remove(name); err != nil {
		r.log.Debug("a dead member is not removed", "member", name, "error", err)
		return
	}
	r.evictions.Add(1)
	r.log.Warn("a majority has found a member dead: it is removed", "member", name, "after", after)
}

// Leave implements server.Cluster: it begins to hand all that the node holds over to the others.
// When that is done the node is no member any more, and left is closed. It may be called again.
func (r *roster) Leave() (api.Leaving, error) {
	if r.isEnding() {
		return api.Leaving{}, kv.ErrStopping
	}
	if err := r.start.err(); err != nil {
		return api.Leaving{}, err
	}
	if err := r.members.BeginLeave(); err != nil {
		return api.Leaving{}, fmt.Errorf("%w: %w", server.ErrCannotLeave, err)
	}
	r.mu.Lock()
	if !r.leaving {
		r.leaving = true
		r.serving.Go(r.leave)
	}
	r.mu.Unlock()
	return api.Leaving{
		Node: r.cfg.Name, State: api.StateLeaving, Partitions: r.plane.Repairer.Leaving(), Bytes: r.store.Stats().Bytes,
		Message: "this node hands what it holds over to the others, and ends when that is done; " +
			"GET /cluster at another node shows how far it is (moving, hand_over), and does not list it any more when it has left",
	}, nil
}

const leavePoll = 50 * time.Millisecond

// leave waits until nothing is left to hand over, drains, and says goodbye.
func (r *roster) leave() {
	r.log.Info("leaving: handing over what this node holds")
	// What came while it drained is handed over, too.
	if !r.handOver() || !r.drain() || !r.handOver() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), helloTimeout)
	defer cancel()
	if err := r.members.Left(ctx); errors.Is(err, membership.ErrNotLeaving) {
		r.log.Warn("not leaving after all", "error", err)
		r.setDraining(r.isEnding())
		r.mu.Lock()
		r.leaving = false // it may be asked again
		r.mu.Unlock()
		return
	} else if err != nil {
		r.log.Warn("not all members could be told", "error", err)
	}
	r.keepMembers()
	r.log.Info("left the cluster")
	close(r.left)
}

// handOver waits until nothing is left to hand over. It says whether it is so, or the node stays;
// else it stops.
func (r *roster) handOver() bool {
	poll := time.NewTicker(leavePoll)
	defer poll.Stop()
	for r.plane.Repairer.Leaving() > 0 && r.isLeaving() {
		select {
		case <-poll.C:
		case <-r.quit:
			return false
		}
	}
	return true
}

// isLeaving says whether the members still take this node for one that leaves: if all leave, one
// stays.
func (p *parts) isLeaving() bool {
	return slices.ContainsFunc(p.members.All(), func(m wire.Member) bool {
		return m.Name == p.cfg.Name && m.State != wire.Active
	})
}

// removePatience is for a member that this node is asked to remove, and that does not answer any
// more. The node waits so long for it to be found down.
const removePatience = 500 * time.Millisecond

// Remove implements server.Cluster: it takes a member that is down off the ring. One that seems to
// be up, or was not asked yet, is asked before it is refused: it may have died since.
func (r *roster) Remove(name string) error {
	if err := r.start.err(); err != nil {
		return err
	}
	name = wire.CanonicalAddr(name)
	unsure := func(err error) bool {
		return errors.Is(err, membership.ErrLive) || errors.Is(err, membership.ErrUnasked)
	}
	err := r.members.Remove(name)
	if unsure(err) {
		r.plane.Topology.Heard(name)
		for end := time.Now().Add(removePatience); unsure(err) && time.Now().Before(end); {
			time.Sleep(leavePoll)
			err = r.members.Remove(name)
		}
	}
	switch {
	case errors.Is(err, membership.ErrUnknownMember):
		return fmt.Errorf("%w: %q; the members are %s", server.ErrNoMember, name, strings.Join(r.memberNames(), ", "))
	case errors.Is(err, membership.ErrLive), errors.Is(err, membership.ErrSelf):
		return fmt.Errorf("%w: %s; have it leave (httpdhs leave %s), or stop it first", server.ErrMemberUp, name, name)
	case errors.Is(err, membership.ErrUnasked):
		return fmt.Errorf("%w: %s; try again in some seconds", server.ErrMemberUnsure, name)
	case err != nil:
		return err
	}
	r.log.Info("member removed", "member", name)
	return nil
}

func (p *parts) memberNames() (names []string) {
	for _, m := range p.members.Members() {
		names = append(names, m.Name)
	}
	return names
}

// memberHosts are the hosts on which members are, or may be.
func (p *parts) memberHosts() (all []string) {
	for _, name := range append(p.memberNames(), p.cfg.Join...) {
		addr, _ := wire.CutName(name)
		all = append(all, hostOf(addr))
	}
	return all
}
