package shard

import "httpdhs/kv"

// newEvictingEngine is newPackedEngine for an engine that can evict.
func newEvictingEngine(a *arena, p *pace, skip uint, hash func(key []byte) uint64) *packedEngine {
	e := newPackedEngine(a, p, skip, hash)
	e.log.fifo = newFifo()
	return e
}

// raise counts a use of the record of a slot. It writes only where that changes
// something, into a line that the search has just read.
func raise(slot *uint64) {
	if *slot&useMax != useMax {
		*slot += useOne
	}
}

// thins says whether the next record is to be put into a smaller table. An engine that evicts does
// that when it grows or is told to, and not whenever it shrinks. So both tables together are
// reserved before they are there.
func (e *packedEngine) thins() bool {
	if e.log.fifo == nil || e.old.slots != nil || !e.table.sparse(e.n+1) {
		return false
	}
	slots, _ := tableSlots(e.n + 1)
	return slots < len(e.table.slots)
}

// resizeCost is what a table and a ghost for one record more take.
func (e *packedEngine) resizeCost() int64 {
	slots, _ := tableSlots(e.n + 1)
	return int64(slots*slotBytes + ghostBytes(e.n+1))
}

func (e *packedEngine) Thin(bytes int64) {
	if e.thins() && e.resizeCost() <= bytes {
		e.resize()
	}
}

// growthEvicting is Growth of an engine that evicts.
func (e *packedEngine) growthEvicting(hash uint64, r *kv.Record) int64 {
	size := recordSize(r)
	where, _, s, ok := e.find(hash, r.Key)
	if !ok {
		cost := e.log.appendCost(e.comesTo(hash, 0, r), size)
		if e.table.full(e.n+1) || e.thins() {
			cost += e.resizeCost()
		}
		return cost
	}
	from := location(*e.slot(where) & locationMask)
	if e.log.stays(from, r) && e.log.room(from, s.size, size) > 0 {
		return 0
	}
	return e.log.moveCost(e.comesTo(hash, from, r), s.size, size)
}

// Evict compacts first if that is due: dead bytes are worth nothing to anybody.
func (e *packedEngine) Evict(now, bytes int64, forget func(hash uint64, r *kv.Record)) bool {
	e.growOn(evictSlots)
	if e.untidy() && e.compact(compactStepMax, false) {
		return true
	}
	did := false
	goal := e.log.taken - bytes
	for budget := evictStep; budget > 0 && e.log.taken > goal; {
		queue, ok := e.log.fifo.next()
		if !ok {
			break
		}
		budget -= e.evictNext(queue, now, forget)
		did = true
	}
	return did
}

// evictNext evicts or spares the oldest record of a queue, or goes past a gap
// before it. It returns what that cost.
func (e *packedEngine) evictNext(queue int, now int64, forget func(hash uint64, r *kv.Record)) (cost int) {
	l, f := &e.log, e.log.fifo
	d := l.drainOf(queue)
	s := &l.segments[d.number]
	b := s.data[d.cursor:s.used]
	if gap := gapAt(b); gap > 0 {
		d.cursor += gap
		l.shed(d)
		return recordCost
	}
	shape := shapeOf(b)
	size := shape.size
	hash := e.hash(b[shape.keyAt:shape.metaAt])
	from := at(d.number, d.cursor)
	where := e.spotOf(from, hash)
	slot := e.slot(where)
	uses := *slot & useMax
	f.record = kv.Record{Key: b[shape.keyAt:shape.metaAt:shape.metaAt], Entry: entryOf(b, &shape)}
	switch expired := f.record.Expired(now); {
	case f.record.Tombstone:
		return e.spare(from, slot, streamKept, 0)
	case queue == queueSmall && uses > promoteAbove*useOne && !expired && f.credit > 0:
		return e.spare(from, slot, streamMain, 0)
	case queue == queueMain && uses > 0 && !expired && f.credit > 0:
		return e.spare(from, slot, streamMain, uses-useOne)
	}
	f.credit = min(f.credit+spareRatio*(size+recordCost), creditMax)
	forget(hash, &f.record)
	e.removeSlot(where)
	e.n--
	if e.n == 0 {
		e.reset()
		return size + recordCost
	}
	if queue == queueSmall {
		f.ghost.add(hash << e.skip)
	}
	l.kill(from, size)
	l.advance(d, size)
	return recordCost + min(size, evictStep)
}

// spare moves a record to a stream, as used so often, and returns what it cost.
// One that fills its segment stays there, and the segment changes the queue.
func (e *packedEngine) spare(from location, slot *uint64, stream int, uses uint64) (cost int) {
	l, f := &e.log, e.log.fifo
	number := from.segment()
	queue := f.links[number].queue
	d := &f.drains[queue]
	s := &l.segments[number]
	shape := shapeOf(s.data[from.place():])
	size := shape.size
	*slot = *slot&^useMax | uses
	if size > aloneBytes && s.used-s.dead == size && d.gone == 0 {
		*d = drain{}
		f.remove(number)
		f.add(number, stream, 0)
		f.live[queue] -= int64(size)
		f.live[queueOf[stream]] += int64(size)
		f.credit -= recordCost
		return recordCost
	}
	record := s.data[from.place() : from.place()+size]
	to, room := l.claim(stream, size)
	copy(room, record)
	*slot = *slot&^locationMask | uint64(to)
	l.kill(from, size)
	l.advance(d, size)
	f.credit -= size + recordCost
	return size + recordCost
}

// advance goes on behind a record that is gone, unless its segment is.
func (l *log) advance(d *drain, size int) {
	if d.number != 0 {
		d.cursor += size
		l.shed(d)
	}
}
