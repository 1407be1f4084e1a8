package wire

import (
	"bytes"
	"reflect"
	"slices"
	"testing"
	"time"

	"httpdhs/kv"
	"httpdhs/rebalance"
	"httpdhs/ring"
)

const fuzzPartitions = 256

// Any bytes may come as any message, or as the answer to any. They are decoded without harm, and
// what is decoded is no larger than they are. What is a question, or an answer, is one again when
// it is encoded.
func FuzzMessages(f *testing.F) {
	r := kv.Record{Key: []byte("key"), Entry: kv.Entry{Version: 1 << 40, Expires: 1 << 50, Meta: []byte("a/b"), Value: []byte("value")}}
	batch := AppendApply(OpenBatch(nil), &r)
	batch = AppendRead(batch, r.Key)
	batch = AppendDecide(batch, 7, 1<<20, variety(r.Key))
	f.Add(batch)
	f.Add(AppendResult(OpenBatch(nil), &Result{Code: Found, Record: r}))
	f.Add(AppendResult(OpenBatch(nil), &Result{Code: Decided, Decision: sums(9, "7")}))
	f.Add(AppendList(nil, &kv.ListRequest{From: 1, Limit: 10, Prefix: []byte("k")}, []uint16{0, 1, 255}))
	f.Add(kv.AppendRecord(OpenListing(nil), &r))
	f.Add(AppendDigests(nil, EachBucket, []int{3, 255}))
	f.Add(new(Digests).AppendTo(OpenDigests(nil, Origin{Boot: 7, Authority: true}), WholePartitions))
	f.Add(AppendPull(nil, &Pull{Partition: 1, From: 2, Buckets: Buckets{255}}))
	f.Add(kv.AppendRecord(OpenPulled(nil, Origin{Boot: 7}), &r))
	f.Add(AppendRing(nil, 5))
	f.Add(AppendNodes(nil, []ring.Node{{Name: "node0", Weight: 1}, {Name: "node1", Weight: 1, Zone: "z"}}))
	f.Add(AppendHello(nil, (&Hello{From: "a:1"}).Encode()))
	f.Add(AppendPing(nil, &Ping{
		Name: "node1", Boot: 7, Settings: "s", Started: time.Unix(0, 0),
		Said: rebalance.Statement{Seq: 3, Map: 1, Reads: 1, Writes: []rebalance.Ring{1, 2}},
		Sees: Sight{Boot: 1, Suspicion: 2, Live: true, Acknowledged: 1},
	}))
	f.Add(AppendStatsQuestion(nil))
	f.Add(AppendStats(nil, &Stats{
		At: time.Unix(1, 0), Started: time.Unix(0, 0), Connections: 2, Bounds: []int64{10, 20},
		Operations: []OperationStats{{Kind: "get", Errors: 1, Nanos: 70, Buckets: []int64{1, 0, 3}}},
		Hot:        []PartitionRate{{Partition: 7, Reads: 1.5}},
	}))
	f.Add(AppendStanding(nil, &Standing{Boot: 7, Parts: make([]Part, fuzzPartitions), Ways: []Way{{Name: "a:1", Counts: true}}}))
	f.Fuzz(func(t *testing.T, msg []byte) {
		before := bytes.Clone(msg)
		fuzzBatch(msg)
		if kind, body, err := Split(msg); err == nil {
			fuzzQuestion(t, kind, body)
		}
		if ping, err := ParsePing(msg); err == nil {
			if _, err := ParsePing(AppendPing(nil, &ping)); err != nil {
				t.Errorf("%+v is a ping that is none: %v", ping, err)
			}
		}
		if l, err := ParseListing(msg); err == nil {
			records(l.Records)
		}
		if _, all, err := ParseDigestsAnswer(msg, WholePartitions, 1); err == nil && len(all) != 1 {
			t.Errorf("%d digests", len(all))
		}
		if _, all, err := ParseDigestsAnswer(msg, EachBucket, 1); err == nil {
			new(Digests).Differ(all)
		}
		if _, p, err := ParsePulled(msg); err == nil {
			records(p.Records)
		}
		if nodes, err := ParseNodes(msg); err == nil {
			if again, err := ParseNodes(AppendNodes(nil, nodes)); err != nil || !slices.Equal(again, nodes) {
				t.Errorf("%v come back as %v, %v", nodes, again, err)
			}
		}
		if s, err := ParseStats(msg); err == nil {
			if again, err := ParseStats(AppendStats(nil, &s)); err != nil || len(again.Operations) != len(s.Operations) {
				t.Errorf("%+v are stats that are none: %v", s, err)
			}
		}
		if s, err := ParseStanding(msg, fuzzPartitions); err == nil {
			if again, err := ParseStanding(AppendStanding(nil, &s), fuzzPartitions); err != nil || !reflect.DeepEqual(again, s) {
				t.Errorf("%+v comes back as %+v, %v", s, again, err)
			}
		}
		if body, err := SplitHello(msg); err == nil {
			_, _ = DecodeHello(body)
		}
		if !bytes.Equal(msg, before) {
			t.Error("the message was changed")
		}
	})
}

// fuzzBatch reads a message as a batch and as the answer to one.
func fuzzBatch(msg []byte) {
	_, body, err := SplitBatch(msg)
	if err != nil {
		return
	}
	for items := body; len(items) > 0 && err == nil; {
		var it Item
		it, items, err = NextItem(items)
		for ops, more := it.Ops, error(nil); len(ops) > 0 && more == nil; {
			var op kv.Op
			ops, _, more = NextOp(ops, &op, nil)
		}
	}
	err = nil
	for results := body; len(results) > 0 && err == nil; {
		var r Result
		if r, results, err = NextResult(results); err == nil && r.Code == Decided {
			d := &kv.Decision{Ops: variety([]byte("key")), Version: 9}
			if ReadDecided(r.Outcome, d) == nil && len(d.Results) != len(d.Ops) {
				panic("results that are not one for each operation")
			}
		}
	}
}

func fuzzQuestion(t *testing.T, kind Kind, body []byte) {
	switch kind {
	case KindList:
		req, of, err := ParseList(body, fuzzPartitions)
		if err == nil && (len(req.Prefix) > len(body) || len(of) > 2*fuzzPartitions) {
			t.Errorf("%+v of %d bytes of partitions", req, len(of))
		}
		visit(t, of)
	case KindDigests:
		_, of, _ := ParseDigests(body, fuzzPartitions)
		visit(t, of)
	case KindPull:
		if p, err := ParsePull(body, fuzzPartitions); err == nil && !bytes.Equal(AppendPull(nil, &p)[Head:], body) {
			t.Errorf("%x is the pull %+v", body, p)
		}
	case KindRing:
		if r, err := ParseRing(body); err == nil && !bytes.Equal(AppendRing(nil, r)[Head:], body) {
			t.Errorf("%x asks for ring %x", body, r)
		}
	}
}

// visit takes all partitions off a list.
func visit(t *testing.T, of Partitions) {
	for len(of) > 0 {
		if p := of.Next(); p >= fuzzPartitions {
			t.Errorf("partition %d", p)
		}
	}
}

// records decodes records until they end, or are none.
func records(body []byte) {
	for err := error(nil); len(body) > 0 && err == nil; {
		_, body, err = DecodeRecord(body)
	}
}
