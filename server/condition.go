package server

import (
	"bytes"
	"fmt"

	"github.com/valyala/fasthttp"

	"httpdhs/kv"
)

// tags is the value of an If-Match or If-None-Match (RFC 9110, section 13.1).
type tags struct {
	given    bool
	any      bool // "*"
	versions []kv.Version
}

// parseTags reads all fields of this name. Tags that are not ours are left
// out: they never match. weak says whether a W/ tag matches its strong one.
func parseTags(h *fasthttp.RequestHeader, name string, weak bool, into []kv.Version) (tags, error) {
	t := tags{versions: into[:0]}
	if len(h.Peek(name)) == 0 {
		return t, nil
	}
	for _, field := range h.PeekAll(name) {
		t.given = true
		for n := 0; len(field) > 0; n++ {
			var tag []byte
			tag, field, _ = bytes.Cut(field, []byte(","))
			tag = bytes.TrimSpace(tag)
			if weak {
				tag = bytes.TrimPrefix(tag, []byte("W/"))
			}
			if string(tag) == "*" {
				t.any = true
			} else if v, ok := kv.ParseETag(string(tag)); ok {
				if len(t.versions) == kv.MaxConditionVersions {
					return t, badRequest(fmt.Sprintf("%s has more than %d entity tags", name, kv.MaxConditionVersions))
				}
				t.versions = append(t.versions, v)
			}
		}
	}
	return t, nil
}

// writeCondition reads the condition of a PUT or DELETE.
func writeCondition(h *fasthttp.RequestHeader, sc *scratch) (kv.Condition, error) {
	match, err := parseTags(h, fasthttp.HeaderIfMatch, false, sc.versions[:0])
	if err != nil || (match.given && len(h.Peek(fasthttp.HeaderIfNoneMatch)) > 0) {
		if err == nil {
			err = badRequest("a write takes If-Match or If-None-Match, not both")
		}
		return kv.Condition{}, err
	}
	if match.given {
		if match.any {
			return kv.Condition{Kind: kv.IfPresent}, nil
		}
		return kv.Condition{Kind: kv.IfVersion, Versions: match.versions}, nil
	}
	none, err := parseTags(h, fasthttp.HeaderIfNoneMatch, true, sc.versions[:0])
	switch {
	case err != nil || !none.given:
		return kv.Condition{}, err
	case none.any:
		return kv.Condition{Kind: kv.IfAbsent}, nil
	}
	return kv.Condition{Kind: kv.IfNotVersion, Versions: none.versions}, nil
}

// readStatus decides the conditions of a GET against the version that it has
// found: 200, 304 or 412.
func readStatus(h *fasthttp.RequestHeader, sc *scratch, found kv.Version) (int, error) {
	match, err := parseTags(h, fasthttp.HeaderIfMatch, false, sc.versions[:0])
	if err != nil {
		return 0, err
	}
	if match.given && !match.has(found) {
		return fasthttp.StatusPreconditionFailed, nil
	}
	none, err := parseTags(h, fasthttp.HeaderIfNoneMatch, true, sc.versions[:0])
	if err != nil {
		return 0, err
	}
	if none.given && none.has(found) {
		return fasthttp.StatusNotModified, nil
	}
	return fasthttp.StatusOK, nil
}

func (t *tags) has(v kv.Version) bool {
	found := t.any
	for _, tag := range t.versions {
		found = found || tag == v
	}
	return found
}

// matchesTag says whether an If-None-Match names the tag, which need not be a
// version.
func matchesTag(h *fasthttp.RequestHeader, etag string) bool {
	for _, field := range h.PeekAll(fasthttp.HeaderIfNoneMatch) {
		for len(field) > 0 {
			var tag []byte
			tag, field, _ = bytes.Cut(field, []byte(","))
			tag = bytes.TrimPrefix(bytes.TrimSpace(tag), []byte("W/"))
			if string(tag) == "*" || string(tag) == etag {
				return true
			}
		}
	}
	return false
}
