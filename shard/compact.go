package shard

import "slices"

// Compaction empties the segments with the most gaps by moving their records
// to an open one (Rosenblum, Ousterhout, "The design and implementation of a
// log-structured file system", 1992; the choice of the emptiest is greedy).
// Changes pay for it as they make bytes dead, so it never has much to do at
// once and there is no goroutine to wait for.
const (
	// Compaction begins above this much dead: a 14th of what is live, so that
	// segments are full to 0.93. The emptiest is then full to about 0.86 if
	// overwrites are spread evenly, and a byte regained costs six to move.
	deadShare    = 14
	deadMinBytes = 4 << 10

	// compactRatio is how many bytes of segments are looked at for a byte that
	// a change makes dead: enough to keep up even so.
	compactRatio = 10

	// A step looks at this many bytes. It takes above a hundred microseconds only where records are
	// tiny. It is put off until it is worth its beginning, which is the cache misses for the table,
	// the victim and the open segment. At 4 KiB an overwrite with another size takes a quarter
	// more.
	compactStepMin = 16 << 10
	compactStepMax = 32 << 10

	// recordCost is what a record costs beside its bytes, in bytes.
	recordCost = 64

	// victimMinShare is the least share of a victim that has to be dead.
	victimMinShare = 16

	// victimsSeen bounds the search for a victim.
	victimsSeen = 1024
)

// untidy says whether there is so much dead that compaction is due.
func (e *packedEngine) untidy() bool {
	return e.log.dead-e.log.drained() > e.log.live/deadShare+deadMinBytes
}

// work does what is to be done after a change that made so many bytes dead.
func (e *packedEngine) work(died int) {
	e.growOn(growSlots)
	if died == 0 {
		return
	}
	if !e.untidy() {
		e.debt = 0
		return
	}
	e.debt = min(e.debt+died*compactRatio, compactStepMax)
	if e.debt < compactStepMin {
		return
	}
	if wait, now := e.pace.delay(); wait == 0 {
		e.compact(e.debt, false)
		e.pace.spend(now)
		e.debt = 0
	}
}

// Tidy does a step of compaction if one is due, whatever the pace.
func (e *packedEngine) Tidy() (more bool) {
	e.growOn(growSlots)
	if !e.untidy() {
		return e.old.slots != nil
	}
	_, now := e.pace.delay()
	did := e.compact(compactStepMax, false)
	e.pace.spend(now)
	return e.old.slots != nil || did && e.untidy()
}

// Squeeze does a step of compaction whatever is dead and whatever the pace.
func (e *packedEngine) Squeeze() (did bool) {
	_, now := e.pace.delay()
	did = e.compact(compactStepMax, true)
	e.pace.spend(now)
	return did
}

// compact looks at so many bytes of the victim. It says no if none is worth it,
// which is another matter where memory is short.
func (e *packedEngine) compact(budget int, short bool) bool {
	began := e.log.steps.begin()
	defer e.log.steps.end(StepCompact, began)
	l := &e.log
	if l.victim.number == 0 && !l.choose(short) {
		return false
	}
	d := &l.victim
	victim := &l.segments[d.number]
	for budget > 0 && d.cursor < victim.used {
		b := victim.data[d.cursor:victim.used]
		if gap := gapAt(b); gap > 0 {
			d.cursor += gap
			budget -= recordCost
			continue
		}
		s := shapeOf(b)
		e.move(at(d.number, d.cursor), b[:s.size], e.hash(b[s.keyAt:s.metaAt]))
		if d.number == 0 {
			return true // that was the last, and its segment is gone
		}
		victim = &l.segments[d.number] // the slice may have grown
		d.cursor += s.size
		budget -= s.size + recordCost
		if short || l.fifo != nil {
			l.shed(d) // at its bound, a store has no room for both
		}
	}
	return true
}

// move gives a record another place.
func (e *packedEngine) move(from location, record []byte, hash uint64) {
	slot := e.slot(e.spotOf(from, hash))
	to, room := e.log.claim(e.log.movedTo(from.segment(), record), len(record))
	copy(room, record)
	*slot = *slot&^locationMask | uint64(to)
	e.log.kill(from, len(record))
}

// spotOf is where the slot of the record at a location is.
func (e *packedEngine) spotOf(where location, hash uint64) spot {
	x := hash << e.skip
	t := e.home(x)
	tag := t.tag(x)
	for p := t.seek(x); t.matches(p, tag); p++ {
		if location(t.slots[p]&locationMask) == where {
			return spot{t, p}
		}
	}
	i, ok := e.findSpilled(hash, e.keyAt(where))
	if !ok {
		panic("BUG: shard: a record without a slot")
	}
	return spot{nil, i}
}

// choose makes the emptiest segment the victim: of all, or of so many that the
// search is no pause. An open one counts where it is more dead than live, and is
// closed. Where memory is short any gap will do.
func (l *log) choose(short bool) bool {
	best, bestDead := 0, 0.0
	for range min(len(l.segments), victimsSeen) {
		l.hand++
		if l.hand >= len(l.segments) {
			l.hand = 1
		}
		s := &l.segments[l.hand]
		least := s.used / victimMinShare
		if l.isOpen(l.hand) {
			least = s.used / 2
		}
		if short {
			least = 0
		}
		if s.dead <= least || l.fifo != nil && l.fifo.draining(l.hand) {
			continue
		}
		if dead := float64(s.dead) / float64(s.used); dead > bestDead {
			best, bestDead = l.hand, dead
		}
	}
	l.victim = drain{number: best}
	l.close(best)
	return best != 0
}

func (l *log) isOpen(number int) bool {
	return slices.Contains(l.open[:], number)
}
