package replicate

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"httpdhs/kv"
	"httpdhs/rebalance"
)

// What is to be answered is bounded whatever is asked: a question that names partitions again and
// again is refused. Two bytes of it would else make 2 KiB of answer, and a message as long as one
// may be 64 GiB.
func TestQuestionsNameFewPartitions(t *testing.T) {
	c := idleCluster(t, clusterOptions{nodes: 2, replicas: 2})
	n := c.boot(0, 1, clusterOptions{})
	for what, head := range map[string][]byte{
		"digests of partitions": append(appendHead(nil, kindDigests), levelPartitions),
		"digests of buckets":    append(appendHead(nil, kindDigests), levelBuckets),
		"a listing":             appendListRequest(nil, &kv.ListRequest{Limit: 1}, nil),
	} {
		if answer, err := n.Exchange(nil, append(bytes.Clone(head), make([]byte, 1<<16)...)); err == nil || len(answer) > 0 {
			t.Errorf("%s: 32,768 of the same are answered with %d bytes, %v", what, len(answer), err)
		}
	}
}

// What a node says of itself is bounded too: it is kept, and looked through at each step.
func TestPingsAreBounded(t *testing.T) {
	many := make([]rebalance.Ring, 1000)
	for i := range many {
		many[i] = rebalance.Ring(i + 1)
	}
	good := Ping{Name: "node1", Boot: 7, Wall: time.Now().UnixMicro(), Machine: time.Now().UnixMicro()}
	if _, err := parsePing(appendPing(nil, &good)); err != nil {
		t.Fatal(err)
	}
	for what, spoil := range map[string]func(p *Ping){
		"wants":         func(p *Ping) { p.Said.Wants = many },
		"writes":        func(p *Ping) { p.Said.Writes = many },
		"holds":         func(p *Ping) { p.Said.Holds = many },
		"length":        func(p *Ping) { p.Version = strings.Repeat("v", 1<<20) },
		"before 1970":   func(p *Ping) { p.Wall = -1 },
		"after 2100":    func(p *Ping) { p.Wall = 1 << 60 },
		"started":       func(p *Ping) { p.Started = time.Unix(1<<60, 0) },
		"lead":          func(p *Ping) { p.Lead = math.MinInt64 },
		"machine":       func(p *Ping) { p.Machine = 1 << 62 },
		"machine below": func(p *Ping) { p.Machine = -1 << 62 },
		"rate":          func(p *Ping) { p.Moving = &Moving{Bytes: 1 << 60, Done: 1, Seconds: 1e-300} },
		"negative time": func(p *Ping) { p.Moving = &Moving{Bytes: 1 << 60, Done: 1, Seconds: -1} },
		"no rate":       func(p *Ping) { p.Moving = &Moving{Bytes: 1, Partitions: 1 << 60, Done: 1, Seconds: 1e300} },
		"number":        func(p *Ping) { p.Number = countMax + 1 },
		"statements":    func(p *Ping) { p.Said.Seq = math.MaxUint64 },
		"terms":         func(p *Ping) { p.Term = math.MaxUint64 },
		"downs":         func(p *Ping) { p.Sees = map[uint64]Sight{1: {Downs: math.MaxUint64}} },
		"heeded term":   func(p *Ping) { p.Sees = map[uint64]Sight{1: {}, 2: {Term: countMax + 1}} },
		"heeded downs":  func(p *Ping) { p.Heeds = map[uint64]uint64{1: math.MaxUint64} },
	} {
		p := good
		spoil(&p)
		if _, err := parsePing(appendPing(nil, &p)); !errors.Is(err, errMessage) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// A ping with a number that no node has reached leaves the pings that come after it heard: else one
// would make a node deaf to a peer until that is started again.
func TestNoPingIsTheLast(t *testing.T) {
	c := newCluster(t, clusterOptions{nodes: 2, replicas: 2})
	n := c.nodes[0]
	last := c.nodes[1].self()
	last.Number = math.MaxUint64
	if answer, err := n.Exchange(nil, appendPing(nil, &last)); !errors.Is(err, errMessage) {
		t.Errorf("it is answered with %d bytes, %v", len(answer), err)
	}
	before := n.Peers()[0].Ping.Number
	eventually(t, "pings are heard", func() bool { return n.Peers()[0].Ping.Number > before })
	if number := n.Peers()[0].Ping.Number; number > countMax {
		t.Errorf("the last that was heard has the number %d", number)
	}
}

// The longest key that a node may be set to take fits a batch, which the node has to read itself
// again when its peer goes down.
func TestBatchesTakeTheLongestKey(t *testing.T) {
	r := kv.Record{Key: make([]byte, 1<<20+1), Entry: kv.Entry{Version: 1, Value: []byte("v")}}
	if it, rest := ownItem(appendApply(nil, &r)); !bytes.Equal(it.record.Key, r.Key) || len(rest) > 0 {
		t.Error("another came back")
	}
}

// A panic in one of several things that are done at once is raised where they are waited for,
// when all of them are over: in a handler, which counts it, and not in a goroutine where it would
// end the process.
func TestPanicsAreTheCallers(t *testing.T) {
	var all together
	var done atomic.Int32
	for i := range 5 {
		all.Go(func() {
			if i == 2 {
				panic("a fault")
			}
			done.Add(1)
		})
	}
	defer func() {
		if v := recover(); v != "a fault" || done.Load() != 4 {
			t.Errorf("panic: %v; %d of 4 others are done", v, done.Load())
		}
	}()
	all.Wait()
	t.Error("nobody is told")
}

// A node takes any bytes for a peer's answer to anything that it asks, without harm.
func FuzzPeerAnswers(f *testing.F) {
	seeds(f)
	const boot = 7
	now := time.Now()
	digests := append(binary.LittleEndian.AppendUint64(appendHead(nil, kindDigests), boot), 1)
	f.Add(append(bytes.Clone(digests), make([]byte, 8)...))
	f.Add(append(bytes.Clone(digests), bytes.Repeat([]byte{1}, 8*digestBuckets)...))
	pull := append(binary.LittleEndian.AppendUint64(appendHead(nil, kindPull), boot), 1, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	f.Add(kv.AppendRecord(pull, &kv.Record{Key: []byte("k"), Entry: kv.Entry{Version: 1 << 40, Value: []byte("v")}}))
	f.Add(append(appendHead(nil, kindRing), `[{"Name":"node0","Weight":1},{"Name":"node1","Weight":1,"Zone":"z"}]`...))
	f.Add(AppendHello(nil, []byte(`{}`)))
	f.Add(appendPing(nil, &Ping{
		Name: "node1", Boot: boot, Settings: "s", Wall: now.UnixMicro(), Machine: now.UnixMicro(), Number: 1, Dead: []string{"node0"},
		Said:   rebalance.Statement{Seq: 3, Map: 1, Reads: 1, Writes: []rebalance.Ring{1, 2}, Wants: []rebalance.Ring{1, 2}, Holds: []rebalance.Ring{1}},
		Moving: &Moving{Done: 1, Partitions: 2, Bytes: 3, Seconds: 4}, Sees: map[uint64]Sight{1: {Downs: 2, Live: true}}, Heeds: map[uint64]uint64{1: 1},
	}))
	f.Fuzz(func(t *testing.T, answer []byte) {
		c := idleCluster(t, clusterOptions{nodes: 2, replicas: 2})
		n := c.boot(0, 1, clusterOptions{})
		p := n.peer(1)
		c.net.set(n.name, p.name, answerWith(answer))
		p.mu.Lock()
		p.ping.Boot = boot
		p.mu.Unlock()
		deadline := time.Now().Add(time.Minute)
		o := origin{p, false}
		_, _ = o.digests(levelPartitions, []int{0})
		_, _ = o.digests(levelBuckets, []int{0})
		_, _ = n.learnRing(1, p)
		_, _ = p.look([]byte("key"), deadline)
		if body, err := o.expectOrigin(answer, kindPull, pullHead); err == nil {
			_ = n.takePulled(body[9:])
		}
		_, _ = SplitHello(answer)
		s := source{}
		if s.parse(answer) == nil {
			mergePage(s.records, 3, s.next, s.more, s.more)
		}
		p.probe(deadline)
		p.probe(deadline) // by now it may be up
		n.Refresh(deadline)
		_ = n.learnRings()
		n.Locate([]byte("key"), deadline)
	})
}
