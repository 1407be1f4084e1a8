package node

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"httpdhs/internal/ports"
)

// withProfiler opens a node with a profiler, and returns where that listens.
func withProfiler(t *testing.T, log *lines) (n *Node, addr string) {
	t.Helper()
	port, err := ports.Take(1)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := ports.Listen()
	if err != nil {
		t.Fatal(err)
	}
	addr = fmt.Sprintf("127.0.0.1:%d", port)
	if n, err = Open(Config{Name: "127.0.0.1:1", Listener: ln, PprofAddr: addr, Log: log.logger()}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Kill)
	return n, addr
}

// profilerConn is a connection to the profiler.
type profilerConn struct {
	net.Conn
	in *bufio.Reader
}

func dialProfiler(t *testing.T, addr string) *profilerConn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return &profilerConn{c, bufio.NewReader(c)}
}

// ask sends a request with these header lines, and returns the status of the answer.
func (c *profilerConn) ask(request string, headers ...string) (status int, err error) {
	if _, err := fmt.Fprintf(c, "%s HTTP/1.1\r\nHost: %s\r\n%s\r\n", request, c.RemoteAddr(), strings.Join(append(headers, ""), "\r\n")); err != nil {
		return 0, err
	}
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, resp.Body.Close()
}

const cmdline = "GET /debug/pprof/cmdline"

// The profiler takes few connections, so that whoever reaches it does not take the node's files.
// One more is served when another has ended. All ends with the node.
func TestTheProfilerTakesFewConnections(t *testing.T) {
	const most = 16
	_, addr := withProfiler(t, new(lines))
	var conns []*profilerConn
	for range most {
		c := dialProfiler(t, addr)
		if status, err := c.ask(cmdline); status != 200 {
			t.Fatalf("%d, %v", status, err)
		}
		conns = append(conns, c)
	}
	var room atomic.Bool
	late := make(chan error, 1)
	one := dialProfiler(t, addr)
	go func() {
		status, err := one.ask(cmdline)
		if err == nil && (status != 200 || !room.Load()) {
			err = fmt.Errorf("answered %d; there was room: %t", status, room.Load())
		}
		late <- err
	}()
	for range 100 { // an unbounded one would have answered it meanwhile
		if status, err := conns[0].ask(cmdline); status != 200 {
			t.Fatalf("%d, %v", status, err)
		}
	}
	room.Store(true)
	_ = conns[1].Close()
	if err := <-late; err != nil {
		t.Error(err)
	}
}

// A page of another origin cannot have the browser use the profiler, whatever the method; others
// can.
func TestPagesDoNotProfile(t *testing.T) {
	_, addr := withProfiler(t, new(lines))
	const symbol, none = "POST /debug/pprof/symbol", "Content-Length: 0"
	for _, row := range []struct {
		request string
		headers []string
		want    int
	}{
		{cmdline, nil, 200},
		{cmdline, []string{"Sec-Fetch-Site: none"}, 200},
		{cmdline, []string{"Origin: http://" + addr}, 200},
		{cmdline, []string{"Origin: http://evil.example"}, 403},
		{cmdline, []string{"Origin: null"}, 403},
		{cmdline, []string{"Sec-Fetch-Site: cross-site"}, 403},
		{cmdline, []string{"Sec-Fetch-Site: same-origin", "Sec-Fetch-Site: cross-site"}, 403},
		{symbol, []string{none}, 200},
		{symbol, []string{none, "Origin: http://" + addr, "Sec-Fetch-Site: same-origin"}, 200},
		{symbol, []string{none, "Sec-Fetch-Site: same-site"}, 403},
		{symbol, []string{none, "Origin: http://evil.example"}, 403},
		{symbol, []string{none, "Origin: null"}, 403},
	} {
		c := dialProfiler(t, addr)
		if status, err := c.ask(row.request, row.headers...); status != row.want {
			t.Errorf("%+v: %d, %v", row, status, err)
		}
		_ = c.Close()
	}
}

// What goes wrong at the profiler's listener is in the node's log, in its format.
func TestFaultsOfTheProfilerAreLogged(t *testing.T) {
	var log lines
	n, _ := withProfiler(t, &log)
	if n.pprof.http.ErrorLog == nil {
		t.Fatal("they go to stderr")
	}
	n.pprof.http.ErrorLog.Print("http: Accept error")
	if got := log.with(`level=WARN msg="http: Accept error" listener=pprof`); len(got) != 1 {
		t.Errorf("%q", got)
	}
}
