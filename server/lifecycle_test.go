package server

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"httpdhs/internal/poll"
	"httpdhs/kv"
)

// Shutdown closes idle connections, lets a request that is in progress
// finish, and says so in its answer.
func TestShutdown(t *testing.T) {
	f := start(t, Options{})
	entered, release := make(chan struct{}), make(chan struct{})
	f.store.do = func(*kv.Call) { close(entered); <-release }

	idle := f.dial()
	defer idle.Close()
	idleReader := bufio.NewReader(idle)
	fmt.Fprintf(idle, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
	readAnswer(t, idleReader, "GET").want(t, 200)
	fresh := f.dial()
	defer fresh.Close()
	busy := f.dial()
	defer busy.Close()
	fmt.Fprintf(busy, "PUT /db/k HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nv")
	<-entered

	done := make(chan error)
	go func() { done <- f.Shutdown(context.Background()) }()
	if _, err := idleReader.ReadByte(); err != io.EOF {
		t.Errorf("the idle connection: %v", err)
	}
	if b, err := io.ReadAll(fresh); err != nil || len(b) != 0 {
		t.Errorf("the connection that sent nothing: %q, %v", b, err)
	}
	select {
	case <-done:
		t.Error("Shutdown did not wait for the request")
	default:
	}
	close(release)
	a := readAnswer(t, bufio.NewReader(busy), "PUT")
	a.want(t, 201)
	if !a.close {
		t.Errorf("headers: %v", a.header)
	}
	if err := <-done; err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	if c, err := net.Dial("tcp", f.addr); err == nil {
		c.Close()
		t.Error("still accepts connections")
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Serve(ln); err != nil {
		t.Errorf("Serve after Shutdown: %v", err)
	}
}

// At its deadline Shutdown closes what is still open.
func TestShutdownDeadline(t *testing.T) {
	f := start(t, Options{})
	c := f.dial()
	defer c.Close()
	fmt.Fprintf(c, "PUT /db/k HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n%s", make([]byte, 20_000))
	f.waitFor(phaseHandler, waitRead, -2)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := f.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Shutdown: %v", err)
	}
	if n := f.Stats().Conns; n != 0 {
		t.Errorf("%d connections are left", n)
	}
	if f.store.size() != 0 {
		t.Error("half a value was stored")
	}
}

// The sweep runs by itself, and ends with the server (goleak sees to that).
func TestSweepLoop(t *testing.T) {
	s := New(Options{}, newFakeStore(), &fakeCluster{}, fakePeers{})
	s.sweepEvery = time.Millisecond
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error)
	go func() { served <- s.Serve(ln) }()
	poll.True(t, "it has swept", func() bool { return s.clock.Load() != 0 })
	if err := s.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// A listener that fails for good ends Serve; one that is short of file
// descriptors does not.
func TestAcceptErrors(t *testing.T) {
	s := New(Options{}, newFakeStore(), &fakeCluster{}, fakePeers{})
	if err := s.Serve(&brokenListener{errors.New("gone")}); err == nil {
		t.Error("Serve of a broken listener has no error")
	}
	if err := s.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
}

type brokenListener struct{ err error }

func (l *brokenListener) Accept() (net.Conn, error) { return nil, l.err }
func (l *brokenListener) Close() error              { return nil }
func (l *brokenListener) Addr() net.Addr            { return &net.TCPAddr{} }

// The path of a request through our own code allocates nothing: get, put and
// a miss.
func TestNoAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	store := &constantStore{value: make([]byte, 100), contentType: []byte("text/plain")}
	s := New(Options{Name: "n1:1234"}, store, &fakeCluster{}, fakePeers{})
	c := newConn(s, nil)
	c.req.conn = c
	for _, request := range []struct {
		method, target string
		body           bool
	}{
		{"GET", "/db/some/key%20of%20mine", false},
		{"GET", "http://host/db/some/key", false},
		{"PUT", "/db/some/key", true},
		{"DELETE", "/db/some/key", false},
	} {
		var ctx fasthttp.RequestCtx
		ctx.Init2(c, nil, false)
		c.in = bufio.NewReader(endlessBody{})
		allocs := testing.AllocsPerRun(200, func() {
			ctx.Request.Reset()
			ctx.Response.Reset()
			ctx.Request.Header.SetMethod(request.method)
			ctx.Request.Header.SetRequestURI(request.target)
			if request.body {
				ctx.Request.Header.SetContentType("text/plain")
				ctx.Request.Header.SetContentLength(100)
				c.req.begin(&head{length: 100})
			}
			s.handle(&ctx)
			c.release()
		})
		if ctx.Response.StatusCode()/100 != 2 {
			t.Errorf("%s %s: %d %s", request.method, request.target, ctx.Response.StatusCode(), ctx.Response.Body())
		}
		if allocs != 0 {
			t.Errorf("%s %s: %v allocations a request", request.method, request.target, allocs)
		}
	}
}

type constantStore struct{ value, contentType []byte }

func (s *constantStore) Do(c *kv.Call) {
	op := &c.Ops[0]
	op.Version, op.Acks, op.Replicas = 1<<40, 2, 2
	if op.Kind == kv.OpGet {
		op.Value, op.Meta = s.value, s.contentType
	}
}
func (s *constantStore) List(*kv.ListRequest) (kv.Page, error)      { return kv.Page{}, nil }
func (s *constantStore) Clear(*kv.ClearRequest) (kv.Cleared, error) { return kv.Cleared{}, nil }
func (s *constantStore) Partitions() int                            { return 1024 }

type endlessBody struct{}

func (endlessBody) Read(p []byte) (int, error) { return len(p), nil }
