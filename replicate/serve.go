package replicate

import (
	"fmt"
	"sync"

	"httpdhs/kv"
	"httpdhs/wire"
)

// answerBytes is where an answer to a batch is full: the next read ends it, and
// is sent again together with all that follows it, so that items take effect
// in their order. An answer has at least one value, however large.
const answerBytes = 8 << 20

// Exchange answers a message of another node; the answer is appended to dst.
// An error means that the message is not one that a node sends.
func (c *Coordinator) Exchange(dst, request []byte) ([]byte, error) {
	kind, body, err := wire.Split(request)
	if err != nil {
		return dst, err
	}
	if c.closed.Load() {
		return dst, kv.ErrStopping
	}
	if c.view.Load() == nil && kind != wire.KindHello {
		return dst, fmt.Errorf("%w: not a member of a cluster yet", kv.ErrStopping)
	}
	switch kind {
	case wire.KindBatch:
		return c.serveBatch(dst, body)
	case wire.KindList:
		return c.serveList(dst, body)
	case wire.KindDigests:
		return c.serveDigests(dst, body)
	case wire.KindPull:
		return c.servePull(dst, body)
	case wire.KindPing:
		return c.servePing(dst, request)
	case wire.KindRing:
		return c.serveRing(dst, body)
	case wire.KindHello:
		return c.serveHello(dst, body)
	}
	return dst, fmt.Errorf("%w: kind %d", wire.ErrMalformed, kind)
}

func (c *Coordinator) servePing(dst, request []byte) ([]byte, error) {
	ping, err := wire.ParsePing(request)
	if err != nil {
		return dst, err
	}
	for _, p := range c.others() {
		// One that is not accepted is left to the prober's pace: two that
		// refuse each other would ask each other without end.
		if p.Name() != ping.Name || c.accepts(&ping) != nil {
			continue
		}
		p.asked(&ping)
	}
	self := c.self()
	return wire.AppendPing(dst, &self), nil
}

// serving is what serveBatch would otherwise allocate: the store is behind an
// interface, so what is passed to it escapes.
type serving struct {
	items    [gatherMax]wire.Item
	offers   [gatherMax]kv.Offer // of items[:n], which are records to be merged
	n        int
	versions [kv.MaxConditionVersions]kv.Version
}

var servings = sync.Pool{New: func() any { return new(serving) }}

func (s *serving) release() {
	clear(s.items[:]) // they point to the message
	clear(s.offers[:])
	s.n = 0
	servings.Put(s)
}

// serveBatch carries out the items of a batch in their order. Records that
// follow each other are merged some at a time.
func (c *Coordinator) serveBatch(dst, body []byte) ([]byte, error) {
	clock, body, err := wire.SplitClock(body)
	if err != nil {
		return dst, err
	}
	c.clock.Observe(clock)
	v := c.view.Load()
	start := len(dst)
	dst = wire.OpenBatch(dst)
	s := servings.Get().(*serving)
	defer s.release()
	for len(body) > 0 {
		it := &s.items[s.n]
		if *it, body, err = wire.NextItem(body, s.versions[:]); err != nil {
			return dst[:start], err
		}
		if it.Kind == wire.ItemApply {
			if r := c.limited(&it.Record); r.Code != 0 {
				c.refuse(kv.Hash(it.Record.Key), it.Record.Version, &r)
				dst = wire.AppendResult(c.mergeServed(v, dst, s), &r)
				continue
			}
			s.offers[s.n] = kv.Offer{Hash: kv.Hash(it.Record.Key), Record: &it.Record}
			if s.n++; s.n == gatherMax {
				dst = c.mergeServed(v, dst, s)
			}
			continue
		}
		dst = c.mergeServed(v, dst, s)
		if it.Kind == wire.ItemRead && len(dst)-start > answerBytes {
			dst = wire.AppendResult(dst, &wire.Result{Code: wire.Again})
			break
		}
		dst = c.serveItem(v, dst, it)
	}
	dst = c.mergeServed(v, dst, s)
	wire.SetClock(dst[start:], c.clock.Last())
	return dst, nil
}

// mergeServed merges what was gathered and appends the results.
func (c *Coordinator) mergeServed(v *view, dst []byte, s *serving) []byte {
	c.store.ApplyAll(s.offers[:s.n])
	for i := range s.offers[:s.n] {
		o := &s.offers[i]
		r := c.mergeResult(o.Applied, o.Err)
		c.refuse(o.Hash, o.Record.Version, &r)
		if r.Code == wire.Stored && !v.mine[v.partition(o.Hash)] {
			// It is handed over to the owners; but a reader would not find it here.
			r.Code = wire.NotOwner
		}
		dst = wire.AppendResult(dst, &r)
	}
	s.n = 0
	return dst
}

// serveItem carries out an item that is not merged with others.
func (c *Coordinator) serveItem(v *view, dst []byte, it *wire.Item) []byte {
	hash := kv.Hash(it.Record.Key)
	partition := v.partition(hash)
	var r wire.Result
	switch it.Kind {
	case wire.ItemRead:
		return c.serveRead(dst, partition, hash, it.Record.Key)
	case wire.ItemCond:
		if !c.mayDecide(partition) {
			return wire.AppendResult(dst, &wire.Result{Code: wire.NotPrimary})
		}
		if r = c.limited(&it.Record); r.Code == 0 {
			r = c.applyIf(partition, hash, &it.Record, &it.Cond)
		}
	}
	return wire.AppendResult(dst, &r)
}

// limited refuses a record that is beyond this node's limits, or stamped so
// far ahead that this node does not believe it. A version that is held here
// has to be below all that this node stamps.
func (c *Coordinator) limited(r *kv.Record) (refused wire.Result) {
	switch {
	case c.opt.Limits.Check(r) != nil:
		refused.Code = wire.Refused
	case !c.clock.Observe(r.Version):
		refused.Code = wire.TooFarAhead
	default:
		return refused
	}
	c.counters.refused.Add(1)
	return refused
}

// serveRead appends the result of a read. The value goes through dst itself:
// it is fetched behind where the record's head will be, then encoded in front
// of it and moved, so that nothing is allocated.
func (c *Coordinator) serveRead(dst []byte, partition int, hash uint64, key []byte) []byte {
	at := len(dst)
	r, buf := c.readOwn(dst, partition, hash, key)
	value := len(buf) - at
	buf = wire.AppendResult(buf, &r)
	n := copy(buf[at:], buf[at+value:])
	return buf[:at+n]
}

// Hello answers a hello, and nothing else: Exchange for those who may be no members yet.
func (c *Coordinator) Hello(dst, request []byte) ([]byte, error) {
	switch kind, _, err := wire.Split(request); {
	case err != nil:
		return dst, err
	case kind != wire.KindHello:
		return dst, fmt.Errorf("%w: kind %d, want a hello", wire.ErrMalformed, kind)
	}
	return c.Exchange(dst, request)
}

// serveHello passes a hello on to whom it is for.
func (c *Coordinator) serveHello(dst, body []byte) ([]byte, error) {
	if c.opt.Hello == nil {
		return dst, fmt.Errorf("%w: hello", wire.ErrMalformed)
	}
	answer, err := c.opt.Hello(body)
	if err != nil {
		return dst, fmt.Errorf("%w: %w", wire.ErrMalformed, err)
	}
	return wire.AppendHello(dst, answer), nil
}
