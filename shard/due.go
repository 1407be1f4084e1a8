package shard

import (
	"cmp"
	"math"
	"unsafe"

	"httpdhs/kv"
)

// neverDue is the time of what never ends.
const neverDue = math.MaxInt64

// dueAt is when the sweeper has next to look at an entry, in Unix milliseconds. A value is buried
// at its expiry. A tombstone is removed as soon as it is kv.Entry.Collectable.
func dueAt(e *kv.Entry, grace kv.Grace) int64 {
	switch {
	case e.Tombstone:
		return grace.End(e)
	case e.Expires != 0:
		return e.Expires
	}
	return neverDue
}

// due says that an entry with this hash was due at this time when it was
// stored. It may have been replaced since.
type due struct {
	at   int64 // Unix milliseconds
	hash uint64
}

func (d due) before(o due) bool {
	return cmp.Or(cmp.Compare(d.at, o.at), cmp.Compare(d.hash, o.hash)) < 0
}

const (
	dueBytes  = 16
	duesPage  = pageBytes / dueBytes
	duesLeast = 8
)

// dueQueue is a binary heap of dues, the earliest at 0. It lies in pages, so that no growth copies
// it. The first page doubles until it has the full size: most of a store's many shards may have few
// tombstones.
type dueQueue struct {
	arena *arena
	pages [][]due // in memory of the arena, but for a first that is less than a page
	n     int
}

func (q *dueQueue) at(i int) *due { return &q.pages[i/duesPage][i%duesPage] }

// bytes is what the queue takes.
func (q *dueQueue) bytes() int64 { return int64(q.room()) * dueBytes }

// room is how many dues the pages have room for.
func (q *dueQueue) room() int {
	if len(q.pages) == 0 {
		return 0
	}
	return len(q.pages[0]) + (len(q.pages)-1)*duesPage
}

// growth is what one more push would add to bytes.
func (q *dueQueue) growth() int64 {
	switch room := q.room(); {
	case q.n < room:
		return 0
	case room == 0:
		return duesLeast * dueBytes
	case room < duesPage:
		return int64(room) * dueBytes
	}
	return pageBytes
}

// first is the time of the earliest, or neverDue.
func (q *dueQueue) first() int64 {
	if q.n == 0 {
		return neverDue
	}
	return q.at(0).at
}

func (q *dueQueue) push(d due) {
	if room := q.room(); q.n == room {
		if room == 0 || room >= duesPage {
			q.pages = append(q.pages, nil)
		}
		q.resize(len(q.pages)-1, min(max(2*room, duesLeast), duesPage))
	}
	q.n++
	q.rise(q.n-1, d)
}

// resize gives a page, if it is a new one or the first, room for n dues.
func (q *dueQueue) resize(i, n int) {
	var page []due
	if n == duesPage {
		page = unsafe.Slice((*due)(unsafe.Pointer(unsafe.SliceData(q.arena.alloc(pageBytes, 0, 0)))), n)
	} else {
		page = make([]due, n)
	}
	copy(page, q.pages[i])
	q.free(q.pages[i])
	q.pages[i] = page
}

// free gives a page back.
func (q *dueQueue) free(page []due) {
	if len(page) == duesPage {
		q.arena.release(unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(page))), pageBytes))
	}
}

// remove takes out the due at i.
func (q *dueQueue) remove(i int) due {
	gone := *q.at(i)
	q.n--
	last := *q.at(q.n)
	switch {
	case i == q.n:
	case last.before(gone):
		q.rise(i, last)
	default:
		q.sink(i, last)
	}
	keep := 0
	if q.n > 0 {
		keep = (q.n + duesPage/2 + duesPage - 1) / duesPage // half of one to spare, not to come and go
	}
	if keep < len(q.pages) {
		q.release(keep)
	}
	if room := q.room(); room > duesLeast && room <= duesPage && q.n <= room/4 {
		q.resize(0, room/2)
	}
	return gone
}

// release gives back the pages from one on.
func (q *dueQueue) release(from int) {
	for i, page := range q.pages[from:] {
		q.free(page)
		q.pages[from+i] = nil
	}
	q.pages = q.pages[:from]
}

// reset empties the queue.
func (q *dueQueue) reset() {
	q.release(0)
	*q = dueQueue{arena: q.arena}
}

// rise puts d at i or above.
func (q *dueQueue) rise(i int, d due) {
	for i > 0 {
		parent := q.at((i - 1) / 2)
		if !d.before(*parent) {
			break
		}
		*q.at(i) = *parent
		i = (i - 1) / 2
	}
	*q.at(i) = d
}

// sink puts d at i or below.
func (q *dueQueue) sink(i int, d due) {
	for {
		child := 2*i + 1
		if child >= q.n {
			break
		}
		if child+1 < q.n && q.at(child+1).before(*q.at(child)) {
			child++
		}
		if !q.at(child).before(d) {
			break
		}
		*q.at(i) = *q.at(child)
		i = child
	}
	*q.at(i) = d
}
