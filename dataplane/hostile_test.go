package dataplane

import (
	"bytes"
	"errors"
	"math"
	"testing"
	"time"

	"httpdhs/internal/memnet"
	"httpdhs/internal/poll"
	"httpdhs/kv"
	"httpdhs/rebalance"
	"httpdhs/ring"
	"httpdhs/wire"
)

// An answer is bounded whatever is asked: a question that names partitions again and again is
// refused. Else two bytes of it would make 2 KiB of answer, and a message of the greatest length 64
// GiB.
func TestQuestionsNameFewPartitions(t *testing.T) {
	c := idleCluster(t, clusterOptions{nodes: 2, replicas: 2})
	n := c.boot(0, 1, clusterOptions{})
	for what, head := range map[string][]byte{
		"digests of partitions": wire.AppendDigests(nil, wire.WholePartitions, nil),
		"digests of buckets":    wire.AppendDigests(nil, wire.EachBucket, nil),
		"a listing":             wire.AppendList(nil, &kv.ListRequest{Limit: 1}, nil),
	} {
		if answer, err := n.Exchange(nil, append(bytes.Clone(head), make([]byte, 1<<16)...)); err == nil || len(answer) > 0 {
			t.Errorf("%s: 32,768 of the same are answered with %d bytes, %v", what, len(answer), err)
		}
	}
}

// After a ping with a number that no node has reached, later pings are still heard. Else one ping
// would make a node deaf to a peer until that is restarted.
func TestNoPingIsTheLast(t *testing.T) {
	c := newCluster(t, clusterOptions{nodes: 2, replicas: 2})
	n := c.nodes[0]
	last := c.nodes[1].statement(t)
	last.Number = math.MaxUint64
	if answer, err := n.Exchange(nil, wire.AppendPing(nil, &last)); !errors.Is(err, wire.ErrMalformed) {
		t.Errorf("it is answered with %d bytes, %v", len(answer), err)
	}
	before := n.Topology.Peers()[0].Ping.Number
	poll.True(t, "pings are heard", func() bool { return n.Topology.Peers()[0].Ping.Number > before })
	if number := n.Topology.Peers()[0].Ping.Number; number > 1<<48 {
		t.Errorf("the last that was heard has the number %d", number)
	}
}

// A node takes any bytes for a peer's answer to anything that it asks, without harm.
func FuzzPeerAnswers(f *testing.F) {
	seeds(f)
	const boot = 7
	now := time.Now()
	digests := wire.OpenDigests(nil, wire.Origin{Boot: boot, Authority: true})
	f.Add(append(bytes.Clone(digests), make([]byte, 8)...))
	f.Add(append(bytes.Clone(digests), bytes.Repeat([]byte{1}, 8*wire.DigestBuckets)...))
	pull := wire.OpenPulled(nil, wire.Origin{Boot: boot, Authority: true})
	f.Add(kv.AppendRecord(pull, &kv.Record{Key: []byte("k"), Entry: kv.Entry{Version: 1 << 40, Value: []byte("v")}}))
	f.Add(wire.AppendNodes(nil, []ring.Node{{Name: "node0", Weight: 1}, {Name: "node1", Weight: 1, Zone: "z"}}))
	f.Add(wire.AppendHello(nil, []byte(`{}`)))
	f.Add(wire.AppendPing(nil, &wire.Ping{
		Name: "node1", Boot: boot, Settings: "s", Wall: now.UnixMicro(), Machine: now.UnixMicro(), Number: 1, Dead: []string{"node0"},
		Said:   rebalance.Statement{Seq: 3, Map: 1, Reads: 1, Writes: []rebalance.Ring{1, 2}, Wants: []rebalance.Ring{1, 2}, Holds: []rebalance.Ring{1}},
		Moving: &wire.Moving{Done: 1, Partitions: 2, Bytes: 3, Seconds: 4}, Sees: wire.Sight{Boot: 1, Suspicion: 2, Live: true, Acknowledged: 1},
	}))
	f.Fuzz(func(t *testing.T, answer []byte) {
		c := idleCluster(t, clusterOptions{nodes: 2, replicas: 2})
		c.net.Between("node0", "node1", memnet.AnswerWith(answer))
		n := c.boot(0, 1, clusterOptions{})
		deadline := time.Now().Add(10 * time.Millisecond)
		for range 2 { // after the first it may be up
			n.Topology.Refresh(deadline)
			n.Topology.Advance()
		}
		n.Locate([]byte("key"), deadline)
		_, _ = n.List(&kv.ListRequest{Limit: 3, Deadline: deadline})
		n.doWithin(time.Millisecond, op(kv.OpPut, "key", "value"), kv.LevelAll)
		n.getWithin(time.Millisecond, "key", kv.LevelQuorum)
	})
}
