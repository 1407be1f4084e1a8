package replicate

import (
	"fmt"
	"testing"
	"time"

	"httpdhs/kv"
)

// A member that was cut off, with its memory kept, has missed what the others
// acknowledged meanwhile, and their queues may have dropped it. Once they talk
// again nobody says that such a key is absent, at any node: neither the member
// itself, nor others that would ask it, nor a listing; and a key that exists is
// not created again.
func TestCutOffMemberIsAskedOnlyWhenItHasCaughtUp(t *testing.T) { bubble(t, testCutOff) }

func testCutOff(t *testing.T) {
	c := newCluster(t, clusterOptions{nodes: 3, replicas: 2, queueBytes: 2 * batchBytes})
	const keys = 200
	c.cut(2)
	for i := range keys {
		c.nodes[i%2].mustPut(t, fmt.Sprint("missed", i), "v", kv.LevelLive)
	}
	large := string(make([]byte, batchBytes-100))
	for i := range 20 { // push the small ones out of the queues
		c.nodes[i%2].mustPut(t, fmt.Sprint("large", i), large, kv.LevelLive)
	}
	if c.nodes[0].peer(2).Status().Dropped == 0 {
		t.Fatal("no hint was dropped: the test shows nothing")
	}
	c.heal(2)
	check := func() {
		for n, node := range c.nodes {
			for i := range keys {
				switch o := node.get(fmt.Sprint("missed", i), kv.LevelOne); o.Err {
				case nil, kv.ErrAbsenceUnknown, kv.ErrUnavailable:
				default:
					t.Fatalf("node%d says of a key that exists: %v", n, o.Err)
				}
			}
			page, err := node.List(&kv.ListRequest{Prefix: []byte("missed"), Limit: 1000, Deadline: time.Now().Add(time.Second)})
			if err == nil && !page.More && len(page.Records) != keys {
				t.Fatalf("node%d lists %d of %d keys", n, len(page.Records), keys)
			}
			created := node.do(condOp("missed0", "again", kv.IfAbsent), kv.LevelLive)
			if created.Err == nil {
				t.Fatalf("node%d creates a key that exists", n)
			}
		}
	}
	for range 20 {
		check()
		time.Sleep(time.Millisecond)
	}
	c.settle()
	check()
	for i := range keys {
		key := fmt.Sprint("missed", i)
		for _, owner := range c.ownersOf(key) {
			if !c.nodes[owner].has(key, "v") {
				t.Errorf("node%d is in sync and lacks %s", owner, key)
			}
		}
	}
}

// A node that was stopped for so long that others may have taken it for down
// does not trust itself, from the first request on, before any of them tells it.
func TestStoppedNodeDoesNotTrustItself(t *testing.T) { bubble(t, testStopped) }

func testStopped(t *testing.T) {
	c := newCluster(t, clusterOptions{nodes: 3, replicas: 2})
	n := c.nodes[0]
	// As if the process had been stopped: the last beat is long ago.
	n.lastBeat.Add(-int64(stallMax + time.Second))
	if n.Synced() {
		t.Error("it trusts itself after a pause")
	}
	eventually(t, "it has been through another pass", func() bool { return n.passes.Load() == 2 && n.Synced() })
}

// A clock far ahead is not followed, whoever brings it: a message, a record, a
// peer. The record is refused and counted, the peer is not a member, and the
// node's own stamps stay where they were.
func TestClockFarAheadIsNotFollowed(t *testing.T) { bubble(t, testFarAhead) }

func testFarAhead(t *testing.T) {
	c := newCluster(t, clusterOptions{nodes: 3, replicas: 2})
	n := c.nodes[0]
	far := kv.VersionAt(time.Now().Add(2 * kv.MaxAhead))
	for _, clock := range []kv.Version{far, ^kv.Version(0)} {
		msg := openBatch(nil)
		setBatchClock(msg, clock)
		msg = appendApply(msg, &kv.Record{Key: []byte("k"), Entry: kv.Entry{Version: clock, Value: []byte("v")}})
		answer, err := n.Exchange(nil, msg)
		if err != nil {
			t.Fatal(err)
		}
		if r, _, err := nextResult(answer[batchHead:]); err != nil || r.code != resultRefused {
			t.Errorf("a record stamped far ahead: result %d, %v", r.code, err)
		}
	}
	if n.held("k") != nil && n.held("k").Exists() {
		t.Error("a record stamped far ahead is held")
	}
	if got := n.Counters().Refused; got != 2 {
		t.Errorf("%d refused records counted, want 2", got)
	}
	o := n.mustPut(t, "k", "mine", kv.LevelLive)
	if o.Version >= far {
		t.Errorf("the node stamps %v, after a message said %v", o.Version.Time(), far.Time())
	}
	for _, apart := range []time.Duration{2 * kv.MaxAhead, -2 * kv.MaxAhead} {
		ping := Ping{Name: "node1", Ring: n.view.Load().fingerprint, Wall: time.Now().Add(apart).UnixMilli()}
		if err := n.accepts(&ping); err == nil {
			t.Errorf("a peer whose clock is %v apart is accepted", apart)
		}
	}
}

// A peer that was taken for down is not taken to be in sync again before it has
// been through another pass; unless it was restarted, which it says itself.
func TestPeerTakenForDownNeedsAnotherPass(t *testing.T) { bubble(t, testNeedsAnotherPass) }

func testNeedsAnotherPass(t *testing.T) {
	c := newCluster(t, clusterOptions{nodes: 2, replicas: 2})
	p := newPeer("node9", 9, 1<<20, c.nodes[0].peer(1).transport, c.nodes[0].clock, c.nodes[0].opt.Log, c.nodes[0].Coordinator)
	says := func(boot, passes uint64, want bool) {
		t.Helper()
		p.answered(&Ping{Name: "node9", Boot: boot, Synced: true, Passes: passes}, 1)
		if p.isSynced() != want {
			t.Errorf("boot %d, pass %d: in sync is %v, want %v", boot, passes, p.isSynced(), want)
		}
	}
	says(5, 1, true)
	p.markDown(errReset)
	if p.isSynced() {
		t.Error("down, and in sync")
	}
	says(5, 1, false)
	says(5, 2, true)
	p.markDown(errReset)
	says(6, 1, true)
}

// A node learns that a peer took it for down, be it while it looks or between
// two looks, and that it was down for the first time when they first speak.
func TestNodeLearnsThatItWasTakenForDown(t *testing.T) { bubble(t, testLearns) }

func testLearns(t *testing.T) {
	const own = 1
	for name, says := range map[string][]struct {
		boot   uint64
		sees   map[uint64]uint64
		missed bool
	}{
		"lost from sight":   {{5, map[uint64]uint64{own: 0}, false}, {5, nil, true}, {5, map[uint64]uint64{own: 0}, false}},
		"between two looks": {{5, map[uint64]uint64{own: 0}, false}, {5, map[uint64]uint64{own: 1}, true}, {5, map[uint64]uint64{own: 1}, false}},
		"before the first":  {{5, map[uint64]uint64{own: 2}, true}},
		"not met yet":       {{5, nil, false}, {5, map[uint64]uint64{own: 0}, false}},
		"peer restarted":    {{5, map[uint64]uint64{own: 0}, false}, {6, nil, false}, {6, map[uint64]uint64{own: 0}, false}},
	} {
		var p Peer
		for i, s := range says {
			if missed := p.believeLocked(&Ping{Boot: s.boot, Sees: s.sees}, own); missed != s.missed {
				t.Errorf("%s, ping %d: missed is %v, want %v", name, i, missed, s.missed)
			}
		}
	}
}
