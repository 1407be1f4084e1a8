package topology

import (
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"httpdhs/placement"
	"httpdhs/rebalance"
	"httpdhs/ring"
)

// rings is this node's part in the protocol of package rebalance, and the rings behind it.
type rings struct {
	self    string
	state   rebalance.State
	target  rebalance.Ring // of all active members; 0: there are none yet
	tables  map[rebalance.Ring]*ring.Table
	unknown map[rebalance.Ring]string // rings that are wanted, and at whom to ask who is on them

	established []rebalance.Ring     // by them somebody reads: their members have had their share
	since       map[string]time.Time // when nodes came onto these; nil: nothing but guesses yet

	serial  uint64            // of the view
	retired []*placement.View // replaced, with operations that may go by them still
	oldest  *atomic.Uint64    // serial of the oldest view that operations may still go by

	heldFor []rebalance.Ring // by which authority was worked out
	had     []bool           // by partition: this node owns it, and had authority for it since it was started
	hadBy   *placement.View  // by which had was worked out
}

func newRings(self string, oldest *atomic.Uint64) rings {
	return rings{self: self, oldest: oldest, tables: make(map[rebalance.Ring]*ring.Table), unknown: make(map[rebalance.Ring]string)}
}

func ringName(x rebalance.Ring) string { return fmt.Sprintf("%016x", uint64(x)) }

// aim makes the ring of these nodes the target.
func (r *rings) aim(t *ring.Table) {
	r.target = rebalance.Ring(t.Fingerprint())
	if r.tables[r.target] == nil {
		r.tables[r.target] = t
	}
}

// known says whether it is known who is on a ring.
func (r *rings) known(x rebalance.Ring) bool { return r.tables[x] != nil }

// on says whether a node is on a ring, as far as that is known.
func (r *rings) on(name string, x rebalance.Ring) bool {
	if r.tables[x] == nil {
		return false
	}
	if name == rebalance.Self {
		name = r.self
	}
	_, on := r.tables[x].Index(name)
	return on
}

// gains says whether a node owns something in the target that it owns in none of the rings. Of a
// ring that is not known it owns nothing.
func (r *rings) gains(name string, others []rebalance.Ring) bool {
	if slices.Contains(others, r.target) {
		return false
	}
	owned := r.owned(name, r.target)
	for _, x := range others {
		for part, owns := range r.owned(name, x) {
			owned[part] = owned[part] && !owns
		}
	}
	return slices.Contains(owned, true)
}

// owned are the partitions that a node owns by a ring; nil: it is not known.
func (r *rings) owned(name string, x rebalance.Ring) []bool {
	table := r.tables[x]
	if table == nil {
		return nil
	}
	owned := make([]bool, table.Partitions())
	if self, ok := table.Index(name); ok {
		for part := range owned {
			owned[part] = slices.Contains(table.Owners(part), uint16(self))
		}
	}
	return owned
}

// wonder notes which rings a live member wants that this node does not know. A member that writes a
// ring knows it. Others want it for the writer's sake, and may not know it either.
func (r *rings) wonder(name string, said *rebalance.Statement) {
	for _, x := range said.Wants {
		if asked := r.unknown[x]; r.tables[x] == nil && (asked == "" || slices.Contains(said.Writes, x) || said.Reads == x) {
			r.unknown[x] = name
		}
	}
}

// retire forgets views by which no operation goes any more, and says whether all go by the present
// one.
func (r *rings) retire(present *placement.View) bool {
	r.retired = slices.DeleteFunc(r.retired, (*placement.View).Idle)
	if len(r.retired) == 0 {
		r.oldest.Store(present.Serial)
		return true
	}
	r.oldest.Store(r.retired[0].Serial)
	return false
}

// forget lets go of the rings that nobody needs any more.
func (r *rings) forget() {
	for x := range r.tables {
		if !slices.Contains(r.state.Writes(), x) && x != r.target && !slices.Contains(r.state.Said().Wants, x) {
			delete(r.tables, x)
		}
	}
}

// noteReaders notes when nodes came onto the rings by which somebody reads. A node that was just
// started has not seen who came when. So it notes the zero time for those on the first rings that
// are no guess.
func (r *rings) noteReaders() {
	if said := r.state.Said(); said.Guess && slices.Equal(r.established, []rebalance.Ring{said.Reads}) {
		return
	}
	since := make(map[string]time.Time)
	for _, x := range r.established {
		if r.tables[x] == nil {
			return
		}
		for _, n := range r.tables[x].Nodes() {
			came, known := r.since[n.Name]
			if !known && r.since != nil {
				came = time.Now()
			}
			since[n.Name] = came
		}
	}
	r.since = since
}

// cameAfter says whether a node came onto the rings by which somebody reads after a moment.
func (r *rings) cameAfter(name string, moment time.Time) bool {
	came, known := r.since[name]
	return came.After(moment) || !known && r.since != nil
}

// joining says whether a member is on none of the rings by which somebody reads, and so has never
// had its share.
func (r *rings) joining(name string) bool {
	for _, x := range r.established {
		if r.tables[x] == nil || r.on(name, x) {
			return false
		}
	}
	return true
}
