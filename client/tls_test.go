package client

import (
	"crypto/tls"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
)

// tlsAlone is the address of what shakes hands in TLS, says nothing else, and hangs up on what is none.
func tlsAlone(t *testing.T) string {
	t.Helper()
	certs := httptest.NewUnstartedServer(nil)
	certs.StartTLS()
	t.Cleanup(certs.Close)
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: certs.TLS.Certificates})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			_ = conn.(*tls.Conn).Handshake() // the other side may speak none
			conn.Close()
		}
	}()
	t.Cleanup(func() { ln.Close(); <-done })
	return ln.Addr().String()
}

// A node that speaks TLS and is asked without, or the other way round, is an error that says so. A
// write was certainly not done then. What only hangs up is taken for neither.
func TestTLSOnOneSideAlone(t *testing.T) {
	plain := newFakeCluster(t, 1, func(_ int, w http.ResponseWriter, _ *http.Request) { reply(w, 200, "v") })
	broken := newFakeCluster(t, 1, func(_ int, w http.ResponseWriter, _ *http.Request) { hangUp(w) })
	for addr, want := range map[string]error{
		tlsAlone(t):                      ErrWantsTLS,
		"https://" + plain.nodes[0].addr: ErrNoTLS,
		broken.nodes[0].addr:             ErrOutcomeUnknown,
		deadAddr(t):                      ErrUnreachable,
		"https://" + deadAddr(t):         ErrUnreachable,
	} {
		c, _ := newClient(t, Options{Addrs: []string{addr}})
		_, err := c.Put(background, []byte("k"), []byte("v"), nil)
		for _, sentinel := range []error{ErrWantsTLS, ErrNoTLS, ErrOutcomeUnknown, ErrUnreachable} {
			if errors.Is(err, sentinel) != (sentinel == want) {
				t.Errorf("%s: %v, want %v", addr, err, want)
			}
		}
		if _, err := loadTSV(c, "a\t1\n"); want == ErrWantsTLS && !errors.Is(err, want) {
			t.Errorf("a load to %s: %v", addr, err)
		}
	}
}
