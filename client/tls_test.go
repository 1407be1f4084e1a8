package client

import (
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// What is no TLS in the answer to a request does not mean that the node speaks none. The request
// has arrived, and a write may have been done.
func TestNoTLSAfterTheRequest(t *testing.T) {
	node := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		_, _ = conn.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"))
		_, _ = conn.(*tls.Conn).NetConn().Write([]byte("plain"))
	}))
	t.Cleanup(node.Close)
	c, _ := newClient(t, Options{Addrs: []string{node.URL}, NoRouting: true, TLS: &tls.Config{InsecureSkipVerify: true}})
	_, err := c.Put(background, "k", []byte("v"), nil)
	wantErrors(t, "a put", err, ErrOutcomeUnknown)
}

// What tells that it speaks TLS is a node, though it has no name yet. Of another server with that
// status it is said that it is none.
func TestWhoWantsTLS(t *testing.T) {
	for server, stranger := range map[string]bool{"httpdhs": false, "nginx": true} {
		other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Server", server)
			w.WriteHeader(http.StatusMisdirectedRequest)
			_, _ = io.WriteString(w, `{"error":"this node speaks TLS"}`)
		}))
		defer other.Close()
		c, _ := newClient(t, Options{Addrs: []string{other.URL}})
		_, err := c.Get(background, "k", nil)
		if !errors.Is(err, ErrWantsTLS) || strings.Contains(err.Error(), "no node of httpdhs") != stranger {
			t.Errorf("%s: %v", server, err)
		}
	}
}

// A node that speaks TLS and is asked without, or the other way round, is an error that says so. A
// write was certainly not done then. What only hangs up is taken for neither.
func TestTLSOnOneSideAlone(t *testing.T) {
	secure := newFakeCluster(t, 1, func(_ int, w http.ResponseWriter, _ *http.Request) { reply(w, http.StatusMisdirectedRequest, "") })
	plain := newFakeCluster(t, 1, func(_ int, w http.ResponseWriter, _ *http.Request) { reply(w, 200, "v") })
	broken := newFakeCluster(t, 1, func(_ int, w http.ResponseWriter, _ *http.Request) { hangUp(w) })
	for addr, want := range map[string]error{
		secure.nodes[0].addr:             ErrWantsTLS,
		"https://" + plain.nodes[0].addr: ErrNoTLS,
		broken.nodes[0].addr:             ErrOutcomeUnknown,
		deadAddr(t):                      ErrUnavailable,
		"https://" + deadAddr(t):         ErrUnavailable,
	} {
		c, _ := newClient(t, Options{Addrs: []string{addr}})
		_, err := c.Put(background, "k", []byte("v"), nil)
		for _, sentinel := range []error{ErrWantsTLS, ErrNoTLS, ErrOutcomeUnknown, ErrUnavailable} {
			if errors.Is(err, sentinel) != (sentinel == want) {
				t.Errorf("%s: %v, want %v", addr, err, want)
			}
		}
		if _, err := loadTSV(c, "a\t1\n"); want == ErrWantsTLS && !errors.Is(err, want) {
			t.Errorf("a load to %s: %v", addr, err)
		}
	}
}
