package server

import (
	"bytes"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"httpdhs/kv"
)

var (
	headerNode         = []byte("X-Dht-Node")
	headerAcks         = []byte("X-Dht-Acks")
	headerETag         = []byte("ETag")
	headerLastModified = []byte("Last-Modified")
	headerExpires      = []byte("Expires")
	headerExpiresExact = []byte("X-Dht-Expires")
	headerCacheControl = []byte("Cache-Control")

	headerContentEncoding = []byte("Content-Encoding")

	typeJSON  = []byte("application/json")
	typeBytes = []byte("application/octet-stream")
	typeText  = []byte("text/plain; charset=utf-8")
)

// prepare makes the scratch's call one operation on the key, with what the query says of it.
func (sc *scratch) prepare(kind kv.OpKind) *kv.Op {
	op := sc.op(kind)
	op.Key, op.Hash = sc.key, kv.Hash(sc.key)
	sc.call.Read, sc.call.Write = sc.params.r, sc.params.w
	return op
}

// keys serves /db/{key}.
type keys struct {
	store    Store
	limits   kv.Limits
	budgets  *budgets
	dateSeen atomic.Int64 // the last Date of an answer that was looked at, Unix seconds
}

// do carries out the scratch's call of one operation.
func (k *keys) do(sc *scratch, now time.Time) *kv.Op {
	sc.began, sc.call.Deadline = now, now.Add(sc.params.timeout)
	k.store.Do(&sc.call)
	return &sc.call.Ops[0]
}

func (k *keys) get(ctx *fasthttp.RequestCtx, sc *scratch) error {
	sc.prepare(kv.OpGet)
	now := time.Now()
	op := k.do(sc, now)
	if op.Err != nil {
		return op.Err
	}
	value, err := k.budgets.holdAnswer(sc, op.Value)
	if err != nil {
		sc.call = kv.Call{Hold: sc.call.Hold} // not held, so not kept either
		return err
	}
	status, err := readStatus(ctx, sc, op.Version)
	switch {
	case err != nil:
		return err
	case status == fasthttp.StatusPreconditionFailed:
		setETag(ctx, sc, op.Version)
		return kv.ErrConditionFailed
	case status == fasthttp.StatusOK:
		if value, status, err = requested(ctx, sc, op.Version, value); err != nil {
			return err
		}
	}
	h := &ctx.Response.Header
	sc.out = k.appendLastModified(sc.out, h, op.Version.Time(), now)
	h.SetCanonical(headerLastModified, sc.out)
	setETag(ctx, sc, op.Version)
	if op.Expires != 0 {
		setExpires(ctx, sc, kv.ExpiryTime(op.Expires))
	}
	fields := op.Meta.Fields()
	if len(fields.CacheControl) > 0 {
		h.SetCanonical(headerCacheControl, fields.CacheControl)
	}
	ctx.Response.SetStatusCode(status)
	if status == fasthttp.StatusNotModified {
		return nil
	}
	if len(fields.ContentType) > 0 {
		h.SetContentTypeBytes(fields.ContentType)
	} else {
		h.SetContentTypeBytes(typeBytes)
	}
	if len(fields.ContentEncoding) > 0 {
		h.SetContentEncodingBytes(fields.ContentEncoding)
	}
	// The value may alias the scratch, which lives until it is written.
	ctx.Response.SetBodyRaw(value)
	h.SetContentLength(len(value)) // else a HEAD of an empty value has none
	return nil
}

// appendLastModified writes, into dst, the time of a version. If that is after the Date of the
// answer, it writes this Date (RFC 9110, section 8.8.2.1).
//
// A version can be ahead of this node's clock, and the Date is behind it: fasthttp renews it once a
// second, writes it itself, and shows it in a header that is written. To look there is a tenth of
// what HTTP costs a read. So the last Date that was seen is kept: what is not after that one is not
// after a later one.
func (k *keys) appendLastModified(dst []byte, h *fasthttp.ResponseHeader, at, now time.Time) []byte {
	const lagMax, dateSize = time.Minute, len("Mon, 02 Jan 2006 15:04:05 GMT")
	seen := k.dateSeen.Load()
	known := at.Unix() <= seen && seen <= now.Unix() // else the clock was set back
	if !known && now.Sub(at) < lagMax {
		dst = h.AppendBytes(dst[:0])
		if _, date, ok := bytes.Cut(dst, []byte("\r\nDate: ")); ok && len(date) > dateSize {
			if sent, err := fasthttp.ParseHTTPDate(date[:dateSize]); err == nil {
				k.dateSeen.Store(sent.Unix())
				if at.After(sent) {
					at = sent
				}
			}
		}
	}
	return fasthttp.AppendHTTPDate(dst[:0], at)
}

func setETag(ctx *fasthttp.RequestCtx, sc *scratch, v kv.Version) {
	sc.out = v.AppendETag(sc.out[:0])
	ctx.Response.Header.SetCanonical(headerETag, sc.out)
}

// setExpires tells the expiry twice: to caches in whole seconds, as HTTP has it, and to clients as
// it is stored, in the form of a listing.
func setExpires(ctx *fasthttp.RequestCtx, sc *scratch, at time.Time) {
	h := &ctx.Response.Header
	sc.out = fasthttp.AppendHTTPDate(sc.out[:0], at)
	h.SetCanonical(headerExpires, sc.out)
	sc.out = appendExpiry(sc.out[:0], at)
	h.SetCanonical(headerExpiresExact, sc.out)
}

// appendExpiry writes an expiry as JSON and X-Dht-Expires have it: RFC 3339, UTC, to the
// millisecond.
func appendExpiry(dst []byte, at time.Time) []byte { return at.AppendFormat(dst, time.RFC3339Nano) }

func setAcks(ctx *fasthttp.RequestCtx, sc *scratch, op *kv.Op) {
	sc.out = strconv.AppendInt(sc.out[:0], int64(op.Acks), 10)
	sc.out = append(sc.out, '/')
	sc.out = strconv.AppendInt(sc.out, int64(op.Replicas), 10)
	ctx.Response.Header.SetCanonical(headerAcks, sc.out)
}

func judgeDelete(ctx *fasthttp.RequestCtx, sc *scratch) (err error) {
	sc.prepare(kv.OpDelete).Cond, err = writeCondition(ctx, sc)
	return err
}

func (k *keys) delete(ctx *fasthttp.RequestCtx, sc *scratch) error {
	op := k.do(sc, time.Now())
	if op.Err != nil {
		failWrite(ctx, sc, op)
		return nil
	}
	setAcks(ctx, sc, op)
	ctx.Response.SetStatusCode(fasthttp.StatusNoContent)
	return nil
}
