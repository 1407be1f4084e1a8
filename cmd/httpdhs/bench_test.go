package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// benchTarget acknowledges every write and keeps nothing.
func benchTarget(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status := http.StatusNoContent
		if r.Method != http.MethodPut && r.Method != http.MethodDelete {
			status = http.StatusNotFound
		}
		w.WriteHeader(status)
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// A run ends with 0 if something succeeded, with 1 if not, and with 2 if the call was wrong.
func TestBench(t *testing.T) {
	to := benchTarget(t)
	dir := t.TempDir()
	json, html := filepath.Join(dir, "a.json"), filepath.Join(dir, "a.html")
	short := []string{"bench", "--to", to, "--workload", "put", "--requests", "200", "--warmup", "0s", "--conns", "4"}
	tests := []struct {
		name   string
		args   []string
		status int
		want   string // on stdout, or on stderr if it fails
	}{
		{"a run", append(short, "--json", json, "--html", html), exitOK, "operations/s"},
		{"compare", []string{"bench", "compare", json, json}, exitOK, "B/A"},
		{"verify finds that nothing was kept", append(short, "--verify"), exitError, "acknowledged"},
		{"a workload that is none", []string{"bench", "--workload", "x"}, exitUsage, "--workload"},
		{"a run over RESP at a server of HTTP", append(short, "--protocol", "resp"), exitUsage, "speaks HTTP"},
		{"what RESP does not have", append(short, "--protocol", "resp", "--workload", "batch"), exitUsage, "--protocol http"},
		{"keys that do not fit", append(short, "--key-size", "2"), exitUsage, "--key-size"},
		{"a file that is not there", []string{"bench", "compare", json, "none.json"}, exitUsage, "none.json"},
		{"a file that is no run", []string{"bench", "compare", json, html}, exitUsage, "a.html"},
		{"help lists the flags", []string{"bench", "--help"}, exitOK, "--workload"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var out, stderr bytes.Buffer
			status := run(test.args, strings.NewReader(""), &out, &stderr)
			said := out.String()
			if test.status != exitOK {
				said = stderr.String()
			}
			if status != test.status || !strings.Contains(said, test.want) {
				t.Errorf("status %d, want %d; no %q in:\n%s%s", status, test.status, test.want, out.String(), stderr.String())
			}
		})
	}
	if page, err := os.ReadFile(html); err != nil || !bytes.Contains(page, []byte("<svg")) {
		t.Errorf("the page: %v", err)
	}
}

// Of nodes with TLS bench says that it speaks none, not how others would ask them.
func TestBenchOfNodesWithTLS(t *testing.T) {
	node := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusMisdirectedRequest)
		_, _ = io.WriteString(w, `{"error":"this node speaks TLS: use https://"}`)
	}))
	defer node.Close()
	for _, args := range [][]string{{}, {"--workload=load"}, {"--route=owner"}, {"sweep"}} {
		expect(t, exitUsage, "", "bench speaks no TLS", append(append([]string{"bench"}, args...), "--to", node.Listener.Addr().String())...)
	}
}
