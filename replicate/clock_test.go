package replicate

import (
	"sync/atomic"
	"testing"
	"time"

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
	o := clusterOptions{nodes: 3, replicas: 2}
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

// wantTimely fails unless a write at each node is stamped with the time that it is, and wins over the one before, and is found everywhere.
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

// A clock that is set by an hour while the node runs moves nothing: not what the node stamps, not what it takes for expired, not its place among the members.
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
			if c.nodes[0].Counters().Refused != 0 {
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
		eventually(t, "all go by what most say", func() bool {
			for _, n := range c.nodes {
				if off := time.Until(n.clock.Wall()); off < 9*time.Second || off > 11*time.Second {
					return false
				}
			}
			return true
		})
	})
}

// The median of what is read: the one in the middle, or between the two in the middle.
func TestMedian(t *testing.T) {
	for want, of := range map[time.Duration][]time.Duration{
		5: {5}, 3: {1, 5}, 2: {9, 1, 2}, -1: {-3600, -1, 0}, 7: {10, 100, -100, 4},
	} {
		if got := median(of); got != want {
			t.Errorf("median of %v = %v, want %v", of, got, want)
		}
	}
}

// Of two, one that has just started takes the other's time, two that go by the same time keep it, and else they meet in the middle; three go by most.
func TestWhatTheTimeIs(t *testing.T) {
	for name, c := range map[string]struct {
		read []reading
		want time.Duration
	}{
		"alone":              {[]reading{{machine: time.Hour}}, time.Hour},
		"new beside old":     {[]reading{{}, {node: time.Hour, machine: time.Hour, established: true}}, time.Hour},
		"old beside new":     {[]reading{{established: true}, {node: time.Hour, machine: time.Hour}}, 0},
		"two new":            {[]reading{{}, {node: time.Hour, machine: time.Hour}}, 30 * time.Minute},
		"one machine is set": {[]reading{{established: true}, {machine: time.Hour, established: true}}, 0},
		"one of three":       {[]reading{{machine: time.Hour}, {}, {machine: time.Millisecond}}, time.Millisecond},
	} {
		if got := apart(c.read); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
