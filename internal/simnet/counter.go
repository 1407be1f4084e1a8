package simnet

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"httpdhs/kv"
)

// counterKeys are added to, and nothing else is done with them.
var counterKeys = keysOf("counter", 3)

// drawCounters draws how many clients add to counters.
func (s *Shape) drawCounters(c chance) {
	if c.yes(0.7) {
		s.Adders = 1 + c.IntN(6)
	}
}

// adders has clients add to counters until the end.
func (s *sim) adders(clients *sync.WaitGroup, end time.Time) {
	for i := range s.shape.Adders {
		c := s.newClient(s.shape.Clients + 1 + s.crowded() + i)
		clients.Go(func() { c.add(end) })
	}
}

// add adds to counters, at one node after the other: to one, with a get behind it in its run or
// without, or to all in one call.
func (c *client) add(end time.Time) {
	for {
		time.Sleep(min(time.Duration(c.c.ExpFloat64()*float64(c.s.shape.Pause)), 10*c.s.shape.Pause))
		if !time.Now().Before(end) {
			return
		}
		n := c.s.nodes[c.c.IntN(len(c.s.nodes))]
		timeout := c.c.between(50*time.Millisecond, 3*time.Second)
		level, which, get, all := c.c.Float64(), c.c.IntN(len(counterKeys)), c.c.yes(0.4), c.c.yes(0.2)
		var ops []Op
		for i, key := range counterKeys {
			o := Op{Client: c.id, Node: n.name, Kind: kv.OpIncr, Key: key, By: int64(1 + c.c.IntN(3)), Get: get}
			o.Level = c.level(o.Kind, level)
			if all || i == which {
				ops = append(ops, o)
			}
		}
		c.ask(n, ops, timeout)
	}
}

// counted notes what a client was told of an addition, and of the get behind it.
func (o *Op) counted(from, get *kv.Op) {
	o.Sum, _ = strconv.ParseInt(string(from.Value), 10, 64)
	switch {
	case get == nil:
	case get.Err != nil:
		o.Value = get.Err.Error()
	default:
		o.Value = string(get.Value)
	}
}

// counter is the property "counter".
func (c *checker) counter(k *keyed) {
	var most, least int64
	var counted []*Op // which are not excused
	for _, o := range k.ops {
		if o.Kind != kv.OpIncr {
			continue
		}
		if o.Outcome == OK || o.Outcome == Unknown {
			most += o.By
		}
		if o.Outcome != OK {
			continue
		}
		if o.Get && o.Value != fmt.Sprint(o.Sum) {
			c.tell("counter", "%v: the get behind it found %q", o, o.Value)
		}
		if !c.uncounted(k, o) {
			least += o.By
			counted = append(counted, o)
		}
	}
	c.sums(counted)
	if c.h.Rest != "" {
		return
	}
	value := int64(0)
	if held := c.held(k.owners[0], k.key); held.Version != 0 {
		value, _ = strconv.ParseInt(held.Value, 10, 64)
	}
	if c.demand("counter", least <= value && value <= most) {
		c.tell("counter", "%s is %d at the end, want at least %d and at most %d", k.key, value, least, most)
	}
}

// sums looks whether each addition has a place of its own, in an order that fits the time.
func (c *checker) sums(counted []*Op) {
	for i, b := range counted {
		for _, a := range counted[:i] {
			first, second := a, b
			if a.Sum > b.Sum {
				first, second = b, a
			}
			// a began first: if b comes before it, it must not have begun after the end of a.
			if c.demand("counter", first.Sum <= second.Sum-second.By && first.Begin <= second.End) {
				c.tell("counter", "%v\n  and %v", first, second)
			}
		}
	}
}

// uncounted says whether an acknowledged addition may be lost. It is so if the network was split
// before all owners had it. Then one that did not have it may have decided others. So it is if an
// owner lost its memory before that, and the addition waited for fewer than all owners that were
// up. So is what all that had it have lost.
func (c *checker) uncounted(k *keyed, w *Op) bool {
	had := w.End
	for _, owner := range k.owners {
		at := Never
		if i := slices.IndexFunc(k.events, func(e Event) bool {
			return e.Kind == Stored && e.Node == owner && e.Version >= w.Version
		}); i >= 0 {
			at = k.events[i].At
		}
		had = max(had, at)
	}
	lost := w.Level != kv.LevelAll && w.Level != kv.LevelLive && slices.ContainsFunc(k.events, func(e Event) bool {
		return (e.Kind == Lost || e.Kind == Fell) && k.keeps(e.Node) && e.At >= w.Begin && e.At <= had
	})
	return lost || !c.h.calm(w.Begin, had) || !c.lasts(k, w)
}

// putBehind says whether what a read found was put behind a delete in the same run: a run has one
// version.
func (k *keyed) putBehind(w, r *Op) bool {
	put := k.puts[r.Value]
	return put != nil && r.Version == w.Version && put.Client == w.Client && put.Begin == w.Begin && put.ID > w.ID
}

// kind is the name of what an operation does.
func (o *Op) kind() string {
	return cmp.Or(map[kv.OpKind]string{kv.OpGet: "get", kv.OpPut: "put", kv.OpDelete: "delete", kv.OpIncr: "add"}[o.Kind], "update")
}
