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

// fill makes the next piece ready.
func (r *listReader) fill() (err error) {
	r.sc.out, r.off = r.sc.out[:0], 0
	for len(r.sc.out) == 0 && err == nil {
		if !r.l.more || r.left == 0 {
			return io.EOF
		}
		err = r.piece()
	}
	return err
}

// piece makes a piece of the next records, of which there may be none. While it waits for memory it
// has no turn, so that others go on, and no records: it asks for them again.
func (r *listReader) piece() error {
	needs, err := r.attempt()
	for until := time.Now().Add(r.l.p.timeout); err == nil && needs > 0; {
		if r.sc.out, err = r.budgets.awaitAnswer(r.sc, needs, until); err != nil {
			return err
		}
		r.sc.ownFound(&r.budgets.answerBytes)
		needs, err = r.attempt()
	}
	return err
}

// attempt makes a piece, if there is memory for it now. Else it says how much the piece needs, and
// its records are still the next ones.
func (r *listReader) attempt() (needs int, err error) {
	if err := r.turns.take(time.Now().Add(r.l.p.timeout)); err != nil {
		return 0, err
	}
	defer r.turns.give()
	limit := chunkMax
	if r.left > 0 {
		limit = r.left
	}
	before := *r.l
	records, err := r.l.chunk(limit, streamPieceBytes)
	if err != nil {
		return 0, err
	}
	size := 0
	for i := range records {
		size += recordJSONMax(&records[i], r.l.p.values) + 1
	}
	_, _ = r.sc.count(&r.budgets.answerBytes, nil) // what is left of earlier requests counts, or goes
	out, err := r.budgets.grow(r.sc, r.sc.out[:0], size)
	if err != nil {
		*r.l = before
		return size, nil
	}
	for i := range records {
		out = appendRecordJSON(out, &records[i], r.l.p.values)
		out = append(out, '\n')
	}
	r.sc.out = out
	if r.sc.out, err = r.budgets.holdAnswer(r.sc, out); err != nil {
		return 0, err // and out is nil: it is not held
	}
	if r.left > 0 {
		r.left = max(r.left-len(records), 0)
	}
	return 0, nil
}
