package simnet

import (
	"fmt"
	"sync"
	"time"

	"httpdhs/kv"
)

// Clocks go one of two ways. In half of the runs nodes go by what their machines' clocks read.
// These are seconds apart, are set, and go wrong by minutes. No real node does so, but what is
// promised of order must not hang on clocks. In the other half they go by a [kv.Wall] that package
// topology keeps with the others', as every real node does. Then the machines are right, but for
// one. It is wrong from the start, or is set while its node runs, by up to an hour. All that is
// promised of time is demanded.

const (
	// rightWithin is how far the clocks of machines that are right are from the run's time.
	rightWithin = 200 * time.Millisecond

	// timelyWithin is how far a node in sync may be from the run's time. It leaves its clock as it
	// is within half a second. The machines that are right are so within rightWithin. And what it
	// reads of another's clock is off by half of the time that the answer took.
	timelyWithin = time.Second

	// meetTime is how long members that are new to each other may take until each knows what the
	// others' clocks read.
	meetTime = time.Second

	// lookAgainIn is between the two looks of the operator.
	lookAgainIn = 5 * time.Second

	// fewest is how many nodes it takes to tell who is wrong.
	fewest = 3
)

// drawClocks draws the clocks of a run, and what happens to them.
func (s *Shape) drawClocks(c chance) {
	if c.yes(0.5) {
		return
	}
	s.Kept, s.Grace = true, 4*time.Hour // nodes may be off by an hour where too few run, and tombstones have to outlast that
	for i := range s.Ahead {
		s.Ahead[i] = c.between(-rightWithin, rightWithin)
	}
	wrong := c.IntN(len(s.places()))
	by := func() time.Duration {
		return pick[time.Duration](c, -1, 1) * pick(c, c.between(0, 2*time.Second), c.between(0, 3*time.Minute), time.Hour)
	}
	if c.yes(0.5) {
		s.Ahead[wrong] += by()
	}
	for _, f := range s.Faults {
		if f.Kind == Wild || f.Kind == Jump {
			f.Kind, f.A, f.By = Jump, s.places()[wrong:wrong+1], by()
		}
	}
	for range c.IntN(3) {
		s.Faults = append(s.Faults, &Fault{
			Kind: Jump, At: c.between(0, s.Span), For: c.between(20*time.Millisecond, s.Span), A: s.places()[wrong : wrong+1], By: by(),
		})
	}
}

// keep gives a node that starts the clock that it goes by.
func (s *sim) keep(run *running) (wall *kv.Wall) {
	n := run.node
	run.now, run.expiry = n.wall, n.wall
	if s.shape.Kept {
		wall = kv.NewWall(func() (time.Time, time.Duration) { return n.wall().Round(0), time.Since(s.log.start) })
		run.now, run.expiry = wall.Now, wall.Expiry
	}
	return wall
}

// lookAgain has an operator look at the clocks a second time. A node may have gone on with what it
// heard of others before those were started again.
func (s *sim) lookAgain() {
	select {
	case <-time.After(lookAgainIn):
		s.setRight()
	case <-s.ended:
	}
}

// setRight has an operator restart nodes that cannot come back alone. One has stamped so far ahead
// that others do not take it for a member. That needs times in which too few nodes ran. Another was
// removed while it was cut off, and all members that it knew have left meanwhile. If they alone
// knew that a member was removed, it has to be removed again.
func (s *sim) setRight() {
	restarted := false
	s.clocks.mu.Lock()
	few := s.clocks.few
	s.clocks.mu.Unlock()
	for _, run := range s.runs() {
		switch {
		case few && s.shape.Kept && run.clock.Last().Time().After(time.Now().Add(kv.MaxAhead)):
			s.log.add("an operator restarts %s, which has stamped by a wrong clock", run.name())
		case s.forlorn(run):
			s.log.add("an operator restarts %s, which knows nobody that is left", run.name())
		default:
			continue
		}
		s.kill(run, wiped)
		s.mustStart(run.node)
		restarted = true
	}
	if restarted && s.shape.Members != nil {
		s.helps.Go(s.removeAgain)
	}
}

// Untimely is a node that went by a wrong time.
type Untimely struct {
	At   time.Duration
	Node string
	By   time.Duration
}

// String is it in words.
func (u *Untimely) String() string {
	return fmt.Sprintf("%.6f: %s is in sync, and goes by a time that is %v off", u.At.Seconds(), u.Node, u.By)
}

// clockWatch looks at the clocks of nodes in sync.
type clockWatch struct {
	mu       sync.Mutex // guards all below
	few      bool       // there were times in which too few nodes ran, or had met, to tell who is wrong
	untimely []Untimely
	began    time.Duration // when all nodes were started
}

// cannotTell notes that a node may hear few of the others. It has just started, and knows no time
// but its machine's.
func (w *clockWatch) cannotTell() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.few = true
}

// lookAtClocks notes which nodes go by a wrong time.
func (s *sim) lookAtClocks() {
	w := &s.clocks
	w.mu.Lock()
	defer w.mu.Unlock()
	runs := s.runs()
	w.few = w.few || len(runs) < fewest
	if w.began == 0 {
		w.began = s.log.now()
	}
	for _, run := range runs {
		if run.members != nil && len(run.members.Members()) < fewest {
			run.alone = s.log.now()
		}
		if stopped, _ := run.door.stopped(); stopped || !run.plane.Board.InSync() {
			continue
		}
		by := time.Until(run.now())
		switch {
		case by.Abs() <= timelyWithin:
		case run.alone > 0 && s.log.now() < run.alone+meetTime:
			w.few = true // it has founded a cluster, and others have not found it, or have just done so
		case s.shape.Dawdles > 0 && s.log.now() < w.began+meetTime+s.shape.Dawdles:
			w.few = true // it got in sync while few others had started, and these are slow
		default:
			w.untimely = append(w.untimely, Untimely{s.log.now(), run.name(), by})
		}
	}
}

// clocksApart says whether nodes that keep their clocks together failed to: too few ran to tell who
// is wrong.
func (s *sim) clocksApart() bool {
	if !s.shape.Kept {
		return false
	}
	var first, last time.Time
	for _, run := range s.runs() {
		now := run.now()
		if first.IsZero() || now.Before(first) {
			first = now
		}
		if now.After(last) {
			last = now
		}
	}
	return last.Sub(first) > kv.MaxAhead
}

// timely is what is demanded of time: the property "time".
func (c *checker) timely() {
	if !c.h.Kept || c.h.Few {
		return
	}
	for i := range c.h.Untimely {
		c.tell("time", "%v", &c.h.Untimely[i])
	}
	for i := range c.h.Ops {
		o := &c.h.Ops[i]
		if o.Kind == kv.OpGet || o.Outcome != OK {
			continue
		}
		stamped := o.Version.Time().Sub(c.h.Epoch)
		if c.demand("time", o.Begin-timelyWithin <= stamped && stamped <= o.End+timelyWithin) {
			c.tell("time", "%v: it is stamped with %v", o, stamped)
		}
	}
}
