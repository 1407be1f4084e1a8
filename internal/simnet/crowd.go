package simnet

import (
	"fmt"
	"sync"
	"time"

	"httpdhs/kv"
)

// crowdKeys are written by crowds alone.
var crowdKeys = keysOf("crowd", 3)

// Crowd is a time in which clients at all nodes write the same few keys. Each makes one call after
// the other.
type Crowd struct {
	At      time.Duration // since the work began
	Writers int           // the n-th asks the n-th node
	Calls   int           // of each
	Keys    int           // of crowdKeys
	Pause   time.Duration // of a writer between two calls, on the average
	Gets    float64       // shares of the operations
	Deletes float64
	Conds   float64
	Batches float64 // share of the calls
}

const (
	// crowdOps bounds the calls of a crowd.
	crowdOps = 400

	// crowdTimeout is what a call of a crowd has: no write to a healthy cluster takes as long.
	crowdTimeout = 5 * time.Second

	// leadTime is how long crowds are alone with a healthy cluster, before other clients and
	// faults come.
	leadTime = time.Second
)

// drawCrowds draws the crowds of a run: often one before all faults, and some among them.
func (s *Shape) drawCrowds(c chance) {
	if c.yes(0.6) {
		return
	}
	if !s.AtOnce && c.yes(0.7) {
		s.Lead = leadTime
		s.Crowds = append(s.Crowds, drawCrowd(c))
	}
	for range c.IntN(3) {
		crowd := drawCrowd(c)
		crowd.At = s.Lead + c.between(0, s.Span)
		s.Crowds = append(s.Crowds, crowd)
	}
}

func drawCrowd(c chance) *Crowd {
	w := &Crowd{Writers: pick(c, 3, 6, 12, 24), Keys: pick(c, 1, 1, 2, 3)}
	w.Calls = crowdOps / 2 / w.Writers
	if c.yes(0.5) {
		w.Pause = c.between(0, 10*time.Millisecond)
	}
	w.Gets = 0.2 * c.Float64()
	if c.yes(0.5) {
		w.Deletes = 0.4 * c.Float64()
	}
	if c.yes(0.5) {
		w.Conds = 0.4 * c.Float64()
	}
	if c.yes(0.3) {
		w.Batches = c.Float64()
	}
	return w
}

// crowds has the crowds of a run write, at their times, and returns when they have ended.
func (s *sim) crowds(begin time.Time) {
	var all sync.WaitGroup
	id := s.shape.Clients + 1
	for _, w := range s.shape.Crowds {
		for i := range w.Writers {
			c := s.newClient(id)
			id++
			all.Go(func() {
				// One after the other: what is due at one instant happens in no set order.
				time.Sleep(time.Until(begin.Add(w.At + time.Duration(i))))
				if i == 0 {
					s.log.add("a crowd begins: %+v", *w)
				}
				c.crowd(w, i)
			})
		}
	}
	all.Wait()
}

// crowded is how many writers there are in all crowds.
func (s *sim) crowded() (writers int) {
	for _, w := range s.shape.Crowds {
		writers += w.Writers
	}
	return writers
}

// crowd asks one node again and again.
func (c *client) crowd(w *Crowd, which int) {
	n := c.s.nodes[which%len(c.s.nodes)]
	for range w.Calls {
		ops, pause := c.drawCrowded(w, n), c.c.ExpFloat64()
		for i := 1; i < len(c.s.nodes) && c.s.net.at(n.name) == nil; i++ {
			n = c.s.nodes[(which+i)%len(c.s.nodes)]
		}
		for i := range ops {
			ops[i].Node = n.name
		}
		c.ask(n, ops, crowdTimeout)
		time.Sleep(time.Duration(pause * float64(w.Pause)))
	}
}

// drawCrowded draws a call: one operation, or several of one level, which may
// be on the same key.
func (c *client) drawCrowded(w *Crowd, n *node) (ops []Op) {
	count := 1
	if c.c.yes(w.Batches) {
		count += c.c.IntN(4)
	}
	level := c.c.Float64()
	for range count {
		o := Op{Client: c.id, Node: n.name, Kind: kv.OpPut, Cond: kv.Always}
		o.Key = crowdKeys[c.c.IntN(w.Keys)]
		cond, u := pick(c.c, kv.IfAbsent, kv.IfPresent, kv.IfVersion), c.c.Float64()
		switch {
		case u < w.Gets:
			o.Kind = kv.OpGet
		case u < w.Gets+w.Deletes:
			o.Kind = kv.OpDelete
		case u < w.Gets+w.Deletes+w.Conds && (cond != kv.IfVersion || c.seen[o.Key] != 0):
			if o.Cond = cond; cond == kv.IfVersion {
				o.Expect = c.seen[o.Key]
			}
		}
		o.Level = c.level(o.Kind, level)
		if o.Kind == kv.OpPut {
			o.Value = c.value()
		}
		ops = append(ops, o)
	}
	return ops
}

// value is one that nobody else puts, of many sizes if the shape says so.
func (c *client) value() string {
	c.puts++
	text := fmt.Sprintf("c%d.%d", c.id, c.puts)
	if c.s.shape.Sizes > 0 {
		text = fmt.Sprintf("%s%*s", text, c.sizes.IntN(c.s.shape.Sizes), "")
	}
	return text
}
