package simnet

import (
	"sync"
	"time"

	"httpdhs/kv"
)

// leftKeys are put and deleted for a while, one after the other, and then left alone: the last
// delete of a key is forgotten by all in time.
var leftKeys = keysOf("left", 16)

// leavers has clients put and delete keys until the end.
func (s *sim) leavers(clients *sync.WaitGroup, end time.Time) {
	for i := range s.shape.Leavers {
		c := s.newClient(s.shape.Clients + 1 + s.crowded() + s.shape.Adders + i)
		clients.Go(func() { c.leave(end) })
	}
}

// leave puts, deletes and reads keys, at one node after the other.
func (c *client) leave(end time.Time) {
	c.begun = end.Add(-c.s.shape.Span)
	for {
		time.Sleep(min(time.Duration(c.c.ExpFloat64()*float64(c.s.shape.Pause)), 10*c.s.shape.Pause))
		if !time.Now().Before(end) {
			return
		}
		n := c.s.nodes[c.c.IntN(len(c.s.nodes))]
		timeout := c.c.between(50*time.Millisecond, 3*time.Second)
		now, which, kind, level := float64(time.Since(c.begun))/float64(c.s.shape.Span), c.c.IntN(2), c.c.Float64(), c.c.Float64()
		o := Op{Client: c.id, Node: n.name, Kind: kv.OpGet, Cond: kv.Always, Key: leftKeys[int(now*float64(len(leftKeys)-1))+which]}
		switch {
		case kind < 0.4:
			o.Kind, o.Value = kv.OpPut, c.value()
		case kind < 0.8:
			o.Kind = kv.OpDelete
		}
		o.Level = c.level(o.Kind, level)
		c.ask(n, []Op{o}, timeout)
	}
}
