package disk

import "time"

// At Options.MaxBytes changes wait while the cleaner makes room: who overwrites faster than it
// cleans is slowed down by that. They are refused once it has cleaned what it can and there is no
// room still, or has taken too long. Deletes, which take less, are refused beyond the bound.

// tightMost is how long changes wait for the cleaner before they are refused. It is looked at every
// watchEvery, so they wait for 1.5 s at most.
const tightMost = time.Second

// lookAtBound has changes wait or be refused, or not any more, by what the log takes of
// Options.MaxBytes. Changes that are refused are taken again when there is a segment of room more.
func (l *Log) lookAtBound() {
	bound, segment := l.opt.MaxBytes, l.opt.SegmentBytes
	if bound == 0 {
		return
	}
	used := l.files.taken()
	switch refused := l.faults.atBound(); {
	case refused != boundNone && used <= bound-(boundSpare+1)*segment:
		l.faults.bounded(boundNone, used, bound)
	case refused != boundNone && used > bound:
		l.faults.bounded(boundAll, used, bound)
	case refused == boundAll && used <= bound-segment:
		l.faults.bounded(boundMost, used, bound)
	case refused != boundNone:
	case used <= bound-boundSpare*segment:
		if l.tight.Swap(0) != 0 {
			l.progress.change(func(*progress) {})
		}
	case l.tight.CompareAndSwap(0, time.Now().UnixNano()):
		signal(l.cleanNow)
	}
}

// refuseMore has changes refused that wait for the cleaner, and all others.
func (l *Log) refuseMore() {
	l.faults.bounded(boundMost, l.files.taken(), l.opt.MaxBytes)
	signal(l.cleanNow) // there may be room by now
	if l.tight.Swap(0) != 0 {
		l.progress.change(func(*progress) {})
	}
}

// awaitCleaner waits until the cleaner has made room, or changes are refused.
func (l *Log) awaitCleaner() {
	p := &l.progress
	p.mu.Lock()
	defer p.mu.Unlock()
	for l.tight.Load() != 0 && !p.closed && l.faults.now() == nil {
		p.changed.Wait()
	}
	if p.closed {
		l.tight.Store(0)
	}
}
