package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// phase is one stretch of a run, with connections of its own: a prefill, a
// round, the reading back.
type phase struct {
	name     string
	number   int // for the source of randomness
	addrs    []*net.TCPAddr
	dealing  []deal // of its connections
	pipeline int
	threads  int
	timeout  time.Duration

	rate     float64 // 0: closed loop
	warmup   time.Duration
	duration time.Duration // 0: until the requests are made or the workload ends
	requests int64         // 0: no bound
	work     func(worker, conns int) workload
	answers  framing
	hello    []byte // of each connection; empty: none

	progress func(Progress)
	measured func() // called when the warm-up is over; may be nil
}

// deal says where a connection leads and which share of the keys is its own.
type deal struct{ node, share, shares int }

// dealAny deals n connections to so many nodes, and all keys to all of them.
func dealAny(n, nodes int) []deal {
	deals := make([]deal, n)
	for i := range deals {
		deals[i] = deal{node: i % nodes, share: i, shares: n}
	}
	return deals
}

// dealByNode deals n connections to so many nodes, and the keys of each node
// to its connections.
func dealByNode(n, nodes int) []deal {
	deals := make([]deal, n)
	for i := range deals {
		deals[i] = deal{node: i % nodes, share: i / nodes, shares: dealtTo(n, i%nodes, nodes)}
	}
	return deals
}

const (
	pointsAim    = 120 // of the plot over time
	everyMin     = 50 * time.Millisecond
	everyMax     = time.Second
	progressTick = 200 * time.Millisecond
)

// slotLength is how long a point of the plot over time lasts.
func (p *phase) slotLength() time.Duration {
	if p.duration == 0 {
		return everyMax / 4
	}
	return min(max((p.duration/pointsAim).Round(10*time.Millisecond), everyMin), everyMax)
}

// run runs the phase to its end, or until ctx is done; then the error is that
// of ctx, and what was measured so far is returned too.
func (p *phase) run(ctx context.Context) (*series, error) {
	begin := time.Now()
	clock := func() int64 { return int64(time.Since(begin)) }
	from, to := int64(p.warmup), int64(math.MaxInt64)
	if p.duration > 0 {
		to = from + int64(p.duration)
	}
	sum := newSeries(from, p.slotLength())
	var stop atomic.Bool
	workers := p.workers(sum, from, to)
	errs := make([]error, len(workers))
	var running sync.WaitGroup
	for i, w := range workers {
		running.Go(func() { errs[i] = drive(w, p.addrs, clock, &stop) })
	}
	ended := make(chan struct{})
	go func() { running.Wait(); close(ended) }()
	p.watch(ctx, workers, sum, begin, ended)
	if ctx.Err() != nil {
		stop.Store(true)
		<-ended
	}
	return sum, errors.Join(append(errs, ctx.Err())...)
}

// workers splits the phase.
func (p *phase) workers(sum *series, from, to int64) []*worker {
	n := min(max(p.threads, 1), len(p.dealing))
	workers := make([]*worker, n)
	for i := range workers {
		conns := make([]*conn, 0, len(p.dealing)/n+1)
		for at := i; at < len(p.dealing); at += n {
			d := p.dealing[at]
			c := newConn(len(conns), d.node, p.pipeline)
			c.share, c.shares = d.share, d.shares
			conns = append(conns, c)
		}
		pace := pacer{from: from, to: to, left: unlimited}
		if p.requests > 0 {
			pace.left = int64(dealtTo(int(p.requests), i, n))
		}
		if p.rate > 0 {
			pace.open, pace.interval = true, float64(n)*1e9/p.rate
			pace.origin = int64(float64(i) * 1e9 / p.rate)
		}
		workers[i] = newWorker(pace, p.work(i, len(conns)), p.answers, newRecorder(from, to, sum), conns, p.timeout)
		workers[i].hello = p.hello
	}
	return workers
}

// watch tells of the progress until the phase has ended or ctx is done.
func (p *phase) watch(ctx context.Context, workers []*worker, sum *series, begin time.Time, ended <-chan struct{}) {
	tick := time.NewTicker(progressTick)
	defer tick.Stop()
	warm := time.NewTimer(p.warmup)
	defer warm.Stop()
	seen, at := int64(0), begin
	for {
		select {
		case <-ended:
			return
		case <-ctx.Done():
			return
		case <-warm.C:
			if p.measured != nil {
				p.measured()
			}
		case now := <-tick.C:
			if p.progress == nil {
				continue
			}
			report := Progress{Phase: p.name, Elapsed: now.Sub(begin), P99: sum.recent()}
			if p.duration > 0 {
				report.Total = p.warmup + p.duration
			}
			if report.Elapsed < p.warmup {
				report.Phase = "warm-up"
			}
			for _, w := range workers {
				report.Done += w.rec.liveDone.Load()
				report.Errors += w.rec.liveFailed.Load()
			}
			report.Rate = float64(report.Done-seen) / now.Sub(at).Seconds()
			seen, at = report.Done, now
			p.progress(report)
		}
	}
}

// resolve finds the address of a node and makes sure that something is there.
func resolve(ctx context.Context, node string, timeout time.Duration) (*net.TCPAddr, error) {
	d := net.Dialer{Timeout: min(timeout, 5*time.Second)}
	c, err := d.DialContext(ctx, "tcp", node)
	if err != nil {
		return nil, fmt.Errorf("cannot reach %s: %w", node, err)
	}
	addr, ok := c.RemoteAddr().(*net.TCPAddr)
	c.Close()
	if !ok {
		return nil, fmt.Errorf("%s has no TCP address", node)
	}
	return addr, nil
}
