package server

import (
	"errors"
	"io"
	"os"

	"github.com/valyala/fasthttp"
)

// bodyReader reads the body of a request to its end. Unlike fasthttp's stream
// it tells the end from a connection that broke: a body cut short is an
// error, never an io.EOF. Its errors are answers (see errors.go).
type bodyReader struct {
	stream io.Reader // nil: there is no body
	conn   *conn
	left   int64 // of a Content-Length; -1 for chunked
}

// openBody is the body of the request; to be read by its handler alone.
func openBody(ctx *fasthttp.RequestCtx) *bodyReader {
	b := newBody(ctx)
	return &b
}

func newBody(ctx *fasthttp.RequestCtx) bodyReader {
	b := bodyReader{stream: ctx.RequestBodyStream(), conn: connOf(ctx), left: int64(ctx.Request.Header.ContentLength())}
	if b.stream == nil {
		b.left = 0
	}
	b.conn.bodyRead = b.left == 0
	return b
}

// openStream is openBody for a body that may last as long as the client
// wants, as long as something comes now and then (timeouts.stream).
func openStream(ctx *fasthttp.RequestCtx) *bodyReader {
	connOf(ctx).setPhase(phaseStream)
	return openBody(ctx)
}

func (b *bodyReader) Read(p []byte) (int, error) {
	if b.left == 0 || b.stream == nil {
		return 0, io.EOF
	}
	n, err := b.stream.Read(p)
	if b.left > 0 {
		b.left -= int64(n)
		if b.left == 0 {
			b.conn.bodyRead = true
			return n, nil // the next Read says so
		}
	}
	switch {
	case err == nil:
	case err == io.EOF && b.left < 0 && !b.conn.eof:
		b.left, b.conn.bodyRead = 0, true // the last chunk
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = errTooSlow
	case err == io.EOF, errors.Is(err, io.ErrUnexpectedEOF), b.conn.eof:
		err = errCutShort
	default:
		err = &statusError{fasthttp.StatusBadRequest, "malformed request: " + printable(err.Error())}
	}
	return n, err
}

// readBytes is how much of a body is read at once. The buffer grows with what
// arrives, not with what is announced.
const readBytes = 64 << 10

// readBody reads the body, of at most limit bytes, into the scratch. What it
// holds counts against the budget until the answer has been written.
func (s *Server) readBody(ctx *fasthttp.RequestCtx, sc *scratch, from *budget, limit int) error {
	body := newBody(ctx)
	if body.left > int64(limit) {
		return errBodyTooLarge
	}
	sc.body = sc.body[:0]
	for {
		if body.left == 0 {
			return nil
		}
		size, window := len(sc.body), readBytes
		if body.left > 0 {
			window = int(min(body.left, readBytes))
		}
		// One byte beyond the limit is what shows that it is passed.
		end := min(size+window, limit+1)
		if !sc.hold(from, int64(end)) {
			return errInFlight
		}
		if end > cap(sc.body) {
			sc.body = append(make([]byte, 0, max(end, min(2*size, limit+1))), sc.body...)
		}
		n, err := body.Read(sc.body[size:end])
		sc.body = sc.body[:size+n]
		if len(sc.body) > limit {
			return errBodyTooLarge
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// answerFreeBytes is up to where an answer is not counted: as many as there are
// connections fit, and what is asked for most costs nothing.
const answerFreeBytes = 16 << 10

// holdAnswer counts n bytes that wait in memory for the client to take them.
func (s *Server) holdAnswer(sc *scratch, n int) error {
	if n <= answerFreeBytes || sc.hold(&s.answerBytes, int64(n)) {
		return nil
	}
	return errAnswers
}

// hold makes sure that n bytes are taken from the budget.
func (sc *scratch) hold(from *budget, n int64) bool {
	if n <= sc.held {
		return true
	}
	if !from.take(n - sc.held) {
		return false
	}
	sc.held, sc.from = n, from
	return true
}
