package test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"httpdhs/internal/poll"
	"httpdhs/internal/testcert"
)

// dev is a cluster in one process, that says where it is and what to try, and
// that Ctrl-C ends.
func TestDev(t *testing.T) {
	t.Parallel()
	port := freePorts(t, 3)
	p, err := launch(t.TempDir(), nil, "dev", fmt.Sprintf("--port=%d", port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("%s%s", &p.out, &p.err)
		}
	})
	c := &cluster{ports: []int{port, port + 1, port + 2}, nodes: []*process{p, p, p}}
	if err := c.awaitReady(); err != nil {
		t.Fatal(err)
	}
	if a := c.do(0, "PUT", "/db/greeting", "hello"); a.status != 201 || a.header.Get("X-Dht-Acks") != "2/2" {
		t.Errorf("PUT: %d %v", a.status, a.header)
	}
	wantValues(t, c, map[string]string{"greeting": "hello"}, 0, 1, 2)
	for i := range 3 {
		if out := p.out.String(); !strings.Contains(out, c.url(i)) || !strings.Contains(out, "curl ") {
			t.Errorf("dev says\n%s", out)
		}
	}
	if said := p.err.String(); strings.Contains(said, "peer down") {
		t.Errorf("a node is down at the start:\n%s", said)
	}
	if err := p.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if status, err := p.wait(); status != 0 || err != nil {
		t.Errorf("Ctrl-C: %d %v", status, err)
	}
}

// With certificates and a secret in files, nodes speak TLS to each other and
// to clients that trust the authority.
func TestSecureFlags(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cert, key := testcert.Files(t, dir)
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte("between nodes\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := newCluster(dir, "--tls-cert="+cert, "--tls-key="+key, "--tls-ca="+cert, "--cluster-secret-file="+secret)
	if c == nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.close()
		c.showIfFailed(t)
	})
	if err != nil {
		t.Fatal(err)
	}
	ca := "--tls-ca=" + cert
	if status, _, stderr := run(t, nil, "put", "--w=all", "secure", "value", c.to(), ca); status != 0 {
		t.Errorf("put: %d %s", status, stderr)
	}
	for i := range 3 {
		if status, stdout, stderr := run(t, nil, "get", "secure", "--to=https://"+c.addr(i), ca); status != 0 || stdout != "value" {
			t.Errorf("get: %d %q %s", status, stdout, stderr)
		}
	}
	if status, stdout, stderr := run(t, nil, "get", "secure", "--to=https://"+c.addr(0)); status != 1 || stdout != "" || !strings.Contains(stderr, "certificate") {
		t.Errorf("get without the authority: %d %q %s", status, stdout, stderr)
	}
}

// A command that misses a flag for TLS or the token is told so, and which flag to give. The node
// may speak TLS and the command not, or the other way round. A write was not done then, and nothing
// is tried for long.
func TestCommandsSayWhichFlagIsMissing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cert, key := testcert.Files(t, dir)
	token, other := filepath.Join(dir, "token"), filepath.Join(dir, "other")
	for file, text := range map[string]string{token: "right\n", other: "wrong\n"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	secure, err := newCluster(dir, "--tls-cert="+cert, "--tls-key="+key, "--tls-ca="+cert, "--auth-token-file="+token)
	if secure == nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		secure.close()
		secure.showIfFailed(t)
	})
	plain := shared.get(t)
	commands := map[string][]string{
		"get": {"get", "k"}, "put": {"put", "k", "v"}, "keys": {"keys"}, "status": {"status"}, "load-data": {"load-data", "--sample"},
	}
	says := func(words string, args ...string) {
		t.Helper()
		status, _, stderr := run(t, nil, args...)
		if status != 1 || !strings.Contains(stderr, words) || strings.Contains(stderr, "may or may not") {
			t.Errorf("httpdhs %v: exit %d, %s; want %q", args, status, stderr, words)
		}
	}
	ca := "--tls-ca=" + cert
	for _, args := range commands {
		says("speaks TLS", append(args, secure.to())...)
		says("the node speaks no TLS, and was asked with it; leave out --tls-ca", append(args, "--to=https://"+plain.addr(0))...)
		says("name the authority of the nodes' certificates: --tls-ca=FILE", append(args, "--to=https://"+secure.addr(0))...)
		says("name a file with it: --auth-token-file=FILE", append(args, secure.to(), ca)...)
		says("the token in "+other+", which --auth-token-file names, is not that of the nodes", append(args, secure.to(), ca, "--auth-token-file="+other)...)
	}
	says("speaks TLS", "leave", secure.addr(1), secure.to())
	wantOneLine(t, nil, []string{"bench", "--duration=1s", "--to=" + secure.addr(1)}, 2, "bench speaks no TLS")
	if status, _, stderr := run(t, nil, "put", "k", "v", secure.to(), ca, "--auth-token-file="+token); status != 0 {
		t.Errorf("with all of them: %d %s", status, stderr)
	}
	wantOneLine(t, nil, []string{"bench", "--to=https://" + secure.addr(1)}, 2, "bench speaks no TLS")
}

// A node that joins localhost is called localhost, as README's next command has it.
func TestTheNodeThatJoinsLeavesByItsName(t *testing.T) {
	t.Parallel()
	c, err := newCluster(t.TempDir())
	if c == nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.close()
		c.showIfFailed(t)
	})
	port := freePort(t)
	joins, err := launch(t.TempDir(), nil, "server", fmt.Sprintf("--port=%d", port), "--join="+c.addr(0))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(joins.kill)
	name := fmt.Sprintf("localhost:%d", port)
	poll.Until(t, "the node has joined", func() error {
		_, out, stderr := run(t, nil, "status", c.to())
		if !strings.Contains(out, name) || strings.Contains(out, "joining") || strings.Contains(out, "changing") {
			return fmt.Errorf("%s%s", out, stderr)
		}
		return nil
	})
	if status, out, stderr := run(t, []string{"HTTPDHS_TO=" + c.addr(0)}, "leave", name); status != 0 || !strings.Contains(out, name+" has left; 3 nodes") {
		t.Errorf("leave: %d %s%s", status, out, stderr)
	}
}
