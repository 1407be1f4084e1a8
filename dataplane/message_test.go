package dataplane

import (
	"bytes"
	"testing"

	"httpdhs/kv"
	"httpdhs/wire"
)

// allBuckets are those of a partition.
var allBuckets = wire.Buckets(bytes.Repeat([]byte{255}, len(wire.Buckets{})))

// seeds are messages to start fuzzing from.
func seeds(f *testing.F) {
	r := kv.Record{Key: []byte("key"), Entry: kv.Entry{Version: 1 << 40, Expires: 1 << 50, Meta: []byte("a/b"), Value: []byte("value")}}
	batch := wire.AppendApply(wire.OpenBatch(nil), &r)
	batch = wire.AppendRead(batch, r.Key)
	batch = wire.AppendDecide(batch, 7, 1<<20, []*kv.Op{
		{Kind: kv.OpAppend, Cond: kv.Condition{Kind: kv.IfNotVersion, Versions: []kv.Version{1, 2}}, Record: r},
		{Kind: kv.OpIncr, Number: 5, Record: kv.Record{Key: r.Key}},
	})
	f.Add(batch)
	f.Add(batch[:len(batch)-3])
	answer := wire.AppendResult(wire.OpenBatch(nil), &wire.Result{Code: wire.Found, Record: r})
	answer = wire.AppendResult(answer, &wire.Result{Code: wire.Stale, Version: 4})
	f.Add(answer)
	f.Add(wire.AppendList(nil, &kv.ListRequest{From: 1, Limit: 10, Prefix: []byte("k")}, []uint16{0, 1, 255}))
	f.Add(wire.AppendList(nil, &kv.ListRequest{Limit: 1, Values: true}, []uint16{65535}))
	f.Add(wire.AppendPing(nil, &wire.Ping{Name: "node1", Boot: 7, Settings: "s", Sees: wire.Sight{Boot: 1, Suspicion: 2, Live: true}}))
	f.Add(wire.AppendDigests(nil, wire.EachBucket, []int{3, 255}))
	f.Add(wire.AppendPull(nil, &wire.Pull{Partition: 1, Buckets: allBuckets}))
	f.Add([]byte{})
	f.Add([]byte{wire.Format, byte(wire.KindList), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01})
}

// A node takes any bytes for a message without harm: it answers or refuses, in
// memory that is bounded by the message and by what it holds.
func FuzzExchange(f *testing.F) {
	seeds(f)
	c := idleCluster(f, clusterOptions{nodes: 2, replicas: 2})
	n := c.boot(0, 1, clusterOptions{})
	for _, key := range []string{"key", "a", "b"} {
		n.plant(f, key, "some value", 1<<30)
	}
	prefix := []byte("prefix")
	f.Fuzz(func(t *testing.T, msg []byte) {
		before := bytes.Clone(msg)
		answer, err := n.Exchange(bytes.Clone(prefix), msg)
		if !bytes.HasPrefix(answer, prefix) {
			t.Fatal("the answer is not appended")
		}
		if err != nil && len(answer) != len(prefix) {
			t.Fatalf("%d bytes of answer with the error %v", len(answer)-len(prefix), err)
		}
		if !bytes.Equal(msg, before) {
			t.Fatal("the message was changed")
		}
		// The largest are digests of 64 partitions, 2 KiB each.
		if bound := 1<<18 + 2*len(msg); len(answer) > bound {
			t.Fatalf("%d bytes of answer to %d", len(answer), len(msg))
		}
		_, _ = wire.ParsePing(msg)
	})
}
