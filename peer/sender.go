package peer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"httpdhs/internal/histogram"
	"httpdhs/kv"
	"httpdhs/wire"
)

// batchTimeout is how long a batch in flight may take. The detector notices a peer that hangs
// before that.
const batchTimeout = 10 * time.Second

// Carry sends the oldest batch in the caller's goroutine, if no batch is in flight. That spares a
// lone request two changes of goroutine, to the sender and back. Carry returns at the deadline at
// the latest. What has no answer by then is left to the sender.
func (p *Peer) Carry(deadline time.Time) { p.carryWhile(deadline, func(*batch) bool { return true }) }

// CarryReads is Carry for a caller that does something else after the deadline, which is soon. late
// says that the deadline came before the answer. The sender then sends the batch a second time, so
// only a batch of reads is carried: it does them no harm.
func (p *Peer) CarryReads(deadline time.Time) (late bool) {
	return p.carryWhile(deadline, func(b *batch) bool { return b.reads == len(b.tickets) })
}

func (p *Peer) carryWhile(deadline time.Time, fit func(*batch) bool) (late bool) {
	p.mu.Lock()
	if p.closed || !p.Up() || p.flight != nil || len(p.queue.batches) == 0 || !fit(p.queue.batches[0]) {
		p.wakeLocked()
		p.mu.Unlock()
		return false
	}
	b := p.takeOffLocked()
	p.done.Add(1) // Close waits for it
	defer p.done.Done()
	p.mu.Unlock()
	latest := time.Now().Add(batchTimeout)
	own := deadline.Before(latest)
	if own {
		latest = deadline
	}
	err := p.deliver(b, latest)
	if err != nil && own && IsTimeout(err) && !time.Now().Before(latest) {
		b.retried = true
		err, late = nil, true
	}
	p.delivered(b, err)
	return late
}

// takeOffLocked begins the flight of the oldest batch.
func (p *Peer) takeOffLocked() *batch {
	b := p.queue.pop()
	p.flight, b.falls, b.began = b, p.falls, time.Now()
	p.latency.begin(b.began)
	return b
}

// sendLoop sends batch after batch, one in flight. It ends when the peer is
// closed.
func (p *Peer) sendLoop() {
	for {
		b := p.next()
		if b == nil {
			return
		}
		p.delivered(b, p.deliver(b, time.Now().Add(batchTimeout)))
	}
}

// next waits for a batch to send; nil: the peer is closed.
func (p *Peer) next() *batch {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		if p.closed {
			return nil
		}
		if !p.dueLocked() {
			p.work.Wait()
			continue
		}
		if p.hintedLocked() {
			p.setState(Up, nil)
			p.delivering = p.owed > 0
			p.mu.Unlock()
			p.log.Info("peer up")
			p.detector.CameUp()
			p.mu.Lock()
			continue
		}
		return p.takeOffLocked()
	}
}

// deliver sends b and resolves its tickets by the answer.
func (p *Peer) deliver(b *batch, deadline time.Time) (err error) {
	wire.SetClock(b.buf, p.clock.Last())
	answer, again, err := p.send(b.answer[:0], b.buf, deadline, func() bool { return p.State() != Down })
	b.answer, b.retried = answer, b.retried || again
	if err == nil {
		err = p.answered(b, b.answer)
	}
	if took, ok := p.latency.end(b.began, err); ok {
		p.RoundTrips.Record(&histogram.Latencies, int64(took))
	}
	return err
}

// answered resolves the tickets of b by the peer's answer, and takes the items that it answers out
// of b. What is left is to be sent again. An answer that is malformed is an error. The tickets that
// it resolved before that are zero then.
func (p *Peer) answered(b *batch, answer []byte) error {
	clock, body, err := wire.SplitBatch(answer)
	if err != nil {
		return err
	}
	p.clock.Observe(clock)
	items, done, r := b.buf[wire.BatchHead:], len(b.tickets), &b.result
	var h resolver
	defer h.end()
	for i := range b.tickets {
		if *r, body, err = wire.NextResult(body); err != nil {
			return err
		}
		if r.Code == wire.Again && i > 0 {
			done = i
			break
		}
		r.Repeated = b.retried
		if b.retried && b.asks > 0 {
			var it wire.Item
			if it, items = ownItem(items); it.Kind.Mode() == kv.ModeDecide && !r.Changed {
				r.Code = FailedDown // the first try may have been carried out, and made what this one met
			}
		}
		if r.Code == wire.Again {
			return fmt.Errorf("%w: no result", wire.ErrMalformed)
		}
		h.resolve(b.tickets[i], r)
		b.tickets[i] = Ticket{}
	}
	if len(body) > 0 {
		return fmt.Errorf("%w: more results than items", wire.ErrMalformed)
	}
	p.SentBatches.Add(1)
	p.SentRecords.Add(int64(done))
	p.BatchRecords.Record(&histogram.Sizes, int64(done))
	if b.cut(done); len(b.tickets) > 0 {
		h.end()
		b.unwanted()
	}
	return nil
}

// delivered ends the flight of b. What is left of it goes back in front. It stays as it is when the
// peer wants the rest again, and becomes hints when the peer failed. It is dropped when the peer
// will never take it.
func (p *Peer) delivered(b *batch, err error) {
	refused := errors.Is(err, ErrRefused)
	if err != nil {
		p.SendErrors.Add(1)
		failTickets(b.orphan(nil), p.failure())
	}
	if refused {
		p.DroppedRecords.Add(int64(len(b.tickets)))
		p.log.Error("peer refuses a batch, which is dropped", "records", len(b.tickets), "error", err)
		b.tickets = b.tickets[:0]
	}
	var left []Ticket
	p.mu.Lock()
	p.flight, p.broken = nil, nil
	fell := p.falls != b.falls // it went down, and may be back: not this flight's to say
	if p.State() == Down {
		left = b.orphan(nil)
	}
	if len(b.tickets) == 0 {
		p.finished++
	}
	if len(b.tickets) == 0 && p.owed > 0 {
		p.owed--
		p.delivering = p.delivering && p.owed > 0
	}
	p.queue.unpop(b)
	p.wakeLocked()
	p.idle.Broadcast()
	p.mu.Unlock()
	failTickets(left, p.failure())
	if err != nil && !refused && !fell {
		p.detector.Broke(err)
	}
}

// failure is what becomes of items that the peer has not answered.
func (p *Peer) failure() wire.Code {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return FailedStopping
	}
	return FailedDown
}

// Drain waits until the peer has taken all that is queued for it, or is down, or ctx is done.
func (p *Peer) Drain(ctx context.Context) error {
	defer context.AfterFunc(ctx, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.idle.Broadcast()
	})()
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.State() != Down && !p.closed && (p.flight != nil || len(p.queue.batches) > 0) {
		if ctx.Err() != nil {
			return fmt.Errorf("cannot hand %d bytes over to %s: %w", p.queue.bytes, p.name, ctx.Err())
		}
		p.idle.Wait()
	}
	return nil
}

// Close ends the peer. What waits for it fails. What was not sent is lost. It may be called again.
func (p *Peer) Close() {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		p.done.Wait()
		return
	}
	p.closed = true
	p.state.Store(uint32(Down)) // the batch in flight is not tried again
	queued := p.queue.take()
	p.hangUp()
	p.work.Signal()
	p.idle.Broadcast()
	p.mu.Unlock()
	for _, b := range queued {
		failTickets(b.orphan(nil), FailedStopping)
	}
	p.abortUntilDone()
	p.mu.Lock()
	p.queue.take()
	p.mu.Unlock()
}
