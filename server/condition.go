package server

import (
	"bytes"
	"fmt"

	"github.com/valyala/fasthttp"

	"httpdhs/kv"
)

// tagList goes through the entity tags, and the "*", of all fields of a name
// (RFC 9110, sections 8.8.3 and 13.1). What is neither is passed over.
type tagList struct {
	fields [][]byte
	field  []byte // the rest of the one before them
}

// next returns the next tag, without its W/; nil after the last.
func (l *tagList) next() (tag []byte, weak bool) {
	for {
		l.field = bytes.TrimLeft(l.field, " \t,")
		if len(l.field) == 0 {
			if len(l.fields) == 0 {
				return nil, false
			}
			l.field, l.fields = l.fields[0], l.fields[1:]
			continue
		}
		tag, weak = bytes.CutPrefix(l.field, []byte("W/"))
		if len(tag) > 0 && tag[0] == '"' {
			if end := bytes.IndexByte(tag[1:], '"'); end >= 0 {
				l.field = tag[end+2:]
				return tag[:end+2], weak
			}
		}
		tag, l.field, _ = bytes.Cut(l.field, []byte(","))
		if tag = bytes.TrimRight(tag, " \t"); string(tag) == "*" {
			return tag, false
		}
	}
}

// tags is the value of an If-Match or If-None-Match.
type tags struct {
	given    bool // be it empty
	some     bool // it has a tag, whoever made it, or a "*"
	any      bool // "*"
	versions []kv.Version
}

// parseTags reads all fields of this name. Tags that are not ours are left
// out: they never match. weak says whether a W/ tag matches its strong one.
func parseTags(h *fasthttp.RequestHeader, name string, weak bool, into []kv.Version) (tags, error) {
	t := tags{versions: into[:0]}
	list := tagList{fields: h.PeekAll(name)}
	t.given = len(list.fields) > 0
	for tag, isWeak := list.next(); tag != nil; tag, isWeak = list.next() {
		t.some = true
		if string(tag) == "*" {
			t.any = true
		} else if v, ok := kv.ParseETag(string(tag)); ok && (weak || !isWeak) {
			if len(t.versions) == kv.MaxConditionVersions {
				return t, badRequest(fmt.Sprintf("%s has more than %d entity tags", name, kv.MaxConditionVersions))
			}
			t.versions = append(t.versions, v)
		}
	}
	return t, nil
}

// parseWriteTags is parseTags for a write. One that was meant to be conditional
// and has lost its tag on the way must not be done, whatever it says.
func parseWriteTags(h *fasthttp.RequestHeader, name string, weak bool, into []kv.Version) (tags, error) {
	t, err := parseTags(h, name, weak, into)
	if err == nil && t.given && !t.some {
		err = badRequest(name + " has no entity tag: send one in its quotes, or *, or leave the header out")
	}
	return t, err
}

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

// writeCondition reads the condition of a PUT or DELETE.
func writeCondition(h *fasthttp.RequestHeader, sc *scratch) (kv.Condition, error) {
	if !conditional(h) {
		return kv.Condition{}, nil
	}
	match, err := parseWriteTags(h, fasthttp.HeaderIfMatch, false, sc.versions[:0])
	if err != nil || (match.given && len(h.PeekAll(fasthttp.HeaderIfNoneMatch)) > 0) {
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
	none, err := parseWriteTags(h, fasthttp.HeaderIfNoneMatch, true, sc.versions[:0])
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
	if !conditional(h) {
		return fasthttp.StatusOK, nil
	}
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
	list := tagList{fields: h.PeekAll(fasthttp.HeaderIfNoneMatch)}
	for tag, _ := list.next(); tag != nil; tag, _ = list.next() {
		if string(tag) == "*" || string(tag) == etag {
			return true
		}
	}
	return false
}
