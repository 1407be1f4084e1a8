package simnet

import (
	"time"

	"httpdhs/kv"
)

// holding is which owners must hold what a write stored, as the events of its key go by.
type holding struct {
	c *checker
	k *keyed
	w *Op

	holds        map[string]bool // they must
	stored       map[string]bool // they had stored it when it was acknowledged
	stopped      map[string]bool // they have a disk, were stopped, and were not in sync since
	acknowledged bool
}

func (c *checker) holding(k *keyed, w *Op) *holding {
	return &holding{c: c, k: k, w: w, holds: make(map[string]bool), stored: make(map[string]bool), stopped: make(map[string]bool)}
}

// take takes in the next event. It says whether an owner must still hold the write.
func (h *holding) take(e *Event) bool {
	if e.At > h.w.End && !h.acknowledged {
		if h.acknowledged = true; len(h.holds) == 0 {
			return false
		}
	}
	if !h.k.keeps(e.Node) {
		return true
	}
	switch e.Kind {
	case Stored:
		if e.Version >= h.w.Version {
			h.holds[e.Node] = true
			h.stored[e.Node] = h.stored[e.Node] || e.At <= h.w.End
		}
	case Lost:
		delete(h.holds, e.Node)
	case Fell:
		if h.stopped[e.Node] = true; e.Kept[h.k.key] < h.w.Version {
			delete(h.holds, e.Node)
		}
	case Dropped, Gone:
		if len(h.holds) > 1 { // the last one had no right to
			delete(h.holds, e.Node)
		}
	case InSync:
		delete(h.stopped, e.Node)
		had := h.stored[e.Node] || h.c.h.Changed && h.w.Level == kv.LevelLive && h.c.h.calm(h.w.Begin, e.At)
		if h.acknowledged && len(h.holds) > 0 && had && h.c.h.calm(e.At, e.At) {
			h.holds[e.Node] = true
		}
	}
	return !h.acknowledged || len(h.holds) > 0
}

// beyond says whether a write may be acknowledged by owners that do not hold this one: they are as
// many, and who must hold it need not be up.
func (h *holding) beyond(w *Op) bool {
	for node := range h.holds {
		if !h.stopped[node] {
			return false
		}
	}
	return h.c.h.Replicas-len(h.holds) >= max(w.Acks, w.Required)
}

// survives says whether, until then, an owner must hold what the write stored.
func (c *checker) survives(k *keyed, w *Op, until time.Duration) bool {
	h := c.holding(k, w)
	for i := range k.events {
		if k.events[i].At > until {
			break
		}
		if !h.take(&k.events[i]) {
			return false
		}
	}
	return len(h.holds) > 0
}

// missed says whether a write need not have met an earlier one at an owner, though that is not
// lost: some owners never had it, or have lost it from their disks, and the others were not up at
// some time of the write.
func (c *checker) missed(k *keyed, earlier, w *Op) bool {
	if earlier.Acks < c.h.Replicas && !c.unset(w) {
		return false // it was answered when clocks were past it
	}
	h := c.holding(k, earlier)
	for i := range k.events {
		e := &k.events[i]
		switch {
		case e.At > w.End:
			return h.beyond(w)
		case e.At > w.Begin && h.beyond(w), !h.take(e):
			return true
		}
	}
	return h.beyond(w)
}

// unset says whether a write may be stamped by the clock of a machine that is wrong. Its
// coordinator was started again and is not in sync yet. It need not hear most members: with it,
// those in sync are no majority.
func (c *checker) unset(w *Op) bool {
	stopped := make(map[string]bool) // by node that was in sync or stopped: it is not in sync since
	for i := range c.h.Events {
		e := &c.h.Events[i]
		if e.At > w.Begin {
			break
		}
		switch e.Kind {
		case InSync:
			stopped[e.Node] = false
		case Fell, Lost:
			stopped[e.Node] = true
		case Gone:
			delete(stopped, e.Node)
		}
	}
	heard := 1 // the coordinator
	for _, is := range stopped {
		if !is {
			heard++
		}
	}
	return stopped[w.Node] && 2*heard <= len(stopped)
}

// lasts is survives until the end.
func (c *checker) lasts(k *keyed, w *Op) bool {
	kept, known := k.kept[w]
	if !known {
		kept = c.survives(k, w, Never)
		k.kept[w] = kept
	}
	return kept
}

func (c *checker) lost(k *keyed) {
	for _, w := range k.acknowledged() {
		if !c.lasts(k, w) {
			continue
		}
		for _, owner := range k.owners {
			if held := c.held(owner, k.key); c.demand("lost", held.Version >= w.Version || held.Version == 0 && c.mayBeCollected(k, w.Version, Never)) {
				c.tell("lost", "%v: %s holds version %x at the end", w, owner, uint64(held.Version))
			}
		}
	}
}

// held is what the node holds of the key at the end.
func (c *checker) held(node, key string) (none Held) {
	for _, held := range c.h.Held {
		if held.Node == node && held.Key == key {
			return held
		}
	}
	return none
}
