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
	if l.syncFiles() != nil {
		return false
	}
	if !l.faults.doubtful() {
		l.progress.lasts(written)
	}
	return true
}

// syncFiles syncs the files, and keeps which is the last. A failure is noted as a fault.
func (l *Log) syncFiles() error {
	began := time.Now()
	did, err := l.files.sync()
	if did {
		l.counters.synced(time.Since(began))
	}
	switch {
	case err == nil:
		l.keepNumber()
	case !errors.Is(err, errNotGivenUp):
		l.faults.syncFailed(err)
		l.keepRan(l.opt.Now()) // the writer has to give up what it has written, and so needs a round
		signal(l.cleanNow)
	}
	return err
}
