package resp

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"httpdhs/api"
	"httpdhs/kv"
)

func scanCommands() []command {
	return []command{
		{name: "keys", arity: 2, flags: acts, run: keys},
		{name: "scan", arity: -2, flags: acts, run: scan},
		{name: "randomkey", arity: 1, flags: acts, run: randomKey},
		{name: "dbsize", arity: 1, flags: acts, run: dbsize},
	}
}

const (
	keysBytes = 8 << 20 // bytes of keys in the answer to KEYS
	pageKeys  = 1000    // the most keys that one request to the store lists

	// A cursor is the upper bits of the hash to go on from: so many as a double holds exactly,
	// since clients in JavaScript read it as one. The few keys that share these bits may come
	// twice.
	cursorBits  = 53
	cursorShift = 64 - cursorBits
)

// list asks the store for a page of keys; not ok: an error was answered.
func (s *session) list(r kv.ListRequest) (page kv.Page, ok bool) {
	if r.Deadline.IsZero() {
		r.Deadline = time.Now().Add(s.srv.opts.Timeout)
	}
	page, err := s.srv.store.List(&r)
	if err != nil {
		s.out.error(textOf(err))
		return page, false
	}
	return page, true
}

func keys(s *session, args [][]byte) {
	pattern := args[1]
	found, n := reply{resp3: s.out.resp3}, 0
	r := kv.ListRequest{Prefix: globPrefix(pattern), Limit: pageKeys}
	for more := true; more; {
		page, ok := s.list(r)
		if !ok {
			return
		}
		for i := range page.Records {
			if key := page.Records[i].Key; globMatch(pattern, key) {
				found.bulk(key)
				n++
			}
		}
		if len(found.buf) > keysBytes {
			s.fail("ERR the keys are more than one answer holds (8 MiB): use SCAN")
			return
		}
		r.From, more = page.Next, page.More
	}
	s.out.array(n)
	s.out.buf = append(s.out.buf, found.buf...)
}

// scanRequest is what SCAN asks for.
type scanRequest struct {
	cursor  uint64
	pattern []byte // nil: all
	count   int64
	strings bool // nothing else is asked for
}

func (s *session) parseScan(args [][]byte) (r scanRequest, ok bool) {
	cursor, ok := parseCursor(args[1])
	if !ok {
		s.fail("ERR invalid cursor")
		return r, false
	}
	r = scanRequest{cursor: cursor, count: 10, strings: true}
	for rest := args[2:]; len(rest) > 0; rest = rest[2:] {
		switch {
		case len(rest) < 2:
			s.fail(errSyntax)
			return r, false
		case is(rest[0], "COUNT"):
			if r.count, ok = s.integer(rest[1]); !ok {
				return r, false
			}
			if r.count < 1 {
				s.fail(errSyntax)
				return r, false
			}
		case is(rest[0], "MATCH"):
			r.pattern = rest[1]
		case is(rest[0], "TYPE"):
			r.strings = is(rest[1], "STRING")
		default:
			s.fail(errSyntax)
			return r, false
		}
	}
	return r, true
}

// parseCursor reads a cursor. As for Redis no text is 0, and a negative one is some cursor or
// other.
func parseCursor(arg []byte) (cursor uint64, ok bool) {
	text := string(printable(arg))
	if text == "" {
		return 0, true
	}
	if rest, negative := strings.CutPrefix(text, "-"); negative {
		cursor, err := strconv.ParseUint(rest, 10, 64)
		return -cursor, err == nil
	}
	cursor, err := strconv.ParseUint(strings.TrimPrefix(text, "+"), 10, 64)
	return cursor, err == nil
}

func scan(s *session, args [][]byte) {
	r, ok := s.parseScan(args)
	if !ok {
		return
	}
	found, n, next := reply{}, 0, uint64(0)
	if r.strings && r.cursor < 1<<cursorBits {
		from := r.cursor << cursorShift
		deadline := time.Now().Add(s.srv.opts.Timeout)
		for more := true; more; {
			page, ok := s.list(kv.ListRequest{From: from, Limit: int(min(r.count, pageKeys)), Deadline: deadline})
			if !ok {
				return
			}
			for i := range page.Records {
				if key := page.Records[i].Key; r.pattern == nil || globMatch(r.pattern, key) {
					found.bulk(key)
					n++
				}
			}
			from, next = page.Next, 0
			if more = page.More; more {
				// A page that ends within a cursor is not the last of this answer.
				next = from >> cursorShift
				more = next <= r.cursor
			}
		}
	}
	s.out.array(2)
	s.out.text(strconv.FormatUint(next, 10))
	s.out.array(n)
	s.out.buf = append(s.out.buf, found.buf...)
}

// randomKey takes the first key from a random hash on. A key behind a large gap comes more often.
func randomKey(s *session, _ [][]byte) {
	for _, from := range []uint64{rand.Uint64(), 0} {
		page, ok := s.list(kv.ListRequest{From: from, Limit: 1})
		if !ok {
			return
		}
		if len(page.Records) > 0 {
			s.out.bulk(page.Records[0].Key)
			return
		}
	}
	s.out.null()
}

func dbsize(s *session, _ [][]byte) {
	c := s.srv.cluster.Cluster(time.Now().Add(s.srv.opts.Timeout))
	s.out.int(keysOf(&c))
}

// keysOf is how many keys the cluster has: those that members hold, by how many partitions they
// hold. That is exact at rest. While members are down it takes the partitions of others to be like
// theirs, and counts what was said last.
func keysOf(c *api.Cluster) int64 {
	held, partitions := int64(0), int64(0)
	for i := range c.Nodes {
		if n := int64(c.Nodes[i].PrimaryPartitions + c.Nodes[i].ReplicaPartitions); n > 0 {
			held += c.Nodes[i].Keys
			partitions += n
		}
	}
	if partitions == 0 {
		return 0
	}
	return (held*int64(c.Partitions) + partitions/2) / partitions
}
