package test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"httpdhs/internal/testcert"
)

// newSecureFleet makes places for nodes that speak TLS, and have a secret. The flag names the
// authority of their certificates.
func newSecureFleet(t *testing.T, nodes int) (f *fleet, ca string) {
	t.Helper()
	f = newFleet(t, nodes)
	cert, key := testcert.Files(t, f.dir)
	ca = "--tls-ca=" + cert
	f.tls = true
	f.flags = []string{"--tls-cert=" + cert, "--tls-key=" + key, ca}
	return f, ca
}

// secret writes a secret to a file, and returns the flag that names it.
func (f *fleet) secret(name, text string) string {
	f.t.Helper()
	file := filepath.Join(f.dir, name)
	if err := os.WriteFile(file, []byte(text+"\n"), 0o600); err != nil {
		f.t.Fatal(err)
	}
	return "--cluster-secret-file=" + file
}

// Over TLS and with a secret nodes come and go as they do without. One joins, one is killed and
// comes back empty, one is stopped and started, one leaves. No request fails and nothing is wrong.
// Nodes with another secret, or none, may want to join, or have all members in their file. They are
// refused, which both sides say, and disturb nothing.
func TestSecureChurn(t *testing.T) {
	t.Parallel()
	f, ca := newSecureFleet(t, 6)
	conf, ours := f.conf(0, 1, 2), f.secret("ours", "between nodes")
	for i := range 3 {
		f.start(i, conf, ours)
	}
	f.awaitSettled(0, 1, 2)
	w := newWitness(f, "secure-", soaked(2000, soakKeys()), "", 0, 1, 2)
	w.begin()
	w.more(soaked[int64](200, 500))

	f.start(4, f.join(0, 1, 2), f.secret("theirs", "of another cluster"))
	strangers := filepath.Join(f.dir, "strangers.conf")
	if err := os.WriteFile(strangers, fmt.Appendf(nil, "%s\n%s\n%s\n%s\n", f.name(0), f.name(1), f.name(2), f.name(5)), 0o600); err != nil {
		t.Fatal(err)
	}
	f.start(5, "--conf="+strangers)
	for _, i := range []int{4, 5} {
		f.eventually("a node with another secret says that it is refused", func() error {
			if !f.logged(i, "cluster-secret") {
				return fmt.Errorf("node %d does not", i)
			}
			return nil
		})
	}
	f.eventually("a member says that it refused a node", func() error {
		for i := range 3 {
			if !f.logged(i, "a node without this cluster's secret was refused") {
				return fmt.Errorf("node %d does not", i)
			}
		}
		return nil
	})

	f.start(3, f.join(0, 1, 2), ours)
	f.awaitSettled(0, 1, 2, 3)
	w.allow(3)
	w.more(soaked[int64](200, 500))
	w.withdraw(1)
	f.kill9(1)
	w.more(200)
	f.start(1)
	f.awaitSettled(0, 1, 2, 3)
	w.allow(1)
	w.more(200)
	w.withdraw(2)
	f.stop(2)
	f.start(2)
	f.awaitSettled(0, 1, 2, 3)
	w.allow(2)
	w.withdraw(0)
	if status, out, stderr := run(t, nil, "leave", f.name(0), "--to=https://"+f.name(1), ca); status != 0 || !strings.Contains(out, f.name(0)+" has left; 3 nodes") {
		t.Errorf("leave: %d %s%s", status, out, stderr)
	}
	f.awaitLeft(0)
	f.awaitSettled(1, 2, 3)
	w.more(soaked[int64](200, 500))
	w.end()
	for _, i := range []int{4, 5} {
		if err := f.isReady(i); err == nil {
			t.Errorf("node %d, which has another secret, is ready", i)
		}
		if status, body := w.ask(i, "GET", "/db/"+w.key(0), ""); status == 200 || status == 404 {
			t.Errorf("node %d, which has another secret, answers with %d %s", i, status, body)
		}
	}
	w.conclude(2, 1, 2, 3)
}

// A token of clients can be given to a running cluster, one node after the other: each takes the
// token from when it has one, and asks for it. Clients that send it are served by all nodes all the
// while, and no key is lost.
func TestTokenIsAddedNodeByNode(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 3)
	conf, between := f.conf(0, 1, 2), f.secret("between", "of nodes")
	file := filepath.Join(f.dir, "clients")
	if err := os.WriteFile(file, []byte("of clients\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		f.start(i, conf, between)
	}
	f.awaitSettled(0, 1, 2)
	token, key := "Authorization: Bearer of clients", func(i int) string { return fmt.Sprintf("/db/token-%d", i) }
	const keys = 20
	for i := range keys {
		if a := send(t, f.address(0), "PUT", key(i), "v"); !a.ok() {
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
	for with := range 3 {
		next := f.name(with)
		if status, _, stderr := run(t, nil, "safe-to-stop", "--wait", "--to="+next, next); status != 0 {
			t.Fatalf("%s cannot be stopped: %s", next, stderr)
		}
		f.stop(with)
		f.start(with, conf, between, "--auth-token-file="+file)
		for i := range 3 {
			f.eventually("all are ready", func() error { return f.isReady(i) })
			want := 200
			if i <= with {
				want = 401
			}
			if a := send(t, f.address(i), "GET", key(0), ""); a.status != want {
				t.Errorf("%d have the token, and node %d answers without it with %d, want %d", with+1, i, a.status, want)
			}
			for k := range keys {
				if a := send(t, f.address(i), "GET", key(k), "", token); a.status != 200 {
					t.Fatalf("%d have the token, and %s of node %d is %d %s", with+1, key(k), i, a.status, a.body)
				}
			}
		}
	}
}
