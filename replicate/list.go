package replicate

import (
	"bytes"
	"cmp"
	"errors"
	"sort"
	"time"

	"httpdhs/kv"
	"httpdhs/peer"
	"httpdhs/placement"
	"httpdhs/wire"
)

// A listing goes through the partitions in their order, and through each in the order of the
// hashes. The partition is the hash's high bits, so that is the order of all hashes. So one number
// says where a page ended, at any node. A page takes a window of partitions that is expected to
// hold about as much as the page may. It asks one owner of each of them.
//
// What the owners answer is in memory at once. So each may answer with its part of what the page
// may take, and says how long a record is that has no room. That one is asked for alone.

// listBytes is what the records of a page may take where nothing is said.
const listBytes = 4 << 20

// source is one node's part of a page.
type source struct {
	node       int // index in the table
	partitions []uint16
	records    []kv.Record
	next       uint64 // where it was cut short
	more       bool
	needs      int // bytes of the record there, if no record had room
	err        error
	last       bool // it is taken at its word though it is behind: no other owner is left
}

// errBehind is for an owner that has refused something of a partition.
var errBehind = errors.New("the replica has refused what it has no room for")

// listing is a page under way, by the view that it goes by now.
type listing struct {
	*Coordinator
	v *placement.View
}

// List returns a page of the cluster's keys that readers see.
func (c *Coordinator) List(req *kv.ListRequest) (kv.Page, error) {
	if err := c.admit(req.Deadline); err != nil {
		return kv.Page{}, err
	}
	l := listing{c, c.board.View()}
	page := kv.Page{Next: req.From, More: true}
	rest := *req
	rest.Bytes = cmp.Or(req.Bytes, listBytes)
	// Where a prefix leaves little of each window, windows double.
	for window := l.windowOf(req.Limit); page.More && len(page.Records) < req.Limit; {
		rest.From, rest.Limit = page.Next, req.Limit-len(page.Records)
		part, needs, err := l.window(&rest, window)
		if err != nil {
			if again := c.board.Passing(l.v); !again || !c.pause(req.Deadline) {
				return kv.Page{}, err
			}
			l.v = c.board.View()
			continue
		}
		page.Records = append(page.Records, part.Records...)
		page.Next, page.More = part.Next, part.More
		window *= 2
		if len(part.Records) == 0 && needs > 0 {
			if !time.Now().Before(req.Deadline) {
				return kv.Page{}, kv.ErrTimeout
			}
			window, rest.Bytes = 1, max(rest.Bytes, needs)
		}
		if req.Values && len(page.Records) > 0 {
			break // values are large: what one window gave will do
		}
	}
	return page, nil
}

// window lists so many partitions from that of req.From on. It needs so many bytes for the next
// record if it ends before one that is too long.
func (l listing) window(req *kv.ListRequest, window int) (page kv.Page, needs int, err error) {
	first := l.v.Partition(req.From)
	end := min(first+window, l.v.Partitions())
	failed := make(map[int]error) // nodes that did not answer
	var all []kv.Record
	cut, more := uint64(0), false
	missing := make([]int, 0, end-first)
	for p := first; p < end; p++ {
		missing = append(missing, p)
	}
	for len(missing) > 0 {
		sources, err := l.assign(missing, failed)
		if err != nil {
			return kv.Page{}, 0, err
		}
		l.ask(req, sources)
		missing = missing[:0]
		for _, s := range sources {
			if s.err != nil {
				failed[s.node] = s.err
				for _, p := range s.partitions {
					missing = append(missing, int(p))
				}
				continue
			}
			all = append(all, s.records...)
			if s.more && (!more || s.next < cut) {
				cut, more, needs = s.next, true, s.needs
			}
		}
		if len(missing) > 0 && !time.Now().Before(req.Deadline) {
			return kv.Page{}, 0, kv.ErrTimeout
		}
		sort.Ints(missing)
	}
	next, last := uint64(0), end == l.v.Partitions()
	if !last {
		next = firstHash(l.v, end)
	}
	if more {
		next, last = cut, false
	}
	return mergePage(all, req.Limit, next, !last, more), needs, nil
}

// mergePage orders the records of all sources, leaves out those past the point
// where one was cut short, and cuts at the limit without splitting equal
// hashes.
func mergePage(all []kv.Record, limit int, next uint64, more, cut bool) kv.Page {
	hashes := make([]uint64, len(all))
	order := make([]int, len(all))
	for i := range all {
		hashes[i], order[i] = kv.Hash(all[i].Key), i
	}
	sort.Slice(order, func(a, b int) bool {
		i, j := order[a], order[b]
		if hashes[i] != hashes[j] {
			return hashes[i] < hashes[j]
		}
		return bytes.Compare(all[i].Key, all[j].Key) < 0
	})
	page := kv.Page{Next: next, More: more, Records: make([]kv.Record, 0, min(limit, len(all)))}
	for n, i := range order {
		if cut && hashes[i] >= next {
			break
		}
		if n >= limit && hashes[i] != hashes[order[n-1]] {
			page.Next, page.More = hashes[i], true
			break
		}
		page.Records = append(page.Records, all[i])
	}
	return page
}

// firstHash is the smallest hash of a partition.
func firstHash(v *placement.View, partition int) uint64 {
	return uint64(partition) * (^uint64(0)/uint64(v.Partitions()) + 1)
}

// windowOf is the number of partitions that are expected to hold limit keys, as
// full as those that this node owns.
func (l listing) windowOf(limit int) int {
	owned, keys := 0, 0
	for p := range l.v.Partitions() {
		if l.v.Mine(p) {
			owned++
			keys += l.replica.store.PartitionKeys(p)
		}
	}
	if owned == 0 || keys == 0 {
		return l.v.Partitions()
	}
	return min(limit*owned/keys+1, l.v.Partitions())
}

// assign chooses an owner in sync for each of the partitions; this node before
// others. The error is kv.ErrAbsenceUnknown or kv.ErrUnavailable when one has
// none that is up.
func (l listing) assign(partitions []int, failed map[int]error) ([]*source, error) {
	byNode := make(map[int]*source)
	var all []*source
	for _, p := range partitions {
		node, err := l.choose(p, failed)
		if err != nil {
			return nil, err
		}
		last := failed[node] != nil
		s := byNode[node]
		if s == nil {
			s = &source{node: node}
			byNode[node] = s
			all = append(all, s)
		}
		s.partitions = append(s.partitions, uint16(p))
		s.last = s.last || last
	}
	return all, nil
}

func (l listing) choose(partition int, failed map[int]error) (int, error) {
	chosen, behind, live := -1, -1, false
	for _, n := range l.v.Owners(partition) {
		node := int(n)
		if errors.Is(failed[node], errBehind) {
			behind, live = node, true
			continue
		}
		if node == l.v.Self {
			live = true
			if l.board.Holds(partition) {
				return node, nil
			}
			continue
		}
		q := l.v.Peers[node]
		if err := failed[node]; err != nil || q.State() == peer.Down {
			live = live || errors.Is(err, kv.ErrAbsenceUnknown)
			continue
		}
		live = true
		// One that has not got all hints yet would list without them: the
		// question goes past the queue.
		if chosen < 0 && l.topology.Complete(q) {
			chosen = node
		}
	}
	switch {
	case chosen >= 0:
		return chosen, nil
	case behind >= 0:
		return behind, nil
	case live:
		return 0, kv.ErrAbsenceUnknown
	}
	return 0, kv.ErrUnavailable
}

// ask has all sources answer, at once. Keys are spread by chance, so each may take twice its part.
func (l listing) ask(req *kv.ListRequest, sources []*source) {
	var all peer.Group
	part := *req
	if len(sources) > 1 {
		part.Bytes = 2 * req.Bytes / len(sources)
	}
	for _, s := range sources {
		msg := wire.AppendList(nil, &part, s.partitions)
		all.Go(func() {
			var answer []byte
			if s.node == l.v.Self {
				answer, s.err = l.ServeList(nil, msg[wire.Head:])
			} else {
				answer, s.err = l.v.Peers[s.node].Ask(msg, req.Deadline)
			}
			if s.err == nil {
				s.err = s.parse(answer)
			}
		})
	}
	all.Wait()
}

// parse reads a node's answer; records alias it.
func (s *source) parse(answer []byte) error {
	got, err := wire.ParseListing(answer)
	switch {
	case err != nil:
		return err
	case !got.Authority:
		return kv.ErrAbsenceUnknown
	case got.Behind && !s.last:
		return errBehind
	}
	s.more, s.next, s.needs = got.More, got.Next, got.Needs
	for body := got.Records; len(body) > 0; {
		var r kv.Record
		if r, body, err = wire.DecodeRecord(body); err != nil {
			return err
		}
		s.records = append(s.records, r)
	}
	return nil
}

// ServeList answers a listing of partitions that this node owns.
func (c *Coordinator) ServeList(dst, body []byte) ([]byte, error) {
	req, partitions, err := wire.ParseList(body, c.Partitions())
	if err != nil {
		return dst, err
	}
	start := len(dst)
	dst = wire.OpenListing(dst)
	page := wire.Listing{Authority: true}
	now := c.clock.Wall().UnixMilli()
	taken, last := 0, uint64(0)
	for len(partitions) > 0 && !page.More {
		p := partitions.Next()
		page.Authority = c.board.Holds(p) && page.Authority
		page.Behind = page.Behind || c.board.Refused.Any(p)
		c.replica.store.Scan(p, req.From, func(hash uint64, r *kv.Record) bool {
			if !r.Live(now) || !bytes.HasPrefix(r.Key, req.Prefix) {
				return true
			}
			entry := *r
			if !req.Values {
				entry.Value = nil
			}
			size := kv.RecordSizeMax(len(entry.Key), len(entry.Meta), len(entry.Value))
			switch full := taken >= req.Limit || len(dst)-start+size > min(req.Bytes, 2*listBytes); {
			case taken == 0 && size > req.Bytes:
				page.Next, page.More, page.Needs = hash, true, size
				return false
			case taken > 0 && full && hash != last:
				page.Next, page.More = hash, true
				return false
			}
			dst = kv.AppendRecord(dst, &entry)
			taken, last = taken+1, hash
			return true
		})
	}
	page.Finish(dst[start:])
	return dst, nil
}
