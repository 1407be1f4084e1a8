package peer

import (
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"

	"httpdhs/internal/histogram"
	"httpdhs/kv"
)

// State is how a peer stands with this node.
type State uint8

const (
	// Down: it does not answer, or not as a member of this cluster. Its queue is kept. Every peer
	// is down until it has answered once.
	Down State = iota
	// Recovering: it answers again and is being sent its hints. Writes at level live do not wait
	// for it, and reads go elsewhere if they can.
	Recovering
	// Up: it takes part in everything.
	Up
)

func (s State) String() string { return [...]string{"down", "recovering", "up"}[s] }

// standing is how a peer stands, for anybody to read at any time.
type standing struct {
	state  atomic.Uint32 // State
	inSync atomic.Bool   // told by SetInSync, and lost when it goes down
}

// State is how the peer stands.
func (s *standing) State() State { return State(s.state.Load()) }

// Up says whether the peer takes part in everything.
func (s *standing) Up() bool { return s.State() == Up }

// InSync says whether the peer holds all that readers ask it for, as far as this node knows.
func (s *standing) InSync() bool { return s.inSync.Load() }

// SetInSync sets that. The caller makes sure that no MarkDown runs at the same time: a peer that
// was marked down is not in sync.
func (s *standing) SetInSync(yes bool) { s.inSync.Store(yes) }

// Detector decides whether a peer is down. It is called without a lock of the peer.
type Detector interface {
	Broke(reason error) // a batch could not be delivered
	CameUp()            // a peer that was recovering is up: one batch of hints is left at most
}

// Options are what a peer is made of.
type Options struct {
	Name       string
	Transport  Transport
	QueueBytes int // bound of the queue
	Clock      *kv.Clock
	Log        *slog.Logger
	Detector   Detector
}

// Counters count since the peer was made.
type Counters struct {
	SentRecords    atomic.Int64 // acknowledged
	SentBatches    atomic.Int64 // acknowledged
	SendErrors     atomic.Int64 // batches that broke off or were refused
	DroppedRecords atomic.Int64 // the oldest of a full queue, and those of refused batches

	RoundTrips   histogram.Histogram // nanoseconds from the sending of a batch to its answer, by histogram.Latencies
	BatchRecords histogram.Histogram // items that an answer was for, by histogram.Sizes
}

// Peer is another node: its queue, its sender, and how it stands.
type Peer struct {
	line
	standing // written under mu
	latency  // of its answers
	Counters

	name     string
	clock    *kv.Clock
	log      *slog.Logger
	detector Detector

	mu         sync.Mutex // guards all below
	work       sync.Cond  // there may be something to send: wakes the sender
	idle       sync.Cond  // there may be nothing left to send: wakes drains
	queue      queue
	flight     *batch // what the sender is sending
	broken     *batch // the flight that was broken because it took so long
	owed       int    // batches at the front that were kept for it while it was down
	delivering bool   // up, with the last of what was kept in flight
	finished   uint64 // batches of which nothing is left to be sent
	falls      uint64 // how often it went down
	reason     error  // why it is down
	closed     bool
}

// New makes a peer, which is down. Start starts it.
func New(o *Options) *Peer {
	p := &Peer{
		line: newLine(o.Transport), name: o.Name, clock: o.Clock, log: o.Log.With("peer", o.Name), detector: o.Detector,
		queue:  queue{limit: o.QueueBytes},
		reason: errors.New("not reached yet"),
	}
	p.work.L, p.idle.L = &p.mu, &p.mu
	p.latency.init()
	return p
}

// Start starts the sender.
func (p *Peer) Start() { p.Go(p.sendLoop) }

// Name is the peer's.
func (p *Peer) Name() string { return p.name }

// Why is how many bytes wait for the peer, and why it is down.
func (p *Peer) Why() (queued int, reason error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.queue.bytes, p.reason
}

// setState changes the state; the caller holds mu.
func (p *Peer) setState(s State, reason error) {
	p.reason = reason
	p.state.Store(uint32(s))
}

// Fall is what is left to do for a peer that was marked down.
type Fall struct {
	Marked bool // the peer is not closed
	First  bool // it was not down before

	peer    *Peer
	reason  error
	news    bool
	waiting []Ticket
}

// MarkDown says that the peer is down, and why. The records in its queue stay there as hints. It is
// quick, so a caller may hold locks of its own. It has to give them back before it calls Finish. On
// a peer that is being closed MarkDown does nothing: this node itself broke what was under way.
func (p *Peer) MarkDown(reason error) Fall {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return Fall{}
	}
	f := Fall{
		Marked: true, First: p.State() != Down,
		peer: p, reason: reason, news: p.reason == nil || withoutNumbers(p.reason) != withoutNumbers(reason),
	}
	p.setState(Down, reason)
	p.inSync.Store(false)
	if f.First {
		p.falls++
		f.waiting = p.queue.orphan()
	}
	f.waiting = append(f.waiting, p.trimLocked()...)
	p.idle.Broadcast()
	return f
}

// withoutNumbers is a reason without what counts: how far a node has loaded, or clocks are apart.
func withoutNumbers(reason error) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsDigit(r) {
			return -1
		}
		return r
	}, reason.Error())
}

// Finish fails all that waits for the peer. The batch in flight fails, and its records become
// hints.
func (f Fall) Finish() {
	if f.news {
		f.peer.log.Warn("peer down", "reason", f.reason)
	}
	if f.First {
		f.peer.transport.Abort()
		failTickets(f.waiting, FailedDown)
	}
}

// MarkBack says that a peer that was down answers again. It is recovering until at most one batch
// of its hints is left to be sent. If fresh is true and there are no hints, it is up at once. kept
// is how many bytes of hints there are. ok says whether it was down.
func (p *Peer) MarkBack(fresh bool) (kept int, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.State() != Down {
		return 0, false
	}
	p.owed = len(p.queue.batches)
	p.latency.forgive()
	if fresh && p.owed == 0 {
		p.setState(Up, nil)
	} else {
		p.setState(Recovering, nil)
	}
	p.work.Signal()
	return p.queue.bytes, true
}

// Closed says whether the peer is being closed.
func (p *Peer) Closed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closed
}

// Delivered says whether the peer is up, and none of its hints is left to be sent or in flight.
func (p *Peer) Delivered() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.State() == Up && !p.delivering
}

// Waits says whether the peer has a batch that it has not answered, or is to be sent one.
func (p *Peer) Waits() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.flight != nil || len(p.queue.batches) > 0
}

// Queued counts the batches that were queued since the peer was made. What is queued now is
// delivered once Finished has reached it.
func (p *Peer) Queued() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.finished + uint64(len(p.queue.batches))
	if p.flight != nil {
		n++
	}
	return n
}

// Finished counts the batches since the peer was made of which nothing is left to be sent.
func (p *Peer) Finished() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.finished
}

// Unstick is told that a probe was answered, and when it began. It breaks off a batch that had been
// in flight for longer than after by then. The batch is sent again, which does no harm. It breaks
// off no batch twice, for that one may just be slow.
func (p *Peer) Unstick(probed time.Time, after time.Duration) {
	p.mu.Lock()
	stuck := p.flight != nil && p.flight != p.broken && probed.Sub(p.flight.began) > after
	if stuck {
		p.broken = p.flight
	}
	p.mu.Unlock()
	if stuck {
		p.log.Warn("a batch was not answered, sending it again")
		p.transport.Abort()
	}
}
