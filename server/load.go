package server

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/valyala/fasthttp"

	"httpdhs/api"
	"httpdhs/internal/format"
	"httpdhs/kv"
)

// loadBlockBytes is the size of a block of a stream.
const loadBlockBytes = 256 << 10

// loads serves POST and PUT /load-data.
type loads struct {
	store   Store
	limits  kv.Limits
	budgets *budgets
}

func (h *loads) judge(ctx *fasthttp.RequestCtx, sc *scratch) (err error) {
	sc.format, err = bodyFormat(&ctx.Request.Header, format.TSV, format.CSV, format.NDJSON, format.Binary)
	return err
}

func (h *loads) serve(ctx *fasthttp.RequestCtx, sc *scratch) error {
	body := openStream(ctx)
	p := &sc.params
	blocks := acquireBlocks()
	defer blocks.release()
	l := &loader{
		store: h.store, write: p.w, timeout: p.timeout, ttl: p.ttl, blocks: blocks,
		hold: func(n int64) bool { return sc.hold(&h.budgets.clientBytes, n) },
	}
	if !l.holdBlocks() {
		*blocks = loadBlocks{} // what loads before have left in them
	}
	err := l.run(format.NewReader(sc.format, body, format.Options{
		Limits: h.limits, BlockBytes: blockBytesFor(body), Hold: l.holdBlock,
	}))
	answerLoad(ctx, l, err)
	return nil
}

// blockBytesFor is the size of the blocks for a body: no more than it has, and
// a byte to see its end.
func blockBytesFor(body *bodyReader) int {
	if body.left >= 0 && body.left < loadBlockBytes {
		return int(body.left) + 1
	}
	return loadBlockBytes
}

// loadAnswer is a LoadResult, and what kept the stream from being loaded to
// its end: then the status is not 200, and the counts are of what was done.
type loadAnswer struct {
	Error string `json:"error,omitempty"`
	api.LoadResult
}

func answerLoad(ctx *fasthttp.RequestCtx, l *loader, err error) {
	doc := loadAnswer{LoadResult: l.result()}
	status := fasthttp.StatusOK
	switch {
	case err == errCutShort:
		status, doc.Error = fasthttp.StatusBadRequest, "the request ends before its body does; what came before is loaded as counted here"
		ctx.Response.SetConnectionClose()
	case errors.Is(err, format.ErrLost):
		status, doc.Error = fasthttp.StatusBadRequest, err.Error()+"; what came before is loaded as counted here"
	case err == kv.ErrLevel, errors.Is(err, format.ErrPacked):
		status, doc.Error = statusOf(err)
		doc.Error += "; nothing was loaded"
	case err != nil:
		status, doc.Error = statusOf(err)
		doc.Error += "; what came before is loaded as counted here"
	case l.lost != nil:
		status, doc.Error = statusOf(l.lost)
	}
	if status == fasthttp.StatusServiceUnavailable {
		ctx.Response.Header.Set(fasthttp.HeaderRetryAfter, "1")
	}
	body, _ := json.Marshal(&doc)
	ctx.Response.Header.SetContentTypeBytes(typeJSON)
	ctx.SetStatusCode(status)
	ctx.Response.SetBodyRaw(append(body, '\n'))
}

// bodyFormat is the format of a body by its headers, one of those that the
// resource takes. No type, and the one that curl sends for any data, stand for
// the first.
func bodyFormat(h *fasthttp.RequestHeader, taken ...format.Format) (format.Format, error) {
	if enc := string(joined(h, headerContentEncoding)); enc != "" && !strings.EqualFold(enc, "identity") {
		return 0, &statusError{fasthttp.StatusUnsupportedMediaType,
			"the Content-Encoding " + printable(enc) + " is not read here: send the body uncompressed"}
	}
	name := h.ContentType()
	if len(name) == 0 || kv.IsForm(name) {
		return taken[0], nil
	}
	f, ok := format.ByMediaType(name)
	if !ok || !slices.Contains(taken, f) {
		return 0, &statusError{fasthttp.StatusUnsupportedMediaType,
			"the Content-Type " + printable(string(name)) + " is not read here: send " + format.Types(taken)}
	}
	return f, nil
}
