package dataplane

import (
	"testing"
	"time"

	"httpdhs/internal/poll"
	"httpdhs/kv"
)

// Members stamp by the clock that is furthest ahead, and leave their clocks as they are.
func TestStampsFollowTheClockAhead(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const ahead = 200 * time.Millisecond
		c := newCluster(t, clusterOptions{nodes: 3, replicas: 2, skew: map[int]time.Duration{1: ahead}})
		for i, n := range c.nodes {
			poll.True(t, n.name+" stamps by the clock of node1", func() bool {
				return n.clock.Reading().Sub(c.nodes[1].clock.Wall()).Abs() < 5*time.Millisecond
			})
			want := time.Now()
			if i == 1 {
				want = want.Add(ahead)
			}
			if got := n.clock.Wall(); !got.Equal(want) {
				t.Errorf("the clock of %s was moved by %v", n.name, got.Sub(want))
			}
		}
	})
}

// A write at quorum that begins after another was answered wins over it. That holds whichever owner
// lacks the other, and though the nodes know each other's clocks badly.
func TestLaterQuorumWriteWins(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const slow = 50 * time.Millisecond
		c := newCluster(t, clusterOptions{
			nodes: 3, replicas: 3, probeEvery: 500 * time.Millisecond, skew: map[int]time.Duration{0: 200 * time.Millisecond},
		})
		delay := func(_ []byte, pass func() ([]byte, error)) ([]byte, error) {
			time.Sleep(slow)
			answer, err := pass()
			time.Sleep(slow)
			return answer, err
		}
		for i := range 2 {
			c.net.Between(c.nodes[2].name, c.nodes[i].name, delay)
			c.net.Between(c.nodes[i].name, c.nodes[2].name, delay)
		}
		time.Sleep(3 * time.Minute) // until nothing is left of what they knew
		for n := range 20 {
			key := c.keyOwnedBy(n, 0, 1, 2)
			c.nodes[0].mustPut(t, key, "earlier", kv.LevelQuorum)
			c.nodes[2].mustPut(t, key, "later", kv.LevelQuorum)
			wantValue(t, c.nodes[1].get(key, kv.LevelAll), "later")
		}
	})
}

// A node's clock is so far behind that it does not believe what the owners hold. It cannot stamp a
// write above that, and does not claim success.
func TestWriteBelowWhatIsBelievedFails(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, clusterOptions{nodes: 3, replicas: 2})
		key := c.keyOwnedBy(0, 0, 1)
		for i := range 2 {
			c.nodes[i].plant(t, key, "held", kv.VersionAt(time.Now().Add(kv.MaxAhead+time.Minute)))
		}
		wantOp(t, c.nodes[2].put(key, "below", kv.LevelLive), kv.ErrUnavailable)
		wantValue(t, c.nodes[0].get(key, kv.LevelAll), "held")
	})
}
