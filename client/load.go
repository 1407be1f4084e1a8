package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// LoadOptions of a load. Nil takes the defaults.
type LoadOptions struct {
	W   Level         // replicas that have to store each record; empty: LevelLive
	TTL time.Duration // of every record, at least a millisecond; 0: each expires as it says

	// BlockTimeout bounds the sending of one block over all its attempts. It is generous for a
	// reason: a block that is given up too early may still be written, after later blocks with
	// newer values of its keys. Default: 60 s.
	BlockTimeout time.Duration
}

// LoadReport is what has come of a load, so far or at its end.
type LoadReport struct {
	Loaded, Failed int64
	Errors         []*RecordError // the first 20 of those that failed, by line
}

// errorsMax bounds the errors that are kept.
const errorsMax = 20

// Loader is one load of records into the cluster. Make it with NewLoader and call Load once: a
// second call is an error, and loads nothing. Report tells others how far the load is.
//
// Every key has its lane, and a lane sends its blocks one after the other. So of two records with
// the same key the later one wins, while all lanes together keep the cluster busy. A lane belongs
// to a node, and its blocks hold only keys of which that node is the primary. A block that the node
// does not take goes to another node, still in order.
//
// A lane has two blocks, of 256 KiB or one larger record each. That is all that a load holds, and
// it takes records no faster than the nodes store them.
type Loader struct {
	c    *Client
	opts LoadOptions

	target []byte // of every block's request
	used   atomic.Bool
	open   atomic.Bool // a block without a result was given up, and may have been stored

	loaded, failed atomic.Int64

	mu     sync.Mutex
	errors []*RecordError // guarded by mu; sorted by line, at most errorsMax
}

const defaultBlockTimeout = time.Minute

var (
	errLoaderUsed   = errors.New("Load was called on this Loader before: make a Loader for each load with NewLoader")
	errBlockTimeout = errors.New("LoadOptions.BlockTimeout is negative: use 0 for the default")
)

// NewLoader prepares a load. What is wrong with the options is an error of Load.
func (c *Client) NewLoader(opts *LoadOptions) *Loader {
	l := &Loader{c: c, target: []byte("/load-data")}
	if opts != nil {
		l.opts = *opts
	}
	l.opts.BlockTimeout = orDefault(l.opts.BlockTimeout, defaultBlockTimeout)
	query := url.Values{}
	if l.opts.W != "" {
		query.Set("w", string(l.opts.W))
	}
	if l.opts.TTL != 0 {
		query.Set("ttl", l.opts.TTL.String())
	}
	if len(query) > 0 {
		l.target = append(append(l.target, '?'), query.Encode()...)
	}
	return l
}

// Load stores the records of a sequence and returns when each has its outcome. Make the sequence
// with Pairs or ReadRecords, or write a function that yields Records. Load copies each Record
// before it takes the next.
//
// If some records failed, the error is ErrIncomplete, and the report says which. A *RecordError of
// the sequence counts as such a record. A record that failed because too few replicas confirmed it
// may have been stored, or may still appear.
//
// Any other error ends the load early. What was loaded before is stored, and counted in the report.
// If the error is one of the sequence, all records before it have their outcome. If it is one of
// the context or the cluster, records that were not reached are neither loaded nor failed. If it
// matches ErrOutcomeUnknown, too, some of these were on their way, and may have been stored.
//
// Load sends a block again until a node has taken it, so a record may be written twice. That, like
// loading the same records again, does no harm unless somebody else writes their keys meanwhile.
func (l *Loader) Load(ctx context.Context, records iter.Seq2[Record, error]) (LoadReport, error) {
	if err := l.begin(); err != nil {
		return LoadReport{}, err
	}
	// A lane that gives up ends the reading. The other lanes still wait for the answers to what
	// they have sent: it is stored, so it counts.
	reading, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	plan := l.c.planLanes(ctx)
	var lanes sync.WaitGroup
	for _, lane := range plan.lanes {
		lanes.Go(func() { l.drain(ctx, reading, lane, giveUp) })
	}
	finish := sync.OnceFunc(func() {
		for _, lane := range plan.lanes {
			close(lane.full)
		}
		lanes.Wait()
	})
	defer finish() // also where the sequence, which is the caller's, panics
	broke := l.fill(reading, plan, records)
	for _, lane := range plan.lanes {
		if reading.Err() != nil || lane.flush(reading) != nil {
			break
		}
	}
	finish()
	report := l.Report()
	err := cmp.Or(context.Cause(reading), broke, report.err())
	if err != nil && l.open.Load() && !errors.Is(err, ErrOutcomeUnknown) {
		err = &openError{err}
	}
	return report, err
}

// begin checks the options, and that this is the only load of the Loader.
func (l *Loader) begin() error {
	if l.opts.BlockTimeout < 0 {
		return errBlockTimeout
	}
	if err := checkTTL(l.opts.TTL); err != nil {
		return err
	}
	if l.used.Swap(true) {
		return errLoaderUsed
	}
	return nil
}

// err is the error of a load that went on to its end.
func (r *LoadReport) err() error {
	switch {
	case r.Failed == 0:
		return nil
	case len(r.Errors) == 0:
		return fmt.Errorf("%w: %d of %d failed", ErrIncomplete, r.Failed, r.Failed+r.Loaded)
	}
	return fmt.Errorf("%w: %d of %d failed, the first at %w", ErrIncomplete, r.Failed, r.Failed+r.Loaded, r.Errors[0])
}

// fill routes each record to its lane until the sequence ends or breaks off, or the reading is
// given up.
func (l *Loader) fill(reading context.Context, plan *lanePlan, records iter.Seq2[Record, error]) error {
	var enc encoder
	n := int64(0)
	for rec, err := range records {
		n++
		line := cmp.Or(rec.Line, n)
		if err != nil {
			var bad *RecordError
			if !errors.As(err, &bad) {
				return fmt.Errorf("line %d and following: %w", line, err)
			}
			l.fail(1, &RecordError{cmp.Or(bad.Line, line), bad.Err})
			continue
		}
		encoded, err := enc.encode(&rec)
		if err != nil {
			l.fail(1, &RecordError{line, err})
			continue
		}
		if err := plan.lane(encoded.Key).add(reading, encoded, line); err != nil {
			return err
		}
	}
	return nil
}

// Report says how far the load is. It may be called at any time, from any goroutine.
func (l *Loader) Report() LoadReport {
	l.mu.Lock()
	defer l.mu.Unlock()
	return LoadReport{Loaded: l.loaded.Load(), Failed: l.failed.Load(), Errors: slices.Clone(l.errors)}
}

// fail counts n records as failed, for reasons of which some are given.
func (l *Loader) fail(n int64, reasons ...*RecordError) {
	l.failed.Add(n)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.errors = append(l.errors, reasons...)
	slices.SortStableFunc(l.errors, func(a, b *RecordError) int { return cmp.Compare(a.Line, b.Line) })
	l.errors = l.errors[:min(len(l.errors), errorsMax)]
}
