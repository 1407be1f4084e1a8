package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"time"

	"httpdhs/api"
)

// Phases that draw their keys apart from the rounds, which count from 0.
const prefillPhase = 1 << 20

// runner is a run under way.
type runner struct {
	cfg    Config
	report *Report
	proto  protocol

	addrs []*net.TCPAddr // of the nodes that are asked
	names []string       // host:port of the same
	ring  *api.Ring      // nil: not known, and not needed
	space *space
}

// Run carries out what c says and returns what came of it. If ctx is done
// before the end, the error is that of ctx, and the report holds what was
// measured so far; other errors come without one.
func Run(ctx context.Context, c Config) (*Report, error) {
	r, err := newRunner(ctx, c)
	if err != nil {
		return nil, err
	}
	if err = r.prefill(ctx); err != nil {
		return nil, err
	}
	for i := range r.cfg.Rounds {
		round, err := r.round(ctx, i, r.cfg.Rate)
		if round != nil {
			r.report.Rounds = append(r.report.Rounds, *round)
		}
		if err != nil {
			r.report.Interrupted = ctx.Err() != nil
			return r.report, err
		}
	}
	if r.cfg.Verify {
		err = r.readBack(ctx)
	}
	return r.report, err
}

func newRunner(ctx context.Context, c Config) (*runner, error) {
	if c.Verify && c.DeleteRatio == 0 && (c.Workload == Put || c.Workload == Mixed) {
		c.DeleteRatio = deletesOfVerify
	}
	if err := c.Check(); err != nil {
		return nil, err
	}
	r := &runner{cfg: c, proto: c.spoken(), names: c.To}
	if c.Route == RouteOwner {
		if err := r.learnRing(ctx); err != nil {
			return nil, err
		}
	}
	var unreachable []error
	for _, name := range r.names {
		addr, err := resolve(ctx, name, c.Timeout)
		if err != nil {
			unreachable = append(unreachable, err)
		}
		r.addrs = append(r.addrs, addr)
	}
	if len(unreachable) > 0 {
		return nil, errors.Join(unreachable...)
	}
	if err := r.proto.greet(ctx, &c); err != nil {
		return nil, err
	}
	if err := r.makeSpace(); err != nil {
		return nil, err
	}
	r.report = &Report{
		Kind: "run", Started: time.Now().UTC(), Machine: thisMachine(), Settings: settingsOf(&r.cfg),
		Servers: r.proto.servers(ctx, &r.cfg, r.names),
	}
	return r, nil
}

// deletesOfVerify is the share of deletes among the writes of a run that is
// verified: without any, none could come back.
const deletesOfVerify = 0.05

// learnRing makes the nodes of the ring those that are asked.
func (r *runner) learnRing(ctx context.Context) error {
	ring, err := r.proto.ring(ctx, &r.cfg)
	if err != nil {
		return fmt.Errorf("cannot route by owner: %w", err)
	}
	if r.cfg.Conns < len(ring.Nodes) {
		return fmt.Errorf("%w: --conns is %d, fewer than the nodes of the ring (%d)", ErrConfig, r.cfg.Conns, len(ring.Nodes))
	}
	r.ring, r.names = ring, nil
	for _, n := range ring.Nodes {
		r.names = append(r.names, n.Name)
	}
	return nil
}

func (r *runner) makeSpace() error {
	s := &space{cfg: &r.cfg}
	if r.ring != nil {
		pickers, err := pickersByOwner(&r.cfg, r.ring)
		if err != nil {
			return err
		}
		s.pickers = pickers
	} else {
		all := newPicker(r.cfg.Keys, nil, r.cfg.Dist)
		s.pickers = slices.Repeat([]*picker{all}, len(r.names))
	}
	for _, name := range r.names {
		s.nodes = append(s.nodes, r.proto.templates(&r.cfg, name))
	}
	if r.cfg.Verify {
		s.ledger = newLedger(rand.Uint32(), r.cfg.Keys) // runs of one seed must differ
		s.ledger.counts = r.cfg.Workload == Incr
	}
	r.space = s
	return nil
}

// deal deals the connections out as the route wants it.
func (r *runner) deal() []deal {
	if r.ring != nil {
		return dealByNode(r.cfg.Conns, len(r.names))
	}
	return dealAny(r.cfg.Conns, len(r.names))
}

// basic is a phase with the settings of the run, in a closed loop.
func (r *runner) basic(name string) *phase {
	return &phase{
		name: name, addrs: r.addrs, dealing: r.deal(), pipeline: r.cfg.Pipeline, threads: r.cfg.threads(),
		timeout: r.cfg.Timeout, progress: r.cfg.Progress, answers: r.proto, hello: r.proto.hello(&r.cfg),
	}
}

// prefill stores what will be asked for.
func (r *runner) prefill(ctx context.Context) error {
	if !r.cfg.prefilled() {
		return nil
	}
	begin := time.Now()
	byPuts := r.cfg.Protocol == RESP || r.cfg.Workload == Incr
	var sum *series
	var err error
	if !byPuts {
		sum, err = r.fillBy(ctx, func(s *space, conns int) workload { return newLoad(s, conns, true) })
		byPuts = err == nil && refusedLoad(sum.total.errors)
	}
	if byPuts {
		sum, err = r.fillBy(ctx, func(s *space, conns int) workload { return newFill(s, conns) })
	}
	if err != nil {
		return err
	}
	p := &Prefill{Keys: sum.total.operations, Seconds: time.Since(begin).Seconds()}
	for _, n := range sum.total.errors {
		p.Errors += n
	}
	r.report.Prefill = p
	if p.Keys == 0 {
		return fmt.Errorf("cannot store the keys that are to be read: %s", errorText(sum.total.errors))
	}
	if p.Errors > 0 && r.cfg.Workload == Incr && r.cfg.Verify {
		return fmt.Errorf("cannot verify counters that were not set to 0: %s", errorText(sum.total.errors))
	}
	return nil
}

func (r *runner) fillBy(ctx context.Context, work func(*space, int) workload) (*series, error) {
	// The heads and rows of the prefill are those of a load.
	cfg, s := r.cfg, *r.space
	if cfg.Workload == Incr {
		s.ledger = nil // it counts from what is stored here
	} else {
		cfg.Workload, cfg.Format = Load, FormatRecords
	}
	s.cfg, s.nodes = &cfg, nil
	for _, name := range r.names {
		s.nodes = append(s.nodes, r.proto.templates(&cfg, name))
	}
	p := r.basic("prefill")
	p.number, p.pipeline = prefillPhase, max(p.pipeline, 4)
	p.work = func(_, conns int) workload { return work(&s, conns) }
	return p.run(ctx)
}

// refusedLoad says whether a server has no /load-data.
func refusedLoad(errs map[string]int64) bool {
	return errs[statusKind(404)]+errs[statusKind(405)]+errs[statusKind(501)] > 0
}

// round is one measured part.
func (r *runner) round(ctx context.Context, number int, rate float64) (*Round, error) {
	p := r.basic("measuring")
	if r.cfg.Rounds > 1 {
		p.name = fmt.Sprintf("round %d of %d", number+1, r.cfg.Rounds)
	}
	p.number, p.rate, p.warmup = number, rate, r.cfg.Warmup
	if p.requests = r.cfg.Requests; p.requests == 0 {
		p.duration = r.cfg.Duration
	}
	p.work = func(worker, conns int) workload {
		source := newRand(r.cfg.Seed, number, worker)
		switch r.cfg.Workload {
		case Load:
			return newLoad(r.space, conns, false)
		case Batch:
			return newBatch(r.space, source)
		case Incr:
			return &incr{r.space, source}
		}
		return newSingle(r.space, source)
	}
	var cpu *cpuWatch
	p.measured = func() { cpu = watchCPU(r.addrs) }
	if p.warmup == 0 {
		p.measured, cpu = nil, watchCPU(r.addrs)
	}
	sum, err := p.run(ctx)
	if sum == nil {
		return nil, err
	}
	end := int64(math.MaxInt64)
	if p.duration > 0 && err == nil {
		end = int64(p.warmup + p.duration)
	}
	round := sum.round(end)
	if cpu != nil {
		round.CPU = cpu.since(round.Operations)
	}
	return &round, err
}

// readBack verifies.
func (r *runner) readBack(ctx context.Context) error {
	if r.cfg.Settle > 0 {
		select {
		case <-time.After(r.cfg.Settle):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	names := r.everyNode(ctx)
	found := &findings{
		ledger: r.space.ledger, size: r.cfg.ValueSize, keys: r.space.ledger.touched(), faults: map[uint32]map[Fault]bool{},
	}
	s := *r.space
	s.nodes = nil
	p := r.basic("reading back")
	p.addrs = nil
	var read, unreachable []string
	for _, name := range names {
		addr, err := resolve(ctx, name, r.cfg.Timeout)
		if err != nil {
			unreachable = append(unreachable, name)
			continue
		}
		p.addrs, read = append(p.addrs, addr), append(read, name)
		s.nodes = append(s.nodes, r.proto.templates(&r.cfg, name))
	}
	if len(read) > 0 && len(found.keys) > 0 {
		p.dealing, p.pipeline = dealByNode(max(r.cfg.Conns, len(read)), len(read)), max(p.pipeline, 4)
		p.work = func(_, conns int) workload { return newReadback(&s, found, read, conns) }
		if _, err := p.run(ctx); err != nil {
			return err
		}
	}
	r.report.Verify = found.verification(int64(len(found.keys)) * int64(len(read)))
	r.report.Verify.Nodes, r.report.Verify.Unreachable = read, unreachable
	return nil
}

// everyNode are the nodes to read back from: those that were given, and the
// others that the ring names, if there is one.
func (r *runner) everyNode(ctx context.Context) []string {
	names := slices.Clone(r.cfg.To)
	ring, err := r.proto.ring(ctx, &r.cfg)
	if err != nil {
		return names
	}
	for _, n := range ring.Nodes {
		if !slices.ContainsFunc(names, func(have string) bool { return strings.EqualFold(have, n.Name) }) {
			names = append(names, n.Name)
		}
	}
	return names
}
