package client

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"httpdhs/kv"
)

// A put sends what its options say, and nothing of what they do not.
func TestPutOptions(t *testing.T) {
	var got http.Header
	query := ""
	node := newFakeNode(t, func(w http.ResponseWriter, r *http.Request) {
		got, query = r.Header, r.URL.RawQuery
		w.Header().Set("X-Dht-Acks", "1/2")
		w.Header().Set("ETag", `"7"`)
		reply(w, 201, "")
	})
	c, _ := newClient(t, Options{Addrs: []string{node.addr}, NoRouting: true})
	names := []string{"Content-Type", "Cache-Control", "Content-Encoding", "If-Match", "If-None-Match"}
	for _, tc := range []struct {
		opts  *PutOptions
		query string
		want  []string // the headers, as in names
	}{
		{nil, "", []string{"application/octet-stream", "", "", "", ""}},
		{&PutOptions{}, "", []string{"application/octet-stream", "", "", "", ""}},
		{&PutOptions{W: "2", TTL: 90 * time.Second, If: IfAbsent()}, "ttl=1m30s&w=2", []string{"application/octet-stream", "", "", "", "*"}},
		{&PutOptions{ContentType: "text/css", CacheControl: "max-age=60", ContentEncoding: "gzip", If: IfMatch(`"6"`)}, "",
			[]string{"text/css", "max-age=60", "gzip", `"6"`, ""}},
	} {
		w, err := c.Put(background, "k", nil, tc.opts)
		if err != nil || w != (Written{Created: true, ETag: `"7"`, Acks: 1, Replicas: 2}) || query != tc.query {
			t.Errorf("%+v: %+v, %v, with the query %q", tc.opts, w, err, query)
		}
		for i, name := range names {
			if strings.Join(got[name], "|") != tc.want[i] {
				t.Errorf("%+v: %s is %q, want %q", tc.opts, name, got[name], tc.want[i])
			}
		}
	}
}

// What would not arrive as it is written is refused, and not sent: above all a condition that has
// no tag, which would be none.
func TestPutRefuses(t *testing.T) {
	node := newFakeNode(t, func(http.ResponseWriter, *http.Request) {})
	c, _ := newClient(t, Options{Addrs: []string{node.addr}})
	for want, opts := range map[string]*PutOptions{
		"IfMatch has no ETag":              {If: IfMatch("")},
		"IfMatch has control characters":   {If: IfMatch("\"1\"\r\nX: y")},
		"the Content-Type has control":     {ContentType: "a\nb"},
		"the Cache-Control has control":    {CacheControl: "a\r\nb: c"},
		"the Content-Encoding is too long": {ContentEncoding: strings.Repeat("x", 300)},
	} {
		_, err := c.Put(background, "k", nil, opts)
		if wantErrors(t, want, err); err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
		if opts.If == (Condition{}) {
			continue
		}
		result := c.Batch(background, []Op{{Kind: OpPut, Key: "k", If: opts.If}}, nil)[0]
		if result.Err == nil || !strings.Contains(result.Err.Error(), want) {
			t.Errorf("of a batch: %v, want %q", result.Err, want)
		}
	}
	for want, cond := range map[error]Condition{errNoETag: IfMatch(" "), errDeleteAbsent: IfAbsent()} {
		if err := c.Delete(background, "k", &DeleteOptions{If: cond}); err != want {
			t.Errorf("a delete: %v, want %v", err, want)
		}
	}
	if asked := append(node.about("/db/"), node.about("/batch")...); len(asked) > 0 {
		t.Errorf("the node was asked: %q", asked)
	}
}

// An empty key is told as such, with nothing about paths, and is not sent.
func TestEmptyKey(t *testing.T) {
	node := newFakeNode(t, func(http.ResponseWriter, *http.Request) {})
	c, _ := newClient(t, Options{Addrs: []string{node.addr}, NoRouting: true})
	_, get := c.Get(background, "", nil)
	_, put := c.Put(background, "", nil, nil)
	_, locate := c.Locate(background, "")
	for _, err := range []error{get, put, locate, c.Delete(background, "", nil)} {
		if !errors.Is(err, kv.ErrKeyEmpty) || strings.Contains(err.Error(), "/") {
			t.Errorf("an empty key: %v", err)
		}
	}
	if asked := node.about("/"); len(asked) > 0 {
		t.Errorf("the node was asked: %q", asked)
	}
}

// An expiry is read to the millisecond, and from a node that has seconds alone, in seconds.
func TestGetReadsExpiry(t *testing.T) {
	exact := ""
	node := newFakeNode(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Expires", "Fri, 02 Jan 2026 03:04:06 GMT")
		w.Header().Set("X-Dht-Expires", exact)
		reply(w, 200, "v")
	})
	c, _ := newClient(t, Options{Addrs: []string{node.addr}})
	second := time.Date(2026, 1, 2, 3, 4, 6, 0, time.UTC)
	for text, want := range map[string]time.Time{"2026-01-02T03:04:06.789Z": second.Add(789 * time.Millisecond), "2026-01-02T03:04:06Z": second, "": second} {
		exact = text
		if v, err := c.Get(background, "k", nil); err != nil || v.Expires != want {
			t.Errorf("%q is %v, %v; want %v", text, v.Expires, err, want)
		}
	}
}

// What a node says of the caching of every value is not what a value was put with.
func TestGetReadsHeaders(t *testing.T) {
	cacheControl := ""
	node := newFakeNode(t, func(w http.ResponseWriter, _ *http.Request) {
		for name, value := range map[string]string{
			"Content-Type": "text/css", "Content-Encoding": "gzip", "ETag": `"7"`, "Cache-Control": cacheControl,
			"Last-Modified": "Fri, 02 Jan 2026 03:04:05 GMT", "Expires": "Fri, 02 Jan 2026 03:04:06 GMT",
		} {
			w.Header().Set(name, value)
		}
		reply(w, 200, "not gzip")
	})
	c, _ := newClient(t, Options{Addrs: []string{node.addr}})
	for answered, want := range map[string]string{
		"max-age=60": "max-age=60", "no-cache, no-transform": "", "private, no-cache, no-transform": "",
	} {
		cacheControl = answered
		v, err := c.Get(background, "k", nil)
		at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
		if err != nil || string(v.Data) != "not gzip" || v.ContentType != "text/css" || v.ContentEncoding != "gzip" ||
			v.CacheControl != want || v.ETag != `"7"` || !v.Modified.Equal(at) || !v.Expires.Equal(at.Add(time.Second)) {
			t.Errorf("%q: %+v, %v", answered, v, err)
		}
	}
}

// A batch sends what its operations say, and refuses a field that an operation does not have.
func TestBatchLines(t *testing.T) {
	body := ""
	node := newFakeNode(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/batch" {
			w.WriteHeader(404)
			return
		}
		all := make([]byte, r.ContentLength)
		_, _ = r.Body.Read(all)
		body = string(all)
		reply(w, 200, `{"status":412,"etag":"\"9\"","error":"it changed"}`+"\n"+
			`{"status":204}`+"\n"+
			`{"status":200,"value_base64":"/w==","content_type":"a/b","cache_control":"max-age=1","content_encoding":"br","etag":"\"8\""}`+"\n")
	})
	c, _ := newClient(t, Options{Addrs: []string{node.addr}})
	got := c.Batch(background, []Op{
		{Kind: OpPut, Key: "<a>", Value: []byte("\xff"), If: IfMatch(`"6"`), TTL: time.Minute,
			ContentType: "t", CacheControl: "c", ContentEncoding: "e"},
		{Kind: OpPut, Key: "\xff", If: IfAbsent()},
		{Kind: OpGet, Key: "g"},
	}, nil)
	want := `{"op":"put","key":"<a>","if_match":"\"6\"","value_base64":"/w==","content_type":"t","cache_control":"c","content_encoding":"e","ttl":"1m0s"}
{"op":"put","key_base64":"/w==","if_none_match":"*","value":""}
{"op":"get","key":"g"}
`
	if body != want {
		t.Errorf("sent\n%s\nwant\n%s", body, want)
	}
	var status *StatusError
	if !errors.Is(got[0].Err, ErrConditionFailed) || !errors.As(got[0].Err, &status) || status.ETag != `"9"` || got[1].Err != nil {
		t.Errorf("writes: %+v", got[:2])
	}
	if v := got[2].Value; string(v.Data) != "\xff" || v.ContentType != "a/b" || v.CacheControl != "max-age=1" || v.ContentEncoding != "br" || v.ETag != `"8"` {
		t.Errorf("a get: %+v", v)
	}
	body = ""
	for i, r := range c.Batch(background, []Op{
		{Key: "k"}, {Kind: 9, Key: "k"}, {Kind: OpGet, Value: []byte("v")}, {Kind: OpDelete, TTL: 1}, {Kind: OpGet, CacheControl: "c"},
		{Kind: OpGet, If: IfAbsent()}, {Kind: OpPut, ContentType: "\xff"}, {Kind: OpPut, If: IfMatch("\xff")},
		{Kind: OpGet}, {Kind: OpPut, Value: []byte("v")}, {Kind: OpDelete}, {Kind: OpDelete, Key: "k", If: IfAbsent()},
	}, nil) {
		if want := []error{errNoKind, errNoKind, errOnlyOfPut, errOnlyOfPut, errOnlyOfPut, errGetIf, errNotUTF8, errNotUTF8,
			kv.ErrKeyEmpty, kv.ErrKeyEmpty, kv.ErrKeyEmpty, errDeleteAbsent}[i]; r.Err != want {
			t.Errorf("operation %d: %v, want %v", i, r.Err, want)
		}
	}
	if body != "" {
		t.Errorf("sent %q", body)
	}
}
