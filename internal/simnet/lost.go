package simnet

import (
	"time"

	"httpdhs/kv"
)

// survives says whether, until then, an owner must hold what the write stored.
func (c *checker) survives(k *keyed, w *Op, until time.Duration) bool {
	holds, stored := make(map[string]bool), make(map[string]bool)
	acknowledged := false
	for _, e := range k.events {
		if e.At > until {
			break
		}
		if e.At > w.End && !acknowledged {
			if acknowledged = true; len(holds) == 0 {
				return false
			}
		}
		if !k.keeps(e.Node) {
			continue
		}
		switch e.Kind {
		case Stored:
			if e.Version >= w.Version {
				holds[e.Node] = true
				stored[e.Node] = stored[e.Node] || e.At <= w.End
			}
		case Lost:
			delete(holds, e.Node)
		case Fell:
			if e.Kept[k.key] < w.Version {
				delete(holds, e.Node)
			}
		case Dropped, Gone:
			if len(holds) > 1 { // the last one had no right to
				delete(holds, e.Node)
			}
		case InSync:
			had := stored[e.Node] || c.h.Changed && w.Level == kv.LevelLive && c.h.calm(w.Begin, e.At)
			if acknowledged && len(holds) > 0 && had && c.h.calm(e.At, e.At) {
				holds[e.Node] = true
			}
		}
		if acknowledged && len(holds) == 0 {
			return false
		}
	}
	return len(holds) > 0
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
