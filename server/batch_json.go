package server

import (
	"bytes"
	"strconv"

	"httpdhs/internal/format"
)

// appendResultJSON appends the result of an operation as a line of NDJSON. What
// a get found has the members that a listing has; unknown says that a write
// that failed may still appear, and that required replicas had to store it.
func appendResultJSON(dst []byte, r *format.Result, unknown bool, required int) []byte {
	dst = append(dst, `{"status":`...)
	dst = strconv.AppendInt(dst, int64(r.Status), 10)
	if r.Found() {
		record := len(dst)
		dst = appendRecordJSON(dst, &r.Record, true)
		dst[record] = ',' // one object, not one in another
		return append(dst, '\n')
	}
	if len(r.Key) > 0 {
		dst = appendBytesField(append(dst, ','), "key", r.Key)
	}
	if r.Error != "" {
		dst = append(dst, `,"error":`...)
		dst = appendJSONString(dst, bytes.ToValidUTF8([]byte(r.Error), []byte("\uFFFD")))
	}
	if r.Version != 0 {
		var tag [18]byte
		dst = append(dst, `,"etag":`...)
		dst = appendJSONString(dst, r.Version.AppendETag(tag[:0]))
	}
	if r.Length > 0 {
		dst = append(dst, `,"length":`...)
		dst = strconv.AppendInt(dst, r.Length, 10)
	}
	if r.Replicas > 0 {
		dst = append(dst, `,"acks":`...)
		dst = strconv.AppendInt(dst, int64(r.Acks), 10)
		dst = append(dst, `,"replicas":`...)
		dst = strconv.AppendInt(dst, int64(r.Replicas), 10)
	}
	if unknown {
		dst = append(dst, `,"required":`...)
		dst = strconv.AppendInt(dst, int64(required), 10)
		dst = append(dst, `,"outcome":"unknown"`...)
	}
	return append(dst, "}\n"...)
}
