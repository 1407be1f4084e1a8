package peer

import (
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"httpdhs/internal/memnet"
	"httpdhs/internal/poll"
	"httpdhs/kv"
	"httpdhs/wire"
)

// Every ticket that a peer takes is resolved exactly once, whatever becomes of the peer: it
// answers, breaks the connection, answers nonsense, refuses, hangs, is found down again and again,
// or is closed.
func TestEveryTicketIsResolvedOnce(t *testing.T) {
	fates := map[string]func(p *pair, hold *memnet.Gate){
		"answers":     func(p *pair, hold *memnet.Gate) { hold.Open() },
		"breaks":      func(p *pair, hold *memnet.Gate) { p.toward(memnet.FailWith(memnet.ErrReset)); p.transport.Abort() },
		"goes down":   func(p *pair, hold *memnet.Gate) { p.down() },
		"batch hangs": func(p *pair, hold *memnet.Gate) {}, // until its timeout
		"closes":      func(p *pair, hold *memnet.Gate) { p.Close() },
		"refuses": func(p *pair, hold *memnet.Gate) {
			p.toward(memnet.FailWith(ErrRefused))
			p.transport.Abort()
		},
		"nonsense": func(p *pair, hold *memnet.Gate) {
			p.toward(memnet.AnswerWith([]byte("no answer")))
			p.transport.Abort()
		},
		"many downs": func(p *pair, hold *memnet.Gate) {
			for range 20 {
				p.down()
				time.Sleep(time.Millisecond)
				p.MarkBack(false)
				time.Sleep(time.Millisecond)
			}
			p.down()
		},
	}
	for name, fate := range fates {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				p := newPair(t, 1<<20)
				hold := memnet.NewGate(t)
				p.toward(hold.Hold)
				flying := handOut(t, p.Peer, 1)
				hold.Wait(t, 1)
				waiting := handOut(t, p.Peer, 50)
				fate(p, hold)
				poll.True(t, "all that was in flight is resolved", func() bool { return flying.resolved(t) })
				poll.True(t, "all that waited is resolved", func() bool { return waiting.resolved(t) })
			})
		})
	}
}

// A recovering peer's queue is at its bound, and records are dropped. Their tickets are resolved
// too.
func TestTicketsDroppedAtTheBoundAreResolved(t *testing.T) { bubble(t, testTicketsDropped) }

func testTicketsDropped(t *testing.T) {
	p := newPair(t, 1<<20)
	p.down()
	for i := range 90 {
		p.hint(i, 10_000)
	}
	hold := memnet.NewGate(t)
	p.toward(hold.Hold)
	p.MarkBack(false)
	hold.Wait(t, 1)
	if p.State() != Recovering {
		t.Fatalf("the peer is %v", p.State())
	}
	w := handOut(t, p.Peer, 1)
	for i := range 200 { // enough to drop them
		p.hint(i, 10_000)
	}
	if !w.resolved(t) {
		t.Fatal("the tickets were dropped and not resolved")
	}
	hold.Open()
}

// A flight that ends while its peer is coming back leaves nobody asleep: the peer comes up with
// nothing more to be sent to it.
func TestPeerComesUpAfterACarriedFlight(t *testing.T) { bubble(t, testUpAfterCarried) }

func testUpAfterCarried(t *testing.T) {
	p := newPair(t, 1<<20)
	p.mu.Lock()
	p.queue.read([]byte("k"), Ticket{})
	b := p.takeOffLocked() // a carrier has it
	p.mu.Unlock()
	p.down()
	p.MarkBack(false)
	synctest.Wait() // the sender has seen that a batch is in flight, and sleeps
	b.tickets = b.tickets[:0]
	p.delivered(b, nil)
	poll.True(t, "it is up", p.Up)
}

// A flight that fails after its peer went down and came back says nothing of the peer.
func TestFailureFromBeforeIsNoVerdict(t *testing.T) { bubble(t, testFailureFromBefore) }

func testFailureFromBefore(t *testing.T) {
	p := newPair(t, 1<<20)
	hold := memnet.NewGate(t)
	p.net.Deaf.Store(true)
	p.toward(func(msg []byte, _ func() ([]byte, error)) ([]byte, error) {
		return hold.Hold(msg, func() ([]byte, error) { return nil, memnet.ErrTimeout })
	})
	p.hint(0, 1)
	hold.Wait(t, 1)
	p.down()
	p.MarkBack(false)
	p.toward(nil)
	hold.Open()
	poll.True(t, "the record arrives", func() bool { return len(p.node.keys()) == 1 })
	if p.falls != 1 {
		t.Errorf("it went down %d times", p.falls)
	}
}

// A batch with reads alone is carried for a moment, and sent again by the sender.
func TestCarriedReadsAreSentAgain(t *testing.T) { bubble(t, testCarriedReads) }

func testCarriedReads(t *testing.T) {
	p := newPair(t, 1<<20)
	var tries atomic.Int32
	p.toward(func(_ []byte, pass func() ([]byte, error)) ([]byte, error) {
		if tries.Add(1) == 1 {
			time.Sleep(PatienceFirst)
		}
		return pass()
	})
	w := newWaiting()
	p.Read([]byte("k"), w.ticket(), true)
	if !p.CarryReads(time.Now().Add(PatienceFloor)) {
		t.Error("it was not late")
	}
	poll.True(t, "it is answered", func() bool { return w.all(t, wire.Absent) })
	if tries.Load() < 2 {
		t.Error("it was not sent again")
	}
	hold := memnet.NewGate(t)
	p.toward(hold.Hold)
	p.Apply([]Write{{record(0, 1), w.ticket()}}, true, true)
	p.Read([]byte("k"), w.ticket(), true)
	if p.CarryReads(time.Now().Add(PatienceFloor)) {
		t.Error("a record was carried with the reads")
	}
	hold.Open()
	poll.True(t, "both are answered", func() bool { return w.resolved(t) })
}

// FuzzAnswer: a sender takes any bytes for an answer without harm. Every ticket is resolved at most
// once, and those that are not stay with the batch.
func FuzzAnswer(f *testing.F) {
	r := kv.Record{Key: []byte("key"), Entry: kv.Entry{Version: 1 << 40, Value: []byte("value")}}
	answer := wire.AppendResult(wire.OpenBatch(nil), &wire.Result{Code: wire.Found, Record: r})
	answer = wire.AppendResult(answer, &wire.Result{Code: wire.Stale, Version: 4})
	f.Add(answer)
	f.Add(wire.AppendResult(answer, &wire.Result{Code: wire.Decided, Decision: refused()}))
	f.Add(wire.AppendResult(answer, &wire.Result{Code: wire.Again}))
	f.Add([]byte{})
	p := newPair(f, 1<<20)
	f.Fuzz(func(t *testing.T, answer []byte) {
		b, w := acquireBatch(), newWaiting()
		b.buf, b.tickets = wire.AppendRead(b.buf, r.Key), append(b.tickets, w.ticket())
		b.buf, b.tickets = wire.AppendApply(b.buf, &r), append(b.tickets, w.ticket())
		b.buf, b.tickets = wire.AppendDecide(b.buf, 5, 1<<20, create(&r)), append(b.tickets, w.ticket())
		b.asks, b.reads = 2, 1
		b.retried = len(answer)%2 == 1
		err := p.answered(b, answer)
		open := 0
		for _, t := range b.tickets {
			if t.Waiter != nil {
				open++
			}
		}
		if w.resolved(t); len(w.codes)+open != 3 {
			t.Fatalf("%d resolved with %d tickets open (%v)", len(w.codes), open, err)
		}
		if err == nil && open != len(b.tickets) {
			t.Fatalf("%d of %d items left have tickets", open, len(b.tickets))
		}
		failTickets(b.orphan(nil), FailedDown)
		for body := b.buf[wire.BatchHead:]; len(body) > 0; {
			var it wire.Item
			if it, body = ownItem(body); it.Kind != wire.ItemApply {
				t.Fatalf("item %q stays as a hint", it.Kind)
			}
		}
	})
}

// BenchmarkQueue is the way of a record through a peer's queue, without the peer. The record is
// appended to the open batch, the batch is taken off, and its acknowledgement resolves the tickets.
// A figure is for a record.
func BenchmarkQueue(b *testing.B) {
	for _, records := range []int{1, 64, 256} {
		b.Run(fmt.Sprintf("records=%d", records), func(b *testing.B) {
			p, q, r := newPair(b, 64<<20), queue{limit: 64 << 20}, record(0, 100)
			answer := wire.OpenBatch(nil)
			for range records {
				answer = wire.AppendResult(answer, &wire.Result{Code: wire.Stored})
			}
			var w counting
			b.ReportAllocs()
			for done := 0; done < b.N; done += records {
				for range records {
					q.apply(r, Ticket{Waiter: &w})
				}
				flight := q.pop()
				if err := p.answered(flight, answer); err != nil {
					b.Fatal(err)
				}
				releaseBatch(flight)
			}
		})
	}
}

// counting is a waiter that counts.
type counting int

func (c *counting) Wants(Ticket) bool { return true }

func (c *counting) Resolve(Ticket, *wire.Result) { *c++ }
func (c *counting) Lock()                        {}
func (c *counting) Unlock()                      {}
