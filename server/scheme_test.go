package server

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"httpdhs/internal/testcert"
)

// A client that speaks TLS to a node without is told so in plain HTTP, which is
// what it shows.
func TestTLSToPlain(t *testing.T) {
	f := start(t, Options{})
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	_, err := client.Get("https://" + f.addr + "/db/k")
	if err == nil || !strings.Contains(err.Error(), "server gave HTTP response to HTTPS client") {
		t.Errorf("a client with TLS: %v", err)
	}
	hello := append([]byte{0x16, 0x03, 0x01, 0x02, 0x00}, make([]byte, 512)...)
	if got := f.raw(string(hello)); !strings.HasPrefix(got, "HTTP/1.1 421 ") || !strings.Contains(got, `{"error":"this node speaks plain HTTP: use http://`) {
		t.Errorf("a hello is answered with %q", got)
	}
	if got := f.raw("\x16\x04 / HTTP/1.1\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 400 ") {
		t.Errorf("garbage is answered with %q", got)
	}
}

// A client that speaks plain HTTP to a node with TLS is told so, whatever it
// sends; one that speaks TLS is served.
func TestPlainToTLS(t *testing.T) {
	pool, pair := testcert.New(t)
	s := New(Options{Name: "n1:1234"}, newFakeStore(), &fakeCluster{}, fakePeers{})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() {
		served <- s.Serve(SecureListener(ln, &tls.Config{Certificates: []tls.Certificate{pair}}))
	}()
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := errors.Join(s.Shutdown(ctx), <-served); err != nil {
			t.Error(err)
		}
	}()
	f := &fixture{t: t, addr: ln.Addr().String()}
	for _, r := range []struct{ method, body string }{{"GET", ""}, {"PUT", "value"}, {"PUT", strings.Repeat("v", 100_000)}} {
		a := f.send(r.method, "/db/k", r.body)
		if a.want(t, 421); !strings.Contains(a.body, "this node speaks TLS: use https://") {
			t.Errorf("%s: %s", r.method, a.body)
		}
	}
	secure := http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: pool}}}
	resp, err := secure.Get("https://" + f.addr + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, _ := io.ReadAll(resp.Body); resp.StatusCode != 200 {
		t.Errorf("with TLS: %d %s", resp.StatusCode, body)
	}
}

// What a token is wrong for is told apart from that there is none.
func TestWrongToken(t *testing.T) {
	f := start(t, Options{AuthToken: "s3cret"})
	for header, want := range map[string]string{
		"X: y":                          "a token is needed: send the header Authorization: Bearer TOKEN",
		"Authorization: Basic czNjcmV0": "a token is needed: send the header Authorization: Bearer TOKEN",
		"Authorization: Bearer s3cre":   "the token is not this cluster's",
	} {
		a := f.send("GET", "/db/k", "", header)
		if a.want(t, 401); !strings.Contains(a.body, want) {
			t.Errorf("%s: %s", header, a.body)
		}
		if wrong := strings.Contains(a.header.Get("WWW-Authenticate"), "invalid_token"); wrong != strings.Contains(header, "s3cre") {
			t.Errorf("%s: %s", header, a.header.Get("WWW-Authenticate"))
		}
	}
}

// POST is what people try first.
func TestPostToAKey(t *testing.T) {
	f := start(t, Options{})
	a := f.send("POST", "/db/k", "v")
	if a.want(t, 405); !strings.Contains(a.body, "use PUT") || a.header.Get("Allow") != "GET, HEAD, PUT, DELETE, POST" {
		t.Errorf("%s, Allow: %s", a.body, a.header.Get("Allow"))
	}
	if a := f.send("PATCH", "/db/k", "v"); strings.Contains(a.body, "POST") {
		t.Errorf("PATCH: %s", a.body)
	}
}
