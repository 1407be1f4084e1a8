package simnet

import (
	"slices"
	"sort"
	"time"

	"httpdhs/kv"
)

// What the checker knows of nodes that stop and have a disk.

// losses notes when owners of the key stopped, and lost what they held of it.
func (k *keyed) losses() {
	had := make(map[string]kv.Version)
	for _, e := range k.events {
		if !k.keeps(e.Node) {
			continue
		}
		switch e.Kind {
		case Stored:
			had[e.Node] = max(had[e.Node], e.Version)
		case Dropped, Gone:
			delete(had, e.Node)
		case Lost:
			k.wipeAt, k.lossAt, k.fellAt = min(k.wipeAt, e.At), min(k.lossAt, e.At), min(k.fellAt, e.At)
			delete(had, e.Node)
		case Fell:
			if k.fellAt = min(k.fellAt, e.At); e.Kept[k.key] < had[e.Node] {
				k.lossAt = min(k.lossAt, e.At)
				had[e.Node] = e.Kept[k.key]
			}
		}
	}
}

// durable says whether what was stored counts for an acknowledgement at a time.
func (c *checker) durable(e *Event, by time.Duration) bool {
	if !c.h.OnDisk {
		return true
	}
	if c.lasting == nil {
		c.lasting = make(map[string][]Durable)
		for node, all := range c.h.Durables {
			all = slices.Clone(all)
			for i := range all {
				all[i].UpTo = max(all[i].UpTo, all[max(i-1, 0)].UpTo)
			}
			c.lasting[node] = all
		}
	}
	all := c.lasting[e.Node]
	i := sort.Search(len(all), func(i int) bool { return all[i].At > by })
	return i > 0 && all[i-1].UpTo > e.n
}

// fallen is how many owners may have acknowledged a write, and have lost it by then.
func (c *checker) fallen(k *keyed, w *Op, by time.Duration) (n int) {
	if !k.forgot(by) {
		return 0
	}
	had, lost := make(map[string]bool), make(map[string]bool)
	for i := range k.events {
		switch e := &k.events[i]; {
		case e.At > by:
			return len(lost)
		case !k.keeps(e.Node):
		case e.Kind == Stored && e.Version >= w.Version && e.At <= w.End:
			had[e.Node] = had[e.Node] || c.durable(e, w.End)
		case e.Kind == Fell && e.Kept[k.key] < w.Version && had[e.Node]:
			lost[e.Node] = true
		}
	}
	return len(lost)
}

// collected says whether a read that found nothing may have missed a version because of that: it,
// or a newer one, was dead for so long that it was collected.
func (c *checker) collected(k *keyed, v kv.Version, r *Op) bool {
	return r.Version == 0 && c.mayBeCollected(k, v, r.End)
}

// mayBeCollected says whether this version, or a newer one, may be dead for so long by a time that
// it is collected.
func (c *checker) mayBeCollected(k *keyed, v kv.Version, at time.Duration) bool {
	by := c.h.Epoch.Add(min(at, c.h.Ended) + c.h.Apart - c.h.Grace).UnixMilli()
	return slices.ContainsFunc(k.events, func(e Event) bool {
		return e.Kind == Stored && e.Version >= v && e.Dead != 0 && e.Dead <= by
	})
}
