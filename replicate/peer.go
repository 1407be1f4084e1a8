package replicate

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"httpdhs/kv"
)

// State is how a peer stands with this node.
type State uint8

const (
	// Down: it does not answer, or not as a member of this cluster. Its queue
	// is kept. Every peer is down until it has answered once.
	Down State = iota
	// Recovering: it answers again and is being sent what it missed. Writes
	// at level live do not wait for it, and reads go elsewhere if they can.
	Recovering
	// Up: it takes part in everything.
	Up
)

func (s State) String() string { return [...]string{"down", "recovering", "up"}[s] }

const (
	// batchTimeout is how long a batch in flight may take. The prober notices
	// a peer that hangs before that.
	batchTimeout = 10 * time.Second

	// probeTimeout is how long an answer to a probe may take; a peer that
	// misses probesMissed in a row is down. One that refuses connections is
	// down at once.
	probeTimeout = time.Second
	probesMissed = 3
)

// Peer is another node: its queue, its sender, its prober.
type Peer struct {
	name      string
	index     int // in the ring's table
	transport Transport
	clock     *kv.Clock
	log       *slog.Logger
	host      peerHost

	state  atomic.Uint32 // State; written under mu
	synced atomic.Bool   // as it last said

	mu     sync.Mutex // guards all below
	work   sync.Cond  // there may be something to send: wakes the sender
	idle   sync.Cond  // there may be nothing left to send: wakes drains
	queue  queue
	flight *batch // what the sender is sending
	reason error  // why it is down
	closed bool
	ping   Ping // what it last said of itself; zero: nothing yet

	misses int // probes in a row that timed out; of the prober alone

	poke chan struct{} // probe now
	quit chan struct{}
	done sync.WaitGroup

	sentBatches, sentRecords, sendErrors, dropped atomic.Int64
}

// peerHost is what a Peer needs of the node that it belongs to.
type peerHost interface {
	self() Ping               // what this node says of itself
	probed(p *Peer, was bool) // a probe has ended; was: it was up before
	accepts(p *Ping) error    // why the answer is not a member's
}

func newPeer(name string, index, queueBytes int, t Transport, c *kv.Clock, log *slog.Logger, h peerHost) *Peer {
	p := &Peer{
		name: name, index: index, transport: t, clock: c, host: h,
		log:    log.With("peer", name),
		queue:  queue{limit: queueBytes},
		reason: errors.New("not reached yet"),
		poke:   make(chan struct{}, 1),
		quit:   make(chan struct{}),
	}
	p.work.L, p.idle.L = &p.mu, &p.mu
	return p
}

func (p *Peer) start(every time.Duration) {
	p.done.Go(p.sendLoop)
	p.done.Go(func() { p.probeLoop(every) })
}

// State is how the peer stands.
func (p *Peer) State() State { return State(p.state.Load()) }

func (p *Peer) up() bool       { return p.State() == Up }
func (p *Peer) isSynced() bool { return p.synced.Load() }

// overloaded says whether the queue of a peer that is up is at its bound.
func (p *Peer) overloaded() bool {
	if !p.up() {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.queue.bytes >= p.queue.limit
}

// apply queues a record. The ticket is taken (true) when the peer takes part:
// it is up, or recovering and the caller waits for it all the same. Otherwise
// the record stays as a hint, and the ticket is the caller's to resolve.
func (p *Peer) apply(r *kv.Record, t ticket, live bool) (taken bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	state := p.State()
	taken = state == Up || state == Recovering && !live
	if !taken {
		t = ticket{}
	}
	p.queue.apply(r, t)
	if state != Up {
		if n := p.queue.trim(); n > 0 {
			p.dropped.Add(int64(n))
		}
	}
	if state != Down {
		p.work.Signal()
	}
	return taken
}

// read queues a read; false: the peer is down and the ticket the caller's.
func (p *Peer) read(key []byte, t ticket) bool {
	return p.ask(func(q *queue) { q.read(key, t) })
}

// cond queues a conditional write; false: as read.
func (p *Peer) cond(c *kv.Condition, r *kv.Record, t ticket) bool {
	return p.ask(func(q *queue) { q.cond(c, r, t) })
}

func (p *Peer) ask(add func(*queue)) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.State() == Down {
		return false
	}
	add(&p.queue)
	p.work.Signal()
	return true
}

// sendLoop sends batch after batch, one in flight. It ends when the peer is
// closed.
func (p *Peer) sendLoop() {
	var answer []byte
	for {
		b := p.next()
		if b == nil {
			return
		}
		var err error
		answer, err = p.deliver(b, answer[:0])
		p.delivered(b, err)
		if cap(answer) > keepBatchBytes {
			answer = nil
		}
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
		state := p.State()
		if state == Recovering && p.queue.bytes < batchBytes {
			state = p.setState(Up, nil) // what is left goes like any other batch
		}
		if state != Down && len(p.queue.batches) > 0 {
			p.flight = p.queue.pop()
			return p.flight
		}
		p.work.Wait()
	}
}

// deliver sends b and resolves its tickets by the answer. It tries once more
// on a new connection when one broke: a peer that was restarted closes those
// it had.
func (p *Peer) deliver(b *batch, dst []byte) (answer []byte, err error) {
	setBatchClock(b.buf, p.clock.Last())
	answer, err = p.transport.RoundTrip(dst, b.buf, time.Now().Add(batchTimeout))
	if err != nil && !isTimeout(err) && !errors.Is(err, ErrRefused) && p.State() != Down {
		b.retried = true
		answer, err = p.transport.RoundTrip(dst, b.buf, time.Now().Add(batchTimeout))
	}
	if err == nil {
		err = p.settle(b, answer)
	}
	return answer, err
}

// settle resolves the tickets of b by the peer's answer. An answer that is
// none is an error, and the tickets from there on are not resolved.
func (p *Peer) settle(b *batch, answer []byte) error {
	kind, body, err := splitHead(answer)
	if err != nil {
		return err
	}
	if kind != kindBatch {
		return fmt.Errorf("%w: kind %d, want a batch's answer", errMessage, kind)
	}
	clock, body, err := splitClock(body)
	if err != nil {
		return err
	}
	p.clock.Observe(clock)
	items := b.buf[batchHead:]
	for i := range b.tickets {
		var r result
		if r, body, err = nextResult(body); err != nil {
			return err
		}
		t := b.tickets[i]
		if b.asks > 0 {
			it, rest, err := nextItem(items, nil)
			if err != nil {
				panic("BUG: replicate: own batch does not decode: " + err.Error())
			}
			items = rest
			if r.code == resultAgain && p.read(it.record.Key, t) {
				b.tickets[i] = ticket{}
				continue
			}
			if b.retried && it.kind == itemCond && r.code != resultStored {
				r.code = failedDown // the first try may have been decided, and won
			}
		}
		if r.code == resultAgain {
			r.code = failedDown
		}
		t.resolve(&r)
		b.tickets[i] = ticket{}
	}
	if len(body) > 0 {
		return fmt.Errorf("%w: more results than items", errMessage)
	}
	return nil
}

// delivered ends the flight of b: released, kept as a hint, or dropped when
// the peer will never take it.
func (p *Peer) delivered(b *batch, err error) {
	if err == nil {
		p.sentBatches.Add(1)
		p.sentRecords.Add(int64(len(b.tickets)))
		p.mu.Lock()
		p.flight = nil
		p.idle.Broadcast()
		p.mu.Unlock()
		releaseBatch(b)
		return
	}
	p.sendErrors.Add(1)
	b.fail(failedDown)
	refused := errors.Is(err, ErrRefused)
	if refused {
		p.dropped.Add(int64(len(b.tickets)))
		p.log.Error("peer refuses a batch, which is dropped", "records", len(b.tickets), "error", err)
	}
	p.mu.Lock()
	p.flight = nil
	if refused {
		releaseBatch(b)
	} else {
		p.queue.unpop(b)
	}
	p.idle.Broadcast()
	p.mu.Unlock()
	if !refused {
		p.markDown(err)
	}
}

// setState changes the state; the caller holds mu.
func (p *Peer) setState(s State, reason error) State {
	old := p.State()
	p.reason = reason
	p.state.Store(uint32(s))
	if old != s {
		switch {
		case s == Down:
			p.log.Warn("peer down", "reason", reason)
		case s == Up:
			p.log.Info("peer up")
		default:
			p.log.Info("peer back, sending it what it missed", "bytes", p.queue.bytes)
		}
	}
	return s
}

// markDown fails all that waits for the peer and keeps what it was sent as
// hints.
func (p *Peer) markDown(reason error) {
	p.mu.Lock()
	if p.State() == Down {
		p.reason = reason
		p.mu.Unlock()
		return
	}
	p.setState(Down, reason)
	queued := p.queue.take()
	p.mu.Unlock()
	p.transport.Abort() // the batch in flight fails and comes back as hints

	for _, b := range queued {
		b.fail(failedDown)
	}
	p.mu.Lock()
	p.requeue(queued)
	p.mu.Unlock()
}

// requeue puts batches of hints back in front; the caller holds mu.
func (p *Peer) requeue(hints []*batch) {
	for i := len(hints) - 1; i >= 0; i-- {
		p.queue.unpop(hints[i])
	}
	p.dropped.Add(int64(p.queue.trim()))
	p.idle.Broadcast()
}

// close ends the peer: what waits is failed, what was not sent is gone.
func (p *Peer) close() {
	p.mu.Lock()
	p.closed = true
	p.state.Store(uint32(Down)) // the batch in flight is not tried again
	queued := p.queue.take()
	close(p.quit)
	p.work.Signal()
	p.idle.Broadcast()
	p.mu.Unlock()
	p.transport.Abort()
	for _, b := range queued {
		b.fail(failedStopping)
	}
	p.done.Wait()
	p.transport.Abort() // what a last try has opened
	p.mu.Lock()
	p.queue.take()
	p.mu.Unlock()
}
