package replicate

import (
	"fmt"
	"sync"

	"httpdhs/kv"
	"httpdhs/placement"
	"httpdhs/wire"
)

// answerBytes is where an answer to a batch is full: the next read ends it. That read is sent
// again, with all that follows it, so that items take effect in their order. An answer has at least
// one value, however large.
const answerBytes = 8 << 20

// serving is what ServeBatch would otherwise allocate: the store is behind an
// interface, so what is passed to it escapes.
type serving struct {
	*replica
	topology Topology
	v        *placement.View
	gathered gathered
	items    [gatherMax]wire.Item // the next is decoded into that of gathered.n
	versions [kv.MaxConditionVersions]kv.Version
}

var servings = sync.Pool{New: func() any { return new(serving) }}

func (s *serving) release() {
	clear(s.items[:]) // they point to the message
	s.gathered.reset()
	s.replica, s.topology, s.v = nil, nil, nil
	servings.Put(s)
}

// ServeBatch carries out the items of a batch in their order, and appends the answer to dst.
// Records that follow each other are merged some at a time.
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
	wire.SetClock(dst[start:], c.clock.Last())
	return dst, nil
}

// batch appends the results of the items to dst, in which the answer begins at start.
func (s *serving) batch(dst []byte, start int, body []byte) (_ []byte, err error) {
	for len(body) > 0 {
		it := &s.items[s.gathered.n]
		if *it, body, err = wire.NextItem(body, s.versions[:]); err != nil {
			return dst, err
		}
		mode := it.Kind.Mode()
		if mode == kv.ModeMerge {
			dst = s.gather(dst, it)
			continue
		}
		dst = s.merge(dst)
		if mode == kv.ModeRead && len(dst)-start > answerBytes {
			return wire.AppendResult(dst, &wire.Result{Code: wire.Again}), nil
		}
		hash := kv.Hash(it.Record.Key)
		switch it.Kind {
		case wire.ItemRead:
			dst = s.readTo(dst, s.v.Partition(hash), hash, it.Record.Key)
		case wire.ItemCond:
			dst = s.decideTo(dst, s.v.Partition(hash), hash, it)
		default:
			return dst, fmt.Errorf("%w: item 0x%02x is not carried out here", wire.ErrMalformed, byte(it.Kind))
		}
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

// decideTo decides a condition, if this node may, and appends the result.
func (s *serving) decideTo(dst []byte, partition int, hash uint64, it *wire.Item) []byte {
	var r wire.Result
	if !s.topology.MayDecide(partition) {
		r.Code = wire.NotPrimary
	} else if r.Code = s.limited(&it.Record); r.Code == 0 {
		r = s.decide(partition, hash, &it.Record, &it.Cond)
	}
	return wire.AppendResult(dst, &r)
}

// readTo appends the result of a read. The value goes through dst itself:
// it is fetched behind where the record's head will be, then encoded in front
// of it and moved, so that nothing is allocated.
func (s *serving) readTo(dst []byte, partition int, hash uint64, key []byte) []byte {
	at := len(dst)
	r, buf := s.read(dst, partition, hash, key)
	value := len(buf) - at
	buf = wire.AppendResult(buf, &r)
	n := copy(buf[at:], buf[at+value:])
	return buf[:at+n]
}
