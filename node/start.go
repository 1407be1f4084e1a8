package node

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"httpdhs/kv"
	"httpdhs/membership"
)

// start is how far a node with a disk has come before it takes part. Until then it answers hellos,
// says how far it is, and refuses all else.
type start struct {
	stage   atomic.Pointer[func() string]
	away    atomic.Pointer[membership.Away] // nil: the node was not away for long
	consent atomic.Pointer[consent]         // nil: none is waited for
	loaded  chan struct{}                   // closed when load has ended, or is not called
}

// prepare is called before anything else.
func (s *start) prepare(p *parts) {
	s.loaded = make(chan struct{})
	if p.cfg.Disk == nil {
		close(s.loaded)
		return
	}
	s.say(func() string { return loading(p.cfg.Disk.Progress()) })
}

// say has the node tell why it does not take part yet; nil: it does.
func (s *start) say(stage func() string) {
	if stage == nil {
		s.stage.Store(nil)
		return
	}
	s.stage.Store(&stage)
}

// reason says why the node does not take part yet; "": it does.
func (s *start) reason() string {
	if stage := s.stage.Load(); stage != nil {
		return (*stage)()
	}
	return ""
}

// err is reason as a kv.ErrStarting; nil: there is none.
func (s *start) err() error {
	if reason := s.reason(); reason != "" {
		return fmt.Errorf("%w: %s", kv.ErrStarting, reason)
	}
	return nil
}

// wait waits until load has ended, which it does soon once the node stops.
func (s *start) wait() { <-s.loaded }

func loading(done, total int64) string {
	if total <= 0 {
		return "loading"
	}
	return fmt.Sprintf("loading: %d %%", min(max(done, 0)*100/total, 100))
}

// begin has the node take part.
func (n *Node) begin() {
	n.roster.begin(n.hosts) // before the topology, which asks it for hellos
	n.plane.Start()
	n.start.say(nil)
}

// load starts a node with a disk, and ends serving where that cannot be. Then it goes on to look at
// the addresses to join, until each has answered.
func (n *Node) load() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	n.serving.Go(func() {
		select {
		case <-n.quit:
			cancel()
		case <-ctx.Done():
		}
	})
	err := n.loadAndBegin(ctx)
	close(n.start.loaded)
	switch {
	case err == nil:
		n.members.VisitAll(ctx)
	case ctx.Err() == nil:
		n.log.Error("this node ends", "error", err)
		n.fail(err)
	}
}

// loadAndBegin goes through the stages in their order. Whether the directory is of another cluster
// is looked at first. Nobody reads or pulls from the node before it knows that its data is not
// stale.
func (n *Node) loadAndBegin(ctx context.Context) error {
	if _, err := n.members.Visit(ctx); err != nil {
		return err
	}
	began := time.Now()
	if err := n.cfg.Disk.Load(ctx, n.store); err != nil {
		return fmt.Errorf("cannot load what this node held: %w", err)
	}
	n.clock.Resume(n.cfg.Disk.Newest())
	if err := n.suspect(ctx); err != nil {
		return err
	}
	at := membership.Millis(n.cfg.Disk.InSyncAt())
	stats := n.store.Stats()
	n.log.Info("loaded", "keys", stats.Keys, "tombstones", stats.Tombstones, "bytes", stats.Bytes,
		"in_sync_at", whenOr(at, "never"), "after", time.Since(began).Round(time.Millisecond))
	n.synced.Loaded(at)
	since := max(at, membership.Millis(n.cfg.Disk.Began())) // what it has is no older
	verdict := membership.Verdict{InSyncAt: since}
	holds := stats.Keys+stats.Tombstones > 0
	if holds {
		var err error
		if verdict, err = n.wasAway(ctx, since); err != nil {
			return err
		}
	}
	if verdict.Empty {
		if err := n.empty(); err != nil {
			return err
		}
	}
	if holds {
		n.synced.GoesOn(verdict)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := n.roster.follow(); err != nil {
		return err
	}
	n.begin()
	return nil
}

// wasAway finds out what becomes of the data of this node, which was in sync so long ago.
func (n *Node) wasAway(ctx context.Context, at int64) (membership.Verdict, error) {
	verdict, away := n.members.Return(at, n.wall.Now(), n.cfg.TombstoneGrace)
	if away == nil && !verdict.Empty {
		return verdict, nil
	}
	most := membership.AwayMost(n.cfg.TombstoneGrace)
	long := fmt.Sprintf("longer than half of --tombstone-grace (%s > %s)", n.wall.Now().Sub(time.UnixMilli(at)).Round(time.Second), most)
	if at == 0 {
		long = "for an unknown time, for it was never in sync"
	}
	if away == nil {
		n.log.Warn("away " + long + ", and no member any more: starts empty, and fetches all from the others")
		return verdict, nil
	}
	n.start.away.Store(away)
	n.start.say(func() string {
		waits := away.Waits()
		if waits == nil {
			return "away " + long + ": asks whether others went on without it"
		}
		return fmt.Sprintf("away %s, and others may have gone on without it: waits for %v; start these, or give up what they alone have (httpdhs recover --accept-loss %s)",
			long, waits, n.cfg.Name)
	})
	n.log.Warn("away " + long + ": asks all members whether they went on without it, and does not serve before that is known")
	verdict, err := away.Decide(ctx)
	switch {
	case err != nil:
	case verdict.Empty:
		n.log.Warn("away "+long+": starts empty, and fetches all from the others",
			"in_sync_later", verdict.By, "at", time.UnixMilli(verdict.InSyncAt).UTC())
	default:
		n.log.Info("goes on with what it holds: no member is known to have gone on without it")
	}
	return verdict, err
}

// empty forgets all that was loaded.
func (n *Node) empty() error {
	for part := range n.store.Partitions() {
		n.store.Drop(part)
	}
	if err := n.cfg.Disk.Empty(); err != nil {
		return fmt.Errorf("cannot forget what this node held: %w", err)
	}
	return nil
}

// whenOr is a time in milliseconds since the Unix epoch in words; 0: otherwise.
func whenOr(at int64, otherwise string) string {
	if at == 0 {
		return otherwise
	}
	return time.UnixMilli(at).UTC().Format(time.RFC3339)
}
