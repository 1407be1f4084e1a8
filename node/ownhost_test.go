package node_test

import (
	"fmt"
	"net"
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
	for host, want := range map[string]int{
		"": 200, "localhost:80": 200, "one.example": 200, "two.example:99": 200, machine: 200,
		"three.example:1234": 403, "x.one.example": 403, "evil.example": 403, "one": 403, "wpad": 403,
	} {
		if got := getAs(t, c.Name(0), "/healthz", host); got != want {
			t.Errorf("Host %q: %d, want %d", host, got, want)
		}
	}
	for host, want := range map[string]int{"": 200, "localhost:1": 200, "evil.example": 403, "one.example": 403, "wpad": 403} {
		if got := getAs(t, pprof, "/debug/pprof/", host); got != want {
			t.Errorf("pprof, Host %q: %d, want %d", host, got, want)
		}
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
}

// With names given, a node answers to these, its own and addresses alone, on whatever address it
// listens. On the loopback they are good beside those that are good there anyway, and * is any.
func TestNamesThatAreGiven(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		bind  string
		hosts []string
		want  map[string]int
	}{
		{"0.0.0.0", []string{"kv.example", "*.apps.example"}, map[string]int{
			"kv.example": 200, "KV.Example:80": 200, "a.apps.example": 200, "10.0.0.5:1234": 200, "[::1]": 200, "localhost": 200, "one.example:9": 200, "evil.example": 403, "x.kv.example": 403}},
		{"127.0.0.1", []string{"kv.example"}, map[string]int{"kv.example": 200, "one.example": 200, "localhost": 200, "evil.example": 403}},
		{"127.0.0.1", []string{"*"}, map[string]int{"evil.example": 200}},
		{"0.0.0.0", nil, map[string]int{"evil.example": 200}},
	} {
		ln, err := net.Listen("tcp", row.bind+":0")
		if err != nil {
			t.Fatal(err)
		}
		n, err := node.Open(node.Config{Name: "one.example:1234", Listener: ln, Web: node.WebConfig{Hosts: row.hosts}})
		if err != nil {
			t.Fatal(err)
		}
		defer n.Kill()
		_, port, _ := net.SplitHostPort(ln.Addr().String())
		for host, want := range row.want {
			if got := getAs(t, "127.0.0.1:"+port, "/healthz", host); got != want {
				t.Errorf("%s %v, Host %q: %d, want %d", row.bind, row.hosts, host, got, want)
			}
		}
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
}

// getAs is the status of a GET with a Host header.
func getAs(t *testing.T, addr, path, host string) int {
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
