package dataplane

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"httpdhs/internal/memnet"
	"httpdhs/internal/poll"
	"httpdhs/peer"
)

// errUnknown is what a peer answers to a node that it does not know.
var errUnknown = fmt.Errorf("%w: node1 answers 403", peer.ErrStranger)

// A node that is a stranger to a peer says hello, and then is none any more. It does not take the
// peer for down meanwhile: else the peer would give up what it holds.
func TestStrangersSayHello(t *testing.T) { bubble(t, testStrangersSayHello) }

func testStrangersSayHello(t *testing.T) {
	var refused, known atomic.Bool
	o := clusterOptions{nodes: 2, replicas: 2, differs: func(by int, name string) {
		if by == 0 && name == "node1" && refused.Load() {
			known.Store(true)
		}
	}}
	c := idleCluster(t, o)
	c.net.Between("node0", "node1", func(_ []byte, pass func() ([]byte, error)) ([]byte, error) {
		if !known.Load() {
			refused.Store(true)
			return nil, errUnknown
		}
		return pass()
	})
	for _, i := range []int{1, 0} { // who asks comes last: nobody refuses its connections
		c.boot(i, uint64(100+i), o)
	}
	c.rest()
	if !refused.Load() {
		t.Fatal("nobody was refused")
	}
	if sight := c.nodes[1].status(0).Ping.Sees; sight.Boot == 0 || sight.Suspicion > 0 {
		t.Errorf("the peer was taken for down: %+v", sight)
	}
}

// A peer that refuses a node for good is down to it, and the reason is the refusal.
func TestARefusalIsTheReason(t *testing.T) { bubble(t, testARefusalIsTheReason) }

func testARefusalIsTheReason(t *testing.T) {
	c := newCluster(t, clusterOptions{nodes: 2, replicas: 2})
	c.net.Toward("node1", memnet.FailWith(errUnknown))
	n := c.nodes[0]
	poll.True(t, "the peer is down", func() bool { return n.Topology.Peers()[0].State == peer.Down })
	if why := n.Topology.Peers()[0].Reason; !strings.Contains(why.Error(), "403") {
		t.Errorf("it is down, for %v", why)
	}
}
