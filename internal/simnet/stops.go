package simnet

import (
	"slices"
	"sync"
	"time"

	"httpdhs/kv"
)

// SafeStop is nodes that crashed, all at once, when a node had said that it was safe to stop them.
type SafeStop struct {
	Asked time.Duration // the node
	Span                // from the first crash to the last
	By    string        // who said so
	Nodes []string
}

// answerWithin is how long the node that is asked may take.
const answerWithin = 2 * time.Second

// stopIfSafe crashes the nodes of a fault if it is safe to stop them: so says the first of B that
// runs.
func (s *sim) stopIfSafe(f *Fault) {
	var asked *running
	for _, name := range f.B {
		run := s.net.at(name)
		if run == nil || !run.begun.Load() {
			continue
		}
		if stopped, _ := run.door.stopped(); !stopped {
			asked = run
			break
		}
	}
	if asked == nil {
		s.log.add("nobody runs who could say whether it is safe to stop %v", f.A)
		return
	}
	begun := s.log.now()
	loss := asked.plane.Topology.WouldLose(f.A, time.Now().Add(answerWithin))
	if loss.Unsure != nil || len(loss.Last) > 0 {
		s.log.add("%s says that it is not safe to stop %v: %v %v", asked.name(), f.A, loss.Unsure, loss.Waits)
		return
	}
	s.log.add("%s says that it is safe to stop %v", asked.name(), f.A)
	stop := SafeStop{Asked: begun, By: asked.name(), Nodes: f.A, Span: Span{From: s.log.now()}}
	var all sync.WaitGroup
	for _, name := range f.A {
		all.Go(func() { s.end(s.net.nodes[name], wiped, f) })
	}
	all.Wait()
	stop.To = s.log.now()
	s.stops = append(s.stops, stop)
}

// drawStops draws nodes that are stopped whenever that is safe.
func (s *Shape) drawStops(c chance) {
	if c.yes(0.5) {
		return
	}
	nodes := s.places()
	for range 1 + c.IntN(5) {
		f := &Fault{Kind: StopIfSafe, At: c.between(0, s.Span), For: c.between(20*time.Millisecond, s.Span/3)}
		c.Shuffle(len(nodes), func(i, j int) { nodes[i], nodes[j] = nodes[j], nodes[i] })
		f.A = slices.Clone(nodes[:pick(c, 1, 1, 2)])
		f.B = slices.Clone(nodes)
		if c.yes(0.5) { // one that is to go on
			slices.Reverse(f.B)
		}
		s.Faults = append(s.Faults, f)
	}
}

// stopped demands that no safe stop has lost a write that was acknowledged before it was asked
// about.
func (c *checker) stopped(k *keyed) {
	for i := range c.h.Stops {
		stop := &c.h.Stops[i]
		if c.others(k, stop) {
			continue
		}
		for _, w := range k.acknowledged() {
			if w.End >= stop.Asked || !c.survives(k, w, stop.From-1) || c.mayBeCollected(k, w.Version, stop.To) || halfPassed(k, w, stop) {
				continue
			}
			if c.demand("stop", c.survives(k, w, stop.To)) {
				c.tell("stop", "%v: lost when %v stopped at %v, which %s had called safe at %v", w, stop.Nodes, stop.From, stop.By, stop.Asked)
			}
		}
	}
}

// halfPassed says whether the coordinator of a write that waited for few replicas stopped before
// the nodes in question did. It may have passed the write on to some owners only. The others do not
// know of it until they compare what they hold.
func halfPassed(k *keyed, w *Op, stop *SafeStop) bool {
	few := w.Level != kv.LevelAll && w.Level != kv.LevelLive
	return few && slices.ContainsFunc(k.events, func(e Event) bool {
		return (e.Kind == Lost || e.Kind == Fell) && e.Node == w.Node && e.At >= w.Begin && e.At < stop.From
	})
}

// others says whether further nodes stopped since the node was asked.
func (c *checker) others(k *keyed, stop *SafeStop) bool {
	return slices.ContainsFunc(k.events, func(e Event) bool {
		return e.At >= stop.Asked && e.At <= stop.To && (e.Kind == Lost || e.Kind == Fell) && !slices.Contains(stop.Nodes, e.Node)
	})
}
