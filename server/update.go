package server

import (
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"httpdhs/kv"
)

// The parameters of a POST to a key that say what it does. It has one of them.
const (
	paramIncr   = "incr"
	paramAppend = "append"
	paramTTL    = "ttl"
)

// judgeUpdate reads all of a POST to a key but its body, and refuses what can be refused without
// it.
func (k *keys) judgeUpdate(ctx *fasthttp.RequestCtx, sc *scratch) (err error) {
	p := &sc.params
	given := 0
	kind := kv.OpExpire
	if p.ttl > 0 {
		given++
	}
	if p.add {
		given++
		kind = kv.OpIncr
	}
	if p.append {
		given++
		kind = kv.OpAppend
	}
	switch {
	case given == 0:
		ctx.Response.Header.Set(fasthttp.HeaderAllow, keyMethods)
		return errNoPost
	case given > 1:
		return badRequest("a POST does one thing to a key: send one of incr, append and ttl")
	}
	op := sc.prepare(kind)
	if op.Cond, err = writeCondition(ctx, sc); err != nil {
		return err
	}
	op.Number = p.by
	if kind == kv.OpAppend && openBody(ctx).left > int64(k.rawLimit(ctx.Request.Header.ContentType())) {
		return kv.ErrValueTooLarge
	}
	return k.budgets.clientBytes.announcedFault(openBody(ctx))
}

// update answers a POST to a key: with the sum, or the length of the value.
func (k *keys) update(ctx *fasthttp.RequestCtx, sc *scratch) error {
	op := &sc.call.Ops[0]
	kind := op.Kind
	var err error
	if kind == kv.OpAppend {
		if err = k.readValue(ctx, sc); err == nil {
			op.Meta = nil // that of the value which is there stays
		}
	} else {
		err = k.budgets.prepareBody(openBody(ctx), sc, bodyRefused)
	}
	if err != nil {
		return err
	}
	now := time.Now()
	if kind == kv.OpExpire {
		op.Expires = expiresAt(now, sc.params.ttl)
	}
	op = k.do(sc, now)
	if op.Err != nil {
		failWrite(ctx, sc, op)
		return nil
	}
	setETag(ctx, sc, op.Version)
	if !op.Kept {
		setAcks(ctx, sc, op)
	}
	if op.Expires != 0 {
		setExpires(ctx, sc, kv.ExpiryTime(op.Expires))
	}
	ctx.Response.SetStatusCode(fasthttp.StatusOK)
	if !op.Existed {
		ctx.Response.SetStatusCode(fasthttp.StatusCreated)
	}
	ctx.Response.Header.SetContentTypeBytes(typeText)
	switch kind {
	case kv.OpIncr:
		ctx.Response.SetBodyRaw(op.Value)
	case kv.OpAppend:
		sc.out = strconv.AppendInt(sc.out[:0], op.Number, 10)
		ctx.Response.SetBodyRaw(sc.out)
	}
	return nil
}
