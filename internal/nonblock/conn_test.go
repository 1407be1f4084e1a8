package nonblock

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"syscall"
	"testing"
	"time"
)

// pair is the two ends of a connection: one that package net reads and writes, and ours.
func pair(t *testing.T) (plain *net.TCPConn, ours net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	a, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	return a.(*net.TCPConn), Conn(b)
}

// What is written arrives, whole and in its order, though it is more than the kernel takes at once.
func TestEverythingArrives(t *testing.T) {
	plain, ours := pair(t)
	sent := make([]byte, 32<<20)
	random := rand.NewChaCha8([32]byte{1})
	_, _ = random.Read(sent)
	echoed := make(chan error, 1)
	go func() {
		_, err := io.Copy(struct{ io.Writer }{plain}, struct{ io.Reader }{plain})
		echoed <- errors.Join(err, plain.CloseWrite())
	}()
	got := make(chan []byte, 1)
	go func() {
		all, err := io.ReadAll(ours)
		if err != nil {
			t.Error(err)
		}
		got <- all
	}()
	if n, err := ours.Write(sent); n != len(sent) || err != nil {
		t.Fatal(n, err)
	}
	if err := ours.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if err := <-echoed; err != nil {
		t.Error(err)
	}
	if all := <-got; !bytes.Equal(all, sent) {
		t.Errorf("of %d bytes that were sent and echoed, other %d came back", len(sent), len(all))
	}
}

// Errors are those of package net, by their kind and by what they say.
func TestErrorsAreThoseOfNet(t *testing.T) {
	into := make([]byte, 10)
	past := time.Unix(1, 0)
	for _, c := range []struct {
		what string
		do   func(plain *net.TCPConn, c net.Conn) error
		is   error
	}{
		{"a read of nothing", func(_ *net.TCPConn, c net.Conn) error {
			_, err := c.Read(nil)
			return err
		}, nil},
		{"the end", func(plain *net.TCPConn, c net.Conn) error {
			_ = plain.Close()
			_, err := c.Read(into)
			return err
		}, io.EOF},
		{"a read that is late", func(_ *net.TCPConn, c net.Conn) error {
			_ = c.SetReadDeadline(past)
			_, err := c.Read(into)
			return err
		}, os.ErrDeadlineExceeded},
		{"a read that waits until it is late", func(_ *net.TCPConn, c net.Conn) error {
			_ = c.SetReadDeadline(time.Now().Add(time.Millisecond))
			_, err := c.Read(into)
			return err
		}, os.ErrDeadlineExceeded},
		{"a write that is late", func(_ *net.TCPConn, c net.Conn) error {
			_ = c.SetWriteDeadline(past)
			_, err := c.Write(into)
			return err
		}, os.ErrDeadlineExceeded},
		{"a read after a close", func(_ *net.TCPConn, c net.Conn) error {
			_ = c.Close()
			_, err := c.Read(into)
			return err
		}, net.ErrClosed},
		{"a write after a close", func(_ *net.TCPConn, c net.Conn) error {
			_ = c.Close()
			_, err := c.Write(into)
			return err
		}, net.ErrClosed},
		{"a reset", func(plain *net.TCPConn, c net.Conn) error {
			_ = plain.SetLinger(0)
			_ = plain.Close()
			_, err := c.Read(into)
			return err
		}, syscall.ECONNRESET},
	} {
		plain, ours := pair(t)
		err := c.do(plain, ours)
		if !errors.Is(err, c.is) {
			t.Errorf("%s: %v", c.what, err)
		}
		other, reference := pair(t)
		want := c.do(other, bare(reference))
		if a, b := said(err), said(want); a != b {
			t.Errorf("%s: %q, and package net says %q", c.what, a, b)
		}
	}
}

// bare is what lies under one of ours.
func bare(c net.Conn) net.Conn {
	if ours, ok := c.(interface{ NetConn() net.Conn }); ok {
		return ours.NetConn()
	}
	return c
}

// said is what an error says, without its addresses.
func said(err error) string {
	var op *net.OpError
	if errors.As(err, &op) {
		op.Source, op.Addr = nil, nil
	}
	return fmt.Sprint(err)
}

// A write that waits for room ends with the connection.
func TestWriteThatWaitsEnds(t *testing.T) {
	plain, ours := pair(t)
	ended := make(chan error, 1)
	go func() {
		_, err := ours.Write(make([]byte, 64<<20)) // which nobody reads
		ended <- err
	}()
	if _, err := io.ReadFull(plain, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	ours.Close()
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}

// A read and a write allocate nothing.
func TestNothingIsAllocated(t *testing.T) {
	plain, ours := pair(t)
	b := make([]byte, 100)
	if n := testing.AllocsPerRun(100, func() {
		_, _ = ours.Write(b)
		_, _ = io.ReadFull(plain, b)
		_, _ = plain.Write(b)
		_, _ = io.ReadFull(ours, b)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// What lies under one of ours is found by NetConn, as under one of TLS.
func TestWhatLiesUnder(t *testing.T) {
	_, ours := pair(t)
	if _, ok := bare(ours).(*net.TCPConn); !ok {
		t.Errorf("it is a %T", bare(ours))
	}
}

// What is no connection of TCP stays as it is.
func TestOthersStay(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if Conn(a) != a {
		t.Error("a pipe was wrapped")
	}
}
