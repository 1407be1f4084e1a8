package simnet

import (
	"errors"
	"fmt"
	"time"

	"httpdhs/kv"
)

// Keys are of several kinds, so that more can be demanded of some.
var (
	hotKeys    = keysOf("hot", 2)    // everything is done with them
	plainKeys  = keysOf("plain", 6)  // put without conditions, and never deleted
	createKeys = keysOf("create", 9) // created, if they do not exist, and never changed; one after the other is in use
	ttlKeys    = keysOf("ttl", 2)    // put with a time to live
)

func keysOf(kind string, n int) (keys []string) {
	for i := range n {
		keys = append(keys, fmt.Sprint(kind, i))
	}
	return keys
}

func allKeys() (keys []string) {
	for _, kind := range [][]string{hotKeys, plainKeys, createKeys, ttlKeys} {
		keys = append(keys, kind...)
	}
	return keys
}

// client asks one node after the other, one call at a time.
type client struct {
	s     *sim
	id    int
	c     chance
	sizes chance // of values
	puts  int
	begun time.Time
	seen  map[string]kv.Version // by key: the last version that it met
}

func (s *sim) newClient(id int) *client {
	return &client{
		s: s, id: id, seen: make(map[string]kv.Version),
		c:     newChance(s.shape.Seed, uint64(streamsPerNode*streamClients+id)),
		sizes: newChance(s.shape.Seed, uint64(streamsPerNode*streamSizes+id)),
	}
}

// work makes calls until the end. What is drawn for an operation does not depend on how earlier
// ones have ended, but for the version of a condition.
func (c *client) work(end time.Time) {
	c.begun = end.Add(-c.s.shape.Span)
	for {
		time.Sleep(min(time.Duration(c.c.ExpFloat64()*float64(c.s.shape.Pause)), 10*c.s.shape.Pause))
		if !time.Now().Before(end) {
			return
		}
		n := c.s.nodes[c.c.IntN(len(c.s.nodes))]
		timeout := c.c.between(50*time.Millisecond, 3*time.Second)
		ops := []Op{c.draw(n)}
		if ops[0].Cond == kv.Always && c.c.yes(0.1) {
			ops = c.batch(ops[0])
		}
		c.ask(n, ops, timeout)
	}
}

// draw draws an operation.
func (c *client) draw(n *node) Op {
	o := Op{Client: c.id, Node: n.name}
	u, kind, level := c.c.Float64(), c.c.Float64(), c.c.Float64()
	which, ttl := c.c.IntN(1<<16), c.c.between(100*time.Millisecond, 6*time.Second)
	switch {
	case u < 0.35:
		o.Key = hotKeys[which%len(hotKeys)]
		o.Kind, o.Cond = kv.OpPut, kv.Always
		switch {
		case kind < 0.40:
			o.Kind = kv.OpGet
		case kind < 0.40+c.s.shape.Deletes:
			o.Kind = kv.OpDelete
		case kind < 0.66:
			o.Cond = kv.IfAbsent
		case kind < 0.71:
			o.Cond = kv.IfPresent
		case kind < 0.84 && c.seen[o.Key] != 0:
			o.Cond, o.Expect = kv.IfVersion, c.seen[o.Key]
		}
	case u < 0.75:
		o.Key, o.Kind = plainKeys[which%len(plainKeys)], kv.OpGet
		if kind < 0.45 {
			o.Kind = kv.OpPut
		}
	case u < 0.88:
		now := float64(time.Since(c.begun)) / float64(c.s.shape.Span) // 0 to 1
		o.Key, o.Kind = createKeys[int(now*float64(len(createKeys)-2))+which%2], kv.OpGet
		if kind < 0.5 {
			o.Kind, o.Cond = kv.OpPut, kv.IfAbsent
		}
	default:
		o.Key, o.Kind = ttlKeys[which%len(ttlKeys)], kv.OpGet
		if kind < 0.5 {
			o.Kind, o.Expires = kv.OpPut, c.timeAt(n).Add(ttl).UnixMilli()
		}
	}
	o.Level = c.level(o.Kind, level)
	if o.Kind == kv.OpPut {
		o.Value = c.value()
	}
	return o
}

// timeAt is the time by which a client of the node goes. Where nodes keep their clocks together, it
// is the right one.
func (c *client) timeAt(n *node) time.Time {
	if c.s.shape.Kept {
		return time.Now()
	}
	return n.wall()
}

// level is the level that u in [0, 1) stands for.
func (c *client) level(kind kv.OpKind, u float64) kv.Level {
	switch {
	case c.s.shape.Strict:
		return kv.LevelQuorum
	case c.s.shape.Weak:
		return kv.LevelOne
	case kind == kv.OpGet && u < 0.5:
		return kv.LevelOne
	case kind == kv.OpGet && u < 0.85, kind != kv.OpGet && u < 0.30:
		return kv.LevelQuorum
	case kind == kv.OpGet:
		return kv.LevelAll
	case u < 0.75:
		return kv.LevelLive
	case u < 0.90:
		return kv.LevelOne
	}
	return kv.LevelAll
}

// batch makes more operations of the same kind and level, on all plain keys, for the same call.
func (c *client) batch(first Op) (ops []Op) {
	for _, key := range plainKeys {
		o := first
		o.Key, o.Expires = key, 0
		if o.Kind == kv.OpDelete {
			o.Kind = kv.OpPut
		}
		if o.Kind == kv.OpPut {
			o.Value = c.value()
		}
		ops = append(ops, o)
	}
	return ops
}

// patience is how long past its deadline a client waits for an answer.
const patience = 200 * time.Millisecond

// ask has a node carry out operations in one call, and waits for its answer. A node that is down
// refuses, which is noted nowhere.
func (c *client) ask(n *node, ops []Op, timeout time.Duration) {
	run := c.s.net.at(n.name)
	if run == nil {
		return
	}
	ids := make([]int, len(ops))
	call := kv.Call{Ops: make([]kv.Op, len(ops))}
	var gets []kv.Op
	for i := range ops {
		o := &ops[i]
		o.Timeout = timeout
		ids[i] = c.s.rec.begin(*o)
		out := &call.Ops[i]
		out.Kind, out.Hash, out.Key = o.Kind, kv.Hash([]byte(o.Key)), []byte(o.Key)
		out.Expires = o.Expires
		if o.Kind == kv.OpPut {
			out.Value = []byte(o.Value)
		}
		if out.Number = o.By; o.Get {
			gets = append(gets, kv.Op{Kind: kv.OpGet, Hash: out.Hash, Record: kv.Record{Key: out.Key}})
		}
		if out.Cond.Kind = o.Cond; o.Cond == kv.IfVersion {
			out.Cond.Versions = []kv.Version{o.Expect}
		}
		if o.Kind == kv.OpGet {
			call.Read = o.Level
		} else {
			call.Write = o.Level
		}
	}
	call.Ops = append(call.Ops, gets...)
	done := make(chan struct{})
	c.s.net.hands.do(&c.s.works, func() {
		defer close(done)
		run.door.pass() // a node that is stopped takes the question when it goes on
		if run.dead.Load() {
			return
		}
		_, stops := run.door.stopped()
		call.Deadline = time.Now().Add(timeout)
		run.plane.Do(&call)
		if shut, again := run.door.stopped(); shut || stops != again {
			run.door.pass()
		} else {
			c.s.late(ids, time.Since(call.Deadline))
		}
	})
	giveUp := time.NewTimer(timeout + patience)
	defer giveUp.Stop()
	select {
	case <-done:
	case <-giveUp.C:
		return
	}
	if run.dead.Load() {
		return // it died, and nobody heard what it had to say
	}
	for i, id := range ids {
		var get *kv.Op
		if len(gets) > 0 {
			get = &call.Ops[len(ids)+i]
		}
		c.answered(id, &call.Ops[i], get)
	}
}

// late notes how long past its deadline a call was answered.
func (s *sim) late(ids []int, by time.Duration) {
	for _, id := range ids {
		s.rec.end(id, func(o *Op) { o.Late = by })
	}
}

// answered notes what came of an operation, and of the get behind it, if there is one.
func (c *client) answered(id int, from, get *kv.Op) {
	c.s.rec.end(id, func(o *Op) {
		o.Until = c.s.log.now()
		o.Acks, o.Required = from.Acks, o.Level.Required(from.Replicas)
		if from.Err != nil {
			o.Err = from.Err.Error()
		}
		switch {
		case from.Err == nil:
			o.Outcome = OK
		case errors.Is(from.Err, kv.ErrNotFound):
			o.Outcome = Absent
		case errors.Is(from.Err, kv.ErrConditionFailed):
			o.Outcome = ConditionFailed
		case errors.Is(from.Err, kv.ErrOverloaded), o.Kind == kv.OpGet:
			o.Outcome = Failed
		}
		if o.Outcome == Unknown {
			return // open to the end
		}
		o.End = o.Until
		if o.Outcome == OK || o.Outcome == Absent {
			o.Version = from.Version
			c.seen[o.Key] = from.Version
		}
		if o.Kind == kv.OpIncr && o.Outcome == OK {
			o.counted(from, get)
		}
		if o.Kind == kv.OpGet && o.Outcome == OK {
			o.Value, o.Expires = string(from.Value), from.Expires
		}
	})
}
