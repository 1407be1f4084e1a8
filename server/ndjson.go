package server

import (
	"io"
	"time"

	"github.com/valyala/fasthttp"
)

// stream answers with one line a record, as many as there are (or as
// ?limit= says), a piece of memory at a time. What it writes with values is
// what /load-data reads.
func (h *listings) stream(ctx *fasthttp.RequestCtx, sc *scratch, l *lister) error {
	r := &listReader{budgets: h.budgets, turns: h.turns, sc: sc, l: l, left: -1}
	if !l.p.all {
		r.left = l.p.limit
	}
	// The first piece is fetched now, while an error can still be a status.
	if err := r.fill(); err != nil && err != io.EOF {
		return err
	}
	ctx.Response.Header.SetContentTypeBytes(typeNDJSON)
	ctx.Response.SetBodyStream(r, -1)
	return nil
}

// listReader is the body of a stream. An error of its Read makes fasthttp
// close the connection before the last chunk, so that the client sees that
// there would have been more.
type listReader struct {
	budgets *budgets
	turns   turns
	sc      *scratch // out is the piece at hand
	l       *lister
	left    int // records; -1: all
	off     int
}

func (r *listReader) Read(p []byte) (int, error) {
	for r.off == len(r.sc.out) {
		if err := r.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.sc.out[r.off:])
	r.off += n
	return n, nil
}

// WriteTo sends each piece as one chunk; Read has 4 KiB at a time.
func (r *listReader) WriteTo(w io.Writer) (total int64, err error) {
	for {
		n, err := w.Write(r.sc.out[r.off:])
		r.off += n
		if total += int64(n); err != nil {
			return total, err
		}
		if err = r.fill(); err == io.EOF {
			return total, nil
		} else if err != nil {
			return total, err
		}
	}
}

// SupportsBodyWriteTo tells fasthttp to use WriteTo.
func (r *listReader) SupportsBodyWriteTo() bool { return true }

// streamPieceBytes is how much of a stream is made ready at once.
const streamPieceBytes = 1 << 20

func (r *listReader) fill() error {
	if err := r.turns.take(time.Now().Add(r.l.p.timeout)); err != nil {
		return err
	}
	defer r.turns.give()
	out := r.sc.out[:0]
	defer func() { r.sc.out, r.off = out, 0 }()
	for len(out) == 0 {
		if !r.l.more || r.left == 0 {
			return io.EOF
		}
		limit := chunkMax
		if r.left > 0 {
			limit = r.left
		}
		records, err := r.l.chunk(limit, streamPieceBytes)
		if err != nil {
			return err
		}
		size := 0
		for i := range records {
			size += recordJSONMax(&records[i], r.l.p.values) + 1
		}
		if out, err = r.budgets.awaitAnswer(r.sc, size, time.Now().Add(r.l.p.timeout)); err != nil {
			return err
		}
		for i := range records {
			out = appendRecordJSON(out, &records[i], r.l.p.values)
			out = append(out, '\n')
		}
		r.sc.out = out
		if out, err = r.budgets.holdAnswer(r.sc, out); err != nil {
			return err // and out is nil: it is not held
		}
		if r.left > 0 {
			r.left = max(r.left-len(records), 0)
		}
	}
	return nil
}
