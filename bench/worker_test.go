package bench

import (
	"strings"
	"testing"
	"time"
)

const ms = int64(time.Millisecond)

// newTestWorker is a worker with one connection, which is up, that asks for
// values of 5 bytes. The test is its event loop and its clock.
func newTestWorker(t testing.TB, pace pacer, pipeline int) (*worker, *conn) {
	t.Helper()
	c := DefaultConfig()
	c.Workload, c.ValueSize, c.Keys = Get, 5, 10
	s := &space{cfg: &c, pickers: []*picker{newPicker(c.Keys, nil, Uniform)}, nodes: []*templates{c.spoken().templates(&c, "h")}}
	conns := []*conn{newConn(0, 0, pipeline)}
	conns[0].shares = 1
	rec := newRecorder(pace.from, pace.to, newSeries(pace.from, time.Hour))
	w := newWorker(pace, newSingle(s, newRand(1, 0, 0)), c.spoken(), rec, conns, time.Second)
	w.opened(conns[0], 0)
	return w, conns[0]
}

const wellAnswered = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n12345"

func (w *worker) mustReceive(t *testing.T, c *conn, data string, now int64) {
	t.Helper()
	if used, err := w.receive(c, []byte(data), now); err != nil || used != len(data) {
		t.Fatalf("took %d of %d bytes: %v", used, len(data), err)
	}
}

// A server that stalls for 100 ms while a request is due each 10 ms: each that
// was due meanwhile has waited from then on, although it was sent later.
func TestOpenLoopCountsFromWhenARequestWasDue(t *testing.T) {
	w, c := newTestWorker(t, pacer{to: 200 * ms, left: unlimited, open: true, interval: float64(10 * ms)}, 1)
	w.dispatch(0)
	if w.outstanding != 1 {
		t.Fatal("the first request did not start when it was due")
	}
	for now := int64(0); now < 100*ms; now += ms {
		w.dispatch(now) // nothing can start: there is no room
	}
	// Then the server answers each request at once.
	for range 11 {
		w.mustReceive(t, c, wellAnswered, 100*ms)
		w.dispatch(100 * ms)
	}
	w.rec.flush()
	h := w.rec.series.hist
	if h.TotalCount() != 11 {
		t.Fatalf("%d requests were measured, want those due at 0, 10, …, 100 ms", h.TotalCount())
	}
	for i := int64(0); i <= 10; i++ {
		want := i * 10 * ms
		if got := h.ValueAtQuantile(100 * float64(i+1) / 11); got < want || float64(got) > float64(want)*1.002+2000 {
			t.Errorf("the latency number %d of 11 is %s, want %s", i+1, time.Duration(got), time.Duration(want))
		}
	}
	if w.outstanding != 0 || w.pace.due() != 110*ms {
		t.Errorf("%d outstanding and the next due at %d", w.outstanding, w.pace.due())
	}
}

// The same stall in a closed loop is one sample: why there is an open loop.
func TestClosedLoopCountsFromWhenARequestWasSent(t *testing.T) {
	w, c := newTestWorker(t, pacer{to: 200 * ms, left: unlimited}, 1)
	w.dispatch(0)
	for i := range int64(5) {
		w.mustReceive(t, c, wellAnswered, 100*ms+i*ms)
		w.dispatch(100*ms + i*ms)
	}
	w.rec.flush()
	if h := w.rec.series.hist; h.TotalCount() != 5 || h.ValueAtQuantile(80) > 2*ms || h.Max() < 100*ms {
		t.Errorf("%d samples, p80 %d, max %d", h.TotalCount(), h.ValueAtQuantile(80), h.Max())
	}
}

// What was due before the end and never sent is an error and a latency, and no
// success.
func TestOpenLoopCountsWhatWasNeverSent(t *testing.T) {
	w, c := newTestWorker(t, pacer{to: 100 * ms, left: unlimited, open: true, interval: float64(10 * ms)}, 1)
	w.dispatch(0)
	w.mustReceive(t, c, wellAnswered, 250*ms) // due at 0; the end was at 100 ms
	w.dispatch(250 * ms)
	if !w.finished(250 * ms) {
		t.Error("not finished after the end, with nothing under way")
	}
	w.close()
	sum := w.rec.series
	if sum.total.requests != 1 || sum.total.errors[kindUnsent] != 9 || sum.hist.TotalCount() != 10 {
		t.Errorf("%d done, errors %v, %d latencies", sum.total.requests, sum.total.errors, sum.hist.TotalCount())
	}
}

// A request belongs to the measured part if it starts in it.
func TestWarmUpIsNotMeasured(t *testing.T) {
	w, c := newTestWorker(t, pacer{from: 10 * ms, to: 20 * ms, left: unlimited}, 1)
	for now := int64(0); now < 20*ms; now += ms {
		w.dispatch(now)
		w.mustReceive(t, c, wellAnswered, now+ms)
	}
	w.close()
	if n := w.rec.series.total.requests; n != 10 {
		t.Errorf("%d requests were measured, want the 10 that started in the measured part", n)
	}
	if w.rec.allDone != 20 {
		t.Errorf("%d were made in all, want 20", w.rec.allDone)
	}
}

// With a number of requests as many are made, however many may be outstanding.
func TestABoundOnRequestsIsExact(t *testing.T) {
	w, c := newTestWorker(t, pacer{to: 1 << 62, left: 7}, 4)
	for now := ms; !w.finished(now); now += ms {
		w.dispatch(now)
		w.mustReceive(t, c, wellAnswered, now)
	}
	w.close()
	if n := w.rec.series.total.requests; n != 7 {
		t.Errorf("%d requests, want 7", n)
	}
}

// A connection that is lost takes all that was under way on it.
func TestDropFailsWhatWasUnderWay(t *testing.T) {
	w, c := newTestWorker(t, pacer{to: 1 << 62, left: unlimited}, 3)
	w.dispatch(0)
	if !w.overdue(c, 2*int64(time.Second)) || w.overdue(c, ms) {
		t.Error("overdue at the wrong time")
	}
	w.drop(c, errTimeout, 2*int64(time.Second))
	w.close()
	sum := w.rec.series
	if sum.total.errors[kindTimeout] != 1 || sum.total.errors[kindClosed] != 2 || sum.total.requests != 0 || w.outstanding != 0 {
		t.Errorf("errors %v, %d done, %d outstanding", sum.total.errors, sum.total.requests, w.outstanding)
	}
	if sum.hist.TotalCount() != 1 || sum.hist.Max() < int64(time.Second) {
		t.Errorf("the wait of the one that timed out is not among the latencies")
	}
}

// An answer that nobody has asked for ends its connection.
func TestAnAnswerToNothingIsAnError(t *testing.T) {
	w, c := newTestWorker(t, pacer{to: 1 << 62, left: 0}, 1)
	if _, err := w.receive(c, []byte(wellAnswered), ms); err != errUnasked {
		t.Errorf("got %v", err)
	}
}

// With no server there for as long as a request may take, a phase ends.
func TestAPhaseWithoutServersEnds(t *testing.T) {
	w, c := newTestWorker(t, pacer{to: 1 << 62, left: unlimited}, 1)
	w.drop(c, errClosed, 0)
	var now int64
	for n := 0; !w.finished(now); n++ {
		if now = w.refused(c, now); n > 1000 {
			t.Fatal("it does not end")
		}
	}
	if now < int64(time.Second) {
		t.Errorf("it ended after %s", time.Duration(now))
	}
}

// A request costs no allocation, in any part of the worker.
func TestARequestAllocatesNothing(t *testing.T) {
	w, c := newTestWorker(t, pacer{to: 1 << 62, left: unlimited}, 4)
	answers := []byte(wellAnswered + wellAnswered + wellAnswered + wellAnswered)
	now := int64(0)
	if n := testing.AllocsPerRun(100, func() {
		now += ms
		w.dispatch(now)
		c.out, c.dirty, w.dirty = c.out[:0], false, w.dirty[:0]
		if _, err := w.receive(c, answers, now); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("%.1f allocations for four requests", n)
	}
}

// BenchmarkRequest is what a request over HTTP costs the worker, without its system calls.
func BenchmarkRequest(b *testing.B) {
	const depth = 16
	w, c := newTestWorker(b, pacer{to: 1 << 62, left: unlimited}, depth)
	answers := []byte(strings.Repeat(wellAnswered, depth))
	for now := ms; b.Loop(); now += ms / depth {
		w.dispatch(now)
		c.out, c.dirty, w.dirty = c.out[:0], false, w.dirty[:0]
		if _, err := w.receive(c, answers, now); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/depth, "ns/request")
}
