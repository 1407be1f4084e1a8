package bench

import (
	"context"
	"fmt"
)

// Exchange is what another server is asked, in its own protocol: one key a request, and one answer
// to each, in their order. It is measured by the event loop that measures httpdhs, so that the load
// costs the same for both.
type Exchange struct {
	// Request appends the request of a key to dst.
	Request func(dst []byte, key int) []byte

	// Answer says how many bytes the answer at the start of b has, 0 if its end is not there yet.
	// One that is not what was asked for is an error, and ends the run.
	Answer func(b []byte) (n int, err error)
}

// Measure asks for random keys. Of c it goes by To, Conns, Pipeline, Threads, Keys, Dist, Seed,
// Rate, Warmup, Duration and Timeout. Every answer is waited for.
func (x Exchange) Measure(ctx context.Context, c Config) (*Round, error) {
	pick := newPicker(c.Keys, nil, c.Dist)
	p := &phase{name: "measuring", rate: c.Rate, warmup: c.Warmup, duration: c.Duration}
	sum, err := x.run(ctx, &c, p, func(worker, _ int) keySource {
		random := newRand(c.Seed, 0, worker)
		return func(*conn) (uint32, bool) { return pick.key(pick.place(random)), true }
	})
	if err != nil {
		return nil, err
	}
	round := sum.round(int64(c.Warmup + c.Duration))
	return &round, nil
}

// Fill asks for each key once. Of c it goes by To, Conns, Pipeline, Threads, Keys and Timeout.
func (x Exchange) Fill(ctx context.Context, c Config) error {
	_, err := x.run(ctx, &c, &phase{name: "prefill"}, func(_, conns int) keySource {
		at := make([]int, conns) // by connection: how many of its keys it has asked for
		return func(on *conn) (uint32, bool) {
			key := on.share + at[on.index]*on.shares
			at[on.index]++
			return uint32(key), key < c.Keys
		}
	})
	return err
}

// run runs a phase. Any error of any request is one, but that it was not sent in time: it counts
// among the latencies.
func (x Exchange) run(ctx context.Context, c *Config, p *phase, next func(worker, conns int) keySource) (*series, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	for _, name := range c.To {
		addr, err := resolve(ctx, name, c.Timeout)
		if err != nil {
			return nil, err
		}
		p.addrs = append(p.addrs, addr)
	}
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	p.dealing, p.pipeline, p.threads, p.timeout = dealAny(c.Conns, len(c.To)), c.Pipeline, c.threads(), c.Timeout
	p.answers = &answering{x, fail}
	p.work = func(worker, conns int) workload { return &exchanging{x, next(worker, conns)} }
	sum, err := p.run(ctx)
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err != nil:
		return nil, err
	case len(sum.total.errors) > 1, len(sum.total.errors) > 0 && sum.total.errors[kindUnsent] == 0:
		return nil, fmt.Errorf("not every request was answered: %s", errorText(sum.total.errors))
	}
	return sum, nil
}

// keySource is the next key to ask for on a connection, if there is one.
type keySource func(c *conn) (key uint32, ok bool)

// exchanging is the workload of an Exchange.
type exchanging struct {
	Exchange
	next keySource
}

func (w *exchanging) request(c *conn, _ *pending, dst []byte) ([]byte, bool) {
	key, ok := w.next(c)
	if !ok {
		return dst, false
	}
	return w.Request(dst, int(key)), true
}

func (w *exchanging) answer(*conn, *pending, int, []byte) verdict { return verdict{done: 1} }

func (w *exchanging) lost(*conn, *pending) {}

// answering finds the answers of an Exchange.
type answering struct {
	Exchange
	fail context.CancelCauseFunc
}

func (a *answering) frame(data []byte, _ *pending, r *response) (bool, error) {
	n, err := a.Answer(data)
	if err != nil {
		a.fail(err)
	}
	*r = response{body: n}
	return n > 0, err
}
