package replicate

import (
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"httpdhs/internal/memnet"
	"httpdhs/kv"
	"httpdhs/peer"
	"httpdhs/wire"
)

// A primary that comes to be in sync decides nothing as long as what another has decided in its place is on its way to it: of two creates one succeeds.
func TestPrimaryThatComesBackKnowsWhatOthersDecided(t *testing.T) {
	for name, coordinator := range map[string]int{"asked by one that knows": 0, "itself asked": 1} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newCluster(t, clusterOptions{nodes: 3, replicas: 2})
				key := c.keyOwnedBy(0, 1, 0)
				names := []string{c.nodes[0].name, c.nodes[1].name, c.nodes[2].name}
				c.kill(1)
				for _, n := range []int{0, 2} {
					eventually(t, "it is seen down", func() bool { return c.nodes[n].peer(1).State() == peer.Down })
				}
				writes, news := memnet.NewGate(t), memnet.NewGate(t)
				tells := func(msg []byte) bool {
					ping, err := wire.ParsePing(msg)
					return err == nil && ping.InSync
				}
				for _, other := range []int{0, 2} {
					c.net.Between(names[1], names[other], func(msg []byte, pass func() ([]byte, error)) ([]byte, error) {
						if tells(msg) {
							<-news.Opened()
						}
						return pass()
					})
					c.net.Between(names[other], names[1], func(msg []byte, pass func() ([]byte, error)) ([]byte, error) {
						if other == 2 && wire.KindOf(msg) == wire.KindBatch {
							return writes.Hold(msg, pass)
						}
						answer, err := pass()
						if err == nil && wire.KindOf(msg) == wire.KindPing && tells(answer) {
							<-news.Opened()
						}
						return answer, err
					})
				}
				c.boot(1, 99, clusterOptions{})
				eventually(t, "it is in sync", c.nodes[1].Synced)
				for _, n := range []int{0, 2} {
					if p := c.nodes[n].peer(1); !p.Up() || p.InSync() {
						t.Fatalf("%s takes it for %v, in sync %v", names[n], p.State(), p.InSync())
					}
				}

				var both sync.WaitGroup
				var created [2]error
				both.Go(func() { created[0] = c.nodes[2].do(condOp(key, "first", kv.IfAbsent), kv.LevelLive).Err })
				writes.Wait(t, 1)
				news.Open()
				eventually(t, "all know that it is in sync", func() bool { return c.nodes[0].peer(1).InSync() && c.nodes[2].peer(1).InSync() })
				both.Go(func() { created[1] = c.nodes[coordinator].do(condOp(key, "second", kv.IfAbsent), kv.LevelLive).Err })
				time.Sleep(100 * time.Millisecond)
				writes.Open()
				both.Wait()
				if created[0] != nil || !errors.Is(created[1], kv.ErrConditionFailed) {
					t.Errorf("the creates end with %v and %v", created[0], created[1])
				}
			})
		})
	}
}

// A term is heeded anew by who has taken its node for one that is not in sync meanwhile: what began then may have asked another.
func TestTermIsHeededAnewAfterADoubt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, clusterOptions{nodes: 3, replicas: 2})
		n, p := c.nodes[0], c.nodes[0].peer(1)
		heeds := func() uint64 {
			p.mu.Lock()
			defer p.mu.Unlock()
			return p.heedsLocked()
		}
		eventually(t, "its term is heeded", func() bool { return heeds() != 0 })
		n.rings.mu.Lock() // nobody else judges meanwhile
		look := func(inSync bool) {
			p.SetInSync(inSync)
			for n.heedLocked() {
				n.retireLocked()
			}
		}
		look(false)
		began := n.enter()
		look(true)
		if got := heeds(); got != 0 {
			t.Errorf("term %d is heeded while what began in doubt goes on", got)
		}
		n.rings.mu.Unlock()
		n.leave(began)
		eventually(t, "its term is heeded again", func() bool { return heeds() != 0 })
	})
}

// A term that began while a peer was down is heeded by that one too before anything is decided in it: until then it may decide in this node's place.
func TestTermWaitsForWhoComesBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, clusterOptions{nodes: 3, replicas: 2})
		n, p := c.nodes[0], c.nodes[0].peer(1)
		c.net.Between(n.name, "node1", memnet.FailWith(memnet.ErrReset))
		c.net.Between("node1", n.name, memnet.FailWith(memnet.ErrReset))
		eventually(t, "it is down", func() bool { return p.State() == peer.Down })
		time.Sleep(2 * heardFor)
		n.rings.mu.Lock() // nobody else judges meanwhile
		defer n.rings.mu.Unlock()
		look := func(term uint64) bool {
			p.mu.Lock()
			p.ping.Sees = map[uint64]wire.Sight{p.boot: {PrimaryEpoch: term}}
			p.mu.Unlock()
			for n.heedLocked() {
				n.retireLocked()
			}
			return n.heeded()
		}
		if !look(0) {
			t.Fatal("it waits for one that is down")
		}
		n.arrives()
		if n.heeded() {
			t.Error("it decides when one is back, before it has looked at it")
		}
		p.mu.Lock()
		p.MarkBack(true)
		p.mu.Unlock()
		if look(0) {
			t.Error("it decides before the one that is back heeds its term")
		}
		if !look(n.term.Load()) {
			t.Error("it does not decide, though all heed its term")
		}
		if look(0) {
			t.Error("it decides, though one heeds its term no more, as if restarted before it was found down")
		}
	})
}

// A member that asks, but is not reached, does not hold up what the primary decides in a new term.
func TestTermDoesNotWaitForWhoIsNotReached(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, clusterOptions{nodes: 3, replicas: 3})
		n := c.nodes[0]
		c.net.Between("node0", "node1", memnet.FailWith(memnet.ErrReset))
		c.net.Between("node1", "node0", memnet.FailWith(memnet.ErrReset))
		eventually(t, "they are down to each other", func() bool { return n.peer(1).State() == peer.Down && c.nodes[1].peer(0).State() == peer.Down })
		time.Sleep(2 * heardFor)
		n.missed("it was stopped")
		eventually(t, "it is in sync again", n.Synced)
		c.net.Between("node1", "node0", nil)
		time.Sleep(time.Second)
		wantOp(t, n.do(condOp(c.keyOwnedBy(0, 0, 1, 2), "v", kv.IfAbsent), kv.LevelLive), nil)
	})
}

// A peer takes part again only when the node has heeded that it was taken for down by it: it would acknowledge what the node decides as if nobody had
// decided in its place.
func TestPeerTakesPartOnceItIsHeeded(t *testing.T) {
	host := &heedingHost{}
	p := newMember("other", 1, 1<<20, nil, kv.NewClock(1, time.Now), slog.New(slog.DiscardHandler), host)
	host.peer = p
	p.ping.Boot, p.downs = 7, 1
	p.answered(&heardPing{told: 1, Ping: wire.Ping{Name: "other", Boot: 7, Number: 1, Sees: map[uint64]wire.Sight{1: {Suspicion: 1}}}})
	if want := []string{"missed while it is down", "arrives while it is down"}; len(host.calls) < 2 || !slices.Equal(host.calls[:2], want) {
		t.Errorf("the node does %q, want %q", host.calls, want)
	}
	if p.State() == peer.Down {
		t.Error("it takes no part")
	}
}

// heedingHost notes how its peer stands when it is told of something.
type heedingHost struct {
	memberHost
	peer  *member
	calls []string
}

func (h *heedingHost) note(what string) {
	h.calls = append(h.calls, what+" while it is "+h.peer.State().String())
}

func (h *heedingHost) missed(string)              { h.note("missed") }
func (h *heedingHost) arrives()                   { h.note("arrives") }
func (h *heedingHost) compareMaps(string, uint64) {}
func (h *heedingHost) reconsider()                {}
func (h *heedingHost) self() wire.Ping            { return wire.Ping{} }
func (h *heedingHost) steer() bool                { return true }
