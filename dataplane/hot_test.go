package dataplane

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"httpdhs/internal/poll"
	"httpdhs/kv"
)

// Writers at all nodes may write to one key at the same time, in calls of one operation or of
// several: while nothing is broken every write is answered with success, at every level, and
// afterwards all owners hold the same.
func TestHotKey(t *testing.T) {
	for _, level := range []kv.Level{kv.LevelLive, kv.LevelOne, kv.LevelQuorum, kv.LevelAll} {
		for _, replicas := range []int{2, 3} {
			for _, ops := range []int{1, 5} {
				t.Run(fmt.Sprintf("level %d, %d replicas, calls of %d", level, replicas, ops), func(t *testing.T) {
					bubble(t, func(t *testing.T) { testHotKey(t, level, replicas, ops) })
				})
			}
		}
	}
}

func testHotKey(t *testing.T, level kv.Level, replicas, ops int) {
	const nodes, writers, calls = 4, 4, 6
	c := newCluster(t, clusterOptions{nodes: nodes, replicas: replicas, probeEvery: 100 * time.Millisecond})
	for _, n := range c.nodes {
		// Now and then a message takes long.
		c.net.Toward(n.name, func(_ []byte, pass func() ([]byte, error)) ([]byte, error) {
			there, back := rand.ExpFloat64(), rand.ExpFloat64()
			time.Sleep(time.Duration(there * float64(time.Millisecond)))
			answer, err := pass()
			time.Sleep(time.Duration(back * float64(time.Millisecond)))
			return answer, err
		})
	}
	key := c.keyOwnedBy(0, []int{0, 1, 2}[:replicas]...)
	var all sync.WaitGroup
	for i := range nodes * writers {
		all.Go(func() {
			for n := range calls {
				call := kv.Call{Write: level, Deadline: time.Now().Add(patience)}
				for j := range ops {
					call.Ops = append(call.Ops, op(kv.OpPut, key, fmt.Sprint(i, n, j)))
				}
				c.nodes[i%nodes].Do(&call)
				for _, o := range call.Ops {
					if o.Err != nil || o.Acks < o.Required {
						t.Errorf("a write at node%d: %v, %d acks, required %d", i%nodes, o.Err, o.Acks, o.Required)
						return
					}
				}
			}
		})
	}
	all.Wait()
	for i := range replicas {
		poll.True(t, fmt.Sprintf("node%d holds what node0 holds", i), func() bool {
			return c.nodes[i].held(key).Version == c.nodes[0].held(key).Version
		})
	}
}
