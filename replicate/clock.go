package replicate

import (
	"slices"
	"time"
)

// clockApart is how far a node's clock may be from the median of the members' before it is moved there. Half of it is what time daemons
// keep within on the worst of days.
const clockApart = 500 * time.Millisecond

// reading is what a peer said the time was.
type reading struct {
	machine     time.Duration // how far its machine's clock is ahead of this node's
	node        time.Duration // how far the clock is that it goes by
	established bool          // it was in sync
	at          time.Time
}

// readingFor is how long a reading counts.
const readingFor = 5 * time.Second

// readClock takes note of the time that an answer to a probe carries, which took rtt.
func (p *Peer) readClock(ping *Ping, here time.Time, rtt time.Duration) {
	if ping.Machine == 0 {
		return
	}
	here = here.Add(-rtt / 2)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clockRead = reading{
		machine: time.UnixMicro(ping.Machine).Sub(here), node: time.UnixMilli(ping.Wall).Sub(here),
		established: ping.Synced, at: time.Now(),
	}
}

// steer moves this node's clock to the median of what the clocks of the members' machines say, its own among them, if it is too far from that. So one
// machine whose clock is wrong, or is set while the node runs, does not put its time on anything; and where most of the clocks move, the
// nodes follow.
func (c *Coordinator) steer() {
	if c.opt.Wall == nil {
		return
	}
	c.steering.Lock() // two that move the clock by what both have read would move it twice
	defer c.steering.Unlock()
	read := []reading{{machine: -c.opt.Wall.Correction(), established: c.synced.Load()}}
	for _, p := range c.others() {
		if !p.probed.Load() {
			return // a few are no median
		}
		p.mu.Lock()
		if r := p.clockRead; !r.at.IsZero() && time.Since(r.at) < readingFor {
			read = append(read, r)
		}
		p.mu.Unlock()
	}
	by := apart(read)
	if by.Abs() <= clockApart {
		return
	}
	c.opt.Wall.Correct(by)
	for _, p := range c.others() {
		p.mu.Lock()
		p.clockRead.machine -= by
		p.clockRead.node -= by
		p.mu.Unlock()
	}
	c.opt.Log.Warn("this node's clock was moved to what the members' clocks say: run NTP on all of them",
		"by", by.Round(time.Millisecond), "off_the_machine_by", c.opt.Wall.Correction().Round(time.Millisecond))
}

// apart is how far a node is from what the time is, by the readings, of which the first is its own.
//
// Two know less than three: which of them is wrong nobody can tell. As long as they go by the same time they keep it, whatever their machines say; if they do not, one
// that has just started, and so has stamped nothing, goes to the other, and else they meet in the middle.
func apart(read []reading) time.Duration {
	if len(read) == 2 {
		switch own, other := &read[0], &read[1]; {
		case other.node.Abs() <= clockApart, own.established && !other.established:
			return 0
		case other.established && !own.established:
			return other.node
		default:
			return other.node / 2
		}
	}
	machines := make([]time.Duration, len(read))
	for i := range read {
		machines[i] = read[i].machine
	}
	return median(machines)
}

// median of at least one; of an even number the mean of the two in the middle.
func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	n := len(d)
	return (d[(n-1)/2] + d[n/2]) / 2
}
