package resp

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"httpdhs/internal/poll"
	"httpdhs/internal/testcert"
	"httpdhs/kv"
)

// A value of the largest size is stored and found. One that is larger is refused, and much larger
// ones are not read.
func TestLargeValues(t *testing.T) {
	_, _, addr := start(t, Options{})
	c := dial(t, addr)
	largest := strings.Repeat("v", kv.DefaultLimits().MaxValueBytes)
	put := func(value string) string {
		return fmt.Sprintf("*3\r\n$3\r\nSET\r\n$1\r\na\r\n$%d\r\n%s\r\n", len(value), value)
	}
	c.say(put(largest), "+OK\r\n")
	c.say("GET a\r\n", fmt.Sprintf("$%d\r\n%s\r\n", len(largest), largest))
	c.say(put(largest+"v"), "-"+textOf(kv.ErrValueTooLarge)+"\r\n")
	c.say("APPEND a v\r\n", "-"+textOf(kv.ErrValueTooLarge)+"\r\n")
	c.say("PING\r\n", "+PONG\r\n")
	c.say("*3\r\n$3\r\nSET\r\n$1\r\na\r\n$20000000\r\n", "-ERR Protocol error: invalid bulk length: this node takes 9437184 bytes at most (--max-value-bytes)\r\n")
	c.closed()
}

// What is wrong with an input is said, though the client goes on sending.
func TestFaultIsHeard(t *testing.T) {
	_, _, addr := start(t, Options{})
	c := dial(t, addr)
	if _, err := c.Write(append([]byte("PING\r\n*x\r\n"), make([]byte, 1<<20)...)); err != nil {
		t.Fatal(err)
	}
	c.hear("*x", "+PONG\r\n-ERR Protocol error: invalid multibulk length\r\n")
	c.closed()
}

// Connections have a bound, and who is beyond it is told so.
func TestTooManyConnections(t *testing.T) {
	srv, _, addr := start(t, Options{MaxConns: 2})
	first := dial(t, addr)
	for _, c := range []*client{first, dial(t, addr)} {
		c.say("PING\r\n", "+PONG\r\n")
	}
	third := dial(t, addr)
	third.hear("a third", tooManyConns)
	third.closed()
	first.Close()
	poll.True(t, "there is a place", func() bool { return srv.Stats().Conns == 1 })
	dial(t, addr).say("PING\r\n", "+PONG\r\n")
	if st := srv.Stats(); st.RejectedConns != 1 {
		t.Errorf("%+v", st)
	}
}

// Commands that are being read have a bound of memory. One that is beyond it is told so.
func TestCommandsInMemoryAreBounded(t *testing.T) {
	srv, _, addr := start(t, Options{MaxInBytes: 1 << 20})
	large, other := dial(t, addr), dial(t, addr)
	if _, err := io.WriteString(large, "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$4000000\r\n"+strings.Repeat("v", 1<<20)); err != nil {
		t.Fatal(err)
	}
	large.hear("a large command", "-"+errInFull.Error()+"\r\n")
	large.closed()
	large.Close()
	other.say("*3\r\n$3\r\nSET\r\n$1\r\na\r\n$100000\r\n"+strings.Repeat("v", 100000)+"\r\n", "+OK\r\n")
	poll.True(t, "the large one is gone", func() bool { return srv.Stats().Conns == 1 })
	other.Close()
	poll.True(t, "all is given back", func() bool { return srv.Stats().InHeld == 0 })
	if st := srv.Stats(); st.Overloaded != 1 {
		t.Errorf("%+v", st)
	}
}

// So have answers. Those that are beyond it become errors, each in its place.
func TestAnswersInMemoryAreBounded(t *testing.T) {
	srv, store, addr := start(t, Options{MaxOutBytes: 1 << 20})
	store.entries["small"] = kv.Entry{Version: 1, Value: []byte("s")}
	store.entries["large"] = kv.Entry{Version: 1, Value: make([]byte, 2<<20)}
	c := dial(t, addr)
	c.say("GET small\r\nGET large\r\nGET small\r\n", "$1\r\ns\r\n-"+errOutFull+"\r\n$1\r\ns\r\n")
	c.say("PING\r\n", "+PONG\r\n")
	poll.True(t, "all is given back", func() bool { return srv.Stats().OutHeld == 0 })
	if st := srv.Stats(); st.Overloaded == 0 {
		t.Errorf("%+v", st)
	}
}

// waits says whether some connection waits in that way.
func (s *Server) waits(kind int64) (yes bool) {
	s.each(func(c *conn) {
		found, _ := unpack(c.wait.Load())
		yes = yes || found == kind
	})
	return yes
}

// A client that stops in the middle of a command is closed; one that is idle is not.
func TestHalfACommandIsNotWaitedForLong(t *testing.T) {
	srv, _, addr := start(t, Options{})
	half, idle := dial(t, addr), dial(t, addr)
	idle.say("PING\r\n", "+PONG\r\n")
	if _, err := io.WriteString(half, "*2\r\n$3\r\nGE"); err != nil {
		t.Fatal(err)
	}
	poll.True(t, "both wait", func() bool { return srv.waits(waitRest) && srv.waits(waitNext) })
	srv.sweep(srv.now() + (30 * time.Second).Milliseconds())
	poll.True(t, "half a command waits on", func() bool { return srv.waits(waitRest) })
	srv.sweep(srv.now() + (24 * time.Hour).Milliseconds())
	half.closed()
	idle.say("PING\r\n", "+PONG\r\n")
	if st := srv.Stats(); st.SlowConns != 1 {
		t.Errorf("%+v", st)
	}
}

// A client that does not read its answers is closed, and what it was to be told is forgotten.
func TestAnswersAreNotOfferedForLong(t *testing.T) {
	srv, store, addr := start(t, Options{})
	store.entries["a"] = kv.Entry{Version: 1, Value: make([]byte, 1<<20)}
	c := dial(t, addr)
	if _, err := io.WriteString(c, strings.Repeat("GET a\r\n", 100)); err != nil {
		t.Fatal(err)
	}
	poll.True(t, "the node waits for its client", func() bool { return srv.waits(waitWrite) && srv.Stats().OutHeld > 0 })
	if held := srv.Stats().OutHeld; held > 32<<20 {
		t.Errorf("%d bytes are held for a client that reads nothing", held)
	}
	poll.True(t, "it is closed", func() bool {
		srv.sweep(srv.now() + (24 * time.Hour).Milliseconds())
		return srv.Stats().Conns == 0
	})
	if st := srv.Stats(); st.OutHeld != 0 || st.SlowConns == 0 {
		t.Errorf("%+v", st)
	}
}

// What was read before Shutdown is carried out and answered. Idle connections are closed.
func TestShutdownFinishesWhatWasRead(t *testing.T) {
	srv, store, addr := start(t, Options{})
	under, release := make(chan struct{}), make(chan struct{})
	idle, busy := dial(t, addr), dial(t, addr)
	idle.say("PING\r\n", "+PONG\r\n")
	store.before = func() {
		close(under)
		<-release
	}
	if _, err := io.WriteString(busy, "SET a 1\r\nGET a\r\n*2\r\n$3\r\n"); err != nil {
		t.Fatal(err)
	}
	<-under
	stopped := make(chan error, 1)
	go func() { stopped <- srv.Shutdown(context.Background()) }()
	idle.closed()
	close(release)
	busy.hear("what was read", "+OK\r\n$1\r\n1\r\n")
	busy.closed()
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

// At the end of its context Shutdown closes what is left.
func TestShutdownWaitsNoLonger(t *testing.T) {
	srv, store, addr := start(t, Options{})
	store.entries["a"] = kv.Entry{Version: 1, Value: make([]byte, 1<<20)}
	c := dial(t, addr)
	if _, err := io.WriteString(c, strings.Repeat("GET a\r\n", 100)); err != nil {
		t.Fatal(err)
	}
	poll.True(t, "the node waits for its client", func() bool { return srv.waits(waitWrite) })
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := srv.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	poll.True(t, "all are closed", func() bool { return srv.Stats().Conns == 0 })
}

// A panic ends its connection alone, after the answers before it and an error.
func TestPanicIsAnswered(t *testing.T) {
	srv, store, addr := start(t, Options{})
	other := dial(t, addr)
	other.say("PING\r\n", "+PONG\r\n")
	store.fail = func(op *kv.Op) error {
		if string(op.Key) == "bad" {
			panic("BUG: a test")
		}
		return nil
	}
	c := dial(t, addr)
	c.say("GET a\r\nDBSIZE\r\nGET bad\r\nPING\r\n", "$-1\r\n:0\r\n-"+errInternal.Error()+"\r\n")
	c.closed()
	other.say("PING\r\nGET a\r\n", "+PONG\r\n$-1\r\n")
	if st := srv.Stats(); st.Panics != 1 {
		t.Errorf("%+v", st)
	}
}

// With a token a client says who it is before anything else, and is not waited for as long.
func TestGuestsAreToldSo(t *testing.T) {
	srv, _, addr := start(t, Options{AuthToken: "secret"})
	c := dial(t, addr)
	c.say("GET a\r\nPING\r\n", strings.Repeat("-NOAUTH Authentication required.\r\n", 2))
	c.say("get\r\n", "-ERR wrong number of arguments for 'get' command\r\n")
	c.say("*3\r\n$3\r\nSET\r\n$1\r\na\r\n$20000\r\n", "-ERR Protocol error: unauthenticated bulk length\r\n")
	c.closed()
	idle := dial(t, addr)
	poll.True(t, "it waits as a guest", func() bool { return srv.waits(waitGuest) })
	srv.sweep(srv.now() + (2 * time.Minute).Milliseconds())
	idle.closed()
}

// TLS is the listener's. Who connects and does not shake hands is closed like a guest.
func TestTLSIsServed(t *testing.T) {
	store := newFakeStore()
	srv := New(Options{}, store, fakeCluster{store})
	pool, cert := testcert.New(t)
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}})
	if err != nil {
		t.Fatal(err)
	}
	serveOn(t, srv, ln)
	silent := dial(t, ln.Addr().String())
	poll.True(t, "it is waited for", func() bool { return srv.waits(waitGuest) })
	nc, err := tls.Dial("tcp", ln.Addr().String(), &tls.Config{RootCAs: pool})
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	c := &client{t, nc}
	c.say("SET a 1\r\nGET a\r\n", "+OK\r\n$1\r\n1\r\n")
	poll.True(t, "the node is done with its answer", func() bool { return srv.waits(waitNext) })
	srv.sweep(srv.now() + (2 * time.Minute).Milliseconds())
	silent.closed()
	c.say("PING\r\n*x\r\n", "+PONG\r\n-ERR Protocol error: invalid multibulk length\r\n")
	c.closed()
}

// A page in a browser that sends an HTTP request here has no command carried out.
func TestHTTPIsClosed(t *testing.T) {
	_, store, addr := start(t, Options{})
	c := dial(t, addr)
	if _, err := io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\n\r\nSET a 1\r\n"); err != nil {
		t.Fatal(err)
	}
	c.closed()
	c = dial(t, addr)
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\nSET a 1\r\n"); err != nil {
		t.Fatal(err)
	}
	c.hear("GET", "-ERR wrong number of arguments for 'get' command\r\n")
	c.closed()
	if len(store.entries) > 0 {
		t.Error("a command was carried out")
	}
}

// A buffer that a long command has made large is given back when that is done.
func TestBuffersShrink(t *testing.T) {
	store := newFakeStore()
	srv := New(Options{}, store, fakeCluster{store})
	value := bytes.Repeat([]byte("v"), 300_000)
	m := &memoryConn{pieces: [][]byte{fmt.Appendf(nil, "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$%d\r\n%s\r\n", len(value), value)}}
	c := newConn(srv, m)
	for len(m.got) == 0 {
		if err := c.once(); err != nil {
			t.Fatal(err)
		}
	}
	if len(c.parser.buf) <= len(value) || c.held < int64(len(value)) {
		t.Fatalf("it has %d bytes, and %d are counted", len(c.parser.buf), c.held)
	}
	if err := c.makeRoom(); err != nil || len(c.parser.buf) != readBufBytes || c.held != 0 || srv.Stats().InHeld != 0 {
		t.Errorf("%d bytes are left, and %d are counted: %v", len(c.parser.buf), c.held, err)
	}
}

// What was answered is not counted against what follows: of large values in one pipeline each is
// found, though there is memory for only one of them at a time.
func TestPipelineOfLargeValues(t *testing.T) {
	srv, store, addr := start(t, Options{MaxOutBytes: 5 << 20})
	value := strings.Repeat("v", 2<<20)
	store.entries["a"] = kv.Entry{Version: 1, Value: []byte(value)}
	srv.foundMax = 1 << 20
	one := fmt.Sprintf("$%d\r\n%s\r\n", len(value), value)
	c := dial(t, addr)
	for range 2 {
		c.say(strings.Repeat("GET a\r\n", 5)+"EXISTS a\r\n", strings.Repeat(one, 5)+":1\r\n")
	}
	poll.True(t, "all is given back", func() bool { return srv.Stats().OutHeld == 0 })
	srv.memory.out.take(5 << 20)
	c.say("GET a\r\nEXISTS a\r\nMGET a a\r\n", "-"+errOutFull+"\r\n:1\r\n-"+errOutFull+"\r\n")
	srv.memory.out.give(5 << 20)
}

// With twice the largest value, which is the least that a node may be given, a value as large is
// read: the answer is another buffer, a little longer than the value.
func TestLargestValueIsRead(t *testing.T) {
	const largest = 256 << 10
	_, store, addr := start(t, Options{MaxOutBytes: 2 * largest})
	c := dial(t, addr)
	for size := largest - 16; size <= largest; size++ {
		value := strings.Repeat("v", size)
		store.entries["a"] = kv.Entry{Version: 1, Value: []byte(value)}
		c.say("GET a\r\n", fmt.Sprintf("$%d\r\n%s\r\n", size, value))
	}
}

// Where nobody else holds values, a call may pass the bound with one operation, whatever it has
// taken already. Otherwise that would be refused for good. It does not pass the bound twice.
func TestWhoIsAloneMayPassTheBoundOnce(t *testing.T) {
	b := budget{max: 10}
	mine, other := new(scratch), new(scratch)
	hold := mine.holdCopies(&b)
	if !hold(kv.Copies{Found: 2, Made: 1}) || b.used.Load() != 5 {
		t.Errorf("2 bytes that are found, and 1 that is stored, take %d", b.used.Load())
	}
	if !other.holdCopies(&b)(kv.Copies{Made: 1}) || hold(kv.Copies{Found: 5}) {
		t.Error("10 bytes of 10 are taken beside 5 of its own and 1 of another's")
	}
	b.give(other.found.Swap(0))
	if !hold(kv.Copies{Found: 5}) || b.used.Load() != 15 {
		t.Errorf("10 bytes of 10 are not taken beside 5 of its own: %d are", b.used.Load())
	}
	if hold(kv.Copies{Made: 1}) || b.used.Load() != 15 {
		t.Error("it passes the bound twice")
	}
	b.give(mine.found.Swap(0))
	if mine.outHeld = 4; !b.take(4) || !hold(kv.Copies{Found: 6, Made: 3}) || b.used.Load() != 19 {
		t.Errorf("what it holds of answers is in its own way: %d are taken", b.used.Load())
	}
}
