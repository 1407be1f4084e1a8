package server

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"httpdhs/internal/poll"
	"httpdhs/kv"
)

const getHealth = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"

// While the server drains, connections are taken as ever, and every answer ends its connection:
// the node says that it is not ready. When that is over all is as before.
func TestDraining(t *testing.T) {
	f := start(t, Options{})
	kept := f.dial()
	defer kept.Close()
	r := bufio.NewReader(kept)
	ask := func(c net.Conn, r *bufio.Reader, target string, status int, last bool) {
		t.Helper()
		fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", target)
		a := readAnswer(t, r, "GET")
		a.want(t, status)
		if a.close != last {
			t.Errorf("GET %s: is the last answer: %v, want %v", target, a.close, last)
		}
	}
	ask(kept, r, "/readyz", 200, false)
	f.SetDraining(true)
	ask(kept, r, "/healthz", 200, true)
	if _, err := r.ReadByte(); err != io.EOF {
		t.Errorf("after the last answer: %v", err)
	}
	fresh := f.dial()
	defer fresh.Close()
	ask(fresh, bufio.NewReader(fresh), "/readyz", 503, true)
	f.SetDraining(false)
	other := f.dial()
	defer other.Close()
	r = bufio.NewReader(other)
	ask(other, r, "/readyz", 200, false)
	ask(other, r, "/readyz", 200, false)
}

// A server that stops has its answers end their connections, also where the draining before is
// given up in the same moment, as by a leave that fails.
func TestDrainingEndsWhileTheServerStops(t *testing.T) {
	for range 1000 {
		s := New(Options{}, newFakeStore(), &fakeCluster{}, fakePeers{})
		begun, over := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(over)
			s.SetDraining(true)
			close(begun)
			for n := 0; n < 10_000 && !s.ending.stopping(); n++ { // it spins: not for long
				s.SetDraining(false)
			}
		}()
		<-begun
		if err := s.Shutdown(context.Background()); err != nil {
			t.Fatal(err)
		}
		if <-over; !s.ending.parting() {
			t.Fatal("it stops, and answers keep their connections")
		}
	}
}

// A node goes on to be reached while it drains: its messages are no answers that end connections.
func TestLinksWhileDraining(t *testing.T) {
	f := start(t, Options{})
	f.SetDraining(true)
	l := f.link("")
	for range 3 {
		_, _ = io.WriteString(l, f.message([]byte("m")).frame())
		l.read().want(t, 200)
	}
}

// What a client has sent ahead is answered to the last request, and that answer ends the
// connection.
func TestPipelineWhileDraining(t *testing.T) {
	f := start(t, Options{})
	f.SetDraining(true)
	const many = 5
	c := f.say(strings.Repeat(getHealth, many))
	r := bufio.NewReader(c)
	for n := range many {
		a := readAnswer(t, r, "GET")
		a.want(t, 200)
		if a.close != (n == many-1) {
			t.Errorf("answer %d of %d ends the connection: %v", n+1, many, a.close)
		}
	}
}

// A client that sends ahead without end is told to stop, and gets the answers until then.
func TestEndlessPipelineWhileDraining(t *testing.T) {
	f := start(t, Options{})
	f.SetDraining(true)
	c := f.dial()
	go func() { _, _ = io.WriteString(c, strings.Repeat(getHealth, 4*partingsMax)) }()
	r := bufio.NewReader(c)
	n, last := 0, false
	for ; !last; n++ {
		a := readAnswer(t, r, "GET")
		if a.want(t, 200); a.status == 0 {
			break
		}
		last = a.close
	}
	if n > partingsMax+1 {
		t.Errorf("%d requests were answered", n)
	}
	c.Close()
}

// A request of which a part has come when the server stops is read to its end and answered, however
// far it has come: to nothing that was read yet, in its head, in its body. And so is one that comes
// soon after.
func TestStopAnswersWhatHasBegun(t *testing.T) {
	const request = "PUT /db/k HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n0123456789"
	for _, sent := range []int{0, 1, len(request) - 20, len(request) - 3, len(request)} {
		for _, fresh := range []bool{true, false} {
			t.Run(fmt.Sprintf("%d bytes, fresh %v", sent, fresh), func(t *testing.T) {
				f := startWith(t, Options{}, func(s *Server) { s.limits.farewell = time.Minute })
				c := f.dial()
				defer c.Close()
				r := bufio.NewReader(c)
				if !fresh {
					_, _ = io.WriteString(c, getHealth)
					readAnswer(t, r, "GET").want(t, 200)
				}
				poll.True(t, "it waits", func() bool { return f.inWait(waitNext) == 1 })
				stops := make(chan struct{})
				f.store.do = func(*kv.Call) { <-stops }
				_, _ = io.WriteString(c, request[:sent])
				done := make(chan error)
				go func() { done <- f.Shutdown(context.Background()) }()
				poll.True(t, "it stops", f.ending.stopping)
				close(stops)
				_, _ = io.WriteString(c, request[sent:])
				a := readAnswer(t, r, "PUT")
				a.want(t, 201)
				if !a.close {
					t.Errorf("headers: %v", a.header)
				}
				if err := <-done; err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// The bytes of a request may be in the kernel while its connection is told that it is over: the
// request is read all the same. Of one that has sent nothing the wait ends.
func TestLastCallLooksAtTheSocket(t *testing.T) {
	for _, sent := range []string{"", getHealth} {
		s := New(Options{}, newFakeStore(), &fakeCluster{}, fakePeers{})
		s.limits.farewell = 0
		client, server := tcpPair(t)
		if _, err := io.WriteString(client, sent); err != nil {
			t.Fatal(err)
		}
		poll.True(t, "it has arrived", func() bool { return sent == "" || hasSent(server) })
		if err := s.Shutdown(context.Background()); err != nil {
			t.Fatal(err)
		}
		c := newConn(s, server)
		c.setPhase(phaseIdle)
		b := make([]byte, 1000)
		n, err := c.Read(b)
		if string(b[:n]) != sent || sent == "" && err != io.EOF {
			t.Errorf("read %q, %v, want %q", b[:n], err, sent)
		}
		c.setPhase(phaseHandler)
		_ = server.SetReadDeadline(longAgo) // as if it had waited for a request
		_, _ = io.WriteString(client, "b")
		if n, err := c.Read(b); sent != "" && (n != 1 || err != nil) {
			t.Errorf("a body is cut: %d, %v", n, err)
		}
	}
}

// A client that is too slow is still cut while the server stops.
func TestSweepWhileStopping(t *testing.T) {
	s := New(Options{}, newFakeStore(), &fakeCluster{}, fakePeers{})
	_, server := tcpPair(t)
	c := newConn(s, server)
	if err := s.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	c.setPhase(phaseHandler)
	read := make(chan error)
	go func() {
		_, err := c.Read(make([]byte, 1))
		read <- err
	}()
	var word int64
	poll.True(t, "it waits", func() bool {
		word = c.wait.Load()
		kind, _ := unpack(word)
		return kind == waitRead
	})
	if !c.endWait(word) {
		t.Fatal("the wait is not ended")
	}
	if err := <-read; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the read ends with %v", err)
	}
}

// Of clients that ask without a break, each on one connection, none loses a request when the server
// stops: its last answer says that it is the last, and the listener has gone only then.
func TestStopUnderLoad(t *testing.T) {
	f := startWith(t, Options{}, func(s *Server) { s.limits.farewell = time.Minute })
	var did, answered atomic.Int64
	f.store.do = func(*kv.Call) { did.Add(1) }
	var clients sync.WaitGroup
	for range 64 {
		c := f.dial()
		clients.Go(func() {
			defer c.Close()
			r := bufio.NewReader(c)
			for last := false; !last; {
				_, err := io.WriteString(c, "PUT /db/k HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nv")
				var res *http.Response
				if err == nil {
					res, err = http.ReadResponse(r, nil)
				}
				if err != nil {
					t.Errorf("a request is lost: %v", err)
					return
				}
				if res.StatusCode/100 != 2 {
					t.Errorf("status %d", res.StatusCode)
				}
				answered.Add(1)
				last = res.Close
			}
		})
	}
	poll.True(t, "there is load", func() bool { return answered.Load() > 2000 })
	if err := f.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	clients.Wait()
	if did.Load() != answered.Load() {
		t.Errorf("%d requests were done, %d answered", did.Load(), answered.Load())
	}
}

// A connection that the kernel has accepted before the server stops is served, also where the
// accept loop had not come to it.
func TestStopTakesWhatKnocks(t *testing.T) {
	s := New(Options{}, newFakeStore(), &fakeCluster{}, fakePeers{})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = io.WriteString(c, getHealth)
	tcp := ln.(*net.TCPListener)
	_ = tcp.SetDeadline(longAgo) // the loop comes too late
	held := &heldListener{TCPListener: tcp, let: make(chan struct{})}
	served := make(chan error, 1)
	go func() { served <- s.Serve(held) }()
	poll.True(t, "it is about to accept", held.asked.Load)
	done := make(chan error, 1)
	go func() { done <- s.Shutdown(context.Background()) }()
	poll.True(t, "it stops", s.ending.stopping)
	close(held.let)
	a := readAnswer(t, bufio.NewReader(c), "GET")
	a.want(t, 200)
	if !a.close {
		t.Error("the answer is not the last")
	}
	if err := errors.Join(<-done, <-served); err != nil {
		t.Error(err)
	}
}

// heldListener accepts when it is let.
type heldListener struct {
	*net.TCPListener
	asked atomic.Bool
	let   chan struct{}
}

func (l *heldListener) Accept() (net.Conn, error) {
	l.asked.Store(true)
	<-l.let
	return l.TCPListener.Accept()
}

// tcpPair is the two ends of a connection.
func tcpPair(t *testing.T) (client, server *net.TCPConn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); s.Close() })
	return c.(*net.TCPConn), s.(*net.TCPConn)
}
