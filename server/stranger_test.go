package server

import (
	"strings"
	"testing"
)

// writes are requests that would change something, one a resource and method.
var writes = []struct{ method, target, body string }{
	{"PUT", "/db/k", "x"},
	{"DELETE", "/db/k", ""},
	{"POST", "/load-data", "a\tb\n"},
	{"PUT", "/load-data", "a\tb\n"},
	{"POST", "/batch", `{"op":"put","key":"a","value":"b"}`},
	{"POST", "/cluster/leave", ""},
	{"DELETE", "/cluster/nodes/down:1", ""},
	{"POST", "/internal/exchange", "message"},
	{"POST", "/db/k", "x"},
	{"PATCH", "/nowhere", "x"},
}

// What the page of another origin has a browser send changes nothing, whatever else is right or
// wrong with it. Its refusal says what to do. That goes for what only one of the two headers shows,
// and for other ports of the same host.
func TestForeignPagesDoNotWrite(t *testing.T) {
	for _, foreign := range [][]string{
		{"Origin: http://evil.example"},
		{"Origin: null"},
		{"Origin:"},
		{"Origin: http://x:1235"},
		{"Origin: http://x.evil.example"},
		{"Origin: http://evil.example/x"},
		{"Origin: ftp://x"},
		{"Origin: x"},
		{"Origin: http://x", "Origin: http://evil.example"},
		{"Sec-Fetch-Site: cross-site"},
		{"Sec-Fetch-Site: same-site"},
		{"sec-fetch-site: cross-site", "origin: http://x"},
		{"Sec-Fetch-Site: same-origin", "Origin: http://evil.example"},
		{"Sec-Fetch-Site: same-origin", "Sec-Fetch-Site: cross-site"},
		{"Sec-Fetch-Site: none", "sec-fetch-site: none", "Sec-Fetch-Site: same-site"},
		{"Sec-Fetch-Site: same-origin, cross-site"},
		{"Sec-Fetch-Site:"},
	} {
		f := start(t, Options{AuthToken: "t", ClusterSecret: "s"})
		for _, w := range writes {
			for _, more := range [][]string{
				nil,
				{"Authorization: Bearer t"},
				{"Expect: 100-continue", "Authorization: Bearer t"},
			} {
				a := f.send(w.method, w.target, w.body, append(more, foreign...)...)
				a.want(t, 403)
				if !strings.Contains(a.body, "page of another origin") {
					t.Errorf("%s %s with %q: %s", w.method, w.target, foreign, a.body)
				}
			}
		}
		if f.store.size() != 0 || f.cluster.left != 0 || len(f.cluster.removed) != 0 {
			t.Errorf("with %q something was done: %v %d %v", foreign, f.store.entries, f.cluster.left, f.cluster.removed)
		}
	}
}

// The node's own pages write, and so does whatever is no browser. Reads are not
// looked at: a browser shows a page no answer of another origin.
func TestWhoMayWrite(t *testing.T) {
	f := start(t, Options{})
	for _, own := range [][]string{
		nil,
		{"Origin: http://x"},
		{"Sec-Fetch-Site: none"},
		{"Origin: http://X", "Sec-Fetch-Site: same-origin"},
		{"Origin: https://x", "Sec-Fetch-Site: same-origin"}, // a proxy in front speaks TLS
		{"Referer: http://evil.example/"},
	} {
		a := f.send("PUT", "/db/k", "x", own...)
		if a.status != 201 && a.status != 204 {
			t.Errorf("PUT with %q: %d %s", own, a.status, a.body)
		}
	}
	foreign := []string{"Origin: http://evil.example", "Sec-Fetch-Site: cross-site"}
	f.send("GET", "/db/k", "", foreign...).want(t, 200)
	f.send("HEAD", "/db/k", "", foreign...).want(t, 200)
	f.send("OPTIONS", "/db/k", "", foreign...).want(t, 405)
}

// A node with TLS has pages of https alone.
func TestOwnOriginOverTLS(t *testing.T) {
	for origin, want := range map[string]bool{"https://x:1": true, "http://x:1": false, "https://x": false} {
		if got := ownOrigin([]byte(origin), []byte("x:1"), true); got != want {
			t.Errorf("%s: %v", origin, got)
		}
	}
}

// A node that serves its own machine answers to names that nobody else can lead
// to it, and to its own; to any other name neither reads nor writes.
func TestHostNames(t *testing.T) {
	f := start(t, Options{Name: "n1.example:1234", OwnHost: func(name string) bool { return name == "n2.example" }})
	ask := func(method, target, host string) string {
		t.Helper()
		return f.raw(method + " " + target + " HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
	}
	for _, host := range []string{"localhost", "LocalHost:80", "localhost.", "a.b.localhost:1234", "127.0.0.1:1234", "127.8.9.1", "[::1]:1234",
		"[::1]", "10.0.0.5:1234", "n1.example:1234", "n2.example", "N2.Example:99"} {
		if got := ask("GET", "/healthz", host); !strings.HasPrefix(got, "HTTP/1.1 200") {
			t.Errorf("Host %q: %s", host, got)
		}
	}
	for _, host := range []string{"evil.example", "evil.example:1234", "n3.example", "localhost.evil.example", "x.notlocalhost", ".localhost.x", "127.0.0.1.evil.example",
		"n3", "wpad:1234", "localhosts", "xlocalhost"} {
		for _, r := range [][2]string{{"GET", "/healthz"}, {"GET", "/"}, {"GET", "/db/k"}, {"GET", "/db"}, {"PUT", "/db/k"}, {"GET", "/internal/link"}, {"GET", "/metrics"}} {
			if got := ask(r[0], r[1], host); !strings.HasPrefix(got, "HTTP/1.1 403") || !strings.Contains(got, "Use localhost") {
				t.Errorf("%s %s, Host %q: %s", r[0], r[1], host, got)
			}
		}
	}
	if got := f.raw("GET /healthz HTTP/1.0\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 200") && !strings.HasPrefix(got, "HTTP/1.0 200") {
		t.Errorf("no Host: %s", got)
	}
	if f.store.size() != 0 {
		t.Errorf("stored: %v", f.store.entries)
	}
}

// A node that serves other machines has names that it cannot know.
func TestHostNamesOfAServer(t *testing.T) {
	start(t, Options{}).send("PUT", "/db/k", "x").want(t, 201)
}
