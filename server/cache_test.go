package server

import (
	"strings"
	"testing"

	"httpdhs/internal/format"
	"httpdhs/kv"
)

// Whatever the answer under /db is, a cache asks before it uses it again, and no
// proxy changes it; where a token is set, no shared cache keeps it.
func TestCachesAskAgain(t *testing.T) {
	for token, want := range map[string]string{"": "no-cache, no-transform", "t": "private, no-cache, no-transform"} {
		f := start(t, Options{AuthToken: token, Limits: kv.Limits{MaxKeyBytes: 100, MaxValueBytes: 100}})
		auth := "Authorization: Bearer " + token
		tag := f.send("PUT", "/db/k?ttl=1h", "v", auth).header.Get("ETag")
		statuses := make(map[int]bool)
		for _, r := range []struct{ method, target, body, header string }{
			{"PUT", "/db/k?ttl=1h", "v", auth},
			{"PUT", "/db/new", "v", auth},
			{"GET", "/db/k", "", auth},
			{"HEAD", "/db/k", "", auth},
			{"GET", "/db/k", "", auth + "\r\nIf-None-Match: *"},
			{"GET", "/db/k", "", auth + "\r\nIf-Match: " + tag},
			{"GET", "/db/none", "", auth},
			{"HEAD", "/db/none", "", auth},
			{"DELETE", "/db/k", "", auth},
			{"GET", "/db", "", auth},
			{"GET", "/db?values=1", "", auth + "\r\nAccept: application/x-ndjson"},
			{"GET", "/db?limit=0", "", auth},
			{"PATCH", "/db/k", "", auth},
			{"GET", "/db/%", "", auth},
			{"GET", "/db/" + strings.Repeat("k", 101), "", auth},
			{"GET", "/db/" + strings.Repeat("k", 100_000), "", auth}, // never becomes a request
			{"PUT", "/db/k", strings.Repeat("v", 101), auth},
			{"GET", "/db/k", "", "Authorization: none"},
			{"PUT", "/db/k", "v", "Origin: null"},
			{"GET", "/cluster", "", auth},
			{"GET", "/metrics", "", auth},
		} {
			a := f.send(r.method, r.target, r.body, r.header)
			statuses[a.status] = true
			if got := a.header.Values("Cache-Control"); len(got) != 1 || got[0] != want {
				t.Errorf("%s %.20s with %q: %d, Cache-Control %q, want %q", r.method, r.target, r.header, a.status, got, want)
			}
		}
		f.store.fail = kv.ErrUnavailable
		if a := f.send("GET", "/db/k", "", auth); a.status != 503 || a.header.Get("Cache-Control") != want {
			t.Errorf("%d, Cache-Control %q", a.status, a.header.Get("Cache-Control"))
		}
		for _, status := range []int{200, 201, 204, 304, 400, 403, 404, 405, 412, 413, 414} {
			if !statuses[status] {
				t.Errorf("no answer was a %d: %v", status, statuses)
			}
		}
	}
}

// Cache-Control and Content-Encoding are kept as they were sent and come back
// with the value, and no longer when it is replaced.
func TestWhatAWriterSaysOfAValue(t *testing.T) {
	const gzipped = "\x1f\x8b\x08 not really"
	f := start(t, Options{})
	f.send("PUT", "/db/k", gzipped, "Content-Type: text/css", "Content-Encoding: gzip", "Cache-Control: max-age=60,  Public").want(t, 201)
	for _, more := range [][]string{nil, {"If-None-Match: *"}} {
		for _, method := range []string{"GET", "HEAD"} {
			a := f.send(method, "/db/k", "", more...)
			h := a.header
			if got := h.Values("Cache-Control"); len(got) != 1 || got[0] != "max-age=60,  Public" {
				t.Errorf("%s: %d, Cache-Control %q", method, a.status, got)
			}
			if a.status == 200 && (h.Get("Content-Encoding") != "gzip" || h.Get("Content-Type") != "text/css" || h.Get("Content-Length") != itoa(len(gzipped))) {
				t.Errorf("%s: %v", method, h)
			}
			if a.status == 200 && method == "GET" && a.body != gzipped {
				t.Errorf("GET: %q", a.body)
			}
		}
	}
	f.send("PUT", "/db/k", "value=b", "Content-Type: application/x-www-form-urlencoded", "Cache-Control: no-store").want(t, 204)
	a := f.send("GET", "/db/k", "")
	if h := a.header; a.body != "b" || h.Get("Cache-Control") != "no-store" || h.Get("Content-Type") != string(typeText) || h.Get("Content-Encoding") != "" {
		t.Errorf("GET: %q %v", a.body, h)
	}
	f.send("PUT", "/db/k", "c", "Content-Encoding: gzip", "Content-Encoding: br").want(t, 204)
	a = f.send("GET", "/db/k", "")
	if h := a.header; h.Get("Content-Encoding") != "gzip, br" || h.Get("Content-Type") != string(typeBytes) || h.Get("Cache-Control") != "no-cache, no-transform" {
		t.Errorf("GET: %v", h)
	}
	for _, added := range []string{"no-cache", "Max-Age=0"} { // by browsers
		f.send("PUT", "/db/k", "c", "Cache-Control: "+added).want(t, 204)
		if got := f.send("GET", "/db/k", "").header.Get("Cache-Control"); got != "no-cache, no-transform" {
			t.Errorf("put with %s: Cache-Control %q", added, got)
		}
	}
	long := f.send("PUT", "/db/k", "d", "Content-Type: text/plain", "Cache-Control: "+strings.Repeat("c", 250))
	if long.want(t, 400); !strings.Contains(long.body, "the Cache-Control is too long") {
		t.Errorf("%s", long.body)
	}
	f.send("PUT", "/db/k", "d", "Content-Encoding: a\x01b").want(t, 400)
	if a := f.send("GET", "/db/k", ""); a.body != "c" {
		t.Errorf("a refused PUT stored %q", a.body)
	}
}

// What says nothing of a value is kept by no way in: the types of forms are of requests. What JSON
// could not give back as it came is taken by none.
func TestEveryWayInKeepsTheSame(t *testing.T) {
	f := start(t, Options{})
	binary := func(contentType string) string {
		return string(kv.AppendRecord(nil, &kv.Record{Key: []byte("k"), Entry: kv.Entry{Value: []byte("v"), Meta: kv.Meta(contentType)}}))
	}
	pair := func(contentType string) string {
		return `{"op":"put","key":"k","value":"v","content_type":"` + strings.ReplaceAll(contentType, `"`, `\"`) + `"}`
	}
	ways := map[string]func(contentType string) answer{
		"PUT":   func(c string) answer { return f.send("PUT", "/db/k", "v", "Content-Type: "+c) },
		"batch": func(c string) answer { return f.send("POST", "/batch", pair(c)) },
		"binary batch": func(c string) answer {
			return f.send("POST", "/batch", binary(c), "Content-Type: "+format.TypeBinary, "Accept: "+format.TypeNDJSON)
		},
		"load-data": func(c string) answer {
			return f.send("POST", "/load-data", pair(c), "Content-Type: "+format.TypeNDJSON)
		},
		"binary load-data": func(c string) answer {
			return f.send("POST", "/load-data", binary(c), "Content-Type: "+format.TypeBinary)
		},
	}
	for name, way := range ways {
		for sent, want := range map[string]string{
			"application/x-www-form-urlencoded": "", "Multipart/Form-Data; boundary=b": "", "application/octet-stream": "",
			"text/plain; name=\"café\"": "text/plain; name=\"café\"",
		} {
			f.send("DELETE", "/db/k", "").want(t, 204)
			a := way(sent)
			if e, ok := f.store.entry("k"); !ok || string(e.Meta) != want {
				t.Errorf("%s with %s: kept as %q (%d %s)", name, sent, e.Meta, a.status, a.body)
			}
		}
		f.send("DELETE", "/db/k", "").want(t, 204)
		a := way("text/plain; name=\"caf\xe9\"")
		if e, ok := f.store.entry("k"); ok && !e.Tombstone || !strings.Contains(a.body, "UTF-8") {
			t.Errorf("%s with Latin-1: stored %v, %d %s", name, ok, a.status, a.body)
		}
	}
	f.send("PUT", "/db/k", "v", "Cache-Control: max-age=1, \xff").want(t, 400)
	f.send("PUT", "/db/k", "v", "Content-Encoding: \xff").want(t, 400)
}

// A listing with values has what their writers said of them, and can be loaded.
func TestMetadataGoesThroughADump(t *testing.T) {
	f := start(t, Options{})
	f.send("PUT", "/db/k", "v", "Content-Type: a/b", "Content-Encoding: gzip", "Cache-Control: max-age=60").want(t, 201)
	const members = `"content_type":"a/b","cache_control":"max-age=60","content_encoding":"gzip"`
	dump := f.send("GET", "/db?values=1", "", "Accept: application/x-ndjson").body
	if !strings.Contains(dump, members) {
		t.Fatalf("the dump is %s", dump)
	}
	f.send("DELETE", "/db/k", "").want(t, 204)
	if a := f.send("POST", "/load-data", dump, "Content-Type: application/x-ndjson"); !strings.Contains(a.body, `"loaded":1,"failed":0`) {
		t.Fatalf("%d %s", a.status, a.body)
	}
	h := f.send("GET", "/db/k", "").header
	if h.Get("Cache-Control") != "max-age=60" || h.Get("Content-Encoding") != "gzip" || h.Get("Content-Type") != "a/b" {
		t.Errorf("%v", h)
	}
	if a := f.send("POST", "/batch", `{"op":"get","key":"k"}`); !strings.Contains(a.body, members) {
		t.Errorf("%s", a.body)
	}
}
