package topology

import (
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"httpdhs/kv"
	"httpdhs/wire"
)

// clocks keeps this node's clock with those of the members, and knows how far apart they stamp.
type clocks struct {
	wall   *kv.Wall // nil: it is left alone
	clock  *kv.Clock
	log    *slog.Logger
	inSync func() bool

	looks pacer               // of looking at all members
	lag   atomic.Pointer[lag] // of the member whose stamps may be furthest behind; nil: there are no others

	mu       sync.Mutex // guards all below; members' locks may be taken under it
	bound    bool       // the clock is ahead, and cannot be moved back so far
	followed time.Time  // when the lead of its stamps was last looked at
}

// sample is what a peer said of the time, and when that was by this process's monotonic clock. So
// it stays right when this node's clock is moved.
type sample struct {
	boot        uint64
	machine     time.Time // by its machine's clock
	node        time.Time // by the clock that it goes by
	stamped     time.Time // of its last version
	established bool      // it was in sync
	at          time.Time
	slack       time.Duration // by which at may be off
}

// reading is a sample beside the time by this node's clock.
type reading struct {
	machine     time.Duration // how far the peer's machine's clock is ahead
	node        time.Duration // how far the clock is that it goes by
	stamped     time.Duration // how far its last version is
	resumed     time.Duration // how far the newest is that it has from its disk; known of this node alone
	established bool          // it was in sync
	slack       time.Duration // by which all of them may be off
}

// readingFor is how long a sample counts.
const readingFor = 5 * time.Second

// readClock takes note of the time that an answer to a probe carries. The probe took rtt, and
// this node's stamping clock read began before it.
// One that took long says too little.
func (m *member) readClock(ping *wire.Ping, rtt time.Duration, began time.Time) {
	if rtt > probeTimeout {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.clock.boot != ping.Boot {
		m.lag = lag{} // it stamps by another clock now
	}
	stamps := time.UnixMicro(ping.Wall + ping.Lead)
	m.lag.learn(began.Sub(stamps), m.t.clock.Reading().Sub(stamps), time.Now())
	m.clock = sample{
		boot: ping.Boot, machine: time.UnixMicro(ping.Machine), node: time.UnixMicro(ping.Wall), stamped: ping.Clock.Time(),
		established: ping.InSync, at: time.Now().Add(-rtt / 2), slack: rtt / 2,
	}
}

// reading compares the last sample, if it counts still, with what this node's clock reads now.
func (m *member) reading(here time.Time) (r reading, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.clock.beside(here)
}

// beside compares a sample, if it counts still, with what this node's clock reads now.
func (s *sample) beside(here time.Time) (r reading, ok bool) {
	if s.at.IsZero() || time.Since(s.at) >= readingFor {
		return r, false
	}
	here = here.Add(-time.Since(s.at)) // what it read then, as it goes now
	return reading{
		machine: s.machine.Sub(here), node: s.node.Sub(here), stamped: s.stamped.Sub(here), established: s.established,
		slack: s.slack,
	}, true
}

// steer moves this node's clock to what the clocks of the members say, its own among them, if it is
// too far from that. So a machine whose clock is wrong, or is set while the node runs, does not put
// its time on anything. Where most of the clocks move, the nodes follow. steer does nothing before
// all members were asked: a few are no median.
func (c *clocks) steer(members []*member) (done bool) {
	if c.wall == nil {
		return true
	}
	c.mu.Lock() // two that have both seen how far it is off would move it twice
	defer c.mu.Unlock()
	here := c.clock.Wall()
	read := []reading{{
		machine: -c.wall.Correction(), stamped: c.clock.Last().Time().Sub(here), resumed: c.clock.Resumed().Time().Sub(here),
		established: c.inSync(),
	}}
	for _, m := range members {
		if !m.tried.Load() {
			return false
		}
		if r, ok := m.reading(c.clock.Wall()); ok {
			read = append(read, r)
		}
	}
	by := apart(read, 1+len(members))
	least := leastAhead(read)
	bound := by < least
	if by = max(by, least); by.Abs() <= kv.MaxApart {
		return true
	}
	c.wall.Correct(by)
	for _, m := range members {
		m.moved(by)
	}
	if bound && c.bound {
		return true // it was said: the clock stands still for a while
	}
	c.bound = bound
	c.log.Warn("this node's clock was moved to what the members' clocks say: run NTP on all of them",
		"by", by.Round(time.Millisecond), "off_the_machine_by", c.wall.Correction().Round(time.Millisecond))
	return true
}

// believedHalf is half of what is believed: a node's clock stays within it of what was stamped.
const believedHalf = kv.MaxAhead / 2

// apart is how far a node is from what the time is, by the readings, of which the first is its own,
// in a cluster of so many members.
//
// Where most of the members are heard and the machines in the middle agree, the time is what those
// read. Else nobody can tell which machines are right: one of two may be wrong, and a node that is
// cut off may be wrong itself. Then the nodes keep the time by which they go, whatever their
// machines say. If they do not go by the same time, those that have just started take that of the
// others, as they have stamped nothing. If all have just started, or none has, they meet in the
// middle.
//
// Those that have all just started may have versions from their disks, which they had stamped by a
// time that they agreed on. It is later now. So no node meets the others further back than half of
// what is believed before its own, and these come to it. Otherwise it would be refused for its
// stamps until that time. Only what was on the disk counts, which does not change while the node
// runs. If what others stamp counted too, a faulty one could lead all away.
func apart(read []reading, members int) time.Duration {
	var machines, nodes, established []time.Duration
	for i := range read {
		machines = append(machines, read[i].machine)
		nodes = append(nodes, read[i].node)
		if read[i].established {
			established = append(established, read[i].node)
		}
	}
	if low, high := middle(machines); 2*len(read) > members && high-low <= kv.MaxApart {
		return (low + high) / 2
	}
	if len(established) > 0 {
		low, high := middle(established)
		return (low + high) / 2
	}
	low, high := middle(nodes)
	by := (low + high) / 2
	if ahead := read[0].resumed - believedHalf; ahead > 0 {
		by = max(by, ahead)
	}
	return by
}

// leastAhead bounds how far a clock is moved back, by the readings, of which the first is the
// node's own. What the node has stamped stays within half of what is believed. For a node that has
// just started, that is what the others have stamped. Where all have gone by a time far ahead and
// are set right, all would else refuse all. So their clocks stand still until the time is there.
//
// leastAhead may put ahead only a node that has just started. If what is seen ahead, and believed,
// put clocks ahead, what is further ahead would be believed next, without end.
func leastAhead(read []reading) time.Duration {
	least := min(read[0].stamped-believedHalf, 0)
	var others []time.Duration
	for _, r := range read[1:] {
		if r.established {
			others = append(others, r.stamped)
		}
	}
	if !read[0].established && len(others) > 0 {
		low, _ := middle(others)
		least = max(least, low-believedHalf)
	}
	return least
}

// middle are the two in the middle of at least one; of an odd number they are the same.
func middle(d []time.Duration) (low, high time.Duration) {
	slices.Sort(d)
	n := len(d)
	return d[(n-1)/2], d[n/2]
}
