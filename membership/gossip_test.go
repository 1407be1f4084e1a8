package membership

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
)

// These tests run memberlist on sockets of 127.0.0.1, faster than it is meant to run.

var testPace = pace{
	seek:    100 * time.Millisecond,
	joinMin: 10 * time.Millisecond, joinMax: 100 * time.Millisecond,
	again: 10 * time.Millisecond,
	hello: 2 * time.Second,
	probe: 100 * time.Millisecond, exchange: time.Hour,
}

// nameOf is the name of a node. Nothing listens there: hellos go over the wire.
func nameOf(i int) string { return fmt.Sprintf("127.0.0.1:%d", 101+i) }

// firewall cuts what nodes send each other, gossip and hellos.
type firewall struct {
	mu    sync.Mutex
	side  map[string]bool // guarded by mu: by name, and by gossip address
	split bool            // guarded by mu
}

func (f *firewall) cuts(from, to string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.split && f.side[from] != f.side[to]
}

func (f *firewall) put(m *Membership, side bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.side[m.id.name], f.side[m.o.Self.Gossip] = side, side
}

func (f *firewall) setSplit(split bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.split = split
}

// walled is a node's transport behind the firewall.
type walled struct {
	dialer
	name string
	wall *firewall
}

func (w walled) WriteToAddress(b []byte, to memberlist.Address) (time.Time, error) {
	if w.wall.cuts(w.name, to.Addr) {
		return time.Now(), nil // lost
	}
	return w.dialer.WriteToAddress(b, to)
}

func (w walled) DialAddressTimeout(to memberlist.Address, timeout time.Duration) (net.Conn, error) {
	if w.wall.cuts(w.name, to.Addr) {
		return nil, errUnreachable
	}
	return w.dialer.DialAddressTimeout(to, timeout)
}

// gossiping starts n nodes that gossip. The first is a cluster of its own, which the others join.
func gossiping(t *testing.T, w *wire, wall *firewall, n int, change func(i int, o *Options)) (nodes []*Membership) {
	t.Helper()
	for i := range n {
		o := w.options(nameOf(i))
		o.GossipPort, o.Bind, o.pace = 0, "127.0.0.1", testPace
		o.Live = nil
		if i > 0 {
			o.Join = []string{nameOf(0)}
		}
		o.wrap = func(d dialer) memberlist.NodeAwareTransport { return walled{d, o.Self.Name, wall} }
		if change != nil {
			change(i, &o)
		}
		m := w.open(t, o)
		wall.put(m, i%2 == 0)
		nodes = append(nodes, m)
	}
	return nodes
}

// meet says whether memberlist has all the others alive, at all nodes.
func meet(nodes ...*Membership) bool {
	for _, m := range nodes {
		for _, other := range nodes {
			if m != other && !m.gossip.isAlive(other.id.name) {
				return false
			}
		}
	}
	return true
}

// Five nodes that join one of them become one cluster, in the map and in the gossip. From then on gossip alone tells of a change,
// and of a node that is killed and one that is back, which is a member all the while.
func TestGossipTellsOfMembers(t *testing.T) {
	t.Parallel()
	w, wall := newWire(), &firewall{side: map[string]bool{}}
	heard := make(chan string, 1000)
	nodes := gossiping(t, w, wall, 5, func(i int, o *Options) {
		o.Secret = "a secret that cannot be guessed"
		if i == 1 {
			o.Heard = func(name string) { heard <- name }
		}
	})
	eventually(t, "all five have met", func() bool { return agree(5, nodes...) && meet(nodes...) })

	w.setCut(func(_, _ string) bool { return true })
	if err := nodes[3].BeginLeave(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all know that it leaves", func() bool {
		return agree(5, nodes...) && stateOf(nodes[0], nameOf(3)) == "leaving"
	})
	w.setCut(nil)

	gone := nodes[4]
	w.kill(t, gone)
	eventually(t, "its death is noticed", func() bool {
		return !nodes[0].gossip.isAlive(nameOf(4)) && !nodes[1].gossip.isAlive(nameOf(4))
	})
	if !agree(5, nodes[:4]...) {
		t.Error("who is dead for the gossip is no member any more")
	}
	for len(heard) > 0 {
		<-heard
	}
	// It is back at another port.
	back := gossiping(t, w, wall, 1, func(_ int, o *Options) {
		o.Self.Name, o.Join, o.Secret = nameOf(4), []string{nameOf(0)}, "a secret that cannot be guessed"
	})[0]
	nodes[4] = back
	eventually(t, "it is back everywhere", func() bool { return agree(5, nodes...) && meet(nodes...) })
	for name := range heard {
		if name == nameOf(4) {
			break
		}
	}
}

// A split in which each side takes the other for dead heals by itself, in the map and in the gossip, with the changes
// that each side has made.
func TestASplitHeals(t *testing.T) {
	t.Parallel()
	w, wall := newWire(), &firewall{side: map[string]bool{}}
	nodes := gossiping(t, w, wall, 5, func(_ int, o *Options) {
		o.pace.exchange = time.Second // a broadcast may go to none but those that are taken for dead, whom memberlist tells for a while
	})
	eventually(t, "all five have met", func() bool { return agree(5, nodes...) && meet(nodes...) })

	w.setCut(wall.cuts)
	wall.setSplit(true)
	eventually(t, "each side takes the other for dead", func() bool {
		for i, m := range nodes {
			for j := range nodes {
				if i != j && m.gossip.isAlive(nameOf(j)) != (i%2 == j%2) {
					return false
				}
			}
		}
		return true
	})
	for _, m := range nodes[:2] {
		if err := m.BeginLeave(); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "each side knows its own change", func() bool {
		return agree(5, nodes[0], nodes[2], nodes[4]) && agree(5, nodes[1], nodes[3]) &&
			stateOf(nodes[4], nameOf(0)) == "leaving" && stateOf(nodes[3], nameOf(1)) == "leaving"
	})
	if nodes[0].Digest() == nodes[1].Digest() {
		t.Fatal("not split")
	}
	wall.setSplit(false)
	eventually(t, "all five have met again", func() bool { return agree(5, nodes...) && meet(nodes...) })
	if stateOf(nodes[4], nameOf(1)) != "leaving" || stateOf(nodes[3], nameOf(0)) != "leaving" {
		t.Errorf("%+v", nodes[4].All())
	}
}

// Where a broadcast was lost, memberlist's state exchange brings what it said, both ways, but not to a node that
// is not part of the cluster.
func TestTheStateExchangeCarriesTheMap(t *testing.T) {
	t.Parallel()
	w, wall := newWire(), &firewall{side: map[string]bool{}}
	w.setCut(func(_, _ string) bool { return true })
	nodes := gossiping(t, w, wall, 3, func(i int, o *Options) {
		o.Join = nil
		if i == 2 {
			o.Join = []string{nameOf(0)}
		}
	})
	for i, m := range nodes[:2] {
		m.mu.Lock()
		m.absorbLocked([]Member{{Name: fmt.Sprintf("lost%d:1", i), Version: 3, Weight: 1}})
		m.mu.Unlock()
	}
	for _, m := range nodes[1:] {
		if err := m.gossip.join(t.Context(), nodes[0].o.Self.Gossip); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "both have both", func() bool { return agree(4, nodes[0], nodes[1]) })
	if nodes[2].Formed() || len(nodes[2].Members()) != 1 || stateOf(nodes[0], nameOf(2)) != "absent" {
		t.Error("a node that has not joined took part")
	}
}

// A node with another secret, or none, is not let into the gossip, nor are its own let in by it.
func TestAnotherSecretIsNotUnderstood(t *testing.T) {
	t.Parallel()
	w, wall := newWire(), &firewall{side: map[string]bool{}}
	nodes := gossiping(t, w, wall, 3, func(i int, o *Options) {
		o.Secret = []string{"one", "another", ""}[i]
	})
	eventually(t, "the hellos, which carry no secret here, are through", func() bool {
		return nodes[1].Formed() && nodes[2].Formed()
	})
	for i, m := range nodes {
		for j, other := range nodes {
			if i == j {
				continue
			}
			if err := m.gossip.join(t.Context(), other.o.Self.Gossip); err == nil {
				t.Errorf("%d joined the gossip of %d", i, j)
			}
			if m.gossip.isAlive(nameOf(j)) {
				t.Errorf("%d takes %d for alive", i, j)
			}
		}
	}
}

// Nodes whose settings differ do not gossip, even where one is told the other's address.
func TestOtherSettingsDoNotGossip(t *testing.T) {
	w, wall := newWire(), &firewall{side: map[string]bool{}}
	nodes := gossiping(t, w, wall, 2, func(i int, o *Options) {
		o.Join = nil
		o.Settings.Replicas = 2 + i
	})
	if err := nodes[1].gossip.join(t.Context(), nodes[0].o.Self.Gossip); err == nil {
		t.Error("joined")
	}
	if len(nodes[0].Members()) != 1 || len(nodes[1].Members()) != 1 {
		t.Error("the maps were merged")
	}
}

// A node that leaves is gone from the gossip at once, not after it has been suspect for a while, and may not leave
// after it was closed.
func TestLeavingTheGossip(t *testing.T) {
	t.Parallel()
	w, wall := newWire(), &firewall{side: map[string]bool{}}
	nodes := gossiping(t, w, wall, 3, nil)
	eventually(t, "all three have met", func() bool { return agree(3, nodes...) && meet(nodes...) })
	m := nodes[2]
	if err := m.BeginLeave(); err != nil {
		t.Fatal(err)
	}
	if err := m.Left(t.Context()); err != nil {
		t.Fatal(err)
	}
	if stateOf(nodes[0], nameOf(2)) != "removed" || stateOf(nodes[1], nameOf(2)) != "removed" {
		t.Error("the others have not heard of it")
	}
	eventually(t, "it is gone from the gossip", func() bool {
		return !nodes[0].gossip.isAlive(nameOf(2)) && !nodes[1].gossip.isAlive(nameOf(2))
	})
	w.kill(t, m)
	if err := m.Left(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("left after the end: %v", err)
	}
	if _, err := m.ServeHello(nil); !errors.Is(err, ErrClosed) {
		t.Errorf("answers after the end: %v", err)
	}
}

// The key is a function of the secret alone, and never changes: nodes of different versions understand each other.
func TestTheKeyOfTheGossip(t *testing.T) {
	key, err := gossipKey("secret")
	if err != nil || len(key) != 32 {
		t.Fatal(key, err)
	}
	const want = "dc6f6e6a724b9a05750015147ed05b1e63e9acc5b915872817f66c2bb0037be2"
	if got := fmt.Sprintf("%x", key); got != want {
		t.Errorf("key %s, want %s", got, want)
	}
	if other, _ := gossipKey("Secret"); string(other) == string(key) {
		t.Error("another secret has the same key")
	}
}
