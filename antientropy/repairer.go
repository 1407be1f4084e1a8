package antientropy

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"httpdhs/kv"
	"httpdhs/peer"
	"httpdhs/placement"
	"httpdhs/ring"
	"httpdhs/wire"
)

const (
	// driftEvery is the time between two looks for drift, and between two attempts to fetch what
	// was refused.
	driftEvery = 10 * time.Second

	// soon is the pause before the next step while this node is not in sync, or a ring is changing.
	soon = 50 * time.Millisecond

	// later is the pause after something broke, or while there is something left to hand over.
	later = time.Second
)

// Store is what this node holds.
type Store interface {
	// ApplySync merges a record that was found at another owner: what may have been evicted here is
	// not brought back.
	ApplySync(hash uint64, r *kv.Record) (kv.Applied, error)
	// Evicted says whether the partition has ever evicted anything: owners differ then, and that is
	// no fault.
	Evicted(partition int) bool
	Scan(partition int, from uint64, fn func(hash uint64, r *kv.Record) bool)
	Digests(partition int, dst *[wire.DigestBuckets]uint64)
	Digest(partition int) uint64 // of them all; 0: it has no entries
	// Sync waits until all that is held is on the disk, if the store has one.
	Sync() error
	// DropIf forgets a partition if its digests are these; false: they are not.
	DropIf(partition int, digests *[wire.DigestBuckets]uint64) bool
}

// Topology is what the cluster is.
type Topology interface {
	Advance()                          // takes the steps that take a while
	Claim(pull placement.Puller) error // gets authority, as far as it can
	Claiming() bool                    // there is something to claim
	Boot(p *peer.Peer) uint64          // of a peer's process, as it last said
	Target() *ring.Table               // the ring to come; nil: there is none
}

// Options are the settings of a Repairer.
type Options struct {
	Name     string // this node's
	Boot     uint64
	Board    *placement.Board
	Store    Store
	Clock    *kv.Clock
	Topology Topology
	Grace    kv.Grace // of tombstones
	Log      *slog.Logger

	// Rate bounds what is fetched and handed over, in bytes a second; 0: no bound.
	Rate int

	// Random is a number from 0 up to 1; safe for concurrent use. nil: math/rand/v2.
	Random func() float64
}

// Counters count since the start.
type Counters struct {
	Pulled      atomic.Int64 // records fetched
	PulledBytes atomic.Int64
	HandedOver  atomic.Int64 // records given to the owners that this node is not
	Refused     atomic.Int64 // records stamped too far ahead of this node's clock
}

// Repairer is the loop, and what others ask of it: see the package comment.
type Repairer struct {
	Counters

	opt      Options
	board    *placement.Board
	topology Topology
	pace     pace
	own      holdings
	puller   puller
	giver    giver

	drift    time.Time    // when it was last looked for; of the loop alone
	waits    time.Time    // since when this node is not in sync, or has last kept up; the same
	owed     []*peer.Peer // who was not in sync when all were to be looked at; the same
	caught   time.Time    // when catchUp was called last; the same
	catching int          // partition that it goes on from; the same

	stopping atomic.Bool
	quit     chan struct{}
	closing  sync.Once
	done     sync.WaitGroup
}

// New makes a repairer. Start starts its loop.
func New(o *Options) *Repairer {
	r := &Repairer{opt: *o, board: o.Board, topology: o.Topology, quit: make(chan struct{})}
	r.pace = newPace(o.Rate, r.quit)
	r.own = holdings{store: o.Store, clock: o.Clock, grace: o.Grace, partitions: o.Board.Partitions()}
	r.puller.own, r.puller.board, r.puller.pace = &r.own, r.board, &r.pace
	r.puller.remote, r.puller.counters, r.puller.stopping = r.remote, &r.Counters, &r.stopping
	r.giver = giver{
		own: &r.own, board: r.board, pace: &r.pace, remote: r.remote, counters: &r.Counters, stopping: &r.stopping, log: o.Log,
	}
	if r.opt.Random == nil {
		r.opt.Random = rand.Float64
	}
	return r
}

// Start starts the loop.
func (r *Repairer) Start() { r.done.Go(r.loop) }

// Stop ends the loop, when the peer that it waits for is closed. Close waits for it.
func (r *Repairer) Stop() {
	r.stopping.Store(true)
	r.closing.Do(func() { close(r.quit) })
}

// Close ends the loop and waits for it.
func (r *Repairer) Close() {
	r.Stop()
	r.done.Wait()
}

// Moving is how far this node is with fetching what it owns by a ring; nil: it fetches nothing.
func (r *Repairer) Moving() *wire.Moving { return r.puller.moving.Load() }

func (r *Repairer) loop() {
	for {
		wait := r.step()
		select {
		case <-time.After(wait):
		case <-r.board.Changed():
		case <-r.quit:
			return
		}
	}
}

// step does what is to be done now, and returns how long to wait before the next step if nothing
// happens.
func (r *Repairer) step() time.Duration {
	if r.board.View() == nil {
		return time.Second // there are no members yet
	}
	r.topology.Advance()
	r.catchUp()
	switch err := r.claim(); {
	case r.stopping.Load():
		return 0
	case errors.Is(err, placement.ErrNotInSync):
		r.keepUp()
		return soon
	case err != nil:
		return later
	}
	r.waits = time.Time{}
	if r.board.Restarted() || time.Since(r.drift) >= driftEvery {
		r.drift = time.Now()
		r.lookForDrift()
	}
	left := r.giver.handOver()
	switch {
	case !r.board.Stable(), r.board.Restarted():
		return soon
	case left > 0:
		return later
	}
	return driftEvery
}

func (r *Repairer) claim() error {
	was := r.board.SaidInSync()
	err := r.topology.Claim(r.puller.pull)
	if !was && r.board.SaidInSync() {
		r.opt.Log.Info("in sync", "ring", fmt.Sprintf("%016x", r.board.View().Read.Fingerprint()), "records_fetched", r.Pulled.Load())
	}
	return err
}
