package bench

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Range of the histograms in nanoseconds. What is above counts as the highest.
const (
	latencyMin = 1000
	latencyMax = int64(2 * time.Hour)

	digitsTotal = 3 // significant, of a whole run
	digitsSlot  = 2 // of a point in time
)

// recorder counts what comes of one worker's requests. A request belongs to
// the measured part if it started in it: so a stall at its end is not cut off.
//
// It belongs to the worker's goroutine, and hands its counts to the series
// when the clock passes into the next slot of it.
type recorder struct {
	from, to int64 // the measured part
	series   *series

	slot int // of the counts
	counts
	hist *hdrhistogram.Histogram

	// Of the whole phase, warm-up included, for those who watch.
	allDone, allFailed   int64
	liveDone, liveFailed atomic.Int64
}

// counts are sums over requests.
type counts struct {
	requests, operations int64 // that succeeded
	in, out              int64 // bytes of answers and of requests
	errors               map[string]int64
	last                 int64 // when the last was answered
}

func newRecorder(from, to int64, s *series) *recorder {
	return &recorder{
		from: from, to: to, series: s,
		hist:   hdrhistogram.New(latencyMin, latencyMax, digitsTotal),
		counts: counts{errors: map[string]int64{}},
	}
}

// done counts a request, of so many operations, that succeeded.
func (r *recorder) done(start, now int64, operations, in, out int) {
	r.allDone += int64(operations)
	if start < r.from || start >= r.to {
		return
	}
	r.turn(now)
	r.requests++
	r.operations += int64(operations)
	r.in += int64(in)
	r.out += int64(out)
	r.record(now - start)
}

// fail counts n operations that did not succeed.
func (r *recorder) fail(start, now int64, kind string, n int) {
	r.allFailed += int64(n)
	if start < r.from || start >= r.to {
		return
	}
	r.turn(now)
	r.errors[kind] += int64(n)
}

// waited counts the latency of a request that has had no answer until now: it
// is at least that. Left out, the worst would look like nothing.
func (r *recorder) waited(start, now int64) {
	if start >= r.from && start < r.to {
		r.turn(now)
		r.record(now - start)
	}
}

func (r *recorder) record(latency int64) {
	_ = r.hist.RecordValue(min(max(latency, 0), latencyMax)) // within its range
}

// turn makes now belong to the slot of the counts.
func (r *recorder) turn(now int64) {
	r.last = max(r.last, now)
	if slot := r.series.slotOf(now); slot > r.slot {
		r.flush()
		r.slot = slot
	}
}

// flush hands the counts on.
func (r *recorder) flush() {
	r.series.add(r.slot, &r.counts, r.hist)
	r.counts = counts{errors: r.errors, last: r.last}
	clear(r.errors)
	r.hist.Reset()
}

// publish shows how far it is.
func (r *recorder) publish() {
	r.liveDone.Store(r.allDone)
	r.liveFailed.Store(r.allFailed)
}

// series are the counts of all workers: their sum, and over time. It is safe
// for concurrent use.
type series struct {
	from, every int64

	mu     sync.Mutex // guards what follows
	total  counts
	hist   *hdrhistogram.Histogram
	points []slot
	spare  []*hdrhistogram.Histogram
}

// slot is a point in time. Its histogram is kept while workers may still be in
// it, and what is needed of it after that.
type slot struct {
	operations, errors int64
	hist               *hdrhistogram.Histogram
	p50, p99, max      int64
}

// slotsOpen is how far behind the others a worker may be.
const slotsOpen = 8

func newSeries(from int64, every time.Duration) *series {
	return &series{
		from: from, every: int64(every),
		total: counts{errors: map[string]int64{}},
		hist:  hdrhistogram.New(latencyMin, latencyMax, digitsTotal),
	}
}

func (s *series) slotOf(now int64) int { return int(max(now-s.from, 0) / s.every) }

func (s *series) add(at int, c *counts, hist *hdrhistogram.Histogram) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.total.requests += c.requests
	s.total.operations += c.operations
	s.total.in += c.in
	s.total.out += c.out
	s.total.last = max(s.total.last, c.last)
	var failed int64
	for kind, n := range c.errors {
		s.total.errors[kind] += n
		failed += n
	}
	s.hist.Merge(hist)
	for len(s.points) <= at {
		s.points = append(s.points, slot{})
		s.seal(len(s.points) - 1 - slotsOpen)
	}
	p := &s.points[at]
	p.operations += c.operations
	p.errors += failed
	if at >= len(s.points)-slotsOpen {
		if p.hist == nil {
			p.hist = s.newSlotHist()
		}
		p.hist.Merge(hist)
	}
}

// seal lets go of a slot's histogram. The lock is held.
func (s *series) seal(at int) {
	if at < 0 || s.points[at].hist == nil {
		return
	}
	p := &s.points[at]
	p.p50, p.p99, p.max = p.quantiles()
	p.hist.Reset()
	s.spare = append(s.spare, p.hist)
	p.hist = nil
}

func (s *series) newSlotHist() *hdrhistogram.Histogram {
	if n := len(s.spare); n > 0 {
		h := s.spare[n-1]
		s.spare = s.spare[:n-1]
		return h
	}
	return hdrhistogram.New(latencyMin, latencyMax, digitsSlot)
}

func (p *slot) quantiles() (p50, p99, most int64) {
	if p.hist == nil {
		return p.p50, p.p99, p.max
	}
	return p.hist.ValueAtQuantile(50), p.hist.ValueAtQuantile(99), p.hist.Max()
}

// recent is the p99 of the last slot that is likely to be complete.
func (s *series) recent() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.points) == 0 {
		return 0
	}
	_, p99, _ := s.points[len(s.points)-1].quantiles()
	return time.Duration(p99)
}
