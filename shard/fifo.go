package shard

import "httpdhs/kv"

// S3-FIFO (Yang, Zhang, Qiu, Yue, Rashmi, "FIFO queues are all you need for cache eviction", SOSP
// 2023) over segments. Its queues are lists of segments. What is new is in the small queue. What
// was used there more than once, or came back soon after it was evicted, is in the main one.
//
// Records are evicted from the oldest segment of a queue, in the order in which they lie there. One
// that is spared is copied to the youngest segment of the main queue. So each segment on which
// eviction has worked is empty, and its pages are given back as the work goes on: evicting is
// compacting.
//
// Beyond the two queues of the paper there is one for tombstones, which are not
// evicted and would otherwise be met, and copied, again and again.
const (
	queueSmall = iota
	queueMain
	queueKept
	queues

	evictedQueues = queueKept // those before it

	// smallShare is the part of the bytes of both that the small queue has when
	// it is neither grown nor shrunk: a tenth, as in the paper.
	smallShare = 10

	// promoteAbove is the uses in the small queue above which a record is moved
	// to the main one.
	promoteAbove = 1

	// evictStep is how many bytes of segments a step of eviction looks at.
	evictStep = 32 << 10

	// evictSlots is how many slots of an old table such a step moves.
	evictSlots = 4 * growSlots

	// Records that are spared may be so many times the bytes of those that are
	// evicted, and creditMax ahead; then the next goes, used or not. It bounds
	// what a write may have to copy where everything is in use.
	spareRatio = 4
	creditMax  = 64 << 10

	// shedPieces is in how many pieces the pages of a segment are given back.
	shedPieces = 16
)

// queueOf is the queue of what is written to a stream.
var queueOf = [streams]uint8{
	streamNew: queueSmall, streamOld: queueSmall,
	streamMain: queueMain, streamMainOld: queueMain,
	streamKept: queueKept,
}

// fifo is what a log that evicts knows beside its segments.
type fifo struct {
	links       []link // of the segments, by their numbers
	first, last [queues]int
	live        [queues]int64 // bytes of records
	drains      [evictedQueues]drain
	credit      int
	ghost       ghost

	record kv.Record // reused: what is evicted
}

// link is a segment's place in its queue. 0 is the end.
type link struct {
	older, newer int32
	queue        uint8
}

// drain is how far a segment was emptied: before the cursor there are no
// records any more, and so many bytes of pages were given back.
type drain struct {
	number, cursor, gone int
}

func newFifo() *fifo { return &fifo{credit: creditMax} }

// add puts a new segment into its queue: that of what compaction moves beside
// the segment it comes from, which is as old, any other at the young end.
func (f *fifo) add(number, stream, victim int) {
	for len(f.links) <= number {
		f.links = append(f.links, link{})
	}
	q := queueOf[stream]
	beside := f.last[q]
	if moved := stream == streamOld || stream == streamMainOld; moved && victim != 0 && f.links[victim].queue == q {
		beside = victim
	}
	l := link{older: int32(beside), queue: q}
	if beside != 0 {
		l.newer = f.links[beside].newer
		f.links[beside].newer = int32(number)
	} else {
		f.first[q] = number
	}
	if l.newer != 0 {
		f.links[l.newer].older = int32(number)
	} else {
		f.last[q] = number
	}
	f.links[number] = l
}

func (f *fifo) remove(number int) {
	l := f.links[number]
	if l.older != 0 {
		f.links[l.older].newer = l.newer
	} else {
		f.first[l.queue] = int(l.newer)
	}
	if l.newer != 0 {
		f.links[l.newer].older = l.older
	} else {
		f.last[l.queue] = int(l.older)
	}
	f.links[number] = link{}
}

// next is the queue to evict from; false: there is nothing to evict.
func (f *fifo) next() (queue int, ok bool) {
	small, main := f.live[queueSmall], f.live[queueMain]
	switch {
	case f.first[queueSmall] == 0:
		return queueMain, f.first[queueMain] != 0
	case f.first[queueMain] == 0 || small*smallShare >= small+main:
		return queueSmall, true
	}
	return queueMain, true
}

// draining says whether eviction is at work on a segment.
func (f *fifo) draining(number int) bool {
	return number == f.drains[queueSmall].number || number == f.drains[queueMain].number
}

// count adds to the live bytes of a segment's queue.
func (l *log) count(number, bytes int) {
	if l.fifo != nil {
		l.fifo.live[l.fifo.links[number].queue] += int64(bytes)
	}
}

// movedTo is the stream for a record that compaction moves out of a segment.
func (l *log) movedTo(number int, record []byte) int {
	switch {
	case l.fifo == nil && l.live < oneStreamBytes:
		return streamNew
	case l.fifo == nil:
		return streamOld
	case record[0]&recordTombstone != 0:
		return streamKept
	}
	return [queues]int{streamOld, streamMainOld, streamKept}[l.fifo.links[number].queue]
}

// comesTo is the stream for a record that is new, or does not fit where its
// key's was; from is 0 or that place.
func (e *packedEngine) comesTo(hash uint64, from location, r *kv.Record) int {
	f := e.log.fifo
	switch {
	case f == nil:
		return streamNew
	case r.Tombstone:
		return streamKept
	case from != 0 && f.links[from.segment()].queue == queueMain:
		return streamMain
	case from == 0 && f.ghost.has(hash<<e.skip):
		return streamMain
	}
	return streamNew
}

// stays says whether a record may take the place of its key's: a value in the
// queue of tombstones would never be evicted.
func (l *log) stays(from location, r *kv.Record) bool {
	return l.fifo == nil || r.Tombstone || l.fifo.links[from.segment()].queue != queueKept
}

// drainOf begins to empty the oldest segment of a queue, where compaction has
// left off if it was at it.
func (l *log) drainOf(queue int) *drain {
	d := &l.fifo.drains[queue]
	if d.number != 0 {
		return d
	}
	*d = drain{number: l.fifo.first[queue]}
	if l.victim.number == d.number {
		*d, l.victim = l.victim, drain{}
	}
	l.close(d.number)
	return d
}

// undrain ends the emptying of a segment and returns what of it is gone.
func (l *log) undrain(number int) (gone int) {
	if l.victim.number == number {
		gone, l.victim = l.victim.gone, drain{}
	}
	if l.fifo != nil {
		for q := range l.fifo.drains {
			if d := &l.fifo.drains[q]; d.number == number {
				gone, *d = d.gone, drain{}
			}
		}
	}
	return gone
}

// drained is the dead bytes of the segments that eviction empties. They need no
// compaction.
func (l *log) drained() int64 {
	if l.fifo == nil {
		return 0
	}
	return int64(l.fifo.drains[queueSmall].cursor + l.fifo.drains[queueMain].cursor)
}

// shed gives back the pages before the cursor, in pieces.
func (l *log) shed(d *drain) {
	s := &l.segments[d.number]
	piece := roundToPages(len(s.data) / shedPieces)
	if end := d.cursor / piece * piece; end > d.gone {
		l.taken -= int64(end - d.gone)
		l.gone += int64(end - d.gone)
		l.arena.release(s.data[d.gone:end:end])
		d.gone = end
	}
}
