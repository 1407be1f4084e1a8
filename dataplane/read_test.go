package dataplane

import (
	"fmt"
	"testing"
	"time"

	"httpdhs/internal/memnet"
	"httpdhs/internal/poll"
	"httpdhs/kv"
	"httpdhs/peer"
)

// versions of records that tests plant, in order.
func planted(n int) kv.Version { return kv.VersionAt(time.Now().Add(-time.Hour)) + kv.Version(n)<<20 }

// A read that meets a replica with something newer answers that. Before it answers it has stored it
// at as many replicas as the level names. The others get it later. A newer delete wins over an
// older value.
func TestNewestWinsAndStaleReplicasAreRepaired(t *testing.T) {
	type holding struct {
		value string // empty: a delete
		n     int    // 0: nothing at all
	}
	cases := []struct {
		name string
		held [3]holding
		want string
	}{
		{"all equal", [3]holding{{"a", 1}, {"a", 1}, {"a", 1}}, "a"},
		{"newest at the primary", [3]holding{{"b", 2}, {"a", 1}, {"a", 1}}, "b"},
		{"newest elsewhere", [3]holding{{"a", 1}, {"b", 2}, {}}, "b"},
		{"three of them", [3]holding{{"a", 1}, {"b", 2}, {"c", 3}}, "c"},
		{"newest is a delete", [3]holding{{"a", 1}, {"", 2}, {"a", 1}}, ""},
		{"newest is after a delete", [3]holding{{"", 1}, {"b", 2}, {}}, "b"},
		{"nothing", [3]holding{}, ""},
	}
	for from := range 4 { // each owner, and one that is none
		bubble(t, func(t *testing.T) {
			c := newCluster(t, clusterOptions{nodes: 4, replicas: 3})
			for n, tc := range cases {
				key := c.keyOwnedBy(n, 0, 1, 2)
				for i, h := range tc.held {
					if h.n > 0 {
						c.nodes[i].plant(t, key, h.value, planted(h.n))
					}
				}
				repairs := c.nodes[from].Repairs.Load()
				o := c.nodes[from].get(key, kv.LevelAll)
				if tc.want == "" {
					wantOp(t, o, kv.ErrNotFound)
				} else {
					wantValue(t, o, tc.want)
				}
				repairs = c.nodes[from].Repairs.Load() - repairs
				if same := tc.held[0] == tc.held[1] && tc.held[1] == tc.held[2]; same != (repairs == 0) {
					t.Errorf("%s: %d repairs", tc.name, repairs)
				}
				if o.Required != 3 || o.Acks != 3 {
					t.Errorf("%s: %d acks of %d", tc.name, o.Acks, o.Required)
				}
				for i := range 3 {
					if got := c.nodes[i].held(key); string(got.Value) != tc.want {
						t.Errorf("%s: node%d holds %q when node%d answers, want %q", tc.name, i, got.Value, from, tc.want)
					}
				}
			}
		})
	}
}

// Once a quorum read has answered with a write, no later one misses it, whichever replicas answer.
// What one replica alone holds is stored at a second one before the read is answered.
func TestQuorumReadsNeverGoBack(t *testing.T) { bubble(t, testQuorumReadsNeverGoBack) }

func testQuorumReadsNeverGoBack(t *testing.T) {
	c := newCluster(t, clusterOptions{nodes: 4, replicas: 3})
	for i := range 3 {
		key := c.keyOwnedBy(i, 0, 1, 2)
		for j := range 3 {
			c.nodes[j].plant(t, key, "old", planted(1))
		}
		c.nodes[i].plant(t, key, "new", planted(2))
		seen := ""
		for deaf := range 3 { // one owner does not answer in time
			hold := memnet.NewGate(t)
			c.net.Between("node3", c.nodes[deaf].name, memnet.OnBatches(hold.Hold))
			o := c.nodes[3].get(key, kv.LevelQuorum)
			if wantOp(t, o, nil); seen == "new" && string(o.Value) == "old" {
				t.Fatalf("a read without node%d finds the old value after one that found the new", deaf)
			}
			seen = string(o.Value)
			holders := 0
			for j := range 3 {
				if c.nodes[j].has(key, seen) {
					holders++
				}
			}
			if holders < 2 {
				t.Fatalf("answered %q, which %d replica holds", seen, holders)
			}
			hold.Open()
			c.net.Between("node3", c.nodes[deaf].name, nil)
			c.waitDrained(3)
		}
	}
}

// An answer that comes after an operation has ended does not change what the operation found, while
// the call still waits for others.
func TestLateAnswerDoesNotChangeWhatWasFound(t *testing.T) { bubble(t, testLateAnswer) }

func testLateAnswer(t *testing.T) {
	c := newCluster(t, clusterOptions{nodes: 4, replicas: 3})
	key, other := c.keyOwnedBy(0, 0, 1, 2), c.keyOwnedBy(1, 0, 1, 2)
	for i, v := range []string{"old", "old", "new"} {
		c.nodes[i].plant(t, key, v, planted(i/2+1))
	}
	// other needs a second round: node1 has to store what node0 holds.
	c.nodes[0].plant(t, other, "b", planted(2))
	c.nodes[1].plant(t, other, "a", planted(1))
	late, repair := memnet.NewGate(t), memnet.NewGate(t)
	c.net.Between("node3", "node2", memnet.OnBatches(late.Hold))
	n := 0
	c.net.Between("node3", "node1", memnet.OnBatches(func(msg []byte, pass func() ([]byte, error)) ([]byte, error) {
		if n++; n == 2 {
			return repair.Hold(msg, pass)
		}
		return pass()
	}))
	call := kv.Call{
		Ops:  []kv.Op{op(kv.OpGet, key, ""), op(kv.OpGet, other, "")},
		Read: kv.LevelQuorum, Deadline: time.Now().Add(patience),
	}
	done := make(chan struct{})
	go func() { defer close(done); c.nodes[3].Do(&call) }()
	late.Wait(t, 1)
	repair.Wait(t, 1)
	late.Open()
	time.Sleep(time.Millisecond)
	repair.Open()
	<-done
	wantValue(t, call.Ops[1], "b")
	wantOp(t, call.Ops[0], nil)
	holders := 0
	for i := range 3 {
		if c.nodes[i].has(key, string(call.Ops[0].Value)) {
			holders++
		}
	}
	if holders < 2 {
		t.Errorf("found %q, which %d replica holds", call.Ops[0].Value, holders)
	}
}

// A read of level one goes on to the next owner when one fails, is down, or hangs until it is found
// down. It fails as unavailable only when none is left.
func TestReadFailsOver(t *testing.T) { bubble(t, testReadFailsOver) }

func testReadFailsOver(t *testing.T) {
	c := newCluster(t, clusterOptions{nodes: 3, replicas: 2})
	key, absent := c.keyOwnedBy(0, 0, 1), c.keyOwnedBy(1, 0, 1)
	n := c.nodes[2]
	n.mustPut(t, key, "v", kv.LevelAll)
	hang := memnet.NewGate(t)
	for name, h := range map[string]memnet.Hook{
		"broken": memnet.FailWith(memnet.ErrReset), "refused": memnet.OnBatches(memnet.FailWith(peer.ErrRefused)),
		"garbage": memnet.OnBatches(memnet.AnswerWith([]byte("garbage"))), "hangs": hang.Hold,
	} {
		c.net.Between("node2", "node0", h)
		if o := n.get(key, kv.LevelOne); o.Err != nil || string(o.Value) != "v" {
			t.Errorf("%s: %q, %v", name, o.Value, o.Err)
		}
		wantOp(t, n.get(absent, kv.LevelOne), kv.ErrNotFound) // node1 is in sync
		c.net.Between("node2", "node0", nil)
		poll.True(t, "node0 is up", n.peer(0).Up)
	}
	c.cut(0)
	wantValue(t, n.get(key, kv.LevelOne), "v")
	wantOp(t, n.get(key, kv.LevelQuorum), kv.ErrUnavailable)
	c.cut(1)
	wantOp(t, n.get(key, kv.LevelOne), kv.ErrUnavailable)
	wantOp(t, n.get(key, 3), kv.ErrLevel)
}

// Only an owner in sync may say that a key is absent. An owner that is not in sync is believed when
// it has a value, but not when it has none, or a tombstone. All such owners together are not
// believed either: another node may keep a record for them.
func TestAbsenceIsKnownOrNotSaid(t *testing.T) { bubble(t, testAbsence) }

func testAbsence(t *testing.T) {
	c := newCluster(t, clusterOptions{nodes: 3, replicas: 2})
	has, deleted, absent := c.keyOwnedBy(0, 0, 1), c.keyOwnedBy(1, 0, 1), c.keyOwnedBy(2, 0, 1)
	c.nodes[0].plant(t, has, "v", planted(1))
	c.nodes[0].plant(t, deleted, "", planted(1))
	unsync := func() { // node0, and nobody knows
		c.nodes[0].forget()
		c.nodes[1].peer(0).SetInSync(true)
		c.nodes[2].peer(0).SetInSync(true)
	}
	defer c.nodes[0].remember()
	for _, level := range []kv.Level{kv.LevelOne, kv.LevelAll} {
		unsync()
		for i, n := range c.nodes {
			wantOp(t, n.get(deleted, level), kv.ErrNotFound)
			wantOp(t, n.get(absent, level), kv.ErrNotFound)
			if o := n.get(has, level); level == kv.LevelAll && (o.Err != nil || string(o.Value) != "v") {
				t.Errorf("node%d: %q, %v", i, o.Value, o.Err)
			}
		}
	}

	// Neither is in sync, and both have answered. They are asked again until the deadline.
	const soon = 50 * time.Millisecond
	for _, n := range c.nodes {
		unsync()
		c.nodes[1].forget()
		c.nodes[0].peer(1).SetInSync(false)
		for _, level := range []kv.Level{kv.LevelOne, kv.LevelAll} {
			wantOp(t, n.getWithin(soon, absent, level), kv.ErrAbsenceUnknown)
			wantOp(t, n.getWithin(soon, deleted, level), kv.ErrAbsenceUnknown)
			wantValue(t, n.get(has, level), "v")
		}
	}
	c.nodes[1].remember()

	c.cut(1)
	for _, n := range []*testNode{c.nodes[0], c.nodes[2]} {
		unsync()
		wantValue(t, n.get(has, kv.LevelOne), "v")
		wantOp(t, n.get(deleted, kv.LevelOne), kv.ErrAbsenceUnknown)
		wantOp(t, n.get(absent, kv.LevelOne), kv.ErrAbsenceUnknown)
		wantOp(t, n.get(absent, kv.LevelQuorum), kv.ErrUnavailable)
	}
}

// A node that is not in sync keeps what it fetches from another owner for a client.
func TestUnsyncedNodeKeepsWhatItFetched(t *testing.T) { bubble(t, testUnsyncedNodeKeeps) }

func testUnsyncedNodeKeeps(t *testing.T) {
	c := newCluster(t, clusterOptions{nodes: 3, replicas: 2})
	key := c.keyOwnedBy(0, 0, 1)
	c.nodes[1].plant(t, key, "v", planted(1))
	c.nodes[0].forget()
	defer c.nodes[0].remember()
	wantValue(t, c.nodes[0].get(key, kv.LevelOne), "v")
	if !c.nodes[0].has(key, "v") {
		t.Error("not kept")
	}
}

// A value that has expired is absent at once, at every level and node.
func TestExpiredIsAbsent(t *testing.T) { bubble(t, testExpired) }

func testExpired(t *testing.T) {
	c := newCluster(t, clusterOptions{nodes: 3, replicas: 2})
	key := c.keyOwnedBy(0, 0, 1)
	o := op(kv.OpPut, key, "v")
	o.Expires = time.Now().Add(time.Second).UnixMilli()
	wantOp(t, c.nodes[2].do(o, kv.LevelAll), nil)
	for _, n := range c.nodes {
		got := n.get(key, kv.LevelOne)
		if wantValue(t, got, "v"); got.Expires != o.Expires {
			t.Errorf("expires %d, want %d", got.Expires, o.Expires)
		}
	}
	time.Sleep(time.Second)
	for _, n := range c.nodes {
		for _, level := range []kv.Level{kv.LevelOne, kv.LevelAll} {
			wantOp(t, n.get(key, level), kv.ErrNotFound)
		}
	}
	if o := c.nodes[2].put(key, "w", kv.LevelAll); o.Existed || o.Err != nil {
		t.Errorf("put over an expired value: existed %v, %v", o.Existed, fmt.Sprint(o.Err))
	}
}
