package server

import (
	"errors"
	"io"
	"os"

	"github.com/valyala/fasthttp"
)

// bodyReader reads the body of a request to its end, and tells that from a connection that
// broke: a body cut short is an error, never an io.EOF. Its errors are answers (see errors.go),
// and stay.
type bodyReader struct {
	conn *conn
	left int64 // of a Content-Length; -1: it is chunked and not over
	err  error // what ended it too early

	chunk   int64 // bytes left of the chunk at hand
	started bool  // a chunk has been begun: its CR LF comes before the next

	// asked says that the client waits for "100 Continue" before it sends. It is told with the
	// first Read: what needs nothing of the body is answered without it.
	asked bool
}

// openBody is the body of the request; to be read by its handler alone.
func openBody(ctx *fasthttp.RequestCtx) *bodyReader { return &connOf(ctx).req }

// openStream is openBody for a body that may last as long as the client
// wants, as long as something comes now and then (timeouts.stream).
func openStream(ctx *fasthttp.RequestCtx) *bodyReader {
	connOf(ctx).setPhase(phaseStream)
	return openBody(ctx)
}

// begin makes it the body that the head announces.
func (b *bodyReader) begin(h *head) {
	*b = bodyReader{conn: b.conn, left: max(h.length, 0)}
	if h.chunked {
		b.left = -1
	}
	b.asked = h.expects && h.minor != '0' && b.left != 0
}

func (b *bodyReader) Read(p []byte) (int, error) {
	switch {
	case b.err != nil:
		return 0, b.err
	case b.left == 0:
		return 0, io.EOF
	case len(p) == 0:
		return 0, nil
	}
	n, err := b.read(p)
	if err == nil || err == io.EOF && b.left == 0 {
		return n, err
	}
	var own *statusError
	switch {
	case errors.As(err, &own):
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = errTooSlow
	default:
		err = errCutShort
	}
	b.err = err
	return n, err
}

func (b *bodyReader) read(p []byte) (n int, err error) {
	if b.asked {
		if b.asked = false; b.conn.in.Buffered() == 0 {
			if err := b.conn.sayContinue(); err != nil {
				return 0, err
			}
		}
	}
	if b.left > 0 {
		n, err = b.conn.in.Read(p[:min(int64(len(p)), b.left)])
		b.left -= int64(n)
		return n, err
	}
	if b.chunk == 0 {
		if b.chunk, err = nextChunk(b.conn.in, b.started); err != nil {
			return 0, err
		}
		if b.started = true; b.chunk == 0 {
			if err := skipTrailer(b.conn.in); err != nil {
				return 0, err
			}
			b.left = 0
			return 0, io.EOF
		}
	}
	n, err = b.conn.in.Read(p[:min(int64(len(p)), b.chunk)])
	b.chunk -= int64(n)
	return n, err
}

// unreadMax is how much of a body that nobody has read is read and dropped, so that the connection
// can carry a next request. A longer one ends it.
const unreadMax = 256 << 10

// endsConn says that what is left of the body ends the connection: there is too much of it, or
// where it ends is not known.
func (b *bodyReader) endsConn() bool {
	return b.err != nil || b.left > unreadMax || b.asked && b.left != 0
}

// drop reads what is left of the body, and says whether it came to the end.
func (b *bodyReader) drop() bool {
	if b.left == 0 {
		return true
	}
	_, err := io.CopyN(io.Discard, b, unreadMax+1)
	return err == io.EOF
}

// prepareBody does with the body what has to be done before the request is answered.
func (b *budgets) prepareBody(body *bodyReader, sc *scratch, use bodyUse) error {
	switch use {
	case bodyPassed, bodyStreamed:
		if body.left == 0 {
			return nil
		}
		if err := sc.awaitBody(&b.clientBytes); err != nil || use == bodyStreamed {
			return err
		}
		return body.pass()
	case bodyRefused:
		err := sc.readBody(body, &b.clientBytes, 0)
		if err == errBodyTooLarge {
			err = errNoBody
		}
		return err
	}
	return nil
}

// pass reads a body that the request does not need: what is malformed is refused before anything
// is done. A longer one is left.
func (b *bodyReader) pass() error {
	if b.endsConn() || b.drop() {
		return nil
	}
	return b.err
}

// readBytes is how much of a body is read at once at most. The buffer grows with what arrives, not
// with what is announced: as many half bodies as there are connections count as nothing.
const readBytes = 64 << 10

// readBody reads the body, of at most limit bytes, into the scratch. What the buffer takes counts
// against the budget until the answer has been written.
func (sc *scratch) readBody(body *bodyReader, from *budget, limit int) error {
	most := limit + 1 // one byte beyond the limit is what shows that it is passed
	if body.left > int64(limit) {
		return errBodyTooLarge
	}
	if body.left >= 0 {
		most = int(body.left)
	}
	sc.body = sc.body[:0]
	if body.left != 0 {
		if err := sc.awaitBody(from); err != nil {
			return err
		}
	}
	for body.left != 0 {
		size := len(sc.body)
		room := max(freeBytes, size, cap(sc.body)-size)
		end := min(size+min(room, readBytes), most)
		if err := sc.growBody(from, end, most); err != nil {
			return err
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
	return nil
}
