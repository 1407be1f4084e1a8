package disk

import (
	"fmt"
	"sync"
	"time"
)

// kept is what the meta says. Who changes it does not wait for the disk: a goroutine writes it.
type kept struct {
	now  chan struct{} // something is due
	file turn          // one writes the file at a time

	mu     sync.Mutex // guards all below
	meta   meta
	due    bool // the file does not say all of it yet
	failed bool // the last try to write it did
}

func (k *kept) init() { k.now, k.file = make(chan struct{}, 1), newTurn() }

// turn is a mutex for what waits for the disk. It is a channel: a test with a clock of its own
// (testing/synctest) has time go on while a goroutine waits for a channel, and not for a Mutex.
type turn chan struct{}

func newTurn() turn   { return make(turn, 1) }
func (t turn) take()  { t <- struct{}{} }
func (t turn) leave() { <-t }

// Members are what KeepMembers was last given; nil: nothing yet.
func (l *Log) Members() []byte {
	l.kept.mu.Lock()
	defer l.kept.mu.Unlock()
	return l.kept.meta.Members
}

// KeepMembers keeps who the members are, as the caller encodes them, soon.
func (l *Log) KeepMembers(members []byte) { l.keep(func(m *meta) { m.Members = members }) }

// keepNumber keeps the number of the segment that was synced last, so that a start knows if it is
// gone.
func (l *Log) keepNumber() {
	number := l.files.syncedNumber()
	l.kept.mu.Lock()
	known := l.kept.meta.Number >= number
	l.kept.mu.Unlock()
	if !known {
		l.keep(func(m *meta) { m.Number = number })
	}
}

// keep changes the meta, and its file as soon as the disk takes it. Until then what the file says
// will do for a start: it tells less.
func (l *Log) keep(change func(m *meta)) {
	l.kept.mu.Lock()
	change(&l.kept.meta)
	l.kept.due = true
	l.kept.mu.Unlock()
	signal(l.kept.now)
}

// keepLoop writes what is due. What the disk does not take is tried again.
func (l *Log) keepLoop() {
	for {
		select {
		case <-l.kept.now:
		case <-l.quit:
			return
		}
		for l.keepDue() != nil {
			if !l.pause() {
				return
			}
		}
	}
}

// keepDue writes what is due, if anything is.
func (l *Log) keepDue() error {
	l.kept.file.take()
	defer l.kept.file.leave()
	k := &l.kept
	k.mu.Lock()
	due, m, failed := k.due, k.meta, k.failed
	k.due = false
	k.mu.Unlock()
	if !due {
		return nil
	}
	err := writeMeta(l.opt.FS, l.opt.Dir, &m)
	if err != nil && !failed {
		l.opt.Log.Error("cannot write who the members are, and which segment is the last: it is tried again every second", "error", err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.due, k.failed = k.due || err != nil, err != nil
	return err
}

// changeMeta changes the meta and its file, or neither.
func (l *Log) changeMeta(change func(m *meta)) error {
	l.kept.file.take()
	defer l.kept.file.leave()
	k := &l.kept
	k.mu.Lock()
	next, due := k.meta, k.due
	k.due = false
	k.mu.Unlock()
	change(&next)
	err := writeMeta(l.opt.FS, l.opt.Dir, &next)
	k.mu.Lock()
	defer k.mu.Unlock()
	if err != nil {
		k.due = k.due || due
		return fmt.Errorf("cannot write %s: %w", l.opt.Dir, err)
	}
	change(&k.meta)
	return nil
}

// pause waits until the disk is to be tried again. It is false if the log was closed before.
func (l *Log) pause() bool {
	again := time.NewTimer(retryEvery)
	defer again.Stop()
	select {
	case <-again.C:
		return true
	case <-l.quit:
		return false
	}
}

// Began is when there was nothing in the log: it was made then, or Empty was called. What it has
// now was stored since.
func (l *Log) Began() time.Time {
	l.kept.mu.Lock()
	defer l.kept.mu.Unlock()
	return timeOf(l.kept.meta.Began)
}
