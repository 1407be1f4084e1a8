package disk

import (
	"sync/atomic"
	"time"
)

// counters count since the start.
type counters struct {
	Written  atomic.Int64 // bytes
	Recopied atomic.Int64 // of these, about what the cleaner has written again
	Copied   atomic.Int64 // records that the cleaner has put into the log again
	Cleaned  atomic.Int64 // segments removed
	Damaged  atomic.Int64 // parts of the log that were found damaged

	syncs       atomic.Int64
	syncNanos   atomic.Int64
	syncLongest atomic.Int64
}

func (c *counters) synced(took time.Duration) {
	c.syncs.Add(1)
	c.syncNanos.Add(int64(took))
	for longest := c.syncLongest.Load(); int64(took) > longest && !c.syncLongest.CompareAndSwap(longest, int64(took)); {
		longest = c.syncLongest.Load()
	}
}

// Stats are what a Log tells of itself.
type Stats struct {
	Bytes    int64 // that the log takes
	Live     int64 // that records take which are held
	Unsynced int64 // bytes written and not synced
	Max      int64 // Options.MaxBytes
	Segments int
	Behind   int64 // how far Bytes is above what cleaning keeps it at
	Fault    bool  // changes are refused

	Written int64 // bytes, since the start
	Changed int64 // of these, what changes took
	Copied  int64 // records that were put into the log again
	Cleaned int64 // segments removed
	Damaged int64 // parts of the log that were found damaged
	Faults  int64 // that began

	Syncs       int64
	SyncTime    time.Duration // of them all
	SyncLongest time.Duration

	Loaded      int64 // records, at the start
	LoadedBytes int64
	LoadTime    time.Duration
}

// Stats are the counters, and what the log takes now.
func (l *Log) Stats() Stats {
	s := Stats{
		Max: l.opt.MaxBytes, Written: l.counters.Written.Load(), Copied: l.counters.Copied.Load(),
		Cleaned: l.counters.Cleaned.Load(), Damaged: l.counters.Damaged.Load(), Faults: l.faults.total.Load(),
		Syncs: l.counters.syncs.Load(), SyncTime: time.Duration(l.counters.syncNanos.Load()),
		SyncLongest: time.Duration(l.counters.syncLongest.Load()),
		Loaded:      l.loaded.records.Load(), LoadedBytes: l.loaded.done.Load(), LoadTime: time.Duration(l.loaded.took.Load()),
	}
	s.Changed, s.Fault = max(s.Written-l.counters.Recopied.Load(), 0), l.Fault() != nil
	if !l.loading.Load() {
		counts := l.files.bytes()
		s.Bytes, s.Unsynced, s.Live = l.files.taken(), l.files.notSynced(), l.store.LiveBytes()
		_, s.Segments = l.files.first()
		s.Behind = max(counts-l.weight(s.Live), 0)
	}
	return s
}

// Fault is why changes are refused; nil: they are not. It wraps kv.ErrNoDisk.
func (l *Log) Fault() error {
	if p := l.faults.present.Load(); p != nil {
		return p.err
	}
	return nil
}
