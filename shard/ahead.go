package shard

// aheadMost is how many records are looked ahead for: about as many misses of
// the cache as a processor has under way.
const aheadMost = 16

// ahead is the hashes of records of a segment that are to be moved next, in
// their order. Their slots lie anywhere in the table; all of them are loaded
// first, so that these misses of the cache overlap.
type ahead struct {
	hashes  [aheadMost]uint64
	n, next int
}

// look reads the records from a place of a segment on, as many as a budget of
// compaction is enough for, and returns the place behind them.
func (a *ahead) look(e *packedEngine, s *segment, place, budget int) (next int) {
	a.n, a.next = 0, 0
	for a.n < aheadMost && place < s.used && budget > 0 {
		b := s.data[place:s.used]
		if gap := gapAt(b); gap > 0 {
			place += gap
			budget -= recordCost
			continue
		}
		shape := shapeOf(b)
		hash := e.hash(b[shape.keyAt:shape.typeAt])
		e.touchSlot(hash)
		a.hashes[a.n] = hash
		a.n++
		place += shape.size
		budget -= shape.size + recordCost
	}
	return place
}

// touchNext loads the slots of the records that eviction will look at next, and
// returns the place behind them.
func (e *packedEngine) touchNext(s *segment, place int) (next int) {
	var a ahead
	return a.look(e, s, place, evictStep)
}

// take is the hash of the next record.
func (a *ahead) take() uint64 {
	a.next++
	return a.hashes[a.next-1]
}

func (a *ahead) empty() bool { return a.next == a.n }

// touchRecords loads the beginnings of the records of the next slots of a table,
// and returns the place behind these slots.
//
//go:noinline
func (e *packedEngine) touchRecords(t *table, p, end int) (next int) {
	next = min(p+aheadMost, end)
	seen := byte(0)
	for _, slot := range t.slots[p:next] {
		if slot != 0 {
			where := location(slot & locationMask)
			seen |= e.log.segments[where.segment()].data[where.place()]
		}
	}
	e.scan.seen = seen
	return next
}
