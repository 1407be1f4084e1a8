package replicate

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"reflect"
	"testing"
	"time"

	"httpdhs/kv"
	"httpdhs/rebalance"
)

// What nodes of one format say to each other is fixed to the byte: a cluster
// is upgraded node by node.
func TestGoldenMessages(t *testing.T) {
	batch := openBatch(nil)
	setBatchClock(batch, 0x1122334455667788)
	batch = appendApply(batch, &kv.Record{Key: []byte("k"), Entry: kv.Entry{Version: 0x0102030405060708, Value: []byte("vv")}})
	batch = appendRead(batch, []byte("key"))
	batch = appendCond(batch, &kv.Condition{Kind: kv.IfVersion, Versions: []kv.Version{1, 0xff}},
		&kv.Record{Key: []byte("d"), Entry: kv.Entry{Version: 9, Tombstone: true}})
	golden(t, "batch", batch, "0301"+"8877665544332211"+
		"61"+"10"+"01"+"02"+"0807060504030201"+"6b"+"7676"+
		"72"+"03"+"6b6579"+
		"63"+"03"+"02"+"0100000000000000"+"ff00000000000000"+"11"+"01"+"0900000000000000"+"64")

	answer := openBatch(nil)
	for _, r := range []result{
		{code: resultStored, existed: true}, {code: resultStale, version: 7}, {code: resultNoMemory}, {code: resultRefused}, {code: resultUnbelieved},
		{code: resultCondition, version: 8}, {code: resultFound, unsynced: true, record: kv.Record{Key: []byte("k"), Entry: kv.Entry{Version: 1}}},
		{code: resultAbsent}, {code: resultUnsynced}, {code: resultAgain},
	} {
		answer = appendResult(answer, &r)
	}
	golden(t, "answer", answer, "0301"+"0000000000000000"+
		"81"+"02"+"0700000000000000"+"03"+"04"+"0b"+"05"+"0800000000000000"+
		"46"+"10"+"01"+"00"+"0100000000000000"+"6b"+"07"+"09"+"08")

	list := appendListRequest(nil, &kv.ListRequest{From: 0x1234, Limit: 5, Values: true, Prefix: []byte("p")}, []uint16{1, 0x203})
	golden(t, "listing", list, "0302"+"3412000000000000"+"05000000"+"01"+"01"+"70"+"0100"+"0302")

	ping := appendPing(nil, &Ping{
		Name: "n", Boot: 7, Settings: "s", Clock: 300, Wall: 1, Lead: -1, Machine: 2, Synced: true, Number: 3,
		Said: rebalance.Statement{Seq: 4, Map: 5, Reads: 6, Writes: []rebalance.Ring{6, 7}, Holds: []rebalance.Ring{6}},
		Term: 8, Moving: &Moving{Ring: "r", Partitions: 9, Done: 1, Bytes: 2, Seconds: 1}, HandOver: 10, Dead: []string{"d"},
		Sees: map[uint64]Sight{11: {Downs: 12, Live: true, Term: 13, Counts: true}}, Heeds: map[uint64]uint64{14: 15},
		Keys: 1, Bytes: 2, Tombstones: 3, Version: "v", Started: time.Unix(64, 1),
		Memory: Memory{Live: 4, Dead: 5, Segments: 6, Index: 7, Max: 8, Evicted: 9, EvictedBytes: 10},
	})
	golden(t, "ping", ping, "0303"+"05"+"016e"+"07"+"0173"+"ac02"+"02"+"01"+"04"+"03"+
		"04"+"05"+"06"+"020607"+"00"+"0106"+"08"+"0172"+"12"+"02"+"04"+"000000000000f03f"+"14"+"01"+"0164"+
		"01"+"0b"+"03"+"0c"+"0d"+"01"+"0e"+"0f"+
		"02"+"04"+"06"+"08"+"0a"+"0c"+"0e"+"10"+"12"+"14"+"0176"+"8001"+"02")
}

// A ping is read as it was written, whatever a later version appends to it. One that is cut is refused.
func TestPingsComeBack(t *testing.T) {
	want := Ping{
		Name: "node1", Boot: math.MaxUint64, Settings: "--replicas=2", Clock: math.MaxUint64, Wall: 5, Lead: -6, Machine: 7,
		Stopping: true, Number: countMax, Term: 8, HandOver: 9, Dead: []string{"node2", "node3"},
		Said:   rebalance.Statement{Seq: 1, Map: 2, Reads: 3, Guess: true, Writes: []rebalance.Ring{4}, Wants: []rebalance.Ring{5}, Holds: []rebalance.Ring{6}},
		Moving: &Moving{Ring: "r", Partitions: 1, Done: 2, Bytes: 3, Seconds: 0.5},
		Sees:   map[uint64]Sight{1: {Downs: 2, Live: true, Term: 3}, 4: {Counts: true}}, Heeds: map[uint64]uint64{5: 6, 7: 8},
		Keys: 1, Bytes: 2, Tombstones: 3, Version: "1.0", Started: time.Unix(1_700_000_000, 123_456_789),
		Memory: Memory{Live: 1, Dead: 2, Segments: 3, Index: 4, Max: 5, Evicted: 6, EvictedBytes: 7},
	}
	msg := appendPing(nil, &want)
	for what, msg := range map[string][]byte{"alone": msg, "with more": append(bytes.Clone(msg), "more"...)} {
		if got, err := parsePing(msg); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v:\n got %+v\nwant %+v", what, err, got, want)
		}
	}
	for end := range msg {
		if _, err := parsePing(msg[:end]); !errors.Is(err, errMessage) {
			t.Errorf("the first %d bytes of %d: %v", end, len(msg), err)
		}
	}
}

func golden(t *testing.T, what string, got []byte, want string) {
	t.Helper()
	if h := hex.EncodeToString(got); h != want {
		t.Errorf("%s:\n got %s\nwant %s", what, h, want)
	}
}

// What is encoded is decoded to the same.
func TestItemsAndResultsComeBack(t *testing.T) {
	record := kv.Record{Key: []byte("k"), Entry: kv.Entry{Version: 5, Expires: 9, Meta: []byte("t/t"), Value: []byte("v")}}
	conditions := []kv.Condition{
		{Kind: kv.IfAbsent}, {Kind: kv.IfPresent}, {Kind: kv.IfVersion, Versions: make([]kv.Version, kv.MaxConditionVersions)},
		{Kind: kv.IfNotVersion, Versions: []kv.Version{3}},
	}
	body := appendApply(nil, &record)
	body = appendRead(body, record.Key)
	for i := range conditions {
		body = appendCond(body, &conditions[i], &record)
	}
	it, body := ownItem(body)
	if it.kind != itemApply || !reflect.DeepEqual(it.record, record) {
		t.Errorf("apply: %+v", it)
	}
	if it, body = ownItem(body); it.kind != itemRead || string(it.record.Key) != "k" {
		t.Errorf("read: %+v", it)
	}
	for _, want := range conditions {
		it, body = ownItem(body)
		if it.kind != itemCond || it.cond.Kind != want.Kind || len(it.cond.Versions) != len(want.Versions) || !reflect.DeepEqual(it.record, record) {
			t.Errorf("condition: %+v", it)
		}
	}
	if len(body) != 0 {
		t.Errorf("%d bytes left", len(body))
	}
}

// seeds are messages to start fuzzing from.
func seeds(f *testing.F) {
	r := kv.Record{Key: []byte("key"), Entry: kv.Entry{Version: 1 << 40, Expires: 1 << 50, Meta: []byte("a/b"), Value: []byte("value")}}
	batch := appendApply(openBatch(nil), &r)
	batch = appendRead(batch, r.Key)
	batch = appendCond(batch, &kv.Condition{Kind: kv.IfNotVersion, Versions: []kv.Version{1, 2}}, &r)
	f.Add(batch)
	f.Add(batch[:len(batch)-3])
	answer := appendResult(openBatch(nil), &result{code: resultFound, record: r})
	answer = appendResult(answer, &result{code: resultStale, version: 4})
	f.Add(answer)
	f.Add(appendListRequest(nil, &kv.ListRequest{From: 1, Limit: 10, Prefix: []byte("k")}, []uint16{0, 1, 255}))
	f.Add(appendListRequest(nil, &kv.ListRequest{Limit: 1, Values: true}, []uint16{65535}))
	f.Add(appendPing(nil, &Ping{Name: "node1", Boot: 7, Settings: "s", Sees: map[uint64]Sight{1: {Downs: 2, Live: true}}}))
	f.Add(append(appendHead(nil, kindDigests), levelBuckets, 3, 0, 255, 0))
	f.Add(append(append(appendHead(nil, kindPull), 1, 0, 0, 0, 0, 0, 0, 0, 0, 0), bytes.Repeat([]byte{255}, bitmapBytes)...))
	f.Add([]byte{})
	f.Add([]byte{messageFormat, kindList, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01})
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
		_, _ = parsePing(msg)
	})
}

// A sender takes any bytes for an answer without harm: every ticket is resolved
// at most once, and those that are not stay with the batch.
func FuzzAnswer(f *testing.F) {
	seeds(f)
	c := idleCluster(f, clusterOptions{nodes: 2, replicas: 2})
	peer := c.boot(0, 1, clusterOptions{}).peer(1)
	f.Fuzz(func(t *testing.T, answer []byte) {
		b := acquireBatch()
		p := acquirePending(3)
		key := []byte("key")
		next := opState{phase: phaseReadOne, waiting: 1, required: 1}
		b.buf, b.tickets = appendRead(b.buf, key), append(b.tickets, p.begin(0, next))
		next.phase = phaseWrite
		r := kv.Record{Key: key, Entry: kv.Entry{Version: 1}}
		b.buf, b.tickets = appendApply(b.buf, &r), append(b.tickets, p.begin(1, next))
		next.phase = phaseDecide
		b.buf, b.tickets = appendCond(b.buf, &kv.Condition{Kind: kv.IfAbsent}, &r), append(b.tickets, p.begin(2, next))
		b.asks = 2
		b.retried = len(answer)%2 == 1
		err := peer.settle(b, answer)
		open := 0
		for _, ticket := range b.tickets {
			if ticket.p != nil {
				open++
			}
		}
		if p.refs != 1+open {
			t.Fatalf("%d references with %d tickets open (%v)", p.refs, open, err)
		}
		if err == nil && open != len(b.tickets) {
			t.Fatalf("%d of %d items left have tickets", open, len(b.tickets))
		}
		failTickets(b.orphan(nil), failedDown)
		for body := b.buf[batchHead:]; len(body) > 0; {
			var it item
			if it, body = ownItem(body); it.kind != itemApply {
				t.Fatalf("item %q stays as a hint", it.kind)
			}
		}
		p.mu.Lock()
		p.releaseLocked()
		(&source{}).parse(answer)
	})
}
