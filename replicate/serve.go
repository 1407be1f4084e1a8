package replicate

import (
	"bytes"
	"fmt"
	"math"
	"sync"
	"time"

	"httpdhs/kv"
	"httpdhs/placement"
	"httpdhs/wire"
)

// answerBytes is where an answer to a batch is full: the next read or decision ends it. That is
// sent again, with all that follows it, so that items take effect in their order. An answer has at
// least one value, however large.
const answerBytes = 8 << 20

// serving is what ServeBatch would otherwise allocate: the store is behind an
// interface, so what is passed to it escapes.
type serving struct {
	*replica
	topology Topology
	v        *placement.View
	gathered gathered
	items    [gatherMax]wire.Item // the next is decoded into that of gathered.n
	asked    [gatherMax]asked     // the same, of decisions
	most     int                  // of them have been used
	wrote    bool                 // the batch has something that was to be stored or decided
}

var servings = sync.Pool{New: func() any { return new(serving) }}

func (s *serving) release() {
	clear(s.items[:]) // they point to the message
	s.gathered.reset()
	for i := range s.asked[:s.most] {
		s.asked[i].release()
	}
	s.most = 0
	s.replica, s.topology, s.v, s.wrote = nil, nil, nil, false
	servings.Put(s)
}

// ServeBatch carries out the items of a batch in their order, and appends the answer to dst.
// Records and decisions that follow each other are gathered, and done some at a time. It answers
// once all that it has stored is durable.
func (c *Coordinator) ServeBatch(dst, body []byte) ([]byte, error) {
	clock, body, err := wire.SplitClock(body)
	if err != nil {
		return dst, err
	}
	c.clock.Observe(clock)
	s := servings.Get().(*serving)
	s.replica, s.topology, s.v = &c.replica, c.topology, c.board.View()
	defer s.release()
	start := len(dst)
	if dst, err = s.batch(wire.OpenBatch(dst), start, body); err != nil {
		return dst[:start], err
	}
	if s.wrote {
		if why := s.store.Durable(time.Time{}); why != nil {
			if dst, err = notDurable(dst, start, why); err != nil {
				return dst[:start], err
			}
		}
	}
	wire.SetClock(dst[start:], c.clock.Last())
	return dst, nil
}

// notDurable has the answer that begins at start say so, and why, of all that rests on what this
// node has stored.
func notDurable(dst []byte, start int, why error) ([]byte, error) {
	code := wire.RefusalOf(kv.NotDurable(why))
	said := bytes.Clone(dst[start+wire.BatchHead:])
	dst = dst[:start+wire.BatchHead]
	for len(said) > 0 {
		r, rest, err := wire.NextResult(said)
		if err != nil {
			return dst, err
		}
		said = rest
		switch r.Code {
		case wire.Stored, wire.Stale, wire.Decided:
			r = wire.Result{Code: code}
		}
		dst = wire.AppendResult(dst, &r)
	}
	return dst, nil
}

// batch appends the results of the items to dst, in which the answer begins at start.
func (s *serving) batch(dst []byte, start int, body []byte) (_ []byte, err error) {
	for len(body) > 0 {
		it := &s.items[s.gathered.n]
		if *it, body, err = wire.NextItem(body); err != nil {
			return dst, err
		}
		mode := it.Kind.Mode()
		s.wrote = s.wrote || mode != kv.ModeRead
		if mode == kv.ModeMerge {
			dst = s.gather(dst, it)
			continue
		}
		if mode == kv.ModeDecide && len(dst)-start <= answerBytes {
			if dst, err = s.decideTo(dst, it); err != nil {
				return dst, err
			}
			continue
		}
		dst = s.merge(dst)
		if len(dst)-start > answerBytes {
			return wire.AppendResult(dst, &wire.Result{Code: wire.Again}), nil
		}
		hash := kv.Hash(it.Record.Key)
		dst = s.readTo(dst, s.v.Partition(hash), hash, it.Record.Key)
	}
	return s.merge(dst), nil
}

// gather takes in a record that is to be merged.
func (s *serving) gather(dst []byte, it *wire.Item) []byte {
	hash := kv.Hash(it.Record.Key)
	if code := s.limited(&it.Record); code != 0 {
		r := wire.Result{Code: code}
		s.refuse(hash, it.Record.Version, &r)
		return wire.AppendResult(s.merge(dst), &r)
	}
	if s.gathered.add(hash, &it.Record) {
		dst = s.merge(dst)
	}
	return dst
}

// merge merges what was gathered and appends the results.
func (s *serving) merge(dst []byte) []byte {
	g := &s.gathered
	s.mergeAll(g)
	for k := range g.n {
		r := s.result(g, k)
		if r.Code == wire.Stored && !s.v.Mine(s.v.Partition(g.offers[k].Hash)) {
			// It is handed over to the owners; but a reader would not find it here.
			r.Code = wire.NotOwner
		}
		dst = wire.AppendResult(dst, &r)
	}
	g.reset()
	return dst
}

// decideTo has a decision made, if this node may. Those whose results are small are gathered. For
// another the results so far are appended, and its own.
func (s *serving) decideTo(dst []byte, it *wire.Item) ([]byte, error) {
	a := &s.asked[s.gathered.n]
	s.most = max(s.most, s.gathered.n+1)
	if err := a.take(it); err != nil {
		return dst, err
	}
	hash := kv.Hash(it.Record.Key)
	partition := s.v.Partition(hash)
	r := wire.Result{Code: wire.NotPrimary}
	if s.topology.MayDecide(partition) {
		r.Code = s.allowed(a, it.Record.Version)
	}
	a.d.Begin(it.Record.Version, s.limits.MaxValueBytes, answerBytes)
	a.room = it.Room
	a.d.Room = &a.room
	switch {
	case r.Code == 0 && a.d.Small() && !s.board.Refused.Any(partition):
		if s.gathered.decide(hash, &a.d) {
			dst = s.merge(dst)
		}
		return dst, nil
	case r.Code == 0:
		dst = s.merge(dst)
		r = s.decide(partition, hash, &a.d)
	default:
		dst = s.merge(dst)
	}
	return wire.AppendResult(dst, &r), nil
}

// allowed looks whether a decision is within this node's limits: see limited.
func (s *serving) allowed(a *asked, v kv.Version) wire.Code {
	for _, op := range a.d.Ops {
		if s.limits.Check(&op.Record) != nil {
			s.counters.Refused.Add(1)
			return wire.Refused
		}
	}
	return s.believed(v)
}

// keepAsked is how many operations a decision that was asked for keeps memory for.
const keepAsked = 64

// asked is a decision that another node asks for.
type asked struct {
	d        kv.Decision
	ops      []kv.Op
	versions []kv.Version // of their conditions
	room     int          // of d
}

// take reads the operations of the decision.
func (a *asked) take(it *wire.Item) (err error) {
	a.ops, a.versions, a.d.Ops = a.ops[:0], a.versions[:0], a.d.Ops[:0]
	for rest := it.Ops; len(rest) > 0; {
		if len(a.ops) == kv.MaxRun {
			return fmt.Errorf("%w: more than %d operations in a decision", wire.ErrMalformed, kv.MaxRun)
		}
		op := kv.Op{Record: kv.Record{Key: it.Record.Key}}
		if rest, a.versions, err = wire.NextOp(rest, &op, a.versions); err != nil {
			return err
		}
		a.ops = append(a.ops, op)
	}
	for i := range a.ops {
		a.d.Ops = append(a.d.Ops, &a.ops[i])
	}
	return nil
}

func (a *asked) release() {
	a.d.Release()
	if cap(a.ops) > keepAsked {
		a.ops, a.versions = nil, nil
	}
	clear(a.ops[:cap(a.ops)]) // they point to the message
}

// readTo appends the result of a read. The value goes through dst itself:
// it is fetched behind where the record's head will be, then encoded in front
// of it and moved, so that nothing is allocated.
func (s *serving) readTo(dst []byte, partition int, hash uint64, key []byte) []byte {
	at := len(dst)
	r, buf, _ := s.read(math.MaxInt, dst, partition, hash, key)
	value := len(buf) - at
	buf = wire.AppendResult(buf, &r)
	n := copy(buf[at:], buf[at+value:])
	return buf[:at+n]
}
