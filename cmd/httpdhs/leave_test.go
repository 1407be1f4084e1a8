package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"httpdhs/api"
	"httpdhs/internal/poll"
	"httpdhs/node"
)

// leave waits until the others do not list the node any more, and what it held is with them. The
// last one cannot leave.
func TestLeaveCommand(t *testing.T) {
	nodes, names := startCluster(t, 3)
	for i := range 50 {
		expect(t, 0, "", "", "put", fmt.Sprint("key", i), "v")
	}
	// The node is named, and is not just one of those that are asked.
	expect(t, exitUsage, "", `expected "<node>"`, "leave")
	expect(t, exitUsage, "", `"somebody" is not host:port: missing port in address, the name of a node as httpdhs status has it`, "leave", "somebody")
	gone := fmt.Sprint("127.0.0.1:", freePort(t))
	expect(t, exitError, "", "no member is called "+gone+"; the members are ", "leave", gone)
	port := strings.TrimPrefix(names[2], "127.0.0.1:")
	expect(t, exitError, "", "the node at localhost:"+port+" is called "+names[2]+": to have it leave, httpdhs leave "+names[2], "leave", "localhost:"+port)
	expect(t, 0, names[2]+" has left; 2 nodes in the cluster now\n", "", "leave", names[2])
	<-nodes[2].Left()
	for i := range 50 {
		expect(t, 0, "v", "", "get", fmt.Sprint("key", i), "--to", names[0])
	}
	status, out, stderr := httpdhs("leave", "--no-wait", "LOCALHOST:1", "--to", names[1])
	if status != exitError || !strings.Contains(stderr, "no member is called localhost:1") {
		t.Errorf("another name than that of --to: status %d, stdout %q, stderr %q", status, out, stderr)
	}
	status, out, stderr = httpdhs("leave", "--no-wait", names[1], "--to", names[1])
	if status != 0 || !strings.HasPrefix(out, names[1]+" is leaving: ") || stderr != "" {
		t.Errorf("--no-wait: status %d, stdout %q, stderr %q", status, out, stderr)
	}
	<-nodes[1].Left()
	expect(t, exitError, "", "the only active member cannot leave", "leave", names[0])
}

// A node that has not joined a cluster, because nobody on its list is up, has nothing to leave. The
// command says so, and not that the node is a member, or that one has to stay.
func TestLeaveCommandOfANodeThatHasNotJoined(t *testing.T) {
	n, err := node.Open(node.Config{Name: fmt.Sprint("127.0.0.1:", freePort(t)), Join: []string{fmt.Sprint("127.0.0.1:", freePort(t))}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Kill)
	name := n.Addr().String()
	status, _, stderr := httpdhs("leave", name)
	if status != exitError || !strings.Contains(stderr, name+" has not joined a cluster: ") || !strings.Contains(stderr, "httpdhs remove") ||
		strings.Contains(stderr, "still a member") || strings.Contains(stderr, "one has to stay") {
		t.Errorf("status %d, stderr %q", status, stderr)
	}
}

// remove takes off a node that is down, and says what to do about one that it does not remove.
func TestRemoveCommand(t *testing.T) {
	_, names := startCluster(t, 2)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	name := ln.Addr().String()
	third, err := node.Open(node.Config{Name: name, Join: names, Listener: ln})
	if err != nil {
		t.Fatal(err)
	}
	untilReady(t.Context(), []*node.Node{third})
	expect(t, exitError, "", "have it leave (httpdhs leave "+name+")", "remove", name)
	expect(t, exitError, "", "the members are ", "remove", "nobody:1")
	third.Kill()
	expect(t, exitError, "", name+" is not reached at its name", "leave", name, "--to", name)
	expect(t, 0, name+" is removed\n", "", "remove", name)
	if _, out, _ := httpdhs("status"); strings.Contains(out, name) {
		t.Errorf("it is still there:\n%s", out)
	}
}

// recover gives up what is down, and only if it is told so in full. A dry run says what it would
// do. Without either nothing is sent.
func TestRecoverCommand(t *testing.T) {
	nodes, names := startCluster(t, 2)
	third, err := node.Open(node.Config{Name: fmt.Sprint("127.0.0.1:", freePort(t)), Join: names})
	if err != nil {
		t.Fatal(err)
	}
	name := third.Addr().String()
	untilReady(t.Context(), []*node.Node{third})
	expect(t, 0, "nothing was done, and there is nothing to do: no member is known to be down\n", "", "recover", "--dry-run")
	for _, args := range [][]string{nil, {names[1]}, {"--to=" + names[1]}, {"127.0.0.1:1"}} {
		expect(t, exitUsage, "", "say --accept-loss", append([]string{"recover"}, args...)...)
	}
	expect(t, exitUsage, "", "both given", "recover", "--accept-loss", "--dry-run")
	expect(t, 0, "no member is down: nothing is given up\n", "", "recover", "--accept-loss", names[1])
	expect(t, exitUsage, "", `"somebody" is not host:port`, "recover", "--accept-loss", "somebody")
	third.Kill()
	down := func() bool {
		for _, n := range nodes[0].Cluster(time.Now().Add(time.Second)).Nodes {
			if n.Name == name {
				return n.State == api.StateDown
			}
		}
		return false
	}
	poll.True(t, "the third is down", down)
	expect(t, 0, "nothing was done: with --accept-loss "+names[0]+" would take off the ring what is down: "+name+
		"; what these alone have is lost\n", "", "recover", "--dry-run", "--to", names[0])
	expect(t, 0, name+" is removed\n", "", "recover", "--accept-loss", names[0])
	if _, out, _ := httpdhs("status"); strings.Contains(out, name) {
		t.Errorf("it is still there:\n%s", out)
	}
}

// A node that has left is taken down at once, and with the last of them the program ends; the
// others go on.
func TestNodesThatLeaveEnd(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var nodes []*node.Node
	for range 2 {
		cfg := node.Config{Name: fmt.Sprint("127.0.0.1:", freePort(t))}
		if len(nodes) > 0 {
			cfg.Join = []string{nodes[0].Addr().String()}
		}
		n, err := node.Open(cfg)
		if err != nil {
			t.Fatal(err)
		}
		nodes = append(nodes, n)
	}
	untilReady(ctx, nodes)
	first, second := make(chan error, 1), make(chan error, 1)
	go func() { first <- untilOver(ctx, 10*time.Second, nodes[0]) }()
	go func() { second <- untilOver(ctx, 10*time.Second, nodes[1]) }()
	expect(t, 0, nodes[1].Addr().String()+" has left; 1 node in the cluster now\n", "", "leave", nodes[1].Addr().String())
	if err := <-second; err != nil {
		t.Errorf("the node that left ends with %v", err)
	}
	expect(t, exitError, "", "no node answers", "status", "--to", nodes[1].Addr().String())
	select {
	case err := <-first:
		t.Errorf("the other ends too: %v", err)
	default:
	}
	cancel()
	if err := <-first; err != nil {
		t.Errorf("the other, at the signal, ends with %v", err)
	}
}

// Whether the node has left follows from what others say and what it says itself. That it is still
// a member and does not leave is believed of the node alone: what others say may be old. The node
// is also believed that it is a member, against another that has just been started. A moment
// without an answer is part of leaving. A long one is not.
func TestLeaveWatch(t *testing.T) {
	boot := time.Unix(500, 0)
	doc := func(state string) *api.Cluster {
		c := &api.Cluster{Nodes: []api.Node{{Name: "a:1", State: api.StateActive}}}
		switch state {
		case "silent":
			return nil
		case "gone":
		case "restarted":
			c.Nodes = append(c.Nodes, api.Node{Name: "b:1", State: api.StateJoining, Started: boot.Add(time.Second)})
		default:
			c.Nodes = append(c.Nodes, api.Node{Name: "b:1", State: state, Started: boot})
		}
		return c
	}
	begin := time.Unix(1000, 0)
	for _, tc := range []struct {
		name   string
		sights []string // every four seconds what another says, and what the node says
		want   string   // of the error; empty: it has left
	}{
		{"at once", []string{"gone silent"}, ""},
		{"as others hear of it", []string{"active leaving", "leaving leaving", "leaving silent", "down silent", "gone silent"}, ""},
		{"another has just been started", []string{"gone leaving", "gone leaving", "gone silent"}, ""},
		{"its goodbye is on its way", []string{"leaving gone", "leaving silent", "gone silent"}, ""},
		{"all others end before it", []string{"silent leaving", "silent leaving", "silent leaving", "silent leaving", "silent gone"}, ""},
		{"down for a moment, again and again", []string{"down silent", "down silent", "down leaving", "down silent", "down silent", "down leaving", "gone silent"}, ""},
		{"it comes back", []string{"leaving leaving", "down silent", "active restarted"}, "b:1 is still a member: it was restarted"},
		{"it stays", []string{"leaving leaving", "silent active"}, "b:1 is still a member: all others"},
		{"it stays, which others do not know", []string{"leaving active"}, "b:1 is still a member: all others"},
		{"it crashes", []string{"leaving leaving", "down silent", "down silent", "down silent", "down silent", "gone silent"}, "httpdhs remove b:1"},
		{"nobody answers", []string{"leaving leaving", "silent silent", "silent silent", "silent silent", "silent silent"}, "is not known"},
	} {
		w := leaveWatch{name: "b:1", boot: boot}
		gone, err := false, error(nil)
		for i, sight := range tc.sights {
			elsewhere, own, _ := strings.Cut(sight, " ")
			if gone, err = w.see(doc(elsewhere), doc(own), begin.Add(time.Duration(4*i)*time.Second)); gone || err != nil {
				if i < len(tc.sights)-1 && tc.want == "" {
					t.Errorf("%s: it is over after %q: %v", tc.name, sight, err)
				}
				break
			}
		}
		if tc.want == "" && (!gone || err != nil) || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%s: gone %v, %v; want %q", tc.name, gone, err, tc.want)
		}
	}
}

// A node may end as soon as the node that it waited for is back, before it has said that it has
// left. Then the one that is back is asked.
func TestLeaveAsksWhoWasDown(t *testing.T) {
	var goes, stays *httptest.Server
	var asked atomic.Int64
	name := func(s *httptest.Server) string { return s.Listener.Addr().String() }
	answer := func(w http.ResponseWriter, status int, doc any) {
		w.Header().Set("X-Dht-Node", "a:1")
		w.WriteHeader(status)
		if err := json.NewEncoder(w).Encode(doc); err != nil {
			t.Error(err)
		}
	}
	stays = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer(w, http.StatusOK, api.Cluster{Node: name(stays), Nodes: []api.Node{{Name: name(stays), State: api.StateActive}}})
	}))
	defer stays.Close()
	goes = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodPost:
			answer(w, http.StatusAccepted, api.Leaving{Node: name(goes), State: api.StateLeaving})
		case asked.Add(1) <= 3:
			answer(w, http.StatusOK, api.Cluster{Node: name(goes), Nodes: []api.Node{
				{Name: name(goes), State: api.StateLeaving}, {Name: name(stays), State: api.StateDown}}})
		default:
			panic(http.ErrAbortHandler)
		}
	}))
	defer goes.Close()
	expect(t, 0, name(goes)+" has left; 1 node in the cluster now\n", "", "leave", name(goes))
	if asked.Load() <= 3 {
		t.Error("it is believed to have left while it says that it is leaving")
	}
}

// changing is a cluster in which a node is joining and another leaving.
func changing() *api.Cluster {
	return &api.Cluster{
		Node: "a:1", Ring: "r1", Target: "r2", Replicas: 1, Partitions: 4, Partitioner: "ring",
		Nodes: []api.Node{
			{Name: "a:1", State: "active", PrimaryPartitions: 2, TargetPartitions: 2, Memory: api.Memory{Used: 65116570, Max: 64 << 20}},
			{Name: "b:1", State: "leaving", Reason: "handing over", PrimaryPartitions: 2, Memory: api.Memory{Used: 4096}, Bytes: 2048, HandOver: 1},
			{Name: "c:1", State: "joining", TargetPartitions: 2,
				Moving: &api.Moving{Partitions: 4, Done: 1, Bytes: 1024, BytesLeft: 3072, Rate: 1024, SecondsLeft: 3}},
			{Name: "d:1", State: "down", Reason: "refused", DownSince: time.Date(2026, 1, 2, 3, 4, 5, 0, time.Local), HandOver: 7, Moving: &api.Moving{Partitions: 9}},
		},
	}
}

// While the ring changes, status says to what, who owns how much then, and what is on its way; what
// a node that is down last said of that does not count.
func TestStatusOfAChange(t *testing.T) {
	var out bytes.Buffer
	if err := printStatus(&out, changing(), time.Unix(0, 0)); err != nil {
		t.Fatal(err)
	}
	const want = `4 nodes, 1 replica, 4 partitions by ring, ring r1, as a:1 sees it
the ring is changing to r2

NODE  STATE    KEYS  BYTES    MEMORY         SHARE  NEXT   VERSION  UP SINCE
a:1   active   0     0 B      62.1/64.0 MiB  50.0%  50.0%  -        -
b:1   leaving  0     2.0 KiB  4.0 KiB        50.0%  0.0%   -        -
c:1   joining  0     0 B      0 B            0.0%   50.0%  -        -
d:1   down     0     0 B      0 B            0.0%   0.0%   -        -

b:1 is leaving: handing over

d:1 is down since 2026-01-02 03:04:05: refused

b:1 has 1 partition to hand over
b:1 waits for d:1, which is down since 2026-01-02 03:04:05: start it again, or take it off the ring: httpdhs remove d:1
c:1 fetches 1 of 4 partitions: 1.0 KiB done, 3.0 KiB to go at 1.0 KiB/s, 3s left
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
	const line = "1 partition, 2.0 KiB to hand over; c:1 fetches 1 of 4 partitions: 1.0 KiB done, 3.0 KiB to go at 1.0 KiB/s, 3s left; " +
		"waits for d:1, which is down since 2026-01-02 03:04:05: start it again, or take it off the ring: httpdhs remove d:1"
	if got := leaveText(changing(), "b:1"); got != line {
		t.Errorf("leave shows %q, want %q", got, line)
	}
}

// ring lists those that are to own something, too, while it changes.
func TestRingOfAChange(t *testing.T) {
	var out bytes.Buffer
	ring := &api.Ring{
		Fingerprint: "r1", Partitioner: "ring", Partitions: 4, Replicas: 1, Owners: [][]uint16{{0}, {1}, {0}, {1}},
		Nodes: []api.RingNode{{Name: "a:1", Weight: 1}, {Name: "b:1", Weight: 1}},
	}
	if err := printRing(&out, ring, changing()); err != nil {
		t.Fatal(err)
	}
	const want = `ring r1: 4 partitions by ring, 1 replica
it is changing to r2: httpdhs status says how far that is

NODE  ZONE  WEIGHT  PRIMARY  REPLICA  SHARE  NEXT
a:1   -     1       2        0        50.0%  2
b:1   -     1       2        0        50.0%  0
c:1   -     0       0        0        0.0%   2
d:1   -     0       0        0        0.0%   0
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

// An IPv6 address is one to serve on with and without brackets.
func TestBindIPv6(t *testing.T) {
	for _, bind := range []string{"::1", "[::1]"} {
		if cfg := parseServer(t, "--bind", bind, "--join=[::1]:1"); cfg.Listen != "[::1]:1234" || cfg.Name != "[::1]:1234" || cfg.Join[0] != "[::1]:1" {
			t.Errorf("--bind %s: listens on %s as %s, joins %s", bind, cfg.Listen, cfg.Name, cfg.Join)
		}
	}
}

// A start script that still names a port for gossip works: whatever is named there is not looked
// at, and one line says so.
func TestGossipPortIsIgnored(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0") // nobody else could listen there
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	for _, port := range []string{fmt.Sprint(ln.Addr().(*net.TCPAddr).Port), "99999", "none"} {
		var out bytes.Buffer
		log := &signalAtEnd{when: "node starts"}
		status := run([]string{"server", fmt.Sprint("--port=", freePort(t)), "--gossip-port", port}, nil, &out, log)
		if text := log.text.String(); status != exitOK || strings.Count(text, "--gossip-port is ignored") != 1 {
			t.Errorf("%s: status %d, stderr %s", port, status, text)
		}
	}
}
