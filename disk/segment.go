package disk

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
)

const (
	segmentSuffix = ".log"
	spareName     = "spare"
)

// files are the segments of a log.
type files struct {
	opt     *Options
	syncNow chan struct{} // somebody waits for a sync

	writing  pulse // the writer waits for the disk
	flushing pulse // a sync does

	syncing turn // one sync at a time; taken before mu

	mu       sync.Mutex // guards all below
	list     []segment  // that count, oldest first; the last is being written
	total    int64      // of their sizes
	number   uint32     // the highest that there ever was
	active   File       // of the last of list; nil: nothing is written yet
	dirty    []File     // segments before it that are not synced
	names    bool       // the directory is not synced
	broken   bool       // a sync has failed, and what was written before is not given up yet
	written  position   // the end of what was written
	syncedTo position   // the end of what was synced
	void     position   // what a new segment says does not count before it
	from     uint32     // segments before it are about to be removed
	spare    bool       // there is a file to take for the next segment
	backups  int        // that are open
	pinned   uint32     // the last segment that one of them has
	late     []segment  // that do not count, and are to be removed, oldest first
}

// segment is a file of the log.
type segment struct {
	number uint32
	size   int64 // of what counts; what is being written has its size at the last round
}

func (f *files) init(l *Log) {
	f.opt, f.syncNow, f.syncing = &l.opt, make(chan struct{}, 1), newTurn()
}

func (f *files) path(number uint32) string {
	return filepath.Join(f.opt.Dir, fmt.Sprintf("%08d%s", number, segmentSuffix))
}

func (f *files) sparePath() string { return filepath.Join(f.opt.Dir, spareName) }

// numbers are the segments in the directory, in order.
func (f *files) numbers() (all []uint32, err error) {
	names, err := f.opt.FS.List(f.opt.Dir)
	for _, name := range names {
		if n, is := segmentNumber(name); is {
			all = append(all, n)
		}
	}
	slices.Sort(all)
	return all, err
}

// segmentNumber is the number of the segment that a file is, if it is one.
func segmentNumber(name string) (number uint32, is bool) {
	digits, is := strings.CutSuffix(name, segmentSuffix)
	n, err := strconv.ParseUint(digits, 10, 32)
	return uint32(n), is && err == nil && n > 0
}

// read is what a segment holds.
func (f *files) read(number uint32, buf []byte) (data []byte, err error) {
	file, err := f.opt.FS.Open(f.path(number))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	size, err := file.Size()
	if err != nil {
		return nil, err
	}
	if int64(cap(buf)) < size {
		buf = make([]byte, size)
	}
	n, err := file.ReadAt(buf[:size], 0)
	if err == io.EOF || int64(n) == size {
		err = nil
	}
	return buf[:n], err
}

// loaded are the segments that were found.
func (f *files) loaded() []segment {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.list)
}

// writeAgain writes what counts of a segment once more, from an offset on, and syncs it.
func (f *files) writeAgain(s segment, from int64) (err error) {
	data, err := f.read(s.number, nil)
	if err != nil {
		return err
	}
	file, err := f.opt.FS.Open(f.path(s.number))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if end := min(s.size, int64(len(data))); end > from {
		if _, err := file.WriteAt(data[from:end], from); err != nil {
			return err
		}
	}
	return file.Sync()
}

// begin begins the next segment. Its first block says what counts before it. Only the writer calls
// it, and Load.
func (f *files) begin(items []byte) (err error) {
	f.writing.begin()
	defer f.writing.end()
	f.mu.Lock()
	number, spare, synced, void := f.number+1, f.spare, f.syncedTo, f.void
	f.mu.Unlock()
	path := f.path(number)
	var file File
	if spare {
		if err = f.opt.FS.Rename(f.sparePath(), path); err == nil {
			file, err = f.opt.FS.Open(path)
		}
		f.mu.Lock()
		f.spare = false // whatever becomes of it
		f.mu.Unlock()
	} else {
		file, err = f.opt.FS.Create(path)
	}
	if err != nil {
		return err
	}
	buf := append(make([]byte, headBytes), appendValue(items, itemVoid, uint64(void))...)
	seal(buf, at(number, 0), control, synced)
	if _, err := file.WriteAt(buf, 0); err != nil {
		return errors.Join(err, file.Close())
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.active != nil {
		f.dirty = append(f.dirty, f.active)
	}
	f.active, f.number, f.names = file, number, true
	f.add(number, int64(len(buf)))
	f.written = at(number, int64(len(buf)))
	f.void = f.written
	return nil
}

// zeros is what a spare is made of, a piece at a time.
var zeros [1 << 20]byte

// prepare makes a file for the next segment that has its full size already, unless there is one. So
// a sync need not wait for the file system to note that the file has grown. That takes most of the
// time of a small one.
func (f *files) prepare() (err error) {
	f.mu.Lock()
	there := f.spare
	f.mu.Unlock()
	if there {
		return nil
	}
	file, err := f.opt.FS.Create(f.sparePath())
	if err != nil {
		return err
	}
	for at := int64(0); at < f.opt.SegmentBytes && err == nil; at += int64(len(zeros)) {
		_, err = file.WriteAt(zeros[:min(int64(len(zeros)), f.opt.SegmentBytes-at)], at)
	}
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		_ = f.opt.FS.Remove(f.sparePath()) // it may be what the disk has no room for
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.spare = true
	return nil
}

// tail is where the next block goes.
func (f *files) tail() (file File, where position, synced position) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.active, f.written, f.syncedTo
}

// wrote notes that so much was written behind the tail.
func (f *files) wrote(n int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.written += position(n)
	f.void = f.written
	f.list[len(f.list)-1].size += n
	f.total += n
}

// sync makes all that was written before last. did: there was something to sync.
func (f *files) sync() (did bool, err error) {
	f.syncing.take()
	defer f.syncing.leave()
	f.mu.Lock()
	dirty, active, names, upTo := slices.Clone(f.dirty), f.active, f.names, f.written
	broken := f.broken
	clean := active == nil || upTo == f.syncedTo && !names
	f.names = f.names && (clean || broken)
	f.mu.Unlock()
	if broken {
		return false, errNotGivenUp
	}
	if clean {
		return false, nil
	}
	defer f.flushing.end()
	for _, file := range append(slices.Clone(dirty), active) {
		if f.flushing.begin(); err == nil {
			err = file.Sync()
		}
	}
	if f.flushing.begin(); err == nil && names {
		err = f.opt.FS.SyncDir(f.opt.Dir)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil {
		f.names, f.broken = f.names || names, true
		return true, err
	}
	f.syncedTo = upTo
	f.dirty = f.dirty[len(dirty):]
	for _, file := range dirty {
		_ = file.Close() // all of it lasts
	}
	return true, nil
}

// giveUp has nothing count any more that was written and not synced. What comes next goes to a
// segment of its own.
func (f *files) giveUp() {
	f.syncing.take()
	defer f.syncing.leave()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.void, f.broken = f.syncedTo, false
	if f.active != nil {
		f.dirty = append(f.dirty, f.active)
	}
	for _, file := range f.dirty {
		_ = file.Close() // nothing in it is believed
	}
	f.active, f.dirty = nil, nil
}

// first is the oldest segment that counts, with the number of those that do. There is none while
// the disk has taken nothing yet.
func (f *files) first() (oldest segment, count int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.list) > 0 {
		oldest = f.list[0]
	}
	return oldest, len(f.list)
}

// bytes is what the segments take that count.
func (f *files) bytes() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.total
}

// taken is bytes, with what segments take that do not count and are not removed yet.
func (f *files) taken() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := f.total
	for _, s := range f.late {
		all += s.size
	}
	return all
}

// notSynced is how much was written and not synced.
func (f *files) notSynced() (bytes int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.list {
		switch from := f.syncedTo; {
		case s.number == from.segment():
			bytes += s.size - from.offset()
		case s.number > from.segment():
			bytes += s.size
		}
	}
	return bytes
}

// dropFirst has the oldest segment not count any more. Its file is to be removed.
func (f *files) dropFirst() {
	f.mu.Lock()
	defer f.mu.Unlock()
	oldest := f.list[0]
	f.list, f.total = f.list[1:], f.total-oldest.size
	f.late = append(f.late, oldest)
}

// removeLate removes the segments that do not count any more, but for those that an open backup
// has. With keep a file is kept to be written to again, unless there is one already. Only the
// cleaner calls it.
func (f *files) removeLate(keep bool) error {
	for {
		f.mu.Lock()
		i := slices.IndexFunc(f.late, func(s segment) bool { return f.backups == 0 || s.number > f.pinned })
		if i < 0 {
			f.mu.Unlock()
			return nil
		}
		path, spare := f.path(f.late[i].number), keep && !f.spare
		f.mu.Unlock()
		err := error(nil)
		if spare {
			err = f.opt.FS.Rename(path, f.sparePath())
		} else {
			err = f.opt.FS.Remove(path)
		}
		gone := isAbsent(err) // it went by itself, which the cleaner has found
		if err != nil && !gone {
			return fmt.Errorf("cannot remove %s: %w", path, err)
		}
		f.mu.Lock()
		f.late, f.spare = slices.Delete(f.late, i, i+1), f.spare || spare && !gone
		f.mu.Unlock()
	}
}

// end is where the log ends.
func (f *files) end() position {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.written
}

func (f *files) close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var errs []error
	for _, file := range f.dirty {
		errs = append(errs, file.Close())
	}
	if f.active != nil {
		errs = append(errs, f.active.Close())
	}
	f.active, f.dirty = nil, nil
	return errors.Join(errs...)
}

// add adds a segment behind the others. The caller holds mu.
func (f *files) add(number uint32, size int64) {
	f.list = append(f.list, segment{number, size})
	f.total += size
}

// found notes what counts of a segment that was loaded.
func (f *files) found(number uint32, end int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.add(number, end)
	f.written = at(number, end)
	f.void, f.syncedTo = f.written, f.written
}

// syncedNumber is the last segment of which something lasts.
func (f *files) syncedNumber() uint32 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.syncedTo.segment()
}

// firstNumber is the oldest segment that counts; before there is one, the first there will be.
func (f *files) firstNumber() uint32 {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.list) == 0 {
		return f.number + 1
	}
	return max(f.list[0].number, f.from)
}

// withoutFirst has the oldest segment not count in what is written from now on. It returns the
// number of the next.
func (f *files) withoutFirst() uint32 {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.from = f.list[1].number
	return f.from
}
