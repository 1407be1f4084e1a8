package test

import (
	"fmt"
	"net/http"
	"syscall"
	"testing"

	"httpdhs/internal/poll"
)

// SIGHUP, which comes when a terminal closes, stops a node as SIGTERM does: it drains, and ends
// with 0. Terminals send it twice, and the second does not hurry the node.
func TestHangUp(t *testing.T) {
	t.Parallel()
	c, url := startUnder(t, []string{binary}, "--drain-delay=1h")
	sendTo(t, c, syscall.SIGHUP)
	poll.Until(t, "it drains", func() error { return drains(c, url) })
	sendTo(t, c, syscall.SIGHUP)
	if a := ask(client, http.MethodGet, url+"/healthz", ""); a.status != 200 {
		t.Errorf("after the second it is %d %s: %s", a.status, a.body, &c.err)
	}
	sendTo(t, c, syscall.SIGTERM)
	if err := c.wait(); err != nil {
		t.Errorf("%v: %s", err, &c.err)
	}
}

// A node that is started with SIGHUP ignored, as by nohup, goes on.
func TestHangUpIgnored(t *testing.T) {
	t.Parallel()
	c, url := startUnder(t, []string{"sh", "-c", `trap "" HUP; exec "$0" "$@"`, binary}, "--drain-delay=1h")
	sendTo(t, c, syscall.SIGHUP)
	if a := ask(client, http.MethodGet, url+"/readyz", ""); a.status != 200 {
		t.Errorf("it is %d %s: %s", a.status, a.body, &c.err)
	}
	sendTo(t, c, syscall.SIGTERM)
	poll.Until(t, "it drains, as after the first signal", func() error { return drains(c, url) })
	sendTo(t, c, syscall.SIGTERM)
	if err := c.wait(); err != nil {
		t.Errorf("%v: %s", err, &c.err)
	}
}

func drains(c *command, url string) error {
	if a := ask(client, http.MethodGet, url+"/readyz", ""); a.status != 503 {
		return fmt.Errorf("%d %s: %s", a.status, a.body, &c.err)
	}
	return nil
}

// startUnder starts a node of its own by a command line that ends with the binary, and waits until
// it is ready.
func startUnder(t *testing.T, run []string, flags ...string) (c *command, url string) {
	t.Helper()
	port := freePort(t)
	url = fmt.Sprintf("http://127.0.0.1:%d", port)
	c = startCommand(t, nil, append(append(run, "server", fmt.Sprintf("--port=%d", port), "--replicas=1"), flags...)...)
	poll.Until(t, "it is ready", func() error {
		if a := ask(client, http.MethodGet, url+"/readyz", ""); a.status != 200 {
			return fmt.Errorf("%d %s: %s", a.status, a.body, &c.err)
		}
		return nil
	})
	return c, url
}

func sendTo(t *testing.T, c *command, sig syscall.Signal) {
	t.Helper()
	if err := c.cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
}
