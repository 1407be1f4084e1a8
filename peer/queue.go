package peer

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"httpdhs/kv"
	"httpdhs/wire"
)

const (
	// BatchBytes is where a batch is full and the next one opens: the head of an item may go beyond
	// it. A record larger than that has a batch to itself. Beyond some hundred records a larger
	// batch saves nothing more and delays its first.
	BatchBytes = 256 << 10

	// keepBatchBytes is the largest buffer that goes back to the pool.
	keepBatchBytes = 2 * BatchBytes
)

// Waiter waits for the results of tickets. Resolve is called once for each, by any goroutine that
// holds the waiter's lock and no lock of the peer. Once Resolve has returned, it must not use the
// result any more. After the last ticket the waiter may be gone once it is unlocked.
type Waiter interface {
	sync.Locker
	Resolve(t Ticket, r *wire.Result)

	// Wants says whether the answer to a read is of any use still. It is called like Resolve.
	Wants(t Ticket) bool
}

// Failures are the results of items that the peer has not answered.
const (
	FailedDown     = wire.Local + iota // the peer went down, or its answer was no answer
	FailedStopping                     // this node stops
	FailedUnasked                      // of a waiter's own: the peer was down, and nothing was sent
	FailedUnwanted                     // of a read: nobody wants its answer any more
)

// Ticket is a place in a batch: whom to tell the result, and what it is about. The latter is for
// the waiter alone. Nobody waits for the zero ticket: it is that of a hint or a repair.
type Ticket struct {
	Waiter Waiter
	Op     int32  // operation of the waiter
	Round  uint16 // of the operation
	Owner  uint8  // that the peer is, among those of the key
}

// resolver hands results over, and locks a waiter once for up to resolveRun of its tickets.
type resolver struct {
	waiter Waiter // locked; nil: none
	n      int
}

// resolveRun is so few that a waiter which does something else meanwhile is not kept from it.
const resolveRun = 32

func (h *resolver) resolve(t Ticket, r *wire.Result) {
	if t.Waiter != nil {
		h.lock(t.Waiter)
		t.Waiter.Resolve(t, r)
	}
}

// wants asks the waiter whether it wants the answer.
func (h *resolver) wants(t Ticket) bool {
	h.lock(t.Waiter)
	return t.Waiter.Wants(t)
}

func (h *resolver) lock(w Waiter) {
	if w != h.waiter || h.n == resolveRun {
		h.end()
		h.waiter, h.n = w, 0
		w.Lock()
	}
	h.n++
}

// end unlocks the waiter.
func (h *resolver) end() {
	if h.waiter != nil {
		h.waiter.Unlock()
		h.waiter = nil
	}
}

// batch is a message in the making: items encoded one after the other, and whom to tell of each.
type batch struct {
	buf     []byte
	tickets []Ticket    // an item each
	answer  []byte      // the peer's
	result  wire.Result // that is being handed over
	asks    int         // items that are not merged: not to be kept as hints
	reads   int         // of these, items that change nothing
	retried bool        // sent more than once
	falls   uint64      // of the peer, when its flight began
	began   time.Time   // its flight
}

var batches = sync.Pool{New: func() any { return new(batch) }}

func acquireBatch() *batch {
	b := batches.Get().(*batch)
	b.buf = wire.OpenBatch(b.buf[:0])
	b.tickets, b.asks, b.reads, b.retried = b.tickets[:0], 0, 0, false
	return b
}

func releaseBatch(b *batch) {
	if cap(b.buf) > keepBatchBytes {
		b.buf = nil
	}
	if cap(b.answer) > keepBatchBytes {
		b.answer = nil
	}
	clear(b.tickets)
	b.result = wire.Result{}
	batches.Put(b)
}

// orphan leaves hints alone in a batch: reads and decisions are taken out. The tickets are
// appended to dst. The caller resolves them when it holds no lock.
func (b *batch) orphan(dst []Ticket) []Ticket {
	for i, t := range b.tickets {
		if t.Waiter != nil {
			dst = append(dst, t)
			b.tickets[i] = Ticket{}
		}
	}
	if b.asks > 0 {
		b.dropAsks()
	}
	return dst
}

// unwanted takes the reads out of a batch that nobody waits for any more, and resolves their
// tickets. What is left of a batch after an answer that was full may be many values that nobody has
// room for.
func (b *batch) unwanted() {
	if b.reads == 0 {
		return
	}
	kept, tickets := b.buf[:wire.BatchHead], b.tickets[:0]
	var h resolver
	defer h.end()
	failed := wire.Result{Code: FailedUnwanted}
	body := b.buf[wire.BatchHead:]
	for _, t := range b.tickets {
		it, rest := ownItem(body)
		item := body[:len(body)-len(rest)]
		if body = rest; it.Kind.Mode() == kv.ModeRead && t.Waiter != nil && !h.wants(t) {
			h.resolve(t, &failed)
			b.count(it.Kind, -1)
			continue
		}
		kept, tickets = append(kept, item...), append(tickets, t)
	}
	clear(b.tickets[len(tickets):])
	b.buf, b.tickets = kept, tickets
}

// failTickets resolves all with code.
func failTickets(tickets []Ticket, code wire.Code) {
	if len(tickets) == 0 {
		return
	}
	r := wire.Result{Code: code}
	var h resolver
	defer h.end()
	for _, t := range tickets {
		h.resolve(t, &r)
	}
}

// cut takes the first n items out, whose tickets are resolved.
func (b *batch) cut(n int) {
	if n == len(b.tickets) { // as nearly always
		b.buf, b.tickets, b.asks, b.reads = b.buf[:wire.BatchHead], b.tickets[:0], 0, 0
		return
	}
	rest := b.buf[wire.BatchHead:]
	for range n {
		it, after := ownItem(rest)
		b.count(it.Kind, -1)
		rest = after
	}
	b.buf = append(b.buf[:wire.BatchHead], rest...)
	b.tickets = append(b.tickets[:0], b.tickets[n:]...)
}

// ownItem decodes an item that this side has encoded.
func ownItem(body []byte) (wire.Item, []byte) {
	it, rest, err := wire.NextItem(body)
	if err != nil {
		panic("BUG: peer: own batch does not decode: " + err.Error())
	}
	return it, rest
}

// count counts an item of the kind: 1 when it comes, -1 when it goes.
func (b *batch) count(kind wire.ItemKind, by int) {
	switch kind.Mode() {
	case kv.ModeRead:
		b.asks += by
		b.reads += by
	case kv.ModeDecide:
		b.asks += by
	case kv.ModeMerge:
	}
}

func (b *batch) dropAsks() {
	kept := b.buf[:wire.BatchHead]
	n := 0
	for body := b.buf[wire.BatchHead:]; len(body) > 0; {
		it, rest := ownItem(body)
		if it.Kind.Mode() == kv.ModeMerge {
			kept = append(kept, body[:len(body)-len(rest)]...)
			n++
		}
		body = rest
	}
	b.buf, b.tickets, b.asks, b.reads = kept, b.tickets[:n], 0, 0
}

// queue holds what a peer has not acknowledged, oldest first. The last batch
// is open: items are added to it.
type queue struct {
	batches []*batch
	bytes   int // of all batches
	limit   int // of bytes

	full atomic.Bool // bytes are at the limit; not guarded
}

// weigh adds to the bytes.
func (q *queue) weigh(n int) {
	q.bytes += n
	if full := q.bytes >= q.limit; full != q.full.Load() {
		q.full.Store(full)
	}
}

// open is the batch to add n more bytes to.
func (q *queue) open(n int) *batch {
	if len(q.batches) > 0 {
		last := q.batches[len(q.batches)-1]
		fits := len(last.buf) == wire.BatchHead || len(last.buf)+n <= BatchBytes
		if fits && !last.retried { // what was never sent is not to count as sent twice
			return last
		}
	}
	b := acquireBatch()
	q.batches = append(q.batches, b)
	return b
}

// apply adds a record.
func (q *queue) apply(r *kv.Record, t Ticket) {
	b := q.open(kv.RecordSizeMax(len(r.Key), len(r.Meta), len(r.Value)))
	q.added(b, wire.AppendApply(b.buf, r), wire.ItemApply, t)
}

// read adds a read of key.
func (q *queue) read(key []byte, t Ticket) {
	b := q.open(len(key))
	q.added(b, wire.AppendRead(b.buf, key), wire.ItemRead, t)
}

// decide adds a decision.
func (q *queue) decide(version kv.Version, room int, ops []*kv.Op, t Ticket) {
	b := q.open(wire.DecideSizeMax(ops))
	q.added(b, wire.AppendDecide(b.buf, version, room, ops), wire.ItemDecide, t)
}

// added takes in an item that was appended to b: buf is what b holds now.
func (q *queue) added(b *batch, buf []byte, kind wire.ItemKind, t Ticket) {
	q.weigh(len(buf) - len(b.buf))
	b.buf, b.tickets = buf, append(b.tickets, t)
	b.count(kind, 1)
}

// pop takes the oldest batch out.
func (q *queue) pop() *batch {
	b := q.batches[0]
	q.batches = slices.Delete(q.batches, 0, 1) // moves the few there are, and keeps the room
	q.weigh(wire.BatchHead - len(b.buf))
	return b
}

// unpop puts a batch back in front.
func (q *queue) unpop(b *batch) {
	if len(b.tickets) == 0 {
		releaseBatch(b)
		return
	}
	q.batches = slices.Insert(q.batches, 0, b)
	q.weigh(len(b.buf) - wire.BatchHead)
}

// trim drops the oldest batches until the queue is within its limit. It returns how many records
// that were, and their tickets, which the caller resolves.
func (q *queue) trim() (records int, tickets []Ticket) {
	for q.bytes > q.limit && len(q.batches) > 0 {
		b := q.pop()
		tickets = b.orphan(tickets)
		records += len(b.tickets)
		releaseBatch(b)
	}
	return records, tickets
}

// orphan leaves hints alone in the queue. The caller resolves the tickets.
func (q *queue) orphan() (tickets []Ticket) {
	all := q.take()
	for _, b := range all {
		if tickets = b.orphan(tickets); len(b.tickets) == 0 {
			releaseBatch(b)
			continue
		}
		q.batches = append(q.batches, b)
		q.weigh(len(b.buf) - wire.BatchHead)
	}
	return tickets
}

// take empties the queue.
func (q *queue) take() []*batch {
	all := q.batches
	q.batches = nil
	q.weigh(-q.bytes)
	return all
}
