package bench

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"httpdhs/client"
)

// Every workload that RESP has asks for as much as it says, in the commands for it.
func TestWorkloadsOverRESP(t *testing.T) {
	linuxOnly(t)
	tests := []struct {
		workload Workload
		change   func(*Config)
		asked    []string
	}{
		{Put, func(*Config) {}, []string{"SET"}},
		{Put, func(c *Config) { c.DeleteRatio = 0.5 }, []string{"SET", "DEL"}},
		{Get, func(c *Config) { c.Pipeline = 16 }, []string{"SET", "GET"}},
		{Mixed, func(c *Config) { c.ReadRatio, c.Threads, c.Dist = 0.5, 3, Zipf }, []string{"SET", "GET"}},
		{Incr, func(c *Config) { c.Rate = 1e6 }, []string{"SET", "INCR"}},
	}
	for _, test := range tests {
		t.Run(string(test.workload), func(t *testing.T) {
			s, addrs := newFakeRESP(t, 2)
			c := respConfig(addrs, test.workload)
			test.change(&c)
			r := mustRun(t, c)
			round := r.Rounds[0]
			if round.Operations != c.Requests || round.Requests != c.Requests || len(round.Errors) > 0 || round.Latency.Max == 0 {
				t.Errorf("%d operations in %d requests, errors %v", round.Operations, round.Requests, round.Errors)
			}
			if (r.Prefill != nil) != c.prefilled() || r.Prefill != nil && r.Prefill.Keys != int64(c.Keys) {
				t.Errorf("prefill %+v", r.Prefill)
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			for _, name := range []string{"SET", "GET", "DEL", "INCR"} {
				if (s.seen[name] > 0) != slices.Contains(test.asked, name) {
					t.Errorf("%d of %s were asked for; all: %v", s.seen[name], name, s.seen)
				}
			}
			if r.Servers[0].Version != "redis 7.0.15" || r.Settings.Protocol != RESP {
				t.Errorf("the report is of %+v over %q", r.Servers, r.Settings.Protocol)
			}
		})
	}
}

// A request is the command, and nothing else.
func TestCommandsOfTemplates(t *testing.T) {
	c := respConfig([]string{"h:1"}, Put)
	c.KeySize, c.ValueSize = 4, 12
	templates := c.spoken().templates(&c, "h")
	for want, made := range map[string]template{
		"*2\r\n$3\r\nGET\r\n$4\r\n0017\r\n":                        templates.get,
		"*2\r\n$3\r\nDEL\r\n$4\r\n0017\r\n":                        templates.del,
		"*2\r\n$4\r\nINCR\r\n$4\r\n0017\r\n":                       templates.incr,
		"*3\r\n$3\r\nSET\r\n$4\r\n0017\r\n$12\r\nabcdefghijkl\r\n": templates.put,
	} {
		if got := string(made.append(nil, 17, 4)); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if value := string(templates.put.text[templates.put.value:]); value != "abcdefghijkl\r\n" {
		t.Errorf("the value is said to begin at %q", value)
	}
}

// Of an answer its kind and its lengths are read. What is not the answer to what was asked is no
// success.
func TestFramesOfRESP(t *testing.T) {
	value := func(n int) string { return fmt.Sprintf("$%d\r\n%s\r\n", n, filler(n)) }
	tests := []struct {
		name  string
		asked op
		in    string
		want  response
		err   error
	}{
		{"set", opPut, "+OK\r\n", response{status: 204, head: 5}, nil},
		{"hello", opHello, "+OK\r\n", response{status: 204, head: 5}, nil},
		{"get", opGet, value(3), response{status: 200, head: 4, body: 3, tail: 2}, nil},
		{"get of what is empty", opGet, value(0), response{status: 200, head: 4, tail: 2}, nil},
		{"get of what is not there", opGet, "$-1\r\n", response{status: 404, head: 5}, nil},
		{"del", opDelete, ":0\r\n", response{status: 204, head: 1, body: 1, tail: 2}, nil},
		{"incr", opIncr, ":-12\r\n", response{status: 200, head: 1, body: 3, tail: 2}, nil},
		{"a value to a set", opPut, value(3), response{head: 4, body: 3, tail: 2, kind: kindContent}, nil},
		{"a number to a get", opGet, ":1\r\n", response{head: 1, body: 1, tail: 2, kind: kindContent}, nil},
		{"OK to a get", opGet, "+OK\r\n", response{head: 5, kind: kindContent}, nil},
		{"another word to a set", opPut, "+QUEUED\r\n", response{head: 9, kind: kindContent}, nil},
		{"unknown", opPut, "-UNKNOWN it may be done\r\n", response{status: 503, head: 25, kind: "error UNKNOWN"}, nil},
		{"unavailable", opGet, "-UNAVAILABLE x\r\n", response{status: 503, head: 16, kind: "error UNAVAILABLE"}, nil},
		{"full", opPut, "-OOM\r\n", response{status: 503, head: 6, kind: "error OOM"}, nil},
		{"refused", opPut, "-ERR unknown command 'k17', no\r\n", response{status: 400, head: 32, kind: "error ERR unknown command"}, nil},
		{"refused, no text", opPut, "-ERR\r\n", response{status: 400, head: 6, kind: "error ERR"}, nil},
		{"no end of the value", opGet, "$3\r\nabcde", response{}, errMalformed},
		{"bare newline", opPut, "+OK\n", response{}, errMalformed},
		{"no length", opGet, "$\r\n", response{}, errMalformed},
		{"a length beyond all", opGet, "$99999999999\r\n", response{}, errTooLarge},
		{"no number", opIncr, ":1x\r\n", response{}, errMalformed},
		{"an array", opGet, "*1\r\n:1\r\n", response{}, errMalformed},
		{"another protocol", opGet, "HTTP/1.1 400 Bad Request\r\n\r\n", response{}, errMalformed},
		{"a line without end", opPut, "-" + strings.Repeat("x", headBytesMax+1), response{}, errTooLarge},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var r response
			ok, err := overRESP{}.frame([]byte(test.in), &pending{item: item{op: test.asked}}, &r)
			if !errors.Is(err, test.err) || err == nil && (!ok || r != test.want) {
				t.Errorf("read as %+v, %v, %v; want %+v, %v", r, ok, err, test.want, test.err)
			}
		})
	}
}

// newRESPWorker is newTestWorker over RESP, without its connection opened.
func newRESPWorker(t *testing.T, token string, pipeline int) (*worker, *conn) {
	t.Helper()
	c := DefaultConfig()
	c.Protocol, c.Token, c.Workload, c.ValueSize, c.Keys = RESP, token, Get, 5, 10
	s := &space{cfg: &c, pickers: []*picker{newPicker(c.Keys, nil, Uniform)}, nodes: []*templates{c.spoken().templates(&c, "h")}}
	conns := []*conn{newConn(0, 0, pipeline)}
	conns[0].shares = 1
	pace := pacer{to: 1 << 62, left: unlimited}
	rec := newRecorder(pace.from, pace.to, newSeries(pace.from, time.Hour))
	w := newWorker(pace, newSingle(s, newRand(1, 0, 0)), c.spoken(), rec, conns, time.Second)
	w.hello = c.spoken().hello(&c)
	return w, conns[0]
}

// However a stream of answers is cut into reads, the same answers come out.
func TestAnswersOfRESPSplitAtEveryByte(t *testing.T) {
	stream := []byte("$5\r\n1\r\n45\r\n$-1\r\n-OOM full\r\n$5\r\n54321\r\n")
	for cut := range len(stream) + 1 {
		w, c := newRESPWorker(t, "", 4)
		w.opened(c, 0)
		w.dispatch(0)
		used, err := w.receive(c, stream[:cut], 1)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = w.receive(c, stream[used:], 1); err != nil {
			t.Fatal(err)
		}
		if w.rec.requests != 2 || w.rec.errors[kindMissing] != 1 || w.rec.errors["error OOM"] != 1 {
			t.Fatalf("cut at %d: %d answered well, errors %v", cut, w.rec.requests, w.rec.errors)
		}
	}
}

// A connection begins with AUTH, which is no request: it is neither counted nor measured.
func TestAConnectionBeginsWithItsHello(t *testing.T) {
	const hello, get = "*2\r\n$4\r\nAUTH\r\n$6\r\nsesame\r\n", "*2\r\n$3\r\nGET\r\n"
	for _, pipeline := range []int{1, 2} {
		w, c := newRESPWorker(t, "sesame", pipeline)
		w.opened(c, 0)
		w.dispatch(0)
		if rest, ok := strings.CutPrefix(string(c.out), hello); !ok || strings.Count(rest, get) != pipeline-1 {
			t.Fatalf("asked %q", c.out)
		}
		w.mustReceive(t, c, "+OK\r\n", ms)
		w.dispatch(ms)
		if got := strings.Count(string(c.out), get); got != pipeline {
			t.Errorf("%d were asked for after the hello, want %d", got, pipeline)
		}
		if w.rec.requests+w.rec.allDone+w.rec.allFailed > 0 || w.outstanding != pipeline {
			t.Errorf("the hello was counted: %+v, %d outstanding", w.rec.counts, w.outstanding)
		}
		w.mustReceive(t, c, "$5\r\n12345\r\n", 2*ms)
		if w.rec.requests != 1 {
			t.Errorf("%d requests after one", w.rec.requests)
		}
	}
}

// A server that hangs up at each hello is like one that is not there: the phase ends.
func TestAHelloWithoutAnAnswer(t *testing.T) {
	w, c := newRESPWorker(t, "sesame", 1)
	now, n := int64(0), 0
	for ; !w.finished(now); now += 100 * ms {
		if n++; n > 1000 {
			t.Fatal("it does not end")
		}
		w.opened(c, now)
		w.dispatch(now)
		w.drop(c, errClosed, now)
	}
	if w.rec.errors[kindConnect] != int64(n) || len(w.rec.errors) != 1 || now < int64(time.Second) {
		t.Errorf("%d times, until %s: errors %v", n, time.Duration(now), w.rec.errors)
	}
}

// A request costs no allocation, over RESP too.
func TestARequestOverRESPAllocatesNothing(t *testing.T) {
	w, c := newRESPWorker(t, "", 2)
	w.opened(c, 0)
	answers, now := []byte("$5\r\n12345\r\n$5\r\n12345\r\n"), int64(0)
	if n := testing.AllocsPerRun(100, func() {
		now += ms
		w.dispatch(now)
		c.out, c.dirty, w.dirty = c.out[:0], false, w.dirty[:0]
		if _, err := w.receive(c, answers, now); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("%.1f allocations for two requests", n)
	}
}

// Each connection says the token, and without the right one nothing is measured.
func TestTokenOverRESP(t *testing.T) {
	linuxOnly(t)
	s, addrs := newFakeRESP(t, 1)
	s.set(func() { s.token = "sesame" })
	c := respConfig(addrs, Put)
	for _, wrong := range []string{"", "other"} {
		c.Token = wrong
		if _, err := Run(t.Context(), c); !errors.Is(err, client.ErrUnauthorized) {
			t.Errorf("with the token %q: %v", wrong, err)
		}
	}
	c.Token, c.Verify = "sesame", true
	if r := mustRun(t, c); len(r.Rounds[0].Errors) > 0 || !r.Verify.OK() {
		t.Errorf("errors %v, %+v", r.Rounds[0].Errors, r.Verify)
	}
}

// A server of something else is named before the load.
func TestRESPAtAServerOfSomethingElse(t *testing.T) {
	web := httptest.NewServer(http.NotFoundHandler())
	defer web.Close()
	safe := httptest.NewUnstartedServer(http.NotFoundHandler())
	safe.Config.ErrorLog = log.New(io.Discard, "", 0) // of what is no handshake
	safe.StartTLS()
	defer safe.Close()
	for what, want := range map[net.Listener]error{web.Listener: ErrConfig, safe.Listener: client.ErrWantsTLS} {
		if _, err := Run(t.Context(), respConfig([]string{what.Addr().String()}, Put)); !errors.Is(err, want) {
			t.Errorf("got %v, want %v", err, want)
		}
	}
}

// What a server does wrong is counted by its kind and never as a success.
func TestErrorsByKindOverRESP(t *testing.T) {
	linuxOnly(t)
	for answer, kind := range map[string]string{
		"-UNAVAILABLE too few\r\n": "error UNAVAILABLE",
		"-ERR no such 'thing'\r\n": "error ERR no such",
		":1\r\n":                   kindContent,
		"SSH-2.0-nonsense\r\n":     "malformed",
		"":                         kindClosed,
	} {
		s, addrs := newFakeRESP(t, 1)
		addr := respServer(t, func() func([]string) string {
			return func(args []string) string {
				if args[0] == "SET" {
					return answer
				}
				return s.session()(args)
			}
		})
		c := respConfig(append(addrs, addr)[1:], Put)
		c.Conns, c.Pipeline, c.Requests = 2, 1, 20
		if round := mustRun(t, c).Rounds[0]; round.Operations != 0 || round.Errors[kind] != 20 {
			t.Errorf("%q: %d succeeded, errors %v; want 20 of %q", answer, round.Operations, round.Errors, kind)
		}
	}
}

// FuzzFrameRESP holds that an answer that is whole is read the same whatever follows it, and not
// before its head is there.
func FuzzFrameRESP(f *testing.F) {
	for i, text := range []string{"$3\r\nabc\r\n", "+OK\r\n", ":12\r\n", ":12\r\n", "-ERR x\r\n"} {
		f.Add([]byte(text), byte(i))
	}
	f.Fuzz(func(t *testing.T, in []byte, asked byte) {
		if len(in) == 0 {
			return
		}
		p := &pending{item: item{op: op(asked) % (opHello + 1)}}
		var r, again response
		ok, err := overRESP{}.frame(in, p, &r)
		if !ok || err != nil {
			return
		}
		if r.head < 1 || r.body < 0 || r.body > bodyBytesMax || (r.status == 0) != (r.kind == kindContent) {
			t.Fatalf("%q read as %+v", in, r)
		}
		line := slices.Index(in, '\n') + 1
		if ok, err := (overRESP{}).frame(in[:line], p, &again); !ok || err != nil || again != r {
			t.Fatalf("the line alone read as %+v, %v", again, err)
		}
		if ok, err := (overRESP{}).frame(in[:line-1], p, &again); ok || err != nil {
			t.Fatalf("%q without its end: ok %v, %v", in, ok, err)
		}
	})
}
