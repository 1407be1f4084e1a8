package server

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"httpdhs/kv"
)

type listed struct {
	Keys   []json.RawMessage
	Cursor string
}

type listedRecord struct {
	Key         string
	KeyBase64   []byte `json:"key_base64"`
	Value       string
	ValueBase64 []byte `json:"value_base64"`
	ContentType string `json:"content_type"`
	ETag        string
	Expires     *time.Time
}

// keyOf is the key that an element of a list names.
func keyOf(t *testing.T, element json.RawMessage) string {
	t.Helper()
	var key string
	if element[0] == '"' {
		if err := json.Unmarshal(element, &key); err != nil {
			t.Errorf("%s: %v", element, err)
		}
		return key
	}
	var r listedRecord
	if err := json.Unmarshal(element, &r); err != nil {
		t.Errorf("%s: %v", element, err)
	}
	if r.KeyBase64 != nil {
		return string(r.KeyBase64)
	}
	return r.Key
}

func (f *fixture) fill(keys ...string) {
	for _, key := range keys {
		f.store.entries[key] = kv.Entry{Version: 1 << 30, Value: []byte("v" + key)}
	}
}

// pages follows the cursor to the end.
func (f *fixture) pages(query string) (keys []string, pages int) {
	f.t.Helper()
	cursor := ""
	for {
		a := f.send("GET", "/db?"+query+cursor, "")
		a.want(f.t, 200)
		var l listed
		if err := json.Unmarshal([]byte(a.body), &l); err != nil {
			f.t.Fatalf("%v in %.200s", err, a.body)
		}
		for _, element := range l.Keys {
			keys = append(keys, keyOf(f.t, element))
		}
		if pages++; l.Cursor == "" {
			slices.Sort(keys)
			return keys, pages
		}
		cursor = "&cursor=" + l.Cursor
	}
}

var oddKeys = []string{"a", "b/c", "\x00\x1f\n\t\r", `"\`, "\xff\xfe", "å", "\u2028", "</script>", " ", "🂡", "\x7f"}

// Every key is listed once, whatever its bytes and the page size are.
func TestList(t *testing.T) {
	f := start(t, Options{})
	if a := f.send("GET", "/db", ""); a.body != `{"keys":[]}`+"\n" {
		t.Errorf("an empty list is %s", a.body)
	}
	all := slices.Clone(oddKeys)
	for i := range 2000 {
		all = append(all, fmt.Sprintf("key-%d", i))
	}
	slices.Sort(all)
	f.fill(all...)
	for query, pages := range map[string]int{"": 3, "limit=1000": 3, "limit=10000": 1, "limit=77&values=1": 27, "values=true&limit=10000": 1} {
		if keys, n := f.pages(query); !slices.Equal(keys, all) || n != pages {
			t.Errorf("?%s: %d keys on %d pages, want %d on %d", query, len(keys), n, len(all), pages)
		}
	}
	if keys, _ := f.pages("prefix=key-199"); len(keys) != 11 {
		t.Errorf("prefix: %q", keys)
	}
	if keys, _ := f.pages("prefix=%c3"); len(keys) != 1 || keys[0] != "å" {
		t.Errorf("prefix that is not UTF-8: %q", keys)
	}
	for _, query := range []string{"limit=0", "limit=-1", "limit=10001", "limit=x", "cursor=x", "cursor=1", "cursor=-000000000000001", "values=x", "prefix=%", "timeout=0"} {
		f.send("GET", "/db?"+query, "").want(t, 400)
	}
	f.send("HEAD", "/db", "").want(t, 200)
	f.store.list = func(*kv.ListRequest) error { return kv.ErrUnavailable }
	f.send("GET", "/db", "").want(t, 503)
	f.send("GET", "/db", "", "Accept: application/x-ndjson").want(t, 503)
}

// With values a page is also bounded in bytes: fewer records, and a cursor.
func TestListPageBytes(t *testing.T) {
	f := start(t, Options{})
	var all []string
	value := bytes.Repeat([]byte("v"), 1<<20)
	for i := range 40 {
		key := fmt.Sprintf("k%02d", i)
		all = append(all, key)
		f.store.entries[key] = kv.Entry{Version: 1 << 30, Value: value}
	}
	keys, pages := f.pages("values=1&limit=10000")
	if !slices.Equal(keys, all) || pages < 5 || pages > 7 {
		t.Errorf("%d keys on %d pages", len(keys), pages)
	}
	for _, r := range f.store.pages {
		if r.Limit > 2*chunkValuesFirst {
			t.Errorf("asked for %d records of 1 MiB", r.Limit)
		}
	}
	f.store.pages = nil
	if a := f.send("GET", "/db?values=1", "", "Accept: application/x-ndjson"); strings.Count(a.body, "\n") != len(all) {
		t.Errorf("the stream has %d lines", strings.Count(a.body, "\n"))
	}
	asked := 0
	for _, r := range f.store.pages {
		asked += r.Limit
	}
	if asked > 2*len(all) {
		t.Errorf("asked for %d records to stream %d", asked, len(all))
	}
}

// The bound holds as well where large values come after many small ones.
func TestListPageBytesUneven(t *testing.T) {
	f := start(t, Options{})
	var all []string
	for i := range 400 {
		all = append(all, fmt.Sprintf("k%03d", i))
	}
	slices.SortFunc(all, func(a, b string) int { return cmp.Compare(kv.Hash([]byte(a)), kv.Hash([]byte(b))) })
	large := bytes.Repeat([]byte("v"), 1<<20)
	for i, key := range all {
		value := []byte("v")
		if i > 370 {
			value = large
		}
		f.store.entries[key] = kv.Entry{Version: 1 << 30, Value: value}
	}
	var got []string
	for cursor, more := "", true; more; {
		a := f.send("GET", "/db?values=1&limit=10000"+cursor, "")
		if len(a.body) > pageBytesMax+2<<20 {
			t.Errorf("a page of %d bytes", len(a.body))
		}
		var l listed
		if err := json.Unmarshal([]byte(a.body), &l); err != nil {
			t.Fatal(err)
		}
		for _, element := range l.Keys {
			got = append(got, keyOf(t, element))
		}
		cursor, more = "&cursor="+l.Cursor, l.Cursor != ""
	}
	if !slices.Equal(got, all) {
		t.Errorf("%d keys of %d, or in another order", len(got), len(all))
	}
}

// A stream is one record a line, in the form that /load-data reads.
func TestListStream(t *testing.T) {
	f := start(t, Options{})
	for i := range 3000 {
		f.fill(fmt.Sprintf("key-%d", i))
	}
	f.fill(oddKeys...)
	at := time.Now().Add(time.Hour).Truncate(time.Millisecond)
	f.store.entries["full"] = kv.Entry{Version: 1 << 40, Expires: at.UnixMilli(), Meta: []byte("a/b"), Value: []byte("\xff")}
	for _, query := range []string{"", "?values=1"} {
		a := f.send("GET", "/db"+query, "", "Accept: application/x-ndjson")
		a.want(t, 200)
		if a.header.Get("Content-Type") != "application/x-ndjson" {
			t.Errorf("type is %q", a.header.Get("Content-Type"))
		}
		seen := map[string]bool{}
		for line := range strings.Lines(a.body) {
			var r listedRecord
			if err := json.Unmarshal([]byte(line), &r); err != nil {
				t.Fatalf("%v in %q", err, line)
			}
			key := keyOf(t, json.RawMessage(line))
			e, ok := f.store.entry(key)
			value := r.Value
			if r.ValueBase64 != nil {
				value = string(r.ValueBase64)
			}
			if !ok || seen[key] || (query != "" && value != string(e.Value)) || (query == "" && strings.Contains(line, "value")) {
				t.Errorf("line %q", line)
			}
			if key == "full" && query != "" && (r.ContentType != "a/b" || !r.Expires.Equal(at) || r.ETag != `"10000000000"`) {
				t.Errorf("line %q", line)
			}
			seen[key] = true
		}
		if len(seen) != f.store.size() {
			t.Errorf("%d keys of %d", len(seen), f.store.size())
		}
	}
	if a := f.send("GET", "/db?limit=7", "", "Accept: application/x-ndjson"); strings.Count(a.body, "\n") != 7 {
		t.Errorf("limit=7: %s", a.body)
	}
}

// A stream that fails is cut before its last chunk: never a short list that
// looks like a whole one.
func TestListStreamFails(t *testing.T) {
	f := start(t, Options{})
	for i := range 5000 {
		f.fill(fmt.Sprintf("key-%d", i))
	}
	calls := 0
	f.store.list = func(*kv.ListRequest) error {
		if calls++; calls > 2 {
			return kv.ErrUnavailable
		}
		return nil
	}
	c := f.dial()
	defer c.Close()
	fmt.Fprintf(c, "GET /db HTTP/1.1\r\nHost: x\r\nAccept: application/x-ndjson\r\n\r\n")
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if res.StatusCode != 200 || !errors.Is(err, io.ErrUnexpectedEOF) || len(body) == 0 {
		t.Errorf("status %d, %d bytes, error %v", res.StatusCode, len(body), err)
	}
	if out := f.raw("GET /db HTTP/1.0\r\nAccept: application/x-ndjson\r\n\r\n"); !strings.HasPrefix(out, "HTTP/1.1 400") {
		t.Errorf("a stream in HTTP/1.0: %.100q", out)
	}
}

// Every string survives JSON, and bytes that are no string go as base64.
func TestJSONString(t *testing.T) {
	for c := range 0x180 {
		s := "a" + string(rune(c)) + "b"
		var got string
		if err := json.Unmarshal(appendJSONString(nil, []byte(s)), &got); err != nil || got != s {
			t.Errorf("%q becomes %q, %v", s, got, err)
		}
	}
	b := appendBytesField(nil, "k", []byte("\xff"))
	if string(b) != `"k_base64":"`+base64.StdEncoding.EncodeToString([]byte("\xff"))+`"` {
		t.Errorf("bytes become %s", b)
	}
}
