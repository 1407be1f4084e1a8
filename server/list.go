package server

import (
	"bytes"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"httpdhs/kv"
)

const (
	// cursorDigits is the length of a cursor: the hash with which the next
	// page begins, in hexadecimal. That is all there is to it, so any node
	// can go on from it.
	cursorDigits = 16

	// pageBytesMax ends a page (or a piece of a stream) early when its keys
	// and values have come to so much.
	pageBytesMax = 8 << 20

	// pieceBytesMax bounds what is asked of the store at once. So much may come twice, or one
	// larger record.
	pieceBytesMax = 4 << 20

	// chunkValuesFirst is how many records with values are asked for at
	// first, when nothing is known of their sizes.
	chunkValuesFirst = 8
	chunkMax         = 1000
)

var typeNDJSON = []byte("application/x-ndjson")

// wantsStream says whether a listing is to be one line a key, and not a page.
func wantsStream(h *fasthttp.RequestHeader) bool {
	return bytes.Contains(h.Peek(fasthttp.HeaderAccept), typeNDJSON)
}

// listings serves GET /db.
type listings struct {
	store     Store
	budgets   *budgets
	turns     turns
	pageBytes int // that end a page early
}

func (h *listings) judge(ctx *fasthttp.RequestCtx, _ *scratch) error {
	if h := &ctx.Request.Header; wantsStream(h) && !h.IsHTTP11() {
		// Without chunks a stream that breaks looks like one that ends.
		return badRequest("a stream needs HTTP/1.1; ask for application/json and follow the cursor")
	}
	return nil
}

func (h *listings) serve(ctx *fasthttp.RequestCtx, sc *scratch) error {
	p := sc.params
	ctx.Response.Header.Set(fasthttp.HeaderVary, fasthttp.HeaderAccept)
	l := &lister{store: h.store, p: p, next: p.cursor, more: true}
	if wantsStream(&ctx.Request.Header) {
		return h.stream(ctx, sc, l)
	}
	l.deadline = time.Now().Add(p.timeout)
	_, _ = sc.count(&h.budgets.answerBytes, nil) // what is left of earlier requests counts, or goes
	sc.out = append(sc.out[:0], `{"keys":[`...)
	for n, size := 0, 0; l.more && n < p.limit && size < h.pageBytes; {
		count, bytes, err := h.add(sc, l, n, p.limit-n, h.pageBytes-size)
		if err != nil {
			return err
		}
		n, size = n+count, size+bytes
	}
	sc.out = append(sc.out, ']')
	if l.more {
		sc.out = append(sc.out, `,"cursor":"`...)
		sc.out = appendCursor(sc.out, l.next)
		sc.out = append(sc.out, '"')
	}
	sc.out = append(sc.out, "}\n"...)
	ctx.Response.Header.SetContentTypeBytes(typeJSON)
	ctx.Response.SetBodyRaw(sc.out)
	return nil
}

// add adds the next records to a page that has n: at most about limit, and about size bytes. It
// says how many they are, and their bytes.
func (h *listings) add(sc *scratch, l *lister, n, limit, size int) (count, bytes int, err error) {
	if err := h.turns.take(l.deadline); err != nil {
		return 0, 0, err
	}
	defer h.turns.give()
	records, err := l.chunk(limit, size)
	if err != nil {
		return 0, 0, err
	}
	for i := range records {
		bytes += recordBytes(&records[i])
		if sc.out, err = h.budgets.grow(sc, sc.out, recordJSONMax(&records[i], l.p.values)+1); err != nil {
			return 0, 0, err
		}
		if n+i > 0 {
			sc.out = append(sc.out, ',')
		}
		if l.p.values {
			sc.out = appendRecordJSON(sc.out, &records[i], true)
		} else {
			sc.out = appendKeyJSON(sc.out, records[i].Key)
		}
	}
	return len(records), bytes, nil
}

func appendCursor(dst []byte, hash uint64) []byte {
	hex := strconv.FormatUint(hash, 16)
	dst = append(dst, "0000000000000000"[len(hex):]...)
	return append(dst, hex...)
}

// lister walks through the keys in the order of their hashes. It asks for about as many records as
// it needs, and cuts them by size: what is read and not used was in vain.
type lister struct {
	store Store
	p     params
	next  uint64 // the hash to go on from
	more  bool
	ask   int // records to ask for, from what the last ones were like

	deadline time.Time // zero: each request to the store has its own
}

// chunk returns the next records: at most about limit, and about size bytes.
// A run of equal hashes is not split, since a cursor cannot point into it; so
// it may be more. None at all is possible while there are more.
func (l *lister) chunk(limit, size int) ([]kv.Record, error) {
	if l.ask == 0 {
		l.ask = chunkMax
		if l.p.values {
			l.ask = chunkValuesFirst
		}
	}
	deadline := l.deadline
	if deadline.IsZero() {
		deadline = time.Now().Add(l.p.timeout)
	}
	page, err := l.store.List(&kv.ListRequest{
		Prefix: l.p.prefix, From: l.next, Limit: min(limit, l.ask), Bytes: min(size, pieceBytesMax), Values: l.p.values,
		Deadline: deadline,
	})
	if err != nil {
		return nil, err
	}
	l.next, l.more = page.Next, page.More
	total := 0
	for i := range page.Records {
		if total >= size && i > 0 {
			hash := kv.Hash(page.Records[i].Key)
			if hash != kv.Hash(page.Records[i-1].Key) {
				l.next, l.more = hash, true
				page.Records = page.Records[:i]
				break
			}
		}
		total += recordBytes(&page.Records[i])
	}
	if n := len(page.Records); n > 0 {
		// As many as come to size if the next ones are like these, but at
		// most double, since they may not be.
		l.ask = max(1, min(size/(total/n+1), 2*l.ask, chunkMax))
	}
	return page.Records, nil
}

func recordBytes(r *kv.Record) int { return len(r.Key) + len(r.Value) + len(r.Meta) }
