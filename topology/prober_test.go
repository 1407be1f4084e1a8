package topology

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"testing"
	"time"

	"httpdhs/internal/memnet"
	"httpdhs/internal/poll"
	"httpdhs/kv"
	"httpdhs/peer"
	"httpdhs/placement"
	"httpdhs/ring"
	"httpdhs/wire"
)

// alone is a topology that is not started, and one member of it.
func alone(t *testing.T, log slog.Handler, dial peer.Transport) (*Topology, *member) {
	t.Helper()
	top := New(&Options{
		Name: "self", Boot: self, Ring: ring.Settings{Partitions: testPartitions, Replicas: 2},
		Board: placement.NewBoard(testPartitions, SilenceMax), Clock: kv.NewClock(1, time.Now), Log: slog.New(log),
		Dial: func(string) peer.Transport { return dial }, QueueBytes: 1 << 20, Describe: func(*wire.Ping, bool) {},
	})
	return top, top.newMember("other", past{})
}

// spy is a log that tells how the peer stood at each line.
type spy struct {
	slog.Handler
	peer  *peer.Peer
	lines []string
}

func (s *spy) Enabled(context.Context, slog.Level) bool { return true }
func (s *spy) WithAttrs([]slog.Attr) slog.Handler       { return s }
func (s *spy) Handle(_ context.Context, r slog.Record) error {
	s.lines = append(s.lines, r.Message+", while it is "+s.peer.State().String())
	return nil
}

// A member takes part again only when the node has raised the fence for that it was suspected: the
// member would acknowledge what the node decides as if nobody had decided in its place.
func TestMemberTakesPartOnceItIsAcknowledged(t *testing.T) {
	log := new(spy)
	top, m := alone(t, log, nil)
	log.peer = m.peer
	top.board.SetInSync(true)
	m.belief.ping.Boot, m.belief.suspicion = 7, 1
	m.answered(&answer{told: 1, Ping: wire.Ping{Name: "other", Boot: 7, Number: 1, Sees: wire.Sight{Boot: self, Suspicion: 1}}})
	if want := "not in sync any more, while it is down"; !slices.Contains(log.lines, want) {
		t.Errorf("the node says %q, want %q", log.lines, want)
	}
	if m.down() || m.belief.acknowledged != 1 {
		t.Errorf("the member is %v, and %d epochs are acknowledged", m.peer.State(), m.belief.acknowledged)
	}
}

// A member that has left is not found down by what this node breaks of its own.
func TestWhoHasLeftIsNotFoundDown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log bytes.Buffer
		net, g := memnet.New(), memnet.NewGate(t)
		_, m := alone(t, slog.NewTextHandler(&log, nil), net.Link("self", "other"))
		net.Between("self", "other", g.Hold)
		probing := make(chan struct{})
		go func() {
			defer close(probing)
			m.prober.probe(time.Now().Add(probeTimeout))
		}()
		g.Wait(t, 1)
		m.peer.Close()
		<-probing
		if log.Len() > 0 {
			t.Errorf("it logs: %s", &log)
		}
		g.Open()
		net.Wait()
	})
}

// A node whose clock is far from this node's, or that has other settings, is no member.
func TestWhoIsNoMember(t *testing.T) {
	top, _ := alone(t, slog.DiscardHandler, nil)
	good := wire.Ping{Name: "other", Settings: top.settings, Wall: time.Now().UnixMicro()}
	if err := top.accepts(&good); err != nil {
		t.Fatal(err)
	}
	for what, spoil := range map[string]func(*wire.Ping){
		"ahead":       func(p *wire.Ping) { p.Wall = time.Now().Add(2 * kv.MaxAhead).UnixMicro() },
		"behind":      func(p *wire.Ping) { p.Wall = time.Now().Add(-2 * kv.MaxAhead).UnixMicro() },
		"stamps":      func(p *wire.Ping) { p.Clock = kv.VersionAt(time.Now().Add(2 * kv.MaxAhead)) },
		"other rings": func(p *wire.Ping) { p.Settings = "--replicas=9" },
	} {
		bad := good
		spoil(&bad)
		if err := top.accepts(&bad); err == nil {
			t.Errorf("%s: it is accepted", what)
		}
	}
}

// Members that come and go are found up and down, and the others go on without a fence that nobody
// needed.
func TestMembersAreFoundDownAndUp(t *testing.T) { bubble(t, testFoundDownAndUp) }

func testFoundDownAndUp(t *testing.T) {
	c := newCluster(t, 3)
	before := c.nodes[0].board.Fence() + c.nodes[1].board.Fence()
	c.kill(2)
	for _, n := range c.nodes[:2] {
		poll.True(t, n.name+" finds it down", func() bool { return !n.Live("node2") })
	}
	if c.nodes[0].board.Fence()+c.nodes[1].board.Fence() != before {
		t.Error("others give up their authority for one that is down")
	}
	c.boot(2, 777, c.members(-1, 1))
	c.rest()
	for _, n := range c.nodes[:2] {
		if got := n.Boot(n.node(c, 2).peer); got != 777 {
			t.Errorf("%s knows it by boot %d", n.name, got)
		}
	}
}

// A condition is decided by one node at most, and by one as soon as all is at rest.
func TestOnePrimary(t *testing.T) { bubble(t, testOnePrimary) }

func testOnePrimary(t *testing.T) {
	c := newCluster(t, 3)
	for part := range testPartitions {
		poll.True(t, "one decides", func() bool {
			n := 0
			for _, node := range c.nodes {
				if node.MayDecide(part) {
					n++
				}
			}
			if n > 1 {
				t.Fatalf("%d nodes decide on partition %d", n, part)
			}
			return n == 1
		})
	}
}

// A member is complete once it is in sync and nothing is kept for it; one that was suspected is not
// before it has acknowledged that.
func TestComplete(t *testing.T) {
	top, m := alone(t, slog.DiscardHandler, nil)
	top.mu.roster.add("other", m)
	top.mu.rings.oldest.Store(1)
	if top.Complete(m.peer) {
		t.Error("complete before it was heard")
	}
	m.peer.MarkBack(true)
	m.belief.hear(&wire.Ping{Boot: 7})
	m.belief.metAt = 0
	if !top.Complete(m.peer) {
		t.Error("one that may have come to be in sync is not asked")
	}
	m.belief.suspicion++
	if top.Complete(m.peer) {
		t.Error("one that was suspected is asked")
	}
	m.peer.SetInSync(true)
	if !top.Complete(m.peer) {
		t.Error("one that is in sync is not asked")
	}
}
