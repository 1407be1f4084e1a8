package server

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"httpdhs/kv"
)

// repeatConn is a client that sends the same request so often, each when the answer to the one
// before is there. It looks at no more of an answer than its status. There is no system call in it.
type repeatConn struct {
	net.Conn
	request []byte
	status  string
	left    int
	bad     []byte // an answer with another status
}

func (c *repeatConn) Read(p []byte) (int, error) {
	if c.left--; c.left < 0 {
		return 0, io.EOF
	}
	return copy(p, c.request), nil
}

func (c *repeatConn) Write(p []byte) (int, error) {
	if c.bad == nil && !bytes.HasPrefix(p, []byte("HTTP/1.1 "+c.status)) {
		c.bad = bytes.Clone(p)
	}
	return len(p), nil
}

func (c *repeatConn) Close() error                     { return nil }
func (c *repeatConn) SetDeadline(time.Time) error      { return nil }
func (c *repeatConn) SetReadDeadline(time.Time) error  { return nil }
func (c *repeatConn) SetWriteDeadline(time.Time) error { return nil }
func (c *repeatConn) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (c *repeatConn) RemoteAddr() net.Addr             { return &net.TCPAddr{} }

// cannedStore finds one value for every key, written at a time, and stores
// nothing.
type cannedStore struct {
	fakeStore
	entry kv.Entry
}

func (s *cannedStore) Do(c *kv.Call) {
	op := &c.Ops[0]
	op.Replicas, op.Required, op.Acks, op.Existed = 2, 1, 2, true
	op.Version = s.entry.Version
	if op.Kind == kv.OpGet {
		op.Entry = s.entry
	}
}

// BenchmarkHandler is a request of /db from its first byte to the last of the
// answer, without a network and a store: what HTTP costs.
func BenchmarkHandler(b *testing.B) {
	value := string(make([]byte, 100))
	for _, c := range []struct {
		name, request, status string
		age                   time.Duration // of the value
	}{
		{"GET of a new value", "GET /db/key0000000000001 HTTP/1.1\r\nHost: 127.0.0.1:1234\r\n\r\n", "200", 10 * time.Second},
		{"GET of an old value", "GET /db/key0000000000001 HTTP/1.1\r\nHost: 127.0.0.1:1234\r\n\r\n", "200", time.Hour},
		{"PUT", fmt.Sprintf("PUT /db/key0000000000001 HTTP/1.1\r\nHost: 127.0.0.1:1234\r\nContent-Length: %d\r\n\r\n%s", len(value), value), "204", 0},
	} {
		b.Run(c.name, func(b *testing.B) {
			store := &cannedStore{entry: kv.Entry{Version: kv.VersionAt(time.Now().Add(-c.age)), Value: []byte(value)}}
			s := New(Options{Name: "n1:1234"}, store, &fakeCluster{}, fakePeers{})
			client := &repeatConn{request: []byte(c.request), status: c.status, left: b.N}
			b.ReportAllocs()
			if err := (newConn(s, client)).serve(); err != nil || client.bad != nil {
				b.Fatalf("%v, %q", err, client.bad)
			}
		})
	}
}
