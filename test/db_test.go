package test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"httpdhs/internal/poll"
)

// wantAnswer says that the answer has that status, and carries the name of the
// node that gave it.
func wantAnswer(t *testing.T, c *cluster, i int, what string, a answer, status int) {
	t.Helper()
	if a.status != status || a.header.Get("X-Dht-Node") != c.addr(i) {
		t.Errorf("%s: %d from %q, want %d from %s; body %.200q", what, a.status, a.header.Get("X-Dht-Node"), status, c.addr(i), a.body)
	}
}

// PUT is 201 for a new key and 204 for one that it replaces. GET and HEAD tell all that there is to
// tell of it. DELETE is 204 whether or not it was there. The acknowledgements are counted and the
// entity tag names the version.
func TestPutGetDelete(t *testing.T) {
	t.Parallel()
	c := shared.get(t)
	wantAnswer(t, c, 0, "GET before", send(t, c.addr(0), "GET", "/db/life", ""), 404)
	wantAnswer(t, c, 0, "HEAD before", send(t, c.addr(0), "HEAD", "/db/life", ""), 404)
	first := send(t, c.addr(0), "PUT", "/db/life", "one")
	wantAnswer(t, c, 0, "first PUT", first, 201)
	second := send(t, c.addr(1), "PUT", "/db/life", "two")
	wantAnswer(t, c, 1, "second PUT", second, 204)
	for _, put := range []answer{first, second} {
		tag := put.header.Get("ETag")
		if put.header.Get("X-Dht-Acks") != "2/2" || len(tag) < 3 || tag[0] != '"' || len(put.body) != 0 {
			t.Errorf("PUT: %v %q", put.header, put.body)
		}
	}
	if first.header.Get("ETag") == second.header.Get("ETag") {
		t.Error("two versions have one entity tag")
	}
	for i := range 3 {
		get := send(t, c.addr(i), "GET", "/db/life", "")
		wantAnswer(t, c, i, "GET", get, 200)
		modified, err := http.ParseTime(get.header.Get("Last-Modified"))
		if string(get.body) != "two" || get.header.Get("ETag") != second.header.Get("ETag") ||
			get.header.Get("Content-Type") != "application/octet-stream" || get.header.Get("Content-Length") != "3" ||
			err != nil || time.Since(modified).Abs() > time.Hour || get.header.Get("Expires") != "" {
			t.Errorf("GET: %q %v %v", get.body, get.header, err)
		}
		head := send(t, c.addr(i), "HEAD", "/db/life", "")
		wantAnswer(t, c, i, "HEAD", head, 200)
		for _, name := range []string{"ETag", "Content-Type", "Content-Length"} {
			if head.header.Get(name) != get.header.Get(name) {
				t.Errorf("HEAD says %s: %q, GET %q", name, head.header.Get(name), get.header.Get(name))
			}
		}
		// Last-Modified is never after Date. Where Date is behind the version,
		// it is Date, and a later answer may tell a later time.
		again := head.header.Get("Last-Modified")
		if at := get.header.Get("Last-Modified"); again != at && at != get.header.Get("Date") {
			t.Errorf("HEAD says Last-Modified: %q, GET %q with Date: %q", again, at, get.header.Get("Date"))
		}
		if len(head.body) != 0 {
			t.Errorf("HEAD has a body %q", head.body)
		}
	}
	wantAnswer(t, c, 2, "DELETE", send(t, c.addr(2), "DELETE", "/db/life", ""), 204)
	wantAnswer(t, c, 0, "DELETE again", send(t, c.addr(0), "DELETE", "/db/life", ""), 204)
	for i := range 3 {
		a := send(t, c.addr(i), "GET", "/db/life", "")
		wantAnswer(t, c, i, "GET after", a, 404)
		wantFailure(t, "GET after", a, 404)
	}
	wantAnswer(t, c, 0, "PUT after", send(t, c.addr(0), "PUT", "/db/life", "again"), 201)
}

// What curl -d sends is a form: of one that begins with value= that field is the value, decoded,
// and nothing else may be in it; any other body is the value as it is. The type of a value is kept
// and given back, a form's never.
func TestFormsAndTypes(t *testing.T) {
	t.Parallel()
	c := shared.get(t)
	const form, text = "application/x-www-form-urlencoded", "text/plain; charset=utf-8"
	const bytes = "application/octet-stream"
	for n, row := range []struct{ sent, body, value, given string }{
		{form, "value=myvalue", "myvalue", text},
		{form + "; charset=UTF-8", "value=a%20b+c%26d%25", "a b c&d%", text},
		{form, "value=", "", text},
		{form, "value=%00%FF", "\x00\xff", text},
		{form, "other=x&value=y", "other=x&value=y", bytes},
		{form, "a+b%20c", "a+b%20c", bytes},
		{form, "", "", bytes},
		{"", "value=x", "value=x", bytes},
		{"text/plain", "value=x", "value=x", "text/plain"},
		{"image/png", "\x89PNG\r\n", "\x89PNG\r\n", "image/png"},
		{"application/json", `{"a":1}`, `{"a":1}`, "application/json"},
		{bytes, "x", "x", bytes},
		{"text/html; charset=iso-8859-1", "<p>", "<p>", "text/html; charset=iso-8859-1"},
	} {
		target := fmt.Sprintf("/db/form-%d", n)
		var header []string
		if row.sent != "" {
			header = []string{"Content-Type: " + row.sent}
		}
		wantAnswer(t, c, n%3, "PUT", send(t, c.addr(n%3), "PUT", target, row.body, header...), 201)
		for i := range 3 {
			a := send(t, c.addr(i), "GET", target, "")
			if string(a.body) != row.value || a.header.Get("Content-Type") != row.given {
				t.Errorf("%q as %q: %q as %q, want %q as %q", row.body, row.sent, a.body, a.header.Get("Content-Type"), row.value, row.given)
			}
		}
	}
	wantFailure(t, "a form with more fields", send(t, c.addr(0), "PUT", "/db/form-bad", "value=first&value=second&x=y", "Content-Type: "+form), 400)
	wantFailure(t, "a form with a bad encoding", send(t, c.addr(0), "PUT", "/db/form-bad", "value=%zz", "Content-Type: "+form), 400)
}

// A value with a time to live says when it expires, and is gone then, at every
// node; one that is written again without is there to stay.
func TestExpiry(t *testing.T) {
	t.Parallel()
	c := shared.get(t)
	for n, ttl := range []string{"1s", "1", "500ms"} {
		target := fmt.Sprintf("/db/ttl-%d", n)
		wantAnswer(t, c, n, "PUT", send(t, c.addr(n), "PUT", target+"?ttl="+ttl, "x"), 201)
		for i := range 3 {
			poll.Until(t, target+" expires", func() error {
				if a := send(t, c.addr(i), "GET", target, ""); a.status != 404 {
					return fmt.Errorf("GET at node %d: %d", i, a.status)
				}
				return nil
			})
		}
		wantAnswer(t, c, 0, "PUT after it expired", send(t, c.addr(0), "PUT", target, "x"), 201)
	}
	for _, ttl := range []string{"1h30m", "5400"} {
		start := time.Now()
		send(t, c.addr(0), "PUT", "/db/ttl-long?ttl="+ttl, "x")
		a := send(t, c.addr(1), "GET", "/db/ttl-long", "")
		expires, err := http.ParseTime(a.header.Get("Expires"))
		if err != nil || expires.Before(start.Add(89*time.Minute)) || expires.After(time.Now().Add(91*time.Minute)) {
			t.Errorf("ttl %s: Expires %q %v", ttl, a.header.Get("Expires"), err)
		}
	}
	send(t, c.addr(2), "PUT", "/db/ttl-long", "x")
	if a := send(t, c.addr(0), "GET", "/db/ttl-long", ""); a.status != 200 || a.header.Get("Expires") != "" {
		t.Errorf("after a PUT without ttl: %d %v", a.status, a.header)
	}
	for _, ttl := range []string{"0", "-1", "0s", "-5m", "soon", "", "1y", "99999999999999999999"} {
		wantFailure(t, "ttl="+ttl, send(t, c.addr(0), "PUT", "/db/ttl-bad?ttl="+ttl, "x"), 400)
	}
	wantAnswer(t, c, 0, "GET of what was refused", send(t, c.addr(0), "GET", "/db/ttl-bad", ""), 404)
}

// Conditions are decided against what is there: a write whose condition does
// not hold is 412 and changes nothing, a read of what the client has is 304.
func TestConditions(t *testing.T) {
	t.Parallel()
	c := shared.get(t)
	do := func(i int, method, value string, status int, header ...string) answer {
		t.Helper()
		a := send(t, c.addr(i), method, "/db/condition", value, header...)
		wantAnswer(t, c, i, fmt.Sprintf("%s %q", method, header), a, status)
		return a
	}
	do(0, "PUT", "x", 412, "If-Match: *")
	do(1, "DELETE", "", 412, "If-Match: *")
	first := do(0, "PUT", "one", 201, "If-None-Match: *").header.Get("ETag")
	do(1, "PUT", "two", 412, "If-None-Match: *")
	second := do(2, "PUT", "two", 204, "If-Match: "+first).header.Get("ETag")
	wantFailure(t, "an old tag", do(0, "PUT", "three", 412, "If-Match: "+first), 412)
	do(0, "PUT", "three", 412, `If-Match: "no-such-tag"`)
	do(1, "DELETE", "", 412, "If-Match: "+first)
	if a := do(0, "GET", "", 200, "If-None-Match: "+first); string(a.body) != "two" {
		t.Errorf("GET %q", a.body)
	}
	a := do(1, "GET", "", 304, "If-None-Match: "+second)
	if len(a.body) != 0 || a.header.Get("ETag") != second {
		t.Errorf("304 with %q %v", a.body, a.header)
	}
	do(2, "HEAD", "", 304, fmt.Sprintf("If-None-Match: %s, %s", first, second))
	do(2, "GET", "", 304, "If-None-Match: *")
	do(0, "PUT", "three", 204, fmt.Sprintf("If-Match: %s, %s", first, second))
	do(1, "DELETE", "", 204, "If-Match: *")
	do(2, "GET", "", 404, "If-None-Match: *")
	do(0, "PUT", "four", 201, "If-None-Match: *")
}

// Levels of reads and writes that a key's replicas can meet are met, and the answer tells so. What
// is no level, or can never be met, is 400. So is a timeout beyond the bound.
func TestLevelsAndTimeouts(t *testing.T) {
	t.Parallel()
	c := shared.get(t)
	for _, w := range []string{"one", "quorum", "all", "live", "1", "2"} {
		a := send(t, c.addr(0), "PUT", "/db/level?w="+w, w)
		if !a.ok() || !strings.HasSuffix(a.header.Get("X-Dht-Acks"), "/2") || a.header.Get("X-Dht-Acks") == "0/2" {
			t.Errorf("w=%s: %d %v %s", w, a.status, a.header, a.body)
		}
		wanted := map[string]string{"quorum": "2/2", "all": "2/2", "live": "2/2", "2": "2/2"}[w]
		if got := a.header.Get("X-Dht-Acks"); wanted != "" && got != wanted {
			t.Errorf("w=%s: acks %s, want %s", w, got, wanted)
		}
	}
	for _, r := range []string{"one", "quorum", "all", "1", "2"} {
		if a := send(t, c.addr(1), "GET", "/db/level?r="+r, ""); string(a.body) != "2" {
			t.Errorf("r=%s: %d %q", r, a.status, a.body)
		}
	}
	for _, bad := range []string{"w=3", "w=0", "w=-1", "w=some", "w=", "timeout=0", "timeout=-1s", "timeout=61s", "timeout=x"} {
		wantFailure(t, bad, send(t, c.addr(0), "PUT", "/db/level-bad?"+bad, "x"), 400)
	}
	for _, bad := range []string{"r=3", "r=0", "r=live", "r=some", "timeout=61s"} {
		wantFailure(t, bad, send(t, c.addr(2), "GET", "/db/level?"+bad, ""), 400)
	}
	for _, timeout := range []string{"500ms", "5", "60s"} {
		if a := send(t, c.addr(2), "GET", "/db/level?timeout="+timeout, ""); a.status != 200 {
			t.Errorf("timeout=%s: %d %s", timeout, a.status, a.body)
		}
	}
	wantAnswer(t, c, 0, "GET of what was refused", send(t, c.addr(0), "GET", "/db/level-bad", ""), 404)
}

// Other methods are 405 and say which ones there are; other paths are 404.
// Both say so in JSON.
func TestMethodsAndPaths(t *testing.T) {
	t.Parallel()
	c := shared.get(t)
	for _, method := range []string{"POST", "PATCH", "OPTIONS", "TRACE", "PROPFIND"} {
		a := send(t, c.addr(0), method, "/db/method", "x")
		wantFailure(t, method, a, 405)
		if allow := a.header.Get("Allow"); allow != "GET, HEAD, PUT, DELETE, POST" {
			t.Errorf("%s: Allow %q", method, allow)
		}
	}
	for target, allow := range map[string]string{"/cluster": "GET, HEAD", "/readyz": "GET, HEAD", "/load-data": "POST, PUT", "/batch": "POST"} {
		a := send(t, c.addr(0), "DELETE", target, "")
		wantFailure(t, "DELETE "+target, a, 405)
		got := strings.Split(a.header.Get("Allow"), ", ")
		if slices.Sort(got); strings.Join(got, ", ") != allow {
			t.Errorf("DELETE %s: Allow %q, want %q", target, got, allow)
		}
	}
	for _, target := range []string{"/no-such", "/DB/x", "/dbx", "/internal", "/internal/", "//db/x", "/%64b/x"} {
		a := send(t, c.addr(1), "GET", target, "")
		wantFailure(t, target, a, 404)
	}
}
