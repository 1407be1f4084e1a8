package simnet

import (
	"slices"

	"httpdhs/kv"
)

// differ are the partitions that have other digests at one owner than at another. One may have
// collected a tombstone already that another has not, where these are collected in time.
func (h *History) differ() []string {
	if h.Grace < h.Ended {
		return nil
	}
	return h.Differs
}

// memories are what the memories of nodes have of the key at the end: the version that each stored
// last. A store never goes back, unless what it had was collected. Whether a delete that was
// acknowledged may be forgotten in that way is a question for "lost".
func (c *checker) memories(k *keyed) map[string]kv.Version {
	last := make(map[string]kv.Version)
	for _, e := range k.events {
		switch e.Kind {
		case Stored:
			if had := last[e.Node]; had > e.Version && !c.mayBeCollected(k, had, e.At) {
				c.tell("copies", "%s: %.6f: %s stores version %x after %x", k.key, e.At.Seconds(), e.Node, uint64(e.Version), uint64(had))
			}
			last[e.Node] = e.Version
		case Lost, Dropped, Gone, Fell:
			delete(last, e.Node)
		}
	}
	return last
}

func (c *checker) copies(k *keyed) {
	var want kv.Version
	for _, v := range c.memories(k) {
		want = max(want, v)
	}
	var first Held
	for i, owner := range k.owners {
		held := c.held(owner, k.key)
		if held.Version != want && !(held.Version == 0 && c.mayBeCollected(k, want, Never)) {
			c.tell("copies", "%s: %s holds version %x, want %x", k.key, owner, uint64(held.Version), uint64(want))
		}
		if i == 0 {
			first = held
		}
		if held.Value != first.Value || held.Tombstone != first.Tombstone && held.Version == first.Version {
			c.tell("copies", "%s: %s holds %q, %s holds %q", k.key, owner, held.Value, first.Node, first.Value)
		}
	}
	for _, held := range c.h.Held {
		if held.Key == k.key && !slices.Contains(k.owners, held.Node) {
			c.tell("copies", "%s: %s holds it and is not one of %v", k.key, held.Node, k.owners)
		}
	}
}
