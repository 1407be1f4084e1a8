package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"httpdhs/api"
	"httpdhs/kv"
)

// Source yields the records of a load in their order.
type Source interface {
	// Next returns the next record, whose slices are good until the call
	// after, and its line (from 1). io.EOF ends the load. A *RecordError is
	// about that line alone: it is counted and the load goes on; any other
	// error ends it.
	Next() (rec *kv.Record, line int64, err error)
}

// RecordError is a line that is not a record.
type RecordError struct{ Err error }

func (e *RecordError) Error() string { return e.Err.Error() }
func (e *RecordError) Unwrap() error { return e.Err }

// LineError is a line that was not loaded.
type LineError = api.LineError

// LoadOptions of a load.
type LoadOptions struct {
	W   string        // as in WriteOptions
	TTL time.Duration // of every record; 0: what the record says

	// BlockTimeout bounds the sending of one block over all its attempts. It
	// is generous for a reason: an answer that is given up too early may
	// belong to writes that still happen, after those of later blocks. 0: 60 s.
	BlockTimeout time.Duration
}

// LoadReport is what has come of a load, so far or at its end.
type LoadReport struct {
	Loaded, Failed int64
	Errors         []LineError // the first of them by line
}

// errorsMax bounds the errors that are kept.
const errorsMax = 20

// Loader loads the records of one source into the cluster.
//
// Every key has its lane, and a lane sends its blocks one after the other. So
// of two records with the same key the later one wins, as whoever wrote the
// file expects, while all lanes together keep the cluster busy. Lanes belong
// to nodes: a lane's blocks hold only keys of which its node is the primary,
// so the node that gets a block coordinates writes that it stores itself. A
// block that a node does not take goes to another node, still in order.
//
// The lanes' two buffers are all that a load holds, and the source is read no
// faster than they empty.
type Loader struct {
	c    *Client
	opts LoadOptions

	target []byte // of every block's request

	loaded, failed atomic.Int64

	mu     sync.Mutex
	errors []LineError // guarded by mu; sorted by line, at most errorsMax
}

const defaultBlockTimeout = time.Minute

// NewLoader prepares a load.
func (c *Client) NewLoader(opts LoadOptions) *Loader {
	if opts.BlockTimeout <= 0 {
		opts.BlockTimeout = defaultBlockTimeout
	}
	query := url.Values{}
	if opts.W != "" {
		query.Set("w", opts.W)
	}
	if opts.TTL != 0 {
		query.Set("ttl", opts.TTL.String())
	}
	target := []byte("/load-data")
	if len(query) > 0 {
		target = append(append(target, '?'), query.Encode()...)
	}
	return &Loader{c: c, opts: opts, target: target}
}

// Load sends what src yields and returns when every record has its outcome. The error is nil unless
// the load ended early. Where the source broke off, all records before have their outcome. Where
// the nodes could not be asked, or ctx is done, records that were not reached are neither loaded nor
// failed, and those of the blocks that were on their way may have been loaded. It may be called once.
func (l *Loader) Load(ctx context.Context, src Source) (LoadReport, error) {
	// A lane that gives up ends the reading. The other lanes still wait for the answers to what they
	// have sent: it is stored, so it counts.
	reading, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	plan := l.c.planLanes(ctx)
	var lanes sync.WaitGroup
	for _, lane := range plan.lanes {
		lanes.Go(func() { l.drain(ctx, reading, lane, giveUp) })
	}
	broke := l.fill(reading, plan, src)
	for _, lane := range plan.lanes {
		if reading.Err() != nil || lane.flush(reading) != nil {
			break
		}
	}
	for _, lane := range plan.lanes {
		close(lane.full)
	}
	lanes.Wait()
	return l.Report(), cmp.Or(context.Cause(reading), broke)
}

// fill routes each record to its lane until the source ends or breaks off, or the reading is given up.
func (l *Loader) fill(reading context.Context, plan *lanePlan, src Source) error {
	for {
		rec, line, err := src.Next()
		var bad *RecordError
		switch {
		case err == io.EOF: // one that wraps it is a source that broke off
			return nil
		case errors.As(err, &bad):
			l.fail(1, LineError{Line: line, Error: bad.Error()})
			continue
		case err != nil:
			return fmt.Errorf("line %d and following: %w", line, err)
		}
		if err := plan.lane(rec.Key).add(reading, rec, line); err != nil {
			return err
		}
	}
}

// Report says how far the load is. It may be called at any time.
func (l *Loader) Report() LoadReport {
	l.mu.Lock()
	defer l.mu.Unlock()
	return LoadReport{Loaded: l.loaded.Load(), Failed: l.failed.Load(), Errors: slices.Clone(l.errors)}
}

// fail counts n records as failed, for reasons of which some are given.
func (l *Loader) fail(n int64, reasons ...LineError) {
	l.failed.Add(n)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.errors = append(l.errors, reasons...)
	slices.SortStableFunc(l.errors, func(a, b LineError) int { return cmp.Compare(a.Line, b.Line) })
	l.errors = l.errors[:min(len(l.errors), errorsMax)]
}
