package test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// quay is a network of containers, with names, on podman's machine. The test has an end of a cable
// in it, and answers for the names there.
type quay struct {
	p      *podman
	net    string // the first three numbers of its addresses
	bridge string // to which all are connected
	zone   *nameServer
}

const (
	quayName = "dht"
	quayPort = 1234 // of all nodes
)

// newQuay makes the network.
func newQuay(t *testing.T, p *podman) *quay {
	t.Helper()
	q := &quay{p: p, net: fmt.Sprintf("10.%d.%d", 64+rand.IntN(128), rand.IntN(250))}
	// aardvark-dns 1.4 may stop answering when containers come and go: names are the test's.
	p.do(t, "network", "create", "--disable-dns", "--subnet="+q.net+".0/24", quayName)
	q.bridge = p.do(t, "network", "inspect", "--format={{.NetworkInterface}}", quayName)
	cable := fmt.Sprintf("%s%dp", lanPrefix, os.Getpid())
	networks.Lock()
	defer networks.Unlock()
	t.Cleanup(func() {
		networks.Lock()
		defer networks.Unlock()
		_ = ip("link del " + cable) // it may not have been made
	})
	for _, err := range []error{
		q.ip("link add %s type bridge", q.bridge),
		q.ip("link set %s up", q.bridge),
		ip(fmt.Sprintf("link add %s type veth peer name test netns %d", cable, p.holder.Process.Pid)),
		ip("link set " + cable + " addrgenmode none"),
		ip("addr add " + q.addr(250) + "/24 dev " + cable),
		ip("link set " + cable + " up"),
		q.ip("link set test master %s up", q.bridge),
	} {
		if err != nil {
			t.Skipf("no network of containers here: %v", err)
		}
	}
	q.zone = serveNames(t, q.addr(250))
	return q
}

func (q *quay) addr(host int) string { return fmt.Sprintf("%s.%d", q.net, host) }

// ip is the command, on podman's machine.
func (q *quay) ip(format string, v ...any) error {
	_, err := output(slices.Concat(q.p.enter(), []string{"ip"}, strings.Fields(fmt.Sprintf(format, v...))))
	return err
}

// moor has node i of the fleet be a container with an address and a name of its own.
func (q *quay) moor(f *fleet, i, host int) {
	name := fmt.Sprintf("node%d", i)
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.ships[i]
	s.name, s.ask = fmt.Sprintf("%s:%d", name, quayPort), fmt.Sprintf("%s:%d", q.addr(host), quayPort)
	s.image = append(q.p.command(), "run", "--replace", "--name="+name, "--hostname="+name, "--network="+quayName,
		"--ip="+q.addr(host), "--dns="+q.addr(250), "--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges",
		"--memory=256m", "--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024", testImage)
	q.zone.set(name, q.addr(host))
	s.signal = func(sig syscall.Signal) error {
		_, err := q.p.try("kill", fmt.Sprintf("--signal=%d", sig), name)
		return err
	}
}

// port is the end of a container's cable at the bridge.
func (q *quay) port(t *testing.T, i int) string {
	t.Helper()
	pid := q.p.do(t, "inspect", "--format={{.State.Pid}}", fmt.Sprintf("node%d", i))
	links := func(under ...string) string {
		out, err := output(slices.Concat(q.p.enter(), under, []string{"ip", "-oneline", "link"}))
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	peer := regexp.MustCompile(`: eth0@if(\d+):`).FindStringSubmatch(links("nsenter", "--target="+pid, "--net"))
	if peer == nil {
		t.Fatalf("node %d has no cable", i)
	}
	port := regexp.MustCompile(`(?m)^` + peer[1] + `: (\S+)@`).FindStringSubmatch(links())
	if port == nil {
		t.Fatalf("the cable of node %d has no other end", i)
	}
	return port[1]
}

// cut pulls the cable of node i out. Nobody is told: what is sent is lost. The function that it
// returns puts the cable back.
func (q *quay) cut(t *testing.T, i int) (mend func()) {
	t.Helper()
	port := q.port(t, i)
	set := func(format string, v ...any) {
		t.Helper()
		if err := q.ip("link set "+port+" "+format, v...); err != nil {
			t.Fatal(err)
		}
	}
	set("nomaster")
	return func() { t.Helper(); set("master %s", q.bridge) }
}

// imageCluster: three containers, each with an address of its own, find each other by a name and
// are one cluster, while clients write and read behind a load balancer. Then one is killed, one is
// cut off, and all are restarted one by one, the first with another address. Only requests that
// were under way fail, and only at the node that was killed or cut off. What was acknowledged is
// there at the end, at each node.
func imageCluster(t *testing.T, p *podman) {
	q := newQuay(t, p)
	f := newFleet(t, 3, "--replicas=2", "--partitions=64", fmt.Sprintf("--join=dns:nodes:%d", quayPort), "--expect=3", "--drain-delay=1h")
	for i := range f.ships {
		q.moor(f, i, 11+i)
		f.start(i)
	}
	q.zone.set("nodes", q.addr(11), q.addr(12), q.addr(13))
	f.awaitSettled(0, 1, 2)
	founded := 0
	for i := range f.ships {
		if f.logged(i, "founded a cluster") {
			founded++
		}
		p.awaitHealthy(t, fmt.Sprintf("node%d", i))
	}
	if founded != 1 {
		t.Errorf("%d nodes have founded a cluster", founded)
	}
	b := startBalancer(f, 100*time.Millisecond, pace, 12)
	b.more(t, 500)

	b.excuse(t, 1, func() { f.kill9(1) })
	f.awaitDown(1, 0, 2)
	b.more(t, 500)
	f.start(1)
	f.awaitSettled(0, 1, 2)
	b.awaitUsed(t, 1)

	var mend func()
	b.excuse(t, 2, func() { mend = q.cut(t, 2) })
	f.awaitDown(2, 0, 1)
	b.more(t, 500)
	mend()
	f.awaitSettled(0, 1, 2)
	b.awaitUsed(t, 2)

	for i := range f.ships {
		p.do(t, "exec", fmt.Sprintf("node%d", (i+1)%3), "httpdhs", "safe-to-stop", "--wait", f.name(i))
		b.withdraw(t, i)
		b.more(t, 200)
		f.stop(i) // the second signal ends the draining, which so takes no longer than it has to
		if i == 0 {
			q.moor(f, i, 21)
			q.zone.set("nodes", q.addr(21), q.addr(12), q.addr(13))
		}
		b.more(t, 200)
		f.start(i)
		f.awaitSettled(0, 1, 2)
		b.awaitUsed(t, i)
	}
	b.more(t, 500)
	b.end(t)
	b.readBack(t)
}
