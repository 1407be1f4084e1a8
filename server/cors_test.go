package server

import (
	"slices"
	"strings"
	"testing"

	"httpdhs/kv"
)

const friend = "https://app.example"

func origins(t *testing.T, list ...string) *Origins {
	t.Helper()
	o, err := ParseOrigins(list)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// Every answer to a page of an origin that is allowed can be read by it, errors too. A cache is
// told that it is for this page. Pages of other origins can read none.
func TestAnswersToPages(t *testing.T) {
	f := start(t, Options{AuthToken: "t", Origins: origins(t, friend, "http://localhost:3000"), Limits: kv.Limits{MaxKeyBytes: 100, MaxValueBytes: 100}})
	const auth = "Authorization: Bearer t"
	tag := f.send("PUT", "/db/k", "0123456789", auth).header.Get("ETag")
	for _, r := range []struct {
		method, target, body, more string
		status                     int
	}{
		{"GET", "/db/k", "", auth, 200},
		{"GET", "/db/k", "", auth + "\r\nRange: bytes=0-3", 206},
		{"GET", "/db/k", "", auth + "\r\nRange: bytes=99-", 416},
		{"GET", "/db/k", "", auth + "\r\nIf-None-Match: " + tag, 304},
		{"GET", "/db/none", "", auth, 404},
		{"GET", "/db/k", "", "X: no token", 401},
		{"PUT", "/db/new", "v", auth, 201},
		{"PUT", "/db/new", "v", auth + "\r\nIf-None-Match: *", 412},
		{"PUT", "/db/new", strings.Repeat("v", 101), auth, 413},
		{"POST", "/db/n?incr=1", "", auth, 201},
		{"DELETE", "/db/new", "", auth + "\r\nSec-Fetch-Site: cross-site", 204},
		{"PATCH", "/db/k", "", auth, 405},
		{"GET", "/nowhere", "", auth, 404},
		{"POST", "/batch", `{"op":"get","key":"k"}`, auth, 200},
		{"GET", "/db", "", auth, 200},
		{"GET", "/readyz", "", auth, 200},
	} {
		ask := func(origin string) answer { return f.send(r.method, r.target, r.body, r.more, "Origin: "+origin) }
		for _, origin := range []string{friend, "http://localhost:3000"} {
			a := ask(origin)
			if origin == friend && a.status != r.status {
				t.Errorf("%s %s with %q: %d %s, want %d", r.method, r.target, r.more, a.status, a.body, r.status)
			}
			h := a.header
			if got := h.Values("Access-Control-Allow-Origin"); len(got) != 1 || got[0] != origin || !strings.Contains(h.Get("Access-Control-Expose-Headers"), "ETag, X-Dht-Acks") {
				t.Errorf("%s %s: %d %v", r.method, r.target, a.status, h)
			}
			if vary := h.Values("Vary"); len(vary) != 1 || !strings.HasSuffix(vary[0], "Origin") || h.Get("Access-Control-Allow-Credentials") != "" {
				t.Errorf("%s %s: Vary %q in %v", r.method, r.target, vary, h)
			}
		}
		for _, foreign := range []string{"http://app.example", "https://app.example:8443", "https://evil.example", "https://APP.example", "null", "", friend + "\r\nOrigin: http://evil.example"} {
			h := ask(foreign).header
			if h.Get("Access-Control-Allow-Origin") != "" || !strings.HasSuffix(h.Get("Vary"), "Origin") {
				t.Errorf("%s %s for %q: %v", r.method, r.target, foreign, h)
			}
		}
	}
	for _, target := range []string{"/readyz", "/db"} {
		if got := f.send("GET", target, "", auth).header.Get("Vary"); got != "Accept, Origin" {
			t.Errorf("%s without Origin: Vary %q", target, got)
		}
	}
}

// Pages of an origin that is allowed write, also in ways for which browsers do not ask first. Those
// of another do not.
func TestWritesOfPages(t *testing.T) {
	f := start(t, Options{Origins: origins(t, friend)})
	site := "Sec-Fetch-Site: cross-site"
	f.send("POST", "/load-data", "a\tb\n", "Origin: "+friend, site).want(t, 200)
	f.send("PUT", "/db/k", "v", "Origin: "+friend, site).want(t, 201)
	f.send("PUT", "/db/k", "v", "Origin: http://x").want(t, 204) // the node's own console
	for _, foreign := range []string{site, "Origin: null", "Origin: http://evil.example", "Origin: " + friend + "\r\nOrigin: null", "Origin: " + friend + ".evil.example"} {
		a := f.send("PUT", "/db/stolen", "v", foreign, site)
		if a.want(t, 403); !strings.Contains(a.body, "--cors-origins") {
			t.Errorf("%s", a.body)
		}
	}
	if _, stolen := f.store.entry("stolen"); stolen {
		t.Error("it was stored")
	}
}

// A browser that asks whether a page may send what it wants to is told so, without a token, on
// every path. For other pages it is a 403 that says why. What is no such question is a 405, and so
// is everything where no pages are allowed.
func TestPreflights(t *testing.T) {
	f := start(t, Options{AuthToken: "t", Origins: origins(t, friend)})
	const ask = "Access-Control-Request-Method: PUT\r\nAccess-Control-Request-Headers: authorization,if-match,x-mine"
	for _, target := range []string{"/db/k", "/db", "/batch", "/load-data", "/cluster", "/cluster/nodes/a:1", "/readyz", "/nowhere", "/db/%", "*"} {
		a := f.send("OPTIONS", target, "", ask, "Origin: "+friend, "Sec-Fetch-Site: cross-site")
		a.want(t, 204)
		h := a.header
		for name, want := range map[string]string{
			"Access-Control-Allow-Origin": friend, "Access-Control-Allow-Methods": "GET, HEAD, PUT, DELETE, POST", "Access-Control-Max-Age": "7200", "Vary": "Origin",
			"Access-Control-Allow-Credentials": "", "Allow": "",
		} {
			if h.Get(name) != want {
				t.Errorf("%s: %s is %q, want %q", target, name, h.Get(name), want)
			}
		}
		allowed := strings.Split(strings.ToLower(h.Get("Access-Control-Allow-Headers")), ", ")
		for _, name := range []string{"authorization", "content-type", "content-encoding", "cache-control", "if-match", "if-none-match", "if-range", "range", "traceparent"} {
			if !slices.Contains(allowed, name) {
				t.Errorf("%s: %s is not among %q", target, name, allowed)
			}
		}
	}
	a := f.send("OPTIONS", "/db/k", "", ask, "Origin: https://evil.example")
	if a.want(t, 403); !strings.Contains(a.body, "--cors-origins") || a.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("%s %v", a.body, a.header)
	}
	const auth = "Authorization: Bearer t"
	f.send("OPTIONS", "/db/k", "", auth, "Origin: "+friend).want(t, 405)
	f.send("OPTIONS", "/db/k", "", auth, ask).want(t, 405)
	off := start(t, Options{})
	if a := off.send("OPTIONS", "/db/k", "", ask, "Origin: "+friend); a.status != 405 || a.header.Get("Vary") != "" || a.header.Get("Access-Control-Allow-Methods") != "" {
		t.Errorf("no pages are allowed: %d %v", a.status, a.header)
	}
	// The connection is good for more, whatever the question has for a body.
	got := f.raw("OPTIONS /db/k HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nOrigin: " + friend + "\r\n" + ask + "\r\n\r\nabcGET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	if !strings.HasPrefix(got, "HTTP/1.1 204") || !strings.Contains(got, "HTTP/1.1 200") {
		t.Errorf("%s", got)
	}
}

// With * the pages of all origins read and write, also those without one. No answer depends on who
// asks, so none says Vary, and each says that all may read it, malformed requests too.
func TestAllPages(t *testing.T) {
	f := start(t, Options{Origins: origins(t, " * ")})
	for _, page := range []string{"Origin: null", "Origin: http://evil.example", "Sec-Fetch-Site: cross-site", "X: y"} {
		a := f.send("PUT", "/db/k", "v", page)
		if h := a.header; a.status > 204 || h.Get("Access-Control-Allow-Origin") != "*" || h.Get("Vary") != "" || h.Get("Access-Control-Expose-Headers") == "" {
			t.Errorf("%s: %d %v", page, a.status, h)
		}
	}
	if got := f.raw("GET / HTTP/1.1\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 400") || !strings.Contains(got, "Access-Control-Allow-Origin: *\r\n") {
		t.Errorf("malformed: %s", got)
	}
	f.send("OPTIONS", "/db/k", "", "Origin: null", "Access-Control-Request-Method: DELETE").want(t, 204)
}

// Nodes are no pages: what is said to them has nothing of it.
func TestNodesAreNoPages(t *testing.T) {
	f := start(t, Options{Origins: origins(t, "*")})
	if h := f.send("GET", "/internal/link", "").header; h.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("%v", h)
	}
}

// Origins are compared as browsers write them: in lower case, without the port that goes without
// saying. What no browser ever sends is refused.
func TestParseOrigins(t *testing.T) {
	for given, want := range map[string]string{
		"HTTPS://App.Example": "https://app.example", "https://a:443": "https://a", "http://a:80": "http://a", "http://a:443": "http://a:443", "http://[::1]:3000": "http://[::1]:3000",
		"chrome-extension://abcdef": "chrome-extension://abcdef", " http://localhost:3000 ": "http://localhost:3000", "capacitor://localhost": "capacitor://localhost",
	} {
		if o, err := ParseOrigins([]string{given}); err != nil || !o.allows([]byte(want)) || o.allows([]byte("https://b")) || o.AllPages() {
			t.Errorf("%q: %+v %v", given, o, err)
		}
	}
	for _, bad := range []string{"", "null", "a.example", "https://", "https://a/", "https://a/b", "https://u@a", "https://a?b", "https://*.a", "https://a:", "https://a:x", "://a", "https:/a", "https://é.example", "a b://c"} {
		if _, err := ParseOrigins([]string{friend, bad}); err == nil || !strings.Contains(err.Error(), "https://HOST") {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if _, err := ParseOrigins([]string{"*", friend}); err == nil {
		t.Error("* beside another is taken")
	}
	if o, err := ParseOrigins(nil); o != nil || err != nil || o.AllPages() || o.allows([]byte(friend)) {
		t.Errorf("none: %v %v", o, err)
	}
}

// A node asks another for a link by whatever name it knows: that is not refused where names are
// restricted. A page cannot ask so.
func TestLinksByAnyName(t *testing.T) {
	f := start(t, Options{OwnHost: func(string) bool { return false }})
	const link = "GET /internal/link HTTP/1.1\r\nHost: seed.example:1234\r\n"
	if got := f.raw(link + "Connection: Upgrade\r\nUpgrade: httpdhs\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 101") {
		t.Errorf("%s", got)
	}
	for _, other := range []string{"\r\n", "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n", "Upgrade: httpdhs\r\n\r\n"} {
		if got := f.raw(link + other); !strings.HasPrefix(got, "HTTP/1.1 403") {
			t.Errorf("%q: %s", other, got)
		}
	}
}
