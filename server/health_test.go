package server

import (
	"bufio"
	"fmt"
	"net"
	"net/http/httptest"
	"reflect"
	"testing"
)

// How the node is, is told alike at the port of clients and at another: the status, the headers and
// the body, whatever the state and the form that is asked for.
func TestHealthAtAnotherPort(t *testing.T) {
	f := start(t, Options{})
	other := httptest.NewServer(f.Health())
	defer other.Close()
	ask := func(addr, path, accept string) answer {
		t.Helper()
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\nAccept: %s\r\n\r\n", path, accept)
		a := readAnswer(t, bufio.NewReader(c), "GET")
		a.header.Del("Date")
		return a
	}
	same := func(path string, want int) {
		t.Helper()
		for _, accept := range []string{"*/*", "application/json"} {
			main, there := ask(f.addr, path, accept), ask(other.Listener.Addr().String(), path, accept)
			if main.want(t, want); !reflect.DeepEqual(main, there) {
				t.Errorf("%s, %s: %+v, and at the port of clients %+v", path, accept, there, main)
			}
		}
	}
	same("/healthz", 200)
	same("/readyz", 200)
	f.cluster.used, f.cluster.limit, f.cluster.full = 99, 100, true
	same("/readyz", 200)
	f.cluster.reason = "not in sync"
	same("/readyz", 503)
	f.cluster.reason = ""
	f.SetDraining(true)
	same("/readyz", 503)
	same("/healthz", 200)
}
