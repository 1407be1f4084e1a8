package server

import (
	"bytes"
	"fmt"
	"math"
	"strconv"

	"github.com/valyala/fasthttp"

	"httpdhs/kv"
)

// A GET may ask for a part of a value (RFC 9110, section 14): the rest of a download that broke
// off, or the piece of a film that is watched. What cannot be read as one range is ignored, as the
// RFC allows. So are several ranges in one request: the answer is all of the value.

var (
	headerRange        = []byte("Range")
	headerAcceptRanges = []byte("Accept-Ranges")

	unitBytes = []byte("bytes")
)

// rangesFrom is the size of a value, in bytes, from which its answer says that ranges are taken.
// Nobody asks for a part of what is smaller, and most values are. They have one header less to
// write.
const rangesFrom = 4 << 10

// requested is the part of a value that the request asks for, and the status of an answer that has
// it. That a part was asked for is said in the headers of the answer.
func requested(ctx *fasthttp.RequestCtx, sc *scratch, found kv.Version, value []byte) (part []byte, status int, err error) {
	asked := connOf(ctx).has&hasRange != 0
	if len(value) >= rangesFrom || asked {
		ctx.Response.Header.SetCanonical(headerAcceptRanges, unitBytes)
	}
	if !asked || !ctx.Request.Header.IsGet() || !sameValue(ctx, found) {
		return value, fasthttp.StatusOK, nil
	}
	lines := ctx.Request.Header.PeekAll(fasthttp.HeaderRange)
	if len(lines) != 1 {
		return value, fasthttp.StatusOK, nil
	}
	first, end, verdict := parseRange(lines[0], len(value))
	sc.out = append(append(sc.out[:0], unitBytes...), ' ')
	switch verdict {
	case rangeGiven:
		sc.out = strconv.AppendInt(sc.out, int64(first), 10)
		sc.out = append(sc.out, '-')
		sc.out = strconv.AppendInt(sc.out, int64(end-1), 10)
		part, status = value[first:end], fasthttp.StatusPartialContent
	case rangeBeyond:
		sc.out = append(sc.out, '*')
		err = &statusError{fasthttp.StatusRequestedRangeNotSatisfiable, fmt.Sprintf(
			"the range is beyond the value, which has %d bytes: ask for less, or leave Range out", len(value))}
	default:
		return value, fasthttp.StatusOK, nil
	}
	sc.out = append(sc.out, '/')
	sc.out = strconv.AppendInt(sc.out, int64(len(value)), 10)
	ctx.Response.Header.SetCanonical(headerContentRange, sc.out)
	return part, status, err
}

// sameValue says whether the client has a part of the value that was found, as far as its If-Range
// tells. A date there proves nothing: of two versions in one second the client may have either.
func sameValue(ctx *fasthttp.RequestCtx, found kv.Version) bool {
	if !conditional(ctx) {
		return true
	}
	lines := ctx.Request.Header.PeekAll(fasthttp.HeaderIfRange)
	if len(lines) != 1 {
		return len(lines) == 0
	}
	version, ok := kv.ParseETag(string(lines[0]))
	return ok && version == found
}

// What a Range header says of a value.
const (
	rangeNone   = iota // nothing that can be read, or several ranges: it is ignored
	rangeGiven         // a part of it
	rangeBeyond        // nothing that it has
)

// parseRange reads a Range header that asks for bytes first to end-1 of size. Of a value of no
// bytes there is no part: clients that always send a range get it whole.
func parseRange(field []byte, size int) (first, end, verdict int) {
	unit, set, ok := bytes.Cut(field, []byte("="))
	if !ok || !bytes.EqualFold(unit, unitBytes) || size == 0 {
		return 0, 0, rangeNone
	}
	set = bytes.Trim(set, " \t,") // a list may have empty elements
	from, to, ok := bytes.Cut(set, []byte("-"))
	if !ok {
		return 0, 0, rangeNone
	}
	last, open := size-1, len(to) == 0
	if !open {
		if last, ok = position(to); !ok {
			return 0, 0, rangeNone
		}
	}
	if len(from) == 0 { // the last bytes of it, so many
		switch {
		case open:
			return 0, 0, rangeNone
		case last == 0:
			return 0, 0, rangeBeyond
		}
		return max(0, size-last), size, rangeGiven
	}
	if first, ok = position(from); !ok || !open && last < first {
		return 0, 0, rangeNone
	}
	if first >= size {
		return 0, 0, rangeBeyond
	}
	return first, min(last, size-1) + 1, rangeGiven
}

// position reads a number of bytes. One that is too large to be one is the largest.
func position(digits []byte) (n int, ok bool) {
	for _, c := range digits {
		switch {
		case !digit(c):
			return 0, false
		case n > (math.MaxInt-9)/10:
			n = math.MaxInt
		default:
			n = 10*n + int(c-'0')
		}
	}
	return n, len(digits) > 0
}
