package server

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"
)

// The pages about the cluster are JSON, and a full node that is ready says that it is full.
func TestCluster(t *testing.T) {
	f := start(t, Options{})
	a := f.send("GET", "/cluster", "")
	a.want(t, 200)
	if !strings.HasPrefix(a.body, `{"node":"n1",`) || a.header.Get("Content-Type") != "application/json" {
		t.Errorf("/cluster: %s", a.body)
	}
	f.send("GET", "/cluster?timeout=0", "").want(t, 400)
	f.send("GET", "/healthz", "").want(t, 200)
	f.send("GET", "/readyz", "").want(t, 200)
	f.cluster.used, f.cluster.limit, f.cluster.full = 62<<20, 64<<20, true
	a = f.send("GET", "/readyz", "", "Accept: application/json")
	if a.status != 200 || a.body != `{"ready":true,"memory_used":65011712,"memory_max":67108864,"full":true}`+"\n" {
		t.Errorf("/readyz of a full node: %d %s", a.status, a.body)
	}
	if a := f.send("GET", "/readyz", ""); a.status != 200 || a.body != "ready\nmemory: 65011712 of 67108864 bytes\nfull: writes that need more are refused\n" {
		t.Errorf("/readyz of a full node, as text: %d %s", a.status, a.body)
	}
	f.cluster.reason = "syncing 3 partitions"
	if a := f.send("GET", "/readyz", ""); a.status != 503 || a.body != `{"error":"syncing 3 partitions"}`+"\n" {
		t.Errorf("/readyz: %d %s", a.status, a.body)
	}
	f.send("GET", "/nothing", "").want(t, 404)
	f.send("GET", "/db2", "").want(t, 404)
	f.send("GET", "/cluster/", "").want(t, 404)
	f.send("GET", "/metrics", "").want(t, 404)
}

// The ring is sent again only when it is another one.
func TestRing(t *testing.T) {
	f := start(t, Options{})
	a := f.send("GET", "/cluster/ring", "")
	a.want(t, 200)
	tag := a.header.Get("ETag")
	if tag != `"00ff00ff00ff00ff"` || !strings.Contains(a.body, `"hash":"xxh3-64"`) {
		t.Errorf("ring: %s %s", tag, a.body)
	}
	for _, tags := range []string{tag, "W/" + tag, `"a", ` + tag, "*"} {
		b := f.send("GET", "/cluster/ring", "", "If-None-Match: "+tags)
		b.want(t, 304)
		if b.header.Get("ETag") != tag {
			t.Errorf("304: %v", b.header)
		}
	}
	f.send("GET", "/cluster/ring", "", `If-None-Match: "00"`).want(t, 200)
	f.send("GET", "/cluster/ring", "", `If-None-Match: "a,*,b"`).want(t, 200)
	f.send("GET", "/cluster/ring", "", `If-None-Match: *, "a"`).want(t, 400)
	f.cluster.ring = newRing("11")
	b := f.send("GET", "/cluster/ring", "", "If-None-Match: "+tag)
	b.want(t, 200)
	if b.header.Get("ETag") != `"11"` || !strings.Contains(b.body, `"fingerprint":"11"`) {
		t.Errorf("a new ring: %v %s", b.header, b.body)
	}
}

// The first page is text for curl and the console for a browser.
func TestIndex(t *testing.T) {
	page := func(ctx *fasthttp.RequestCtx) {
		ctx.SetContentType("text/html")
		ctx.SetBodyString("<html>")
	}
	counters := func(ctx *fasthttp.RequestCtx) { _ = text(ctx, "<html>") }
	f := start(t, Options{Version: "1.2.3", Console: page, ConsolePaths: []string{"/", "/console/app.js"}, Metrics: counters})
	a := f.send("GET", "/", "")
	if a.status != 200 || !strings.Contains(a.body, "httpdhs 1.2.3, node n1:1234") || !strings.Contains(a.body, "x/db/KEY") {
		t.Errorf("/ for curl: %d %s", a.status, a.body)
	}
	for _, target := range []string{"/", "/console/app.js", "/metrics"} {
		if a := f.send("GET", target, "", "Accept: text/html,*/*"); a.body != "<html>" {
			t.Errorf("%s for a browser: %d %s", target, a.status, a.body)
		}
	}
}

// Clients need the token for everything but what SECURITY.md lists. It is no seal, and the nodes'
// secret is no token.
func TestAuth(t *testing.T) {
	f := start(t, Options{AuthToken: "s3cret", ClusterSecret: "ours", Console: func(ctx *fasthttp.RequestCtx) { _ = text(ctx, "") }, ConsolePaths: []string{"/console/app.js"}})
	good := "Authorization: Bearer s3cret"
	for _, target := range []string{"/db/k", "/db", "/cluster", "/cluster/ring", "/cluster/key/k", "/", "/metrics", "/nothing", "/healthz/", "//healthz", "/readyz/../db"} {
		for _, header := range []string{"X: y", "Authorization: Bearer", "Authorization: Bearer s3cre", "Authorization: Bearer s3cret2",
			"Authorization: Basic s3cret", "Authorization: s3cret", "Authorization: Bearer ours"} {
			a := f.send("GET", target, "", header)
			a.want(t, 401)
			if a.header["Www-Authenticate"] == nil {
				t.Errorf("%s: no WWW-Authenticate", target)
			}
		}
		if a := f.send("GET", target, "", good); a.status == 401 {
			t.Errorf("%s with the token: %d", target, a.status)
		}
	}
	f.send("GET", "/", "", "Accept: text/html").want(t, 200)
	f.send("GET", "/console/app.js", "").want(t, 200)
	f.send("PUT", "/db/k", "v", "Authorization: bearer s3cret").want(t, 201)
	f.send("POST", "/load-data", "a\tb\n").want(t, 401)
	f.send("POST", "/batch", "{}\n").want(t, 401)
	f.send("GET", "/healthz", "").want(t, 200)
	f.send("GET", "/readyz", "").want(t, 200)
	f.send("GET", linkPath, "").want(t, 426)
	f.tell(f.message([]byte("hi")), 200) // which clients' tokens are nothing to
}

// A handler that panics is a 500 and a line in the log, and nothing else.
func TestPanic(t *testing.T) {
	var log bytes.Buffer
	f := start(t, Options{Log: slog.New(slog.NewTextHandler(&log, nil)), Metrics: func(ctx *fasthttp.RequestCtx) {
		ctx.Response.Header.Set("X-Half", "done")
		panic("ouch")
	}})
	a := f.send("GET", "/metrics", "")
	a.want(t, 500)
	if strings.Contains(a.body, "ouch") || a.header.Get("Server") != "httpdhs" || a.header.Get("X-Half") != "" || f.Stats().Panics != 1 {
		t.Errorf("answer: %s %v", a.body, a.header)
	}
	if !strings.Contains(log.String(), "ouch") || !strings.Contains(log.String(), "cluster_test.go") {
		t.Errorf("log: %s", log.String())
	}
	f.send("GET", "/healthz", "").want(t, 200)
}

// Each request is logged where that is asked for, and counted by its class and status.
func TestAccessLogAndStats(t *testing.T) {
	var log bytes.Buffer
	f := start(t, Options{Log: slog.New(slog.NewTextHandler(&log, nil)), AccessLog: true})
	f.send("PUT", "/db/k", "v")
	f.send("GET", "/db/none", "")
	if s := log.String(); strings.Count(s, "msg=request") != 2 || !strings.Contains(s, "method=GET target=/db/none status=404 bytes=24") {
		t.Errorf("log: %s", s)
	}
	st := f.Stats()
	if st.Requests[classPut][2] != 1 || st.Requests[classGet][4] != 1 {
		t.Errorf("stats: %v", st)
	}
}
