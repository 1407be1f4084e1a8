package dataplane

import (
	"errors"
	"sync"
	"testing"
	"time"

	"httpdhs/internal/memnet"
	"httpdhs/internal/poll"
	"httpdhs/kv"
	"httpdhs/peer"
	"httpdhs/wire"
)

// A primary comes to be in sync. It decides nothing while what another has decided in its place is
// on its way to it. Of two creates one succeeds.
func TestPrimaryThatComesBackKnowsWhatOthersDecided(t *testing.T) {
	for name, coordinator := range map[string]int{"asked by one that knows": 0, "itself asked": 1} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newCluster(t, clusterOptions{nodes: 3, replicas: 2})
				key := c.keyOwnedBy(0, 1, 0)
				names := []string{c.nodes[0].name, c.nodes[1].name, c.nodes[2].name}
				c.kill(1)
				for _, n := range []int{0, 2} {
					poll.True(t, "it is seen down", func() bool { return c.nodes[n].peer(1).State() == peer.Down })
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
				poll.True(t, "it is in sync", c.nodes[1].Board.InSync)
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
				poll.True(t, "all know that it is in sync", func() bool { return c.nodes[0].peer(1).InSync() && c.nodes[2].peer(1).InSync() })
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

// A member that probes the primary, but is not reached, does not hold up what the primary decides
// in a new epoch.
func TestEpochDoesNotWaitForWhoIsNotReached(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, clusterOptions{nodes: 3, replicas: 3})
		n := c.nodes[0]
		c.net.Between("node0", "node1", memnet.FailWith(memnet.ErrReset))
		c.net.Between("node1", "node0", memnet.FailWith(memnet.ErrReset))
		poll.True(t, "they are down to each other", func() bool { return n.peer(1).State() == peer.Down && c.nodes[1].peer(0).State() == peer.Down })
		time.Sleep(6 * time.Second)
		n.Topology.Overtaken("it was stopped")
		poll.True(t, "it is in sync again", n.Board.InSync)
		c.net.Between("node1", "node0", nil)
		time.Sleep(time.Second)
		wantOp(t, n.do(condOp(c.keyOwnedBy(0, 0, 1, 2), "v", kv.IfAbsent), kv.LevelLive), nil)
	})
}
