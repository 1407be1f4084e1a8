package replicate

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"httpdhs/kv"
	"httpdhs/wire"
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

	// flightStuck is how long a batch may be under way to a peer that answers probes meanwhile, before it is sent again: an answer that
	// is lost without a word would hold up all that comes after it until batchTimeout.
	flightStuck = SilenceMax

	// abortEvery is how often a peer that is being closed breaks what its
	// sender and prober have begun in the meantime.
	abortEvery = 20 * time.Millisecond
)

// Peer is another node: its queue, its sender, its prober.
type Peer struct {
	name      string
	boot      uint64 // of the node that it is a peer of
	transport Transport
	clock     *kv.Clock
	log       *slog.Logger
	host      peerHost

	evictAfter time.Duration // of the node; set before start

	state   atomic.Uint32 // State; written under mu
	latency latency       // of its answers
	synced  atomic.Bool   // it holds the ring that this node reads by, and is believed
	tried   atomic.Bool   // it was asked, whatever came of it
	probed  atomic.Bool   // and if it was the last of all, this node's clock is steered

	mu         sync.Mutex // guards all below
	work       sync.Cond  // there may be something to send: wakes the sender
	idle       sync.Cond  // there may be nothing left to send: wakes drains
	queue      queue
	flight     *batch // what the sender is sending
	broken     *batch // the flight that was broken because it took so long
	owed       int    // batches at the front that were kept for it while it was down
	heeding    heeding
	finished   uint64    // batches of which nothing is left to be sent
	settling   bool      // up, with the last of the hints in flight
	reason     error     // why it is down
	downSince  time.Time // when it was last found down
	lostSince  time.Time // the same, but not after contact for a moment: it had been up for evictAfter, or it is the first time
	upSince    time.Time // when it came back from an absence of more than absenceMax
	closed     bool
	ping       wire.Ping // what it last said of itself; zero: nothing yet
	answeredTo uint64    // the largest Seq of this node's statements that it has answered
	clockRead  sample    // its clocks
	lag        lag       // of its stamps
	heard      time.Time // when it last asked this node how it is
	downs      uint64    // how often it was taken for down
	seenDowns  uint64    // how often it says to have taken this node for down
	heeded     uint64    // the same, once this node has drawn the conclusion
	met        uint64    // the serial of the view when its boot was first heard
	past       past      // of the same name, when it was a member before

	misses int // probes in a row that timed out; of the prober alone

	directs chan struct{} // a token for each message past the queue

	poke chan struct{} // probe now
	quit chan struct{}
	done sync.WaitGroup

	sentBatches, sentRecords, sendErrors, dropped atomic.Int64
}

// peerHost is what a Peer needs of the node that it belongs to.
type peerHost interface {
	self() wire.Ping                        // what this node says of itself
	accepts(p *wire.Ping) error             // why the answer is not a member's
	steer() (done bool)                     // a clock was read; not done: others are to be read before this node's is moved
	follow()                                // the same, for stamps
	settled() bool                          // whether this node is in sync and no ring is changing
	beat()                                  // a prober is alive
	met(p *Peer)                            // a peer is there that was not there before, or not with that boot
	oldest() uint64                         // the serial of the oldest view that operations may still go by
	missed(reason string)                   // this node has missed something
	arrives()                               // a peer that was down is about to take part again
	compareMaps(name string, digest uint64) // the peer states a member map
	introduce(name string)                  // the peer does not know this node
	reconsider()                            // what a peer says, or whether it is there, has changed
}

func newPeer(name string, boot uint64, queueBytes int, t Transport, c *kv.Clock, log *slog.Logger, h peerHost) *Peer {
	p := &Peer{
		name: name, boot: boot, transport: t, clock: c, host: h, downSince: time.Now(), upSince: time.Now(),
		log:     log.With("peer", name),
		queue:   queue{limit: queueBytes},
		reason:  errors.New("not reached yet"),
		directs: make(chan struct{}, directMax),
		poke:    make(chan struct{}, 1),
		quit:    make(chan struct{}),
	}
	p.work.L, p.idle.L = &p.mu, &p.mu
	p.latency.init()
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
// the record stays as a hint, and the ticket is the caller's to resolve. With
// carry the caller is going to call carry next, so nobody is woken.
func (p *Peer) apply(r *kv.Record, t ticket, live, carry bool) (taken bool) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return false
	}
	state := p.State()
	taken = state == Up || state == Recovering && !live
	if !taken {
		t = ticket{}
	}
	p.queue.apply(r, t)
	var lost []ticket
	if state != Up {
		lost = p.trimLocked()
	}
	if !carry || !taken {
		p.wakeLocked()
	}
	p.mu.Unlock()
	failTickets(lost, wire.FailedDown)
	return taken
}

// wakeLocked wakes the sender if there is something to send and nobody sends:
// whoever does looks again when the flight is over.
func (p *Peer) wakeLocked() {
	if p.flight == nil && (p.State() != Down || p.closed) {
		p.work.Signal()
	}
}

// trimLocked keeps the queue of a peer that does not keep up within its bound;
// the tickets are to be resolved without the lock.
func (p *Peer) trimLocked() []ticket {
	batches := len(p.queue.batches)
	records, tickets := p.queue.trim()
	p.owed = max(0, p.owed-(batches-len(p.queue.batches)))
	p.dropped.Add(int64(records))
	return tickets
}

// read queues a read; false: the peer is down and the ticket the caller's.
func (p *Peer) read(key []byte, t ticket, carry bool) bool {
	return p.ask(func(q *queue) { q.read(key, t) }, carry)
}

// cond queues a conditional write; false: as read.
func (p *Peer) cond(c *kv.Condition, r *kv.Record, t ticket, carry bool) bool {
	return p.ask(func(q *queue) { q.cond(c, r, t) }, carry)
}

func (p *Peer) ask(add func(*queue), carry bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.State() == Down {
		return false
	}
	add(&p.queue)
	if !carry {
		p.wakeLocked()
	}
	return true
}

// carry sends what is queued in the goroutine of a caller who would only wait
// for it, if nobody sends just now: a lone request is spared two changes of
// goroutine, to the sender and back. It does not take longer than the caller
// has time; what has no answer by then is left to the sender.
func (p *Peer) carry(deadline time.Time) { p.carryWhile(deadline, func(*batch) bool { return true }) }

// carryReads is carry for a caller who has something else to do after the deadline, which is soon.
// It says whether that came first. Reads alone are so sent a second time, for which that is nothing.
func (p *Peer) carryReads(deadline time.Time) (late bool) {
	return p.carryWhile(deadline, func(b *batch) bool { return b.reads == len(b.tickets) })
}

func (p *Peer) carryWhile(deadline time.Time, fit func(*batch) bool) (late bool) {
	p.mu.Lock()
	if p.closed || p.State() != Up || p.flight != nil || len(p.queue.batches) == 0 || !fit(p.queue.batches[0]) {
		p.wakeLocked()
		p.mu.Unlock()
		return false
	}
	b := p.takeOffLocked()
	p.done.Add(1) // close waits for it
	defer p.done.Done()
	p.mu.Unlock()
	latest := time.Now().Add(batchTimeout)
	own := deadline.Before(latest)
	if own {
		latest = deadline
	}
	err := p.deliver(b, latest)
	if err != nil && own && isTimeout(err) && !time.Now().Before(latest) {
		b.retried = true
		err, late = nil, true
	}
	p.delivered(b, err)
	return late
}

// takeOffLocked begins the flight of the oldest batch.
func (p *Peer) takeOffLocked() *batch {
	b := p.queue.pop()
	p.flight, b.downs, b.began = b, p.downs, time.Now()
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
		if p.flight != nil {
			p.work.Wait()
			continue
		}
		state := p.State()
		if state == Recovering && p.owed <= 1 {
			p.setState(Up, nil) // the last hints go like any other batch
			p.settling = p.owed > 0
			p.mu.Unlock()
			p.log.Info("peer up")
			p.host.reconsider()
			p.mu.Lock()
			continue
		}
		if state != Down && len(p.queue.batches) > 0 {
			return p.takeOffLocked()
		}
		p.work.Wait()
	}
}

// deliver sends b and resolves its tickets by the answer. It tries once more
// on a new connection when one broke: a peer that was restarted closes those
// it had.
func (p *Peer) deliver(b *batch, deadline time.Time) (err error) {
	wire.SetClock(b.buf, p.clock.Last())
	b.answer, err = p.transport.RoundTrip(b.answer[:0], b.buf, deadline)
	if err != nil && !isTimeout(err) && !errors.Is(err, ErrRefused) && p.State() != Down {
		b.retried = true
		b.answer, err = p.transport.RoundTrip(b.answer[:0], b.buf, deadline)
	}
	if err == nil {
		err = p.settle(b, b.answer)
	}
	p.latency.end(b.began, err)
	return err
}

// settle resolves the tickets of b by the peer's answer, and takes the items
// that it answers out of b: what is left is to be sent again. An answer that
// is none is an error; tickets that it resolved before that are zero then.
func (p *Peer) settle(b *batch, answer []byte) error {
	kind, body, err := wire.Split(answer)
	if err != nil {
		return err
	}
	if kind != wire.KindBatch {
		return fmt.Errorf("%w: kind %d, want a batch's answer", wire.ErrMalformed, kind)
	}
	clock, body, err := wire.SplitClock(body)
	if err != nil {
		return err
	}
	p.clock.Observe(clock)
	items, done := b.buf[wire.BatchHead:], len(b.tickets)
	for i := range b.tickets {
		var r wire.Result
		if r, body, err = wire.NextResult(body); err != nil {
			return err
		}
		if r.Code == wire.Again && i > 0 {
			done = i
			break
		}
		r.Repeated = b.retried
		if b.retried && b.asks > 0 {
			var it wire.Item
			if it, items = ownItem(items); it.Kind == wire.ItemCond && r.Code != wire.Stored {
				r.Code = wire.FailedDown // the first try may have been decided, and won
			}
		}
		if r.Code == wire.Again {
			return fmt.Errorf("%w: no result", wire.ErrMalformed)
		}
		b.tickets[i].resolve(&r)
		b.tickets[i] = ticket{}
	}
	if len(body) > 0 {
		return fmt.Errorf("%w: more results than items", wire.ErrMalformed)
	}
	p.sentBatches.Add(1)
	p.sentRecords.Add(int64(done))
	b.cut(done)
	return nil
}

// delivered ends the flight of b. What is left of it goes back in front: as it
// is when the peer wants the rest again, as hints when the peer failed, not at
// all when the peer will never take it.
func (p *Peer) delivered(b *batch, err error) {
	refused := errors.Is(err, ErrRefused)
	if err != nil {
		p.sendErrors.Add(1)
		failTickets(b.orphan(nil), p.failure())
	}
	if refused {
		p.dropped.Add(int64(len(b.tickets)))
		p.log.Error("peer refuses a batch, which is dropped", "records", len(b.tickets), "error", err)
		b.tickets = b.tickets[:0]
	}
	var left []ticket
	p.mu.Lock()
	p.flight, p.broken = nil, nil
	again := p.downs != b.downs // it went down, and may be back: not this flight's to say
	if p.State() == Down {
		left = b.orphan(nil)
	}
	if len(b.tickets) == 0 {
		p.finished++
	}
	if len(b.tickets) == 0 && p.owed > 0 {
		p.owed--
		p.settling = p.settling && p.owed > 0
	}
	p.queue.unpop(b)
	p.wakeLocked() // also where nothing is left: the sender alone makes it Up
	p.idle.Broadcast()
	p.mu.Unlock()
	failTickets(left, p.failure())
	if err != nil && !refused && !again {
		p.markDown(err)
	}
}

// failure is what becomes of items that the peer has not answered.
func (p *Peer) failure() wire.Code {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return wire.FailedStopping
	}
	return wire.FailedDown
}

// setState changes the state; the caller holds mu.
func (p *Peer) setState(s State, reason error) {
	p.reason = reason
	p.state.Store(uint32(s))
}

// markDown fails all that waits for the peer and keeps what it was sent as
// hints.
func (p *Peer) markDown(reason error) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock() // this node has broken what was under way
		return
	}
	was, news := p.State(), p.reason == nil || p.reason.Error() != reason.Error()
	p.setState(Down, reason)
	var waiting []ticket
	if was != Down {
		waiting = p.queue.orphan()
	}
	if was != Down || p.ping.Boot == 0 && p.downs == 0 {
		p.downs++
		p.downSince = time.Now()
		if p.ping.Boot != 0 && (p.lostSince.IsZero() || time.Since(p.upSince) >= p.evictAfter) {
			p.lostSince = p.downSince
		}
		p.synced.Store(false)
	}
	waiting = append(waiting, p.trimLocked()...)
	p.idle.Broadcast()
	p.mu.Unlock()
	if news {
		p.log.Warn("peer down", "reason", reason)
	}
	if was == Down {
		return
	}
	p.transport.Abort() // the batch in flight fails and comes back as hints
	failTickets(waiting, wire.FailedDown)
	p.host.reconsider()
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
	for _, b := range queued {
		failTickets(b.orphan(nil), wire.FailedStopping)
	}
	p.abortUntilDone()
	p.mu.Lock()
	p.queue.take()
	p.mu.Unlock()
}

// abortUntilDone waits for the sender and the prober, and breaks what they have
// under way, also what they began after the first look.
func (p *Peer) abortUntilDone() {
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.done.Wait()
	}()
	again := time.NewTicker(abortEvery)
	defer again.Stop()
	for {
		p.transport.Abort()
		select {
		case <-done:
			p.transport.Abort() // what a last try has opened
			return
		case <-again.C:
		}
	}
}
