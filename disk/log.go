package disk

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"httpdhs/kv"
)

// Sync is when what was written is made to last.
type Sync uint8

const (
	SyncInterval Sync = iota // once in Options.SyncEvery
	SyncAlways               // before Durable returns
	SyncNever                // when the system likes
)

var syncNames = [...]string{SyncInterval: "interval", SyncAlways: "always", SyncNever: "never"}

func (s Sync) String() string { return syncNames[s] }

// ParseSync reads what String returns.
func ParseSync(name string) (Sync, error) {
	for s, n := range syncNames {
		if n == name {
			return Sync(s), nil
		}
	}
	return 0, fmt.Errorf("sync is %q, want interval, always or never", name)
}

// Options are the settings of a Log.
type Options struct {
	Dir string
	FS  FS // nil: OS

	Identity Identity // with the partitions of the store

	Sync      Sync
	SyncEvery time.Duration // with SyncInterval; 0: 1 s

	// Gather is how long the writer waits for more before it writes, unless Sync is SyncAlways. A
	// process that is killed loses no more than that, and what it takes to write it. 0: 8 ms.
	Gather time.Duration

	// MaxBytes bounds what the directory takes. At the bound only deletes are admitted. 0: none.
	MaxBytes int64

	SegmentBytes int64 // where the next segment begins; 0: 64 MiB, 16 MiB with SyncAlways
	SegmentMost  int64 // bounds it, and what waits in memory to be written; 0: as usual

	Now func() time.Time // nil: time.Now
	Log *slog.Logger     // nil: discards
}

const (
	defaultGather  = 8 * time.Millisecond
	defaultSegment = 64 << 20
	alwaysSegment  = 16 << 20 // one is written with zeros before it is used
	boundSegments  = 32       // a log that has a bound has as many segments, at least

	// hurryBytes is what a buffer has when the writer does not wait for more.
	hurryBytes = 256 << 10

	// fullBytes is what a buffer has when changes have to wait. All buffers together, and what is
	// being written, take at most twice that a stripe, and what was admitted meanwhile.
	fullBytes = 2 << 20

	// keepBytes is how large a buffer may be that is used again.
	keepBytes = 1 << 20

	// retryEvery is the pause before the disk is tried again that has failed.
	retryEvery = time.Second
)

// Store is what a log keeps: package shard's, or a test's.
type Store interface {
	// Restore merges what the store held before, in the order in which it came to hold it.
	Restore(offers []kv.Offer)
	Touch(hashes []uint64)
	Drop(partition int)
	Scan(partition int, from uint64, fn func(hash uint64, r *kv.Record) bool)

	// Again puts the entry under a key into the log once more, if it is of this version.
	Again(hash uint64, key []byte, v kv.Version) bool

	// Mark is the highest version that a partition has evicted; RaiseMark has it be no less.
	Mark(partition int) kv.Version
	RaiseMark(partition int, v kv.Version)

	// LiveBytes is what records take that are held.
	LiveBytes() int64
}

// Log is the log of a node: see the package comment.
type Log struct {
	opt   Options
	lock  io.Closer
	store Store // set by Load

	mend    atomic.Uint64 // segments up to it are to go, since some are damaged
	fullAt  int           // what a buffer has when changes have to wait
	loading atomic.Bool   // what the store tells was read from the log
	idle    atomic.Bool   // the writer waits for the first change
	full    atomic.Bool   // a buffer is full
	wake    chan struct{}
	hurry   chan struct{}

	cleanNow chan struct{} // the cleaner has something to do

	tight atomic.Int64 // since when changes wait for the cleaner, in Unix nanoseconds; 0: they do not

	stripes [stripes + 1]stripe

	files    files
	progress progress
	faults   faults
	loaded   loaded
	counters counters

	kept kept

	quit    chan struct{}
	writing sync.WaitGroup // the writer
	others  sync.WaitGroup // the syncer, the cleaner
	closing sync.Once
}

// stripe is a buffer of changes. It begins with room for the head of a block.
type stripe struct {
	mu    sync.Mutex // guards all below
	buf   []byte
	taken uint64 // the last round that has taken from it
	_     [64]byte
}

// Open takes a directory, which it makes if there is none. Load reads it; before that nothing is
// written but the directory's meta. The error wraps ErrInUse, ErrForeign or ErrFormat where the
// directory is not to be used.
func Open(o Options) (_ *Log, err error) {
	if o.Identity.Partitions < 1 {
		return nil, fmt.Errorf("cannot open log: %d partitions", o.Identity.Partitions)
	}
	l := newLog(o)
	if err := l.take(); err != nil {
		return nil, advised(o.Dir, err)
	}
	return l, nil
}

// newLog makes a log that knows its settings.
func newLog(o Options) *Log {
	o.FS = cmp.Or[FS](o.FS, OS{})
	o.SyncEvery = cmp.Or(o.SyncEvery, time.Second)
	o.Gather = cmp.Or(o.Gather, defaultGather)
	if o.SegmentBytes == 0 {
		o.SegmentBytes = defaultSegment
		if o.Sync == SyncAlways {
			o.SegmentBytes = alwaysSegment
		}
		if o.MaxBytes > 0 {
			o.SegmentBytes = min(o.SegmentBytes, max(o.MaxBytes/boundSegments, 1<<20))
		}
	}
	if o.SegmentMost > 0 {
		o.SegmentBytes = min(o.SegmentBytes, max(o.SegmentMost, 1<<20))
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	l := &Log{opt: o, wake: make(chan struct{}, 1), hurry: make(chan struct{}, 1), cleanNow: make(chan struct{}, 1), quit: make(chan struct{})}
	l.loading.Store(true)
	l.fullAt = fullBytes
	if o.MaxBytes > 0 || o.SegmentMost > 0 { // all that waits is less than a segment
		l.fullAt = min(fullBytes, int(o.SegmentBytes/stripes))
	}
	l.progress.init()
	l.kept.init()
	l.files.init(l)
	l.faults.log, l.faults.told = o.Log, func() { l.progress.change(func(*progress) {}) }
	return l
}

// claim makes sure that the directory is this node's, or new, and looks at its end.
func (l *Log) claim() error {
	m, err := readMeta(l.opt.FS, l.opt.Dir)
	switch {
	case isAbsent(err):
		if err := settle(l.opt.FS, l.opt.Dir); err != nil {
			return err
		}
		l.kept.meta = meta{Format: formatNow, Identity: l.opt.Identity, Began: l.opt.Now().UnixMilli()}
		return writeMeta(l.opt.FS, l.opt.Dir, &l.kept.meta)
	case err != nil:
		return err
	}
	if why := m.differs(&l.opt.Identity); why != "" {
		return fmt.Errorf("%w: %s", ErrForeign, why)
	}
	l.kept.meta = m
	return l.find(m.End)
}

// Put implements shard.Journal.
func (l *Log) Put(partition int, r *kv.Record) {
	if l.loading.Load() {
		return
	}
	s := &l.stripes[partition%stripes]
	s.mu.Lock()
	s.open()
	s.buf = kv.AppendRecord(s.buf, r)
	n := l.grown(s)
	s.mu.Unlock()
	l.nudge(n)
}

// Drop implements shard.Journal.
func (l *Log) Drop(partition int) {
	if l.loading.Load() {
		return
	}
	l.append(partition%stripes, func(dst []byte) []byte { return appendDrop(dst, partition) })
}

// append has an item appended to a stripe.
func (l *Log) append(to int, item func(dst []byte) []byte) {
	s := &l.stripes[to]
	s.mu.Lock()
	s.open()
	s.buf = item(s.buf)
	n := l.grown(s)
	s.mu.Unlock()
	l.nudge(n)
}

var blankHead [headBytes]byte

// open makes room for the head of a block in a buffer that is empty.
func (s *stripe) open() {
	if len(s.buf) == 0 {
		s.buf = append(s.buf, blankHead[:]...)
	}
}

// grown is what a buffer has. That one is full is said before the writer can take it: who waits for
// room would wait for nothing.
func (l *Log) grown(s *stripe) int {
	n := len(s.buf)
	if n >= l.fullAt {
		l.full.Store(true)
	}
	return n
}

// nudge tells the writer that a buffer has so much.
func (l *Log) nudge(n int) {
	if l.idle.Load() && l.idle.Swap(false) {
		signal(l.wake)
	}
	if n >= min(hurryBytes, l.fullAt) {
		signal(l.hurry)
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Admit implements shard.Journal. At Options.MaxBytes deletes are admitted for a while longer than
// other changes. These wait for the cleaner first, as long as it may make room.
func (l *Log) Admit(delete bool) error {
	if err := l.faults.refuse(delete); err != nil && !l.loading.Load() {
		return err
	}
	if l.full.Load() {
		l.awaitRoom()
		return l.Admit(delete)
	}
	if !delete && l.tight.Load() != 0 {
		l.awaitCleaner()
		return l.Admit(delete)
	}
	return nil
}

// appended is the round that will have taken all that was appended before.
func (l *Log) appended() (round uint64) {
	for i := range l.stripes {
		s := &l.stripes[i]
		s.mu.Lock()
		need := s.taken
		if len(s.buf) > 0 {
			need++
		}
		s.mu.Unlock()
		round = max(round, need)
	}
	return round
}

// Durable implements shard.Journal: with SyncAlways it waits until the log is synced up to all that
// was appended before. Else it returns at once.
func (l *Log) Durable(until time.Time) error {
	if l.opt.Sync != SyncAlways || l.loading.Load() {
		return nil
	}
	return l.await(l.appended(), until)
}

// Sync implements shard.Journal: it waits until all that was appended before is on the disk,
// whatever Options.Sync is.
func (l *Log) Sync() error {
	if l.loading.Load() {
		return nil
	}
	return l.await(l.appended(), time.Time{})
}

// KeepInSync notes when the node was in sync.
func (l *Log) KeepInSync(at time.Time) { l.note(itemInSync, at, &l.loaded.inSync) }

// keepRan notes when the node ran.
func (l *Log) keepRan(at time.Time) { l.note(itemRan, at, &l.loaded.ran) }

func (l *Log) note(kind byte, at time.Time, last *atomic.Int64) {
	last.Store(at.UnixMilli())
	l.append(control, func(dst []byte) []byte { return appendValue(dst, kind, uint64(at.UnixMilli())) })
}

// Close writes and syncs what was appended, ends the goroutines and lets the directory go. The
// error says what could not be written.
func (l *Log) Close() (err error) {
	l.closing.Do(func() {
		if !l.loading.Load() {
			err = l.Sync()
		}
		l.end()
		l.writing.Wait()
		l.others.Wait()
		if err == nil && !l.loading.Load() {
			_, err = l.files.sync() // the cleaner may have gone on until now
		}
		if err == nil && !l.loading.Load() {
			err = l.changeMeta(func(m *meta) { m.End = l.files.end() })
		} else {
			l.keepDue()
		}
		err = errors.Join(err, l.files.close(), l.lock.Close())
	})
	return err
}

// Kill is Close as a crash has it: what was not written yet is lost.
func (l *Log) Kill() {
	l.closing.Do(func() {
		l.end()
		l.writing.Wait()
		l.others.Wait()
		_ = l.files.close() // what was written is with the system
		_ = l.lock.Close()  // and so is the lock
	})
}

// end ends the goroutines, and whoever waits for one.
func (l *Log) end() {
	close(l.quit)
	l.progress.change(func(p *progress) { p.closed = true })
}
