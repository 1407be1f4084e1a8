package test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
)

// answer is an answer read to its end.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a *answer) ok() bool { return a.status >= 200 && a.status < 300 }

// errorText is the error that the body tells, which is JSON.
func (a *answer) errorText() (string, error) {
	var doc errorDocument
	if err := json.Unmarshal(a.body, &doc); err != nil {
		return "", fmt.Errorf("%q is no error document: %w", a.body, err)
	}
	if got := a.header.Get("Content-Type"); got != "application/json" || doc.Error == "" {
		return "", fmt.Errorf("error %q of type %s", doc.Error, got)
	}
	return doc.Error, nil
}

type errorDocument struct{ Error string }

// request is a request as it goes over the wire. A header is a whole line. A
// body has its length told, unless a header says something of it.
func request(method, target, body string, header ...string) string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: localhost\r\n", method, target)
	told := method == "GET" || method == "HEAD" || method == "DELETE"
	for _, h := range header {
		fmt.Fprintf(&b, "%s\r\n", h)
		told = told || bytes.HasPrefix([]byte(h), []byte("Transfer-Encoding")) || bytes.HasPrefix([]byte(h), []byte("Content-Length"))
	}
	if !told {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(body))
	}
	b.WriteString("\r\n")
	b.WriteString(body)
	return b.String()
}

// conn is a connection to a node.
type conn struct {
	net.Conn
	r *bufio.Reader
}

func dial(t *testing.T, addr string) *conn {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	if err := nc.SetDeadline(deadline()); err != nil {
		t.Fatal(err)
	}
	return &conn{Conn: nc, r: bufio.NewReader(nc)}
}

// read reads an answer to a request of that method.
func (c *conn) read(method string) (a answer, err error) {
	resp, err := http.ReadResponse(c.r, &http.Request{Method: method})
	if err != nil {
		return a, err
	}
	defer resp.Body.Close()
	a.status, a.header = resp.StatusCode, resp.Header
	a.body, err = io.ReadAll(resp.Body)
	if resp.ContentLength >= 0 {
		a.header.Set("Content-Length", fmt.Sprint(resp.ContentLength)) // HEAD has it too
	}
	return a, err
}

// send sends a request on a connection of its own and reads the answer. What
// is written while the answer is already there may fail.
func send(t *testing.T, addr, method, target, body string, header ...string) answer {
	t.Helper()
	c := dial(t, addr)
	defer c.Close()
	wrote := make(chan error, 1)
	go func() {
		_, err := io.WriteString(c, request(method, target, body, header...))
		wrote <- err
	}()
	a, err := c.read(method)
	if err != nil {
		t.Fatalf("%s %.100s: %v", method, target, err)
	}
	_ = c.Close()
	<-wrote
	return a
}

// sendFirst is send by a client that reads nothing before all is written.
func sendFirst(t *testing.T, addr, method, target, body string, header ...string) answer {
	t.Helper()
	c := dial(t, addr)
	defer c.Close()
	if _, err := io.WriteString(c, request(method, target, body, header...)); err != nil {
		t.Errorf("%s %.100s: the node closes before it has read: %v", method, target, err)
	}
	a, err := c.read(method)
	if err != nil {
		t.Errorf("%s %.100s: %v", method, target, err)
	}
	return a
}

// wantFailure says that the answer has that status and an error in JSON.
func wantFailure(t *testing.T, what string, a answer, status int) {
	t.Helper()
	if a.status != status {
		t.Errorf("%s: %d %.200q, want %d", what, a.status, a.body, status)
		return
	}
	if _, err := a.errorText(); err != nil {
		t.Errorf("%s: %v", what, err)
	}
}
