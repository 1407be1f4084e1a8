package wire

import (
	"fmt"
	"time"

	"httpdhs/kv"
	"httpdhs/rebalance"
)

// Ping is what a node tells another of itself: in each probe, and in its answer to one. It says
// nothing of third nodes but who is dead, so its length does not grow with the members.
type Ping struct {
	Name     string
	Boot     uint64 // drawn at start: tells a restart from a pause
	Settings string // of the ring: they have to be equal
	Clock    kv.Version
	Wall     int64 // its wall clock, Unix microseconds
	Lead     int64 // how far ahead of that it stamps, microseconds
	Machine  int64 // what its machine's clock reads, Unix microseconds
	InSync   bool  // it holds all that it owns by the ring that it reads by
	Stopping bool

	// Figures asks for an answer with the figures below as they are now. Else they may be those of
	// a moment ago, as counting takes a while.
	Figures bool

	// Number grows with each ping of a boot: messages cross.
	Number uint64

	// Said is its part in the protocol by which rings change.
	Said rebalance.Statement

	// PrimaryEpoch counts its primary epochs. In each it decides conditions only once
	// all that are up have acknowledged it.
	PrimaryEpoch uint64

	// Moving is what it is fetching; nil: nothing.
	Moving *Moving

	// HandOver is how many partitions it has still to hand over, while the ring changes or it
	// leaves.
	HandOver int

	// Dead are the members that have been down to it for so long that it votes to remove them.
	Dead []string

	// Sees is how it sees the node that it speaks to.
	Sees Sight

	// Heard is the largest Number of that node's pings, of Sees.Boot, that it has drawn its
	// conclusions from; 0: none. It took that one in Held microseconds ago. So a question proves
	// as much as an answer does.
	Heard uint64
	Held  int64

	Keys       int64
	Bytes      int64
	Tombstones int64
	Memory     Memory
	Disk       Disk
	Version    string
	Resp       string // host:port where it speaks the Redis protocol; empty: nowhere
	Started    time.Time

	// UnderReplicated are the keys that it counts with too few copies in sync.
	UnderReplicated int64
}

// Sight is how a node sees the peer that it speaks to: see "Being taken for down" in
// docs/design/membership.md. It is of one process: another at that name takes nothing from it.
type Sight struct {
	Boot         uint64 // of the peer, as it last heard; 0: not yet, and all else is zero
	Suspicion    uint64 // epoch; grows when it takes the peer for down, and when the peer is live again
	Live         bool
	PrimaryEpoch uint64 // of the peer, that it has acknowledged
	Counts       bool   // it has delivered what it kept for the peer, and what began before it met the peer is over

	// Acknowledged is the peer's suspicion epoch of the node that it has acknowledged: it knows
	// that the peer has taken it for down, and has given up what it held.
	Acknowledged uint64
}

// Of is what is said of the process of that boot: nothing, if another was meant.
func (s Sight) Of(boot uint64) Sight {
	if s.Boot != boot {
		return Sight{}
	}
	return s
}

// Moving is how far a node is with fetching what it owns by a ring.
type Moving struct {
	Ring       string
	Partitions int     // to compare, each once for each owner that is asked
	Done       int     // of them
	Bytes      int64   // fetched
	Seconds    float64 // since it began
}

// Memory is what a node's store takes, by kind, in bytes, and what it has evicted.
type Memory struct {
	Live     int64 // records that are held
	Dead     int64 // where records were
	Segments int64 // all that records lie in
	Index    int64
	Max      int64 // the bound; 0: none

	Evicted      int64 // entries, since the start
	EvictedBytes int64
}

// Disk is what a node's log takes, in bytes; all is 0 where nothing is on disk.
type Disk struct {
	Bytes    int64
	Unsynced int64 // written, and not synced
	Max      int64 // the bound; 0: none
	Faults   int64 // 1: it does not take writes
}

// countMax is more than a node counts of anything while it runs: a million a second for nine years.
const countMax = 1 << 48

// check says what in a ping no node says. What is worked out from it would take without end, or be
// no number, or nothing that comes after it would count.
func (p *Ping) check() error {
	switch {
	case p.most() > countMax:
		return fmt.Errorf("%w: ping: it counts to %d", ErrMalformed, p.most())
	case p.Wall < 0 || p.Wall > latestMicros || p.Machine < 0 || p.Machine > latestMicros,
		p.Lead < -latestMicros || p.Lead > latestMicros:
		return fmt.Errorf("%w: ping: its clock reads %d, its machine's %d, and it leads by %d", ErrMalformed, p.Wall, p.Machine, p.Lead)
	case p.Held < 0 || p.Held > latestMicros:
		return fmt.Errorf("%w: ping: it has held one for %d", ErrMalformed, p.Held)
	case p.Started.Year() < 1 || p.Started.Year() > 9999:
		return fmt.Errorf("%w: ping: it started in the year %d", ErrMalformed, p.Started.Year())
	case p.Moving != nil && p.Moving.Seconds != 0 && !(p.Moving.Seconds >= 1e-9 && p.Moving.Seconds <= 1e12):
		return fmt.Errorf("%w: ping: it has been moving for %g seconds", ErrMalformed, p.Moving.Seconds)
	}
	return nil
}

// most is the largest of all that a node counts. Of each the larger is the later, or is what has to
// be acknowledged.
func (p *Ping) most() uint64 {
	return max(p.Number, p.Said.Seq, p.PrimaryEpoch, p.Sees.Suspicion, p.Sees.PrimaryEpoch, p.Sees.Acknowledged, p.Heard)
}
