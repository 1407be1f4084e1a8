package resp

import (
	"bytes"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"httpdhs/kv"
)

// What one read has brought is one call, and operations on a key take effect in their order.
func TestPipelineIsOneCall(t *testing.T) {
	store := newFakeStore()
	srv := New(Options{}, store, fakeCluster{store})
	got, _ := exchange(srv, []byte("SET a 1\r\nINCR a\r\nGET a\r\nfoo\r\nAPPEND a x\r\nINCR a\r\nMGET a b\r\nDEL a b\r\nGET a\r\n"))
	want := "+OK\r\n:2\r\n$1\r\n2\r\n-ERR unknown command 'foo', with args beginning with: \r\n:2\r\n" +
		"-ERR value is not an integer or out of range\r\n*2\r\n$2\r\n2x\r\n$-1\r\n:1\r\n$-1\r\n"
	if string(got) != want || store.calls != 1 {
		t.Errorf("in %d calls: %q", store.calls, got)
	}
}

// A command that acts comes after those before it, and before those behind it.
func TestWhatActsKeepsItsPlace(t *testing.T) {
	store := newFakeStore()
	srv := New(Options{}, store, fakeCluster{store})
	got, _ := exchange(srv, []byte("SET a 1\r\nDBSIZE\r\nSET b 2\r\nRENAME a c\r\nGET c\r\nDBSIZE\r\n"))
	if want := "+OK\r\n:1\r\n+OK\r\n+OK\r\n$1\r\n1\r\n:2\r\n"; string(got) != want {
		t.Errorf("%q", got)
	}
}

// Calls are bounded in operations and in bytes, and a command that is beyond that is carried out in
// parts and has one answer.
func TestCallsAreBounded(t *testing.T) {
	store := newFakeStore()
	srv := New(Options{}, store, fakeCluster{store})
	const n = 3000
	var in, keys bytes.Buffer
	for i := range n {
		fmt.Fprintf(&in, "SET k%d %d\r\n", i, i)
		fmt.Fprintf(&keys, " k%d", i)
	}
	for _, command := range []string{"MGET none", "EXISTS none", "DEL none", "MGET"} {
		args := strings.Fields(command + keys.String())
		fmt.Fprintf(&in, "*%d\r\n", len(args))
		for _, arg := range args {
			fmt.Fprintf(&in, "$%d\r\n%s\r\n", len(arg), arg)
		}
	}
	got, _ := exchange(srv, in.Bytes())
	var want bytes.Buffer
	want.WriteString(strings.Repeat("+OK\r\n", n) + fmt.Sprintf("*%d\r\n$-1\r\n", n+1))
	for i := range n {
		fmt.Fprintf(&want, "$%d\r\n%d\r\n", len(fmt.Sprint(i)), i)
	}
	fmt.Fprintf(&want, ":%d\r\n:%d\r\n*%d\r\n%s", n, n, n, strings.Repeat("$-1\r\n", n))
	if !bytes.Equal(got, want.Bytes()) {
		t.Errorf("%d bytes, want %d", len(got), want.Len())
	}
	if store.largest > callOps {
		t.Errorf("a call of %d operations", store.largest)
	}
}

// Values beyond what a call finds are asked for again, where that finds the same.
func TestLargeValuesAreFoundInFurtherCalls(t *testing.T) {
	store := newFakeStore()
	value := bytes.Repeat([]byte("v"), 1<<10)
	for i := range 10 {
		store.entries[fmt.Sprint(i)] = kv.Entry{Version: 1, Value: value}
	}
	srv := New(Options{}, store, fakeCluster{store})
	srv.foundMax, srv.answerMax = 4<<10, 64<<10
	one := fmt.Sprintf("$%d\r\n%s\r\n", len(value), value)
	in := ""
	for i := range 10 {
		in += fmt.Sprintf("GET %d\r\n", i)
	}
	got, _ := exchange(srv, []byte(in))
	if string(got) != strings.Repeat(one, 10) || store.calls < 3 || store.calls > 6 {
		t.Errorf("%d bytes in %d calls", len(got), store.calls)
	}
	got, _ = exchange(srv, []byte("MGET 0 1 2 3 4 5 6 7 8 9\r\n"))
	if string(got) != "*10\r\n"+strings.Repeat(one, 10) {
		t.Errorf("MGET: %d bytes", len(got))
	}
	got, _ = exchange(srv, []byte(in+"EXISTS 0 1 2 3 4 5 6 7 8 9\r\nSET 8 x\r\nGET 8\r\n"))
	want := strings.Repeat(one, 8) + "-" + textOf(kv.ErrAnswerFull) + "\r\n" + one + ":10\r\n+OK\r\n$1\r\nx\r\n"
	if string(got) != want {
		t.Errorf("with a write behind them: %d bytes, want %d", len(got), len(want))
	}
	got, _ = exchange(srv, []byte("MGET"+strings.Repeat(" 1", 70)+"\r\nPING\r\n"))
	if want := "-" + textOf(kv.ErrAnswerFull) + "\r\n+PONG\r\n"; string(got) != want {
		t.Errorf("70 KiB: %.100q", got)
	}
}

// What was found in one further call stays what it is when there is another.
func TestValuesOfFurtherCallsAreKeptApart(t *testing.T) {
	store := newFakeStore()
	var want bytes.Buffer
	in := ""
	for i, size := range []int{3 << 10, 3 << 10, 3 << 10, 10, 2 << 10, 10, 5 << 10, 10, 10, 3 << 10} {
		value := bytes.Repeat([]byte{byte('a' + i)}, size)
		store.entries[fmt.Sprint(i)] = kv.Entry{Version: 1, Value: value}
		in += fmt.Sprintf("GET %d\r\n", i)
		fmt.Fprintf(&want, "$%d\r\n%s\r\n", size, value)
	}
	all := want.String()
	srv := New(Options{}, store, fakeCluster{store})
	srv.foundMax, srv.answerMax = 4<<10, 64<<10
	got, _ := exchange(srv, []byte(in+"MGET 0 1 2 3 4 5 6 7 8 9\r\n"+in))
	if string(got) != all+"*10\r\n"+all+all {
		t.Errorf("%d bytes, want %d", len(got), 3*len(all)+5)
	}
}

// Commands that arrive byte by byte are answered like those that arrive together.
func TestCommandsMayComeInPieces(t *testing.T) {
	_, _, addr := start(t, Options{})
	c := dial(t, addr)
	for _, b := range []byte("*3\r\n$3\r\nSET\r\n$1\r\na\r\n$5\r\n1\r\n23\r\nGET a\r\nPI") {
		if _, err := c.Write([]byte{b}); err != nil {
			t.Fatal(err)
		}
	}
	c.hear("pieces", "+OK\r\n$5\r\n1\r\n23\r\n")
	c.say("NG\r\n", "+PONG\r\n")
}

// Answers to CLIENT REPLY OFF and SKIP are not sent; what is carried out is the same.
func TestMutedCommandsAreCarriedOut(t *testing.T) {
	store := newFakeStore()
	srv := New(Options{}, store, fakeCluster{store})
	m := &memoryConn{pieces: [][]byte{[]byte("SET a 1\r\nDBSIZE\r\nfoo\r\n"), []byte("GET a\r\n")}}
	c := newConn(srv, m)
	c.session.mute = true
	srv.serveConn(c)
	if len(m.got) > 0 || len(store.entries) != 1 {
		t.Errorf("%q", m.got)
	}
}

// quietStore carries out gets and puts without memory of its own.
type quietStore struct {
	*fakeStore
	value []byte
}

func (q *quietStore) Do(call *kv.Call) {
	for i := range call.Ops {
		if op := &call.Ops[i]; op.Kind == kv.OpGet {
			op.Value = q.value
		}
	}
}

// endless is a connection whose client sends the same again and again.
type endless struct {
	net.Conn
	in []byte
}

func (e *endless) Read(into []byte) (int, error) { return copy(into, e.in), nil }
func (e *endless) Write(b []byte) (int, error)   { return len(b), nil }

// once reads and answers what the client sends once.
func (c *conn) once() error {
	if err := c.fill(); err != nil {
		return err
	}
	c.session.begin()
	defer c.session.end()
	c.takeAll()
	return c.session.flush()
}

func quiet(command string, n int) (*conn, *endless) {
	store := &quietStore{newFakeStore(), bytes.Repeat([]byte("v"), 100)}
	srv := New(Options{}, store, fakeCluster{store.fakeStore})
	e := &endless{in: []byte(strings.Repeat(command, n))}
	return newConn(srv, e), e
}

var usual = map[string]string{
	"GET":  "*2\r\n$3\r\nGET\r\n$16\r\nkey:000000000001\r\n",
	"SET":  "*3\r\n$3\r\nSET\r\n$16\r\nkey:000000000001\r\n$100\r\n" + strings.Repeat("v", 100) + "\r\n",
	"INCR": "*2\r\n$4\r\nincr\r\n$16\r\nkey:000000000001\r\n",
	"PING": "PING\r\n",
	"MGET": "*5\r\n$4\r\nMGET\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n$1\r\nd\r\n",
	"TTL":  "*2\r\n$3\r\nTTL\r\n$1\r\na\r\n",
}

// A command that is read, carried out and answered takes no memory of its own.
func TestUsualCommandsAllocateNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("pools forget at random with the race detector")
	}
	for name, command := range usual {
		if name == "PING" {
			continue // in one line: it is for people
		}
		c, _ := quiet(command, 16)
		if n := testing.AllocsPerRun(200, func() {
			if err := c.once(); err != nil {
				t.Fatal(err)
			}
		}); n >= 1 {
			t.Errorf("%s: %v allocations for 16", name, n)
		}
	}
}

func BenchmarkPipeline(b *testing.B) {
	for name, command := range usual {
		b.Run(name, func(b *testing.B) {
			c, _ := quiet(command, 16)
			b.ReportAllocs()
			start := time.Now()
			for b.Loop() {
				if err := c.once(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(time.Since(start).Nanoseconds())/float64(b.N*16), "ns/command")
		})
	}
}
