package shard

import (
	"bytes"

	"httpdhs/kv"
)

// packedEngine is an engine without pointers: records in the segments of a
// log, found through a table of 8-byte slots, all in memory of the store's
// arena. See docs/design/store.md.
//
// What holds between calls:
//
//   - each record that lies in a segment has exactly one slot, and each slot a
//     record: in the table, in the old table while it grows, or in the spill;
//   - a table is in the order of what its slots know of the hash; see table;
//   - while the table grows, the slots of hashes below front are in the new
//     one, the others in the old one;
//   - a segment is records and gaps from its start to what is used of it;
//     its dead bytes are its gaps, and the sums of the log are those over its
//     segments.
//
// Every Put and Delete does a bounded piece of whatever growth and compaction
// there is to do. There is no other time at which anything moves, but Tidy.
type packedEngine struct {
	// What a search reads is in three cache lines from here on, and log begins
	// with the rest of it.
	hash func(key []byte) uint64
	skip uint // the bits of a hash that are the partition

	n     int // records
	table table
	spill spill

	// While the table grows or shrinks: the old one, the slot at which it is
	// moved next, and the x of that slot.
	old   table
	next  int
	front uint64

	log log

	scan scan // reused

	pace *pace
	debt int // bytes of segments that compaction still has to look at
}

// newPackedEngine makes an engine for the hashes of one partition, which is
// their first skip bits. hash is what callers hash keys with.
func newPackedEngine(a *arena, p *pace, skip uint, hash func(key []byte) uint64) *packedEngine {
	return &packedEngine{log: newLog(a), hash: hash, skip: skip, pace: p}
}

// spot is where a slot is: in a table, or in the spill.
type spot struct {
	table *table // nil: the spill
	place int
}

func (e *packedEngine) slot(s spot) *uint64 {
	if s.table == nil {
		return &e.spill[s.place].slot
	}
	return &s.table.slots[s.place]
}

func (e *packedEngine) removeSlot(s spot) {
	if s.table == nil {
		e.spill.remove(s.place)
		return
	}
	s.table.remove(s.place)
}

// home is the table in which a hash is, or would be.
func (e *packedEngine) home(x uint64) *table {
	if e.old.slots != nil && x >= e.front {
		return &e.old
	}
	return &e.table
}

// find looks the key up. b is its record, to the end of the segment.
func (e *packedEngine) find(hash uint64, key []byte) (where spot, b []byte, s shape, ok bool) {
	x := hash << e.skip
	t := e.home(x)
	tag := t.tag(x)
	for p := t.seek(x); t.matches(p, tag); p++ {
		b = e.log.record(location(t.slots[p] & locationMask))
		if s = shapeOf(b); bytes.Equal(b[s.keyAt:s.metaAt], key) {
			return spot{t, p}, b, s, true
		}
	}
	if len(e.spill) > 0 {
		if i, found := e.findSpilled(hash, key); found {
			b = e.log.record(location(e.spill[i].slot & locationMask))
			return spot{nil, i}, b, shapeOf(b), true
		}
	}
	return spot{}, nil, shape{}, false
}

func (e *packedEngine) Get(hash uint64, key []byte) (kv.Entry, bool) {
	_, b, s, ok := e.find(hash, key)
	if !ok {
		return kv.Entry{}, false
	}
	return entryOf(b, &s), true
}

func (e *packedEngine) Read(hash uint64, key []byte) (kv.Entry, bool) {
	where, b, s, ok := e.find(hash, key)
	if !ok {
		return kv.Entry{}, false
	}
	if e.log.fifo != nil {
		raise(e.slot(where))
	}
	return entryOf(b, &s), true
}

func (e *packedEngine) Put(hash uint64, r *kv.Record) {
	size := recordSize(r)
	where, _, s, ok := e.find(hash, r.Key)
	if !ok {
		stream := e.comesTo(hash, 0, r) // a ghost that grows is empty
		e.makeRoom()
		e.link(hash, uint64(e.log.append(stream, size, r)))
		e.n++
		e.work(0)
		return
	}
	dead := e.log.dead
	slot := e.slot(where)
	from := location(*slot & locationMask)
	if e.log.fifo != nil {
		raise(slot)
	}
	if !e.log.stays(from, r) || !e.log.replace(from, s.size, size, r) {
		stream := e.comesTo(hash, from, r)
		e.log.kill(from, s.size) // first: at its bound, a store has no room for both
		*slot = *slot&^locationMask | uint64(e.log.append(stream, size, r))
	}
	e.work(int(e.log.dead - dead))
}

func (e *packedEngine) Delete(hash uint64, key []byte) bool {
	where, _, s, ok := e.find(hash, key)
	if !ok {
		return false
	}
	from := location(*e.slot(where) & locationMask)
	e.removeSlot(where)
	e.n--
	if e.n == 0 {
		e.reset()
		return true
	}
	e.log.kill(from, s.size)
	if e.log.fifo == nil {
		e.thin()
	}
	e.work(s.size)
	return true
}

func (e *packedEngine) Len() int { return e.n }

// Growth is exact but for a table that is due to be moved to a larger one.
func (e *packedEngine) Growth(hash uint64, r *kv.Record) int64 {
	if e.log.fifo != nil {
		return e.growthEvicting(hash, r)
	}
	size := recordSize(r)
	cost := e.log.appendCost(streamNew, size)
	if e.table.full(e.n + 1) {
		slots, _ := tableSlots(e.n + 1)
		cost += int64(tablesBytes(slots, len(e.table.slots)) - e.table.bytes())
	}
	if cost == 0 {
		return 0
	}
	where, _, s, ok := e.find(hash, r.Key)
	switch {
	case !ok:
		return cost
	case e.log.room(location(*e.slot(where)&locationMask), s.size, size) > 0:
		return 0
	}
	return e.log.moveCost(streamNew, s.size, size)
}

func (e *packedEngine) Memory() Memory {
	m := Memory{
		Live: e.log.live, Dead: e.log.dead - e.log.gone, Segments: e.log.taken,
		Index: int64(e.tableBytes() + cap(e.spill)*spilledBytes),
	}
	if e.log.fifo != nil {
		m.Index += int64(e.log.fifo.ghost.bytes())
	}
	return m
}

// link adds a slot for a record that had none.
func (e *packedEngine) link(hash, word uint64) {
	x := hash << e.skip
	if !e.home(x).insert(x, word) {
		e.spillSlot(hash, word)
	}
}

// reset gives all memory back.
func (e *packedEngine) reset() {
	a := e.log.arena
	e.log.reset()
	e.table.free(a)
	e.old.free(a)
	e.n, e.spill, e.debt = 0, nil, 0
}

func (e *packedEngine) Close() { e.reset() }
