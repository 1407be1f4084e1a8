package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"httpdhs/internal/format"
)

// OpKind is what an Op does.
type OpKind uint8

const (
	OpGet OpKind = iota + 1
	OpPut
	OpDelete
)

// Op is one operation of a batch. A field that its kind does not have is an error.
type Op struct {
	Kind OpKind
	Key  string

	If Condition // of a put: IfMatch or IfAbsent; of a delete: IfMatch; zero: none

	// Of a put, as in Put and its PutOptions.
	Value           []byte
	TTL             time.Duration
	ContentType     string
	CacheControl    string
	ContentEncoding string
}

// BatchOptions of a batch. Nil takes the defaults.
type BatchOptions struct {
	W Level // of the puts and deletes; empty: LevelLive
	R Level // of the gets; empty: LevelOne
}

// Result is the outcome of an operation. Err is nil, or the error that a call for this operation
// alone would have returned.
type Result struct {
	Err     error
	Value   Value   // of a get; without Modified
	Written Written // of a put or delete
}

// The bounds of a request of a batch. The first bounds the time that it takes, the second its
// memory; a larger value travels alone.
const (
	batchOps   = 4096
	batchBytes = 1 << 20
)

// Batch carries out operations in few requests, and returns a Result for each, in their order. Look
// at the Err of each: there is no other error.
//
// The primaries of the keys get the operations on their keys, all at the same time. Operations on
// the same key take effect in their order. Beyond that a batch is no transaction: one operation
// that fails stops no other. A request of a batch is repeated by the same rule as any other: one
// with writes, only if nothing was done.
func (c *Client) Batch(ctx context.Context, ops []Op, opts *BatchOptions) []Result {
	if opts == nil {
		opts = &BatchOptions{}
	}
	b := &batch{c: c, ctx: ctx, ops: ops, results: make([]Result, len(ops)), target: opts.target()}
	var nodes sync.WaitGroup
	for home, at := range b.deal() {
		nodes.Go(func() { b.ask(home, at) })
	}
	nodes.Wait()
	return b.results
}

// GetMany returns the values of keys. A key that is not in the map has no value, if the error is
// nil. Otherwise it is a *GetManyError, which names the keys that were not read. What was read is
// in the map all the same, and a key that is in neither has no value.
func (c *Client) GetMany(ctx context.Context, keys []string, opts *GetOptions) (map[string]Value, error) {
	if opts == nil {
		opts = &GetOptions{}
	}
	ops := make([]Op, 0, len(keys))
	asked := make(map[string]bool, len(keys))
	for _, key := range keys {
		if !asked[key] {
			asked[key] = true
			ops = append(ops, Op{Kind: OpGet, Key: key})
		}
	}
	values := make(map[string]Value, len(ops))
	var unread GetManyError
	for i, r := range c.Batch(ctx, ops, &BatchOptions{R: opts.R}) {
		switch {
		case r.Err == nil:
			values[ops[i].Key] = r.Value
		case !errors.Is(r.Err, ErrNotFound):
			unread.add(ops[i].Key, r.Err)
		}
	}
	if len(unread.Failed) > 0 {
		return values, &unread
	}
	return values, nil
}

// GetManyError says which keys GetMany could not read. errors.Is and errors.As look at the error of
// the first of them.
type GetManyError struct {
	Failed map[string]error // by key: the error that Get would have returned

	first string // key of the first
}

func (e *GetManyError) add(key string, err error) {
	if e.Failed == nil {
		e.Failed, e.first = make(map[string]error), key
	}
	e.Failed[key] = err
}

func (e *GetManyError) Error() string {
	text := fmt.Sprintf("key %q: %v", e.first, e.Failed[e.first])
	if more := len(e.Failed) - 1; more > 0 {
		text = fmt.Sprintf("%d keys were not read, the first is %s", more+1, text)
	}
	return text
}

// Unwrap is the error of the first key that was not read.
func (e *GetManyError) Unwrap() error { return e.Failed[e.first] }

func (o *BatchOptions) target() []byte {
	query := url.Values{}
	if o.W != "" {
		query.Set("w", string(o.W))
	}
	if o.R != "" {
		query.Set("r", string(o.R))
	}
	if len(query) == 0 {
		return []byte("/batch")
	}
	return []byte("/batch?" + query.Encode())
}

// batch is a call of Batch. Each node's goroutine owns the results of the operations that are dealt
// to it.
type batch struct {
	c       *Client
	ctx     context.Context
	ops     []Op
	results []Result
	target  []byte
}

// deal says which operations go to which node, by their places.
func (b *batch) deal() map[*endpoint][]int {
	r := b.c.current(b.ctx)
	dealt := make(map[*endpoint][]int)
	for i := range b.ops {
		home := r.forKey(b.ops[i].Key)[0]
		dealt[home] = append(dealt[home], i)
	}
	return dealt
}

// ask sends the operations at these places, as many at a time as a request holds.
func (b *batch) ask(home *endpoint, at []int) {
	for len(at) > 0 {
		var body bytes.Buffer
		var sent []int
		for len(at) > 0 && len(sent) < batchOps && (body.Len() < batchBytes || len(sent) == 0) {
			i := at[0]
			at = at[1:]
			if b.results[i].Err = appendOp(&body, &b.ops[i]); b.results[i].Err == nil {
				sent = append(sent, i)
			}
		}
		if len(sent) == 0 {
			continue
		}
		gets := !slices.ContainsFunc(sent, func(i int) bool { return b.ops[i].Kind != OpGet })
		b.send(home, sent, body.Bytes(), gets)
		if again := b.unanswered(sent); gets && len(again) < len(sent) {
			at = append(again, at...)
		}
	}
}

// unanswered are the operations that a node did not get to: gets, for whose values the answer had
// no room. Among gets alone they are asked for again.
func (b *batch) unanswered(sent []int) (again []int) {
	for _, i := range sent {
		var status *StatusError
		if errors.As(b.results[i].Err, &status) && status.Status == fasthttp.StatusServiceUnavailable {
			again = append(again, i)
		}
	}
	return again
}

// send sends some operations and notes what has come of each. The values of gets alone come in
// binary: large ones take long to write and read as JSON. Only the text form tells of a write
// whether its outcome is unknown.
func (b *batch) send(home *endpoint, sent []int, body []byte, gets bool) {
	next, accept := nextLine, format.TypeNDJSON
	if gets {
		next, accept = nextGot, format.TypeBinary
	}
	resp, err := b.c.send(b.ctx, b.c.routes.Load().forLane(home), &request{
		method: fasthttp.MethodPost,
		target: b.target,
		header: []header{{fasthttp.HeaderContentType, format.TypeNDJSON}, {fasthttp.HeaderAccept, accept}},
		body:   body,
		safe:   gets,
	})
	if err != nil {
		for _, i := range sent {
			b.results[i].Err = b.ops[i].failed(err)
		}
		return
	}
	defer fasthttp.ReleaseResponse(resp)
	node := string(resp.Header.Peek(headerNode))
	answers := resp.Body()
	for _, i := range sent {
		var err error
		if b.results[i], answers, err = next(answers, b.ops[i].Kind, node); err != nil {
			b.results[i].Err = b.ops[i].unread(err)
		}
	}
}
