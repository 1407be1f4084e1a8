package test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// targetKeys are keys as they are written after /db/, and the bytes that they
// stand for.
var targetKeys = []struct{ written, key string }{
	{"plain", "plain"},
	{"a/b", "a/b"},
	{"a%2Fb", "a/b"},
	{"a%2fb", "a/b"},
	{"a//b", "a//b"},
	{"a/", "a/"},
	{"a", "a"},
	{"/", "/"},
	{"/a", "/a"},
	{"..", ".."},
	{".", "."},
	{"%2e%2e", ".."},
	{"../../etc/passwd", "../../etc/passwd"},
	{"a/../b", "a/../b"},
	{"./a", "./a"},
	{"%00", "\x00"},
	{"a%00b", "a\x00b"},
	{"%25", "%"},
	{"%2525", "%25"},
	{"+", "+"},
	{"%2B", "+"},
	{"a%20b", "a b"},
	{";", ";"},
	{"a;b=c", "a;b=c"},
	{"%3F", "?"},
	{"%3f?timeout=9s", "?"},
	{"%23", "#"},
	{"%0D%0A", "\r\n"},
	{"&=", "&="},
	{"%FF%FE", "\xff\xfe"},
	{"\xff\xfe", "\xff\xfe"},
	{"%C3%28", "\xc3("},
	{"%C3%A5", "å"},
	{"å", "å"},
	{"CaSe", "CaSe"},
	{"case", "case"},
	{strings.Repeat("k", 4096), strings.Repeat("k", 4096)},
	{strings.Repeat("%6B", 4096), strings.Repeat("k", 4096)},
}

// escaped is a key with every byte percent-encoded.
func escaped(key string) string {
	var b strings.Builder
	for i := range len(key) {
		fmt.Fprintf(&b, "%%%02X", key[i])
	}
	return b.String()
}

// A key is the bytes after /db/, decoded once and otherwise as they are. It is found under whatever
// spelling of the same bytes, at every node. Keys that are other bytes, however much alike, are
// other keys.
func TestKeysAreBytes(t *testing.T) {
	t.Parallel()
	c := shared.get(t)
	value := func(key string) string { return fmt.Sprintf("the value of %q", key) }
	for n, k := range targetKeys {
		a := send(t, c.addr(n%3), "PUT", "/db/"+k.written, value(k.key))
		if a.status != 201 && a.status != 204 {
			t.Errorf("PUT /db/%.40s: %d %s %s", k.written, a.status, a.body, a.header.Get("Location"))
		}
	}
	for n, k := range targetKeys {
		for _, spelling := range []string{k.written, escaped(k.key)} {
			a := send(t, c.addr((n+1)%3), "GET", "/db/"+spelling, "")
			if a.status != 200 || string(a.body) != value(k.key) {
				t.Errorf("GET /db/%.40s: %d %.80q, want the value of %.40q", spelling, a.status, a.body, k.key)
			}
		}
		a := send(t, c.addr((n+2)%3), "GET", "/cluster/key/"+k.written, "")
		var doc struct {
			Key       string
			KeyBase64 []byte `json:"key_base64"`
		}
		if err := json.Unmarshal(a.body, &doc); err != nil || doc.Key+string(doc.KeyBase64) != k.key {
			t.Errorf("GET /cluster/key/%.40s: %d %.100s, want the key %.40q", k.written, a.status, a.body, k.key)
		}
	}
	a := send(t, c.addr(0), "DELETE", "/db/a//b", "")
	if a.status != 204 {
		t.Errorf("DELETE: %d %s", a.status, a.body)
	}
	if a := send(t, c.addr(1), "GET", "/db/a/b", ""); a.status != 200 {
		t.Errorf("with a//b went a/b: %d %s", a.status, a.body)
	}
}

// What is no key is refused before anything is done: an empty one and a bad
// encoding with 400, one that is too long with 414, whatever the method.
func TestBadKeys(t *testing.T) {
	t.Parallel()
	c := shared.get(t)
	for _, bad := range []struct {
		written string
		status  int
	}{
		{"", 400},
		{"?w=one", 400},
		{"%", 400},
		{"%2", 400},
		{"a%zzb", 400},
		{"%G0", 400},
		{"a%", 400},
		{strings.Repeat("k", 4097), 414},
		{strings.Repeat("%6B", 4097), 414},
		{strings.Repeat("k", 15_000), 414},
		{strings.Repeat("k", 1<<20), 414},
	} {
		for n, method := range []string{"GET", "PUT", "DELETE"} {
			a := send(t, c.addr(n), method, "/db/"+bad.written, "")
			wantFailure(t, fmt.Sprintf("%s /db/%.20s (%d bytes)", method, bad.written, len(bad.written)), a, bad.status)
		}
	}
}

// A value is any bytes, none included, up to the bound; it comes back as it
// went in, at every node, with its length told.
func TestValuesAreBytes(t *testing.T) {
	t.Parallel()
	c := shared.get(t)
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	for name, value := range map[string]string{
		"empty":    "",
		"one byte": "x",
		"zero":     "\x00",
		"newlines": "\r\n\r\n",
		"every":    string(every),
		"64 KiB":   strings.Repeat(string(every), 256),
		"8 MiB":    strings.Repeat(string(every), 8<<20/256),
	} {
		target := "/db/value-" + strings.ReplaceAll(name, " ", "-")
		for n, header := range [][]string{nil, {"Transfer-Encoding: chunked"}} {
			body := value
			if header != nil {
				body = chunked(value, 100_000)
			}
			if a := send(t, c.addr(n), "PUT", target, body, header...); !a.ok() {
				t.Fatalf("PUT of %s %v: %d %.200s", name, header, a.status, a.body)
			}
			for i := range 3 {
				a := send(t, c.addr(i), "GET", target, "")
				if a.status != 200 || !bytes.Equal(a.body, []byte(value)) || a.header.Get("Content-Length") != fmt.Sprint(len(value)) {
					t.Errorf("GET of %s at node %d: %d, %d bytes (Content-Length %s), want %d equal ones",
						name, i, a.status, len(a.body), a.header.Get("Content-Length"), len(value))
				}
			}
			if a := send(t, c.addr(2), "HEAD", target, ""); a.status != 200 || a.header.Get("Content-Length") != fmt.Sprint(len(value)) {
				t.Errorf("HEAD of %s: %d %v", name, a.status, a.header)
			}
		}
	}
}

// A value that is larger than the bound is refused with an answer that the
// client gets to read, and what was there stays.
func TestTooLargeValue(t *testing.T) {
	t.Parallel()
	c := shared.get(t)
	if a := send(t, c.addr(0), "PUT", "/db/too-large", "before"); a.status != 201 {
		t.Fatalf("PUT: %d %s", a.status, a.body)
	}
	value := strings.Repeat("x", 8<<20+1)
	wantFailure(t, "8 MiB + 1", send(t, c.addr(0), "PUT", "/db/too-large", value), 413)
	wantFailure(t, "8 MiB + 1, all written before the answer is read", sendFirst(t, c.addr(0), "PUT", "/db/too-large", value), 413)
	wantFailure(t, "the same, chunked", sendFirst(t, c.addr(2), "PUT", "/db/too-large", chunked(value, 100_000), "Transfer-Encoding: chunked"), 413)
	wantFailure(t, "8 MiB + 1, chunked", send(t, c.addr(1), "PUT", "/db/too-large", chunked(value, 100_000), "Transfer-Encoding: chunked"), 413)
	wantFailure(t, "8 MiB + 1 in a form", send(t, c.addr(2), "PUT", "/db/too-large", "value="+value, "Content-Type: application/x-www-form-urlencoded"), 413)
	wantFailure(t, "1 TB of which little came", send(t, c.addr(1), "PUT", "/db/too-large", value[:16<<10], "Content-Length: 1000000000000"), 413)
	if a := send(t, c.addr(2), "GET", "/db/too-large", ""); string(a.body) != "before" {
		t.Errorf("afterwards: %d %.20q", a.status, a.body)
	}
	form := "value=" + strings.Repeat("%41", 8<<20)
	if a := send(t, c.addr(2), "PUT", "/db/large-form", form, "Content-Type: application/x-www-form-urlencoded"); a.status != 201 {
		t.Errorf("8 MiB in a form, three bytes each: %d %.100s", a.status, a.body)
	}
}

// chunked is a body in chunks of at most so many bytes.
func chunked(body string, size int) string {
	var b strings.Builder
	for len(body) > 0 {
		n := min(size, len(body))
		fmt.Fprintf(&b, "%x\r\n%s\r\n", n, body[:n])
		body = body[n:]
	}
	b.WriteString("0\r\n\r\n")
	return b.String()
}
