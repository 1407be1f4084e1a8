package server

import (
	"bytes"
	"time"

	"github.com/valyala/fasthttp"

	"httpdhs/kv"
)

func (s *Server) put(ctx *fasthttp.RequestCtx) {
	sc := s.scratchOf(ctx)
	if err := s.readValue(ctx, sc); err != nil {
		s.fail(ctx, err)
		return
	}
	// From now on, not from the first byte of a body that may have taken long.
	now := time.Now()
	op := &sc.call.Ops[0]
	op.Expires = expiresAt(now, sc.params.ttl)
	op = s.do(sc, now)
	if op.Err != nil {
		s.failWrite(ctx, sc, op)
		return
	}
	s.setETag(ctx, sc, op.Version)
	s.setAcks(ctx, sc, op)
	if op.Existed {
		ctx.Response.SetStatusCode(fasthttp.StatusNoContent)
	} else {
		ctx.Response.SetStatusCode(fasthttp.StatusCreated)
	}
}

// judgePut reads all of a PUT but its body, and refuses what can be refused
// without it.
func (s *Server) judgePut(ctx *fasthttp.RequestCtx) (err error) {
	sc := s.scratchOf(ctx)
	if sc.prepare(kv.OpPut).Cond, err = writeCondition(ctx, sc); err != nil {
		return err
	}
	if err := sc.describe(ctx); err != nil {
		return err
	}
	switch {
	case connOf(ctx).has&hasContentRange != 0:
		return badRequest("a part of a value cannot be written: send all of it, without Content-Range")
	case openBody(ctx).left > int64(s.rawLimit(ctx.Request.Header.ContentType())):
		return kv.ErrValueTooLarge
	}
	return s.announcedFault(ctx)
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
func (s *Server) announcedFault(ctx *fasthttp.RequestCtx) error {
	b, body := &s.clientBytes, openBody(ctx)
	if body.asked && b.used.Load()+max(body.left, 0) > b.max {
		return errInFlight
	}
	return nil
}

// rawLimit is the most bytes of body that can hold a value: a form's is
// percent-encoded, and judged when it is decoded.
func (s *Server) rawLimit(contentType []byte) int {
	if kv.IsForm(contentType) {
		return formRawMax(s.opts.Limits.MaxValueBytes)
	}
	return s.opts.Limits.MaxValueBytes
}

// readValue reads the body and finds the value in it.
func (s *Server) readValue(ctx *fasthttp.RequestCtx, sc *scratch) error {
	op := &sc.call.Ops[0]
	contentType := ctx.Request.Header.ContentType()
	err := s.readBody(ctx, sc, &s.clientBytes, s.rawLimit(contentType))
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
	if len(op.Value) > s.opts.Limits.MaxValueBytes {
		return kv.ErrValueTooLarge
	}
	return nil
}
