package server

import (
	"fmt"
	"strings"
	"testing"

	"httpdhs/kv"
)

var keyTable = []struct{ raw, key string }{
	{"a/b", "a/b"}, {"a%2Fb", "a/b"}, {"a%2fb", "a/b"}, {"..", ".."}, {".", "."}, {"../..", "../.."}, {"a/../b", "a/../b"},
	{"a//b", "a//b"}, {"/", "/"}, {"a/", "a/"}, {"%00", "\x00"}, {"%25", "%"}, {"%2525", "%25"}, {"+", "+"}, {"%2B", "+"},
	{";", ";"}, {"a;b=c", "a;b=c"}, {"%3F", "?"}, {"%FF%FE", "\xff\xfe"}, {"\xff\xfe", "\xff\xfe"}, {"å", "å"}, {"%C3%A5", "å"},
	{"a%20b", "a b"}, {"a#b", "a#b"}, {"http://x/y", "http://x/y"}, {"a:b", "a:b"}, {"*", "*"}, {"~", "~"}, {"%2e%2e", ".."},
	{"/db/a", "/db/a"}, {"%0d%0aX:y", "\r\nX:y"}, {"&=", "&="}, {"\\", "\\"}, {"internal/x", "internal/x"},
	{strings.Repeat("k", 4096), strings.Repeat("k", 4096)},
	{strings.Repeat("%6b", 4096), strings.Repeat("k", 4096)},
	{strings.Repeat("%ff", 4096), strings.Repeat("\xff", 4096)},
}

// A key is the bytes after /db/, decoded once and never tidied, however the
// target is written.
func TestKeys(t *testing.T) {
	f := start(t, Options{})
	for _, c := range keyTable {
		for _, form := range []string{"/db/%s", "http://x/db/%s", "/db/%s?timeout=4s"} {
			target := fmt.Sprintf(strings.Replace(form, "%s", "%[1]s", 1), c.raw)
			f.store.entries = make(map[string]kv.Entry)
			if a := f.send("PUT", target, "v"); a.status != 201 {
				t.Errorf("PUT %.60q: %d %s", target, a.status, a.body)
				continue
			}
			if _, ok := f.store.entry(c.key); !ok || f.store.size() != 1 {
				t.Errorf("PUT %.60q did not store the key %.60q alone", target, c.key)
			}
			if a := f.send("GET", target, ""); a.status != 200 || a.body != "v" {
				t.Errorf("GET %.60q: %d %s", target, a.status, a.body)
			}
		}
	}
}

// A key that is malformed, empty or too long is refused, and nothing is stored.
func TestBadKeys(t *testing.T) {
	f := start(t, Options{})
	for raw, status := range map[string]int{
		"": 400, "?a": 400, "%": 400, "%2": 400, "a%": 400, "%zz": 400, "%g0": 400, "%%": 400, "%2 ": 400,
		strings.Repeat("k", 4097): 414, strings.Repeat("%6b", 4097): 414, strings.Repeat("k", 10000): 414,
		strings.Repeat("k", 100_000): 414,
	} {
		for _, method := range []string{"PUT", "GET", "DELETE"} {
			if a := f.send(method, "/db/"+raw, "v"); a.status != status {
				t.Errorf("%s of key %.20q (%d bytes): %d, want %d", method, raw, len(raw), a.status, status)
			}
		}
	}
	if f.store.size() != 0 {
		t.Error("a refused key was stored")
	}
}

// The same decoding for /cluster/key/.
func TestClusterKeys(t *testing.T) {
	f := start(t, Options{})
	a := f.send("GET", "/cluster/key/a/../b%2F%2f", "")
	a.want(t, 200)
	if !strings.Contains(a.body, `"key":"a/../b//"`) {
		t.Errorf("answer is %s", a.body)
	}
	f.send("GET", "/cluster/key/", "").want(t, 400)
	f.send("GET", "/cluster/key/%", "").want(t, 400)
}

// Whatever is decoded is what encoding it gives back, and nothing else is
// accepted.
func FuzzDecodeKey(f *testing.F) {
	for _, c := range keyTable {
		f.Add([]byte(c.raw))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		lim := kv.DefaultLimits()
		key, err := decodeKey(nil, raw, &lim)
		if err != nil {
			return
		}
		if len(key) == 0 || len(key) > lim.MaxKeyBytes || len(key) > len(raw) {
			t.Fatalf("%q decodes to %d bytes", raw, len(key))
		}
		var encoded []byte
		for _, c := range key {
			encoded = fmt.Appendf(encoded, "%%%02X", c)
		}
		again, err := decodeKey(nil, encoded, &lim)
		if err != nil || string(again) != string(key) {
			t.Fatalf("%q decodes to %q, which encoded decodes to %q, %v", raw, key, again, err)
		}
		if !strings.Contains(string(raw), "%") && string(key) != string(raw) {
			t.Fatalf("%q decodes to %q", raw, key)
		}
	})
}

func FuzzFormValue(f *testing.F) {
	for _, body := range []string{"value=a+b", "value=%", "value=%41&x=%", "value", "value=&", "other=1"} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		in := string(body)
		value, ok, err := formValue(body)
		if ok != strings.HasPrefix(in, "value=") {
			t.Fatalf("%q is a form: %v", in, ok)
		}
		if !ok || err != nil {
			return
		}
		field, _, _ := strings.Cut(in[len("value="):], "&")
		if len(value) != len(field)-2*strings.Count(field, "%") || len(in) > formRawMax(len(value)) && !strings.Contains(in, "&") {
			t.Fatalf("%q decodes to %q", in, value)
		}
	})
}
