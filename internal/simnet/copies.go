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

func (c *checker) copies(k *keyed) {
	// What memories have: a store never goes back.
	newest := make(map[string]kv.Version)
	for _, e := range k.events {
		switch {
		case e.Kind == Stored:
			newest[e.Node] = max(newest[e.Node], e.Version)
		case e.Kind == Lost, e.Kind == Dropped, e.Kind == Gone, e.Kind == Fell:
			delete(newest, e.Node)
		}
	}
	var want kv.Version
	for _, v := range newest {
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
