package server

import (
	"math"
	"sync/atomic"
	"time"
	"unsafe"

	"httpdhs/kv"
)

// What a request holds in memory while its client is waited for, to send a body or to take an
// answer, is counted here alone. The size of the buffers counts, not what is in use of them: a
// scratch comes from a pool, with buffers that earlier requests made large.

// freeBytes is up to where a buffer is not counted: as many as there are connections fit, and
// what is asked for most costs nothing.
const freeBytes = 16 << 10

// weight is what the scratch takes, but for small buffers.
func (sc *scratch) weight() int64 {
	return heavy(cap(sc.body)) + heavy(cap(sc.out)) + heavy(cap(sc.call.Buf)) + heavy(cap(sc.call.Ops)*opBytes)
}

// opBytes is what an operation takes: in its call, and about as much again where the store keeps
// how it stands.
const opBytes = 2 * int(unsafe.Sizeof(kv.Op{}))

func heavy(n int) int64 {
	if n <= freeBytes {
		return 0
	}
	return int64(n)
}

// hold makes sure that n bytes are taken from the budget until the answer has been written. What
// was taken from another budget goes back.
func (sc *scratch) hold(from *budget, n int64) bool {
	if sc.from != from && sc.held > 0 {
		sc.from.give(sc.held)
		sc.held = 0
	}
	if n > sc.held {
		if !from.take(n-sc.held, sc.held) {
			return false
		}
		sc.held = n
	}
	sc.from = from
	return true
}

// grow makes room for n bytes more in an answer that is being made, and takes the memory before.
// Who is alone may pass the bound once, with what it adds to an answer.
func (b *budgets) grow(sc *scratch, answer []byte, n int) ([]byte, error) {
	size := len(answer) + n
	switch {
	case size <= cap(answer):
		return answer, nil
	case size <= freeBytes:
		size = freeBytes
	case n <= freeBytes:
		size += max(freeBytes, size/4) // there will be more
	}
	from, has := &b.answerBytes, sc.found.Load()
	if sc.from == from {
		has += sc.held
	}
	more := heavy(size) - heavy(cap(answer))
	if len(answer) > 0 && has > from.max || !from.take(more, has) {
		return answer, kv.ErrAnswersHeld
	}
	sc.found.Add(more)
	return append(make([]byte, 0, size), answer...), nil
}

// awaitAnswer returns the buffer of answers, empty and with room for n bytes, and waits for the
// memory until the deadline. Meanwhile it has none itself: two that have some would wait for each
// other.
func (b *budgets) awaitAnswer(sc *scratch, n int, until time.Time) (answer []byte, err error) {
	answer, err = b.grow(sc, sc.out[:0], n)
	for pause := time.Millisecond; err != nil && time.Now().Before(until); pause = min(2*pause, pauseMost) {
		_ = sc.shed(nil)
		b.ownNothing(sc)
		time.Sleep(pause)
		answer, err = b.grow(sc, nil, n)
	}
	return answer, err
}

// pauseMost is the longest pause between two looks whether there is memory.
const pauseMost = 16 * time.Millisecond

// ownNothing gives back all that the scratch has taken.
func (b *budgets) ownNothing(sc *scratch) {
	sc.giveFound(&b.answerBytes)
	if sc.held > 0 {
		sc.from.give(sc.held)
		sc.held = 0
	}
}

// keep counts what is kept of the values that were found, and of the answer that is being made,
// which takes over from what was asked for on the way.
func (b *budgets) keep(sc *scratch, found, answer []byte) {
	now := heavy(cap(found)) + heavy(cap(answer))
	b.answerBytes.used.Add(now - sc.found.Swap(now))
}

// holdCopies is what the scratch's call asks for the memory of values that it copies. While nobody
// else has any it may pass the bound once: what it has already would be in its own way for good.
func (sc *scratch) holdCopies(from *budget) func(kv.Copies) bool {
	return func(copies kv.Copies) bool {
		n, has := int64(copies.Sum()), sc.found.Load()
		if has > from.max || !from.take(n, has) {
			return false
		}
		sc.found.Add(n)
		return true
	}
}

// ownFound makes what was taken for values that were found what the scratch holds.
func (sc *scratch) ownFound(from *budget) {
	if sc.found.Load() == 0 {
		return
	}
	if sc.from != from && sc.held > 0 {
		sc.from.give(sc.held)
		sc.held = 0
	}
	sc.held, sc.from = sc.held+sc.found.Swap(0), from
}

// giveFound gives back what was taken for values that were found, which is counted elsewhere.
func (sc *scratch) giveFound(from *budget) {
	if sc.found.Load() != 0 {
		from.give(sc.found.Swap(0))
	}
}

// count makes sure that the budget knows what the scratch takes. While there is plenty, that is
// all; else what is left from requests before is dropped first, so that it is in nobody's way.
// What is not dropped is answer, which may be somewhere else then.
func (sc *scratch) count(from *budget, answer []byte) (moved []byte, ok bool) {
	n := sc.weight()
	if n == 0 || n <= sc.held && sc.from == from {
		return answer, true
	}
	if from.used.Load()+n > from.max/2 {
		answer = sc.shed(answer)
		n = sc.weight()
	}
	return answer, sc.hold(from, n)
}

// shed drops all large buffers but the one that a large answer is in; a small one is copied.
func (sc *scratch) shed(answer []byte) (moved []byte) {
	if len(answer) <= freeBytes {
		sc.small = append(sc.small[:0], answer...)
		answer = sc.small
	}
	for _, buf := range []*[]byte{&sc.body, &sc.out, &sc.call.Buf} {
		if heavy(cap(*buf)) > 0 && !within(answer, *buf) {
			*buf = nil
		}
	}
	if heavy(cap(sc.call.Ops)*opBytes) > 0 {
		sc.call.Ops = nil
	}
	return answer
}

// within says whether b is a part of buf.
func within(b, buf []byte) bool {
	at, start := uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(unsafe.Pointer(unsafe.SliceData(buf)))
	return cap(b) > 0 && at >= start && at < start+uintptr(cap(buf))
}

// awaitBody counts what a request holds that waits for its body.
func (sc *scratch) awaitBody(from *budget) error {
	if _, ok := sc.count(from, nil); !ok {
		return errInFlight
	}
	return nil
}

// await waits until there is memory for a body of n bytes, and takes all of it: two that have half
// of theirs would wait for each other. It gives up at the deadline; then the body may still fit.
func (sc *scratch) await(from *budget, n int64, until time.Time) {
	if n > from.max {
		return
	}
	if sc.hold(from, n+sc.weight()-heavy(cap(sc.body))) {
		return
	}
	_ = sc.shed(nil)
	for pause := time.Millisecond; !sc.hold(from, n) && time.Now().Before(until); pause = min(2*pause, pauseMost) {
		time.Sleep(pause)
	}
}

// growBody makes room in the buffer of the body for size bytes, of at most most, and counts what
// it takes. It doubles, so that each byte is copied once at most.
func (sc *scratch) growBody(from *budget, size, most int) error {
	n, others := sc.bodyBytes(size, most), sc.weight()-heavy(cap(sc.body))
	if !sc.hold(from, others+int64(n)) {
		sc.body = sc.shed(sc.body) // all others
		if len(sc.body) <= freeBytes {
			sc.small = nil // it is the body now
		}
		if n = sc.bodyBytes(size, most); !sc.hold(from, int64(n)) {
			if int64(n) > from.max {
				return errBodyMemory
			}
			return errInFlight
		}
	}
	if n > cap(sc.body) {
		sc.body = append(make([]byte, 0, n), sc.body...)
	}
	return nil
}

// bodyBytes is what counts of a body's buffer that has room for size bytes: a small one counts for
// what is in use of it.
func (sc *scratch) bodyBytes(size, most int) int {
	switch have := cap(sc.body); {
	case size > have:
		return max(size, min(2*have, most))
	case heavy(have) > 0:
		return have
	}
	return size
}

// budgets are what requests may hold in memory, all together, while their clients are waited for.
type budgets struct {
	clientBytes  budget // request bodies of clients
	peerBytes    budget // request bodies of other nodes
	smallBytes   budget // small ones, and answers to them
	strangeBytes budget // hellos from hosts that are no member's
	answerBytes  budget // large answers
}

func (b *budgets) init(o *Options) {
	b.clientBytes.max = o.MaxInFlightBytes
	b.peerBytes.max = o.MaxMessageBytes
	b.smallBytes.max = math.MaxInt64 // no more than there are connections: such are what nodes see each other by
	b.strangeBytes.max = strangeBytesMax
	b.answerBytes.max, b.answerBytes.alone = o.MaxAnswerBytes, true
}

// holdAnswer counts a value or a page that waits in memory for the client to take it. It may be
// somewhere else then.
func (b *budgets) holdAnswer(sc *scratch, answer []byte) (moved []byte, err error) {
	sc.ownFound(&b.answerBytes)
	answer, ok := sc.count(&b.answerBytes, answer)
	if ok && heavy(len(answer)) > 0 && !within(answer, sc.out) && !within(answer, sc.call.Buf) {
		ok = sc.hold(&b.answerBytes, sc.weight()+int64(cap(answer)))
	}
	if !ok {
		return nil, kv.ErrAnswersHeld
	}
	return answer, nil
}

// settle counts what the scratch takes while the answer is written, whoever has made it. It is too
// late to refuse. The answer may be somewhere else then.
func (b *budgets) settle(sc *scratch, answer []byte) (moved []byte) {
	if sc.weight() <= sc.held {
		return answer
	}
	sc.ownFound(&b.answerBytes)
	from := sc.from
	if from == nil {
		from = &b.answerBytes
	}
	moved, ok := sc.count(from, answer)
	if n := sc.weight(); !ok && n > sc.held {
		from.used.Add(n - sc.held)
		sc.held, sc.from = n, from
	}
	return moved
}

// budget bounds a sum of bytes.
type budget struct {
	max   int64
	alone bool // one request may take more, if it is the only one: a value may be longer as an answer
	used  atomic.Int64
}

// take takes n bytes if they are there, for who has some already. What does not fit is not taken
// for a moment either: another that fits would be refused meanwhile.
func (b *budget) take(n, has int64) bool {
	for {
		used := b.used.Load()
		if used+n > b.max && !(b.alone && used == has) {
			return false
		}
		if b.used.CompareAndSwap(used, used+n) {
			return true
		}
	}
}

func (b *budget) give(n int64) { b.used.Add(-n) }
