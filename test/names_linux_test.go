package test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"httpdhs/internal/poll"
)

// nameServer answers for the names of a network. What it has not, does not exist.
type nameServer struct {
	mu    sync.Mutex
	names map[string][]string // guarded by mu: addresses by name
	asked map[string]int      // guarded by mu: questions by name
}

// serveNames is a server at port 53 of an address.
func serveNames(t *testing.T, addr string) *nameServer {
	t.Helper()
	s := &nameServer{names: make(map[string][]string), asked: make(map[string]int)}
	conn, err := net.ListenPacket("udp", net.JoinHostPort(addr, "53"))
	if err != nil {
		t.Skipf("no DNS server here: %v", err)
	}
	server := &dns.Server{PacketConn: conn, Handler: dns.HandlerFunc(s.serve)}
	var run sync.WaitGroup
	run.Go(func() { _ = server.ActivateAndServe() }) // its end is that of conn
	t.Cleanup(func() {
		_ = conn.Close()
		run.Wait()
	})
	return s
}

// newNameServer has the nodes of a lan look names up at a server of the test's own.
func newNameServer(t *testing.T, f *fleet, l *lan) *nameServer {
	t.Helper()
	ask := net.ParseIP(f.ships[0].ask[:strings.LastIndexByte(f.ships[0].ask, ':')]).To4()
	gate := net.IPv4(ask[0], ask[1], ask[2], 1).String() // the test's end of the bridge
	s := serveNames(t, gate)
	for i := range l.nodes { // ip netns exec puts these files over those of /etc
		dir := filepath.Join("/etc/netns", l.ns(i))
		t.Cleanup(func() { _ = os.RemoveAll(dir) })
		err := os.MkdirAll(dir, 0o755)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, "resolv.conf"), fmt.Appendf(nil, "nameserver %s\noptions timeout:1 attempts:1\n", gate), 0o644)
		}
		if err != nil {
			t.Skipf("network namespaces have no resolver of their own here: %v", err)
		}
	}
	return s
}

// set has a name lead to addresses; to none: it does not exist.
func (s *nameServer) set(name string, addrs ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.names[name+"."] = addrs
}

func (s *nameServer) serve(w dns.ResponseWriter, q *dns.Msg) {
	m := new(dns.Msg)
	m.SetReply(q)
	s.mu.Lock()
	for _, question := range q.Question {
		name := strings.ToLower(question.Name)
		s.asked[name]++
		if len(s.names[name]) == 0 {
			m.Rcode = dns.RcodeNameError
		}
		for _, addr := range s.names[name] {
			if question.Qtype == dns.TypeA {
				m.Answer = append(m.Answer, &dns.A{
					Hdr: dns.RR_Header{Name: question.Name, Rrtype: dns.TypeA, Class: dns.ClassINET}, A: net.ParseIP(addr),
				})
			}
		}
	}
	s.mu.Unlock()
	_ = w.WriteMsg(m) // who is not answered asks again
}

// Three nodes, each on a machine of its own, find each other by a name, as pods behind a headless
// service do. They are started before the name is there, and it leads to one after the other. They
// wait, say for whom, and become one cluster, which one of them has founded.
//
// Then one moves: it is cut off, with all connections to it left hanging, and started elsewhere
// under its name. The others find it there. At last no name leads anywhere any more. Nobody is
// taken for down for that, and after a cut each finds the others where they were.
func TestNodesFindEachOtherByName(t *testing.T) {
	if testing.Short() {
		t.Skip("a cut takes its time")
	}
	t.Parallel()
	f, l := newLAN(t, 4, "--replicas=2", "--partitions=64")
	zone := newNameServer(t, f, l)
	const all = "pods.httpdhs.test"
	pod := func(i int) string { return fmt.Sprintf("pod%d.%s", i, all) }
	for i, s := range f.ships[:3] {
		s.name = pod(i) + ":15000"
	}
	by := []string{"--join=dns:" + all + ":15000", "--expect=3"}
	saysWhy := func(i int, part string) {
		t.Helper()
		f.eventually(fmt.Sprintf("node %d says %q", i, part), func() error {
			if err := f.isReady(i); err == nil || !strings.Contains(err.Error(), part) {
				return fmt.Errorf("it says: %w", err)
			}
			return nil
		})
	}
	f.start(2, by...)
	saysWhy(2, all+" cannot be looked up")
	f.start(0, by...)
	zone.set(all, l.addr(2))
	zone.set(pod(2), l.addr(2))
	saysWhy(2, "1 of 3 nodes are there")
	zone.set(all, l.addr(2), l.addr(0))
	zone.set(pod(0), l.addr(0))
	for _, i := range []int{0, 2} {
		saysWhy(i, "2 of 3 nodes are there ("+f.name(0)+", "+f.name(2)+"): waits for 1 more")
	}
	f.start(1, by...)
	zone.set(all, l.addr(2), l.addr(0), l.addr(1))
	zone.set(pod(1), l.addr(1))
	f.awaitSettled(0, 1, 2)
	founded := 0
	for i := range 3 {
		if f.logged(i, "founded a cluster") {
			founded++
		}
	}
	if founded != 1 {
		t.Errorf("%d nodes have founded a cluster", founded)
	}
	put := func(i int, key, value string) error {
		req, err := http.NewRequest("PUT", f.url(i, "/db/"+key), strings.NewReader(value))
		if err != nil {
			return err
		}
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if acks := resp.Header.Get("X-Dht-Acks"); acks != "2/2" {
			return fmt.Errorf("%s, %q acknowledged it", resp.Status, acks)
		}
		return nil
	}
	keys := func(value string) {
		t.Helper()
		var puts sync.WaitGroup
		for i := range 90 { // at once: more connections than were open
			puts.Go(func() {
				// Where all cores are busy a node may be taken for down, but not for good.
				err := poll.Within(long, func() error { return put(i%3, fmt.Sprintf("key-%d", i), value) })
				if err != nil {
					t.Errorf("%s: PUT at node %d: %v", value, i%3, err)
				}
			})
		}
		puts.Wait()
	}
	keys("before")

	// It moves. Nothing tells the others that their connections lead nowhere.
	l.split(0, 1, 0, 0)
	f.kill9(1)
	moved := f.ships[1]
	f.mu.Lock()
	moved.under, moved.ask = f.ships[3].under, f.ships[3].ask
	f.mu.Unlock()
	f.start(1)
	began := time.Now()
	zone.set(pod(1), l.addr(3))
	zone.set(all, l.addr(2), l.addr(0), l.addr(3))
	f.awaitSettled(0, 1, 2)
	t.Logf("found elsewhere, and filled up, after %v", time.Since(began))
	keys("moved")

	// The names vanish, and then the network for a while. All connections break, and each node
	// finds the others again where they were last.
	for _, name := range []string{all, pod(0), pod(1), pod(2)} {
		zone.set(name)
	}
	keys("nameless")
	l.split(0, 1, 2, 3)
	for i := range 3 {
		f.awaitDown(i, (i+1)%3, (i+2)%3)
	}
	l.heal()
	f.awaitSettled(0, 1, 2)
	keys("found again")
	for i := range 3 {
		for _, line := range strings.Split(f.proc(i).err.String(), "\n") {
			if strings.Contains(line, "peer down") && strings.Contains(line, "no such host") && !strings.Contains(line, "dial tcp") {
				t.Errorf("node %d: %s", i, line)
			}
		}
	}
	if n := slices.Max([]int{zone.count(pod(0)), zone.count(pod(1)), zone.count(pod(2))}); n == 0 {
		t.Error("nobody has looked a member up: the names tell nothing")
	}
}

func (s *nameServer) count(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[name+"."]
}
