package placement

import (
	"errors"
	"sync/atomic"
	"time"

	"httpdhs/kv"
	"httpdhs/peer"
)

// ErrNotInSync is why a node does not have all that it owns yet, though nothing broke.
var ErrNotInSync = errors.New("not in sync")

// ErrNoRoom is why a node does not become an owner.
var ErrNoRoom = errors.New("it has too little memory, or room on its disk, for what it is to own: give it more, or let it leave")

// Board is where the topology writes what follows from it for everybody else.
type Board struct {
	Refused Refusals // what this node refused: see there

	lease lease
	view  atomic.Pointer[View]
	held  atomic.Pointer[[]bool] // partitions that there is authority for

	ready     atomic.Bool   // operations may begin
	inSync    atomic.Bool   // this node holds the ring that it reads by, and is on it
	stable    atomic.Bool   // and no ring is changing
	fence     atomic.Uint64 // how often others went on without this node
	restarted atomic.Bool   // a peer was, or is met for the first time

	changed chan struct{} // of capacity one
}

// NewBoard makes one of a node that knows nothing yet. Authority lapses when no prober has been
// alive for as long as the lease.
func NewBoard(partitions int, lease time.Duration) *Board {
	b := &Board{Refused: newRefusals(partitions), lease: newLease(lease), changed: make(chan struct{}, 1)}
	b.held.Store(new([]bool))
	return b
}

// Partitions is how many there are.
func (b *Board) Partitions() int { return len(b.Refused.parts) }

// View is the present one; nil: there are no members yet.
func (b *Board) View() *View { return b.view.Load() }

// Enter returns the view to go by; Leave is called when the operation is over.
func (b *Board) Enter() *View {
	for {
		v := b.view.Load()
		v.ops.Add(1)
		if b.view.Load() == v {
			return v
		}
		b.Leave(v) // who replaced it may have looked at ops before
	}
}

// Leave is the end of an operation that went by the view.
func (b *Board) Leave(v *View) {
	if v.ops.Add(-1) == 0 && v.retired.Load() {
		b.Wake()
	}
}

// Passing says whether the view is on its way out: what it could not do, the next may.
func (b *Board) Passing(v *View) bool { return b.view.Load() != v || v.Moving() }

// Holds says whether this node has authority for a partition. Then what it lacks does not exist,
// except what it has refused.
func (b *Board) Holds(partition int) bool {
	held := *b.held.Load()
	return partition < len(held) && held[partition] && !b.lease.lapsed()
}

// Whole says whether this node has authority for a partition and has refused nothing of it.
func (b *Board) Whole(partition int) bool { return b.Holds(partition) && !b.Refused.Any(partition) }

// Lapsed says that this node may have been taken for down, and has not looked yet whether it was.
func (b *Board) Lapsed() bool { return b.lease.lapsed() }

// Fence counts how often others went on without this node. What began at another count must not be
// acknowledged as it is.
func (b *Board) Fence() uint64 { return b.fence.Load() }

// Ready says whether operations may begin here.
func (b *Board) Ready() bool { return b.ready.Load() }

// InSync says whether this node holds all that it owns by the ring that is read, and owns anything.
func (b *Board) InSync() bool { return b.inSync.Load() && !b.lease.lapsed() }

// Stable says whether this node is in sync, or is to hold nothing, and no ring is changing.
func (b *Board) Stable() bool { return b.stable.Load() && !b.lease.lapsed() }

// SaidInSync is what SetInSync said last, whatever the lease says.
func (b *Board) SaidInSync() bool { return b.inSync.Load() }

// SaidStable is what SetStable said last, whatever the lease says.
func (b *Board) SaidStable() bool { return b.stable.Load() }

// Changed has a token when there may be something to claim, to compare or to hand over.
func (b *Board) Changed() <-chan struct{} { return b.changed }

// Wake puts it there.
func (b *Board) Wake() {
	select {
	case b.changed <- struct{}{}:
	default:
	}
}

// Restarted says that a peer was restarted. The peer forgot what it knew of this node and what it
// kept for it, so this node may lack something that all others have.
func (b *Board) Restarted() bool { return b.restarted.Load() }

// Compared says that this node has looked, or is about to. It returns what Restarted was.
func (b *Board) Compared() bool { return b.restarted.Swap(false) }

// Refuse notes a version that this node was to store and did not, and why.
func (b *Board) Refuse(hash uint64, version kv.Version, why error) {
	b.Refused.note(b.view.Load().Partition(hash), hash, version, why)
}

// Source is whom to pull from, and what.
type Source struct {
	Peer       *peer.Peer
	Sure       bool // its answers have to say that it has authority
	Seldom     bool // this node asks it nothing else: its connections are closed afterwards
	Partitions []int
}

// Puller fetches what a claim needs. A partition is doubtful if a source that was asked for its
// authority has lost it, and no other such source has it.
type Puller func(*Pull) (doubtful []int, err error)

// Pull is what a claim needs fetched before this node has authority for a ring.
type Pull struct {
	Ring   string // its name
	From   []Source
	Wanted func() bool                 // says whether the ring is wanted still
	Had    func(partitions []int) bool // says whether this node has had them all since it was started
}
