package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/valyala/fasthttp"

	"httpdhs/api"
	"httpdhs/internal/format"
	"httpdhs/kv"
)

const (
	// lanesPerNode keeps a node busy while one lane's next block is on its way.
	lanesPerNode = 2
	lanesMax     = 64

	// A block is sent when it has this many bytes or records. Two blocks a
	// lane and 64 lanes make at most 32 MiB, and a large record each.
	blockBytes   = 256 << 10
	blockRecords = 16 << 10

	// A block that no node takes is tried again after waits that double: long
	// enough for a node to be restarted, then the load is given up.
	blockTries = 6
	blockWait  = 250 * time.Millisecond

	// unringed is the number of partitions by which keys are put into lanes
	// while the ring is not known.
	unringed = 1 << 10
)

// lanePlan says which lane a key takes. It stays as it is for a whole load, also when the ring
// changes meanwhile. The order of a key's records depends on it; the place where they go does not.
type lanePlan struct {
	lanes       []*lane
	ofPartition []int
	shift       int
}

func (p *lanePlan) lane(key []byte) *lane { return p.lanes[p.ofPartition[kv.Hash(key)>>p.shift]] }

// planLanes gives every node its lanes, and deals out to them the partitions whose primary it is.
func (c *Client) planLanes(ctx context.Context) *lanePlan {
	r := c.current(ctx)
	nodes, partitions := r.seeds, unringed
	primary := func(p int) int { return p % len(nodes) }
	plan := &lanePlan{shift: 64 - 10}
	if r.ring != nil {
		nodes, partitions, plan.shift = r.nodes, r.ring.Partitions, r.shift
		primary = func(p int) int {
			if len(r.ring.Owners[p]) == 0 {
				return p % len(nodes)
			}
			return int(r.ring.Owners[p][0])
		}
	}
	n := min(len(nodes)*lanesPerNode, lanesMax)
	for i := range n {
		plan.lanes = append(plan.lanes, newLane(nodes[i/lanesPerNode]))
	}
	dealt := make([]int, len(nodes))
	for p := range partitions {
		node := primary(p)
		plan.ofPartition = append(plan.ofPartition, (node*lanesPerNode+dealt[node]%lanesPerNode)%n)
		dealt[node]++
	}
	return plan
}

// lane is the way of some keys to their node, in order. It has two blocks: one
// is filled while the other is sent.
type lane struct {
	home *endpoint
	open *block      // being filled, by the goroutine that reads the source
	full chan *block // to be sent, by the lane's own goroutine
	free chan *block // sent, to be filled again
}

// block is a number of encoded records and the line that each comes from.
type block struct {
	data  []byte
	lines []int64
}

func newLane(home *endpoint) *lane {
	l := &lane{home: home, open: &block{}, full: make(chan *block), free: make(chan *block, 1)}
	l.free <- &block{}
	return l
}

// add puts a record into the open block and hands it over when it is full.
func (l *lane) add(ctx context.Context, rec *kv.Record, line int64) error {
	b := l.open
	b.data = kv.AppendRecord(b.data, rec)
	b.lines = append(b.lines, line)
	if len(b.data) < blockBytes && len(b.lines) < blockRecords {
		return nil
	}
	return l.flush(ctx)
}

// flush hands the open block over, and waits until there is an empty one.
func (l *lane) flush(ctx context.Context) error {
	if len(l.open.lines) == 0 {
		return nil
	}
	select {
	case l.full <- l.open:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case l.open = <-l.free:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

// drain sends the lane's blocks until there are no more. An error that is not
// about records gives the load up.
func (l *Loader) drain(ctx, reading context.Context, lane *lane, giveUp context.CancelCauseFunc) {
	for b := range lane.full {
		if err := l.deliver(ctx, reading, lane, b); err != nil {
			giveUp(fmt.Errorf("line %d and following: %w", b.lines[0], err))
			return
		}
		if cap(b.data) > 4*blockBytes {
			b.data = nil // one large record is no reason to keep its memory
		}
		b.data, b.lines = b.data[:0], b.lines[:0]
		lane.free <- b
	}
}

// deliver sends a block until a node has answered for it. One with records
// that were not stored is sent once more, to the next node, whose answer then
// counts: the first may have been on its way out. When the reading is over
// because the load is given up, an attempt that failed is not repeated.
func (l *Loader) deliver(ctx, reading context.Context, lane *lane, b *block) (err error) {
	req := &request{
		method:  fasthttp.MethodPost,
		target:  l.target,
		header:  []header{{fasthttp.HeaderContentType, format.TypeBinary}},
		body:    b.data,
		safe:    true, // the same values again, before any later block of the lane
		writes:  true,
		timeout: l.opts.BlockTimeout,
	}
	var before *api.LoadResult // of the first sending, where records failed
	open := false              // whether a sending without a result may have stored something
	defer func() {
		if err != nil && before != nil {
			l.count(b, before)
		}
		if err != nil && open {
			l.open.Store(true)
		}
	}()
	for try := 0; ; try++ {
		candidates := l.c.routes.Load().forLane(lane.home)
		if before != nil {
			candidates = append(candidates[1:], candidates[0])
		}
		res, err := l.c.sendBlock(ctx, candidates, req)
		if err == nil {
			if res.Failed == 0 || before != nil {
				l.count(b, res)
				return nil
			}
			before = res
			continue
		}
		var status *StatusError
		answered := errors.As(err, &status)
		open = open || errors.Is(err, ErrOutcomeUnknown) || answered && unavailable(status.Status)
		switch {
		case answered && wholeBlock(status.Status):
			l.fail(int64(len(b.lines)), &RecordError{
				Line: b.lines[0],
				Err:  fmt.Errorf("a block of %d records from this line on was refused: %w", len(b.lines), status),
			})
			return nil
		case answered && !elsewhere(status.Status), errors.Is(err, ErrNoTLS), errors.Is(err, ErrClosed),
			reading.Err() != nil, try >= blockTries-1:
			return err
		}
		l.c.current(ctx) // the ring may know better by now
		if err := l.c.sleep(reading, blockWait<<try); err != nil {
			return err
		}
	}
}

// sendBlock sends a block and reads what became of it.
func (c *Client) sendBlock(ctx context.Context, candidates []*endpoint, req *request) (*api.LoadResult, error) {
	resp, err := c.send(ctx, candidates, req)
	if err != nil {
		return nil, err
	}
	defer fasthttp.ReleaseResponse(resp)
	res := new(api.LoadResult)
	if err := json.Unmarshal(resp.Body(), res); err != nil {
		return nil, fmt.Errorf("cannot read the answer to a block: %w", err)
	}
	return res, nil
}

// wholeBlock says whether a status is about what is in the block, so that the blocks after it may
// fare better.
func wholeBlock(status int) bool {
	switch status {
	case fasthttp.StatusRequestEntityTooLarge, fasthttp.StatusUnprocessableEntity, fasthttp.StatusInsufficientStorage:
		return true
	}
	return false
}

// count adds the answer for a block to the report. The node numbers records from 1; the report is
// about the lines that they come from.
func (l *Loader) count(b *block, res *api.LoadResult) {
	l.loaded.Add(res.Loaded)
	if res.Failed == 0 {
		return
	}
	reasons := make([]*RecordError, 0, len(res.Errors))
	for _, e := range res.Errors {
		line := e.Line
		if n := e.Line - 1; n >= 0 && n < int64(len(b.lines)) {
			line = b.lines[n]
		}
		reasons = append(reasons, &RecordError{line, errors.New(e.Error)})
	}
	l.fail(res.Failed, reasons...)
}

// forLane is the order in which nodes are asked to take a lane's block.
func (r *routes) forLane(home *endpoint) []*endpoint {
	list := append(make([]*endpoint, 0, candidatesMax), home)
	for _, group := range [...][]*endpoint{r.seeds, r.nodes} {
		for _, e := range group {
			if len(list) < candidatesMax {
				list = appendNew(list, e)
			}
		}
	}
	return list
}
