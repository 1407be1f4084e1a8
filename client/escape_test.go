package client

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

var oddKeys = []string{
	"plain", "a/b", "..", ".", "...", "a/../b", "./a", "a//b", "a/", "/a", "/", "//", "\x00", "%", "%2F", "%zz", "+",
	" ", ";", "?", "?a=b", "#", "a&b=c", "å", "日本", "\xff\xfe", "a\r\nb", "\x7f", "\"", "\\", "http://x/y", "*", ":", "@",
}

// A key arrives such that one decoding gives exactly its bytes, with nothing
// in the target that anyone on the way would normalise.
func TestKeysArriveAsTheyAre(t *testing.T) {
	var got string
	node := newFakeNode(t, func(_ http.ResponseWriter, r *http.Request) { got = r.RequestURI })
	c, _ := newClient(t, Options{Addrs: []string{node.addr}})
	for _, key := range oddKeys {
		if _, err := c.Put(context.Background(), key, []byte("v"), nil); err != nil {
			t.Errorf("put of %q: %v", key, err)
			continue
		}
		raw, ok := strings.CutPrefix(got, "/db/")
		back, err := url.PathUnescape(raw)
		if !ok || err != nil || back != key {
			t.Errorf("the key %q arrived as %q, which is %q", key, got, back)
		}
	}
}

func FuzzAppendKey(f *testing.F) {
	for _, key := range oddKeys {
		f.Add([]byte(key))
	}
	f.Fuzz(func(t *testing.T, key []byte) {
		raw := string(appendKey(nil, string(key)))
		back, err := url.PathUnescape(raw)
		if err != nil || back != string(key) {
			t.Fatalf("%q became %q, which is %q (%v)", key, raw, back, err)
		}
		if strings.ContainsAny(raw, "/?#") || raw == "." || raw == ".." {
			t.Fatalf("%q became %q, which has a meaning in a path", key, raw)
		}
	})
}
