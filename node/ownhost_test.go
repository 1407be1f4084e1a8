package node_test

import (
	"fmt"
	"net/http"
	"os"
	"testing"

	"httpdhs/internal/ports"
	"httpdhs/internal/testcluster"
	"httpdhs/node"
)

// A node on the loopback answers to its own name, those of the other members and that of its
// machine. It answers to no other: a web page could have another name lead to it. Its profiler does
// the same, but answers to addresses and localhost alone.
func TestNamesOnTheLoopback(t *testing.T) {
	t.Parallel()
	profiler, err := ports.Take(1)
	if err != nil {
		t.Fatal(err)
	}
	pprof := fmt.Sprintf("127.0.0.1:%d", profiler)
	c := testcluster.Start(t, testcluster.Options{Nodes: 1, Configure: func(_ int, cfg *node.Config) {
		cfg.Name, cfg.PprofAddr = "one.example:1234", pprof
		cfg.Members = []string{cfg.Name, "Two.Example:1234"}
		cfg.Replicas = 1
	}, Unready: true})
	machine, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	get := func(addr, path, host string) int {
		t.Helper()
		r, err := http.NewRequest("GET", "http://"+addr+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return resp.StatusCode
	}
	for host, want := range map[string]int{
		"": 200, "localhost:80": 200, "one.example": 200, "two.example:99": 200, machine: 200,
		"three.example:1234": 403, "x.one.example": 403, "evil.example": 403, "one": 403, "wpad": 403,
	} {
		if got := get(c.Name(0), "/healthz", host); got != want {
			t.Errorf("Host %q: %d, want %d", host, got, want)
		}
	}
	for host, want := range map[string]int{"": 200, "localhost:1": 200, "evil.example": 403, "one.example": 403, "wpad": 403} {
		if got := get(pprof, "/debug/pprof/", host); got != want {
			t.Errorf("pprof, Host %q: %d, want %d", host, got, want)
		}
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
}
