package server

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"

	"httpdhs/internal/poll"
	"httpdhs/kv"
)

// What the headers are enough to refuse is refused before any of the body is sent: whether the
// client asks first or not, and however it sends its body.
func TestRefusedBeforeTheBody(t *testing.T) {
	f := start(t, Options{AuthToken: "s3cret", ClusterSecret: "ours",
		Metrics: func(*fasthttp.RequestCtx) {}, Console: func(*fasthttp.RequestCtx) {}, ConsolePaths: []string{"/", "/console/app.js"}})
	token := "Authorization: Bearer s3cret\r\n"
	for _, c := range []struct {
		head, headers string
		status        int
	}{
		{"PUT /db/k", "", 401},
		{"POST /load-data", "", 401},
		{"POST /batch", "", 401},
		{"PUT /db/", token, 400},
		{"PUT /db/%", token, 400},
		{"PUT /db/" + strings.Repeat("k", 4097), token, 414},
		{"PUT /db/k?ttl=0", token, 400},
		{"PUT /db/k?w=none", token, 400},
		{"PUT /db/k", token + "If-Match:\r\n", 400},
		{"PUT /db/k", token + "If-Match: *\r\nIf-None-Match: *\r\n", 400},
		{"PUT /db/k", token + "Content-Range: bytes 0-1/2\r\n", 400},
		{"PUT /db/k", token + "Content-Type: " + strings.Repeat("a", 256) + "\r\n", 400},
		{"POST /db/k", token, 405},
		{"PUT /none", token, 404},
		{"DELETE /db/%", token, 400},
		{"POST /load-data?w=none", token, 400},
		{"POST /load-data", token + "Content-Type: image/png\r\n", 415},
		{"POST /load-data", token + "Content-Encoding: gzip\r\n", 415},
		{"POST /batch", token + "Content-Type: text/csv\r\n", 415},
		{"POST /batch?nope=1", token, 400},
		{"GET /db/k", "", 401},
		{"GET /db/k?nope=1", token, 400},
		{"GET /db/%zz", token, 400},
		{"GET /db/k", token + "If-Match: W/\"00000000000003e8\"\r\n", 400},
		{"GET /db/k", token + "If-None-Match: " + strings.Repeat(string(kv.Version(1<<30).AppendETag(nil))+",", kv.MaxConditionVersions+1) + "\r\n", 400},
		{"DELETE /db/k?ttl=1s", token, 400},
		{"DELETE /db/k", token + "If-Match:\r\n", 400},
		{"GET /cluster/ring", token + "If-None-Match: *, *\r\n", 400},
		{"GET /db", "", 401},
		{"GET /db?nope=1", token, 400},
		{"PUT /db", token, 405},
		{"GET /metrics", "", 401},
		{"POST /metrics", token, 405},
		{"GET /", "", 401},
		{"POST /", token, 405},
		{"GET /console/nope", "", 404},
		{"PUT /console/app.js", token, 405},
		{"GET /cluster", "", 401},
		{"GET /cluster?nope=1", token, 400},
		{"GET /cluster/ring", "", 401},
		{"GET /cluster/ring?nope=1", token, 400},
		{"GET /cluster/key/k", "", 401},
		{"GET /cluster/key/k?nope=1", token, 400},
		{"GET /cluster/key/%zz", token, 400},
		{"GET /cluster/key/", token, 400},
		{"PUT /cluster/key/k", token, 405},
		{"POST /cluster/leave", "", 401},
		{"POST /cluster/leave?nope=1", token, 400},
		{"GET /cluster/leave", token, 405},
		{"DELETE /cluster/nodes/down:1", "", 401},
		{"DELETE /cluster/nodes/down:1?nope=1", token, 400},
		{"DELETE /cluster/nodes/%zz", token, 400},
		{"GET /cluster/nodes/down:1", token, 405},
		{"GET /internal/link", token, 426},
		{"POST /internal/none", "", 426},
	} {
		for _, body := range []string{"Content-Length: 5\r\n", "Content-Length: 5000000\r\n", "Transfer-Encoding: chunked\r\n"} {
			for _, asks := range []string{"", "Expect: 100-continue\r\n"} {
				f.refusesAtOnce(t, c.head+" HTTP/1.1", c.headers+body+asks, c.status)
			}
		}
		f.refusesAtOnce(t, c.head+" HTTP/1.0", c.headers+"Content-Length: 5000000\r\n", c.status)
	}
	f.refusesAtOnce(t, "GET /db HTTP/1.0", token+"Accept: application/x-ndjson\r\nContent-Length: 5\r\n", 400)
	if f.store.size() != 0 || f.cluster.left != 0 || len(f.cluster.removed) != 0 {
		t.Error("what was refused was done")
	}
	for _, asks := range []string{"", "Expect: 100-continue\r\n"} {
		f.refusesAtOnce(t, "PUT /db/k HTTP/1.1", token+asks+"Content-Length: 8388609\r\n", 413)
	}
}

// refusesAtOnce sends headers and nothing else, and wants the final answer.
func (f *fixture) refusesAtOnce(t *testing.T, line, headers string, want int) {
	t.Helper()
	c := f.dial()
	defer c.Close()
	fmt.Fprintf(c, "%s\r\nHost: x\r\n%s\r\n", line, headers)
	a := readAnswer(t, bufio.NewReader(c), "PUT")
	a.want(t, want)
	if a.header.Get("X-Dht-Node") == "" || a.body == "" {
		t.Errorf("%s: %q %v", line, a.body, a.header)
	}
	asked := strings.Contains(headers, "Expect:") || strings.Contains(headers, "Length: 5000000") || want == 413
	if asked && !a.close {
		t.Errorf("%s, %s: the connection stays open", line, headers)
	}
}

// After a refusal of a short body the connection is good for a next request, once the body has
// come.
func TestConnOutlivesRefusal(t *testing.T) {
	f := start(t, Options{})
	c := f.dial()
	defer c.Close()
	r := bufio.NewReader(c)
	fmt.Fprintf(c, "PUT /db/%% HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", len(behind))
	readAnswer(t, r, "PUT").want(t, 400)
	_, _ = io.WriteString(c, behind) // as the body
	_, _ = io.WriteString(c, put("Content-Length: 1\r\n", "v"))
	readAnswer(t, r, "PUT").want(t, 201)
	if _, ok := f.store.entry("behind"); ok {
		t.Error("a refused body was taken for a request")
	}
}

// An answer does not wait for the rest of what its client has begun to send.
func TestAnswersDoNotWait(t *testing.T) {
	f := start(t, Options{})
	c := f.dial()
	defer c.Close()
	r := bufio.NewReader(c)
	in := put("Content-Length: 3\r\n", "one") + put("Content-Length: 3\r\n", "two") + put("Content-Length: 5\r\n", "thr")
	_, _ = io.WriteString(c, in)
	readAnswer(t, r, "PUT").want(t, 201)
	readAnswer(t, r, "PUT").want(t, 204)
	_, _ = io.WriteString(c, "eeGET /db/k HTT")
	readAnswer(t, r, "PUT").want(t, 204)
	_, _ = io.WriteString(c, "P/1.1\r\nHost: x\r\n\r\n")
	if a := readAnswer(t, r, "GET"); a.body != "three" {
		t.Errorf("read %q", a.body)
	}
}

// A client that sends all of its body before it looks gets to read that its token is missing.
func TestLargeBodyUnauthorized(t *testing.T) {
	f := start(t, Options{AuthToken: "s3cret"})
	for _, target := range []string{"/db/k", "/load-data"} {
		c := f.dial()
		fmt.Fprintf(c, "PUT %s HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000\r\n\r\n", target)
		if _, err := io.WriteString(c, strings.Repeat("v", 10_000_000)); err != nil {
			t.Errorf("writing: %v", err)
		}
		readAnswer(t, bufio.NewReader(c), "PUT").want(t, 401)
		c.Close()
	}
}

// A client that asks first is told at once: to go on, or why not.
func TestExpectContinue(t *testing.T) {
	f := start(t, Options{AuthToken: "s3cret", MaxInFlightBytes: 16 << 20})
	token := "Authorization: Bearer s3cret\r\n"
	f.clientBytes.take(12<<20, 0)
	f.refusesAtOnce(t, "PUT /db/k HTTP/1.1", token+"Expect: 100-continue\r\nContent-Length: 5000000\r\n", 503)
	f.clientBytes.give(12 << 20)

	c := f.dial()
	defer c.Close()
	r := bufio.NewReader(c)
	for range 2 {
		fmt.Fprintf(c, "PUT /db/k HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n%sContent-Length: 5000000\r\n\r\n", token)
		if line, _ := r.ReadString('\n'); !strings.HasPrefix(line, "HTTP/1.1 100") {
			t.Fatalf("answer is %q, want 100", line)
		}
		_, _ = r.ReadString('\n')
		_, _ = io.WriteString(c, strings.Repeat("v", 5_000_000))
		if a := readAnswer(t, r, "PUT"); a.status/100 != 2 {
			t.Fatalf("after 100: %d %s", a.status, a.body)
		}
	}
	if e, _ := f.store.entry("k"); len(e.Value) != 5_000_000 {
		t.Errorf("stored %d bytes", len(e.Value))
	}
}

// A body that is not read does not cost the client the answer, whatever it is.
func TestUnreadBody(t *testing.T) {
	f := start(t, Options{})
	f.store.entries["k"] = kv.Entry{Version: 1 << 30, Value: []byte("v")}
	for head, want := range map[string]int{"GET /db/k": 200, "GET /db": 200, "GET /healthz": 200, "DELETE /db/other": 204} {
		c := f.dial()
		fmt.Fprintf(c, "%s HTTP/1.1\r\nHost: x\r\nContent-Length: 500000\r\n\r\n", head)
		// In two parts, so that there is something to come when the server has answered. The answer
		// is read when the server is done with the connection: a reset would have taken it away.
		_, _ = c.Write(make([]byte, 100_000))
		poll.True(t, "it is answered", func() bool { return f.inWait(waitClose) == 1 || f.Stats().Conns == 0 })
		if _, err := c.Write(make([]byte, 400_000)); err != nil {
			t.Errorf("%s: writing the body: %v", head, err)
		}
		_ = c.CloseWrite()
		poll.True(t, "the connection is closed", func() bool { return f.Stats().Conns == 0 })
		r := bufio.NewReader(c)
		readAnswer(t, r, head[:3]).want(t, want)
		if _, err := r.ReadByte(); err != io.EOF {
			t.Errorf("%s: the connection ends with %v", head, err)
		}
		c.Close()
	}
}
