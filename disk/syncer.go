package disk

import (
	"errors"
	"time"
)

// ranEvery is the time between two notes that the node runs.
const ranEvery = 10 * time.Second

// syncLoop syncs once an interval, and where somebody waits for it.
func (l *Log) syncLoop() {
	tick := time.NewTicker(l.opt.SyncEvery)
	defer tick.Stop()
	ran := time.NewTicker(ranEvery)
	defer ran.Stop()
	l.keepRan(l.opt.Now())
	for {
		select {
		case <-tick.C:
			if l.opt.Sync == SyncInterval {
				l.syncWritten()
			}
		case <-ran.C:
			l.keepRan(l.opt.Now())
		case <-l.files.syncNow:
			l.syncWritten()
		case <-l.quit:
			return
		}
	}
}

// syncWritten syncs what was written, and tells who waits for it. It is false if that failed: then
// nothing is believed that was written since the last time.
func (l *Log) syncWritten() bool {
	written := l.progress.upTo()
	began := time.Now()
	did, err := l.files.sync()
	if did {
		l.counters.synced(time.Since(began))
	}
	if errors.Is(err, errNotGivenUp) {
		return false
	}
	if err != nil {
		l.faults.syncFailed(err)
		l.keepRan(l.opt.Now()) // the writer has to give up what it has written, and so needs a round
		signal(l.cleanNow)
		return false
	}
	l.keepNumber()
	if !l.faults.doubtful() {
		l.progress.lasts(written)
	}
	return true
}

// keepNumber keeps the number of the segment that was synced last, so that a start knows if it is
// gone. Where that fails it is tried again at the next sync.
func (l *Log) keepNumber() {
	number := l.files.syncedNumber()
	l.metaMu.Lock()
	known := l.meta.Number >= number
	l.metaMu.Unlock()
	if known {
		return
	}
	if err := l.changeMeta(func(m *meta) { m.Number = number }); err != nil {
		l.opt.Log.Warn("cannot keep which segment is the last", "error", err)
	}
}
