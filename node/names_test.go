package node_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"httpdhs/internal/poll"
	"httpdhs/internal/testcert"
	"httpdhs/node"
)

// namedPair makes two nodes that are to find each other by the name pods.test, over TLS.
func namedPair(t *testing.T, names ...string) (nodes []*node.Node) {
	t.Helper()
	pool, pair := testcert.New(t, names...)
	serve := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	trusting := &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	listeners, port := make([]net.Listener, 2), "0"
	for i := range listeners {
		var err error
		if listeners[i], err = net.Listen("tcp", fmt.Sprintf("127.0.0.%d:%s", i+1, port)); err != nil {
			t.Skip(err) // not every system has 127.0.0.2, and the port may be taken there
		}
		_, port, _ = net.SplitHostPort(listeners[i].Addr().String())
	}
	for _, l := range listeners {
		n, err := node.Open(node.Config{
			Name: l.Addr().String(), Listener: l, Partitions: 16, ProbeEvery: 20 * time.Millisecond,
			Join: []string{"dns:Pods.Test:" + port}, Expect: 2,
			Lookup: func(_ context.Context, host string) ([]netip.Addr, error) {
				if addr, err := netip.ParseAddr(host); err == nil || host != "pods.test" {
					return []netip.Addr{addr}, err
				}
				return []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.2")}, nil
			},
			ServerTLS: serve, ClientTLS: trusting,
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(n.Kill)
		nodes = append(nodes, n)
	}
	return nodes
}

// Over TLS a node that was found by a name has a certificate for that name, or it is not spoken to:
// nothing else says that the address is the right one.
func TestCertificatesAreForTheNameToJoin(t *testing.T) {
	t.Parallel()
	for _, n := range namedPair(t, "pods.test") {
		poll.True(t, "the two find each other", func() bool { ok, _ := n.Ready(); return ok })
	}
	for _, n := range namedPair(t) {
		poll.True(t, "it says that the certificate is not for the name", func() bool {
			ok, reason := n.Ready()
			return !ok && strings.Contains(reason, "not pods.test")
		})
	}
}
