package resp

import (
	"math/bits"
	"sync"
	"sync/atomic"
	"unsafe"

	"httpdhs/kv"
)

// What connections hold in memory while their clients are waited for is counted here: commands that
// are being read, and answers. The size of the buffers counts, not what is in use of them.

// freeBytes is up to where a buffer is not counted: as many as there are connections fit.
const freeBytes = 16 << 10

func heavy(n int) int64 {
	if n <= freeBytes {
		return 0
	}
	return int64(n)
}

const (
	opBytes = int(unsafe.Sizeof(kv.Op{}))
	freeOps = freeBytes / opBytes

	keepBytes  = 1 << 20 // the longest buffer that is used again
	bufClasses = 7       // 16 KiB to keepBytes
)

// memory is what connections share: two budgets, and buffers for those that have something to do.
type memory struct {
	in  budget // commands that are being read
	out budget // answers

	foundMax, answerMax int // foundBytes and answerBytes, but in tests

	scratches sync.Pool // *scratch
	bufs      [bufClasses]sync.Pool
}

func (m *memory) init(o *Options) {
	m.in.max, m.out.max = o.MaxInBytes, o.MaxOutBytes
	m.foundMax, m.answerMax = foundBytes, answerBytes
}

// scratch is what a connection needs while it has commands.
type scratch struct {
	args    [][]byte // of the commands that are planned
	pending []planned
	call    kv.Call
	out     reply

	again    kv.Call // gets that are done once more
	repeated []int32 // their places in call

	found atomic.Int64 // bytes of memory.out, for values that are copied, and their answers

	commands   int64 // that were read, and are not counted yet
	planBytes  int   // of arguments that are planned
	planPriors int   // of the first priorsTo operations, those that find what was there
	priorsTo   int
	opsHeld    int64 // of memory.in, for operations
	outHeld    int64 // of memory.out
	mark       int   // where the answer at hand begins
	tally      tally // of the command at hand
}

// begin takes a scratch.
func (s *session) begin() {
	s.scratch, _ = s.srv.scratches.Get().(*scratch)
	if s.scratch == nil {
		s.scratch = new(scratch)
		s.call.Hold = s.scratch.holdCopies(&s.srv.memory.out)
		s.again.Hold = s.call.Hold
	}
	s.out.resp3 = s.resp3
}

// end gives it back.
func (s *session) end() {
	sc, m := s.scratch, &s.srv.memory
	s.conn.last.Store(s.last)
	m.in.give(sc.opsHeld)
	m.out.give(sc.outHeld + sc.found.Swap(0))
	s.srv.counters.commands.Add(sc.commands)
	sc.opsHeld, sc.outHeld, sc.commands = 0, 0, 0
	clear(sc.args)
	sc.args, sc.out.buf = sc.args[:0], sc.out.buf[:0]
	if len(sc.again.Ops) > 0 {
		sc.again.Reset()
	}
	if cap(sc.args)*24 > keepBytes {
		sc.args = nil
	}
	for _, buf := range []*[]byte{&sc.out.buf, &sc.call.Buf, &sc.again.Buf} {
		if cap(*buf) > keepBytes {
			*buf = nil
		}
	}
	s.scratch = nil
	m.scratches.Put(sc)
}

// holdOps says whether there is memory for a call of many operations.
func (s *session) holdOps() bool {
	const n = int64(callOps * opBytes)
	if s.opsHeld == 0 && s.srv.memory.in.take(n) {
		s.opsHeld = n
	}
	return s.opsHeld > 0
}

// holdCopies is what the scratch's calls ask for the memory of values that they copy. An answer is
// one more copy of what is found, so there has to be as much again.
func (sc *scratch) holdCopies(out *budget) func(kv.Copies) bool {
	return func(copies kv.Copies) bool {
		n := int64(2*copies.Found + copies.Made)
		if !out.take(n) && !out.takeAlone(n, sc.outHeld+sc.found.Load()) {
			return false
		}
		sc.found.Add(n)
		return true
	}
}

// lighten lets go of large buffers that nothing is in any more, so that the budget has them for
// what comes.
func (s *session) lighten() {
	if s.outHeld == 0 && s.found.Load() == 0 {
		return
	}
	if len(s.out.buf) == 0 && cap(s.out.buf) > keepBytes {
		s.out.buf = nil
	}
	for _, buf := range []*[]byte{&s.call.Buf, &s.again.Buf} {
		if cap(*buf) > keepBytes {
			*buf = nil
		}
	}
	want := s.outWeight()
	s.srv.memory.out.give(s.outHeld + s.found.Swap(0) - want)
	s.outHeld = want
}

// holdOut makes sure that the budget of answers knows what this connection has of them. Who is
// alone may pass the bound: an answer is a little longer than what was taken for it.
func (s *session) holdOut() bool {
	want := s.outWeight()
	if s.found.Load() > 0 {
		s.outHeld += s.found.Swap(0)
	}
	if want <= s.outHeld {
		return true
	}
	if out, more := &s.srv.memory.out, want-s.outHeld; !out.take(more) && !out.takeAlone(more, s.outHeld) {
		return false
	}
	s.outHeld = want
	return true
}

// outWeight is what counts of answers, and of what they are made of.
func (s *session) outWeight() int64 {
	return heavy(cap(s.out.buf)) + heavy(cap(s.call.Buf)) + heavy(cap(s.again.Buf))
}

// getBuf returns a buffer of that length.
func (m *memory) getBuf(size int) []byte {
	if class, ok := classOf(size); ok {
		if b, _ := m.bufs[class].Get().(*byte); b != nil {
			return unsafe.Slice(b, size)
		}
	}
	return make([]byte, size)
}

func (m *memory) putBuf(b []byte) {
	if class, ok := classOf(len(b)); ok {
		m.bufs[class].Put(unsafe.SliceData(b))
	}
}

// classOf is which of the pools has buffers of a length, if one has.
func classOf(size int) (class int, ok bool) {
	if size < readBufBytes || size > keepBytes || size&(size-1) != 0 {
		return 0, false
	}
	return bits.Len(uint(size/readBufBytes)) - 1, true
}

// budget bounds a sum of bytes.
type budget struct {
	max  int64
	used atomic.Int64
}

// take takes n bytes if they are there. What does not fit is not taken for a moment either: another
// that fits would be refused meanwhile.
func (b *budget) take(n int64) bool {
	for {
		used := b.used.Load()
		if used+n > b.max {
			return false
		}
		if b.used.CompareAndSwap(used, used+n) {
			return true
		}
	}
}

// takeAlone takes n bytes past the bound, for who has some already, if nobody else has any: they
// might never fit. Who has passed the bound does not do so again.
func (b *budget) takeAlone(n, has int64) bool {
	return has <= b.max && b.used.CompareAndSwap(has, has+n)
}

func (b *budget) give(n int64) {
	if n != 0 {
		b.used.Add(-n)
	}
}
