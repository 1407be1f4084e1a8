package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"httpdhs/api"
	"httpdhs/kv"
)

// linuxOnly skips what needs the event loop.
func linuxOnly(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("the load generator runs on Linux")
	}
}

// Every workload, in every form, asks for as much as it says and is told so.
func TestWorkloads(t *testing.T) {
	linuxOnly(t)
	tests := []struct {
		name   string
		change func(*Config)
		ops    int64
		asked  string
	}{
		{"put", func(*Config) {}, 900, "PUT /db"},
		{"get", func(*Config) {}, 900, "GET /db"},
		{"get", func(c *Config) { c.Dist = Zipf }, 900, "GET /db"},
		{"mixed", func(c *Config) { c.Threads = 3 }, 900, "GET /db"},
		{"mixed", func(c *Config) { c.Rate = 1e6 }, 900, "PUT /db"},
		{"put", func(c *Config) { c.DeleteRatio = 0.5 }, 900, "DELETE /db"},
		{"incr", func(c *Config) { c.Verify = true }, 900, "POST /db"},
		{"load", func(c *Config) { c.Requests = 30 }, 600, "POST /load-data"},
		{"load", func(c *Config) { c.Requests, c.Format = 30, FormatText }, 600, "POST /load-data"},
		{"batch", func(c *Config) { c.Requests, c.ReadRatio = 30, 0.5 }, 600, "POST /batch"},
		{"batch", func(c *Config) { c.Requests, c.Format = 30, FormatText }, 600, "POST /batch"},
	}
	for i, test := range tests {
		t.Run(fmt.Sprint(i, test.name), func(t *testing.T) {
			store, addrs := newFake(t, 2)
			c := testConfig(addrs, Workload(test.name))
			test.change(&c)
			r := mustRun(t, c)
			round := r.Rounds[0]
			if round.Operations != test.ops || len(round.Errors) > 0 || round.Requests != c.Requests {
				t.Errorf("%d operations in %d requests, errors %v; want %d in %d", round.Operations, round.Requests, round.Errors, test.ops, c.Requests)
			}
			store.mu.Lock()
			defer store.mu.Unlock()
			if store.seen[test.asked] == 0 {
				t.Errorf("no %s among the requests %v", test.asked, store.seen)
			}
			if (r.Prefill != nil) != c.prefilled() || r.Prefill != nil && r.Prefill.Keys != int64(c.Keys) {
				t.Errorf("prefill %+v", r.Prefill)
			}
		})
	}
}

// A server without /load-data is filled by puts.
func TestPrefillByPuts(t *testing.T) {
	linuxOnly(t)
	store, addrs := newFake(t, 1)
	store.status = func(r *http.Request) int {
		if r.URL.Path == "/load-data" {
			return http.StatusNotFound
		}
		return 0
	}
	r := mustRun(t, testConfig(addrs, Get))
	if r.Prefill.Keys != 200 || len(r.Rounds[0].Errors) > 0 {
		t.Errorf("prefill %+v, errors %v", r.Prefill, r.Rounds[0].Errors)
	}
}

// What a server does wrong is counted by its kind and never as a success.
func TestErrorsByKind(t *testing.T) {
	linuxOnly(t)
	tests := []struct {
		answer string // to each request; "" closes the connection
		kind   string
	}{
		{"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", "status 503"},
		{"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "missing"},
		{"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno", "length"},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "chunked"},
		{"HTTP/1.1 200 OK\r\n\r\n", "no length"},
		{"SSH-2.0-nonsense\r\n\r\n", "malformed"},
		{"", "closed"},
	}
	for _, test := range tests {
		t.Run(test.kind, func(t *testing.T) {
			addr := rawServer(t, func(r *http.Request) string {
				if r.Method != "GET" {
					return "HTTP/1.1 405 No\r\nContent-Length: 0\r\n\r\n"
				}
				return test.answer
			})
			c := testConfig([]string{addr}, Get)
			c.Conns, c.Pipeline, c.Requests = 2, 1, 20
			run, err := newRunner(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			round, err := run.round(t.Context(), 0, 0)
			if err != nil {
				t.Fatal(err)
			}
			if round.Operations != 0 || round.Errors[test.kind] != 20 {
				t.Errorf("%d succeeded, errors %v; want 20 of %q", round.Operations, round.Errors, test.kind)
			}
		})
	}
}

// An increment that is answered with something else than a number is no success.
func TestAnIncrementIsAnsweredWithANumber(t *testing.T) {
	linuxOnly(t)
	addr := rawServer(t, func(r *http.Request) string {
		if r.Method != http.MethodPost {
			return "HTTP/1.1 204 No Content\r\n\r\n"
		}
		return "HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nno"
	})
	c := testConfig([]string{addr}, Incr)
	if round := mustRun(t, c).Rounds[0]; round.Operations != 0 || round.Errors[kindContent] != c.Requests {
		t.Errorf("%d succeeded, errors %v", round.Operations, round.Errors)
	}
}

// rawServer answers each request with the text that answer gives.
func rawServer(t *testing.T, answer func(*http.Request) string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { l.Close(); <-done })
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				for in := bufio.NewReader(c); ; {
					r, err := http.ReadRequest(in)
					if err != nil {
						return
					}
					_, _ = io.Copy(io.Discard, r.Body)
					text := answer(r)
					if _, err = io.WriteString(c, text); err != nil || text == "" {
						return
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}

// On a busy machine the run may end before its last request: nobody could be reached for as long as
// a request may take.
func TestATimeoutIsAnError(t *testing.T) {
	linuxOnly(t)
	quit := make(chan struct{})
	addr := rawServer(t, func(r *http.Request) string {
		if r.Method != http.MethodPut { // what is asked before the run
			return "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
		}
		<-quit
		return ""
	})
	c := testConfig([]string{addr}, Put)
	c.Conns, c.Pipeline, c.Requests, c.Timeout = 2, 1, 4, 50*time.Millisecond
	run, err := newRunner(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	round, err := run.round(t.Context(), 0, 0)
	close(quit)
	if n := round.Errors[kindTimeout]; err != nil || n < 1 || n > 4 || round.Operations != 0 || round.Latency.Max < 50_000 {
		t.Errorf("%v: errors %v, %d succeeded, longest wait %g µs", err, round.Errors, round.Operations, round.Latency.Max)
	}
}

// A node that cannot be reached is named before anything is measured.
func TestNobodyThere(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	if _, err = Run(t.Context(), testConfig([]string{addr}, Put)); err == nil || !strings.Contains(err.Error(), addr) {
		t.Errorf("the error is %v, want one that names %s", err, addr)
	}
}

// A run that is interrupted tells what it has measured.
func TestInterrupted(t *testing.T) {
	linuxOnly(t)
	ctx, cancel := context.WithCancel(t.Context())
	_, addrs := newFake(t, 1)
	c := testConfig(addrs, Put)
	c.Requests, c.Duration = 0, time.Hour
	c.Progress = func(p Progress) {
		if p.Done > 0 {
			cancel()
		}
	}
	r, err := Run(ctx, c)
	if !errors.Is(err, context.Canceled) || r == nil || !r.Interrupted || len(r.Rounds) != 1 || r.Rounds[0].Operations == 0 {
		t.Errorf("error %v, report %+v", err, r)
	}
}

// A sweep goes up to the highest rate in tenths of it.
func TestSweepStepsUp(t *testing.T) {
	linuxOnly(t)
	_, addrs := newFake(t, 1)
	c := testConfig(addrs, Get)
	c.Requests = 100
	s, err := RunSweep(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Steps) != 10 || s.Highest.RequestRate == 0 {
		t.Fatalf("%d steps up to %g/s", len(s.Steps), s.Highest.RequestRate)
	}
	for i, step := range s.Steps {
		if want := float64(i+1) / 10 * s.Highest.RequestRate; step.Rate != want || step.Operations == 0 {
			t.Errorf("step %d at %g/s, want %g; %d done", i, step.Rate, want, step.Operations)
		}
	}
}

// What is wrong with the settings is said by the name of its flag.
func TestCheck(t *testing.T) {
	good := testConfig([]string{"h:1"}, Mixed)
	if err := good.Check(); err != nil {
		t.Fatal(err)
	}
	for flag, change := range map[string]func(*Config){
		"--workload":     func(c *Config) { c.Workload = "x" },
		"--conns":        func(c *Config) { c.Conns = 0 },
		"--key-size":     func(c *Config) { c.KeySize = 2 },
		"--value-size":   func(c *Config) { c.Verify, c.ValueSize = true, stampBytes-1 },
		"--read-ratio":   func(c *Config) { c.ReadRatio = 1.1 },
		"--duration":     func(c *Config) { c.Requests, c.Duration = 0, 0 },
		"--to":           func(c *Config) { c.To = nil },
		"--keys":         func(c *Config) { c.Verify, c.Keys = true, 3 },
		"--rounds":       func(c *Config) { c.Rounds = 0 },
		"--delete-ratio": func(c *Config) { c.Workload, c.DeleteRatio = Load, 0.1 },
		"--protocol":     func(c *Config) { c.Protocol = "gopher" },
		"batch is for":   func(c *Config) { c.Protocol, c.Workload = RESP, Batch },
		"load is for":    func(c *Config) { c.Protocol, c.Workload = RESP, Load },
		"owner is for":   func(c *Config) { c.Protocol, c.Route = RESP, RouteOwner },
	} {
		c := good
		change(&c)
		if err := c.Check(); !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), flag) {
			t.Errorf("%s: %v", flag, err)
		}
	}
}

// With --route owner a node is asked only for the keys that it is the primary
// of.
func TestRouteOwner(t *testing.T) {
	linuxOnly(t)
	store, addrs := newFake(t, 3)
	ring := api.Ring{Fingerprint: "f", Hash: "xxh3-64", Partitions: 8}
	for _, a := range addrs {
		ring.Nodes = append(ring.Nodes, api.RingNode{Name: a})
	}
	for p := range uint16(8) {
		ring.Owners = append(ring.Owners, []uint16{p % 3, (p + 1) % 3})
	}
	store.ring = &ring
	wrong := 0
	store.status = func(r *http.Request) int {
		key, ok := strings.CutPrefix(r.URL.Path, "/db/")
		if ok && addrs[ring.Owners[kv.Hash([]byte(key))>>61][0]] != r.Host {
			wrong++
		}
		return 0
	}
	c := testConfig(addrs[:1], Put)
	c.Route, c.Dist = RouteOwner, Zipf
	if r := mustRun(t, c); wrong > 0 || r.Rounds[0].Operations != c.Requests || len(r.Servers) != 3 {
		t.Errorf("%d of %d requests went to a node that is not the primary; nodes %v", wrong, r.Rounds[0].Operations, r.Servers)
	}
}
