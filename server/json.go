package server

import (
	"bytes"
	"encoding/base64"
	"unicode/utf8"

	"httpdhs/kv"
)

// appendKeyJSON appends a key as it is in a list: a string, or an object if
// it is not UTF-8.
func appendKeyJSON(dst, key []byte) []byte {
	if utf8.Valid(key) {
		return appendJSONString(dst, key)
	}
	dst = appendBytesField(append(dst, '{'), "key", key)
	return append(dst, '}')
}

// appendRecordJSON appends a record as an object.
func appendRecordJSON(dst []byte, r *kv.Record, values bool) []byte {
	dst = appendBytesField(append(dst, '{'), "key", r.Key)
	if values {
		dst = appendField(append(dst, ','), "value", r.Value, isText(r.Value))
		dst = appendMetaJSON(dst, r.Meta)
		dst = append(dst, `,"etag":`...)
		dst = appendJSONString(dst, r.Version.AppendETag(nil))
		if r.Expires != 0 {
			dst = append(dst, `,"expires":"`...)
			dst = appendExpiry(dst, kv.ExpiryTime(r.Expires))
			dst = append(dst, '"')
		}
	}
	return append(dst, '}')
}

// appendMetaJSON appends what is known of a value, as members.
func appendMetaJSON(dst []byte, m kv.Meta) []byte {
	f := m.Fields()
	for _, member := range []struct {
		name  string
		value []byte
	}{{"content_type", f.ContentType}, {"cache_control", f.CacheControl}, {"content_encoding", f.ContentEncoding}} {
		if len(member.value) > 0 {
			dst = append(append(append(dst, `,"`...), member.name...), `":`...)
			dst = appendJSONString(dst, bytes.ToValidUTF8(member.value, []byte("\uFFFD")))
		}
	}
	return dst
}

// appendBytesField appends a field with bytes: as a string if they are UTF-8, else in base64.
func appendBytesField(dst []byte, name string, b []byte) []byte {
	return appendField(dst, name, b, utf8.Valid(b))
}

// appendField appends a field with bytes: as a string if they are text, which is UTF-8, else in
// base64 under the name with "_base64".
func appendField(dst []byte, name string, b []byte, text bool) []byte {
	dst = append(append(dst, '"'), name...)
	if text {
		return appendJSONString(append(dst, `":`...), b)
	}
	dst = append(dst, `_base64":"`...)
	dst = base64.StdEncoding.AppendEncode(dst, b)
	return append(dst, '"')
}

// isText says whether a value is a string in JSON. A large one with many control characters, of
// which each takes six bytes there, would become several times as long. So nothing that is large
// is more than twice as long as an answer.
func isText(value []byte) bool {
	return utf8.Valid(value) && (len(value) <= freeBytes || escapes(value) <= len(value))
}

// escapeMax is how many bytes one may take in a JSON string.
const escapeMax = 6

// escapes is how many bytes longer valid UTF-8 is in a JSON string.
func escapes(s []byte) (n int) {
	for _, c := range s {
		switch {
		case c == '"' || c == '\\' || c == '\n' || c == '\r' || c == '\t':
			n++
		case c < ' ':
			n += escapeMax - 1
		}
	}
	return n
}

// recordJSONMax bounds what appendRecordJSON appends.
func recordJSONMax(r *kv.Record, values bool) int {
	const rest = 256 // names, quotes, the version and the expiry
	n := rest + escapeMax*len(r.Key)
	if values {
		n += escapeMax*len(r.Meta) + valueJSONBytes(r.Value)
	}
	return n
}

// valueJSONBytes is how long a value is in JSON, without quotes. It is exact: a piece of a stream
// has many values, and takes the memory for all of them.
func valueJSONBytes(value []byte) int {
	if isText(value) {
		return len(value) + escapes(value)
	}
	return base64.StdEncoding.EncodedLen(len(value))
}

// appendJSONString appends valid UTF-8 as a JSON string.
func appendJSONString(dst, s []byte) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	for _, c := range s {
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c == '\n':
			dst = append(dst, '\\', 'n')
		case c == '\r':
			dst = append(dst, '\\', 'r')
		case c == '\t':
			dst = append(dst, '\\', 't')
		case c < ' ':
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}
