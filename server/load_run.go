package server

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"httpdhs/api"
	"httpdhs/internal/format"
	"httpdhs/kv"
)

const (
	// loadErrorsMax is how many bad lines a LoadResult names.
	loadErrorsMax = 20

	// loadOpsMax bounds a block together with its bytes: lines of a few bytes
	// would else make a Call many times as large as the block.
	loadOpsMax = 8 << 10

	// loadPatience is how many blocks in a row may fail from end to end, each after its timeout.
	// Then the rest of the stream is refused unstored.
	loadPatience = 3

	// The waits before a block's overloaded operations are tried again.
	loadBackoffMin = 5 * time.Millisecond
	loadBackoffMax = 250 * time.Millisecond
)

// loader stores a stream of pairs.
//
// Of two blocks one is being read and parsed while the other is being stored: that keeps the
// network, this node and the replicas busy at once. No two blocks are ever stored at once. The
// later of two pairs with the same key has to win, wherever in the stream they are, and only within
// one Call does the Store keep an order. (Lanes by hash, each with calls of its own, would keep it
// too. They cost a copy of every pair into its lane. They gain nothing while a block holds
// thousands of pairs, since the Store spreads a call over all peers by itself.)
//
// The goroutine that stores owns sent and what follows it. The one that reads owns unread. A block
// is handed over with its channel.
type loader struct {
	store   Store
	write   kv.Level
	timeout time.Duration          // of a block
	ttl     time.Duration          // of every pair; 0: what the stream says
	hold    func(bytes int64) bool // asks for so much memory in all
	blocks  *loadBlocks
	reading *loadBlock // the block that is being read

	unread loadCount // lines that could not be read
	sent   loadCount // pairs that were to be stored

	// The storing ends early where nobody takes anything: without that, a
	// stream of a million lines would wait for its timeouts for many minutes.
	failedBlocks int         // in a row, of which nothing was stored
	lost         error       // why the rest is not stored, once it is not
	level        atomic.Bool // no key has as many replicas as write asks for: the rest is not read
}

// loadBlock is a block of the stream and the operations in it.
type loadBlock struct {
	mem   format.Block
	call  kv.Call
	lines []int64 // of each operation
	again kv.Call // operations that are tried again
	index []int   // where each of them is in call
	held  int64   // bytes that were asked for it
}

// weight is what the block takes, with a buffer of so many bytes.
func (b *loadBlock) weight(bytes int) int64 {
	return int64(bytes) + int64(cap(b.call.Ops)+cap(b.again.Ops))*int64(opBytes)
}

// loadBlocks are the blocks of a load. They are reused: a loader that sends
// many requests of a block each would else have each of them grow its own.
type loadBlocks [2]loadBlock

var blocksPool = sync.Pool{New: func() any { return new(loadBlocks) }}

func acquireBlocks() *loadBlocks { return blocksPool.Get().(*loadBlocks) }

// release gives the blocks back, unless a long record has made them large.
func (b *loadBlocks) release() {
	for i := range b {
		block := &b[i]
		block.call.Reset()
		block.again.Reset()
		block.held = 0
		if cap(block.mem.Bytes()) > keepBytesMax {
			block.mem = format.Block{}
		}
	}
	blocksPool.Put(b)
}

// loadCount counts lines and keeps the first errors.
type loadCount struct {
	loaded, failed int64
	errors         []api.LineError
}

func (c *loadCount) fail(line int64, err error) {
	c.failed++
	if len(c.errors) < loadErrorsMax {
		c.errors = append(c.errors, api.LineError{Line: line, Error: err.Error()})
	}
}

// run loads the stream. The error is what it broke off with before its end.
func (l *loader) run(r *format.Reader) (err error) {
	full := make(chan *loadBlock)
	free := make(chan *loadBlock, len(l.blocks))
	done := make(chan any, 1) // a panic of the store, which is the handler's to deal with
	for i := range l.blocks {
		free <- &l.blocks[i]
	}
	go func() {
		defer func() {
			done <- recover()
			for b := range full {
				free <- b
			}
		}()
		for b := range full {
			l.storeBlock(b)
			free <- b
		}
	}()
	func() {
		defer close(full)
		for err == nil && !l.level.Load() {
			b := <-free
			if err = l.read(r, b); len(b.call.Ops) > 0 {
				full <- b
			} else {
				free <- b
			}
		}
	}()
	if v := <-done; v != nil {
		panic(v)
	}
	switch {
	case l.level.Load():
		return kv.ErrLevel
	case err == io.EOF:
		return nil
	}
	return err
}

// read reads a block of the stream and parses it.
func (l *loader) read(r *format.Reader, b *loadBlock) error {
	b.call.Reset()
	b.lines = b.lines[:0]
	l.reading = b
	if err := r.Fill(&b.mem); err != nil {
		return err
	}
	for len(b.call.Ops) < loadOpsMax {
		var op *kv.Op
		b.call.Ops, op = growOps(b.call.Ops)
		line, err := r.Next(op)
		if err == nil {
			b.lines = append(b.lines, line)
			continue
		}
		b.call.Ops = b.call.Ops[:len(b.call.Ops)-1]
		if err == io.EOF {
			break
		}
		l.unread.fail(line, err)
	}
	// The operations are asked for when they are there, as they are not known before.
	if err := l.holdBlock(cap(b.mem.Bytes())); err != nil {
		b.call.Reset()
		return err
	}
	return nil
}

// holdBlock asks for the memory of the block that is being read, with a buffer of so many bytes.
func (l *loader) holdBlock(bytes int) error {
	if l.reading.held = l.reading.weight(bytes); !l.hold(l.blocks[0].held + l.blocks[1].held) {
		return errInFlight
	}
	return nil
}

// holdBlocks asks for the memory that both blocks have from the start.
func (l *loader) holdBlocks() bool {
	for i := range l.blocks {
		b := &l.blocks[i]
		b.held = b.weight(cap(b.mem.Bytes()))
	}
	return l.hold(l.blocks[0].held + l.blocks[1].held)
}

// growOps adds an operation for a Reader to fill in place.
func growOps(ops []kv.Op) ([]kv.Op, *kv.Op) {
	if len(ops) < cap(ops) {
		ops = ops[:len(ops)+1]
	} else {
		ops = append(ops, kv.Op{})
	}
	return ops, &ops[len(ops)-1]
}

// storeBlock stores a block and counts its outcome.
func (l *loader) storeBlock(b *loadBlock) {
	if l.lost != nil {
		for _, line := range b.lines {
			l.sent.fail(line, l.lost)
		}
		return
	}
	now := time.Now()
	b.call.Write, b.call.Deadline = l.write, now.Add(l.timeout)
	if l.ttl > 0 {
		expires := now.Add(l.ttl).UnixMilli()
		for i := range b.call.Ops {
			if b.call.Ops[i].Kind == kv.OpPut {
				b.call.Ops[i].Expires = expires
			}
		}
	}
	l.store.Do(&b.call)
	for wait := loadBackoffMin; b.overloaded() && time.Until(b.call.Deadline) > wait; wait = min(2*wait, loadBackoffMax) {
		time.Sleep(wait)
		l.store.Do(&b.again)
		for i, at := range b.index {
			b.call.Ops[at] = b.again.Ops[i]
		}
	}
	l.count(b)
}

// overloaded gathers the operations to try again, and says whether there are any. These are the
// operations of which nothing was done, and each later one on the same key, done or not. So the
// last of them stays the last.
func (b *loadBlock) overloaded() bool {
	b.again.Reset()
	b.index = b.index[:0]
	var hashes map[uint64]struct{}
	for i := range b.call.Ops {
		op := &b.call.Ops[i]
		_, after := hashes[op.Hash]
		if !after && !errors.Is(op.Err, kv.ErrOverloaded) {
			continue
		}
		if hashes == nil {
			hashes = make(map[uint64]struct{})
		}
		hashes[op.Hash] = struct{}{}
		next := kv.Op{Kind: op.Kind, Record: op.Record, Hash: op.Hash}
		next.Version = 0
		b.again.Ops = append(b.again.Ops, next)
		b.index = append(b.index, i)
	}
	b.again.Write, b.again.Deadline = b.call.Write, b.call.Deadline
	return len(b.index) > 0
}

// count counts a block that was stored and loses patience if it is time to.
func (l *loader) count(b *loadBlock) {
	var last error
	stored := false
	for i := range b.call.Ops {
		err := b.call.Ops[i].Err
		if err == nil {
			l.sent.loaded++
			stored = true
			continue
		}
		l.sent.fail(b.lines[i], err)
		last = err
		// A full memory or a refused pair says that somebody is there.
		stored = stored || !errors.Is(err, kv.ErrUnavailable) && !errors.Is(err, kv.ErrTimeout) &&
			!slices.ContainsFunc(tryAgain, func(known error) bool { return errors.Is(err, known) })
	}
	if l.failedBlocks++; stored {
		l.failedBlocks = 0
	}
	if l.sent.loaded == 0 && errors.Is(last, kv.ErrLevel) {
		l.level.Store(true)
	}
	if l.failedBlocks >= loadPatience || errors.Is(last, kv.ErrStopping) {
		l.lost = fmt.Errorf("not tried, because nothing before it could be stored: %w", last)
	}
}

// result is the outcome of run.
func (l *loader) result() api.LoadResult {
	all := append(l.unread.errors, l.sent.errors...)
	slices.SortStableFunc(all, func(a, b api.LineError) int { return cmp.Compare(a.Line, b.Line) })
	if all == nil {
		all = []api.LineError{} // [] and not null
	}
	return api.LoadResult{
		Loaded: l.sent.loaded,
		Failed: l.unread.failed + l.sent.failed,
		Errors: all[:min(len(all), loadErrorsMax)],
	}
}
