package shard

import (
	"math/bits"
	"slices"

	"httpdhs/kv"
)

const (
	placeBits = 20
	placeMask = 1<<placeBits - 1

	// A shard has at most 2^20 segments: 32 GiB of the smallest values that
	// get one of their own.
	segmentsMax = 1 << (locationBits - placeBits)

	segmentMaxBytes = 1 << placeBits

	// Below so many live bytes, what compaction moves is not kept apart: half a
	// page more at the end of an open segment is much then.
	oneStreamBytes = 256 << 10

	// A record above this size has a segment of its own, in whole pages.
	aloneBytes = segmentMaxBytes / 32
)

// location is where a record is: its segment's number and its place there.
// Segment 0 does not exist, so no location is 0.
type location uint64

func at(segment, place int) location { return location(segment<<placeBits | place) }

func (l location) segment() int { return int(l >> placeBits) }
func (l location) place() int   { return int(l & placeMask) }

// segment is a piece of memory that is filled with records from its start to
// its end once, and given back as a whole.
type segment struct {
	data []byte // in memory of the arena, with a promise of more while it is open; nil: the number is free
	used int    // bytes: records and gaps
	dead int    // bytes: gaps
}

// pages is the bytes that the segment takes: what was never written to takes
// nothing.
func (s *segment) pages() int64 { return int64(roundToPages(s.used)) }

// Records are written to one of two open segments: those that come in, and
// those that are moved by compaction and have shown that they stay. Where
// records are evicted these are of the small queue; see fifo.
const (
	streamNew = iota
	streamOld
	streamMain    // promoted, spared and overwritten
	streamMainOld // moved by compaction
	streamKept    // tombstones
	streams
)

// log is the segments of a shard and where they are written to.
type log struct {
	segments []segment
	fifo     *fifo // nil: nothing is evicted
	arena    *arena
	unused   []int // numbers of segments that are free
	open     [streams]int

	live, dead int64 // bytes, the sums over all segments
	gone       int64 // of dead, what was given back already
	taken      int64 // bytes, the sum of their pages

	victim drain // the segment that is being compacted, 0 is none
	hand   int   // where the search for the next victim goes on

	steps *stepper // of the shard; nil: nobody asks
}

// record is the memory from a record's beginning to its segment's end.
func (l *log) record(at location) []byte {
	s := &l.segments[at.segment()]
	return s.data[at.place():s.used]
}

// appendCost is the memory that append would take.
func (l *log) appendCost(stream, size int) int64 {
	s := &l.segments[l.open[stream]]
	if size > aloneBytes || s.used+size > cap(s.data) {
		return int64(roundToPages(size))
	}
	return int64(roundToPages(s.used+size)) - s.pages()
}

// moveCost is the memory that append would take beyond what kill gives back of
// an older record of the given size.
func (l *log) moveCost(stream, old, size int) int64 {
	cost := l.appendCost(stream, size)
	if old > aloneBytes {
		cost -= int64(roundToPages(old))
	}
	return cost
}

// append writes the record, whose encoded size is given.
func (l *log) append(stream int, size int, r *kv.Record) location {
	where, room := l.claim(stream, size)
	appendRecord(room[:0], r)
	return where
}

// claim makes room for a record. The caller fills it at once.
func (l *log) claim(stream, size int) (location, []byte) {
	number := l.open[stream]
	if size > aloneBytes {
		number = l.create(stream, size, 0)
	} else if s := &l.segments[number]; s.used+size > cap(s.data) {
		l.close(number)
		number = l.create(stream, size, l.segmentBytes(size))
		l.open[stream] = number
	}
	s := &l.segments[number]
	if s.used+size > len(s.data) {
		s.data = l.arena.extend(s.data, s.used+size)
	}
	place, before := s.used, s.pages()
	s.used += size
	l.live += int64(size)
	l.taken += s.pages() - before
	l.count(number, size)
	return at(number, place), s.data[place:s.used:s.used]
}

// segmentBytes is the size of a new segment for records of that size: a power of two near the root
// of what the shard holds in units of them. So what is unused at the end of the open one is about
// as much as what is unused at the ends of all others.
func (l *log) segmentBytes(size int) int {
	want := 1 << (bits.Len64(uint64(l.live)*uint64(size)) / 2)
	return min(max(want, size), segmentMaxBytes)
}

func (l *log) create(stream, size, reach int) (number int) {
	began := l.steps.begin()
	if n := len(l.unused); n > 0 {
		number, l.unused = l.unused[n-1], l.unused[:n-1]
	} else {
		number = len(l.segments)
		if number == segmentsMax {
			panic("shard: cannot number another segment: a partition has too many values, use more partitions")
		}
		l.segments = append(l.segments, segment{})
	}
	l.segments[number] = segment{data: l.arena.alloc(size, reach/2, reach)}
	if l.fifo != nil {
		l.fifo.add(number, stream, l.victim.number)
	}
	l.steps.end(StepSegment, began)
	return number
}

// kill makes the record of that size a gap. A segment of gaps alone is given
// back.
func (l *log) kill(where location, size int) {
	number := where.segment()
	s := &l.segments[number]
	s.dead += size
	l.live -= int64(size)
	l.dead += int64(size)
	l.count(number, -size)
	if s.dead == s.used {
		l.drop(number)
		return
	}
	putGap(s.data[where.place() : where.place()+size])
}

// drop gives a segment back that has no record any more.
func (l *log) drop(number int) {
	began := l.steps.begin()
	s := &l.segments[number]
	gone := l.undrain(number)
	l.dead -= int64(s.dead)
	l.taken -= s.pages() - int64(gone)
	l.gone -= int64(gone)
	l.arena.release(s.data[gone:])
	*s = segment{}
	l.unused = append(l.unused, number)
	if l.fifo != nil {
		l.fifo.remove(number)
	}
	l.close(number)
	l.steps.end(StepSegment, began)
}

// close ends writing to a segment, if it is open.
func (l *log) close(number int) {
	for stream, open := range l.open {
		if open == number {
			l.open[stream] = 0
		}
	}
	if s := &l.segments[number]; cap(s.data) > len(s.data) {
		l.arena.release(s.data[len(s.data):])
		s.data = slices.Clip(s.data)
	}
}

// replace writes the record over an older one of the given size where it fits:
// there, and into the gaps behind it. What is left over becomes a gap, or is
// given back.
func (l *log) replace(where location, old, size int, r *kv.Record) bool {
	room := l.room(where, old, size)
	if room == 0 {
		return false
	}
	if old > aloneBytes {
		l.replaceAlone(where.segment(), old, size, r)
		return true
	}
	s := &l.segments[where.segment()]
	b := s.data[where.place():s.used]
	appendRecord(b[:0], r)
	putGap(b[size:room])
	s.dead += old - size
	l.dead += int64(old - size)
	l.live += int64(size - old)
	l.count(where.segment(), size-old)
	return true
}

// replaceAlone is replace for a record with pages of its own, which are enough.
func (l *log) replaceAlone(number, old, size int, r *kv.Record) {
	began := l.steps.begin()
	s := &l.segments[number]
	appendRecord(s.data[:0], r)
	l.taken -= s.pages()
	s.used = size
	l.taken += s.pages()
	l.live += int64(size - old)
	l.count(number, size-old)
	if keep := int(s.pages()); keep < len(s.data) {
		l.arena.release(s.data[keep:])
		s.data = s.data[:keep:keep]
	}
	l.steps.end(StepSegment, began)
}

// room is how much room there is for a record of the size in place of an older
// one and of gaps behind it; 0: not enough.
func (l *log) room(where location, old, size int) int {
	if old > aloneBytes {
		if size > aloneBytes && size <= len(l.segments[where.segment()].data) {
			return size
		}
		return 0
	}
	b, room := l.record(where), old
	for room < size {
		gap := gapAt(b[room:])
		if gap == 0 {
			return 0
		}
		room += gap
	}
	return room
}

// reset gives everything back.
func (l *log) reset() {
	for i := range l.segments {
		if l.segments[i].data != nil {
			l.arena.release(l.segments[i].data[l.undrain(i):])
		}
	}
	f, steps := l.fifo, l.steps
	*l = newLog(l.arena)
	l.steps = steps
	if f != nil {
		f.ghost.free(l.arena)
		l.fifo = newFifo()
	}
}

func newLog(a *arena) log { return log{arena: a, segments: make([]segment, 1)} }
