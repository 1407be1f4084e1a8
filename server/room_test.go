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
	"syscall"
	"testing"
	"time"

	"httpdhs/internal/poll"
	"httpdhs/internal/seal"
	"httpdhs/kv"
)

// At the bound of connections a new one takes the place of the one that is idle
// longest. One with a request is never cut: if all have one, the new one is
// turned away.
func TestMaxConns(t *testing.T) {
	f := start(t, Options{MaxConns: 2})
	entered, release := make(chan struct{}), make(chan struct{})
	f.store.do = func(*kv.Call) { entered <- struct{}{}; <-release }
	ask := func(target string) (*net.TCPConn, *bufio.Reader) {
		c := f.dial()
		t.Cleanup(func() { c.Close() })
		fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", target)
		return c, bufio.NewReader(c)
	}
	busy, busyReader := ask("/db/k")
	<-entered
	_, oldest := ask("/healthz")
	readAnswer(t, oldest, "GET").want(t, 200)
	f.waitFor(phaseIdle, waitNext, 0)
	f.sweep(time.Second)

	_, next := ask("/healthz")
	readAnswer(t, next, "GET").want(t, 200)
	if _, err := oldest.ReadByte(); err != io.EOF {
		t.Errorf("the idle connection is not closed: %v", err)
	}
	f.waitFor(phaseIdle, waitNext, 0)
	_, nextBusy := ask("/db/k")
	<-entered
	if _, err := next.ReadByte(); err != io.EOF {
		t.Errorf("the idle connection is not closed: %v", err)
	}
	_, refused := ask("/healthz")
	a := readAnswer(t, refused, "GET")
	a.want(t, 503)
	if a.header.Get("X-Dht-Node") != "n1:1234" || a.header.Get("Retry-After") != "1" {
		t.Errorf("turned away with %v", a.header)
	}
	close(release)
	readAnswer(t, busyReader, "GET").want(t, 404)
	readAnswer(t, nextBusy, "GET").want(t, 404)
	fmt.Fprintf(busy, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
	readAnswer(t, busyReader, "GET").want(t, 200)
	poll.True(f.t, "two connections are left", func() bool { return f.Stats().Conns == 2 })
	if st := f.Stats(); st.RejectedConns != 1 || st.EvictedConns != 2 {
		t.Errorf("counts: %+v", st)
	}
}

// Of a connection that is closed to make room and a request on it one wins:
// either the request is answered or nothing of it was done.
func TestMaxConnsRace(t *testing.T) {
	f := start(t, Options{MaxConns: 4})
	var did atomic.Int64
	f.store.do = func(*kv.Call) { did.Add(1) }
	var answered atomic.Int64
	var all sync.WaitGroup
	began := time.Now()
	for range 16 {
		all.Go(func() {
			for range 50 {
				f.sweep(time.Since(began))
				c, err := net.Dial("tcp", f.addr)
				if err != nil {
					continue
				}
				r := bufio.NewReader(c)
				for range 3 {
					fmt.Fprintf(c, "PUT /db/k HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nv")
					res, err := http.ReadResponse(r, nil)
					if err != nil || res.StatusCode == 503 {
						break
					}
					answered.Add(1)
				}
				c.Close()
			}
		})
	}
	all.Wait()
	// (A client that dials again may be turned away, and then no answer counts.)
	if did.Load() != answered.Load() || did.Load() == 0 {
		t.Errorf("%d requests were done, %d answered", did.Load(), answered.Load())
	}
}

// say dials and sends that.
func (f *fixture) say(what string) *net.TCPConn {
	f.t.Helper()
	c := f.dial()
	f.t.Cleanup(func() { c.Close() })
	_, _ = io.WriteString(c, what)
	return c
}

// sayHalf is say, and waits until so many connections wait in this way.
func (f *fixture) sayHalf(what string, wait int64, count int) *net.TCPConn {
	f.t.Helper()
	c := f.say(what)
	poll.True(f.t, fmt.Sprintf("%d connections wait in way %d", count, wait), func() bool { return f.inWait(wait) == count })
	return c
}

// ask is say of a whole request, and reads the answer.
func (f *fixture) ask(what string, want int) *net.TCPConn {
	f.t.Helper()
	c := f.say(what)
	readAnswer(f.t, bufio.NewReader(c), "GET").want(f.t, want)
	return c
}

// inWait counts the connections that wait in that way.
func (f *fixture) inWait(wait int64) (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for c := range f.mu.conns {
		if kind, _ := unpack(c.wait.Load()); kind == wait {
			n++
		}
	}
	return n
}

// isClosed says that the server has closed the connection.
func isClosed(t *testing.T, what string, c net.Conn) {
	t.Helper()
	if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%s is not closed", what)
	}
}

// isOpen says that the server has not, and answers on it.
func isOpen(t *testing.T, what string, c net.Conn) {
	t.Helper()
	_, _ = io.WriteString(c, aRequest)
	if a := readAnswer(t, bufio.NewReader(c), "GET"); a.status != 200 {
		t.Errorf("%s is not open: %d", what, a.status)
	}
}

const (
	aRequest = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
	halfHead = "GET /healthz HTTP/1.1\r\nHo"
)

// Of the connections that wait for their clients the larger crowd makes room: half heads for new
// connections as long as there are more of them than idle ones, and the other way round. In it
// the one that has waited longest is closed.
func TestTheLargerCrowdMakesRoom(t *testing.T) {
	f := start(t, Options{MaxConns: 5})
	f.limits.header = time.Hour
	at := time.Duration(0)
	later := func() { at += time.Second; f.sweep(at) }
	idleNow := func(n int) {
		poll.True(f.t, "they are idle", func() bool { return f.inWait(waitNext) == n })
	}
	idle := f.ask(aRequest, 200)
	var heads []net.Conn
	for i := range 4 {
		later()
		heads = append(heads, f.sayHalf(halfHead, waitHead, i+1))
	}
	later()
	next := f.ask(aRequest, 200)
	isClosed(t, "the oldest half head", heads[0])
	idleNow(2)
	later()
	f.ask(aRequest, 200)
	isClosed(t, "the next half head", heads[1])
	idleNow(3)
	later()
	f.ask(aRequest, 200)
	isClosed(t, "the connection that was idle longest", idle)
	isOpen(t, "one that was idle shorter", next)
	_, _ = io.WriteString(heads[2], "st: x\r\n\r\n")
	readAnswer(t, bufio.NewReader(heads[2]), "GET").want(t, 200)
	if n := f.Stats().EvictedConns; n != 3 {
		t.Errorf("%d were closed", n)
	}
}

// A body that has stopped coming and an answer that is not taken are half requests too. They
// make room when they have stood still for a second.
func TestStalledMakeRoom(t *testing.T) {
	for name, c := range map[string]struct {
		sent string
		wait int64
	}{
		"a body":    {"PUT /db/k HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nv", waitRead},
		"a chunk":   {"PUT /db/k HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nv", waitRead},
		"a stream":  {"POST /load-data HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\na\t\r\n", waitRead},
		"an answer": {strings.Repeat("GET /db/large HTTP/1.1\r\nHost: x\r\n\r\n", 8), waitWrite},
	} {
		t.Run(name, func(t *testing.T) {
			f := start(t, Options{MaxConns: 1})
			f.store.entries["large"] = kv.Entry{Version: 1 << 30, Value: make([]byte, 8<<20)}
			f.sweep(time.Second)
			stalled := f.sayHalf(c.sent, c.wait, 1)
			f.ask(aRequest, 503).Close()
			f.limits.write = time.Hour
			for at, status := time.Second, 0; status != 200; { // an answer may still be on its way into buffers
				at += stalledAfter * time.Millisecond
				f.sweep(at)
				c := f.say(aRequest)
				status = readAnswer(t, bufio.NewReader(c), "GET").status
			}
			isClosed(t, name, stalled)
			if _, ok := f.store.entry("k"); ok {
				t.Error("half a value was stored")
			}
		})
	}
}

// What is on its way is not taken for stalled because no tick of the clock has come for long: that
// it waits begins when it does.
func TestWhatComesIsNotStalled(t *testing.T) {
	var now atomic.Int64
	f := startWith(t, Options{MaxConns: 1}, func(s *Server) { s.clock.now = now.Load })
	now.Store(1)
	upload := f.say("")
	poll.True(f.t, "it is accepted", func() bool { return f.inWait(waitNext) == 1 })
	now.Store(1000) // and no tick
	_, _ = io.WriteString(upload, "PUT /db/k HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nv")
	poll.True(f.t, "it is on its way", func() bool { return f.inWait(waitRead) == 1 })
	f.ask(aRequest, 503)
	_, _ = io.WriteString(upload, "alue")
	readAnswer(t, bufio.NewReader(upload), "PUT").want(t, 201)
}

// A client that speaks TLS to a node without it gets its answer. It makes room for others while it
// takes its time to read that.
func TestWhoSpeaksTLSMakesRoom(t *testing.T) {
	f := start(t, Options{MaxConns: 1})
	stranger := f.sayHalf("\x16\x03", waitClose, 1)
	f.sweep(time.Second)
	f.ask(aRequest, 200)
	if said, _ := io.ReadAll(stranger); !strings.HasPrefix(string(said), "HTTP/1.1 421 ") {
		t.Errorf("it was told %q", said)
	}
}

// The connection of a node is not closed to make room, and takes a client's place only where those
// of nodes are taken. Their number is bounded. A connection whose message was refused is none of
// them, nor is one that has only said hello: that may be a stranger's.
func TestPeersAreKept(t *testing.T) {
	f := start(t, Options{MaxConns: 64})
	f.limits.header = time.Hour
	hello := f.message([]byte("hi"))
	hello.purpose = seal.Hello
	greeted, refused := f.tell(hello, 200), f.tell(f.message([]byte("bad")), 400)
	var peers []*link
	for range f.mu.maxBeside() + f.mu.maxGuests() { // the second have places of clients
		peers = append(peers, f.tell(f.message([]byte("hi")), 200))
	}
	beyond := f.tell(f.message([]byte("hi")), 200)
	for i := range 13 {
		f.sayHalf(halfHead, waitHead, i+1)
	}
	at := int64(0)
	poll.True(f.t, "fifty have made room", func() bool {
		at++
		f.clock.set(at)
		f.say(halfHead) // one at a time: of those that come at once some stay at the door
		return f.Stats().EvictedConns >= 50
	})
	isOpen := func(l *link) {
		t.Helper()
		_, _ = io.WriteString(l, f.message([]byte("bad")).frame()) // which makes it no node's
		l.read().want(t, 400)
	}
	for _, l := range append(peers, beyond, refused, greeted) {
		isOpen(l)
	}
	f.sweep(time.Duration(at)*time.Millisecond + time.Second)
	for range 100 {
		f.ask(aRequest, 200)
	}
	isClosed(t, "a node's beyond the bound", beyond)
	isClosed(t, "what a refused message came by", refused)
	isClosed(t, "what a hello came by", greeted)
	for _, l := range peers {
		isOpen(l)
	}
	most := int64(64 + 2*f.mu.maxBeside()) // as many may stand at the door as there are nodes
	poll.True(f.t, "the bounds hold", func() bool { return f.Stats().Conns <= most })
}

// Where all places are taken by requests that are under way, a node still gets in, and a client
// is told why not.
func TestPeersGetIn(t *testing.T) {
	f := start(t, Options{MaxConns: 2})
	entered, release := make(chan struct{}), make(chan struct{})
	f.store.do = func(*kv.Call) { entered <- struct{}{}; <-release }
	defer close(release)
	for range 2 {
		f.say("GET /db/k HTTP/1.1\r\nHost: x\r\n\r\n")
		<-entered
	}
	f.ask(aRequest, 503)
	poll.True(f.t, "the client is gone", func() bool { return f.Stats().Conns == 2 })
	f.sweep(time.Second)
	silent := f.sayHalf("", waitNext, 1)
	f.sweep(2 * time.Second)
	aMessage := f.message([]byte("hi")).text()
	a, peer := f.message([]byte("hi")).send()
	a.want(t, 200)
	isClosed(t, "one that says nothing", silent)
	_, _ = io.WriteString(peer, f.message([]byte("hi")).frame())
	peer.read().want(t, 200)
	f.ask(aRequest, 503)
	poll.True(f.t, "the client is gone", func() bool { return f.Stats().Conns == 3 })

	// There is one place at the door. A message that has stopped coming leaves it to the next,
	// one that is answered does not.
	half := f.sayHalf(aMessage[:len(aMessage)-1], waitRead, 1)
	f.messages.peers = slowPeers{entered: entered, release: release}
	f.say(aMessage)
	<-entered
	isClosed(t, "half a message", half)
	turnedAway := f.dial()
	defer turnedAway.Close()
	away := readAnswer(t, bufio.NewReader(turnedAway), "GET")
	away.want(t, 503)
	if a := away; a.header.Get("X-Dht-Node") != "n1:1234" || a.header.Get("Retry-After") != "1" || !a.close {
		t.Errorf("turned away with %v", a.header)
	}
}

// slowPeers answer when they are released.
type slowPeers struct {
	fakePeers
	entered, release chan struct{}
}

func (p slowPeers) Exchange(dst, request []byte) ([]byte, error) {
	p.entered <- struct{}{}
	<-p.release
	return p.fakePeers.Exchange(dst, request)
}

// poorListener is out of files some times.
type poorListener struct {
	net.Listener
	times atomic.Int64
}

func (l *poorListener) Accept() (net.Conn, error) {
	if l.times.Add(-1) >= 0 {
		return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
	}
	return l.Listener.Accept()
}

// A process that is out of files closes connections that wait for their clients, and goes on.
func TestOutOfFiles(t *testing.T) {
	f := start(t, Options{})
	idle := []net.Conn{f.ask(aRequest, 200), f.say(halfHead)}
	poll.True(f.t, "both wait", func() bool { return f.inWait(waitNext) == 1 && f.inWait(waitHead) == 1 })
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	poor := &poorListener{Listener: ln}
	poor.times.Store(2)
	served := make(chan error, 1)
	go func() { served <- f.Serve(poor) }()
	t.Cleanup(func() {
		_ = f.Shutdown(context.Background())
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	for _, c := range idle {
		isClosed(t, "a connection that waits", c)
	}
	f.addr = ln.Addr().String()
	f.ask(aRequest, 200)
}

// A server has no more files open than it was given for.
func TestConnsWithin(t *testing.T) {
	for _, n := range []int{1, 7, 31, 100, 2000, defaultMaxConns} {
		if got := ConnsWithin(FilesOf(n)); got != n {
			t.Errorf("within the files of %d connections are %d", n, got)
		}
	}
	if got := ConnsWithin(0); got != 0 {
		t.Errorf("within no files are %d connections", got)
	}
	if got := ConnsWithin(1 << 20); got != defaultMaxConns {
		t.Errorf("within many files are %d connections", got)
	}
}

// A connection whose client has sent something is waited for by nobody, also while its goroutine
// has not looked yet: on a busy machine that may take long. It makes room for none.
func TestWhatIsInTheKernelCounts(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	s := New(Options{}, newFakeStore(), &fakeCluster{}, fakePeers{})
	// come is a connection that was accepted, and has no goroutine yet.
	come := func(said string) (*conn, net.Conn) {
		client, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { client.Close() })
		nc, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { nc.Close() })
		c := newConn(s, nc)
		c.setPhase(phaseNew)
		c.setWait(waitNext)
		_, _ = io.WriteString(client, said)
		poll.True(t, "it has come", func() bool { return said == "" || hasSent(nc) })
		return c, client
	}
	k := newCrowd(1)
	now := int64(1000)
	in := func(said string, gone *conn, want bool) *conn {
		t.Helper()
		now++
		c, _ := come(said)
		if got, in := k.letIn(c, now); got.c != gone || in != want {
			t.Errorf("%q: %v makes room, want %v; it is in: %v", said, got.c, gone, in)
		}
		return c
	}
	asked := in(aRequest, nil, true)
	atDoor := in(aRequest, nil, true)
	in("", nil, false)
	if !atDoor.extra {
		t.Error("the second stands at no door")
	}
	_, _ = asked.Conn.Read(make([]byte, 1000))
	in(aRequest, asked, true) // which takes its place: the door is full still
	in("", nil, false)
	_, _ = atDoor.Conn.Read(make([]byte, 1000))
	in(aRequest, atDoor, true)
}

// Who is turned away gets to read why, also if its request was not read.
func TestTurnedAwayIsTold(t *testing.T) {
	f := start(t, Options{MaxConns: 1})
	entered, release := make(chan struct{}), make(chan struct{})
	f.store.do = func(*kv.Call) { entered <- struct{}{}; <-release }
	defer close(release)
	f.say("GET /db/k HTTP/1.1\r\nHost: x\r\n\r\n")
	<-entered
	f.messages.peers = slowPeers{entered: entered, release: release}
	f.say(f.message([]byte("hi")).text()) // at the door
	<-entered
	for range 100 {
		f.mu.Lock() // so that it has asked before it is looked at
		c := f.say(aRequest)
		f.mu.Unlock()
		readAnswer(t, bufio.NewReader(c), "GET").want(t, 503)
		if _, err := io.Copy(io.Discard, c); err != nil {
			t.Errorf("turned away with %v", err)
		}
	}
}
