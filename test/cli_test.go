package test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// wantOneLine says that a command failed with that status and one line on
// stderr, which has all of the words, and with nothing on stdout.
func wantOneLine(t *testing.T, env []string, args []string, status int, words ...string) {
	t.Helper()
	got, stdout, stderr := run(t, env, args...)
	if got != status || stdout != "" || strings.Count(stderr, "\n") != 1 {
		t.Errorf("httpdhs %v: exit %d, want %d and one line\nstdout: %q\nstderr: %q", args, got, status, stdout, stderr)
	}
	for _, word := range words {
		if !strings.Contains(stderr, word) {
			t.Errorf("httpdhs %v says %q, without %q", args, stderr, word)
		}
	}
}

// What is wrong with how a node is started is one line on stderr that says
// where to look, and exit status 2; a port that is in use is 1.
func TestFaultsAtStart(t *testing.T) {
	t.Parallel()
	c := shared.get(t)
	dir := t.TempDir()
	conf := func(text string) string {
		file := filepath.Join(dir, fmt.Sprintf("%d.conf", len(text)))
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	port := freePort(t)
	server := func(flags ...string) []string {
		return append([]string{"server", fmt.Sprintf("--port=%d", port)}, flags...)
	}
	line := fmt.Sprintf("localhost:%d\n", port)

	used := []string{"server", fmt.Sprintf("--port=%d", c.ports[0]), "--log-level=error"}
	wantOneLine(t, nil, used, 1, fmt.Sprint(c.ports[0]), "address already in use")

	bad := conf("# nodes\n" + line + "\nlocalhost\n")
	wantOneLine(t, nil, server("--conf="+bad), 2, bad+":4:")
	bad = conf(line + "localhost:99999\n")
	wantOneLine(t, nil, server("--conf="+bad), 2, bad+":2:")
	bad = conf(line + "other:1\n" + line)
	wantOneLine(t, nil, server("--conf="+bad), 2, bad+":3:")
	wantOneLine(t, nil, server("--conf="+conf("# nothing\n")), 2, "no nodes")
	wantOneLine(t, nil, server("--conf="+filepath.Join(dir, "none")), 2, "no such file")
	wantOneLine(t, nil, server("--conf="+conf("localhost:1\nlocalhost:2\n")), 2, "no line is this node")
	wantOneLine(t, nil, server("--conf="+conf(fmt.Sprintf("localhost:%d\n127.0.0.1:%d\n", port, port))), 2, "both fit", "--advertise")

	twice := conf(fmt.Sprintf("localhost:%d\n127.0.0.1:%d\n", port, port))
	wantOneLine(t, nil, server("--conf="+twice, fmt.Sprintf("--advertise=localhost:%d", port)), 2, "lines 1 (localhost", "and 2 (127.0.0.1", "are the same node")
	for _, anywhere := range []string{"0.0.0.0:1234", "[::]:1234", "[0::0]:1234"} {
		wantOneLine(t, nil, server("--join=localhost:1,"+anywhere), 2, "--join "+anywhere+" is no address that others could reach")
		wantOneLine(t, nil, server("--advertise="+anywhere), 2, "--advertise "+anywhere+" is no address that others could reach")
		bad := conf(line + anywhere + "\n")
		wantOneLine(t, nil, server("--conf="+bad), 2, bad+":2: "+anywhere+" is no address that others could reach")
	}

	wantOneLine(t, nil, server("--replicas=0"), 2, "--replicas")
	wantOneLine(t, nil, server("--partitions=1000"), 2, "--partitions")
	wantOneLine(t, nil, server("--partitioner=dice"), 2, "--partitioner")
	wantOneLine(t, nil, []string{"server", "--port=0"}, 2, "--port")
	wantOneLine(t, nil, server("--no-such-flag"), 2, "--no-such-flag")
	wantOneLine(t, nil, server("--cluster-secret-file="+filepath.Join(dir, "none")), 2, "--cluster-secret-file")
	wantOneLine(t, nil, []string{"no-such-command"}, 2, "no-such-command")
	wantOneLine(t, []string{"HTTPDHS_REPLICAS=none"}, server(), 2, "none")
}

// The commands for single keys do what their names say, through any node, and
// tell scripts by their status: get prints the value and nothing else, and for
// a key that is not there nothing at all.
func TestKeyCommands(t *testing.T) {
	t.Parallel()
	c := shared.get(t)
	do := func(status int, want string, args ...string) {
		t.Helper()
		got, stdout, stderr := run(t, nil, append(args, c.to())...)
		if got != status || stdout != want {
			t.Errorf("httpdhs %v: exit %d, %q, want %d, %q; stderr %q", args, got, stdout, status, want, stderr)
		}
	}
	do(1, "", "get", "cli/missing")
	do(0, "", "put", "cli/key å", "a value")
	do(0, "a value", "get", "cli/key å")
	do(0, "a value", "get", "--r=all", "cli/key å")
	do(0, "cli/key å\n", "keys", "cli/")
	if a := send(t, c.addr(0), "GET", "/db/cli/key%20å", ""); string(a.body) != "a value" {
		t.Errorf("over HTTP: %d %q", a.status, a.body)
	}
	do(0, "", "put", "--w=all", "--ttl=1h", "cli/ttl", "short")
	if a := send(t, c.addr(1), "GET", "/db/cli/ttl", ""); a.header.Get("Expires") == "" {
		t.Errorf("no Expires: %v", a.header)
	}
	do(0, "", "del", "cli/key å")
	do(0, "", "del", "cli/key å")
	do(1, "", "get", "cli/key å")
	wantOneLine(t, nil, []string{"get", "cli/missing", "--to=" + c.addr(1)}, 1, "cli/missing", "no such key")
	wantOneLine(t, nil, []string{"get", "x", fmt.Sprintf("--to=localhost:%d", freePort(t))}, 1, "refused")
}

// The environment sets flags, and flags win over it.
func TestEnvironment(t *testing.T) {
	t.Parallel()
	c := shared.get(t)
	send(t, c.addr(0), "PUT", "/db/environment", "value")
	nowhere := fmt.Sprintf("localhost:%d", freePort(t))
	if status, stdout, stderr := run(t, []string{"HTTPDHS_TO=" + c.addr(2)}, "get", "environment"); status != 0 || stdout != "value" {
		t.Errorf("HTTPDHS_TO: %d %q %q", status, stdout, stderr)
	}
	if status, stdout, stderr := run(t, []string{"HTTPDHS_TO=" + nowhere}, "get", "environment", c.to()); status != 0 || stdout != "value" {
		t.Errorf("--to over HTTPDHS_TO: %d %q %q", status, stdout, stderr)
	}

	port := freePort(t)
	p, err := launch(t.TempDir(), []string{fmt.Sprintf("HTTPDHS_PORT=%d", port), "HTTPDHS_REPLICAS=3", "HTTPDHS_MAX_VALUE_BYTES=10B", "HTTPDHS_LOG_FORMAT=json"}, "server", "--replicas=1")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Log(p.err.String())
		}
	})
	alone := &cluster{ports: []int{port}, nodes: []*process{p}}
	if err := alone.awaitReady(); err != nil {
		t.Fatal(err)
	}
	if a := send(t, alone.addr(0), "PUT", "/db/key", "12345678901"); a.status != 413 {
		t.Errorf("HTTPDHS_MAX_VALUE_BYTES=10B: %d %s", a.status, a.body)
	}
	if doc, err := alone.view(0); err != nil || doc.Replicas != 1 || len(doc.Nodes) != 1 {
		t.Errorf("a node alone: %+v %v", doc, err)
	}
	first, _, _ := strings.Cut(p.err.String(), "\n")
	var line struct{ Msg string }
	if err := json.Unmarshal([]byte(first), &line); err != nil || line.Msg == "" {
		t.Errorf("HTTPDHS_LOG_FORMAT=json: %q", first)
	}
}

// The commands that tell of the program and of the cluster, for people and for
// programs.
func TestTellingCommands(t *testing.T) {
	t.Parallel()
	c := shared.get(t)
	for _, args := range [][]string{{"version"}, {"--version"}} {
		if status, stdout, _ := run(t, nil, args...); status != 0 || !strings.HasPrefix(stdout, "httpdhs "+versionBuilt+" go") || strings.Count(stdout, "\n") != 1 {
			t.Errorf("%v: %d %q", args, status, stdout)
		}
	}
	for _, shell := range []string{"bash", "zsh", "fish"} {
		status, stdout, _ := run(t, nil, "completion", shell)
		if status != 0 || !strings.Contains(stdout, "httpdhs") || !strings.Contains(stdout, "load-data") {
			t.Errorf("completion %s: %d %.200q", shell, status, stdout)
		}
	}
	status, stdout, _ := run(t, nil, "--help")
	if status != 0 || !strings.Contains(stdout, "load-data") || strings.Count(stdout, "\n") > 40 {
		t.Errorf("--help: %d\n%s", status, stdout)
	}
	status, stdout, stderr := run(t, nil, "status", c.to())
	if status != 0 || strings.Count(stdout, "active") != 3 || !strings.Contains(stdout, c.addr(2)) {
		t.Errorf("status: %d\n%s%s", status, stdout, stderr)
	}
	var doc struct {
		Nodes []struct{ Name, State string }
	}
	if status, stdout, _ = run(t, nil, "status", "-o", "json", c.to()); status != 0 || json.Unmarshal([]byte(stdout), &doc) != nil || len(doc.Nodes) != 3 {
		t.Errorf("status -o json: %d %q", status, stdout)
	}
	send(t, c.addr(0), "PUT", "/db/telling", "value")
	if status, stdout, stderr = run(t, nil, "ring", "telling", c.to()); status != 0 || strings.Count(stdout, "localhost:") < 2 {
		t.Errorf("ring KEY: %d\n%s%s", status, stdout, stderr)
	}
	if status, stdout, stderr = run(t, nil, "ring", c.to()); status != 0 || strings.Count(stdout, "localhost:") < 3 {
		t.Errorf("ring: %d\n%s%s", status, stdout, stderr)
	}
}
