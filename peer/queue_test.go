package peer

import (
	"bytes"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"httpdhs/internal/memnet"
	"httpdhs/internal/poll"
	"httpdhs/kv"
	"httpdhs/wire"
)

// While one batch is in flight, what comes gathers in the next one, however much it is. Two are
// never in flight at once.
func TestRecordsGatherWhileABatchIsInFlight(t *testing.T) { bubble(t, testGather) }

func testGather(t *testing.T) {
	p := newPair(t, 1<<20)
	hold := memnet.NewGate(t)
	var flying, most atomic.Int32
	p.toward(func(msg []byte, pass func() ([]byte, error)) ([]byte, error) {
		most.Store(max(most.Load(), flying.Add(1)))
		defer flying.Add(-1)
		return hold.Hold(msg, pass)
	})
	const records = 200
	w := newWaiting()
	for i := range 1 + records {
		p.Apply([]Write{{record(i, 1), w.ticket()}}, true, false)
		if i == 0 {
			hold.Wait(t, 1)
		}
	}
	hold.Open()
	poll.True(t, "all are stored", func() bool { return w.all(t, wire.Stored) })
	if got := p.node.batches; len(got) != 2 || len(got[0]) != 1 || len(got[1]) != records || most.Load() != 1 {
		t.Errorf("%d batches, want one of 1 and one of %d; %d at once", len(got), records, most.Load())
	}
	if queued, _ := p.Why(); p.SentRecords.Load() != records+1 || p.SentBatches.Load() != 2 || queued != 0 {
		t.Errorf("counted %d records in %d batches, %d bytes left", p.SentRecords.Load(), p.SentBatches.Load(), queued)
	}
}

// What is queued arrives in the order in which it was queued, over many batches, full ones too, and
// over a time when the peer was down.
func TestQueueIsFirstInFirstOut(t *testing.T) { bubble(t, testFirstInFirstOut) }

func testFirstInFirstOut(t *testing.T) {
	p := newPair(t, 64<<20)
	n := 0
	queue := func(records int) {
		for range records {
			p.hint(n, 5000)
			n++
		}
	}
	queue(300)
	if err := p.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	hold := memnet.NewGate(t)
	p.toward(func([]byte, func() ([]byte, error)) ([]byte, error) {
		return hold.Hold(nil, func() ([]byte, error) { return nil, memnet.ErrReset })
	})
	queue(300)
	hold.Wait(t, 1) // one batch is in flight, and many wait
	p.down()
	hold.Open()
	queue(300)
	p.toward(nil)
	p.MarkBack(false)
	queue(50)
	poll.True(t, "it is up", p.Up)
	queue(50)
	if err := p.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := make([]string, n)
	for i := range want {
		want[i] = string(record(i, 0).Key)
	}
	if got := p.node.keys(); !slices.Equal(got, want) {
		t.Errorf("%d records arrived, of %d, or in another order", len(got), n)
	}
}

// Records that a peer missed while it was down are kept for it. Reads and conditional writes never
// are, whether they waited or were in flight.
func TestRecordsAloneAreKept(t *testing.T) { bubble(t, testRecordsAlone) }

func testRecordsAlone(t *testing.T) {
	p := newPair(t, 1<<20)
	hold := memnet.NewGate(t)
	p.toward(hold.Hold)
	p.hint(0, 1)
	hold.Wait(t, 1)
	flying := handOut(t, p.Peer, 1)
	p.toward(memnet.FailWith(memnet.ErrReset))
	hold.Open() // the next batch breaks
	poll.True(t, "it is down", func() bool { return p.State() == Down })
	poll.True(t, "who waits is told", func() bool { return flying.all(t, FailedDown) })
	p.hint(1, 1)
	p.mu.Lock()
	for _, b := range p.queue.batches {
		for body := b.buf[wire.BatchHead:]; len(body) > 0; {
			var it wire.Item
			if it, body = ownItem(body); it.Kind != wire.ItemApply {
				t.Errorf("item %q is kept for a peer that is down", it.Kind)
			}
		}
	}
	p.mu.Unlock()
	if p.Read([]byte("k"), flying.ticket(), false) {
		t.Error("a read is taken for a peer that is down")
	}
	p.toward(nil)
	if kept, ok := p.MarkBack(false); !ok || kept == 0 {
		t.Errorf("%d bytes were kept, down before: %v", kept, ok)
	}
	poll.True(t, "it is up, and has all", func() bool { return p.Delivered() && len(p.node.keys()) == 3 })
	if d := p.DroppedRecords.Load(); d != 0 {
		t.Errorf("%d records were dropped", d)
	}
}

// What is kept for a peer that is down is bounded in bytes: the oldest records are dropped, and
// each is counted.
func TestHintsAreBounded(t *testing.T) { bubble(t, testHintsAreBounded) }

func testHintsAreBounded(t *testing.T) {
	const limit, records = 1 << 20, 500
	p := newPair(t, limit)
	p.down()
	for i := range records {
		p.hint(i, 10_000)
		if queued, _ := p.Why(); queued > limit {
			t.Fatalf("%d bytes are queued, at most %d", queued, limit)
		}
	}
	p.MarkBack(false)
	poll.True(t, "it is up", p.Delivered)
	got, dropped := p.node.keys(), int(p.DroppedRecords.Load())
	if len(got)+dropped != records || len(got) < 75 || got[0] != string(record(dropped, 0).Key) {
		t.Errorf("%d kept from %s on, and %d dropped of %d", len(got), got[0], dropped, records)
	}
}

// A batch that the peer will never take is dropped and counted, and its waiters are told. What
// follows is delivered: a batch that the peer cannot read must not block the queue for ever.
func TestBatchThatThePeerRefuses(t *testing.T) { bubble(t, testRefused) }

func testRefused(t *testing.T) {
	p := newPair(t, 1<<20)
	p.toward(memnet.FailWith(fmt.Errorf("%w: 400", ErrRefused)))
	w := newWaiting()
	p.Apply([]Write{{record(0, 1), w.ticket()}}, true, false)
	poll.True(t, "who waits is told", func() bool { return w.all(t, FailedDown) })
	poll.True(t, "it is dropped", func() bool { return p.DroppedRecords.Load() == 1 })
	if p.SendErrors.Load() != 1 || !p.Up() {
		t.Errorf("%d errors, %v", p.SendErrors.Load(), p.State())
	}
	p.toward(nil)
	p.Apply([]Write{{record(1, 1), w.ticket()}}, true, false)
	poll.True(t, "the next arrives", func() bool { return slices.Equal(p.node.keys(), []string{"000001"}) })
	if !p.Delivered() {
		t.Error("the peer is up and nothing is kept for it, but it does not count")
	}
}

// An answer that is malformed, whatever its bytes, fails the waiters and loses nothing: the records
// are sent again.
func TestAnswerThatIsNone(t *testing.T) {
	good := wire.OpenBatch(nil)
	for _, answer := range [][]byte{
		nil, {0}, {wire.Format}, []byte("<html>"), good[:5], good, // fewer results than items
		wire.AppendResult(bytes.Clone(good), &wire.Result{Code: wire.Again}),
		append(bytes.Clone(good), 0),
		append(bytes.Clone(good), byte(wire.Found), 1),
		append(bytes.Clone(good), byte(wire.Stale), 1),
		append(bytes.Clone(good), byte(FailedDown)),
		append(bytes.Clone(good), byte(wire.Stored), byte(wire.Stored)), // more
		append([]byte{wire.Format, byte(wire.KindList)}, good[wire.Head:]...),
	} {
		bubble(t, func(t *testing.T) {
			p := newPair(t, 1<<20)
			p.toward(memnet.AnswerWith(answer))
			w := newWaiting()
			p.Apply([]Write{{record(0, 1), w.ticket()}}, true, false)
			poll.True(t, "it is down", func() bool { return p.State() == Down })
			// One result too many is found out after the one that counts.
			if !w.all(t, FailedDown) && len(answer) != wire.BatchHead+2 {
				t.Errorf("answer %q counts", answer)
			}
			p.toward(nil)
			p.MarkBack(false)
			poll.True(t, "the record arrives", func() bool { return len(p.node.keys()) == 1 })
		})
	}
}

// A peer that was restarted has closed the connections that there were. A message that one of them
// was used for is sent once more. A conditional write that is refused then may have won the first
// time.
func TestAMessageIsSentOnceMore(t *testing.T) { bubble(t, testOnceMore) }

func testOnceMore(t *testing.T) {
	p := newPair(t, 1<<20)
	p.toward(memnet.LoseReply(1))
	w := newWaiting()
	p.Apply([]Write{{record(0, 1), w.ticket()}}, true, false)
	poll.True(t, "it is stored", func() bool { return w.all(t, wire.Stored) })
	refuse := wire.AppendResult(wire.OpenBatch(nil), &wire.Result{Code: wire.Decided, Decision: refused()})
	var tries atomic.Int32
	p.toward(func([]byte, func() ([]byte, error)) ([]byte, error) {
		if tries.Add(1) == 1 {
			return nil, memnet.ErrReset
		}
		return refuse, nil
	})
	w = newWaiting()
	p.Decide(1, 1<<20, create(record(1, 1)), w.ticket(), false)
	poll.True(t, "its outcome is unknown", func() bool { return w.all(t, FailedDown) })
	if tries.Load() != 2 || !p.Up() {
		t.Errorf("%d tries, and it is %v", tries.Load(), p.State())
	}
}

// Few messages go past the queue at once, so that they leave connections for it.
func TestFewMessagesGoPastTheQueue(t *testing.T) { bubble(t, testFewPast) }

func testFewPast(t *testing.T) {
	p := newPair(t, 1<<20)
	hold := memnet.NewGate(t)
	var under, most atomic.Int32
	p.toward(memnet.OnLists(func(msg []byte, _ func() ([]byte, error)) ([]byte, error) {
		most.Store(max(most.Load(), under.Add(1)))
		defer under.Add(-1)
		return hold.Hold(msg, func() ([]byte, error) { return msg, nil })
	}))
	const asked = 3 * linksMax
	done := make(chan error)
	for range asked {
		go func() {
			_, err := p.Ask(wire.OpenListing(nil), time.Now().Add(time.Hour))
			done <- err
		}()
	}
	hold.Wait(t, asksMax)
	w := newWaiting()
	p.Apply([]Write{{record(0, 1), w.ticket()}}, true, false)
	poll.True(t, "a batch is not held up", func() bool { return w.all(t, wire.Stored) })
	hold.Open()
	for range asked {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if n := most.Load(); n > linksMax-3 {
		t.Errorf("%d at once on %d connections", n, linksMax)
	}
}

// The longest key that a node may be set to take fits a batch, which the node has to read itself
// again when its peer goes down.
func TestBatchesTakeTheLongestKey(t *testing.T) {
	r := kv.Record{Key: make([]byte, 1<<20+1), Entry: kv.Entry{Version: 1, Value: []byte("v")}}
	if it, rest := ownItem(wire.AppendApply(nil, &r)); !bytes.Equal(it.Record.Key, r.Key) || len(rest) > 0 {
		t.Error("another came back")
	}
}

// A peer's answer is full, and nobody wants the values that did not fit any more. They are not
// asked for again, and what is queued behind them is delivered.
func TestUnwantedReadsAreNotSentAgain(t *testing.T) { bubble(t, testUnwanted) }

func testUnwanted(t *testing.T) {
	p := newPair(t, 1<<20)
	first, reader, writer := newWaiting(), newWaiting(), newWaiting()
	reader.sated = true
	hold := memnet.NewGate(t)
	var messages, reads atomic.Int32
	p.toward(func(msg []byte, pass func() ([]byte, error)) ([]byte, error) {
		switch messages.Add(1) {
		case 1: // what follows gathers behind it, into one message
			return hold.Hold(msg, pass)
		case 2:
			answer := wire.AppendResult(wire.OpenBatch(nil), &wire.Result{Code: wire.Absent})
			return wire.AppendResult(answer, &wire.Result{Code: wire.Again}), nil
		}
		_, body, err := wire.SplitBatch(msg)
		for len(body) > 0 && err == nil {
			var it wire.Item
			if it, body, err = wire.NextItem(body); it.Kind == wire.ItemRead {
				reads.Add(1)
			}
		}
		return pass()
	})
	p.Apply([]Write{{record(0, 0), first.ticket()}}, true, false)
	hold.Wait(t, 1)
	for range 100 {
		p.Read([]byte("large"), reader.ticket(), true)
	}
	p.Apply([]Write{{record(0, 1), writer.ticket()}}, true, false)
	hold.Open()
	poll.True(t, "the record is stored", func() bool { return writer.all(t, wire.Stored) })
	if n := reads.Load(); n != 0 || !reader.resolved(t) {
		t.Errorf("%d reads were sent again", n)
	}
}

// A queue whose bound is lowered is full at once, and not once it is raised. What is beyond the
// bound goes with the next record, the oldest first.
func TestBoundQueue(t *testing.T) { bubble(t, testBoundQueue) }

func testBoundQueue(t *testing.T) {
	p := newPair(t, 64<<20)
	p.down()
	for i := range 100 {
		p.hint(i, 5000)
	}
	queued, _ := p.Why()
	p.BoundQueue(1 << 20)
	if p.queue.full.Load() {
		t.Error("full below its bound")
	}
	p.BoundQueue(queued / 2)
	if !p.queue.full.Load() {
		t.Error("not full beyond its bound")
	}
	p.hint(100, 5000)
	if now, _ := p.Why(); now > queued/2 || now == 0 {
		t.Errorf("%d bytes are left, the bound is %d", now, queued/2)
	}
}
