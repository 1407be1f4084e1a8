package simnet

import (
	"slices"
	"sync"
	"time"

	"httpdhs/kv"
	"httpdhs/peer"
	"httpdhs/topology"
)

// Health is a time in which nothing went wrong, and nothing had for settleTime before. No fault
// lasted, and no member came or went. All nodes that ran were in sync and on good terms.
type Health struct {
	Span
	Members int
	Down    int  // of the members: owners that did not run, as all others knew
	Full    bool // some nodes had no memory left
}

// overloadBytes is a queue that is overloaded by a few clients.
const overloadBytes = 64 << 10

// healthWatch knows when the cluster was healthy.
type healthWatch struct {
	log *eventLog

	mu     sync.Mutex    // guards all below
	faults int           // that last
	fulls  int           // the same, of nodes that are full
	filled bool          // some were full once, or their disks took nothing
	is     Health        // as it was last found
	since  time.Duration // of that
	fine   bool
	open   bool // the last of spans is not over
	spans  []Health
}

// turn takes note of a fault that begins or ends.
func (w *healthWatch) turn(on bool, kind FaultKind) {
	w.trouble()
	w.mu.Lock()
	defer w.mu.Unlock()
	count, by := &w.faults, -1
	switch kind {
	case Full:
		count, w.filled = &w.fulls, true
	case Unwritable, Unsyncable, DiskFull:
		w.filled = true
	}
	if on {
		by = 1
	}
	*count += by
}

// trouble ends a time of health: something happens.
func (w *healthWatch) trouble() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.troubleLocked()
}

func (w *healthWatch) troubleLocked() {
	if w.fine = false; w.open {
		w.open, w.spans[len(w.spans)-1].To = false, w.log.now()
	}
}

// emptied says whether nodes were full, or their disks took nothing, and none is full any more.
func (w *healthWatch) emptied() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.filled && w.fulls == 0
}

// unsure says whether health has still to be seen. Once it is there, only what happens to the
// cluster ends it. A cluster that falls ill of itself still counts as healthy.
func (w *healthWatch) unsure() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.open
}

// look takes in how things are.
func (w *healthWatch) look(fine bool, members, down int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	is, now := Health{Members: members, Down: down, Full: w.fulls > 0}, w.log.now()
	switch {
	case !fine || w.faults > 0:
		w.troubleLocked()
	case !w.fine || w.is != is:
		w.troubleLocked()
		w.fine, w.is, w.since = true, is, now
	case now-w.since >= settleTime:
		is.Span = Span{now, Never}
		w.spans, w.open = append(w.spans, is), true
	}
}

func (w *healthWatch) all() []Health {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.spans)
}

// lookAtHealth notes whether the cluster is healthy.
func (s *sim) lookAtHealth() {
	if !s.health.unsure() {
		return
	}
	runs := s.runs()
	members, down := len(s.nodes), len(s.nodes)-len(runs)
	fine := len(runs) > 0
	if s.shape.Members != nil && fine {
		members, down, fine = s.lookAtMembers(runs)
	}
	emptied := s.health.emptied()
	for _, run := range runs {
		fine = fine && run.well(s) && !(emptied && run.lacks())
	}
	s.health.look(fine && !s.net.hangs(), members, down) // what a fault has lost is waited for after it
}

// lacks says whether a node has still to fetch what it refused: until then it refuses, for want of
// memory, to decide a condition on that.
func (r *running) lacks() bool {
	for part := range r.plane.Board.Partitions() {
		if r.plane.Board.Refused.Any(part) {
			return true
		}
	}
	return false
}

// well says whether a node is in sync and knows which of the others are.
func (r *running) well(s *sim) bool {
	if stopped, _ := r.door.stopped(); stopped || !r.plane.Board.InSync() || r.leaving.Load() {
		return false
	}
	if r.log != nil && r.log.Fault() != nil { // a disk that works again is tried a second later
		return false
	}
	for _, p := range r.plane.Topology.Peers() {
		runs := s.net.at(p.Name) != nil
		if runs != (p.State == peer.Up && p.Ping.InSync) || !runs && p.State != peer.Down {
			return false
		}
	}
	return true
}

// lookAtMembers counts the members, and the owners among them that do not run. Not fine: nodes do
// not agree on that, or the ring changes.
func (s *sim) lookAtMembers(runs []*running) (members, down int, fine bool) {
	known, ok := runs[0].members.Now()
	for _, run := range runs {
		now, next := run.plane.Topology.Rings()
		ok = ok && run.members.Digest() == known.Digest && now != nil && now.Fingerprint() == next.Fingerprint()
	}
	for i := range known.All {
		name := known.All[i].Name
		if members++; s.net.at(name) == nil && s.hadShare(name, runs) {
			down++
		}
	}
	return members, down, ok && members-down >= len(runs)
}

// hadShare says whether a member that does not run has ever had its share, as far as others have
// heard: then it is an owner. It also is one if it was removed, and joined again before the ring
// went on without it: those that know by which ring to read have it on that ring.
func (s *sim) hadShare(name string, runs []*running) bool {
	s.net.mu.Lock()
	owner, ever := s.net.nodes[name].owner, s.net.nodes[name].ever
	s.net.mu.Unlock()
	return owner || slices.ContainsFunc(runs, func(run *running) bool {
		if now, _ := run.plane.Topology.Rings(); ever && now != nil && !guesses(run, runs) {
			if _, on := now.Index(name); on {
				return true
			}
		}
		return slices.ContainsFunc(run.plane.Topology.Peers(), func(p topology.Status) bool {
			return p.Name == name && len(p.Ping.Said.Holds) > 0
		})
	})
}

// wellFor is how much time an operation has to have so that its failure means something. It is what
// messages take, and a probe that has to find out first.
const wellFor = time.Second

// reasons is the property "reason".
func (c *checker) reasons() {
	for i := range c.h.Ops {
		o := &c.h.Ops[i]
		until := o.Until
		if until == 0 {
			until = o.Begin + o.Timeout + patience
		}
		at := slices.IndexFunc(c.h.Healthy, func(h Health) bool { return h.From <= o.Begin && until < h.To })
		if at < 0 || o.Timeout < wellFor || !c.able(o, &c.h.Healthy[at]) {
			continue
		}
		done := o.Outcome == OK || o.Outcome == Absent || o.Outcome == ConditionFailed
		if c.demand("reason", done) {
			c.tell("reason", "%v: %s, answered at %.6f, in health %+v", o, o.Err, until.Seconds(), c.h.Healthy[at])
		}
	}
}

// able says whether an operation has to succeed. Owners that are down, and memory that is full, are
// reasons to fail.
func (c *checker) able(o *Op, h *Health) bool {
	replicas := min(c.h.Replicas, h.Members)
	switch {
	case o.Level.Required(replicas) > replicas-h.Down, o.Level == kv.LevelAll && h.Down > 0:
		return false
	case o.Outcome == Failed && c.h.Overload && o.Err == kv.ErrOverloaded.Error():
		return false
	case o.Err == kv.ErrAbsenceUnknown.Error():
		return h.Down == 0 // guarantees.md: "Absence while an owner is down"
	case o.Kind == kv.OpIncr && h.Full:
		return false // the primary may be full
	case o.Kind == kv.OpPut && h.Full:
		return o.Cond == kv.Always && o.Level.Required(replicas) <= replicas-fullMost-h.Down && o.Level != kv.LevelLive
	}
	return true
}

// fullMost is how many nodes may be full at once.
const fullMost = 2
