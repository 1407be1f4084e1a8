package main

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"httpdhs/node"
)

// The document of a partition table is made once, so that what serves it can
// keep its JSON.
func TestRingDocumentIsMadeOnce(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n, err := node.Open(node.Config{Name: ln.Addr().String(), Listener: ln})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Kill()
	if first, second := n.Ring(), n.Ring(); first != second {
		t.Error("each call makes another document")
	}
}

// Every command says of a node that waits for its cluster that it is part of none, and fails.
func TestNodeWithoutACluster(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := fmt.Sprint("127.0.0.1:", freePort(t))
	n, err := node.Open(node.Config{Name: ln.Addr().String(), Listener: ln, Join: []string{nobody}})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Kill()
	t.Setenv("HTTPDHS_TO", ln.Addr().String())
	for _, args := range []string{
		"get a --timeout=4s", "put a b --timeout=4s", "del a --timeout=4s", "keys --timeout=4s",
		"ring", "ring a", "ring -o json", "ring a -o json",
		"bench --workload=load --conns=1 --requests=1 --warmup=0s --keys=1", "bench --conns=1 --keys=1",
	} {
		status, out, stderr := httpdhs(strings.Fields(args)...)
		if status != exitError || !strings.Contains(out+stderr, "part of no cluster yet") || strings.Contains(stderr, "timeout") {
			t.Errorf("%s: status %d, stdout %q, stderr %q", args, status, out, stderr)
		}
	}
}
