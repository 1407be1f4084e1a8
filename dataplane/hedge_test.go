package dataplane

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"httpdhs/internal/memnet"
	"httpdhs/internal/poll"
	"httpdhs/kv"
	"httpdhs/peer"
	"httpdhs/topology"
)

// took is how long f takes, in the time of the bubble.
func took(f func()) time.Duration {
	began := time.Now()
	f()
	return time.Since(began)
}

// delayed answers what comes by after so long.
func delayed(by time.Duration) memnet.Hook {
	return memnet.OnBatches(func(_ []byte, pass func() ([]byte, error)) ([]byte, error) {
		time.Sleep(by)
		return pass()
	})
}

// The owner that a read of level one asks stops. The next owner answers after a small multiple of
// what the first took before. The read does not wait until the first is found down. That holds for
// a read alone, in a call of many, and while others wait. While the first owes an answer, reads ask
// the other first and do not wait at all. When it has answered it is asked again.
func TestReadAsksTheNextOwnerOfOneThatHangs(t *testing.T) { bubble(t, testHedge) }

func testHedge(t *testing.T) {
	c := newCluster(t, clusterOptions{nodes: 3, replicas: 2, probeEvery: 500 * time.Millisecond})
	n := c.nodes[2]
	var keys []string
	for i := range 20 {
		keys = append(keys, c.keyOwnedBy(i, 0, 1))
		n.mustPut(t, keys[i], "v", kv.LevelAll)
	}
	many := kv.Call{Read: kv.LevelOne}
	for _, key := range keys {
		many.Ops = append(many.Ops, op(kv.OpGet, key, ""))
	}
	for name, read := range map[string]func(){
		"alone": func() { wantValue(t, n.get(keys[0], kv.LevelOne), "v") },
		"many": func() {
			many.Deadline = time.Now().Add(patience)
			n.Do(&many)
			for _, o := range many.Ops {
				wantValue(t, o, "v")
			}
		},
		"at once": func() {
			var all sync.WaitGroup
			for _, key := range keys {
				all.Go(func() { wantValue(t, n.get(key, kv.LevelOne), "v") })
			}
			all.Wait()
		},
	} {
		for range 20 {
			wantValue(t, n.get(keys[0], kv.LevelOne), "v")
		}
		hang := memnet.NewGate(t)
		c.net.Between("node2", "node0", memnet.OnBatches(hang.Hold))
		if d := took(read); d > 3*peer.PatienceFloor {
			t.Errorf("%s: it took %v", name, d)
		}
		hedges := n.Hedges.Load()
		time.Sleep(peer.PatienceFloor)
		for _, key := range keys {
			if d := took(func() { wantValue(t, n.get(key, kv.LevelOne), "v") }); d != 0 {
				t.Errorf("%s: a read after it took %v", name, d)
			}
		}
		if more := n.Hedges.Load() - hedges; more != 0 {
			t.Errorf("%s: %d reads asked both owners, though one was known to be late", name, more)
		}
		hang.Open()
		c.net.Between("node2", "node0", nil)
		poll.True(t, "the owner has answered", func() bool { return !n.peer(0).Late() })
		hang = memnet.NewGate(t)
		c.net.Between("node2", "node1", memnet.OnBatches(hang.Hold))
		if d := took(func() { wantValue(t, n.get(keys[0], kv.LevelOne), "v") }); d != 0 {
			t.Errorf("%s: the first owner is not asked first again: %v", name, d)
		}
		hang.Open()
		c.net.Between("node2", "node1", nil)
	}
}

// The first answer with authority is the read's, and a later one changes nothing. An owner that
// does not know that a key is absent is not believed for having answered first.
func TestFirstAnswerWithAuthorityCounts(t *testing.T) { bubble(t, testFirstAnswer) }

func testFirstAnswer(t *testing.T) {
	c := newCluster(t, clusterOptions{nodes: 4, replicas: 3, probeEvery: time.Second})
	n := c.nodes[3]
	key, other := c.keyOwnedBy(0, 0, 1, 2), c.keyOwnedBy(1, 0, 1, 2)
	time.Sleep(time.Second) // what is planted is not to be found by the sync of the start
	for i, v := range []string{"first", "second", "third"} {
		c.nodes[i].plant(t, key, v, planted(3-i))
	}
	c.nodes[0].plant(t, other, "v", planted(1))
	// The late answer comes while the call still waits for another operation.
	c.net.Between("node3", "node0", delayed(2*peer.PatienceFirst))
	c.net.Between("node3", "node2", delayed(4*peer.PatienceFirst))
	call := kv.Call{
		Ops:  []kv.Op{op(kv.OpGet, key, ""), op(kv.OpPut, c.keyOwnedBy(0, 1, 2, 3), "v")},
		Read: kv.LevelOne, Write: kv.LevelAll, Deadline: time.Now().Add(patience),
	}
	if d := took(func() { n.Do(&call) }); d != 4*peer.PatienceFirst {
		t.Errorf("the call took %v", d)
	}
	wantValue(t, call.Ops[0], "second")
	wantOp(t, call.Ops[1], nil)
	time.Sleep(4 * peer.PatienceFirst)

	// Owners that have lost their authority without this node's knowledge answer first, in vain.
	c.net.Between("node3", "node0", delayed(2*n.peer(0).Patience()))
	c.nodes[1].forget()
	defer c.nodes[1].remember()
	c.nodes[2].forget()
	defer c.nodes[2].remember()
	c.net.Between("node3", "node2", nil)
	for i := range 3 {
		n.peer(i).SetInSync(true)
	}
	wantValue(t, n.get(other, kv.LevelOne), "v")
}

// What is usual is found out for each peer. Where all answers take a tenth of a second, hardly a
// read asks twice.
func TestHedgesFollowTheLatency(t *testing.T) { bubble(t, testHedgesFollow) }

func testHedgesFollow(t *testing.T) {
	c := newCluster(t, clusterOptions{nodes: 3, replicas: 2, probeEvery: time.Second})
	n, key := c.nodes[2], c.keyOwnedBy(0, 0, 1)
	for i := range 2 {
		c.net.Between("node2", fmt.Sprint("node", i), delayed(100*time.Millisecond))
	}
	for range 50 {
		wantOp(t, n.get(key, kv.LevelOne), kv.ErrNotFound)
	}
	before := n.Hedges.Load()
	for range 100 {
		wantOp(t, n.get(key, kv.LevelOne), kv.ErrNotFound)
	}
	if hedges := n.Hedges.Load() - before; hedges > 5 {
		t.Errorf("%d of 100 reads asked twice, though all take as long", hedges)
	}
	if d := n.peer(0).Patience(); d < 200*time.Millisecond || d > 400*time.Millisecond {
		t.Errorf("the delay is %v", d)
	}
}

// A write waits for a replica that hangs until that is found down, at most: the pause between two
// probes and four that have no answer. It does not wait at all for a quorum that others make up. A
// condition waits as long for a primary that hangs, which may have decided it. The next owner
// decides later conditions, as soon as all have found the primary down.
func TestWriteWaitsForTheDetectorAtMost(t *testing.T) {
	const every = 500 * time.Millisecond
	for phase := range 3 {
		for _, tc := range []struct {
			name     string
			level    kv.Level
			replicas int
			cond     bool
			most     time.Duration
		}{
			{"live", kv.LevelLive, 2, false, every + topology.SilenceMax},
			{"live of three", kv.LevelLive, 3, false, every + topology.SilenceMax},
			{"quorum of three", kv.LevelQuorum, 3, false, time.Millisecond},
			{"condition", kv.LevelLive, 2, true, every + topology.SilenceMax},
		} {
			bubble(t, func(t *testing.T) {
				c := newCluster(t, clusterOptions{nodes: 4, replicas: tc.replicas, probeEvery: every})
				time.Sleep(time.Duration(phase) * every / 3)
				hang := memnet.NewGate(t)
				for _, n := range c.nodes {
					c.net.Between(n.name, "node0", hang.Hold)
				}
				o := op(kv.OpPut, c.keyOwnedBy(0, []int{0, 1, 2}[:tc.replicas]...), "v")
				if tc.cond {
					o.Cond.Kind = kv.IfAbsent
				}
				d := took(func() { o = c.nodes[3].do(o, tc.level) })
				if d > tc.most {
					t.Errorf("%s, phase %d: it took %v, at most %v", tc.name, phase, d, tc.most)
				}
				if tc.cond {
					wantOp(t, o, kv.ErrUnknownOutcome)
					o.Cond.Kind, o.Key = kv.IfAbsent, []byte(c.keyOwnedBy(1, 0, 1))
					o.Hash = kv.Hash(o.Key)
					if d := took(func() { o = c.nodes[3].do(o, tc.level) }); d > every {
						t.Errorf("%s, phase %d: the next took %v", tc.name, phase, d)
					}
				}
				if wantOp(t, o, nil); o.Acks != tc.replicas-1 {
					t.Errorf("%s: %d acks", tc.name, o.Acks)
				}
			})
		}
	}
}

// A process that was stopped for two seconds, and answers then, is not taken for down.
func TestShortStopIsNoDown(t *testing.T) { bubble(t, testShortStop) }

func testShortStop(t *testing.T) {
	c := newCluster(t, clusterOptions{nodes: 3, replicas: 2, probeEvery: 500 * time.Millisecond})
	for phase := range 10 {
		hang := memnet.NewGate(t)
		c.net.Toward("node0", hang.Hold)
		d := took(func() {
			time.AfterFunc(2*time.Second, hang.Open)
			o := c.nodes[2].put(c.keyOwnedBy(0, 0, 1), fmt.Sprint(phase), kv.LevelLive)
			if wantOp(t, o, nil); o.Acks != 2 {
				t.Errorf("phase %d: %d acks", phase, o.Acks)
			}
		})
		if c.nodes[2].peer(0).State() != peer.Up || d > 2*time.Second {
			t.Errorf("phase %d: %v after %v", phase, c.nodes[2].peer(0).State(), d)
		}
		c.net.Toward("node0", nil)
		time.Sleep(time.Duration(1000+50*phase) * time.Millisecond)
	}
}

// A read that may ask another owner carries no writes. A write that is broken off and sent again
// would not know any more what it replaced.
func TestHedgedReadCarriesNoWrites(t *testing.T) { bubble(t, testCarriesReads) }

func testCarriesReads(t *testing.T) {
	c := newCluster(t, clusterOptions{nodes: 3, replicas: 2, probeEvery: time.Second})
	n, key := c.nodes[2], c.keyOwnedBy(0, 0, 1)
	n.mustPut(t, key, "v", kv.LevelAll)
	batches := make(chan []byte, 10)
	c.net.Between("node2", "node0", memnet.OnBatches(func(msg []byte, pass func() ([]byte, error)) ([]byte, error) {
		batches <- msg
		time.Sleep(4 * peer.PatienceFirst)
		return pass()
	}))
	r := kv.Record{Key: []byte(c.keyOwnedBy(1, 0, 1)), Entry: kv.Entry{Version: planted(1), Value: []byte("w")}}
	if !n.peer(0).Apply([]peer.Write{{Record: &r}}, false, true) {
		t.Fatal("the peer is not up")
	}
	wantValue(t, n.get(key, kv.LevelOne), "v")
	c.waitDrained(2)
	if len(batches) != 1 {
		t.Errorf("the batch was sent %d times", len(batches))
	}
}
