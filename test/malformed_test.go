package test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"httpdhs/internal/poll"
)

// malformed are requests that are none, in the order of how badly. With end
// set the client sends nothing more after it.
var malformed = []struct {
	name, bytes string
	end         bool
	first       int // status of a good request in front, whose answer has to come
}{
	{"no Host", "GET /db/x HTTP/1.1\r\n\r\n", false, 0},
	{"two Hosts", "GET /db/x HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n", false, 0},
	{"two lengths", "PUT /db/smuggled HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nContent-Length: 30\r\n\r\nabcGET /db/y HTTP/1.1\r\nHost: localhost\r\n\r\n", false, 0},
	{"a length and chunks", "PUT /db/smuggled HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /db/y HTTP/1.1\r\n\r\n", false, 0},
	{"chunks and a length", "PUT /db/smuggled HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", false, 0},
	{"an encoding that is none", "PUT /db/smuggled HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", false, 0},
	{"a negative length", "PUT /db/smuggled HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n", false, 0},
	{"a length that is none", "PUT /db/smuggled HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0x10\r\n\r\n", false, 0},
	{"a length beyond all", "PUT /db/smuggled HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999999999999\r\n\r\n", false, 0},
	{"a chunk size that is none", "PUT /db/smuggled HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nabc\r\n0\r\n\r\n", false, 0},
	{"a negative chunk size", "PUT /db/smuggled HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n-3\r\nabc\r\n0\r\n\r\n", false, 0},
	{"a chunk size beyond all", "PUT /db/smuggled HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nabc\r\n0\r\n\r\n", false, 0},
	{"a chunk longer than told", "PUT /db/smuggled HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabcdef\r\n0\r\n\r\n", false, 0},
	{"a body cut short", "PUT /db/smuggled HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nabc", true, 0},
	{"a long body cut short", "PUT /db/smuggled HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n" + strings.Repeat("x", 100_000), true, 0},
	{"chunks cut short", "PUT /db/smuggled HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", true, 0},
	{"no last chunk", "PUT /db/smuggled HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", true, 0},
	{"headers cut short", "GET /db/x HTTP/1.1\r\nHost: localhost\r\nX-Hea", true, 0},
	{"a header of 1 MB", "GET /db/x HTTP/1.1\r\nHost: localhost\r\nX-Large: " + strings.Repeat("x", 1<<20) + "\r\n\r\n", false, 0},
	{"100,000 headers", "GET /db/x HTTP/1.1\r\nHost: localhost\r\n" + strings.Repeat("X-A: b\r\n", 100_000) + "\r\n", false, 0},
	{"a header without a colon", "GET /db/x HTTP/1.1\r\nHost: localhost\r\nnothing\r\n\r\n", false, 0},
	{"a space before the colon", "PUT /db/smuggled HTTP/1.1\r\nHost: localhost\r\nContent-Length : 3\r\n\r\nabc", true, 0},
	{"no version", "GET /db/x\r\n\r\n", false, 0},
	{"another version", "GET /db/x HTTP/7.3\r\nHost: localhost\r\n\r\n", false, 0},
	{"HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", false, 0},
	{"TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + strings.Repeat("\xaa", 200), true, 0},
	{"zeros", strings.Repeat("\x00", 1000), true, 0},
	{"noise", strings.Repeat("\xde\xad\xbe\xef", 5000), true, 0},
	{"newlines and noise", strings.Repeat("\r\n", 1000) + "noise\r\n\r\n", true, 0},
	{"garbage after a request", "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n\x01\x02garbage\r\n\r\n", true, 200},
	{"garbage after a body", "PUT /db/ok HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nokgarbage\r\n\r\n", true, 201},
}

// What is no request is answered with 4xx (505 for another version of HTTP) or by closing, and done
// with. No part of it is taken for another request, nothing of it is stored, and the next client is
// served. The node keeps nothing of it, no connection and no goroutine.
func TestMalformedRequests(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	settled := func() (conns, goroutines float64, err error) {
		conns, err = c.metric(0, "httpdhs_http_connections")
		if err == nil {
			goroutines, err = c.metric(0, "go_goroutines")
		}
		return conns, goroutines, err
	}
	var conns, goroutines float64
	poll.Until(t, "the node can be asked", func() (err error) {
		conns, goroutines, err = settled()
		return err
	})
	for _, m := range malformed {
		t.Run(m.name, func(t *testing.T) {
			answers := exchange(t, c.addr(0), m.bytes, m.end)
			if m.first != 0 {
				if len(answers) == 0 || answers[0] != m.first && answers[0] != 204 {
					t.Fatalf("answers %v, want %d first", answers, m.first)
				}
				answers = answers[1:]
			}
			if len(answers) > 1 || len(answers) == 1 && (answers[0] < 400 || answers[0] > 499) && answers[0] != 505 {
				t.Errorf("answers %v, want one of 4xx, 505, or none", answers)
			}
			if a := send(t, c.addr(0), "GET", "/db/smuggled", ""); a.status != 404 {
				t.Errorf("afterwards there is a value: %d %.100q", a.status, a.body)
			}
		})
	}
	poll.Until(t, "the node lets go of them", func() error {
		nowConns, nowGoroutines, err := settled()
		if err == nil && (nowConns > conns+2 || nowGoroutines > goroutines+5) {
			err = fmt.Errorf("%v connections and %v goroutines, before %v and %v", nowConns, nowGoroutines, conns, goroutines)
		}
		return err
	})
	if panics, err := c.metric(0, "httpdhs_http_panics_total"); panics != 0 || err != nil {
		t.Errorf("%v panics, %v", panics, err)
	}
}

// exchange sends bytes, and with end the end of them, and returns the statuses
// of all answers until the node closes the connection.
func exchange(t *testing.T, addr, bytes string, end bool) (statuses []int) {
	t.Helper()
	c := dial(t, addr)
	defer c.Close()
	wrote := make(chan struct{})
	go func() {
		defer close(wrote)
		_, _ = io.WriteString(c, bytes) // the node may have closed already
		if end {
			_ = c.Conn.(interface{ CloseWrite() error }).CloseWrite()
		}
	}()
	for {
		if _, err := c.r.Peek(1); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("the node neither answers nor closes; answers so far: %v", statuses)
			}
			break
		}
		resp, err := http.ReadResponse(c.r, nil)
		if err != nil {
			t.Errorf("what the node answers is no answer: %v", err)
			break
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		statuses = append(statuses, resp.StatusCode)
	}
	_ = c.Close()
	<-wrote
	return statuses
}
