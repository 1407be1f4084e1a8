package topology

import (
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"httpdhs/internal/memnet"
	"httpdhs/internal/poll"
	"httpdhs/rebalance"
	"httpdhs/ring"
	"httpdhs/wire"
)

// A member is removed, comes back, and is removed again before it has answered. It is still told
// how often it was suspected in its first life. So it is believed when it comes back again. Else it
// would have acknowledged more epochs than ever were.
func TestMemberThatWasNotHeardBetweenTwoRemovals(t *testing.T) { bubble(t, testNotHeardBetween) }

func testNotHeardBetween(t *testing.T) {
	c := newCluster(t, 3)
	c.net.Toward("node2", memnet.FailWith(memnet.ErrReset))
	for _, n := range c.nodes[:2] {
		poll.True(t, "it is down", n.node(c, 2).down)
	}
	c.net.Clear()
	c.rest() // now node2 has something to acknowledge
	c.net.Toward("node2", memnet.FailWith(memnet.ErrReset))
	for digest := uint64(2); digest <= 4; digest += 2 {
		for _, n := range c.nodes[:2] {
			n.set(t, c.members(2, digest))
		}
		for _, n := range c.nodes[:2] {
			poll.True(t, "the member is forgotten", func() bool { return n.find("node2") == nil })
		}
		if digest == 4 {
			c.net.Toward("node2", nil)
		}
		for _, n := range c.nodes {
			n.set(t, c.members(-1, digest+1))
		}
	}
	for _, n := range c.nodes {
		poll.True(t, n.name+" reads by the ring of all again", func() bool {
			now, next := n.Rings()
			return now == next && len(now.Nodes()) == 3 && n.board.InSync()
		})
	}
}

// The queue to each other node has its own bound, or a smaller share of what there is for all of
// them. The status says which it is, also when a member goes.
func TestQueuesShareWhatThereIsForAll(t *testing.T) {
	const own = 1 << 20 // as newClusterOf has it
	for sum, want := range map[int][2]int{
		0:           {own, own},
		own:         {own / 2, own},
		own + own/2: {own * 3 / 4, own},
		4 * own:     {own, own},
	} {
		bubble(t, func(t *testing.T) {
			c := newClusterOf(t, 3, func(c *cluster) { c.adjust = func(o *Options) { o.QueuesSum = sum } })
			n := c.nodes[0]
			bounds := func(want int) bool {
				return !slices.ContainsFunc(n.Peers(), func(s Status) bool { return s.Bound != want })
			}
			if !bounds(want[0]) {
				t.Errorf("%d for two queues: %d for the first, want %d", sum, n.Peers()[0].Bound, want[0])
			}
			for _, n := range c.nodes[:2] {
				n.set(t, c.members(2, 2))
			}
			poll.True(t, "the queue of who stays has its bound", func() bool { return len(n.Peers()) == 1 && bounds(want[1]) })
		})
	}
}

// A member that was down for long, was removed for it, and is a member again, is not dead at once:
// it would be removed again before it could answer, and come back, without end.
func TestMemberThatIsBackIsNotDeadAtOnce(t *testing.T) { bubble(t, testNotDeadAtOnce) }

func testNotDeadAtOnce(t *testing.T) {
	c := newCluster(t, 3)
	n := c.nodes[0]
	n.opt.EvictAfter = time.Second
	dead := func(want int) {
		t.Helper()
		if names := n.dead(); len(names) != want {
			t.Errorf("dead are %v, want %d", names, want)
		}
	}
	c.cut(0, 2)
	c.cut(1, 2)
	poll.True(t, "it is down", n.node(c, 2).down)
	dead(0)
	time.Sleep(2 * time.Second)
	dead(1)
	n.set(t, c.members(2, 2))
	if n.find("node2") == nil {
		t.Fatal("forgotten already: the test is about one that is not")
	}
	n.set(t, c.members(-1, 3))
	dead(0)
	time.Sleep(2 * time.Second)
	dead(1)
}

// A ring is written because another node wants it. Its table is kept, as the next view is made of
// it. That holds even if an equal table has taken its place meanwhile, as one that was asked for
// does.
func TestTableOfARingThatIsWrittenIsKept(t *testing.T) { bubble(t, testTableIsKept) }

func testTableIsKept(t *testing.T) {
	c := newCluster(t, 3)
	n, members := c.nodes[0], c.members(-1, 2)
	members.All = append(members.All, wire.Member{Name: "node3", Weight: 1}) // which never runs
	c.nodes[1].set(t, members)
	var wanted rebalance.Ring
	poll.True(t, "the ring that another wants is written", func() bool {
		n.mu.Lock()
		defer n.mu.Unlock()
		for _, x := range n.mu.rings.state.Writes() {
			if x != n.mu.rings.target {
				wanted = x
			}
		}
		return wanted != 0 && n.mu.rings.state.Stated()
	})
	n.mu.Lock()
	equal, err := ring.New(n.mu.rings.tables[wanted].Nodes(), n.opt.Ring)
	if err != nil {
		t.Fatal(err)
	}
	n.mu.rings.tables[wanted] = equal
	n.mu.Unlock()
	n.reconsider()
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.mu.rings.known(wanted) {
		t.Error("it is forgotten")
	}
}

// A ring that this node asks another about, and that becomes its own target before the answer is
// there, stays the table that it is: the view goes by that one, and what the answer makes is
// another of the same.
func TestRingKnownWhileAskedFor(t *testing.T) { bubble(t, testRingKnownWhileAskedFor) }

func testRingKnownWhileAskedFor(t *testing.T) {
	c := newCluster(t, 3)
	n := c.nodes[0]
	n.mu.Lock()
	x := n.mu.rings.target
	was := n.mu.rings.tables[x]
	n.mu.rings.unknown[x] = "node1"
	n.mu.Unlock()
	if err := n.claims.learn(); err != nil {
		t.Fatal(err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.mu.rings.tables[x] != was || n.board.View().Read != was {
		t.Error("the table of a ring that is written was replaced")
	}
}

// A node that has not heard of a ring asks who is on it. It asks a member that writes the ring. It
// does not ask one that only wants it for the writer's sake, and has not heard of it either. Two of
// those would ask each other for ever.
func TestWhoIsOnARingIsAskedOfOneThatKnows(t *testing.T) {
	const unheard = rebalance.Ring(4711)
	for knows := range 2 {
		for _, first := range []string{"node0", "node1"} { // members are gone through in any order
			r := newRings("node2", new(atomic.Uint64))
			for i, name := range []string{first, map[string]string{"node0": "node1", "node1": "node0"}[first]} {
				said := rebalance.Statement{Wants: []rebalance.Ring{unheard}}
				if i == knows {
					said.Writes = said.Wants
				}
				r.wonder(name, &said)
				if i == knows && r.unknown[unheard] != name {
					t.Errorf("%s is asked, and %s knows", r.unknown[unheard], name)
				}
			}
		}
	}
}

// What a node gave up it has not had: it would need the memory for it again.
func TestWhatWasGivenUpWasNotHad(t *testing.T) { bubble(t, testGivenUp) }

func testGivenUp(t *testing.T) {
	c := newCluster(t, 3)
	n := c.nodes[0]
	var before []int
	n.mu.Lock()
	for part, owns := range n.mu.rings.owned(n.name, n.mu.rings.target) {
		if owns {
			before = append(before, part)
		}
	}
	n.mu.Unlock()
	if !n.claims.hadAll(before) {
		t.Fatal("it has not had what it owns")
	}
	leaving := c.members(-1, 2)
	leaving.All[0].State = wire.Leaving
	for _, node := range c.nodes {
		node.set(t, leaving)
	}
	poll.True(t, "it has had nothing", func() bool {
		for _, part := range before {
			if n.claims.hadAll([]int{part}) {
				return false
			}
		}
		return true
	})
}

// A node that joins counts on a member that answers before the node has worked out who owns what. A
// member that is never counted on could claim no ring, and the join would not end.
func TestJoinerCountsOnWhoAnswersAtOnce(t *testing.T) { bubble(t, testCountsOnWhoAnswersAtOnce) }

func testCountsOnWhoAnswersAtOnce(t *testing.T) {
	c := newCluster(t, 2)
	c.kill(1)
	n := c.boot(1, 201, wire.Members{})
	n.mu.Lock()
	m := n.mu.member("node0")
	n.mu.Unlock()
	poll.True(t, "the member answers", func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		return m.belief.ping.Boot != 0 && !m.down()
	})
	n.set(t, c.members(-1, 1))
	poll.True(t, "it counts on it", func() bool { return n.countsOn(c, 0) })
	c.rest()
}
