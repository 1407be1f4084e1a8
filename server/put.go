package server

import (
	"bytes"
	"time"

	"github.com/valyala/fasthttp"

	"httpdhs/kv"
)

func (k *keys) put(ctx *fasthttp.RequestCtx, sc *scratch) error {
	if err := k.readValue(ctx, sc); err != nil {
		return err
	}
	// From now on, not from the first byte of a body that may have taken long.
	now := time.Now()
	op := &sc.call.Ops[0]
	op.Expires = expiresAt(now, sc.params.ttl)
	op = k.do(sc, now)
	if op.Err != nil {
		failWrite(ctx, sc, op)
		return nil
	}
	setETag(ctx, sc, op.Version)
	setAcks(ctx, sc, op)
	if op.Existed {
		ctx.Response.SetStatusCode(fasthttp.StatusNoContent)
	} else {
		ctx.Response.SetStatusCode(fasthttp.StatusCreated)
	}
	return nil
}

// judgePut reads all of a PUT but its body, and refuses what can be refused
// without it.
func (k *keys) judgePut(ctx *fasthttp.RequestCtx, sc *scratch) (err error) {
	if sc.prepare(kv.OpPut).Cond, err = writeCondition(ctx, sc); err != nil {
		return err
	}
	if err := sc.describe(ctx); err != nil {
		return err
	}
	switch {
	case connOf(ctx).has&hasContentRange != 0:
		return badRequest("a part of a value cannot be written: send all of it, without Content-Range")
	case openBody(ctx).left > int64(k.rawLimit(ctx.Request.Header.ContentType())):
		return kv.ErrValueTooLarge
	}
	return k.budgets.clientBytes.announcedFault(openBody(ctx))
}

// describe takes over what the headers of a PUT say of its value.
func (sc *scratch) describe(ctx *fasthttp.RequestCtx) error {
	h, has := &ctx.Request.Header, connOf(ctx).has
	sc.fields = kv.Fields{}
	if has&hasCacheControl != 0 {
		sc.fields.CacheControl = joined(h, headerCacheControl)
	}
	if has&hasContentEncoding != 0 {
		sc.fields.ContentEncoding = joined(h, headerContentEncoding)
	}
	sc.fields.ContentType = h.ContentType()
	return sc.pack()
}

// pack makes the metadata of the scratch's operation of its fields.
func (sc *scratch) pack() (err error) {
	sc.call.Ops[0].Meta, err = sc.fields.Append(sc.meta[:0])
	return err
}

// joined is the value of a header, of all its lines together (RFC 9110, section 5.3).
func joined(h *fasthttp.RequestHeader, name []byte) []byte {
	lines := h.PeekAll(string(name))
	if len(lines) == 1 {
		return lines[0]
	}
	return bytes.Join(lines, []byte(", "))
}

// announcedFault refuses a body that there is no room for, to a client that
// asks before it sends.
func (b *budget) announcedFault(body *bodyReader) error {
	if body.asked && b.used.Load()+max(body.left, 0) > b.max {
		return errInFlight
	}
	return nil
}

// rawLimit is the most bytes of body that can hold a value: a form's is
// percent-encoded, and judged when it is decoded.
func (k *keys) rawLimit(contentType []byte) int {
	if kv.IsForm(contentType) {
		return formRawMax(k.limits.MaxValueBytes)
	}
	return k.limits.MaxValueBytes
}

// readValue reads the body and finds the value in it.
func (k *keys) readValue(ctx *fasthttp.RequestCtx, sc *scratch) error {
	op := &sc.call.Ops[0]
	contentType := ctx.Request.Header.ContentType()
	err := sc.readBody(openBody(ctx), &k.budgets.clientBytes, k.rawLimit(contentType))
	if err == errBodyTooLarge {
		err = kv.ErrValueTooLarge
	}
	if err != nil {
		return err
	}
	op.Value = sc.body
	if kv.IsForm(contentType) {
		value, ok, err := formValue(sc.body)
		if err != nil {
			return err
		}
		if ok {
			op.Value, sc.fields.ContentType = value, typeText
			if err := sc.pack(); err != nil {
				return err
			}
		}
	}
	if len(op.Value) > k.limits.MaxValueBytes {
		return kv.ErrValueTooLarge
	}
	return nil
}
