package server

import (
	"github.com/valyala/fasthttp"

	"httpdhs/kv"
)

// conditional says whether the request may have a condition. Nearly none has.
func conditional(ctx *fasthttp.RequestCtx) bool { return connOf(ctx).has&hasCondition != 0 }

func ifMatch(h *fasthttp.RequestHeader) kv.TagField {
	return kv.TagField{Name: fasthttp.HeaderIfMatch, Lines: h.PeekAll(fasthttp.HeaderIfMatch)}
}

func ifNoneMatch(h *fasthttp.RequestHeader) kv.TagField {
	return kv.TagField{Name: fasthttp.HeaderIfNoneMatch, Lines: h.PeekAll(fasthttp.HeaderIfNoneMatch)}
}

// writeCondition reads the condition of a PUT or DELETE.
func writeCondition(ctx *fasthttp.RequestCtx, sc *scratch) (kv.Condition, error) {
	if !conditional(ctx) {
		return kv.Condition{}, nil
	}
	h := &ctx.Request.Header
	cond, err := kv.ParseCondition(ifMatch(h), ifNoneMatch(h), sc.versions[:0])
	if err != nil {
		err = badRequest(err.Error())
	}
	return cond, err
}

// judgeGet refuses the conditions of a GET that cannot be read.
func judgeGet(ctx *fasthttp.RequestCtx, sc *scratch) error {
	if !conditional(ctx) {
		return nil
	}
	h := &ctx.Request.Header
	_, err := kv.ParseTags(ifMatch(h), true, sc.versions[:0])
	if err == nil {
		_, err = kv.ParseTags(ifNoneMatch(h), false, sc.versions[:0])
	}
	if err != nil {
		return badRequest(err.Error())
	}
	return nil
}

// readStatus decides the conditions of a GET against the version that it has
// found: 200, 304 or 412. A browser that has its value through a proxy that
// compresses sends the weak tag that it was given: in If-None-Match, where tags
// are compared so, it is good.
func readStatus(ctx *fasthttp.RequestCtx, sc *scratch, found kv.Version) (int, error) {
	if !conditional(ctx) {
		return fasthttp.StatusOK, nil
	}
	h := &ctx.Request.Header
	match, err := kv.ParseTags(ifMatch(h), true, sc.versions[:0])
	if err != nil {
		return 0, badRequest(err.Error())
	}
	if match.Given && !match.Has(found) {
		return fasthttp.StatusPreconditionFailed, nil
	}
	none, err := kv.ParseTags(ifNoneMatch(h), false, sc.versions[:0])
	if err != nil {
		return 0, badRequest(err.Error())
	}
	if none.Given && none.Has(found) {
		return fasthttp.StatusNotModified, nil
	}
	return fasthttp.StatusOK, nil
}

// tagsFault says what is wrong with an If-None-Match.
func tagsFault(h *fasthttp.RequestHeader) error {
	if _, err := kv.ParseTags(ifNoneMatch(h), false, nil); err != nil {
		return badRequest(err.Error())
	}
	return nil
}

// matchesTag says whether an If-None-Match without a fault names the tag, which need not be a
// version.
func matchesTag(h *fasthttp.RequestHeader, etag string) bool {
	field := ifNoneMatch(h)
	list := field.Tags()
	for tag, _ := list.Next(); tag != nil; tag, _ = list.Next() {
		if string(tag) == "*" || string(tag) == etag {
			return true
		}
	}
	return false
}
