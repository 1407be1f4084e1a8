package server

import (
	"io"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"httpdhs/internal/format"
	"httpdhs/kv"
)

const (
	// batchItemsMax is how many operations a request may hold, bad ones too.
	batchItemsMax = 100_000

	// batchChunkMax is how many operations are carried out at once.
	batchChunkMax = 4096

	// batchAnswerBytes bounds an answer, which is in memory until it is
	// written. One that is below it may get one more value.
	batchAnswerBytes = 64 << 20

	// resultBytes is what the binary form of a result takes at most beside its record.
	resultBytes = 16
)

// What keeps an operation of a batch from being tried.
var (
	errBatchItems = &statusError{413, "more than 100000 operations in one request: this one and those after it were not done"}
	errBatchFull  = &statusError{503, "there is no memory for this value in the answer: nothing was done; ask for the key in another request"}
	errBatchTime  = &statusError{503, "the time for this request was over before this operation began: nothing was done; send fewer, or set a longer ?timeout="}
)

// batches serves POST /batch: operations in, one result each out, in their order.
type batches struct {
	store   Store
	limits  kv.Limits
	budgets *budgets
}

func (h *batches) judge(ctx *fasthttp.RequestCtx, sc *scratch) (err error) {
	sc.format, err = bodyFormat(&ctx.Request.Header, format.NDJSON, format.Binary)
	return err
}

func (h *batches) serve(ctx *fasthttp.RequestCtx, sc *scratch) error {
	body := openBody(ctx)
	p, in := sc.params, sc.format
	out := batchAnswerFormat(ctx.Request.Header.Peek(fasthttp.HeaderAccept), in)
	b := batcher{
		store: h.store, p: p, binary: out == format.Binary, sc: sc, budgets: h.budgets, call: &sc.call, out: sc.out[:0],
		answerMax: batchAnswerBytes, timeLeft: p.timeout,
	}
	block := format.BlockOf(sc.body)
	sc.body, sc.out = nil, nil // they grow in other hands
	err := b.run(format.NewReader(in, body, format.Options{
		Limits: h.limits, Ops: true, BlockBytes: blockBytesFor(body), Hold: b.holdBlock,
	}), &block)
	sc.body, sc.out = block.Bytes(), b.out
	if err != nil && b.done == 0 {
		return err
	}
	if err != nil || b.items > batchItemsMax {
		// The rest of the body is not read; the client gets to read why.
		connOf(ctx).linger = true
		ctx.Response.SetConnectionClose()
	}
	ctx.Response.Header.SetContentType(out.String())
	ctx.Response.SetBodyRaw(sc.out)
	return nil
}

// batchAnswerFormat is the format of the answer: the one that is asked for, or
// else that of the request.
func batchAnswerFormat(accept []byte, in format.Format) format.Format {
	names := strings.ToLower(string(accept))
	switch {
	case strings.Contains(names, in.String()):
		return in
	case strings.Contains(names, format.TypeBinary):
		return format.Binary
	case strings.Contains(names, "ndjson"), strings.Contains(names, "jsonl"):
		return format.NDJSON
	}
	return in
}

// batcher carries out a batch in chunks. So a request of any length takes a bounded call. And
// values that gets will find are asked for in the order in which there is room for them.
type batcher struct {
	store   Store
	p       params
	binary  bool // the answer
	sc      *scratch
	budgets *budgets

	blockBytes int64 // that the block of the body takes

	call    *kv.Call
	refused []refusal // of the chunk
	out     []byte    // the answer so far

	items     int // read
	done      int // items with a result in out
	answerMax int // bytes of out from which on gets are refused
	timeLeft  time.Duration
}

// refusal is an item that the store does not see.
type refusal struct {
	at  int    // operations of the chunk before it
	key []byte // if it is known
	err error
}

// run carries out what r reads. The error is what kept it from the end: of the
// items before it there is a result each, and the last result tells of it.
func (b *batcher) run(r *format.Reader, block *format.Block) error {
	for {
		err := r.Fill(block)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			if b.done > 0 && err != format.ErrLost {
				b.call.Reset()
				b.refused = append(b.refused[:0], refusal{err: err})
				b.write()
			}
			return err
		}
		for more := true; more; {
			more = b.gather(r)
			b.carryOut()
			b.write()
			b.budgets.keep(b.sc, b.call.Buf, b.out)
		}
		if b.items > batchItemsMax {
			return nil
		}
	}
}

// gather reads the next chunk of the block, and says whether the block may
// have another.
func (b *batcher) gather(r *format.Reader) (more bool) {
	b.call.Reset()
	b.refused = b.refused[:0]
	for len(b.call.Ops) < batchChunkMax && len(b.refused) < batchChunkMax {
		if n := len(b.call.Ops); n > 0 && n == cap(b.call.Ops) && !b.holdOps(2*n) {
			return true // fewer at a time
		}
		var op *kv.Op
		b.call.Ops, op = growOps(b.call.Ops)
		last := len(b.call.Ops) - 1
		_, err := r.Next(op)
		if err == io.EOF {
			b.call.Ops = b.call.Ops[:last]
			return false
		}
		bad := refusal{at: last, err: err}
		switch b.items++; {
		case b.items > batchItemsMax:
			bad.err = errBatchItems
		case err != nil:
		case b.timeLeft <= 0:
			bad.key, bad.err = op.Key, errBatchTime
		case op.Kind == kv.OpGet && len(b.out) >= b.answerMax:
			bad.key, bad.err = op.Key, errBatchFull
		}
		if bad.err != nil {
			b.call.Ops = b.call.Ops[:last]
			b.refused = append(b.refused, bad)
			if bad.err == errBatchItems {
				return false
			}
			continue
		}
		if op.Kind == kv.OpPut && b.p.ttl > 0 && op.Expires == 0 {
			op.Expires = expiresAt(time.Now(), b.p.ttl)
		}
	}
	return true
}

// carryOut has the store do the chunk.
func (b *batcher) carryOut() {
	if len(b.call.Ops) == 0 {
		return
	}
	start := time.Now()
	b.call.Write, b.call.Read, b.call.Deadline = b.p.w, b.p.r, start.Add(b.timeLeft)
	// With what JSON makes of it a value takes three times its size.
	b.call.MaxBytes = max(1, min(b.answerMax-len(b.out), int(b.budgets.answerBytes.max/3)))
	b.store.Do(b.call)
	b.timeLeft -= time.Since(start)
}

// holdBlock asks for the memory of a block, and of what operations have already.
func (b *batcher) holdBlock(bytes int) error {
	if b.blockBytes = int64(bytes); !b.holdOps(cap(b.call.Ops)) {
		return errInFlight
	}
	return nil
}

// holdOps asks for the memory of so many operations.
func (b *batcher) holdOps(n int) bool {
	return b.sc.hold(&b.budgets.clientBytes, b.blockBytes+heavy(n*opBytes))
}

// write appends the results of the chunk to the answer, each in its place.
func (b *batcher) write() {
	next := 0
	for i := range len(b.call.Ops) + 1 {
		for ; next < len(b.refused) && b.refused[next].at == i; next++ {
			b.writeRefusal(&b.refused[next])
		}
		if i < len(b.call.Ops) {
			b.writeOutcome(&b.call.Ops[i])
		}
	}
}

func (b *batcher) writeRefusal(bad *refusal) {
	status, msg := statusOf(bad.err)
	if status == fasthttp.StatusInternalServerError {
		status = fasthttp.StatusBadRequest // the words of a format, which are not in the table
	}
	res := format.Result{Status: status, Error: msg}
	res.Key = bad.key
	b.append(&res, nil)
}

func (b *batcher) writeOutcome(op *kv.Op) {
	res := format.Result{Status: fasthttp.StatusOK, Acks: op.Acks, Replicas: op.Replicas}
	res.Key, res.Version = op.Key, op.Version
	switch {
	case op.Err != nil:
		res.Status, res.Error = statusOf(op.Err)
		if res.Status != fasthttp.StatusPreconditionFailed {
			res.Version = 0
		}
	case op.Kind == kv.OpGet, op.Kind == kv.OpIncr:
		res.Record = op.Record
		res.Expires = min(res.Expires, kv.ExpiresMax) // what is read can be written again
	case (op.Kind == kv.OpPut || op.Kind == kv.OpAppend) && !op.Existed:
		res.Status = fasthttp.StatusCreated
	default:
		res.Status = fasthttp.StatusNoContent
	}
	if op.Err == nil && op.Kind == kv.OpAppend {
		res.Length = op.Number
	}
	if op.Kind == kv.OpGet {
		res.Acks, res.Replicas = 0, 0
		if b.reserve(&res) != nil {
			b.writeRefusal(&refusal{key: op.Key, err: errBatchFull})
			return
		}
	}
	b.append(&res, op)
}

// reserve makes room for the result of a get. Other results are short, and are never refused.
func (b *batcher) reserve(res *format.Result) (err error) {
	n := kv.RecordSizeMax(len(res.Key), len(res.Meta), len(res.Value)) + resultBytes
	if !b.binary {
		n = recordJSONMax(&res.Record, true)
	}
	b.out, err = b.budgets.grow(b.sc, b.out, n)
	return err
}

// append appends a result; op is nil if the store did not see the operation.
func (b *batcher) append(res *format.Result, op *kv.Op) {
	b.done++
	if b.binary {
		b.out = format.AppendResult(b.out, res)
		return
	}
	unknown, required := false, 0
	if op != nil && op.OutcomeUnknown(b.call.Write) {
		unknown, required = true, op.Required
	}
	b.out = appendResultJSON(b.out, res, unknown, required)
}
