package wire

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"httpdhs/kv"
	"httpdhs/rebalance"
)

// What nodes of one format say to each other is fixed to the byte, since a cluster is upgraded node
// by node.
func TestGoldenMessages(t *testing.T) {
	batch := OpenBatch(nil)
	SetClock(batch, 0x1122334455667788)
	batch = AppendApply(batch, &kv.Record{Key: []byte("k"), Entry: kv.Entry{Version: 0x0102030405060708, Value: []byte("vv")}})
	batch = AppendRead(batch, []byte("key"))
	batch = AppendDecide(batch, 9, 1<<20, []*kv.Op{
		{Kind: kv.OpDelete, Cond: kv.Condition{Kind: kv.IfVersion, Versions: []kv.Version{1, 0xff}}, Record: kv.Record{Key: []byte("d")}},
		{Kind: kv.OpIncr, Number: -3, Prior: true},
	})
	golden(t, "batch", batch, "0901"+"8877665544332211"+
		"61"+"10"+"01"+"02"+"0807060504030201"+"6b"+"7676"+
		"72"+"03"+"6b6579"+
		"64"+"0900000000000000"+"808040"+"01"+"64"+"97808000"+
		"02"+"0c"+"03"+"02"+"0100000000000000"+"ff00000000000000"+
		"03"+"22"+"05")

	answer := OpenBatch(nil)
	for _, r := range []Result{
		{Code: Stored, Existed: true}, {Code: Stale, Version: 7}, {Code: NoMemory}, {Code: Refused}, {Code: TooFarAhead},
		{Code: Decided, Decision: sums(9, "7")}, {Code: Found, NoAuthority: true, Record: kv.Record{Key: []byte("k"), Entry: kv.Entry{Version: 1}}},
		{Code: Absent}, {Code: NotPrimary}, {Code: NoDisk}, {Code: DiskFull}, {Code: NotDurable}, {Code: Filled},
		{Code: Larger, Needs: kv.Copies{Found: 5, Made: 300}}, {Code: Again},
	} {
		answer = AppendResult(answer, &r)
	}
	golden(t, "answer", answer, "0901"+"0000000000000000"+
		"81"+"02"+"0700000000000000"+"03"+"04"+"0b"+
		"05"+"03"+"0800000000000000"+"10"+"01"+"01"+"0900000000000000"+"64"+"37"+"84808000"+"00"+"07"+"01"+"00"+

		"46"+"10"+"01"+"00"+"0100000000000000"+"6b"+"07"+"09"+"0c"+"0d"+"0e"+"0f"+"10"+"05"+"ac02"+"08")

	list := AppendList(nil, &kv.ListRequest{From: 0x1234, Limit: 5, Bytes: 0x6789, Values: true, Prefix: []byte("p")}, []uint16{1, 0x203})
	golden(t, "listing", list, "0902"+"3412000000000000"+"05000000"+"89670000"+"01"+"01"+"70"+"0100"+"0302")

	ping := AppendPing(nil, &Ping{
		Name: "n", Boot: 7, Settings: "s", Clock: 300, Wall: 1, Lead: -1, Machine: 2, InSync: true, Number: 3,
		Said:         rebalance.Statement{Seq: 4, Map: 5, Reads: 6, Writes: []rebalance.Ring{6, 7}, Holds: []rebalance.Ring{6}},
		PrimaryEpoch: 8, Moving: &Moving{Ring: "r", Partitions: 9, Done: 1, Bytes: 2, Seconds: 1}, HandOver: 10, Dead: []string{"d"},
		Sees: Sight{Boot: 11, Suspicion: 12, Live: true, PrimaryEpoch: 13, Counts: true, Acknowledged: 15}, Heard: 16, Held: 17,
		Keys: 1, Bytes: 2, Tombstones: 3, Version: "v", Resp: "h:1", Started: time.Unix(64, 1),
		Memory: Memory{Live: 4, Dead: 5, Segments: 6, Index: 7, Max: 8, Evicted: 9, EvictedBytes: 10},
		Disk:   Disk{Bytes: 11, Unsynced: 12, Max: 13, Faults: 1},

		UnderReplicated: 2,
	})
	golden(t, "ping", ping, "0903"+"05"+"016e"+"07"+"0173"+"ac02"+"02"+"01"+"04"+"03"+
		"04"+"05"+"06"+"020607"+"00"+"0106"+"08"+"0172"+"12"+"02"+"04"+"000000000000f03f"+"14"+"01"+"0164"+
		"03"+"0b"+"0c"+"0d"+"0f"+"10"+"22"+
		"02"+"04"+"06"+"08"+"0a"+"0c"+"0e"+"10"+"12"+"14"+"16"+"18"+"1a"+"02"+"0176"+"03683a31"+"8001"+"02"+"04")
}

// How a node stands is read as it was written. What is cut is refused, and what is of another
// number of partitions.
func TestStandingsComeBack(t *testing.T) {
	want := Standing{
		Boot: 7, Stopping: true,
		Parts: []Part{{}, {Whole: true}, {Held: true, Keys: 300}, {Whole: true, Held: true, Keys: 1}},
		Ways:  []Way{{Name: "a:1", Counts: true, Queued: 300, Finished: 299}, {Name: "b:1"}},
	}
	msg := AppendStanding(nil, &want)
	golden(t, "standing", msg, "0909"+"07"+"01"+"04"+"00"+"01"+"b209"+"07"+"02"+"03613a31"+"01"+"ac02"+"ab02"+"03623a31"+"00"+"00"+"00")
	if got, err := ParseStanding(msg, 4); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v comes back, %v", got, err)
	}
	for n := range msg {
		if _, err := ParseStanding(msg[:n], 4); !errors.Is(err, ErrMalformed) {
			t.Errorf("cut to %d bytes: %v", n, err)
		}
	}
	if _, err := ParseStanding(msg, 5); !errors.Is(err, ErrMalformed) {
		t.Errorf("of other partitions: %v", err)
	}
	if _, err := ParseStanding(append(msg, 0), 4); !errors.Is(err, ErrMalformed) {
		t.Errorf("with more behind it: %v", err)
	}
	if w := want.WayTo("a:1"); w != &want.Ways[0] || want.WayTo("c:1") != nil {
		t.Errorf("the way to a:1 is %+v", w)
	}
}

// A ping is read as it was written, whatever a later version appends to it. One that is cut is
// refused.
func TestPingsComeBack(t *testing.T) {
	want := Ping{
		Name: "node1", Boot: math.MaxUint64, Settings: "--replicas=2", Clock: math.MaxUint64, Wall: 5, Lead: -6, Machine: 7,
		Stopping: true, Figures: true, Number: countMax, PrimaryEpoch: 8, HandOver: 9, Dead: []string{"node2", "node3"},
		Said:   rebalance.Statement{Seq: 1, Map: 2, Reads: 3, Guess: true, Writes: []rebalance.Ring{4}, Wants: []rebalance.Ring{5}, Holds: []rebalance.Ring{6}},
		Moving: &Moving{Ring: "r", Partitions: 1, Done: 2, Bytes: 3, Seconds: 0.5},
		Sees:   Sight{Boot: math.MaxUint64, Suspicion: 2, Live: true, PrimaryEpoch: 3, Acknowledged: 4}, Heard: 5, Held: 6,
		Keys: 1, Bytes: 2, Tombstones: 3, Version: "1.0", Resp: "host:6379", Started: time.Unix(1_700_000_000, 123_456_789),
		Memory: Memory{Live: 1, Dead: 2, Segments: 3, Index: 4, Max: 5, Evicted: 6, EvictedBytes: 7},
		Disk:   Disk{Bytes: 8, Unsynced: 9, Max: 10, Faults: 1},
	}
	msg := AppendPing(nil, &want)
	for what, msg := range map[string][]byte{"alone": msg, "with more": append(bytes.Clone(msg), "more"...)} {
		if got, err := ParsePing(msg); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v:\n got %+v\nwant %+v", what, err, got, want)
		}
	}
	for end := range msg {
		if _, err := ParsePing(msg[:end]); !errors.Is(err, ErrMalformed) {
			t.Errorf("the first %d bytes of %d: %v", end, len(msg), err)
		}
	}
}

// item is the first of a body that this side has made.
func item(t *testing.T, body []byte) (Item, []byte) {
	t.Helper()
	it, rest, err := NextItem(body)
	if err != nil {
		t.Fatal(err)
	}
	return it, rest
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
	body := AppendApply(nil, &record)
	body = AppendRead(body, record.Key)
	it, body := item(t, body)
	if it.Kind != ItemApply || !reflect.DeepEqual(it.Record, record) {
		t.Errorf("apply: %+v", it)
	}
	if it, body = item(t, body); it.Kind != ItemRead || string(it.Record.Key) != "k" {
		t.Errorf("read: %+v", it)
	}
	if len(body) != 0 {
		t.Errorf("%d bytes left", len(body))
	}
}

// What a node says of itself is bounded too: it is kept, and looked through at each step.
func TestPingsAreBounded(t *testing.T) {
	many := make([]rebalance.Ring, 1000)
	for i := range many {
		many[i] = rebalance.Ring(i + 1)
	}
	good := Ping{Name: "node1", Boot: 7, Wall: time.Now().UnixMicro(), Machine: time.Now().UnixMicro()}
	if _, err := ParsePing(AppendPing(nil, &good)); err != nil {
		t.Fatal(err)
	}
	for what, spoil := range map[string]func(p *Ping){
		"wants":                  func(p *Ping) { p.Said.Wants = many },
		"writes":                 func(p *Ping) { p.Said.Writes = many },
		"holds":                  func(p *Ping) { p.Said.Holds = many },
		"length":                 func(p *Ping) { p.Version = strings.Repeat("v", 1<<20) },
		"before 1970":            func(p *Ping) { p.Wall = -1 },
		"after 2100":             func(p *Ping) { p.Wall = 1 << 60 },
		"started":                func(p *Ping) { p.Started = time.Unix(1<<60, 0) },
		"lead":                   func(p *Ping) { p.Lead = math.MinInt64 },
		"machine":                func(p *Ping) { p.Machine = 1 << 62 },
		"machine below":          func(p *Ping) { p.Machine = -1 << 62 },
		"rate":                   func(p *Ping) { p.Moving = &Moving{Bytes: 1 << 60, Done: 1, Seconds: 1e-300} },
		"negative time":          func(p *Ping) { p.Moving = &Moving{Bytes: 1 << 60, Done: 1, Seconds: -1} },
		"no rate":                func(p *Ping) { p.Moving = &Moving{Bytes: 1, Partitions: 1 << 60, Done: 1, Seconds: 1e300} },
		"number":                 func(p *Ping) { p.Number = countMax + 1 },
		"statements":             func(p *Ping) { p.Said.Seq = math.MaxUint64 },
		"epochs":                 func(p *Ping) { p.PrimaryEpoch = math.MaxUint64 },
		"suspicions":             func(p *Ping) { p.Sees = Sight{Suspicion: math.MaxUint64} },
		"acknowledged epoch":     func(p *Ping) { p.Sees = Sight{PrimaryEpoch: countMax + 1} },
		"acknowledged suspicion": func(p *Ping) { p.Sees = Sight{Acknowledged: math.MaxUint64} },
	} {
		p := good
		spoil(&p)
		if _, err := ParsePing(AppendPing(nil, &p)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// The longest key that a node may be set to take fits a batch, which the node has to read itself
// again when its peer goes down.
func TestBatchesTakeTheLongestKey(t *testing.T) {
	r := kv.Record{Key: make([]byte, 1<<20+1), Entry: kv.Entry{Version: 1, Value: []byte("v")}}
	if it, rest := item(t, AppendApply(nil, &r)); !bytes.Equal(it.Record.Key, r.Key) || len(rest) > 0 {
		t.Error("another came back")
	}
}

// A ping says nothing of third nodes that are well: its length is not that of the member list. The
// longest that a node makes, in which all members are dead, is taken.
func TestPingsDoNotGrowWithTheMembers(t *testing.T) {
	var dead []string
	for i := range MaxMembers {
		dead = append(dead, fmt.Sprintf("%0*d", maxAddrBytes, i))
	}
	p := Ping{Name: dead[0], Boot: math.MaxUint64, Started: time.Unix(1<<33, 0), Sees: Sight{Boot: math.MaxUint64, Suspicion: countMax}}
	if n := len(AppendPing(nil, &p)); n > 512 {
		t.Errorf("a ping takes %d bytes", n)
	}
	p.Dead = dead
	if _, err := ParsePing(AppendPing(nil, &p)); err != nil {
		t.Errorf("with all members dead: %v", err)
	}
}

// What is said of a process does not count for the one that was started after it.
func TestASightIsOfOneProcess(t *testing.T) {
	s := Sight{Boot: 7, Suspicion: 2, Live: true, Counts: true, PrimaryEpoch: 3, Acknowledged: 4}
	if s.Of(7) != s || s.Of(8) != (Sight{}) {
		t.Errorf("it says %+v of that process, and %+v of another", s.Of(7), s.Of(8))
	}
}

// Each kind of item that is taken from a peer says how it is carried out, and no other is taken.
// What is added to the kinds has to say so too.
func TestItemsSayHowTheyAreCarriedOut(t *testing.T) {
	modes := map[ItemKind]kv.Mode{ItemApply: kv.ModeMerge, ItemRead: kv.ModeRead, ItemDecide: kv.ModeDecide}
	for b := range 256 {
		kind := ItemKind(b)
		_, _, err := NextItem([]byte{byte(b)})
		if known := !strings.Contains(fmt.Sprint(err), "item 0x"); !known {
			continue
		}
		if want, ok := modes[kind]; !ok || kind.Mode() != want {
			t.Errorf("item 0x%02x is taken: is it known here, and carried out as it says?", b)
		}
	}
}
