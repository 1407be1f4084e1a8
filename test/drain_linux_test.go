package test

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"httpdhs/internal/poll"
)

// balancer is what stands between clients and nodes, with connections that it keeps: it asks each
// node every so often whether it is ready, and sends requests to those that said so. It tries
// nothing again, and so has its clients see whatever goes wrong.
type balancer struct {
	f     *fleet
	every time.Duration
	stop  atomic.Bool
	all   sync.WaitGroup
	done  atomic.Int64 // requests that were answered

	mu       sync.Mutex // guards all below
	ready    []bool     // by node, as it last said
	said503  []bool     // since it was last ready
	underWay []int      // requests that it was chosen for
	failed   []string
}

// startBalancer has clients send requests through it, each one after the other.
func startBalancer(f *fleet, every time.Duration, clients int) *balancer {
	b := &balancer{f: f, every: every, ready: make([]bool, len(f.ships)), said503: make([]bool, len(f.ships)), underWay: make([]int, len(f.ships))}
	for i := range f.ships {
		b.ready[i] = true
		b.all.Go(func() { b.follow(i) })
	}
	for c := range clients {
		b.all.Go(func() { b.client(c) })
	}
	return b
}

// follow asks a node, over a new connection each time, as a health check does.
func (b *balancer) follow(i int) {
	probe := &http.Transport{DisableKeepAlives: true}
	for ticker := time.NewTicker(b.every); !b.stop.Load(); <-ticker.C {
		req, _ := http.NewRequest("GET", b.f.url(i, "/readyz"), nil)
		res, err := probe.RoundTrip(req)
		b.mu.Lock()
		switch {
		case err != nil && b.ready[i]:
			b.failed = append(b.failed, fmt.Sprintf("node %d, which was ready, is gone: %v", i, err))
			b.ready[i] = false
		case err != nil:
		case res.StatusCode == http.StatusOK:
			b.ready[i], b.said503[i] = true, false
		default:
			b.ready[i], b.said503[i] = false, true
		}
		b.mu.Unlock()
		if err == nil {
			_ = res.Body.Close()
		}
	}
}

// choose is a node that is ready, and whether it is to say that its answer is the last.
func (b *balancer) choose() (i int, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, i := range rand.Perm(len(b.ready)) {
		if b.ready[i] {
			b.underWay[i]++
			return i, true
		}
	}
	return 0, false
}

// client writes and reads keys of its own.
func (b *balancer) client(c int) {
	kept := make([]*keptConn, len(b.ready))
	for n := 0; !b.stop.Load(); n++ {
		i, ok := b.choose()
		if !ok {
			b.fail("no node is ready")
			return
		}
		key := fmt.Sprintf("/db/roll-%d-%d", c, n/2)
		request := "PUT " + key + " HTTP/1.1\r\nHost: " + b.f.ships[i].ask + "\r\nContent-Length: 1\r\n\r\nv"
		if n%2 == 1 {
			request = "GET " + key + " HTTP/1.1\r\nHost: " + b.f.ships[i].ask + "\r\n\r\n"
		}
		var err error
		kept[i], err = kept[i].ask(b.f.ships[i].ask, request)
		b.mu.Lock()
		b.underWay[i]--
		b.mu.Unlock()
		if err != nil {
			b.fail(fmt.Sprintf("node %d, %.30q: %v", i, request, err))
		} else {
			b.done.Add(1)
		}
	}
	for _, k := range kept {
		k.close()
	}
}

func (b *balancer) fail(why string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failed = append(b.failed, why)
}

// withdrawn says why node i may still be asked something.
func (b *balancer) withdrawn(i int) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ready[i] || !b.said503[i] || b.underWay[i] > 0 {
		return fmt.Errorf("ready %v, said 503 %v, %d requests under way", b.ready[i], b.said503[i], b.underWay[i])
	}
	return nil
}

// more waits for so many more answers.
func (b *balancer) more(t *testing.T, n int64) {
	t.Helper()
	until := b.done.Load() + n
	poll.True(t, "requests are answered", func() bool { return b.done.Load() >= until })
}

// end ends the load, and says what went wrong.
func (b *balancer) end(t *testing.T) {
	t.Helper()
	b.stop.Store(true)
	b.all.Wait()
	for n, why := range b.failed {
		if n == 10 {
			t.Fatalf("and %d more", len(b.failed)-n)
		}
		t.Error(why)
	}
}

// keptConn is a connection on which requests follow each other, until an answer says that it is the
// last.
type keptConn struct {
	net.Conn
	r *bufio.Reader
}

// ask sends a request over the connection, or a new one, and returns that for the next.
func (k *keptConn) ask(addr, request string) (*keptConn, error) {
	if k != nil && k.isClosed() {
		k.close()
		k = nil
	}
	if k == nil {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			return nil, err
		}
		k = &keptConn{c, bufio.NewReader(c)}
	}
	last, err := k.exchange(request)
	if last || err != nil {
		k.close()
		k = nil
	}
	return k, err
}

// isClosed says whether the node has closed the connection while nothing was under way, as
// balancers look before they use one again.
func (k *keptConn) isClosed() (closed bool) {
	raw, err := k.Conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		return true
	}
	err = raw.Control(func(fd uintptr) {
		_, _, err := syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		closed = err != syscall.EAGAIN
	})
	return closed || err != nil
}

func (k *keptConn) exchange(request string) (last bool, err error) {
	if _, err := io.WriteString(k, request); err != nil {
		return true, err
	}
	res, err := http.ReadResponse(k.r, nil)
	if err != nil {
		return true, err
	}
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode/100 != 2 {
		err = fmt.Errorf("%s: %s", res.Status, body)
	}
	return res.Close, err
}

func (k *keptConn) close() {
	if k != nil {
		_ = k.Close()
	}
}

// Nodes are restarted one after the other, behind a load balancer that follows their readiness. No
// request fails, and none is refused: a node that is to stop says that it is not ready, and serves
// on until the balancer has heard.
func TestRollingRestartBehindBalancer(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 3, "--drain-delay=1h")
	f.startAll()
	b := startBalancer(f, 100*time.Millisecond, 12)
	b.more(t, 500)
	for i := range f.ships {
		f.signal(i, syscall.SIGTERM)
		poll.Until(t, "the balancer has heard", func() error { return b.withdrawn(i) })
		b.more(t, 200)
		f.stop(i) // the second signal ends the draining, which so takes no longer than it has to
		b.more(t, 200)
		f.start(i)
		f.awaitSettled(0, 1, 2)
		poll.Until(t, "the balancer has heard", func() error {
			if err := b.withdrawn(i); err == nil {
				return fmt.Errorf("node %d is not used again", i)
			}
			return nil
		})
	}
	b.more(t, 500)
	b.end(t)
}

// A node that drains is not ready, is healthy, and serves who comes, with HTTP and the protocol of
// Redis. Each answer of HTTP ends its connection, also that to a client that was there before.
// --drain-delay is how long.
func TestDrain(t *testing.T) {
	t.Parallel()
	redis := fmt.Sprint(freePort(t))
	f := newFleet(t, 1, "--drain-delay=1h", "--resp-port="+redis)
	f.start(0, "--replicas=1")
	f.awaitSettled(0)
	ask := f.ships[0].ask
	get := "GET /healthz HTTP/1.1\r\nHost: " + ask + "\r\n\r\n"
	before, err := (*keptConn)(nil).ask(ask, get)
	if err != nil || before == nil {
		t.Fatalf("a connection is not kept: %v", err)
	}
	f.signal(0, syscall.SIGTERM)
	poll.Until(t, "it drains", func() error {
		status, body, err := f.get(0, "/readyz")
		if err != nil || status != 503 || !strings.Contains(string(body), "stopping") {
			return fmt.Errorf("%d %s %v", status, body, err)
		}
		return nil
	})
	for _, c := range []*keptConn{before, nil} {
		if after, err := c.ask(ask, get); err != nil || after != nil {
			t.Errorf("the answer does not end the connection: %v", err)
		}
	}
	c, err := net.Dial("tcp", "127.0.0.1:"+redis)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = io.WriteString(c, "PING\r\n")
	if line, err := bufio.NewReader(c).ReadString('\n'); line != "+PONG\r\n" {
		t.Errorf("PING: %q, %v", line, err)
	}
	env := []string{"HTTPDHS_PORT=" + ask[strings.LastIndexByte(ask, ':')+1:]}
	if status, out, stderr := run(t, env, "healthcheck"); status != 0 || out != "ok\n" || stderr != "" {
		t.Errorf("healthcheck: %d %q %q", status, out, stderr)
	}
	if status, _, stderr := run(t, env, "healthcheck", "--ready"); status != 1 || !strings.Contains(stderr, "is not ready: ") {
		t.Errorf("healthcheck --ready: %d %q", status, stderr)
	}
	f.stop(0)
	if !f.logged(0, "cut short") {
		t.Error("the second signal did not end the draining")
	}
	if status, _, stderr := run(t, env, "healthcheck"); status != 1 || !strings.Contains(stderr, "refused") {
		t.Errorf("healthcheck of a node that is gone: %d %q", status, stderr)
	}

	f.start(0, "--replicas=1", "--drain-delay=10ms")
	f.awaitSettled(0)
	f.stop(0)
	if !f.logged(0, "for=10ms") {
		t.Error("it did not drain")
	}
}

// A node that leaves drains once it has handed over, and before it says goodbye: it is not ready,
// and is still a member that serves. When that is over its process ends.
func TestLeaveDrains(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 3)
	conf := f.conf(0, 1)
	f.start(0, conf)
	f.start(1, conf, "--drain-delay=1h")
	f.awaitSettled(0, 1)
	f.start(2, f.join(0), "--drain-delay=10ms")
	f.awaitSettled(0, 1, 2)
	for _, i := range []int{1, 2} {
		if status, _, stderr := run(t, nil, "leave", "--no-wait", f.name(i)); status != 0 {
			t.Fatal(stderr)
		}
	}
	f.eventually("node 2 has left", func() error {
		if f.proc(2).running() {
			return fmt.Errorf("it runs")
		}
		return nil
	})
	get := "GET /db/none HTTP/1.1\r\nHost: " + f.ships[1].ask + "\r\n\r\n"
	f.eventually("node 1 drains", func() error {
		c, err := net.Dial("tcp", f.ships[1].ask)
		if err != nil {
			return err
		}
		defer c.Close()
		k := &keptConn{c, bufio.NewReader(c)}
		last, err := k.exchange(get)
		if !last || !strings.Contains(fmt.Sprint(err), "404") {
			return fmt.Errorf("its answer is the last: %v, %v", last, err)
		}
		return nil
	})
	if status, body, err := f.get(1, "/readyz"); status != 503 {
		t.Errorf("readyz: %d %s %v", status, body, err)
	}
	doc, err := f.view(0)
	if err != nil || len(doc.Nodes) != 2 {
		t.Errorf("%v members, %v", doc.Nodes, err)
	}
	f.signal(1, syscall.SIGTERM)
	f.eventually("it is told", func() error {
		if !f.logged(1, "node drains") {
			return fmt.Errorf("no")
		}
		return nil
	})
	f.stop(1)
}
