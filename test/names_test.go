package test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"httpdhs/internal/poll"
)

// Names of hosts are the same in upper and lower case. Nodes whose files write them differently are
// one cluster. In it each is known by one name, and can be called by it as anybody writes it.
func TestNamesInAnyCase(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 3)
	for _, s := range f.ships {
		s.name = strings.Replace(s.name, "127.0.0.1", "localhost", 1)
		s.ask = s.name
	}
	for i, host := range []string{"localhost", "LocalHost", "LOCALHOST"} {
		file := filepath.Join(f.dir, fmt.Sprint(i, ".conf"))
		text := f.name(0) + "\n" + f.name(1) + "\n" + f.name(2) + "\n"
		if err := os.WriteFile(file, []byte(strings.ReplaceAll(text, "localhost", host)), 0o600); err != nil {
			t.Fatal(err)
		}
		f.start(i, "--conf="+file, "--advertise="+strings.ToUpper(f.name(i)))
	}
	f.awaitSettled(0, 1, 2)
	f.kill9(2)
	f.awaitDown(2, 0, 1)
	if status, out, stderr := run(t, nil, "remove", strings.ToUpper(f.name(2)), "--to="+f.name(0)); status != 0 {
		t.Errorf("remove: %d %s%s", status, out, stderr)
	}
	f.awaitSettled(0, 1)
}

// A node is started with the --advertise of another, and knows the members by a file, so nobody
// admits it. It ends by itself and says why, when the other runs, or once it does. Before that it
// answers nobody. The cluster is not disturbed.
func TestImpostor(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 3)
	f.startAll()
	w := newWitness(f, "impostor-", 1000, "", 0, 2)
	w.begin()
	w.more(200)
	port := freePort(t)
	second := []string{"server", fmt.Sprintf("--port=%d", port), f.conf(0, 1, 2), "--advertise=" + f.name(1)}
	why := "another process answers at this node's name, " + f.name(1)
	if status, out, stderr := run(t, nil, second...); status != 1 || !strings.Contains(stderr, why) {
		t.Errorf("a second node of one name ends with %d: %s%s", status, out, stderr)
	}
	w.more(200)
	f.kill9(1)
	f.awaitDown(1, 0, 2)
	p, err := launch(f.dir, nil, second...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	var last answer
	impostor := &cluster{ports: []int{port}, nodes: []*process{p}}
	poll.Until(t, "the second answers while the first is down", func() error {
		if last = impostor.do(0, "GET", "/db/"+w.key(0)+"?timeout=100ms", ""); last.status == 0 {
			return fmt.Errorf("%s", last.body)
		}
		return nil
	})
	if last.status != 503 {
		t.Errorf("the second answers with %d %s", last.status, last.body)
	}
	w.more(200)
	f.start(1)
	if status, err := p.wait(); err != nil || status != 1 || !strings.Contains(p.err.String(), why) {
		t.Errorf("when the first is back, the second ends with %d, %v: %s%s", status, err, &p.out, &p.err)
	}
	f.awaitSettled(0, 1, 2)
	w.more(200)
	w.end()
	w.conclude(0, 0, 1, 2)
}
