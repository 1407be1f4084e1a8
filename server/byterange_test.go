package server

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// A GET with a range that the value has gets these bytes and no others, and is told which they are.
// One that it does not have is a 416 that says how long the value is. What is no range, or more
// than one, is ignored.
func TestRanges(t *testing.T) {
	f := start(t, Options{})
	const value = "0123456789"
	f.send("PUT", "/db/k", value, "Content-Type: text/css", "Content-Encoding: gzip", "Cache-Control: max-age=60").want(t, 201)
	f.send("PUT", "/db/none", "").want(t, 201)
	for asked, want := range map[string]string{
		"bytes=0-0": "0", "bytes=0-3": "0123", "bytes=2-": "23456789", "bytes=9-": "9", "bytes=0-": value, "bytes=0-9": value,
		"bytes=5-100": "56789", "bytes=-3": "789", "bytes=-10": value, "bytes=-99": value, "BYTES=3-4": "34",
		"bytes=, 3-4 ,": "34", "bytes=0-99999999999999999999999999": value, "bytes=-99999999999999999999999999": value, "bytes=0-18446744073709551617": value,
	} {
		a := f.send("GET", "/db/k", "", "Range: "+asked)
		first := strings.Index(value, want)
		told := fmt.Sprintf("bytes %d-%d/10", first, first+len(want)-1)
		if a.status != 206 || a.body != want || a.header.Get("Content-Range") != told || a.header.Get("Content-Length") != itoa(len(want)) {
			t.Errorf("%s: %d %q %q, want %q %q", asked, a.status, a.body, a.header.Get("Content-Range"), want, told)
		}
		if h := a.header; h.Get("ETag") == "" || h.Get("Last-Modified") == "" || h.Get("Cache-Control") != "max-age=60" || h.Get("Content-Encoding") != "gzip" || h.Get("Content-Type") != "text/css" {
			t.Errorf("%s: %v", asked, a.header)
		}
	}
	for _, asked := range []string{"bytes=10-", "bytes=10-20", "bytes=99999999999999999999999999-", "bytes=-0"} {
		a := f.send("GET", "/db/k", "", "Range: "+asked)
		a.want(t, 416)
		if h := a.header; h.Get("Content-Range") != "bytes */10" || !strings.Contains(a.body, "has 10 bytes") || h.Get("Cache-Control") != "no-cache, no-transform" || h.Get("Content-Encoding") != "" {
			t.Errorf("%s: %q %v", asked, a.body, a.header)
		}
	}
	for _, asked := range []string{"", "bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=3-2", "bytes=0-0,2-3", "bytes=0 - 3", "bytes=0-3-5", "lines=0-3", "0-3", "bytes=+1-2",
		"bytes=--3", "bytes=0-0\r\nRange: bytes=2-3"} {
		a := f.send("GET", "/db/k", "", "Range: "+asked)
		if a.status != 200 || a.body != value || a.header.Get("Content-Range") != "" {
			t.Errorf("%q: %d %q %v", asked, a.status, a.body, a.header)
		}
	}
	if a := f.send("HEAD", "/db/k", "", "Range: bytes=0-3"); a.status != 200 || a.header.Get("Content-Length") != "10" || a.header.Get("Content-Range") != "" {
		t.Errorf("HEAD: %d %v", a.status, a.header)
	}
	for _, asked := range []string{"bytes=0-", "bytes=5-6", "bytes=-1"} {
		if a := f.send("GET", "/db/none", "", "Range: "+asked); a.status != 200 || a.body != "" || a.header.Get("Content-Length") != "0" {
			t.Errorf("%s of no bytes: %d %q", asked, a.status, a.body)
		}
	}
	f.send("GET", "/db/absent", "", "Range: bytes=0-").want(t, 404)
	f.send("PUT", "/db/k", "x", "Range: bytes=0-").want(t, 204)
}

// The rest of a value that has changed since is of no use: with an If-Range that is not the value's
// tag the answer is all of the new one. Conditions come before the range.
func TestIfRange(t *testing.T) {
	f := start(t, Options{})
	old := f.send("PUT", "/db/k", "before").header.Get("ETag")
	now := f.send("PUT", "/db/k", "0123456789").header.Get("ETag")
	const asked = "Range: bytes=5-"
	modified := f.send("GET", "/db/k", "").header.Get("Last-Modified")
	if a := f.send("GET", "/db/k", "", asked, "If-Range: "+now); a.status != 206 || a.body != "56789" {
		t.Errorf("its tag: %d %q", a.status, a.body)
	}
	for _, tag := range []string{old, "W/" + now, strings.TrimSuffix(now, `"`) + `-gzip"`, now[1 : len(now)-1], modified, "Thu, 01 Jan 1970 00:00:00 GMT", "", now + "\r\nIf-Range: " + now, now + ", " + now} {
		if a := f.send("GET", "/db/k", "", asked, "If-Range: "+tag); a.status != 200 || a.body != "0123456789" {
			t.Errorf("If-Range %q: %d %q", tag, a.status, a.body)
		}
	}
	for condition, want := range map[string]int{
		"If-None-Match: " + now: 304, "If-None-Match: " + old: 206, "If-Match: " + now: 206, "If-Match: " + old: 412,
		"If-None-Match: " + now + "\r\nIf-Range: " + old: 304,
	} {
		if a := f.send("GET", "/db/k", "", asked, condition); a.status != want || (a.header.Get("Content-Range") != "") != (want == 206) {
			t.Errorf("%s: %d %v, want %d", condition, a.status, a.header, want)
		}
	}
}

// That ranges are taken is said where it is of use: with large values, and in answers to a Range.
func TestAcceptRanges(t *testing.T) {
	f := start(t, Options{})
	f.send("PUT", "/db/small", "v").want(t, 201)
	f.send("PUT", "/db/large", strings.Repeat("v", rangesFrom)).want(t, 201)
	for _, r := range []struct{ method, key, more, want string }{
		{"GET", "small", "X: y", ""}, {"HEAD", "small", "X: y", ""}, {"HEAD", "large", "X: y", "bytes"}, {"GET", "large", "X: y", "bytes"},
		{"GET", "small", "Range: bytes=0-0", "bytes"}, {"GET", "small", "Range: bytes=7-", "bytes"}, {"GET", "none", "Range: bytes=7-", ""},
	} {
		if got := f.send(r.method, "/db/"+r.key, "", r.more).header.Get("Accept-Ranges"); got != r.want {
			t.Errorf("%s %s with %s: Accept-Ranges %q, want %q", r.method, r.key, r.more, got, r.want)
		}
	}
}

// A part of a large value counts against the memory of answers as all of it does, until the client
// has it. The fixture sees that it is given back.
func TestPartOfALargeValue(t *testing.T) {
	f := start(t, Options{})
	value := strings.Repeat("0123456789abcdef", 64<<10)
	f.send("PUT", "/db/k", value).want(t, 201)
	for _, part := range [][2]int{{0, 10}, {17, 40 << 10}, {1 << 19, 1 << 20}} {
		a := f.send("GET", "/db/k", "", fmt.Sprintf("Range: bytes=%d-%d", part[0], part[1]-1))
		if a.status != 206 || a.body != value[part[0]:part[1]] {
			t.Errorf("%v: %d, %d bytes", part, a.status, len(a.body))
		}
	}
}

// Whatever a Range is, a part that it gives lies in the value, and net/http reads the same part out
// of it. What it says is beyond the value, net/http does not find in it either.
func FuzzRange(f *testing.F) {
	for _, seed := range []string{"bytes=0-3", "bytes=-5", "bytes=5-", "bytes=-0", "bytes=9-1", "bytes=,,1-2,", "bytes=1-2,4-5", "items=1-2", "bytes=99999999999999999999-"} {
		f.Add(seed, 7)
	}
	f.Fuzz(func(t *testing.T, field string, size int) {
		size &= 0xff
		first, end, verdict := parseRange([]byte(field), size)
		switch {
		case verdict == rangeNone:
			return
		case verdict == rangeGiven && (first < 0 || first >= end || end > size):
			t.Fatalf("%q of %d bytes: %d to %d", field, size, first, end)
		case !strings.HasPrefix(field, "bytes="): // net/http knows this spelling alone
			return
		}
		w := httptest.NewRecorder()
		r := httptest.NewRequest("GET", "/", nil)
		r.Header["Range"] = []string{field}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(make([]byte, size)))
		told := fmt.Sprintf("bytes %d-%d/%d", first, end-1, size)
		if got := w.Header().Get("Content-Range"); verdict == rangeGiven && got != told {
			t.Errorf("%q of %d bytes: %q, net/http has %d %q", field, size, told, w.Code, got)
		}
		if verdict == rangeBeyond && w.Code == 206 && w.Body.Len() > 0 {
			t.Errorf("%q of %d bytes is beyond them, net/http has %q", field, size, w.Header().Get("Content-Range"))
		}
	})
}
