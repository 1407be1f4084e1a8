package dataplane

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"httpdhs/internal/poll"
	"httpdhs/kv"
)

// machineClock is a clock that can be set.
type machineClock struct {
	ahead atomic.Int64 // nanoseconds
	wall  *kv.Wall
}

func (m *machineClock) set(ahead time.Duration) { m.ahead.Store(int64(ahead)) }

func newMachineClock(ahead time.Duration) *machineClock {
	m := new(machineClock)
	m.set(ahead)
	born := time.Now()
	m.wall = kv.NewWall(func() (time.Time, time.Duration) {
		return time.Now().Add(time.Duration(m.ahead.Load())).Round(0), time.Since(born)
	})
	return m
}

// clockedCluster is three nodes of which one's machine is wrong from the start.
func clockedCluster(t *testing.T, wrong int, by time.Duration) (*cluster, []*machineClock) {
	t.Helper()
	o := clusterOptions{nodes: 3, replicas: 2, probeEvery: 30 * time.Millisecond}
	var clocks []*machineClock
	for i := range o.nodes {
		m := newMachineClock(0)
		if i == wrong {
			m = newMachineClock(by)
		}
		clocks = append(clocks, m)
		o.walls = append(o.walls, m.wall)
	}
	return newCluster(t, o), clocks
}

// wantTimely fails unless a write at each node is stamped with the time that it is, and wins over
// the one before, and is found everywhere.
func wantTimely(t *testing.T, c *cluster, key string) {
	t.Helper()
	for i, n := range c.nodes {
		value := n.name + key
		o := n.mustPut(t, key, value, kv.LevelAll)
		if off := time.Until(o.Version.Time()); off.Abs() > time.Second {
			t.Errorf("node%d stamps %v off", i, off)
		}
		for _, reader := range c.nodes {
			wantValue(t, reader.get(key, kv.LevelOne), value)
		}
	}
}

// A machine's clock that is set by an hour while the node runs changes nothing: not what the node
// stamps, not what it takes for expired, not its place among the members.
func TestClockThatIsSetMovesNothing(t *testing.T) {
	for _, by := range []time.Duration{time.Hour, -time.Hour} {
		bubble(t, func(t *testing.T) {
			c, clocks := clockedCluster(t, -1, 0)
			wantTimely(t, c, "before")
			clocks[1].set(by)
			wantTimely(t, c, "at once")
			time.Sleep(5 * time.Second)
			wantTimely(t, c, "later")
			clocks[1].set(0)
			wantTimely(t, c, "set back")
			if c.nodes[0].Refused.Load() != 0 {
				t.Error("records were refused")
			}
		})
	}
}

// A node whose clock is wrong from the start takes the others' time before it stamps anything.
func TestNodeWithAWrongClockTakesTheOthersTime(t *testing.T) {
	for _, by := range []time.Duration{time.Hour, -time.Hour} {
		bubble(t, func(t *testing.T) {
			c, _ := clockedCluster(t, 1, by)
			wantTimely(t, c, "key")
		})
	}
}

// Where most clocks are set, the nodes follow: they were wrong before, or nobody knows better.
func TestMostClocksAreFollowed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, clocks := clockedCluster(t, -1, 0)
		clocks[0].set(10 * time.Second)
		clocks[1].set(10 * time.Second)
		poll.True(t, "all go by what most say", func() bool {
			for _, n := range c.nodes {
				if off := time.Until(n.clock.Wall()); off < 9*time.Second || off > 11*time.Second {
					return false
				}
			}
			return true
		})
	})
}

// A node whose machine is wrong keeps the time that the others have told it, also when they are
// gone. Else it would stamp what nobody believes when they meet again.
func TestNodeWithAWrongClockKeepsTheTimeAlone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, _ := clockedCluster(t, 1, time.Hour)
		wantTimely(t, c, "before")
		for i := range c.nodes {
			c.cut(i)
		}
		time.Sleep(2 * 5 * time.Second)
		key := c.keyOwnedBy(1, 1, 0)
		o := c.nodes[1].mustPut(t, key, "value", kv.LevelOne)
		if off := time.Until(o.Version.Time()); off.Abs() > time.Second {
			t.Errorf("it stamps %v off", off)
		}
		for i := range c.nodes {
			c.heal(i)
		}
		c.rest()
		wantValue(t, c.nodes[0].get(key, kv.LevelAll), "value")
	})
}

// Nodes that have gone by a time far ahead, and whose machines are set right, go on together, and
// lose no order: what one has written wins over what was written before. One that joins them then
// goes on with them.
func TestClocksThatWereAheadAndAreSetRight(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const ahead = 3 * time.Minute
		o := clusterOptions{nodes: 3, replicas: 2, probeEvery: 200 * time.Millisecond}
		var clocks []*machineClock
		for range o.nodes {
			clocks = append(clocks, newMachineClock(ahead))
			o.walls = append(o.walls, clocks[len(clocks)-1].wall)
		}
		c := newCluster(t, o)
		write := func(value string) {
			t.Helper()
			for i, n := range c.nodes {
				n.mustPut(t, "key", fmt.Sprint(value, i), kv.LevelAll)
				for _, reader := range c.nodes {
					wantValue(t, reader.get("key", kv.LevelOne), fmt.Sprint(value, i))
				}
			}
		}
		write("ahead")
		for i := range clocks {
			clocks[i].set(0)
			time.Sleep(time.Second)
			write("set")
		}
		time.Sleep(10 * time.Second)
		write("later")
		c.kill(1)
		o.walls[1] = newMachineClock(0).wall
		c.boot(1, 77, o)
		c.rest()
		write("joined")
		time.Sleep(ahead)
		for i, n := range c.nodes {
			if off := time.Until(n.clock.Wall()); off.Abs() > time.Second {
				t.Errorf("node%d is %v off", i, off)
			}
		}
		write("at last")
	})
}

// A node with a wrong clock that is asked for something as soon as it starts stamps nothing before
// it knows what time it is.
func TestNodeWithAWrongClockStampsNothingBeforeItKnows(t *testing.T) {
	for _, by := range []time.Duration{time.Hour, -time.Hour} {
		bubble(t, func(t *testing.T) {
			c, clocks := clockedCluster(t, -1, 0)
			var walls []*kv.Wall
			for i := range clocks {
				walls = append(walls, clocks[i].wall)
			}
			key := c.keyOwnedBy(0, 1, 0)
			for boot := range uint64(5) {
				c.kill(1)
				walls[1] = newMachineClock(by).wall
				n := c.boot(1, 1000+boot, clusterOptions{walls: walls})
				o := n.put(key, "value", kv.LevelOne)
				if off := time.Until(o.Version.Time()); o.Err == nil && off.Abs() > time.Second {
					t.Errorf("it stamps %v off", off)
				}
			}
		})
	}
}

// A node that starts with a wrong clock does not know yet that the wrong clock is its own. It does
// not go on without the others meanwhile, as if they were down. They have what it acknowledges, and
// lack nothing.
func TestNodeWithAWrongClockDoesNotGoOnAlone(t *testing.T) {
	for _, by := range []time.Duration{time.Hour, -time.Hour} {
		bubble(t, func(t *testing.T) {
			c, clocks := clockedCluster(t, -1, 0)
			var walls []*kv.Wall
			for i := range clocks {
				walls = append(walls, clocks[i].wall)
			}
			key := c.keyOwnedBy(0, 1, 0)
			for boot := range uint64(5) {
				c.cut(1)
				c.kill(1)
				fences := c.nodes[0].Board.Fence() + c.nodes[2].Board.Fence()
				walls[1] = newMachineClock(by).wall
				c.net.Clear()
				n := c.boot(1, 1000+boot, clusterOptions{walls: walls, probeEvery: 100 * time.Millisecond})
				if o := n.put(key, "value", kv.LevelLive); o.Err != nil || o.Acks != 2 {
					t.Errorf("acknowledged by %d owners of 2, %v", o.Acks, o.Err)
				}
				c.rest()
				if now := c.nodes[0].Board.Fence() + c.nodes[2].Board.Fence(); now != fences {
					t.Errorf("others gave up their authority %d times", now-fences)
				}
			}
		})
	}
}

// What a peer said the time was stays right when this node's clock is moved afterwards.
func TestReadingOutlivesACorrection(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, clocks := clockedCluster(t, -1, 0)
		clocks[0].wall.Correct(time.Hour)
		c.nodes[0].Topology.Advance()
		if off := time.Until(c.nodes[0].clock.Wall()); off.Abs() > time.Second {
			t.Errorf("it is %v off", off)
		}
	})
}

// A member stamps versions ahead of the time, no further than is believed. They put no other
// member's clock ahead. Else that member would believe what is still further ahead, and so on.
func TestVersionsAheadMoveNoClock(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, _ := clockedCluster(t, -1, 0)
		n := c.nodes[0]
		for range 10 {
			n.clock.Observe(kv.VersionAt(n.clock.Wall().Add(kv.MaxAhead - time.Second)))
			n.Topology.Advance()
		}
		if off := time.Until(n.clock.Wall()); off.Abs() > time.Second {
			t.Errorf("it is %v off", off)
		}
	})
}
