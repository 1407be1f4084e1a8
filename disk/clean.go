package disk

import (
	"errors"
	"fmt"
	"time"

	"httpdhs/kv"
)

const (
	// weightMost is how many bytes the log may have for each that is live, before it is cleaned.
	// The bound that is told is 2.5: there is the segment being written, and what the cleaner is
	// behind.
	weightMost = 2.2

	// floorSegments is what a log may have however little is live, in segments.
	floorSegments = 4

	// cleanEvery is the time between two looks at what the log weighs.
	cleanEvery = time.Second

	// unreadMost is how often a segment is tried to be read before what it held counts as damaged.
	unreadMost = 10

	// touchAtOnce is how many keys are looked up together: see shard.Store.Touch.
	touchAtOnce = 16

	// hastyWeight is what the log weighs when the cleaner takes no rest.
	hastyWeight = 2.3

	// boundRoom is how far below Options.MaxBytes cleaning keeps the log, in segments, and
	// boundSpare where changes are refused. The cleaner has a segment to write to, and a file may
	// be kept to be used again. What is between is for what is written while the cleaner works.
	boundRoom  = 4
	boundSpare = 2

	// restAfter is how much is cleaned before a pause as long as the work: the cleaner takes half a
	// processor at most, unless the log is far above its bound.
	restAfter = 1 << 20
)

// cleaner removes the oldest segment. It is one goroutine, which also writes all again after a sync
// has failed.
type cleaner struct {
	*Log
	buf    []byte // a segment
	unread int    // how often the oldest could not be read
	worked int
	since  time.Time
	told   string // what was wrong at the last step; "": nothing

	// settled is what the log takes once all of it was cleaned, and was too heavy still: records of
	// a few bytes each have blocks of their own. It is cleaned again when it has grown. 0: it was
	// not too heavy.
	settled int64
}

func (c *cleaner) loop() {
	tick := time.NewTicker(cleanEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-c.cleanNow:
		case <-c.quit:
			return
		}
		c.tell(c.step())
	}
}

// tell logs what is wrong, once while it is the same.
func (c *cleaner) tell(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text != "" && text != c.told && !errors.Is(err, ErrClosed) {
		c.opt.Log.Warn("the log cannot be cleaned yet", "error", err)
	}
	c.told = text
}

// step does what is to be done.
func (c *cleaner) step() error {
	if doubtful, ready := c.faults.renewable(); doubtful {
		if !ready {
			return nil // the writer wakes this goroutine
		}
		return c.renew()
	}
	if err := c.files.removeLate(c.keeps()); err != nil {
		return err
	}
	c.prepare()
	waits := c.tight.Load()
	_, count := c.files.first()
	for ; count > 0 && c.tooHeavy(); count-- {
		if err := c.clean(); err != nil {
			return err
		}
	}
	c.lookAtBound()
	if waits != 0 && c.tight.Load() == waits { // and has waited for all of that
		c.refuseMore()
	}
	switch used := c.files.bytes(); {
	case count == 0:
		c.settled = used
	case used <= c.weight(c.store.LiveBytes()):
		c.settled = 0
	}
	return nil
}

// prepare has a file ready for the next segment where each write is synced by itself. Where that
// fails the next segment grows as it is written to.
func (l *Log) prepare() {
	if l.opt.Sync != SyncAlways || l.faults.now() != nil {
		return
	}
	if err := l.files.prepare(); err != nil {
		l.opt.Log.Debug("no file can be made ready for the next segment", "error", err)
	}
}

// tooHeavy says whether the oldest segment is to go. On its way it looks at Options.MaxBytes.
func (c *cleaner) tooHeavy() bool {
	live, used, segment := c.store.LiveBytes(), c.files.bytes(), c.opt.SegmentBytes
	most := max(c.weight(live), c.settled+segment)
	if bound := c.opt.MaxBytes; bound > 0 {
		c.lookAtBound()
		if worth := live + live/8; used > worth {
			most = min(most, max(bound-boundRoom*segment-(c.files.taken()-used), worth, c.settled+segment))
			if c.tight.Load() != 0 {
				most = worth // somebody waits, and there is something to be had
			}
		}
	}
	oldest, count := c.files.first()
	switch mend := c.mend.Load(); {
	case uint64(oldest.number) <= mend && count > 1:
		return c.faults.now() == nil
	case c.loaded.damage != nil && mend == 0:
		return false // what is damaged has to be found by the next start too
	}
	many := int(floorSegments + used/segment*2)
	heavy := used > most || count > many
	return count > 1 && heavy && c.faults.now() == nil
}

// weight is what the log may have for so much that is live.
func (l *Log) weight(live int64) int64 {
	return max(int64(weightMost*float64(live)), floorSegments*l.opt.SegmentBytes)
}

// clean removes the oldest segment, once all that memory holds of it is in the log again.
func (c *cleaner) clean() error {
	oldest, _ := c.files.first()
	data, err := c.files.read(oldest.number, c.buf)
	if c.unread++; err != nil && c.unread < unreadMost && !isAbsent(err) {
		return fmt.Errorf("cannot read segment %d: %w", oldest.number, err)
	}
	c.buf, c.unread = data, 0
	w := walk{segment: data[:min(oldest.size, int64(len(data)))], number: oldest.number}
	for w.next() {
		if err := c.again(&w); err != nil {
			return err
		}
	}
	if int64(len(data)) < oldest.size {
		w.lost, w.lostAt = allStripes, int64(len(data))
		if err := c.again(&w); err != nil {
			return err
		}
	}
	for partition := range c.opt.Identity.Partitions {
		if v := c.store.Mark(partition); v != 0 {
			c.append(partition%stripes, func(dst []byte) []byte { return appendMark(dst, partition, v) })
		}
	}
	if err := c.Sync(); err != nil { // nobody may read of it before
		return err
	}
	next := c.files.withoutFirst()
	c.append(control, func(dst []byte) []byte { return appendFirst(dst, next) })
	if err := c.Sync(); err != nil {
		return err
	}
	c.counters.Cleaned.Add(1)
	c.files.dropFirst()
	return c.files.removeLate(c.keeps())
}

// keeps says whether a file is kept to be written to again: see files.prepare.
func (c *cleaner) keeps() bool { return c.opt.Sync == SyncAlways }

// again puts into the log what memory holds of a block. What is in a damaged one is not known, so
// all that memory holds of its stripe is written.
func (c *cleaner) again(w *walk) error {
	if w.lost != 0 && c.loaded.noted[at(w.number, w.lostAt)] {
		return nil // it was known, and what it held was fetched again since
	}
	if w.lost != 0 {
		c.counters.Damaged.Add(1)
		c.opt.Log.Error("a part of the log is damaged: what it held is written again from memory", "segment", w.number, "offset", w.lostAt)
		return c.rewrite(w.lost)
	}
	b := &w.block
	var hashes [touchAtOnce]uint64
	var records [touchAtOnce]kv.Record
	var sizes [touchAtOnce]int
	n := 0
	flush := func() {
		c.store.Touch(hashes[:n])
		for i := range n {
			if c.store.Again(hashes[i], records[i].Key, records[i].Version) {
				c.counters.Copied.Add(1)
				c.counters.Recopied.Add(int64(sizes[i]))
			}
		}
		n = 0
	}
	for rest := b.payload; len(rest) > 0; {
		it, more, err := nextItem(rest)
		if err != nil {
			return err
		}
		size := len(rest) - len(more)
		if rest = more; it.kind != 0 {
			continue
		}
		records[n], hashes[n], sizes[n] = it.record, kv.Hash(it.record.Key), size
		if n++; n == touchAtOnce {
			flush()
		}
	}
	flush()
	return c.rest(len(b.payload))
}

// rest has others come to their turn. The error is that of a disk that takes nothing, or of a log
// that was closed.
func (c *cleaner) rest(worked int) error {
	c.awaitTaken()
	if c.worked += worked; c.worked < restAfter {
		return c.over()
	}
	pause := time.NewTimer(min(time.Since(c.since), cleanEvery))
	defer pause.Stop()
	if c.hasty() {
		pause.Reset(0)
	}
	select {
	case <-pause.C:
	case <-c.quit:
	}
	c.worked, c.since = 0, time.Now()
	return c.over()
}

// hasty says whether there is no time to rest.
func (c *cleaner) hasty() bool {
	used, bound := c.files.bytes(), c.opt.MaxBytes
	if bound > 0 && c.files.taken() > bound-boundRoom*c.opt.SegmentBytes {
		return true
	}
	return float64(used) > hastyWeight*float64(c.store.LiveBytes())
}

// over is why the cleaner cannot go on.
func (c *cleaner) over() error {
	select {
	case <-c.quit:
		return ErrClosed
	default:
		return nil
	}
}
