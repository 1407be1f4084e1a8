package replicate

import (
	"fmt"
	"math"
	"time"

	"httpdhs/kv"
	"httpdhs/rebalance"
)

// Ping is what a node tells of itself: in each probe, and in its answer to one.
type Ping struct {
	Name     string
	Boot     uint64 // drawn at start: tells a restart from a pause
	Settings string // of the ring: they have to be equal
	Clock    kv.Version
	Wall     int64 // its wall clock, Unix microseconds
	Lead     int64 // how far ahead of that it stamps, microseconds
	Machine  int64 // what its machine's clock reads, Unix microseconds
	Synced   bool  // it holds all that it owns by the ring that it reads by
	Stopping bool

	// Number grows with each ping of a boot: messages cross.
	Number uint64

	// Said is its part in the protocol by which rings change.
	Said rebalance.Statement

	// Term counts how often it came to be in sync. In each it decides conditions only once all that are up heed it.
	Term uint64

	// Moving is what it is fetching; nil: nothing.
	Moving *Moving

	// HandOver is how many partitions it has still to hand over, while the ring changes or it leaves.
	HandOver int

	// Dead are the members that have been down to it for so long that it would have them removed.
	Dead []string

	// Sees is how it sees each peer that it has heard from, by the peer's boot.
	Sees map[uint64]Sight

	// Heeds has how often each peer, by its boot, has taken it for down, as far as it knows: after each time it gave up what
	// it held.
	Heeds map[uint64]uint64

	Keys       int64
	Bytes      int64
	Tombstones int64
	Memory     Memory
	Version    string
	Started    time.Time

	to   uint64 // of an answer: the Seq of the statement that it answers
	told uint64 // of an answer: how often this node had taken the peer for down when it asked
}

// Sight is how a node sees a peer: see "Being taken for down" in docs/design/membership.md.
type Sight struct {
	Downs  uint64 // grows when it takes the peer for down, and when the peer is live again
	Live   bool
	Term   uint64 // of the peer that it heeds
	Counts bool   // it has delivered what it kept for the peer, and what began before it met the peer is over
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

// countMax is more than a node counts of anything while it runs: a million a second for nine years.
const countMax = 1 << 48

// check says what in a ping no node says: what is worked out from it would take without end, or
// be no number, or nothing that comes after it would count.
func (p *Ping) check() error {
	switch {
	case p.most() > countMax:
		return fmt.Errorf("%w: ping: it counts to %d", errMessage, p.most())
	case p.Wall < 0 || p.Wall > latestMicros || p.Machine < 0 || p.Machine > latestMicros,
		p.Lead < -latestMicros || p.Lead > latestMicros:
		return fmt.Errorf("%w: ping: its clock reads %d, its machine's %d, and it leads by %d", errMessage, p.Wall, p.Machine, p.Lead)
	case p.Started.Year() < 1 || p.Started.Year() > 9999:
		return fmt.Errorf("%w: ping: it started in the year %d", errMessage, p.Started.Year())
	case p.Moving != nil && p.Moving.Seconds != 0 && !(p.Moving.Seconds >= 1e-9 && p.Moving.Seconds <= 1e12):
		return fmt.Errorf("%w: ping: it has been moving for %g seconds", errMessage, p.Moving.Seconds)
	}
	return nil
}

// most is the largest of all that a node counts. Of each the larger is the later, or is what has to
// be heeded.
func (p *Ping) most() uint64 {
	most := max(p.Number, p.Said.Seq, p.Term)
	for _, sight := range p.Sees {
		most = max(most, sight.Downs, sight.Term)
	}
	for _, downs := range p.Heeds {
		most = max(most, downs)
	}
	return most
}

// counted says whether this node counts on the peer: it is up, and has been sent all that was kept for it.
func (p *Peer) counted() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.countedLocked()
}

func (p *Peer) countedLocked() bool {
	return p.State() == Up && !p.settling && p.met < p.host.oldest()
}

// mayBeSynced says whether the peer is worth asking for what only one in sync
// can answer, when its answer says itself whether it is: one that came to be in
// sync a moment ago, and was never taken for down, has not said so yet.
func (p *Peer) mayBeSynced() bool {
	if p.isSynced() {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.believedLocked()
}

// believeLocked takes note of what the peer says of itself. missed: others, the peer at least, have gone on without this node.
//
// A peer that was down here has missed what this node coordinated meanwhile, and what was kept for it may have been dropped. It learns so from the
// count in this node's Sees; then it gives up what it holds, and only afterwards says in its Heeds that it knows. Until then nothing
// that it says to hold is believed. missed is the same the other way round.
func (p *Peer) believeLocked(ping *Ping) (missed bool) {
	if ping.Boot != p.ping.Boot {
		p.meetLocked(ping.Boot)
	} else if ping.Number < p.ping.Number {
		return false // overtaken by a later one
	}
	p.seenDowns = max(p.seenDowns, ping.Sees[p.boot].Downs)
	p.ping = *ping
	return p.heeded < p.seenDowns
}

// meetLocked begins anew with a peer that was restarted, or is heard for the first time.
func (p *Peer) meetLocked(boot uint64) {
	switch {
	case p.ping.Boot != 0:
		p.downs = 0
	case p.past.boot == boot, p.past.boot == 0: // 0: it was not heard then, and may have been this one
		p.downs += p.past.downs
	} // else it was found down before it was ever heard, or not, and that counts
	p.past = past{}
	p.seenDowns, p.heeded, p.answeredTo = 0, 0, 0
	p.heeding = heeding{}
	p.met = math.MaxUint64 // until the host says which operations began before
}

// past is what is left of a peer that was no member for a while.
type past struct{ boot, downs uint64 }

// believedLocked says whether what the peer says to hold may be believed.
func (p *Peer) believedLocked() bool {
	return p.State() != Down && p.ping.Heeds[p.boot] == p.downs
}
