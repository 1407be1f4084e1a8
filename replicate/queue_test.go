package replicate

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"testing"

	"httpdhs/kv"
	"httpdhs/wire"
)

// recorder stands between two nodes, notes the batches that pass, and fails
// the test when two are under way at once.
type recorder struct {
	mu      sync.Mutex
	flying  int
	twice   bool
	batches [][]wire.Item
	next    hook
}

func (r *recorder) hook(msg []byte, pass func() ([]byte, error)) ([]byte, error) {
	var items []wire.Item
	for body := msg[wire.BatchHead:]; len(body) > 0; {
		it, rest := ownItem(body)
		items, body = append(items, it), rest
	}
	r.mu.Lock()
	r.flying++
	r.twice = r.twice || r.flying > 1
	r.batches = append(r.batches, items)
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.flying--
	}()
	if r.next != nil {
		return r.next(msg, pass)
	}
	return pass()
}

func (r *recorder) take(t *testing.T) [][]wire.Item {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.twice {
		t.Error("two batches were in flight at once")
	}
	taken := r.batches
	r.batches = nil
	return taken
}

// While one batch is in flight, the writes that come gather, however many they
// are, into the one that follows; two are never in flight at once.
func TestWritesGatherWhileABatchIsInFlight(t *testing.T) { bubble(t, testWritesGather) }

func testWritesGather(t *testing.T) {
	c := newCluster(t, clusterOptions{nodes: 2, replicas: 2})
	hold := newGate(t)
	rec := &recorder{next: hold.hold}
	c.net.set("node0", "node1", onBatches(rec.hook))

	const writers = 200
	var all sync.WaitGroup
	all.Go(func() { c.nodes[0].mustPut(t, "first", "v", kv.LevelAll) })
	hold.wait(t, 1)
	for i := range writers {
		all.Go(func() { c.nodes[0].mustPut(t, fmt.Sprint(i), "v", kv.LevelAll) })
	}
	queued := func() int {
		p := c.nodes[0].peer(1)
		p.mu.Lock()
		defer p.mu.Unlock()
		if len(p.queue.batches) != 1 {
			return 0
		}
		return len(p.queue.batches[0].tickets)
	}
	eventually(t, "all writes wait in one batch", func() bool { return queued() == writers })
	hold.open()
	all.Wait()
	if got := rec.take(t); len(got) != 2 || len(got[0]) != 1 || len(got[1]) != writers {
		t.Errorf("%d batches, want one of 1 and one of %d", len(got), writers)
	}
	if s := c.nodes[0].peer(1).Status(); s.SentRecords != writers+1 || s.SentBatches != 2 || s.Queued != 0 {
		t.Errorf("counted %d records in %d batches, %d bytes left", s.SentRecords, s.SentBatches, s.Queued)
	}
}

// What is queued for a peer arrives in the order in which it was queued, over
// many batches, full ones too, and over a time when the peer was down.
func TestQueueIsFirstInFirstOut(t *testing.T) { bubble(t, testQueueIsFirstInFirstOut) }

func testQueueIsFirstInFirstOut(t *testing.T) {
	c := newCluster(t, clusterOptions{nodes: 2, replicas: 2})
	rec := &recorder{}
	c.net.set("node0", "node1", onBatches(rec.hook))
	value := string(make([]byte, 5000))
	n := 0
	write := func(count int, w kv.Level) {
		for range count {
			c.nodes[0].mustPut(t, fmt.Sprintf("%06d", n), value, w)
			n++
		}
	}
	write(3, kv.LevelAll)
	write(300, kv.LevelOne)
	c.waitDrained(0)
	seen := rec.take(t)
	hold := newGate(t)
	c.net.set("node0", "node1", onBatches(hold.hold))
	write(300, kv.LevelOne)
	hold.wait(t, 1) // one batch is in flight, and many wait
	c.cut(1)
	write(300, kv.LevelOne)
	rec2 := &recorder{}
	c.net.set("node0", "node1", onBatches(rec2.hook))
	write(50, kv.LevelOne)
	c.waitState(1, Up)
	write(50, kv.LevelOne)
	c.waitDrained(0)
	next := 0
	for _, items := range append(seen, rec2.take(t)...) {
		for _, it := range items {
			if want := fmt.Sprintf("%06d", next); string(it.Record.Key) != want {
				t.Fatalf("%s arrived, want %s", it.Record.Key, want)
			}
			next++
		}
	}
	if next != n {
		t.Errorf("%d records arrived, want %d", next, n)
	}
}

// waitDrained waits until nothing is queued at node i for peers that are up.
func (c *cluster) waitDrained(i int) {
	c.t.Helper()
	if err := c.nodes[i].Drain(c.t.Context()); err != nil {
		c.t.Fatal(err)
	}
}

// Writes that a peer missed while it was down reach it when it is back, deletes
// as well. Reads and conditional writes are never kept for it.
func TestHintsReachAPeerThatComesBack(t *testing.T) { bubble(t, testHints) }

func testHints(t *testing.T) {
	c := newCluster(t, clusterOptions{nodes: 3, replicas: 2})
	key, gone := c.keyOwnedBy(0, 1, 2), c.keyOwnedBy(1, 1, 2)
	c.nodes[0].mustPut(t, gone, "v", kv.LevelAll)
	hold := newGate(t)
	c.net.set("node0", "node1", onBatches(hold.hold))

	// One of each is in flight, and one of each waits in the queue.
	var all sync.WaitGroup
	ask := func() {
		cond := op(kv.OpPut, key, "cond")
		cond.Cond.Kind = kv.IfPresent
		all.Go(func() { c.nodes[0].do(cond, kv.LevelOne) })
		all.Go(func() { c.nodes[0].get(key, kv.LevelQuorum) })
	}
	queued := func(tickets int) func() bool {
		return func() bool {
			p := c.nodes[0].peer(1)
			p.mu.Lock()
			defer p.mu.Unlock()
			return len(p.queue.batches) == 1 && len(p.queue.batches[0].tickets) == tickets
		}
	}
	c.nodes[0].mustPut(t, key, "flies", kv.LevelOne)
	hold.wait(t, 1)
	ask()
	eventually(t, "two wait", queued(2))
	c.net.set("node0", "node1", failWith(errReset))
	all.Wait()
	eventually(t, "node1 is down", func() bool { return c.nodes[0].peer(1).State() == Down })
	hold.open()
	c.nodes[0].mustPut(t, key, "missed", kv.LevelLive)
	wantOp(t, c.nodes[0].del(gone, kv.LevelLive), nil)

	p := c.nodes[0].peer(1)
	p.mu.Lock()
	for _, b := range p.queue.batches {
		for body := b.buf[wire.BatchHead:]; len(body) > 0; {
			it, rest := ownItem(body)
			if body = rest; it.Kind != wire.ItemApply {
				t.Errorf("item %q is kept for a peer that is down", it.Kind)
			}
		}
	}
	p.mu.Unlock()
	c.heal(1)
	eventually(t, "node1 has what it missed", func() bool { return c.nodes[1].has(key, "missed") && c.nodes[1].held(gone).Tombstone })
	if d := p.Status().Dropped; d != 0 {
		t.Errorf("%d records were dropped", d)
	}
}

// What is kept for a peer that is down is bounded in bytes: the oldest records
// are dropped, and each is counted.
func TestHintsAreBounded(t *testing.T) { bubble(t, testHintsAreBounded) }

func testHintsAreBounded(t *testing.T) {
	const limit = 1 << 20
	c := newCluster(t, clusterOptions{nodes: 2, replicas: 2, queueBytes: limit})
	c.cut(1)
	value := string(make([]byte, 10000))
	const writes = 500
	p := c.nodes[0].peer(1)
	for i := range writes {
		c.nodes[0].mustPut(t, fmt.Sprint(i), value, kv.LevelLive)
		if q := p.Status().Queued; q > limit {
			t.Fatalf("%d bytes are queued, at most %d", q, limit)
		}
	}
	c.net.set("node1", "node0", failWith(errReset)) // or node1 would fetch the rest
	kept, dropped := 0, int(p.Status().Dropped)
	p.mu.Lock()
	for _, b := range p.queue.batches {
		kept += len(b.tickets)
	}
	p.mu.Unlock()
	if kept+dropped != writes || kept < 75 {
		t.Errorf("%d kept and %d dropped of %d", kept, dropped, writes)
	}
	c.net.set("node0", "node1", nil)
	eventually(t, "node1 has the newest", func() bool { return c.nodes[1].has(fmt.Sprint(writes-1), value) })
	for i := range writes {
		if has := c.nodes[1].held(fmt.Sprint(i)).Exists(); has != (i >= dropped) {
			t.Fatalf("record %d of %d: held %v, the oldest %d were dropped", i, writes, has, dropped)
		}
	}
}

// A batch that the peer will never take is dropped and counted, who waits for
// it is told, and what follows is delivered: one that the peer cannot read must
// not block the queue for ever.
func TestBatchThatThePeerRefuses(t *testing.T) { bubble(t, testBatchThatThePeerRefuses) }

func testBatchThatThePeerRefuses(t *testing.T) {
	c := newCluster(t, clusterOptions{nodes: 2, replicas: 2})
	c.net.set("node0", "node1", onBatches(failWith(fmt.Errorf("%w: 400", ErrRefused))))
	wantOp(t, c.nodes[0].put("a", "v", kv.LevelAll), kv.ErrUnavailable)
	p := c.nodes[0].peer(1)
	if s := p.Status(); s.Dropped != 1 || s.SendErrors != 1 || s.State != Up {
		t.Errorf("dropped %d, errors %d, %v", s.Dropped, s.SendErrors, s.State)
	}
	c.net.set("node0", "node1", nil)
	wantOp(t, c.nodes[0].put("b", "v", kv.LevelAll), nil)
	if !c.nodes[1].has("b", "v") {
		t.Error("b did not arrive")
	}
	if !p.counted() {
		t.Error("the peer is up and nothing is kept for it, but it does not count")
	}
}

// An answer that is none, whatever its bytes, fails who waits and loses
// nothing: the records are sent again.
func TestAnswerThatIsNone(t *testing.T) {
	good := wire.OpenBatch(nil)
	for _, answer := range [][]byte{
		nil, {0}, {wire.Format}, []byte("<html>"), good[:5], good, // fewer results than items
		wire.AppendResult(bytes.Clone(good), &wire.Result{Code: wire.Again}),
		append(bytes.Clone(good), 0),
		append(bytes.Clone(good), byte(wire.Found), 1),
		append(bytes.Clone(good), byte(wire.Stale), 1),
		append(bytes.Clone(good), byte(wire.FailedDown)),
		append(bytes.Clone(good), byte(wire.Stored), byte(wire.Stored)), // more
		append([]byte{wire.Format, byte(wire.KindList)}, good[wire.Head:]...),
	} {
		bubble(t, func(t *testing.T) {
			c := newCluster(t, clusterOptions{nodes: 2, replicas: 2})
			c.net.set("node0", "node1", onBatches(answerWith(answer)))
			// One result too many is found out after the one that counts.
			if o := c.nodes[0].put("a", "v", kv.LevelAll); !errors.Is(o.Err, kv.ErrUnavailable) && len(answer) != wire.BatchHead+2 {
				t.Fatalf("answer %q: write ended with %v", answer, o.Err)
			}
			c.net.set("node0", "node1", nil)
			eventually(t, "the record arrives", func() bool { return c.nodes[1].has("a", "v") })
		})
	}
}

// An answer of another length than the batch has no effect on the reads of
// others: each get is answered with its own key's value, whatever came before.
func TestTruncatedAnswersOfReads(t *testing.T) { bubble(t, testTruncatedAnswersOfReads) }

func testTruncatedAnswersOfReads(t *testing.T) {
	c := newCluster(t, clusterOptions{nodes: 3, replicas: 2})
	key := c.keyOwnedBy(0, 0, 1)
	c.nodes[2].mustPut(t, key, "some value", kv.LevelAll)
	for cut := 1; cut < 40; cut++ {
		c.net.set("node2", "node0", onBatches(func(_ []byte, pass func() ([]byte, error)) ([]byte, error) {
			answer, err := pass()
			return answer[:max(0, len(answer)-cut)], err
		}))
		wantValue(t, c.nodes[2].get(key, kv.LevelOne), "some value") // from node1
		c.net.set("node2", "node0", nil)
		eventually(t, "node0 is up", c.nodes[2].peer(0).up)
	}
}
