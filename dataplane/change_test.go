package dataplane

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"httpdhs/internal/memnet"
	"httpdhs/internal/poll"
	"httpdhs/kv"
	"httpdhs/peer"
	"httpdhs/ring"
	"httpdhs/wire"
)

// tell has the nodes hear of other members, one after the other, in an order and with pauses of
// chance.
func (c *cluster) tell(rng *rand.Rand, m wire.Members) {
	c.t.Helper()
	for _, i := range rng.Perm(len(c.nodes)) {
		if n := c.nodes[i]; n != nil {
			time.Sleep(time.Duration(rng.IntN(20)) * time.Millisecond)
			if err := n.Topology.SetMembers(m); err != nil {
				c.t.Fatal(err)
			}
		}
	}
}

// awaitRing waits until all nodes that run read by the ring of these members, hold it, write to no
// other, and have let go of everything else.
func (c *cluster) awaitRing(m wire.Members) {
	c.t.Helper()
	var nodes []ring.Node
	for i := range m.All {
		if m.All[i].State != wire.Leaving {
			nodes = append(nodes, m.All[i].Node())
		}
	}
	want, err := ring.New(nodes, c.table.Settings())
	if err != nil {
		c.t.Fatal(err)
	}
	for _, n := range c.nodes {
		if n == nil {
			continue
		}
		poll.True(c.t, n.name+" has changed over", func() bool {
			now, next := n.Topology.Rings()
			return now.Fingerprint() == want.Fingerprint() && next.Fingerprint() == want.Fingerprint() && n.Board.Stable()
		})
		poll.True(c.t, n.name+" has let go of what it does not own", func() bool {
			self, on := want.Index(n.name)
			for part := range want.Partitions() {
				owns := on && slices.Contains(want.Owners(part), uint16(self))
				if !owns && n.digest(part) != 0 {
					return false
				}
			}
			return true
		})
	}
}

// slow has every message between nodes take some time, up to most, of chance.
func (c *cluster) slow(most time.Duration) {
	for _, from := range c.table.Nodes() {
		for _, to := range c.table.Nodes() {
			c.net.Between(from.Name, to.Name, func(_ []byte, pass func() ([]byte, error)) ([]byte, error) {
				time.Sleep(rand.N(most))
				answer, err := pass()
				time.Sleep(rand.N(most))
				return answer, err
			})
		}
	}
}

// copies is how many nodes hold a value under the key.
func (c *cluster) copies(key string) (copies int) {
	for _, n := range c.nodes {
		if n != nil && n.held(key).Exists() {
			copies++
		}
	}
	return copies
}

// traffic is reads of keys that are there and writes of others, at all nodes, until it is stopped.
// No read may miss, no write may fail.
type traffic struct {
	c       *cluster
	stop    chan struct{}
	clients sync.WaitGroup
	mu      sync.Mutex
	wrong   []string
	written []string
}

func (c *cluster) traffic(keys []string) *traffic {
	tr := &traffic{c: c, stop: make(chan struct{})}
	for i, n := range c.nodes {
		if n == nil {
			continue
		}
		tr.clients.Go(func() {
			for k := 0; ; k++ {
				select {
				case <-tr.stop:
					return
				case <-time.After(time.Millisecond):
				}
				key := keys[(k*7+i)%len(keys)]
				if o := n.get(key, kv.LevelOne); o.Err != nil || string(o.Value) != key {
					tr.note(fmt.Sprintf("get %s at %s: %v, %q", key, n.name, o.Err, o.Value))
				}
				fresh := fmt.Sprintf("new-%d-%d", i, k)
				if o := n.put(fresh, fresh, kv.LevelLive); o.Err != nil {
					tr.note(fmt.Sprintf("put %s at %s: %v", fresh, n.name, o.Err))
				} else if o := n.get(fresh, kv.LevelOne); o.Err != nil {
					tr.note(fmt.Sprintf("get %s at %s, just written there: %v", fresh, n.name, o.Err))
				}
				tr.mu.Lock()
				tr.written = append(tr.written, fresh)
				tr.mu.Unlock()
			}
		})
	}
	return tr
}

func (tr *traffic) note(wrong string) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if len(tr.wrong) < 20 {
		tr.wrong = append(tr.wrong, wrong)
	}
}

// end stops the traffic, and fails for what was wrong. It returns what was written.
func (tr *traffic) end() []string {
	tr.c.t.Helper()
	close(tr.stop)
	tr.clients.Wait()
	for _, w := range tr.wrong {
		tr.c.t.Error(w)
	}
	return tr.written
}

func withKeys(t *testing.T, o clusterOptions) (*cluster, []string) {
	c := newCluster(t, o)
	var keys []string
	for i := range 400 {
		keys = append(keys, fmt.Sprint("key-", i))
		c.nodes[0].mustPut(t, keys[i], keys[i], kv.LevelAll)
	}
	return c, keys
}

// Nodes join and leave under traffic, heard of in any order. No node ever says of a key that exists
// that it does not. No write fails. In the end each key has as many copies as it should, at its
// owners and nowhere else.
func TestNodesJoinAndLeave(t *testing.T) {
	for seed := range uint64(4) { // slow or not, and one change in the middle of another or not
		bubble(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 1))
			o := clusterOptions{nodes: 5, replicas: 2, members: []int{0, 1, 2}}
			c, keys := withKeys(t, o)
			if seed%3 == 0 {
				c.slow(20 * time.Millisecond)
			}
			tr := c.traffic(keys)
			o.members = []int{0, 1, 2, 3}
			c.boot(3, 103, o)
			four := c.members(0, 1, 2, 3)
			c.tell(rng, four)
			if seed%2 == 0 { // else the next change comes in the middle of this one
				c.awaitRing(four)
			}
			o.members = nil
			c.boot(4, 104, o)
			five := c.members()
			c.tell(rng, five)
			c.awaitRing(five)
			leaving := c.members()
			leaving.All[1].State = wire.Leaving
			leaving.Digest = 99
			c.tell(rng, leaving)
			c.awaitRing(leaving)
			if left := c.nodes[1].Repairer.Leaving(); left != 0 {
				t.Errorf("the node that leaves has %d partitions left", left)
			}
			for _, key := range append(keys, tr.end()...) {
				if got := c.copies(key); got != 2 {
					t.Fatalf("seed %d: %s has %d copies", seed, key, got)
				}
			}
		})
	}
}

// While the ring changes there is one primary at a time: of many that create the same key, at all
// nodes, one succeeds.
func TestOneCreatesWhileTheRingChanges(t *testing.T) {
	for seed := range uint64(4) {
		bubble(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 2))
			o := clusterOptions{nodes: 4, replicas: 2, members: []int{0, 1, 2}}
			c, _ := withKeys(t, o)
			c.slow(10 * time.Millisecond)
			var all sync.WaitGroup
			var mu sync.Mutex
			created, errs := make(map[string]int), make(map[string]error)
			for i, n := range c.nodes[:3] {
				all.Go(func() {
					for k := range 150 {
						time.Sleep(time.Millisecond)
						key := fmt.Sprint("race-", k)
						o := n.do(condOp(key, fmt.Sprint(i), kv.IfAbsent), kv.LevelLive)
						mu.Lock()
						switch o.Err {
						case nil:
							created[key]++
						case kv.ErrConditionFailed:
						default:
							errs[key] = o.Err
						}
						mu.Unlock()
					}
				})
			}
			o.members = nil
			c.boot(3, 103, o)
			c.tell(rng, c.members())
			c.awaitRing(c.members())
			all.Wait()
			for k := range 150 {
				key := fmt.Sprint("race-", k)
				if created[key] != 1 || errs[key] != nil {
					t.Errorf("seed %d: %s was created %d times, %v", seed, key, created[key], errs[key])
				}
			}
		})
	}
}

// A node that has not heard of a change sends a record to one that does not own it any more. The
// latter does not acknowledge it, but keeps it and hands it over.
func TestRecordForAnotherIsHandedOver(t *testing.T) { bubble(t, testRecordForAnother) }

func testRecordForAnother(t *testing.T) {
	c := newCluster(t, clusterOptions{nodes: 4, replicas: 2})
	key := c.keyOwnedBy(0, 0, 1)
	msg := wire.AppendApply(wire.OpenBatch(nil), &kv.Record{Key: []byte(key), Entry: kv.Entry{Version: planted(1), Value: []byte("v")}})
	answer, err := c.nodes[2].Exchange(nil, msg)
	if err != nil {
		t.Fatal(err)
	}
	if r, _, err := wire.NextResult(answer[wire.BatchHead:]); err != nil || r.Code != wire.NotOwner {
		t.Errorf("it answers %d, %v", r.Code, err)
	}
	c.nodes[2].Board.Wake()
	poll.True(t, "the owners have it, and nobody else", func() bool {
		return c.nodes[0].has(key, "v") && c.nodes[1].has(key, "v") && !c.nodes[2].held(key).Exists()
	})
}

// A node does not drop what it holds for others before all of them have it. While one is down it
// stays.
func TestNothingIsDroppedBeforeItsOwnersHaveIt(t *testing.T) { bubble(t, testNothingDropped) }

func testNothingDropped(t *testing.T) {
	c := newCluster(t, clusterOptions{nodes: 4, replicas: 2, probeEvery: 30 * time.Millisecond})
	key := c.keyOwnedBy(0, 0, 1)
	c.cut(1)
	c.nodes[2].plant(t, key, "v", planted(1))
	c.nodes[2].Board.Wake()
	poll.True(t, "the owner that is up has it", func() bool { return c.nodes[0].has(key, "v") })
	time.Sleep(5 * time.Second)
	if !c.nodes[2].has(key, "v") {
		t.Fatal("dropped, and one owner never had it")
	}
	c.heal(1)
	poll.True(t, "both owners have it, and nobody else", func() bool {
		return c.nodes[0].has(key, "v") && c.nodes[1].has(key, "v") && !c.nodes[2].held(key).Exists()
	})
}

// A node has just started. Its questions are answered, but the others do not reach it. It
// coordinates nothing, since what they do meanwhile does not wait for it. It says so, and begins
// when they take note of it.
func TestStartedNodeCoordinatesOnceItIsHeard(t *testing.T) { bubble(t, testOnceItIsHeard) }

func testOnceItIsHeard(t *testing.T) {
	c := newCluster(t, clusterOptions{nodes: 3, replicas: 2})
	c.kill(0)
	c.waitState(0, peer.Down)
	c.net.Between("node1", "node0", memnet.FailWith(memnet.ErrReset))
	c.net.Between("node2", "node0", memnet.FailWith(memnet.ErrReset))
	n := c.boot(0, 500, clusterOptions{})
	wantOp(t, n.put("key", "v", kv.LevelLive), kv.ErrUnheard)
	for i, other := range c.nodes[1:] {
		if other.held("key").Exists() {
			t.Errorf("node%d has it", i+1)
		}
	}
	if n.Topology.SyncReason() == nil {
		t.Error("it does not say why")
	}
	c.net.Clear()
	poll.True(t, "it coordinates", func() bool { return n.put("key", "v", kv.LevelLive).Err == nil })
}
