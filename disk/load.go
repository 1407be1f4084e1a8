package disk

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"httpdhs/kv"
)

// loaded is what the log told when it was opened and read.
type loaded struct {
	plan   plan
	ran    atomic.Int64 // when the node last ran, and was in sync, in milliseconds; 0: never
	inSync atomic.Int64

	ranBefore int64 // ran, as it was found

	all, done atomic.Int64 // bytes
	records   atomic.Int64
	newest    atomic.Uint64 // version
	took      atomic.Int64  // nanoseconds

	lastNumber uint32 // of a segment that was there
	tidy       bool   // the directory is ready to be written to

	noted  map[position]bool // where something is damaged
	lost   []bool            // by partition: a part of what was in the log is damaged
	damage error             // the first that was found; nil: none
}

// plan is what there is to read, oldest segment first.
type plan struct {
	numbers []uint32
	limits  []int64  // what counts of each; negative: all up to what a power cut has torn
	synced  position // up to here all is to be whole: what lies behind a power cut may have torn
	missing error    // a segment that should be there
	useless []uint32
}

// unlimited is the limit of the last segment, whose end nothing tells.
const unlimited = -1

// find looks for the segments that count. end is where the log ended, if it was closed in good
// order.
func (l *Log) find(end position) error {
	all, err := l.files.numbers()
	if err != nil {
		return err
	}
	l.loaded.ran.Store(0)
	p, first := &l.loaded.plan, uint32(0)
	for len(all) > 0 {
		last := all[len(all)-1]
		found, number, err := l.lookAtLast(last)
		if err != nil {
			return err
		}
		if first = number; found {
			break
		}
		p.useless, all = append(p.useless, last), all[:len(all)-1] // it was begun, and nothing of it was synced
	}
	l.loaded.ranBefore = l.loaded.ran.Load()
	p.synced = max(p.synced, at(l.kept.meta.Number, 0))
	oldest, _ := slices.BinarySearch(all, first)
	p.useless, p.numbers = append(p.useless, all[:oldest]...), all[oldest:]
	if len(p.numbers) > 0 {
		l.files.number = p.numbers[len(p.numbers)-1]
	}
	return l.limit(first, end)
}

// lookAtLast takes down what the last segment tells of the node and the log. found: it has a block
// that is whole.
func (l *Log) lookAtLast(number uint32) (found bool, first uint32, err error) {
	data, err := l.files.read(number, nil)
	if err != nil {
		return false, 0, err
	}
	w := walk{segment: data, number: number}
	for w.next() {
		if w.lost != 0 {
			continue
		}
		found = true
		l.loaded.plan.synced = max(l.loaded.plan.synced, w.block.synced)
		if w.block.stripe != control {
			continue
		}
		for rest := w.block.payload; len(rest) > 0; {
			it, more, err := nextItem(rest)
			if err != nil {
				return false, 0, err
			}
			switch rest = more; it.kind {
			case itemFirst:
				first = max(first, uint32(it.value))
			case itemRan:
				l.loaded.ran.Store(max(l.loaded.ran.Load(), int64(it.value)))
			case itemInSync:
				l.loaded.inSync.Store(int64(it.value)) // the last counts: a clock may have been ahead
			}
		}
	}
	return found, first, nil
}

// limit finds out what counts of each segment: what follows it says so.
func (l *Log) limit(first uint32, end position) error {
	p := &l.loaded.plan
	void := end
	if end != 0 {
		p.synced = end
	}
	begins, err := l.allBegins()
	if err != nil {
		return err
	}
	if last := p.synced.segment(); last > 0 && (len(p.numbers) == 0 || p.numbers[len(p.numbers)-1] < last) {
		p.missing = fmt.Errorf("segment %d is missing, or all of it is damaged", last)
	}
	p.limits = make([]int64, len(p.numbers))
	for i, n := range slices.Backward(p.numbers) {
		switch {
		case void == 0:
			p.limits[i] = unlimited
		case void.segment() == n:
			p.limits[i] = void.offset()
		case void.segment() > n:
			p.limits[i] = unlimited
			p.missing = fmt.Errorf("segment %d is missing", void.segment())
		} // else nothing of it counts
		switch begin := begins[i]; {
		case i == 0:
		case begin == 0 && void != 0 && void.segment() < n: // nothing of it was ever synced
		case begin == 0:
			p.missing = fmt.Errorf("the beginning of segment %d is damaged", n)
			void = at(p.numbers[i-1], 1<<offsetBits-1)
		case void == 0 || begin < void:
			void = begin
		}
	}
	if len(p.numbers) > 0 && first != 0 && p.numbers[0] != first {
		p.missing = fmt.Errorf("segment %d is missing", max(first, 1))
	}
	return nil
}

// allBegins is begins of all segments. Those that were begun when the power went do not count.
func (l *Log) allBegins() (all []position, err error) {
	p := &l.loaded.plan
	for i, n := range p.numbers {
		void, err := l.begins(n)
		if err != nil {
			return nil, err
		}
		lacks := i > 0 && (void == 0 || void.segment() > p.numbers[i-1])
		if lacks && max(at(n, 0), void) >= p.synced {
			p.useless, p.numbers = append(p.useless, p.numbers[i:]...), p.numbers[:i]
			break
		}
		all = append(all, void)
	}
	return all, nil
}

// begins is from where nothing counts before a segment, as its first block says; 0: it does not.
func (l *Log) begins(number uint32) (void position, err error) {
	file, err := l.opt.FS.Open(l.files.path(number))
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	buf := make([]byte, 4<<10)
	n, _ := file.ReadAt(buf, 0) // what cannot be read is no block
	b, ok := blockAt(buf[:n], number, 0)
	if !ok || !b.whole() {
		return 0, nil
	}
	for rest := b.payload; len(rest) > 0; {
		it, more, err := nextItem(rest)
		if err != nil {
			return 0, err
		}
		if rest = more; it.kind == itemVoid {
			return position(it.value), nil
		}
	}
	return 0, nil
}

// Load reads the log into a store, which is empty, and begins to write. What the store tells before
// is ignored. The error says what the store does not take, or that the disk cannot be read; then
// the log is to be closed. It ends early when ctx is done.
func (l *Log) Load(ctx context.Context, store Store) error {
	l.store = store
	began := time.Now()
	r := replay{Log: l, ctx: ctx}
	if err := r.all(); err != nil {
		return fmt.Errorf("cannot load %s: %w", l.opt.Dir, err)
	}
	l.loaded.took.Store(int64(time.Since(began)))
	l.loaded.lastNumber = l.files.number
	l.start()
	return nil
}

// tidy makes the directory ready to be written to: what does not count goes, what was loaded lasts,
// and the meta does not say any more that the log is closed.
func (l *Log) tidy() error {
	if l.loaded.tidy {
		return nil
	}
	for _, n := range l.loaded.plan.useless {
		if err := l.opt.FS.Remove(l.files.path(n)); err != nil && !isAbsent(err) {
			return fmt.Errorf("cannot remove segment %d: %w", n, err)
		}
	}
	if err := l.opt.FS.Remove(l.files.sparePath()); err != nil && !isAbsent(err) {
		return fmt.Errorf("cannot remove a file that is not needed: %w", err)
	}
	if err := l.changeMeta(func(m *meta) { m.End = 0 }); err != nil {
		return err
	}
	if err := l.syncLoaded(); err != nil {
		return err
	}
	l.loaded.tidy = true
	return nil
}

// start begins to write. A disk that takes nothing has changes refused until it does. So a node
// whose disk is full or fails has what it held, and answers reads.
func (l *Log) start() {
	err := l.tidy()
	if err == nil {
		l.prepare()
		err = l.files.begin(l.head())
	}
	if err != nil {
		l.faults.failed("begin to write", err)
	} else {
		_ = l.syncFiles() // it is tried again, as any
	}
	l.loading.Store(false)
	l.writing.Go((&writer{Log: l}).loop)
	l.others.Go(l.syncLoop)
	l.others.Go(l.watchLoop)
	l.others.Go(l.keepLoop)
	l.others.Go((&cleaner{Log: l, since: time.Now()}).loop)
}

// syncLoaded makes last what was loaded: a process that was killed may have written it, and not
// synced it. What is written now says that it was.
//
// It may also have tried to, in vain. Then the system shows what it wrote, and takes it for synced,
// though it is on no disk (Rebello et al., 2020). So what is not known to be synced is written
// again.
func (l *Log) syncLoaded() error {
	synced := l.loaded.plan.synced
	for _, s := range l.files.loaded() {
		if s.number < synced.segment() {
			continue
		}
		from := int64(0)
		if s.number == synced.segment() {
			from = synced.offset()
		}
		if err := l.files.writeAgain(s, from); err != nil {
			return err
		}
	}
	return nil
}

// Progress is how many bytes of the log have been loaded, of how many.
func (l *Log) Progress() (done, all int64) { return l.loaded.done.Load(), l.loaded.all.Load() }

// InSyncAt is when the node was last in sync, as far as its log tells; zero: never.
func (l *Log) InSyncAt() time.Time { return timeOf(l.loaded.inSync.Load()) }

// Ran is when the node last ran before this start, to ten seconds; zero: it did not.
func (l *Log) Ran() time.Time { return timeOf(l.loaded.ranBefore) }

func timeOf(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}

// Newest is the highest version that Load has read; 0: there was nothing.
func (l *Log) Newest() kv.Version { return kv.Version(l.loaded.newest.Load()) }

// Lost are the partitions of which a part was damaged when the log was loaded, and what was found
// first. What the store holds of them may lack anything, deletes too.
func (l *Log) Lost() (partitions []int, damage error) {
	for partition, lost := range l.loaded.lost {
		if lost {
			partitions = append(partitions, partition)
		}
	}
	return partitions, l.loaded.damage
}

// Mend has the log written again, without what was damaged when it was loaded: what the store holds
// is all that there is to have. Until then the next start finds the same damage.
func (l *Log) Mend() {
	if l.loaded.damage != nil {
		last := l.files.syncedNumber() // a later one that is gone is not missed any more
		l.keep(func(m *meta) { m.Number = last })
		l.mend.Store(uint64(max(l.loaded.lastNumber, 1))) // 0 is before it is mended
		signal(l.cleanNow)
	}
}

// Empty has nothing count any more that is in the log. The store is to be emptied before.
func (l *Log) Empty() error {
	l.KeepInSync(time.UnixMilli(0)) // never
	for partition := range l.opt.Identity.Partitions {
		l.Drop(partition)
	}
	if err := l.Sync(); err != nil {
		return err
	}
	return l.changeMeta(func(m *meta) { m.Began = l.opt.Now().UnixMilli() })
}

// replay reads segments into the store.
type replay struct {
	*Log
	ctx    context.Context
	mu     sync.Mutex // guards failed
	failed error
}
