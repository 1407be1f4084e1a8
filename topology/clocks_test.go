package topology

import (
	"testing"
	"testing/synctest"
	"time"

	"httpdhs/internal/poll"
	"httpdhs/kv"
	"httpdhs/wire"
)

// The middle of what is read: the one there, or the two.
func TestMiddle(t *testing.T) {
	for _, c := range [][]time.Duration{{5, 5, 5}, {1, 5, 1, 5}, {2, 2, 9, 1, 2}, {-1, -1, -3600, -1, 0}, {4, 10, 10, 100, -100, 4}} {
		if low, high := middle(c[2:]); low != c[0] || high != c[1] {
			t.Errorf("in the middle of %v are %v and %v, want %v and %v", c[2:], low, high, c[0], c[1])
		}
	}
}

// Where most members are heard and the machines in the middle agree, it is what those say. Else
// nodes that go by the same time keep it. One that has just started takes that of the others. Nodes
// that have all just started, or of which none has, meet in the middle.
func TestWhatTheTimeIs(t *testing.T) {
	h := time.Hour
	for name, c := range map[string]struct {
		read    []reading
		members int
		want    time.Duration
	}{
		"the only member":            {[]reading{{machine: h}}, 1, h},
		"cut off":                    {[]reading{{machine: h, established: true}}, 3, 0},
		"cut off, of two":            {[]reading{{machine: h, established: true}}, 2, 0},
		"cut off with one":           {[]reading{{machine: h, established: true}, {established: true}}, 5, 0},
		"cut off with two wrong":     {[]reading{{machine: h, established: true}, {machine: h, established: true}, {established: true}}, 7, 0},
		"new beside old":             {[]reading{{}, {node: h, machine: h, established: true}}, 2, h},
		"new beside old, others off": {[]reading{{}, {node: h, established: true}, {node: h, established: true}}, 9, h},
		"old beside new":             {[]reading{{established: true}, {node: h, machine: h}}, 2, 0},
		"two new":                    {[]reading{{}, {node: h, machine: h}}, 2, h / 2},
		"one machine is set":         {[]reading{{established: true}, {machine: h, established: true}}, 2, 0},
		"both machines are set":      {[]reading{{machine: h, established: true}, {machine: h, established: true}}, 2, h},
		"one of three":               {[]reading{{machine: h}, {}, {machine: time.Millisecond}}, 3, time.Millisecond},
		"two of four are set":        {[]reading{{established: true}, {machine: h, established: true}, {machine: h, established: true}, {established: true}}, 5, 0},
		"one of four":                {[]reading{{}, {machine: 2 * time.Millisecond}, {machine: h}, {machine: -time.Millisecond}}, 4, time.Millisecond},
	} {
		if got := apart(c.read, c.members); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// A bound of a quick exchange holds until the drift of the clocks has made a slow one tighter, or
// an exchange contradicts it.
func TestLagIsTheTightestBound(t *testing.T) {
	start := time.Now()
	ms := func(n float64) time.Duration { return time.Duration(n * float64(time.Millisecond)) }
	l, now := lag{}, start
	if got := l.upTo(now); got != kv.MaxApart {
		t.Errorf("before anything is known: %v, want %v", got, kv.MaxApart)
	}
	for _, step := range []struct {
		name               string
		after, least, most time.Duration
		want               time.Duration
	}{
		{"the first", 0, ms(-1), ms(1), ms(1)},
		{"a slow one", 900 * time.Millisecond, ms(-50), ms(50), ms(2)},
		{"a quicker one", time.Second, ms(-1), ms(0.5), ms(0.5)},
		{"long after it", time.Minute, ms(-3), ms(3), ms(3)},
		{"this clock was moved ahead", time.Second, ms(200), ms(210), ms(210)},
		{"and back", time.Second, ms(-205), ms(-195), ms(-195)},
		{"far ahead", time.Second, time.Hour, time.Hour, kv.MaxApart},
	} {
		now = now.Add(step.after)
		l.learn(step.least, step.most, now)
		if got := l.upTo(now); got != step.want {
			t.Errorf("%s: %v, want %v", step.name, got, step.want)
		}
	}
}

// What was learnt of the clock of a process says nothing of that of the next, which has the same
// name. From its first question on it may stamp, and until its clock was read that is uncertain.
func TestLagIsThatOfAProcess(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 3)
		n := c.nodes[0]
		poll.True(t, "the clocks are known", func() bool { most, known := n.Behind(time.Now()); return known && most < kv.MaxApart })
		c.kill(1)
		poll.True(t, "node1 is found down", func() bool { return n.node(c, 1).down() })
		poll.True(t, "it does not count", func() bool { most, _ := n.Behind(time.Now()); return most < kv.MaxApart })
		asks := wire.Ping{Name: "node1", Boot: 999, Settings: n.settings, Number: 1, Wall: time.Now().UnixMicro()}
		n.node(c, 1).asked(&asks, time.Now().Add(time.Nanosecond))
		if most, _ := n.Behind(time.Now()); most < kv.MaxApart {
			t.Errorf("its stamps may be behind by %s, and nobody has read its clock", most)
		}
	})
}

// A member that is not in sync may have a wrong clock still: its time is not what others stamp by.
func TestLeadIsThatOfMembersInSync(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 2)
		n := c.nodes[0]
		synctest.Wait() // no time passes from now on, so nothing else reads clocks
		read := func(inSync bool) time.Duration {
			ping := wire.Ping{Name: "node1", Boot: 999, Wall: time.Now().Add(300 * time.Millisecond).UnixMicro(), InSync: inSync}
			n.node(c, 1).readClock(&ping, 0, time.Now())
			n.clocks.follow(n.others())
			return n.clock.Lead()
		}
		if lead := read(false); lead > time.Millisecond {
			t.Errorf("it leads by %s, which a member that is not in sync reads", lead)
		}
		if lead := read(true); lead < 299*time.Millisecond {
			t.Errorf("it leads by %s, want what a member in sync reads", lead)
		}
	})
}
