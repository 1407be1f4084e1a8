package topology

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

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
		"two new, one has stamped":   {[]reading{{resumed: h}, {node: h, machine: h}}, 3, h - 30*time.Second},
		"not behind the middle":      {[]reading{{resumed: h}, {node: 4 * h, machine: 4 * h}}, 3, 2 * h},
		"stamped, a median is known": {[]reading{{resumed: h}, {machine: time.Millisecond}, {machine: h}}, 3, time.Millisecond},
		"stamped, beside old":        {[]reading{{resumed: h}, {node: time.Minute, machine: h, established: true}}, 3, time.Minute},
		"stamped less than believed": {[]reading{{resumed: 20 * time.Second}, {node: -h, machine: -h}}, 3, -h / 2},
		"one of four":                {[]reading{{}, {machine: 2 * time.Millisecond}, {machine: h}, {machine: -time.Millisecond}}, 4, time.Millisecond},
	} {
		if got := apart(c.read, c.members); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// Nodes that have all started again, and cannot tell which machine is right, come to go by the same
// time. None of them is refused for what its disk has, and nobody is ahead of all machines and all
// disks.
func TestNodesThatStartAgainMeet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const members = 5
		seconds := func(label string) time.Duration {
			return time.Duration(rapid.IntRange(-4000, 4000).Draw(t, label)) * time.Second
		}
		n := rapid.IntRange(2, members/2).Draw(t, "nodes")
		clocks, machines, disks := make([]time.Duration, n), make([]time.Duration, n), make([]time.Duration, n)
		furthest := -time.Hour * 24
		for i := range clocks {
			machines[i], disks[i] = seconds("machine"), seconds("disk")
			clocks[i] = machines[i]
			furthest = max(furthest, machines[i], disks[i]-believedHalf)
		}
		for range 100 {
			i := rapid.IntRange(0, n-1).Draw(t, "steers")
			for range n { // all do, one after the other
				i = (i + 1) % n
				read := []reading{{machine: machines[i] - clocks[i], stamped: disks[i] - clocks[i], resumed: disks[i] - clocks[i]}}
				for j := range clocks {
					if j != i {
						read = append(read, reading{machine: machines[j] - clocks[i], node: clocks[j] - clocks[i], stamped: disks[j] - clocks[i]})
					}
				}
				if by := max(apart(read, members), leastAhead(read)); by.Abs() > kv.MaxApart {
					clocks[i] += by
				}
				if clocks[i] > furthest {
					t.Fatalf("a clock is at %v, ahead of all machines %v and disks %v", clocks[i], machines, disks)
				}
			}
		}
		first, last := slices.Min(clocks), max(slices.Max(clocks), slices.Max(disks))
		if last-first > kv.MaxAhead {
			t.Fatalf("clocks are at %v, and disks have %v: they refuse each other", clocks, disks)
		}
	})
}

// Two of three nodes that have lost their power start again, and one machine is an hour behind. It
// has versions on its disk of the time that the median was. The other asks it before it has heard
// of these, and may go back to the middle. Still they take each other for members, and do not wait
// for that time.
func TestNodesThatStartAgainTakeEachOtherForMembers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 3)
		stamped := kv.VersionAt(time.Now())
		for i := range c.nodes {
			c.kill(i)
		}
		c.adjust = func(o *Options) {
			behind := time.Duration(0)
			if o.Name == "node0" {
				behind = time.Hour
			}
			born := time.Now()
			o.Wall = kv.NewWall(func() (time.Time, time.Duration) { return time.Now().Add(-behind), time.Since(born) })
			o.Clock = kv.NewClock(0, o.Wall.Now)
			if behind > 0 {
				o.Clock.Resume(stamped)
			}
		}
		b := c.boot(1, 999, c.members(-1, 1))
		poll.True(t, "both were asked", func() bool { return b.Down("node0") && b.Down("node2") })
		a := c.boot(0, 998, c.members(-1, 1))
		time.Sleep(10 * time.Second)
		if a.Down("node1") || b.Down("node0") {
			t.Error("they refuse each other")
		}
	})
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
