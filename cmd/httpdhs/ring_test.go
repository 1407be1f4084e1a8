package main

import (
	"net"
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
