package server

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"httpdhs/internal/poll"
)

// A request that is cut, has no end or is none at all is answered with a 4xx or not at all. It ends
// its connection and stores nothing, and nothing after it is taken for a request. (What could be
// read in two ways is in TestFraming.)
func TestMalformed(t *testing.T) {
	f := start(t, Options{})
	big := strings.Repeat("a", 1<<20)
	for name, in := range map[string]string{
		"cut after a chunk":        "PUT /db/k HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nv\r\n",
		"cut in a chunk":           "PUT /db/k HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nv",
		"cut in a chunk size":      "PUT /db/k HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nv\r\n0",
		"cut after the last chunk": "PUT /db/k HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nv\r\n0\r\n",
		"cut body":                 "PUT /db/k HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nv",
		"cut large body":           "PUT /db/k HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n\r\n" + big,
		"cut headers":              "PUT /db/k HTTP/1.1\r\nHost: x\r\nContent-Le",
		"large header":             "PUT /db/k HTTP/1.1\r\nHost: x\r\nX-Big: " + big + "\r\nContent-Length: 1\r\n\r\nv" + behind,
		"many headers":             "PUT /db/k HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("X-A: b\r\n", 100_000) + "Content-Length: 1\r\n\r\nv",
		"large target":             "PUT /db/" + big + " HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nv" + behind,
		"large trailer":            "PUT /db/k HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nv\r\n0\r\nX: " + big + "\r\n\r\n" + behind,
		"tls hello":                "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
		"garbage":                  "\x00\x01\x02 garbage\r\n\r\n",
	} {
		out := f.raw(in)
		if out != "" && !strings.HasPrefix(out, "HTTP/1.1 4") {
			t.Errorf("%s: answered %.100q", name, out)
		}
		if n := len(answers(out)); n > 1 {
			t.Errorf("%s: %d answers: %q", name, n, out)
		}
		if f.store.size() != 0 {
			t.Errorf("%s: something was stored: %v", name, f.store.entries)
			clear(f.store.entries)
		}
	}
	if n := f.Stats().Panics; n != 0 {
		t.Errorf("%d panics", n)
	}
	f.send("PUT", "/db/k", "v").want(t, 201) // the server is well
}

// Statuses that tell a client what to do differently.
func TestMalformedStatuses(t *testing.T) {
	f := start(t, Options{})
	big := strings.Repeat("a", 1<<20)
	for in, want := range map[string]string{
		"GET / HTTP/1.1\r\nHost: x\r\nX-Big: " + big + "\r\n\r\n":     "431",
		"GET /db/" + big + " HTTP/1.1\r\nHost: x\r\n\r\n":             "414",
		"GET / HTTP/1.1\r\n\r\n":                                      "400",
		"PUT /db/k HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nv": "400",
	} {
		res, err := http.ReadResponse(bufio.NewReader(strings.NewReader(f.raw(in))), nil)
		if err != nil {
			t.Errorf("%.40q: %v", in, err)
			continue
		}
		body, _ := io.ReadAll(res.Body)
		if !strings.HasPrefix(res.Status, want) || !strings.HasPrefix(string(body), `{"error":"`) ||
			res.Header.Get("X-Dht-Node") == "" || res.Header.Get("Content-Type") != "application/json" || !res.Close {
			t.Errorf("%.40q: %s %v %s", in, res.Status, res.Header, body)
		}
	}
}

// Garbage after a good request does not change its answer.
func TestPipelinedGarbage(t *testing.T) {
	f := start(t, Options{})
	out := f.raw("PUT /db/k HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nvgarbage\r\n\r\n")
	if !strings.HasPrefix(out, "HTTP/1.1 201") || strings.Count(out, "HTTP/1.1 ") != 2 || !strings.Contains(out, "HTTP/1.1 400") {
		t.Errorf("answers: %q", out)
	}
	if e, _ := f.store.entry("k"); string(e.Value) != "v" {
		t.Errorf("stored %q", e.Value)
	}
}

// Pipelined requests are answered in their order, and each body belongs to
// its request: also where it is ignored, refused or chunked.
func TestPipelining(t *testing.T) {
	f := start(t, Options{})
	var in strings.Builder
	var want []int
	add := func(status int, format string, args ...any) {
		fmt.Fprintf(&in, format, args...)
		want = append(want, status)
	}
	for i := range 50 {
		add(201, "PUT /db/k%d HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n%02d", i, i)
		add(200, "GET /db/k%d HTTP/1.1\r\nHost: x\r\n\r\n", i)
		add(201, "PUT /db/c%d HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n", i)
		evil := "PUT /db/evil HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
		add(400, "PUT /db/%% HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(evil), evil)
		add(204, "DELETE /db/k%d HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", i)
		add(404, "GET /db/k%d HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nGET / HTT", i)
	}
	r := bufio.NewReader(strings.NewReader(f.raw(in.String())))
	for i, status := range want {
		a := readAnswer(t, r, "GET")
		if a.status != status {
			t.Fatalf("answer %d is %d, want %d: %s", i, a.status, status, a.body)
		}
		if status == 200 && a.body != fmt.Sprintf("%02d", i/6) {
			t.Errorf("answer %d is %q", i, a.body)
		}
	}
	if _, ok := f.store.entry("evil"); ok {
		t.Error("a refused body was taken for a request")
	}
	if e, _ := f.store.entry("c1"); string(e.Value) != "abcd" {
		t.Errorf("chunked value is %q", e.Value)
	}
}

// The timeouts of slow clients, on a clock that the test turns.
func TestSlowClients(t *testing.T) {
	header := "PUT /db/k HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n"
	for _, c := range []struct {
		name, sent string
		phase      int64
		fine, late time.Duration
		status     int // 0: just closed
	}{
		{"nothing sent", "", phaseNew, 9 * time.Second, 11 * time.Second, 408},
		{"half a header", "PUT /db/k HT", phaseFirst, 9 * time.Second, 11 * time.Second, 408},
		{"idle", "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", phaseIdle, 119 * time.Second, 121 * time.Second, 0},
		{"a body that stops", header + strings.Repeat("v", 50<<10), phaseHandler, 10*time.Second + 30*time.Second, 71 * time.Second, 408},
		{"a stream that stops", "POST /load-data HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\na\tb\n\r\n", phaseStream, 59 * time.Second, 61 * time.Second, 408},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := start(t, Options{})
			conn := f.dial()
			defer conn.Close()
			r := bufio.NewReader(conn)
			_, _ = io.WriteString(conn, c.sent)
			if c.phase == phaseIdle {
				readAnswer(t, r, "GET").want(t, 200)
			}
			wait := int64(waitRead)
			switch {
			case c.phase <= phaseIdle:
				wait = waitNext
			case c.phase == phaseFirst:
				wait = waitHead
			}
			f.waitFor(c.phase, wait, int64(len(c.sent)))
			f.sweep(c.fine)
			if n := f.Stats().SlowConns; n != 0 {
				t.Fatalf("cut after %v", c.fine)
			}
			f.sweep(c.late)
			if n := f.Stats().SlowConns; n != 1 {
				t.Fatalf("not cut after %v", c.late)
			}
			if c.status != 0 {
				readAnswer(t, r, "PUT").want(t, c.status)
			}
			if _, err := r.ReadByte(); err != io.EOF {
				t.Errorf("the connection is not closed: %v", err)
			}
			if f.store.size() > 1 {
				t.Error("stored something")
			}
		})
	}
}

// waitFor waits until the one connection of the server is in a state.
func (f *fixture) waitFor(phase, wait, sent int64) {
	f.t.Helper()
	poll.True(f.t, fmt.Sprintf("a connection gets to phase %d", phase), func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		for c := range f.mu.conns {
			p, _ := unpack(c.phase.Load())
			w, _ := unpack(c.wait.Load())
			if p == phase && w == wait && (phase != phaseHandler || c.body.Load() > sent/2) {
				return true
			}
		}
		return false
	})
}

// A client that does not take its answer is cut.
func TestSlowReader(t *testing.T) {
	f := start(t, Options{})
	f.send("PUT", "/db/k", strings.Repeat("v", 8<<20)).want(t, 201)
	conn := f.dial()
	defer conn.Close()
	_ = conn.SetReadBuffer(4 << 10)
	for range 8 {
		_, _ = io.WriteString(conn, "GET /db/k HTTP/1.1\r\nHost: x\r\n\r\n")
	}
	f.waitFor(phaseHandler, waitWrite, -2)
	var late time.Duration
	poll.True(t, "the connection is gone", func() bool {
		f.sweep(late)
		late += time.Minute
		return f.Stats().Conns == 0
	})
}
