package disk

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"httpdhs/kv"
)

// faults are what the disk does not take. While there is one, changes are refused.
type faults struct {
	log     *slog.Logger
	told    func()                // called after each change, so that who waits looks at it
	present atomic.Pointer[fault] // nil: there is none
	total   atomic.Int64          // that began

	mu    sync.Mutex // guards all below
	write error      // the last write failed
	sync  error      // a sync failed, and not all has been written again since
	gave  bool       // what was not synced was given up since
	bound bound      // what is refused for Options.MaxBytes
	full  error      // why
	stall error      // a call of the disk does not return
}

// fault is why changes are refused.
type fault struct {
	err     error // wraps kv.ErrNoDisk
	bound   bool  // that is all: the disk takes what it is given
	deletes bool  // but not deletes
}

// bound is what is refused for what the log takes of Options.MaxBytes.
type bound uint8

const (
	boundNone bound = iota
	boundMost       // changes but deletes
	boundAll
)

// now is the error with which changes are refused; nil: they are not.
func (f *faults) now() error {
	if p := f.present.Load(); p != nil && !p.bound {
		return p.err
	}
	return nil
}

// refuse is now for a change that is a delete, or another.
func (f *faults) refuse(delete bool) error {
	if p := f.present.Load(); p != nil && !(p.deletes && delete) {
		return p.err
	}
	return nil
}

// failed notes that the disk did not take something.
func (f *faults) failed(what string, err error) {
	f.change(func() { f.write = fmt.Errorf("%w: cannot %s: %w", kindOf(err), what, err) })
}

// kindOf is what an error of the disk is to others.
func kindOf(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return kv.ErrDiskFull
	}
	return kv.ErrNoDisk
}

// writable notes that the disk has taken what it was given.
func (f *faults) writable() {
	if f.present.Load() != nil {
		f.change(func() { f.write = nil })
	}
}

// syncFailed notes that what was written may not last.
func (f *faults) syncFailed(err error) {
	f.change(func() {
		f.sync, f.gave = fmt.Errorf("%w: cannot sync, so all that is held is written again: %w", kindOf(err), err), false
	})
}

// mustGiveUp says whether what was written and not synced is to be given up.
func (f *faults) mustGiveUp() bool {
	if f.present.Load() == nil {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.sync != nil && !f.gave
}

// gaveUp notes that it was.
func (f *faults) gaveUp() { f.change(func() { f.gave = true }) }

// doubtful says whether a sync has failed, and not all has been written again since; ready, whether
// it can be now.
func (f *faults) doubtful() bool { doubtful, _ := f.renewable(); return doubtful }

func (f *faults) renewable() (doubtful, ready bool) {
	if f.present.Load() == nil {
		return false, false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.sync != nil, f.gave
}

// renewed notes that all has been written again, and synced, unless another sync has failed since.
func (f *faults) renewed() (is bool) {
	f.change(func() {
		if is = f.gave; is {
			f.sync, f.gave = nil, false
		}
	})
	return is
}

// bounded notes what is refused for what the log takes.
func (f *faults) bounded(b bound, used, most int64) {
	if b != f.atBound() {
		f.change(func() {
			f.bound, f.full = b, fmt.Errorf("%w: it takes %d bytes, and --max-disk is %d", kv.ErrDiskFull, used, most)
		})
	}
}

func (f *faults) atBound() bound {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.bound
}

// change changes what is wrong, and logs the beginning and the end of it.
func (f *faults) change(do func()) {
	defer f.told()
	f.mu.Lock()
	defer f.mu.Unlock()
	do()
	var next *fault
	switch {
	case f.stall != nil:
		next = &fault{err: f.stall}
	case f.sync != nil:
		next = &fault{err: f.sync}
	case f.write != nil:
		next = &fault{err: f.write}
	case f.bound != boundNone:
		next = &fault{err: f.full, bound: true, deletes: f.bound == boundMost}
	}
	switch was := f.present.Swap(next); {
	case next == nil && was == nil:
	case next == nil:
		f.log.Warn("the disk takes writes again")
	case next.deletes && (was == nil || !was.deletes):
		f.total.Add(1)
		f.log.Warn("writes are refused but deletes", "error", next.err)
	case was == nil || was.err.Error() != next.err.Error():
		f.total.Add(1)
		f.log.Error("writes are refused", "error", next.err)
	}
}

const (
	// stallAfter is how long a call of the disk may take before changes are refused, and who waits
	// for it is told so. It is less than an operation waits by default.
	stallAfter = 4 * time.Second

	watchEvery = 500 * time.Millisecond
)

// pulse says since when a goroutine waits for the disk.
type pulse struct{ since atomic.Int64 } // Unix nanoseconds; 0: it does not

func (p *pulse) begin() { p.since.Store(time.Now().UnixNano()) }
func (p *pulse) end()   { p.since.Store(0) }

// stalled is how long it has waited too long.
func (p *pulse) stalled(now time.Time) time.Duration {
	since := p.since.Load()
	if took := now.Sub(time.Unix(0, since)); since != 0 && took >= stallAfter {
		return took
	}
	return 0
}

// watchLoop looks whether the disk stalls.
func (l *Log) watchLoop() {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			took := max(l.files.writing.stalled(now), l.files.flushing.stalled(now))
			l.faults.stalls(took > 0)
			if since := l.tight.Load(); since != 0 && now.Sub(time.Unix(0, since)) > tightMost {
				l.refuseMore()
			}
		case <-l.quit:
			return
		}
	}
}

// stalls notes whether the disk stalls.
func (f *faults) stalls(is bool) {
	f.mu.Lock()
	was := f.stall != nil
	f.mu.Unlock()
	if is == was {
		return
	}
	f.change(func() {
		if f.stall = nil; is {
			f.stall = fmt.Errorf("%w: it has not answered for %v", kv.ErrNoDisk, stallAfter)
		}
	})
}
