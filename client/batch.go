package client

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/valyala/fasthttp"

	"httpdhs/internal/format"
	"httpdhs/kv"
)

// OpKind is what an Op does.
type OpKind uint8

const (
	OpGet OpKind = iota
	OpPut
	OpDelete
)

// Op is one operation of a batch.
type Op struct {
	Kind OpKind
	Key  []byte

	// Of a put.
	Value       []byte
	TTL         time.Duration // 0: kept until it is deleted
	ContentType string        // UTF-8; empty: application/octet-stream
}

// BatchOptions of a batch; nil takes the defaults.
type BatchOptions struct {
	W string // of the writes, as in WriteOptions
	R string // of the gets, as in GetOptions
}

// Result is what has come of an operation. Err is nil, or says what is wrong with this one as a call
// for it alone would have: ErrNotFound of a get, a *StatusError, ErrOutcomeUnknown of a write.
type Result struct {
	Err     error
	Value   Value   // of a get; Modified is not known
	Written Written // of a put or delete
}

// What a request of a batch holds at most. The first bounds the time that it takes, the second its
// memory; a larger value travels alone.
const (
	batchOps   = 4096
	batchBytes = 1 << 20
)

// Batch carries out operations in few requests, and returns a Result for each, in their order.
//
// The operations are dealt out to the primaries of their keys, which are asked at the same time.
// Those on the same key take effect in their order; beyond that a batch is no transaction, and one
// operation that fails stops no other. What is sent again, and when, is as in the calls for one key:
// a request that has writes, only if it is certain that nothing was done.
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

// GetMany returns the values of keys, in their order; nil stands for a key that is not there. The
// error is the first that kept a key from being read: the values of the others are there all the same.
func (c *Client) GetMany(ctx context.Context, keys [][]byte, opts *GetOptions) ([]*Value, error) {
	if opts == nil {
		opts = &GetOptions{}
	}
	ops := make([]Op, len(keys))
	for i, key := range keys {
		ops[i].Key = key
	}
	values := make([]*Value, len(keys))
	var failed error
	for i, r := range c.Batch(ctx, ops, &BatchOptions{R: opts.R}) {
		switch {
		case r.Err == nil:
			values[i] = &r.Value
		case errors.Is(r.Err, ErrNotFound):
		case failed == nil:
			failed = fmt.Errorf("%s: %w", AppendPrintable(nil, keys[i]), r.Err)
		}
	}
	return values, failed
}

func (o *BatchOptions) target() []byte {
	query := url.Values{}
	if o.W != "" {
		query.Set("w", o.W)
	}
	if o.R != "" {
		query.Set("r", o.R)
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

// unanswered are the operations that a node did not get to. One of them is a get for whose value
// there was no room in the answer; among gets alone it is asked for again.
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
			b.results[i].Err = err
		}
		return
	}
	defer fasthttp.ReleaseResponse(resp)
	node := string(resp.Header.Peek("X-Dht-Node"))
	answers := resp.Body()
	for _, i := range sent {
		var err error
		if b.results[i], answers, err = next(answers, b.ops[i].Kind, node); err != nil {
			b.results[i].Err = b.unread(i, err)
		}
	}
}

// nextLine reads the first line of answers. Behind one that cannot be read there is none.
func nextLine(answers []byte, kind OpKind, node string) (r Result, rest []byte, err error) {
	line, rest, _ := bytes.Cut(answers, []byte("\n"))
	var a batchAnswer
	if err = json.Unmarshal(line, &a); err != nil {
		return r, nil, err
	}
	return a.result(kind, node), rest, nil
}

// nextGot is nextLine for answers to gets in binary.
func nextGot(answers []byte, _ OpKind, node string) (r Result, rest []byte, err error) {
	got, rest, err := format.DecodeResult(answers)
	switch {
	case err != nil:
	case !got.Found():
		r.Err = &StatusError{Status: got.Status, Message: got.Error, Node: node}
	default:
		r.Value = Value{Data: slices.Clone(got.Value), ETag: string(got.Version.AppendETag(nil)),
			ContentType: cmp.Or(string(got.Meta.Fields().ContentType), "application/octet-stream")}
		if got.Expires != 0 {
			r.Value.Expires = time.UnixMilli(got.Expires).UTC()
		}
	}
	return r, rest, err
}

// unread is the error of an operation that the node's answer has nothing about.
func (b *batch) unread(i int, err error) error {
	err = fmt.Errorf("cannot read the answer to a batch: %w", err)
	if b.ops[i].Kind != OpGet {
		err = fmt.Errorf("%w: %w", ErrOutcomeUnknown, err)
	}
	return err
}

// batchOp is an operation as a line of /batch. Keys and values are text where they are UTF-8, and
// else, or where that is shorter, base64.
type batchOp struct {
	Op          string  `json:"op"`
	Key         *string `json:"key,omitempty"`
	KeyBase64   []byte  `json:"key_base64,omitempty"`
	Value       *string `json:"value,omitempty"`
	ValueBase64 []byte  `json:"value_base64,omitempty"`
	ContentType string  `json:"content_type,omitempty"`
	TTL         string  `json:"ttl,omitempty"`
}

// check says what cannot be sent, or would be left out on the way.
func (op *Op) check() error {
	ofPut := op.Value != nil || op.TTL != 0 || op.ContentType != ""
	switch {
	case op.Kind > OpDelete:
		return fmt.Errorf("there is no operation of kind %d: use OpGet, OpPut or OpDelete", op.Kind)
	case op.Kind != OpPut && ofPut:
		return errors.New("a get or delete has no value, TTL or content type: a put has Kind OpPut")
	case len(op.Key) == 0:
		return kv.ErrKeyEmpty
	case !utf8.ValidString(op.ContentType):
		return errors.New("the content type is not UTF-8")
	}
	return nil
}

// appendOp appends the line of an operation. The error is what cannot be sent.
func appendOp(body *bytes.Buffer, op *Op) error {
	if err := op.check(); err != nil {
		return err
	}
	line := batchOp{Op: "get"}
	line.Key, line.KeyBase64 = asText(op.Key)
	switch op.Kind {
	case OpDelete:
		line.Op = "delete"
	case OpPut:
		line.Op = "put"
		line.Value, line.ValueBase64 = asText(op.Value)
		line.ContentType = op.ContentType
		if op.TTL != 0 {
			line.TTL = op.TTL.String()
		}
	}
	lines := json.NewEncoder(body)
	lines.SetEscapeHTML(false)
	return lines.Encode(&line)
}

// asText is data as text, or, where that is none or the longer form, to be sent in base64.
func asText(data []byte) (text *string, other []byte) {
	escapes := 0 // bytes that they add in JSON
	for _, b := range data {
		switch {
		case b == '"', b == '\\', b == '\n', b == '\r', b == '\t':
			escapes++
		case b < ' ':
			escapes += 5
		}
	}
	if !utf8.Valid(data) || escapes > len(data)/3 {
		return nil, data
	}
	s := string(data)
	return &s, nil
}

// batchAnswer is the line of a result.
type batchAnswer struct {
	Status      int       `json:"status"`
	Value       string    `json:"value"`
	ValueBase64 []byte    `json:"value_base64"`
	ContentType string    `json:"content_type"`
	ETag        string    `json:"etag"`
	Expires     time.Time `json:"expires"`
	Error       string    `json:"error"`
	Acks        int       `json:"acks"`
	Replicas    int       `json:"replicas"`
	Required    int       `json:"required"`
	Outcome     string    `json:"outcome"`
}

func (a *batchAnswer) result(kind OpKind, node string) (r Result) {
	if a.Status < 200 || a.Status > 299 {
		r.Err = &StatusError{Status: a.Status, Message: a.Error, Node: node,
			Unknown: a.Outcome == "unknown", Acks: a.Acks, Required: a.Required}
		return r
	}
	if kind != OpGet {
		r.Written = Written{
			Created: kind == OpPut && a.Status == fasthttp.StatusCreated, ETag: a.ETag,
			Acks: fmt.Sprintf("%d/%d", a.Acks, a.Replicas),
		}
		return r
	}
	r.Value = Value{Data: a.ValueBase64, ContentType: a.ContentType, ETag: a.ETag, Expires: a.Expires}
	if a.ValueBase64 == nil {
		r.Value.Data = []byte(a.Value)
	}
	if a.ContentType == "" {
		r.Value.ContentType = "application/octet-stream"
	}
	return r
}
