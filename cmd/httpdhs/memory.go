package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/alecthomas/kong"

	"httpdhs/node"
)

// memoryFlags bound what a node takes.
type memoryFlags struct {
	MaxMemory        memoryBound `placeholder:"SIZE|PERCENT" least:"1MiB" meant:"MiB" help:"Most memory for keys and values, such as 512MiB, or 70% of the limit of memory that the process is under, such as a container's, or else of the machine's memory; 0 is no bound. By default 70% under a limit (less if it is small), and else no bound."`
	MaxRequestMemory byteSize    `default:"0" least:"1MiB" meant:"MiB" help:"Most memory for requests that are being read, in each protocol, such as 64MiB. 0 is what a limit leaves room for, at most 256MiB."`
	MaxAnswerMemory  byteSize    `default:"0" least:"1MiB" meant:"MiB" help:"Most memory for answers that clients have still to take, in each protocol. 0 is what a limit leaves room for, at most 256MiB."`
}

// memoryBound is a size, or a share of what there is.
type memoryBound struct {
	size    byteSize
	percent float64 // 0: it is a size
	given   bool
}

// Decode reads a bound from a flag; kong calls it.
func (b *memoryBound) Decode(ctx *kong.DecodeContext) error {
	text, err := textOf(ctx)
	if err != nil {
		return err
	}
	*b = memoryBound{given: true}
	share, isShare := strings.CutSuffix(strings.TrimSpace(text), "%")
	if !isShare {
		return b.size.read(text, ctx.Value.Tag)
	}
	b.percent, err = strconv.ParseFloat(strings.TrimSpace(share), 64)
	if err != nil || !(b.percent > 0 && b.percent <= 100) {
		return fmt.Errorf("%.20q is no share: want more than 0%% and at most 100%%", text)
	}
	return nil
}

// memoryMin is the least that --max-memory may be: less holds next to nothing.
const memoryMin = 1 << 20

func (f *memoryFlags) check(maxValue byteSize) error {
	if n := f.MaxMemory.size; n > 0 && n < memoryMin {
		return fmt.Errorf("--max-memory is %s, want at least %s, or 0 for no bound", humanBytes(int64(n)), humanBytes(memoryMin))
	}
	for _, flag := range []struct {
		name string
		size byteSize
	}{{"--max-request-memory", f.MaxRequestMemory}, {"--max-answer-memory", f.MaxAnswerMemory}} {
		if flag.size > 0 && flag.size < maxValue {
			return fmt.Errorf("%s is %s, and --max-value-bytes is %s: want at least as much, or 0", flag.name, humanBytes(int64(flag.size)), humanBytes(int64(maxValue)))
		}
	}
	return nil
}

// room is how much memory there is for the process.
type room struct {
	limit int64 // that it is killed at; 0: none is known
	total int64 // the machine's; 0: not known
	err   error // why a limit may be there and is not known
}

// thisRoom asks the operating system. A limit beyond the machine's memory is none.
func thisRoom() (r room) {
	if n, err := memlimit.FromSystem(); err == nil {
		r.total = int64(min(n, 1<<62))
	}
	switch n, err := memlimit.FromCgroup(); {
	case errors.Is(err, memlimit.ErrNoLimit), errors.Is(err, memlimit.ErrCgroupsNotSupported), errors.Is(err, memlimit.ErrNoCgroup):
	case err != nil:
		r.err = err
	case n > 0 && (r.total == 0 || n < uint64(r.total)):
		r.limit = int64(min(n, 1<<62))
	}
	return r
}

// tell logs why a limit may be there that is not known. The process would be killed at it. open are
// the flags that are not given, and would say what the process may take.
func (r *room) tell(log *slog.Logger, open []string) {
	if r.err == nil {
		return
	}
	advice := ""
	if len(open) > 0 {
		advice = ": give " + strings.Join(open, ", ")
	}
	log.Warn("whether the process is under a limit of memory cannot be found out, so it keeps to none"+advice, "err", r.err)
}

// open are the flags that are not given.
func (f *memoryFlags) open() (names []string) {
	if !f.MaxMemory.given {
		names = append(names, "--max-memory")
	}
	if f.MaxRequestMemory == 0 {
		names = append(names, "--max-request-memory")
	}
	if f.MaxAnswerMemory == 0 {
		names = append(names, "--max-answer-memory")
	}
	return names
}

// store is the bound that the flag gives, or storeDefault.
func (b *memoryBound) store(r room) (int64, error) {
	switch of := r.limit; {
	case !b.given:
		return storeDefault, nil
	case b.percent == 0:
		return int64(b.size), nil
	case of == 0 && r.total == 0:
		return 0, errors.New("--max-memory is a share, and how much memory there is cannot be found out here: give a size")
	case of == 0:
		return int64(float64(r.total) / 100 * b.percent), nil
	default:
		return int64(float64(of) / 100 * b.percent), nil
	}
}

// apply says to the node what it may take, and how that was worked out. The plan is nil where there
// is no limit.
func (f *memoryFlags) apply(cfg *node.Config, r room) (plan *memoryPlan, err error) {
	store, err := f.MaxMemory.store(r)
	if err != nil {
		return nil, err
	}
	speaksRedis := cfg.Resp.Listen != "" || cfg.Resp.Listener != nil
	if n := int64(f.MaxAnswerMemory); speaksRedis && n > 0 && n < 2*int64(cfg.Limits.MaxValueBytes) {
		return nil, fmt.Errorf("--max-answer-memory is %s, and --max-value-bytes is %s: the Redis protocol needs twice as much, for the value and the answer with it", humanBytes(n), humanBytes(int64(cfg.Limits.MaxValueBytes)))
	}
	cfg.MaxMemory = max(store, 0)
	cfg.Memory.RequestBytes, cfg.Memory.AnswerBytes = int64(f.MaxRequestMemory), int64(f.MaxAnswerMemory)
	if r.limit > 0 {
		p := planMemory(memoryAsked{
			limit: r.limit, store: store, requests: int64(f.MaxRequestMemory), answers: int64(f.MaxAnswerMemory),
			value: int64(cfg.Limits.MaxValueBytes), resp: speaksRedis, disk: cfg.Data.Dir != "",
		})
		p.apply(cfg)
		plan = &p
	}
	if cfg.Eviction == "s3-fifo" && cfg.MaxMemory == 0 {
		return nil, fmt.Errorf("--eviction %s needs --max-memory: there is nothing to make room for", cfg.Eviction)
	}
	return plan, nil
}

// apply says the plan to the node.
func (p *memoryPlan) apply(cfg *node.Config) {
	cfg.MaxMemory = p.store
	cfg.Data.SegmentMost = p.segment
	cfg.Memory = node.MemoryConfig{
		RequestBytes: p.requests, AnswerBytes: p.answers,
		MessageBytes: p.messages, QueueBytes: p.queues, Conns: p.conns,
	}
}

// begin bounds Go's heap by the plan, for so many nodes that go by it, unless the environment says
// how, and logs it. What does not fit is a warning and no fault: what is allowed may never be used.
func (p *memoryPlan) begin(log *slog.Logger, limit int64, nodes int) {
	heap := p.heap * int64(nodes)
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(heap)
	} else {
		heap = debug.SetMemoryLimit(-1)
	}
	log.Info("memory is shared out by the limit of the process", "limit", limit, "nodes", nodes, "max_memory", p.store,
		"max_request_memory", p.requests, "max_answer_memory", p.answers, "peer_messages", p.messages,
		"peer_queues", p.queues, "connections", p.conns, "gomemlimit", heap, "sum", p.all*int64(nodes))
	switch fits := p.storeFits >= memoryMin; {
	case p.store == 0 && fits:
		log.Warn("THE STORE HAS NO BOUND, and the process is killed at its limit of memory: leave out --max-memory=0, or give it a size",
			"limit", limit, "fits", p.storeFits)
	case p.store == 0:
		log.Warn("THE STORE HAS NO BOUND, and the process is killed at its limit of memory, which leaves nothing for a store: "+smallerOrMore,
			"limit", limit)
	case p.all*int64(nodes) > limit && nodes > 1: // of httpdhs dev, which has no --max-memory
		log.Warn("MORE MEMORY IS ALLOWED THAN THE PROCESS MAY TAKE, and it is killed at its limit: take fewer --nodes, or give the process more",
			"limit", limit, "sum", p.all*int64(nodes))
	case p.all*int64(nodes) > limit && fits:
		log.Warn("MORE MEMORY IS ALLOWED THAN THE PROCESS MAY TAKE, and it is killed at its limit: give --max-memory less, or the process more",
			"limit", limit, "sum", p.all*int64(nodes), "max_memory_that_fits", p.storeFits)
	case p.all*int64(nodes) > limit:
		log.Warn("MORE MEMORY IS ALLOWED THAN THE PROCESS MAY TAKE, and it is killed at its limit, which leaves nothing for a store: "+smallerOrMore,
			"limit", limit, "sum", p.all*int64(nodes))
	}
}

// smallerOrMore is what helps where requests and answers alone take the limit: no --max-memory
// does.
const smallerOrMore = "give --max-value-bytes less (and --max-request-memory and --max-answer-memory, if they are given), or the process more"
