package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"httpdhs/api"
	"httpdhs/internal/ports"
	"httpdhs/node"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// The command line leaves the catching of signals to the process's end.
		goleak.IgnoreAnyFunction("os/signal.loop"),
		// These of fasthttp end by themselves, some seconds after their last use.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*HostClient).connsCleaner"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
	)
}

// startCluster runs n nodes in this process and sets --to to them.
func startCluster(t *testing.T, n int) (nodes []*node.Node, names []string) {
	t.Helper()
	var listeners []net.Listener
	for range n {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		listeners, names = append(listeners, ln), append(names, ln.Addr().String())
	}
	for i := range n {
		n, err := node.Open(node.Config{Name: names[i], Members: names, Listener: listeners[i], Version: "v9"})
		if err != nil {
			t.Fatal(err)
		}
		nodes = append(nodes, n)
	}
	untilReady(t.Context(), nodes)
	t.Cleanup(func() {
		if err := shutdown(time.Minute, nodes); err != nil {
			t.Error(err)
		}
	})
	t.Setenv("HTTPDHS_TO", strings.Join(names, ","))
	return nodes, names
}

// expect runs the program and wants its status, stdout and part of stderr.
func expect(t *testing.T, status int, out, stderr string, args ...string) {
	t.Helper()
	gotStatus, gotOut, gotErr := httpdhs(args...)
	if gotStatus != status || gotOut != out || !strings.Contains(gotErr, stderr) || stderr == "" && gotErr != "" {
		t.Errorf("%q: status %d, stdout %q, stderr %q; want %d, %q, %q", args, gotStatus, gotOut, gotErr, status, out, stderr)
	}
}

// The commands for single keys, as a shell script uses them: stdout has the
// value and nothing else.
func TestPairs(t *testing.T) {
	startCluster(t, 2)
	expect(t, 1, "", "no such key", "get", "a/b")
	expect(t, 0, "", "", "put", "a/b", "hello\n")
	expect(t, 0, "hello\n", "", "get", "a/b")
	expect(t, 0, "hello\n", "", "get", "--r=all", "a/b")
	expect(t, 0, "", "", "put", "a/b", "-") // standard input is empty
	expect(t, 0, "", "", "get", "a/b")
	expect(t, 0, "", "", "put", "..", "dots", "--w=all", "--ttl=1h")
	expect(t, 0, "", "", "put", "..", "dots", "--ttl=90")
	expect(t, 0, "dots", "", "get", "..")
	expect(t, 0, "", "", "put", "a\xff", "v")
	expect(t, 0, "\"a\\xff\"\n", "", "keys", "a\xff")
	expect(t, 0, "..\n", "", "keys", ".")
	expect(t, 0, "", "", "del", "..")
	expect(t, 0, "", "", "del", "..")
	expect(t, 0, "", "", "keys", ".")
	expect(t, 1, "", "w is", "put", "k", "v", "--w=most")
}

// status and ring, as tables and as the documents behind them.
func TestStatusAndRing(t *testing.T) {
	startCluster(t, 3)
	expect(t, 0, "", "", "put", "k", "v")
	_, table, _ := httpdhs("status")
	for _, want := range []string{"NODE", "active", "v9", "3 nodes, 2 replicas, 1024 partitions by ring"} {
		if !strings.Contains(table, want) {
			t.Errorf("no %q in\n%s", want, table)
		}
	}
	var cluster api.Cluster
	if _, out, _ := httpdhs("status", "-o", "json"); json.Unmarshal([]byte(out), &cluster) != nil || len(cluster.Nodes) != 3 {
		t.Errorf("status as JSON: %s", out)
	}
	var ring api.Ring
	if _, out, _ := httpdhs("ring", "-o", "json"); json.Unmarshal([]byte(out), &ring) != nil || len(ring.Owners) != 1024 {
		t.Errorf("ring as JSON: %s", out)
	}
	if _, out, _ := httpdhs("ring"); strings.Count(out, "\n") != 6 || !strings.Contains(out, "PRIMARY") {
		t.Errorf("ring:\n%s", out)
	}
	if _, out, _ := httpdhs("ring", "k"); strings.Count(out, "1 B") != 2 || !strings.Contains(out, "primary") {
		t.Errorf("ring k:\n%s", out)
	}
}

// Files of every format arrive, bad lines are named, and the status tells.
func TestLoadData(t *testing.T) {
	startCluster(t, 3)
	for name, text := range map[string]string{
		"a.tsv":    "tsv\t1\n",
		"a.csv":    "csv,\"1\n2\"\n",
		"a.ndjson": `{"key":"ndjson","value":"1"}`,
	} {
		if status, out, stderr := httpdhs("load-data", write(t, name, text)); status != 0 || !strings.HasPrefix(out, "loaded 1 record, 0 failed") {
			t.Errorf("%s: status %d, %s%s", name, status, out, stderr)
		}
	}
	expect(t, 0, "1\n2", "", "get", "csv")
	status, out, stderr := httpdhs("load-data", "--format=tsv", write(t, "a.csv", "x\t1\nbad\ny\t2\n"))
	if status != 1 || !strings.HasPrefix(out, "loaded 2 records, 1 failed") || !strings.Contains(stderr, "line 2: no tab") {
		t.Errorf("a bad line: status %d, stdout %q, stderr %q", status, out, stderr)
	}
	expect(t, 0, "2", "", "get", "y")
	if status, out, stderr := httpdhs("load-data", "--sample"); status != 0 || !strings.HasPrefix(out, fmt.Sprintf("loaded %d records, 0 failed", sampleCount())) {
		t.Errorf("--sample: status %d, %s%s", status, out, stderr)
	}
	expect(t, 0, "GRINNING FACE", "", "get", "U+1F600")
	if status, _, stderr := httpdhs("load-data", "/does/not/exist"); status != 1 || !strings.Contains(stderr, "/does/not/exist") {
		t.Errorf("no such file: status %d, %q", status, stderr)
	}
}

// A port in use is told in one line, with status 1.
func TestPortInUse(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	port := fmt.Sprint(ln.Addr().(*net.TCPAddr).Port)
	status, _, stderr := httpdhs("server", "--port", port, "--log-level=error")
	if status != exitError || !strings.Contains(stderr, "address already in use") || strings.Count(stderr, "\n") != 1 {
		t.Errorf("status %d, stderr %q", status, stderr)
	}
}

// freePort is a port that nothing listens on, and that nobody else is given.
func freePort(t *testing.T) int {
	t.Helper()
	port, err := ports.Take(1)
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// A cluster of dev says where it is, and ends well with the first signal. Where it is not to speak
// the Redis protocol, or its port is taken, it says nothing of that, or why.
func TestDevEndsWithASignal(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	busy := taken.Addr().(*net.TCPAddr).Port
	port, resp := freePort(t), freePort(t)
	url := fmt.Sprintf("http://localhost:%d", port)
	for respPort, want := range map[int]string{
		0:    url + "\n\nTry:",
		resp: fmt.Sprintf("%s  redis://localhost:%d\n", url, resp),
		busy: url + "\n\nWithout the Redis protocol: listen tcp",
	} {
		out := &signalAtEnd{when: "Ctrl-C ends it."}
		var stderr bytes.Buffer
		status := run([]string{"dev", "--nodes=1", fmt.Sprint("--port=", port), fmt.Sprint("--resp-port=", respPort)}, nil, out, &stderr)
		if status != exitOK || !strings.Contains(out.text.String(), want) {
			t.Errorf("status %d, stdout %q, stderr %q; want %q", status, out.text.String(), stderr.String(), want)
		}
	}
}

// signalAtEnd interrupts the process when a text has been written.
type signalAtEnd struct {
	text bytes.Buffer
	when string
}

func (s *signalAtEnd) Write(p []byte) (int, error) {
	n, err := s.text.Write(p)
	if strings.Contains(s.text.String(), s.when) {
		s.when = "\x00"
		self, _ := os.FindProcess(os.Getpid())
		_ = self.Signal(syscall.SIGINT)
	}
	return n, err
}

// A server whose context ends, as it does with a signal, stops in good order.
func TestServerStops(t *testing.T) {
	cli := new(commands)
	term := &terminal{out: new(bytes.Buffer), err: new(bytes.Buffer)}
	parser, err := newParser(cli, term)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse([]string{"server", fmt.Sprint("--port=", freePort(t))}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := cli.Server.Run(ctx, term); err != nil {
		t.Error(err)
	}
	if log := term.err.(*bytes.Buffer).String(); !strings.Contains(log, "node stopped") {
		t.Errorf("the log does not tell of the stop:\n%s", log)
	}
}
