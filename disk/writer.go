package disk

import "time"

// writer writes what the buffers hold, in rounds. It is one goroutine.
type writer struct {
	*Log
	round uint64
	taken [stripes + 1][]byte // of the round
	spare [stripes + 1][]byte // buffers to be used again
	out   []byte              // blocks that are written with one call
}

// loop makes a round whenever there is something to write.
func (w *writer) loop() {
	for w.waitForWork() {
		w.take()
		if !w.write() {
			return
		}
		w.done()
	}
}

// waitForWork waits for a change, and then a while for more. It is false at the end.
func (w *writer) waitForWork() bool {
	w.idle.Store(true)
	if w.appended() > w.round {
		w.idle.Store(false) // it was appended before anybody could see that the writer waits
	} else {
		select {
		case <-w.wake:
		case <-w.quit:
			return false
		}
	}
	if w.opt.Sync == SyncAlways {
		return true
	}
	more := time.NewTimer(w.opt.Gather)
	defer more.Stop()
	select {
	case <-more.C:
	case <-w.hurry:
	case <-w.quit:
		return false
	}
	return true
}

// take begins a round: it takes what all buffers hold.
func (w *writer) take() {
	w.round++
	for i := range w.stripes {
		s := &w.stripes[i]
		s.mu.Lock()
		if len(s.buf) > 0 {
			w.taken[i], s.buf = s.buf, w.spare[i]
			w.spare[i] = nil
		}
		s.taken = w.round
		s.mu.Unlock()
	}
	if w.full.Load() {
		w.progress.mu.Lock()
		w.full.Store(false)
		w.progress.mu.Unlock()
		w.progress.changed.Broadcast()
	}
}

// outBytes is how much is written with one call, unless a block is larger.
const outBytes = 1 << 20

// write writes the round, however often that takes, and syncs it where it has to be. It is false if
// the log was closed before that.
func (w *writer) write() bool {
	for !w.try() || w.opt.Sync == SyncAlways && !w.syncWritten() {
		if !w.pause() {
			return false
		}
	}
	return true
}

// try writes the round. It is false if the disk does not take all of it. Then all of it is written
// again: who reads the log merges some of it twice.
func (w *writer) try() bool {
	w.out = w.out[:0]
	if w.faults.mustGiveUp() {
		w.files.giveUp()
		w.faults.gaveUp()
		signal(w.cleanNow)
	}
	for i, buf := range w.taken {
		if len(buf) > 0 && !w.place(i, buf) {
			return false
		}
	}
	if !w.flush() {
		return false
	}
	w.faults.writable()
	w.lookAtBound()
	if w.progress.wrote(w.round) && w.opt.Sync != SyncAlways {
		signal(w.files.syncNow)
	}
	return true
}

// place adds a block to what is to be written. It is false if the disk takes nothing just now.
func (w *writer) place(stripe int, buf []byte) bool {
	if len(w.out)+len(buf) > outBytes && !w.flush() {
		return false
	}
	file, where, synced := w.files.tail()
	if end := where + position(len(w.out)); file == nil || end.offset() >= w.opt.SegmentBytes {
		if !w.flush() {
			return false
		}
		err := w.tidy()
		if err == nil {
			err = w.files.begin(w.head())
		}
		if err != nil {
			w.faults.failed("begin a segment", err)
			return false
		}
		_, where, synced = w.files.tail()
		if w.opt.MaxBytes > 0 {
			signal(w.cleanNow) // at the bound it is late
		}
	}
	seal(buf, where+position(len(w.out)), stripe, synced)
	if len(buf) > outBytes {
		return w.writeAt(buf)
	}
	w.out = append(w.out, buf...)
	return true
}

// flush writes what was placed. It is false if the disk takes nothing just now.
func (w *writer) flush() bool {
	if len(w.out) > 0 && !w.writeAt(w.out) {
		return false
	}
	w.out = w.out[:0]
	return true
}

// writeAt writes blocks behind the tail.
func (w *writer) writeAt(blocks []byte) bool {
	file, where, _ := w.files.tail()
	w.files.writing.begin()
	defer w.files.writing.end()
	if _, err := file.WriteAt(blocks, where.offset()); err != nil {
		w.faults.failed("write", err)
		return false
	}
	w.files.wrote(int64(len(blocks)))
	w.counters.Written.Add(int64(len(blocks)))
	return true
}

// head is what a segment begins with: what is to be known of the node and its log, without reading
// further back.
func (l *Log) head() (items []byte) {
	if at := l.loaded.ran.Load(); at != 0 {
		items = appendValue(items, itemRan, uint64(at))
	}
	if at := l.loaded.inSync.Load(); at != 0 {
		items = appendValue(items, itemInSync, uint64(at))
	}
	return appendFirst(items, l.files.firstNumber())
}

// done ends the round, and keeps its buffers to be used again.
func (w *writer) done() {
	for i, buf := range w.taken {
		if w.taken[i] = nil; cap(buf) <= keepBytes {
			w.spare[i] = buf[:0]
		}
	}
	if cap(w.out) > 2*outBytes {
		w.out = nil
	}
}
