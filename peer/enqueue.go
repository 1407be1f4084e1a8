package peer

import (
	"httpdhs/kv"
)

// Overloaded says whether the queue of a peer that is up is at its bound.
func (p *Peer) Overloaded() bool { return p.Up() && p.queue.full.Load() }

// BoundQueue sets the bound of the queue. What is beyond it already goes with the next record.
func (p *Peer) BoundQueue(bytes int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.queue.limit = bytes
	p.queue.weigh(0)
}

// QueueBound is the bound of the queue, in bytes.
func (p *Peer) QueueBound() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.queue.limit
}

// Write is a record, and whom to tell what the peer made of it.
type Write struct {
	Record *kv.Record
	Ticket Ticket
}

// Apply queues records. The tickets are taken (true) when the peer takes part: it is up, or it is
// recovering and live is false. Otherwise the caller resolves the tickets. The records stay as
// hints then, unless the peer is closed. With quiet the sender is not woken: the caller is going to
// call Carry or Wake.
func (p *Peer) Apply(writes []Write, live, quiet bool) (taken bool) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return false
	}
	state := p.State()
	taken = state == Up || state == Recovering && !live
	for i := range writes {
		t := Ticket{}
		if taken {
			t = writes[i].Ticket
		}
		p.queue.apply(writes[i].Record, t)
	}
	var lost []Ticket
	if state != Up {
		lost = p.trimLocked()
	}
	if !quiet || !taken {
		p.wakeLocked()
	}
	p.mu.Unlock()
	failTickets(lost, FailedDown)
	return taken
}

// Read queues a read. False: the peer is down or closed, and the caller resolves the ticket. For
// quiet see Apply.
func (p *Peer) Read(key []byte, t Ticket, quiet bool) bool {
	return p.ask(quiet, func(q *queue) { q.read(key, t) })
}

// Decide queues operations on a key that the peer is to decide together, under a version. It may
// copy so many bytes of values. The result is as that of Read.
func (p *Peer) Decide(version kv.Version, room int, ops []*kv.Op, t Ticket, quiet bool) bool {
	return p.ask(quiet, func(q *queue) { q.decide(version, room, ops, t) })
}

// ask queues what is not kept for a peer that is down.
func (p *Peer) ask(quiet bool, add func(*queue)) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.State() == Down {
		return false
	}
	add(&p.queue)
	if !quiet {
		p.wakeLocked()
	}
	return true
}

// Wake has the sender send what was queued without waking it.
func (p *Peer) Wake() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wakeLocked()
}

// wakeLocked wakes the sender if there is something for it to do. After most flights that a request
// has carried there is nothing.
func (p *Peer) wakeLocked() {
	if p.dueLocked() {
		p.work.Signal()
	}
}

// dueLocked says whether the sender has something to do: to send what is queued, or to make a
// recovering peer Up. It has nothing to do while a batch is in flight. Who sends that calls
// wakeLocked at its end.
func (p *Peer) dueLocked() bool {
	return p.flight == nil && (p.hintedLocked() || p.State() != Down && len(p.queue.batches) > 0)
}

// hintedLocked says whether the peer is recovering, and was sent all its hints but for the last
// batch. That goes like any other.
func (p *Peer) hintedLocked() bool { return p.State() == Recovering && p.owed <= 1 }

// trimLocked keeps the queue of a peer that is not up within its bound. The caller resolves the
// tickets without the lock.
func (p *Peer) trimLocked() []Ticket {
	batches := len(p.queue.batches)
	records, tickets := p.queue.trim()
	p.owed = max(0, p.owed-(batches-len(p.queue.batches)))
	p.DroppedRecords.Add(int64(records))
	return tickets
}
