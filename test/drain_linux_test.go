package test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"httpdhs/internal/poll"
)

// keptConn is a connection on which requests follow each other, until an answer says that it is the
// last.
type keptConn struct {
	net.Conn
	r *bufio.Reader
}

// ask sends a request over the connection, or a new one, and returns that for the next.
func (k *keptConn) ask(addr, request string) (*keptConn, error) {
	if k = k.usable(); k == nil {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			return nil, err
		}
		k = &keptConn{c, bufio.NewReader(c)}
	}
	_, last, err := k.exchange(request)
	if last || err != nil {
		k.close()
		k = nil
	}
	return k, err
}

// usable is the connection, if the node has not closed it.
func (k *keptConn) usable() *keptConn {
	if k == nil || !k.isClosed() {
		return k
	}
	k.close()
	return nil
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

// exchange sends a request and reads its answer, and whether that is the last of the connection.
// Another status than 2xx is an error.
func (k *keptConn) exchange(request string) (body string, last bool, err error) {
	if _, err := io.WriteString(k, request); err != nil {
		return "", true, err
	}
	res, err := http.ReadResponse(k.r, nil)
	if err != nil {
		return "", true, err
	}
	all, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode/100 != 2 {
		err = fmt.Errorf("%s: %s", res.Status, all)
	}
	return string(all), res.Close, err
}

func (k *keptConn) close() {
	if k != nil {
		_ = k.Close()
	}
}

// Nodes are restarted one after the other, behind a load balancer that follows their readiness. No
// request fails, and none is refused: a node that is to stop says that it is not ready, and serves
// on until the balancer has heard. With make soak all is as it is set up for users: the balancer
// asks every second, and nobody cuts the draining of five seconds short.
func TestRollingRestartBehindBalancer(t *testing.T) {
	t.Parallel()
	every, clients := soaked(100*time.Millisecond, time.Second), soaked(12, 64)
	f := newFleet(t, 3, "--drain-delay="+soaked("1h", "5s"))
	f.startAll()
	b := startBalancer(f, every, 0, clients)
	b.more(t, 500)
	for range soaked(1, 5) {
		for i := range f.ships {
			b.withdraw(t, i)
			b.more(t, 200)
			if soak {
				f.awaitEnd(i)
			} else {
				f.stop(i) // the second signal ends the draining, which so takes no longer than it has to
			}
			b.more(t, 200)
			f.start(i)
			f.awaitSettled(0, 1, 2)
			b.awaitUsed(t, i)
		}
		b.more(t, 500)
	}
	b.end(t)
	b.readBack(t)
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
	f.eventually("the node is healthy", func() error { // a look takes five seconds at most
		if status, out, stderr := run(t, env, "healthcheck"); status != 0 || out != "ok\n" || stderr != "" {
			return fmt.Errorf("%d %q %q", status, out, stderr)
		}
		return nil
	})
	f.eventually("the node is not ready", func() error {
		if status, _, stderr := run(t, env, "healthcheck", "--ready"); status != 1 || !strings.Contains(stderr, "is not ready: ") {
			return fmt.Errorf("%d %q", status, stderr)
		}
		return nil
	})
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

// The process of a node that has left is there for --drain-delay more. So who had it leave, by the
// command, can stop it for good before anybody restarts it. It ends at once when it is told to.
func TestProcessOutlivesLeave(t *testing.T) {
	t.Parallel()
	const delay = 2 * time.Second
	f := newFleet(t, 3, "--drain-delay="+delay.String())
	f.startAll()
	leave := func(i int) {
		if status, _, stderr := f.leaving(i); status != 0 {
			t.Fatalf("leave: %d %s", status, stderr)
		}
	}
	leave(1)
	f.awaitEnd(1)
	ended := time.Now()
	line := regexp.MustCompile(`time=(\S+) .*"left the cluster"`).FindStringSubmatch(f.proc(1).err.String())
	if line == nil {
		t.Fatal("its log does not say that it has left")
	}
	if left, err := time.Parse(time.RFC3339, line[1]); err != nil || ended.Sub(left) < delay {
		t.Errorf("it ends %s after it has left (%v), want %s", ended.Sub(left), err, delay)
	}
	leave(2)
	f.stop(2)
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
		_, last, err := k.exchange(get)
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
