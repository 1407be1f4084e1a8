package replicate

import (
	"fmt"
	"sync"

	"httpdhs/kv"
)

// answerBytes is where an answer to a batch is full: the next read ends it, and
// is sent again together with all that follows it, so that items take effect
// in their order. An answer has at least one value, however large.
const answerBytes = 8 << 20

// Exchange answers a message of another node; the answer is appended to dst.
// An error means that the message is not one that a node sends.
func (c *Coordinator) Exchange(dst, request []byte) ([]byte, error) {
	kind, body, err := splitHead(request)
	if err != nil {
		return dst, err
	}
	if c.closed.Load() {
		return dst, kv.ErrStopping
	}
	if c.view.Load() == nil && kind != kindHello {
		return dst, fmt.Errorf("%w: not a member of a cluster yet", kv.ErrStopping)
	}
	switch kind {
	case kindBatch:
		return c.serveBatch(dst, body)
	case kindList:
		return c.serveList(dst, body)
	case kindDigests:
		return c.serveDigests(dst, body)
	case kindPull:
		return c.servePull(dst, body)
	case kindPing:
		return c.servePing(dst, request)
	case kindRing:
		return c.serveRing(dst, body)
	case kindHello:
		return c.serveHello(dst, body)
	}
	return dst, fmt.Errorf("%w: kind %d", errMessage, kind)
}

func (c *Coordinator) servePing(dst, request []byte) ([]byte, error) {
	ping, err := parsePing(request)
	if err != nil {
		return dst, err
	}
	for _, p := range c.others() {
		// One that is not accepted is left to the prober's pace: two that
		// refuse each other would ask each other without end.
		if p.name != ping.Name || c.accepts(&ping) != nil {
			continue
		}
		p.asked(&ping)
	}
	self := c.self()
	return appendPing(dst, &self), nil
}

// serving is what serveBatch would otherwise allocate: the store is behind an
// interface, so what is passed to it escapes.
type serving struct {
	items    [gatherMax]item
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
	clock, body, err := splitClock(body)
	if err != nil {
		return dst, err
	}
	c.clock.Observe(clock)
	v := c.view.Load()
	start := len(dst)
	dst = openBatch(dst)
	s := servings.Get().(*serving)
	defer s.release()
	for len(body) > 0 {
		it := &s.items[s.n]
		if *it, body, err = nextItem(body, s.versions[:]); err != nil {
			return dst[:start], err
		}
		if it.kind == itemApply {
			if r := c.limited(&it.record); r.code != 0 {
				c.refuse(kv.Hash(it.record.Key), it.record.Version, &r)
				dst = appendResult(c.mergeServed(v, dst, s), &r)
				continue
			}
			s.offers[s.n] = kv.Offer{Hash: kv.Hash(it.record.Key), Record: &it.record}
			if s.n++; s.n == gatherMax {
				dst = c.mergeServed(v, dst, s)
			}
			continue
		}
		dst = c.mergeServed(v, dst, s)
		if it.kind == itemRead && len(dst)-start > answerBytes {
			dst = appendResult(dst, &result{code: resultAgain})
			break
		}
		dst = c.serveItem(v, dst, it)
	}
	dst = c.mergeServed(v, dst, s)
	setBatchClock(dst[start:], c.clock.Last())
	return dst, nil
}

// mergeServed merges what was gathered and appends the results.
func (c *Coordinator) mergeServed(v *view, dst []byte, s *serving) []byte {
	c.store.ApplyAll(s.offers[:s.n])
	for i := range s.offers[:s.n] {
		o := &s.offers[i]
		r := c.mergeResult(o.Applied, o.Err)
		c.refuse(o.Hash, o.Record.Version, &r)
		if r.code == resultStored && !v.mine[v.partition(o.Hash)] {
			// It is handed over to the owners; but a reader would not find it here.
			r.code = resultElsewhere
		}
		dst = appendResult(dst, &r)
	}
	s.n = 0
	return dst
}

// serveItem carries out an item that is not merged with others.
func (c *Coordinator) serveItem(v *view, dst []byte, it *item) []byte {
	hash := kv.Hash(it.record.Key)
	partition := v.partition(hash)
	var r result
	switch it.kind {
	case itemRead:
		return c.serveRead(dst, partition, hash, it.record.Key)
	case itemCond:
		if !c.mayDecide(partition) {
			return appendResult(dst, &result{code: resultUnsynced})
		}
		if r = c.limited(&it.record); r.code == 0 {
			r = c.applyIf(partition, hash, &it.record, &it.cond)
		}
	}
	return appendResult(dst, &r)
}

// limited refuses a record that is beyond this node's limits, or stamped so
// far ahead that this node does not believe it. A version that is held here
// has to be below all that this node stamps.
func (c *Coordinator) limited(r *kv.Record) (refused result) {
	switch {
	case c.opt.Limits.Check(r) != nil:
		refused.code = resultRefused
	case !c.clock.Observe(r.Version):
		refused.code = resultUnbelieved
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
	buf = appendResult(buf, &r)
	n := copy(buf[at:], buf[at+value:])
	return buf[:at+n]
}

// AppendHello makes a message of a hello, for the Exchange of another node.
func AppendHello(dst, hello []byte) []byte { return append(appendHead(dst, kindHello), hello...) }

// SplitHello takes the hello out of the answer to one.
func SplitHello(answer []byte) ([]byte, error) { return expectKind(answer, kindHello, messageHead) }

// isHello says whether a message that this side has made is a hello.
func isHello(msg []byte) bool { return len(msg) >= messageHead && msg[1] == kindHello }

// Hello answers a hello, and nothing else: Exchange for those who may be no members yet.
func (c *Coordinator) Hello(dst, request []byte) ([]byte, error) {
	switch kind, _, err := splitHead(request); {
	case err != nil:
		return dst, err
	case kind != kindHello:
		return dst, fmt.Errorf("%w: kind %d, want a hello", errMessage, kind)
	}
	return c.Exchange(dst, request)
}

// serveHello passes a hello on to whom it is for.
func (c *Coordinator) serveHello(dst, body []byte) ([]byte, error) {
	if c.opt.Hello == nil {
		return dst, fmt.Errorf("%w: hello", errMessage)
	}
	answer, err := c.opt.Hello(body)
	if err != nil {
		return dst, fmt.Errorf("%w: %w", errMessage, err)
	}
	return AppendHello(dst, answer), nil
}
