package shard

import (
	"bytes"
	"cmp"
	"slices"

	"httpdhs/kv"
)

// Scan walks the table, and both while it grows. Slots with the same tag are
// put in order as they are met, spilled ones in between.
func (e *packedEngine) Scan(from uint64, fn func(hash uint64, r *kv.Record) bool) {
	s := &e.scan
	*s = scan{engine: e, from: from, fn: fn, group: s.group[:0]}
	s.spilled, _ = slices.BinarySearchFunc(e.spill, from, func(s spilled, from uint64) int {
		return cmp.Compare(s.hash, from)
	})
	x := from << e.skip
	switch {
	case e.old.slots == nil:
		s.walk(&e.table, e.table.seek(x), len(e.table.slots))
	case x >= e.front:
		s.walk(&e.old, e.old.seek(x), len(e.old.slots))
	default:
		// What has been moved is within reach of the front.
		end := e.table.home(e.table.cut(e.front)) + reachMax + 1
		s.walk(&e.table, e.table.seek(x), min(end, len(e.table.slots)))
		s.walk(&e.old, e.next, len(e.old.slots))
	}
	s.showSpilled(nil)
	s.fn = nil // it may hold on to much
}

// touchedSlots is how many slots' records are loaded at once: about as many cache misses as a
// processor has under way.
const touchedSlots = 16

// touchRecords loads the beginnings of the records of the next slots of a table,
// and returns the place behind these slots.
//
//go:noinline
func (e *packedEngine) touchRecords(t *table, p, end int) (next int) {
	next = min(p+touchedSlots, end)
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

// scan is the state of a Scan. The engine keeps it for the next.
type scan struct {
	engine  *packedEngine
	from    uint64
	fn      func(hash uint64, r *kv.Record) bool
	spilled int // the next of the spill
	ended   bool
	record  kv.Record

	group []scanned // records with the tag that is looked at
	seen  byte      // what touchRecords has loaded, so that it does
}

// scanned is a record that is to be shown.
type scanned struct {
	hash uint64
	b    []byte
	s    shape
}

func (s *scanned) key() []byte { return s.b[s.s.keyAt:s.s.metaAt:s.s.metaAt] }

func compareScanned(a, b scanned) int {
	return cmp.Or(cmp.Compare(a.hash, b.hash), bytes.Compare(a.key(), b.key()))
}

// walk shows what a part of a table has.
func (s *scan) walk(t *table, p, end int) {
	touched := p // the records of the slots before it are loaded
	for p < end && !s.ended {
		if t.slots[p] == 0 {
			p++
			continue
		}
		if p >= touched {
			touched = s.engine.touchRecords(t, p, end)
		}
		tag := t.slots[p] & tagMask
		s.group = s.group[:0]
		for ; p < end && t.matches(p, tag); p++ {
			s.group = append(s.group, scanned{})
			s.load(&s.group[len(s.group)-1], t.slots[p])
		}
		if len(s.group) > 1 {
			slices.SortFunc(s.group, compareScanned)
		}
		for i := 0; i < len(s.group) && !s.ended; i++ {
			if s.spilled < len(s.engine.spill) {
				s.showSpilled(&s.group[i])
			}
			s.show(&s.group[i])
		}
	}
}

func (s *scan) load(r *scanned, slot uint64) {
	r.b = s.engine.log.record(location(slot & locationMask))
	r.s = shapeOf(r.b)
	r.hash = s.engine.hash(r.b[r.s.keyAt:r.s.metaAt])
}

// showSpilled shows what of the spill comes before a record; nil: all.
func (s *scan) showSpilled(before *scanned) {
	for ; s.spilled < len(s.engine.spill) && !s.ended; s.spilled++ {
		var r scanned
		s.load(&r, s.engine.spill[s.spilled].slot)
		if before != nil && compareScanned(r, *before) > 0 {
			return
		}
		s.show(&r)
	}
}

func (s *scan) show(r *scanned) {
	if s.ended || r.hash < s.from {
		return
	}
	s.record = kv.Record{Key: r.key(), Entry: entryOf(r.b, &r.s)}
	s.ended = !s.fn(r.hash, &s.record)
}
