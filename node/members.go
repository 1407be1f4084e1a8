package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"httpdhs/api"
	"httpdhs/kv"
	"httpdhs/membership"
	"httpdhs/ring"
	"httpdhs/server"
	"httpdhs/wire"
)

// helloTimeout is how long a hello may take where nothing else bounds it.
const helloTimeout = 2 * time.Second

// newMembers makes the node's part in the membership.
func (n *Node) newMembers() (err error) {
	cfg := &n.cfg
	settings := n.ringSettings()
	n.members, err = membership.New(membership.Options{
		Self:     wire.Member{Name: cfg.Name, Weight: cfg.Weight, Zone: cfg.Zone},
		Static:   cfg.Members,
		Join:     cfg.Join,
		Settings: wire.Settings{Partitions: settings.Partitions, Replicas: settings.Replicas, Partitioner: settings.Partitioner},
		Hello:    n.hello,
		Log:      n.log,
	})
	return err
}

// startMembers has the membership talk to others. The topology follows it from now on.
func (n *Node) startMembers() {
	t := n.plane.Topology
	n.members.Start(membership.Events{
		Live: t.Live, Overtaken: t.Overtaken, Heard: t.Heard,
		Changed: func() {
			if n.hosts != nil {
				n.hosts.changed()
			}
			if err := n.followMembers(); err != nil {
				n.log.Error("the members make no ring", "error", err)
			}
		},
	})
}

// followMembers tells the topology who the members are, if this node is one of them.
func (n *Node) followMembers() error {
	now, member := n.members.Now()
	if !member {
		return nil
	}
	return n.plane.Topology.SetMembers(now)
}

// ringSettings are what all nodes have to agree on.
func (n *Node) ringSettings() ring.Settings {
	s := ring.Settings{Partitions: n.cfg.Partitions, Replicas: n.cfg.Replicas, Partitioner: n.cfg.Partitioner}
	if s.Partitioner == "" {
		s.Partitioner = ring.DefaultPartitioner
	}
	return s
}

// hello carries a hello to another node, over a connection of its own: it may be no member yet.
func (n *Node) hello(ctx context.Context, addr string, request []byte) ([]byte, error) {
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(helloTimeout)
	}
	t := n.dial(addr)
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

// lookForTwin ends serving if another process has this node's name, and answers there. It looks until the node is ready: the others count on who is at the
// name, so a second one is never ready, and the first may have been down before.
func (n *Node) lookForTwin() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-n.quit:
			cancel()
		case <-ctx.Done():
		}
	}()
	for ready := false; !ready && ctx.Err() == nil; ready, _ = n.Ready() {
		if err := n.members.Twin(ctx); err != nil {
			n.log.Error("this node ends", "error", err)
			n.fail(err)
			return
		}
		select {
		case <-time.After(twinPause):
		case <-ctx.Done():
		}
	}
}

// mapOf is the member map, as the topology uses it.
type mapOf struct{ *Node }

// Differs implements topology.Members.
func (n mapOf) Differs(name string) { n.members.Differs(name) }

// Evict implements topology.Members: it removes a member that a majority has found dead.
func (n mapOf) Evict(name string) {
	if !slices.Contains(n.memberNames(), name) {
		return // another of the majority was faster
	}
	if err := n.members.Remove(name); err != nil {
		n.log.Debug("a dead member is not removed", "member", name, "error", err)
		return
	}
	n.evictions.Add(1)
	n.log.Warn("a majority has found a member dead: it is removed", "member", name, "after", n.cfg.EvictAfter)
}

// Leave implements server.Cluster: it begins to hand all that the node holds over to the others. When that is done the node is no member any
// more, and Left is closed. It may be called again.
func (n *Node) Leave() (api.Leaving, error) {
	if n.stopping.Load() {
		return api.Leaving{}, kv.ErrStopping
	}
	if err := n.members.BeginLeave(); err != nil {
		return api.Leaving{}, fmt.Errorf("%w: %w", server.ErrCannotLeave, err)
	}
	n.leaveMu.Lock()
	if !n.leaving {
		n.leaving = true
		n.serving.Go(n.leave)
	}
	n.leaveMu.Unlock()
	return api.Leaving{
		Node: n.cfg.Name, State: api.StateLeaving, Partitions: n.plane.Repairer.Leaving(), Bytes: n.store.Stats().Bytes,
		Message: "this node hands what it holds over to the others, and ends when that is done; " +
			"GET /cluster at another node shows how far it is (moving, hand_over), and does not list it any more when it has left",
	}, nil
}

// Left is closed when the node has left the cluster: all that is left to do is Shutdown.
func (n *Node) Left() <-chan struct{} { return n.left }

const leavePoll = 50 * time.Millisecond

// leave waits until nothing is left to hand over, and says goodbye.
func (n *Node) leave() {
	n.log.Info("leaving: handing over what this node holds")
	poll := time.NewTicker(leavePoll)
	defer poll.Stop()
	for n.plane.Repairer.Leaving() > 0 && n.isLeaving() {
		select {
		case <-poll.C:
		case <-n.quit:
			return
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), helloTimeout)
	defer cancel()
	if err := n.members.Left(ctx); errors.Is(err, membership.ErrNotLeaving) {
		n.log.Warn("not leaving after all", "error", err)
		n.leaveMu.Lock()
		n.leaving = false // it may be asked again
		n.leaveMu.Unlock()
		return
	} else if err != nil {
		n.log.Warn("not all members could be told", "error", err)
	}
	n.log.Info("left the cluster")
	close(n.left)
}

// isLeaving says whether the members take this node for one that leaves, still: of several that all leave, one stays.
func (n *Node) isLeaving() bool {
	return slices.ContainsFunc(n.members.All(), func(m wire.Member) bool {
		return m.Name == n.cfg.Name && m.State != wire.Active
	})
}

// removePatience is how long a member that does not answer any more may take to be found down by who is asked to remove it.
const removePatience = 500 * time.Millisecond

// Remove implements server.Cluster: it takes a member that is down off the ring. One that seems to be up is asked before it is refused: it
// may have died since it was asked last.
func (n *Node) Remove(name string) error {
	name = wire.CanonicalAddr(name)
	err := n.members.Remove(name)
	if errors.Is(err, membership.ErrLive) {
		n.plane.Topology.Heard(name)
		for end := time.Now().Add(removePatience); errors.Is(err, membership.ErrLive) && time.Now().Before(end); {
			time.Sleep(leavePoll)
			err = n.members.Remove(name)
		}
	}
	switch {
	case errors.Is(err, membership.ErrUnknownMember):
		return fmt.Errorf("%w: %q; the members are %s", server.ErrNoMember, name, strings.Join(n.memberNames(), ", "))
	case errors.Is(err, membership.ErrLive), errors.Is(err, membership.ErrSelf):
		return fmt.Errorf("%w: %s; have it leave (httpdhs leave %s), or stop it first", server.ErrMemberUp, name, name)
	case err != nil:
		return err
	}
	n.log.Info("member removed", "member", name)
	return nil
}

func (n *Node) memberNames() (names []string) {
	for _, m := range n.members.Members() {
		names = append(names, m.Name)
	}
	return names
}

// memberHosts are the hosts on which members are, or may be.
func (n *Node) memberHosts() (all []string) {
	for _, name := range append(n.memberNames(), n.cfg.Join...) {
		all = append(all, hostOf(name))
	}
	return all
}
