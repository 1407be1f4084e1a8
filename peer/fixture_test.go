package peer

import (
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"httpdhs/internal/memnet"
	"httpdhs/kv"
	"httpdhs/wire"
)

// What fasthttp starts and nobody can end is no leak of this package's. It has one clock for Date
// headers, and a client sleeps before it looks whether it has connections left.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*HostClient).connsCleaner"))
}

// bubble runs a test in a time of its own, which passes only when all goroutines wait.
func bubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, test)
}

// store is the other end: it takes whatever comes, and notes it.
type store struct {
	mu      sync.Mutex
	batches [][]wire.Item // guarded by mu: that arrived
}

func (s *store) Exchange(dst, msg []byte) ([]byte, error) {
	_, body, err := wire.SplitBatch(msg)
	if err != nil {
		return dst, err
	}
	var items []wire.Item
	dst = wire.OpenBatch(dst)
	for len(body) > 0 {
		it, rest := ownItem(body)
		items, body = append(items, it), rest
		r := wire.Result{Code: wire.Stored}
		if it.Kind == wire.ItemRead {
			r.Code = wire.Absent
		}
		dst = wire.AppendResult(dst, &r)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.batches = append(s.batches, items)
	return dst, nil
}

// keys are those of the records that arrived, in their order.
func (s *store) keys() (keys []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, items := range s.batches {
		for _, it := range items {
			if it.Kind == wire.ItemApply {
				keys = append(keys, string(it.Record.Key))
			}
		}
	}
	return keys
}

// verdicts is a detector that takes a peer for down whenever a batch breaks.
type verdicts struct{ peer *Peer }

func (v *verdicts) Broke(reason error) { v.peer.MarkDown(reason).Finish() }
func (v *verdicts) CameUp()            {}

// pair is a peer that is up, and the other end of it.
type pair struct {
	*Peer
	net  *memnet.Network
	node *store
}

func newPair(t testing.TB, queueBytes int) *pair {
	p := &pair{net: memnet.New(), node: new(store)}
	p.net.Put("other", p.node)
	v := new(verdicts)
	p.Peer = New(&Options{
		Name: "other", Transport: p.net.Link("self", "other"), QueueBytes: queueBytes,
		Clock: kv.NewClock(1, time.Now), Log: slog.New(slog.DiscardHandler), Detector: v,
	})
	v.peer = p.Peer
	p.Start()
	p.MarkBack(true)
	t.Cleanup(func() {
		p.net.Clear()
		p.Close()
		p.net.Wait()
	})
	return p
}

// toward has a hook stand on the way to the other end.
func (p *pair) toward(h memnet.Hook) { p.net.Between("self", "other", h) }

// down takes the peer for down.
func (p *pair) down() { p.MarkDown(memnet.ErrReset).Finish() }

// record is the i-th, with a value of so many bytes.
func record(i, size int) *kv.Record {
	return &kv.Record{Key: fmt.Appendf(nil, "%06d", i), Entry: kv.Entry{Version: 1 << 30, Value: make([]byte, size)}}
}

// hint queues the i-th record, for which nobody waits.
func (p *pair) hint(i, size int) { p.Apply([]Write{{record(i, size), Ticket{}}}, true, false) }

// waiting is a waiter that counts what it is told of each ticket. Its lock guards all of it.
type waiting struct {
	sync.Mutex
	out   int                 // tickets
	codes map[int32]wire.Code // by ticket
	twice bool                // one was resolved again
	sated bool                // it wants no answer to a read any more
}

func newWaiting() *waiting { return &waiting{codes: make(map[int32]wire.Code)} }

func (w *waiting) ticket() Ticket {
	w.Lock()
	defer w.Unlock()
	w.out++
	return Ticket{Waiter: w, Op: int32(w.out)}
}

// Wants implements Waiter.
func (w *waiting) Wants(Ticket) bool { return !w.sated }

func (w *waiting) Resolve(t Ticket, r *wire.Result) {
	_, before := w.codes[t.Op]
	w.twice = w.twice || before
	w.codes[t.Op] = r.Code
}

// resolved says whether every ticket was resolved, and fails the test if one was twice.
func (w *waiting) resolved(t *testing.T) bool {
	t.Helper()
	w.Lock()
	defer w.Unlock()
	if w.twice {
		t.Fatal("a ticket was resolved twice")
	}
	return len(w.codes) == w.out
}

// all says whether every ticket was resolved with the code.
func (w *waiting) all(t *testing.T, want wire.Code) bool {
	t.Helper()
	if !w.resolved(t) {
		return false
	}
	w.Lock()
	defer w.Unlock()
	for _, got := range w.codes {
		if got != want {
			return false
		}
	}
	return true
}

// create is a put that is done if its key is absent.
func create(r *kv.Record) []*kv.Op {
	return []*kv.Op{{Kind: kv.OpPut, Cond: kv.Condition{Kind: kv.IfAbsent}, Record: *r}}
}

// refused is a decision of which nothing came.
func refused() *kv.Decision {
	d := &kv.Decision{Ops: create(record(1, 1))}
	d.Begin(1, 1<<20, 1<<20)
	d.Decide(&kv.Entry{Version: 4}, 0)
	return d
}

// handOut gives the peer a record, a read and a conditional write, so often, with a ticket each.
func handOut(t *testing.T, p *Peer, rounds int) *waiting {
	t.Helper()
	w := newWaiting()
	for i := range rounds {
		r := record(i, 1)
		if !p.Apply([]Write{{r, w.ticket()}}, false, false) || !p.Read(r.Key, w.ticket(), false) ||
			!p.Decide(r.Version, 1<<20, create(r), w.ticket(), false) {
			t.Fatal("a ticket was not taken")
		}
	}
	return w
}
