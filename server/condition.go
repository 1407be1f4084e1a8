package server

import (
	"bytes"

	"github.com/valyala/fasthttp"

	"httpdhs/kv"
)

// conditional says whether the request may have a condition: a field whose
// name begins with "If-". Nearly none has, and to see that costs less than to
// look for each name.
func conditional(h *fasthttp.RequestHeader) bool {
	for raw := h.RawHeaders(); len(raw) > 3; {
		if raw[0]|0x20 == 'i' && raw[1]|0x20 == 'f' && raw[2] == '-' {
			return true
		}
		i := bytes.IndexByte(raw, '\n')
		if i < 0 {
			return false
		}
		raw = raw[i+1:]
	}
	return false
}

func ifMatch(h *fasthttp.RequestHeader) kv.TagField {
	return kv.TagField{Name: fasthttp.HeaderIfMatch, Lines: h.PeekAll(fasthttp.HeaderIfMatch)}
}

func ifNoneMatch(h *fasthttp.RequestHeader) kv.TagField {
	return kv.TagField{Name: fasthttp.HeaderIfNoneMatch, Lines: h.PeekAll(fasthttp.HeaderIfNoneMatch)}
}

// writeCondition reads the condition of a PUT or DELETE.
func writeCondition(h *fasthttp.RequestHeader, sc *scratch) (kv.Condition, error) {
	if !conditional(h) {
		return kv.Condition{}, nil
	}
	cond, err := kv.ParseCondition(ifMatch(h), ifNoneMatch(h), sc.versions[:0])
	if err != nil {
		err = badRequest(err.Error())
	}
	return cond, err
}

// readStatus decides the conditions of a GET against the version that it has
// found: 200, 304 or 412. A browser that has its value through a proxy that
// compresses sends the weak tag that it was given: in If-None-Match, where tags
// are compared so, it is good.
func readStatus(h *fasthttp.RequestHeader, sc *scratch, found kv.Version) (int, error) {
	if !conditional(h) {
		return fasthttp.StatusOK, nil
	}
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

// matchesTag says whether an If-None-Match names the tag, which need not be a
// version.
func matchesTag(h *fasthttp.RequestHeader, etag string) (bool, error) {
	field := ifNoneMatch(h)
	if _, err := kv.ParseTags(field, false, nil); err != nil {
		return false, badRequest(err.Error())
	}
	list := field.Tags()
	for tag, _ := list.Next(); tag != nil; tag, _ = list.Next() {
		if string(tag) == "*" || string(tag) == etag {
			return true, nil
		}
	}
	return false, nil
}
