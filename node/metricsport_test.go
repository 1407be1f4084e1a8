package node

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"httpdhs/internal/poll"
	"httpdhs/internal/ports"
)

// withMetricsPort opens a node with a metrics port, and returns the addresses of both ports.
func withMetricsPort(t *testing.T, change func(*Config)) (n *Node, clients, metrics string) {
	t.Helper()
	port, err := ports.Take(1)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := ports.Listen()
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{Name: "127.0.0.1:1", Listener: ln, MetricsListen: fmt.Sprintf("127.0.0.1:%d", port)}
	change(&cfg)
	if n, err = Open(cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Kill)
	poll.True(t, "it is ready", func() bool { ok, _ := n.Ready(); return ok })
	return n, ln.Addr().String(), cfg.MetricsListen
}

// ask is the status and the body of an answer. A token is sent if it is not empty.
func ask(t *testing.T, addr, path, token string, headers ...string) (status int, body string) {
	t.Helper()
	req, err := http.NewRequest("GET", "http://"+addr+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	all, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(all)
}

// With a port of their own, the metrics are there and nowhere else, beside how the node is, and no
// key is.
func TestMetricsPort(t *testing.T) {
	n, clients, metrics := withMetricsPort(t, func(cfg *Config) { cfg.AuthToken = "client" })
	if status, body := ask(t, metrics, "/metrics", ""); status != 200 || !strings.Contains(body, "httpdhs_build_info") || !strings.Contains(body, "go_goroutines") {
		t.Errorf("metrics: %d %.100s", status, body)
	}
	for path, want := range map[string]int{"/healthz": 200, "/readyz": 200, "/db/a": 404, "/cluster": 404, "/": 404} {
		if status, _ := ask(t, metrics, path, ""); status != want {
			t.Errorf("%s at the metrics port: %d, want %d", path, status, want)
		}
	}
	for path, want := range map[string]int{"/metrics": 405, "/healthz": 405, "/readyz": 405, "/db/a": 404} {
		req, err := http.NewRequest("POST", "http://"+metrics+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != want || len(resp.Header.Values("X-Dht-Node")) != 1 || resp.Header.Get("X-Dht-Node") != n.cfg.Name {
			t.Errorf("POST %s: %d of %q, want %d", path, resp.StatusCode, resp.Header.Values("X-Dht-Node"), want)
		}
	}
	if status, body := ask(t, clients, "/metrics", "client"); status != 404 || !strings.Contains(body, "--metrics-port") {
		t.Errorf("metrics at the other port: %d %s", status, body)
	}
	if status, body := ask(t, clients, "/", "client"); status != 200 || strings.Contains(body, "/metrics") {
		t.Errorf("what there is at the other port: %d %s", status, body)
	}
	if status, _ := ask(t, metrics, "/metrics", "", "Sec-Fetch-Site", "cross-site"); status != 403 {
		t.Errorf("for a web page of another origin: %d", status)
	}
}

// The metrics token is good for the metrics at either port, and for nothing else. So is that of
// clients; any other is not.
func TestMetricsToken(t *testing.T) {
	for _, apart := range []bool{false, true} {
		_, clients, metrics := withMetricsPort(t, func(cfg *Config) {
			cfg.AuthToken, cfg.MetricsToken = "client", "metrics"
			if !apart {
				cfg.MetricsListen = ""
			}
		})
		if !apart {
			metrics = clients
		}
		for token, want := range map[string]int{"metrics": 200, "client": 200, "": 401, "other": 401} {
			if status, _ := ask(t, metrics, "/metrics", token); status != want {
				t.Errorf("apart %v: token %q gets %d, want %d", apart, token, status, want)
			}
		}
		if status, _ := ask(t, clients, "/db/a", "metrics"); status != 401 {
			t.Errorf("the metrics token reads keys: %d", status)
		}
	}
}

// A node that drains says at its metrics port too that it is not ready and is healthy, in the words
// of the port of clients.
func TestHealthAtTheMetricsPort(t *testing.T) {
	n, clients, metrics := withMetricsPort(t, func(cfg *Config) { cfg.DrainDelay = time.Hour })
	same := func(path string, want int, part string) {
		t.Helper()
		status, body := ask(t, metrics, path, "")
		if status != want || !strings.Contains(body, part) {
			t.Errorf("%s: %d %s, want %d and %s", path, status, body, want, part)
		}
		if other, there := ask(t, clients, path, ""); other != status || there != body {
			t.Errorf("%s: %d %s, and at the port of clients %d %s", path, status, body, other, there)
		}
	}
	same("/healthz", 200, "ok")
	same("/readyz", 200, "ready")
	ctx, cancel := context.WithCancel(t.Context())
	drained := make(chan struct{})
	go func() { defer close(drained); n.Drain(ctx) }()
	poll.True(t, "it drains", func() bool { return n.draining.Load() })
	same("/readyz", 503, "stopping")
	same("/healthz", 200, "ok")
	cancel()
	<-drained
}
