package dataplane

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"httpdhs/internal/memnet"
	"httpdhs/internal/poll"
	"httpdhs/kv"
	"httpdhs/wire"
)

// updateOp is an operation that the primary decides.
func updateOp(kind kv.OpKind, key, value string, number int64) kv.Op {
	o := op(kind, key, "")
	o.Value, o.Number = []byte(value), number
	return o
}

func incrOp(key string) kv.Op { return updateOp(kv.OpIncr, key, "", 1) }

// together carries operations out in one call.
func (n *testNode) together(w, r kv.Level, ops ...kv.Op) []kv.Op {
	call := kv.Call{Ops: ops, Write: w, Read: r, Deadline: time.Now().Add(patience)}
	n.Do(&call)
	return call.Ops
}

// toldOf is what operations were told, in short.
func toldOf(ops []kv.Op) (told []string) {
	for i := range ops {
		o := &ops[i]
		switch {
		case o.Err != nil:
			told = append(told, o.Err.Error())
		case o.Number != 0 && o.Kind != kv.OpIncr:
			told = append(told, fmt.Sprint("#", o.Number))
		default:
			told = append(told, string(o.Value))
		}
	}
	return told
}

// shaky has each message take long now and then.
func (c *cluster) shaky() {
	for _, n := range c.nodes {
		c.net.Toward(n.name, func(_ []byte, pass func() ([]byte, error)) ([]byte, error) {
			there, back := rand.ExpFloat64(), rand.ExpFloat64()
			time.Sleep(time.Duration(there * float64(time.Millisecond)))
			answer, err := pass()
			time.Sleep(time.Duration(back * float64(time.Millisecond)))
			return answer, err
		})
	}
}

// Clients at all nodes add to the same counters, alone and in one call with gets, and take the same
// locks. What a call does to a key is done at once: a get finds what its own call has made. Each
// sum is told once, and none is lost.
func TestNothingComesBetweenARun(t *testing.T) {
	for _, level := range []kv.Level{kv.LevelLive, kv.LevelOne, kv.LevelAll} {
		t.Run(fmt.Sprint("level ", level), func(t *testing.T) {
			bubble(t, func(t *testing.T) { testRuns(t, level) })
		})
	}
}

func testRuns(t *testing.T, level kv.Level) {
	const clients, calls = 12, 8
	c := newCluster(t, clusterOptions{nodes: 4, replicas: 3, probeEvery: 100 * time.Millisecond})
	c.shaky()
	counters := []string{c.keyOwnedBy(0, 0, 1, 2), c.keyOwnedBy(0, 2, 3, 1)}
	lock := c.keyOwnedBy(1, 1, 0, 3)
	var mu sync.Mutex
	sums, winners := make(map[string]int), make(map[string]bool)
	won := 0
	var all sync.WaitGroup
	for i := range clients {
		all.Go(func() {
			n, me := c.nodes[i%4], fmt.Sprint("client", i)
			for range calls {
				a, b := counters[i%2], counters[1-i%2]
				ops := n.together(level, kv.LevelOne, incrOp(a), op(kv.OpGet, b, ""), incrOp(b),
					condOp(lock, me, kv.IfAbsent), op(kv.OpGet, a, ""), op(kv.OpGet, b, ""), op(kv.OpGet, lock, ""), incrOp(a))
				one := n.do(incrOp(b), level)
				mu.Lock()
				told := toldOf(ops)
				first, _ := strconv.Atoi(told[0])
				before, err := strconv.Atoi(told[1])
				between, _ := strconv.Atoi(told[2])
				switch {
				case one.Err != nil || told[0] != told[4] || told[7] != fmt.Sprint(first+1) || told[2] != told[5], err == nil && between != before+1:
					t.Errorf("%s was told %q, and then %v", me, told, one.Err)
				case ops[3].Err == nil:
					won++
				}
				for _, sum := range []string{a + told[0], b + told[2], a + told[7], b + string(one.Value)} {
					sums[sum]++
				}
				winners[told[6]] = true
				mu.Unlock()
			}
		})
	}
	all.Wait()
	if won != 1 || len(winners) != 1 {
		t.Errorf("%d took the lock, which is said to be that of %v", won, winners)
	}
	if len(sums) != 4*clients*calls {
		t.Errorf("%d sums are told of %d", len(sums), 4*clients*calls)
	}
	for _, key := range counters {
		wantValue(t, c.nodes[3].get(key, kv.LevelAll), fmt.Sprint(2*clients*calls))
	}
}

// Whoever coordinates a run, it is decided in the same way, and all owners hold what comes of it.
func TestRunWhoeverCoordinatesIt(t *testing.T) { bubble(t, testRunAnywhere) }

func testRunAnywhere(t *testing.T) {
	c := newCluster(t, clusterOptions{nodes: 3, replicas: 2})
	for from, n := range c.nodes { // the primary, an owner, and none
		key := c.keyOwnedBy(from, 0, 1)
		put := op(kv.OpPut, key, "40")
		put.Meta = []byte("a/b")
		soon := updateOp(kv.OpExpire, key, "", 0)
		soon.Expires = time.Now().Add(time.Hour).UnixMilli()
		keep := op(kv.OpPut, key, "x")
		keep.Keep, keep.Prior = true, true
		ops := n.together(kv.LevelLive, kv.LevelOne, put, incrOp(key), soon, updateOp(kv.OpIncrFloat, key, "0.5", 0), op(kv.OpGet, key, ""),
			keep, incrOp(key), updateOp(kv.OpAppend, key, "yz", 0), updateOp(kv.OpSetRange, key, "-", 1), op(kv.OpGet, key, ""))
		want := []string{"", "41", "", "41.5", "41.5", "41.5", kv.ErrNotInteger.Error(), "#3", "#3", "x-z"}
		if got := toldOf(ops); strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("node%d tells %q, want %q", from, got, want)
		}
		for i := range ops {
			if o := &ops[i]; o.Acks != 2 || o.Existed != (i > 0) || o.Err == nil && o.Version != ops[0].Version && i < 9 {
				t.Errorf("node%d, operation %d: %d acks, existed %v, version %x", from, i, o.Acks, o.Existed, o.Version)
			}
		}
		if o := &ops[4]; string(o.Meta) != "a/b" || o.Expires != soon.Expires {
			t.Errorf("node%d finds metadata %q, expiry %d", from, o.Meta, o.Expires)
		}
		for i := range 2 {
			if e := c.nodes[i].held(key); string(e.Value) != "x-z" || len(e.Meta) > 0 || e.Expires != soon.Expires {
				t.Errorf("by node%d, node%d holds %+v", from, i, *e)
			}
		}
	}
}

// An operation that fails is told why, and those beside it are not.
func TestRunHasAnOutcomeForEach(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, clusterOptions{nodes: 3, replicas: 2, limits: kv.Limits{MaxKeyBytes: 100, MaxValueBytes: 10}})
		for from, n := range c.nodes {
			key := c.keyOwnedBy(from, 0, 1)
			got := toldOf(n.together(kv.LevelAll, kv.LevelOne, op(kv.OpGet, key, ""), condOp(key, "x", kv.IfPresent), updateOp(kv.OpAppend, key, "abcdefgh", 0),
				incrOp(key), updateOp(kv.OpAppend, key, "ijk", 0), updateOp(kv.OpAppend, key, "ij", 0), updateOp(kv.OpExpire, key, "", 0)))
			want := []string{kv.ErrNotFound.Error(), kv.ErrConditionFailed.Error(), "#8", kv.ErrNotInteger.Error(), kv.ErrValueTooLarge.Error(), "#10", ""}
			if strings.Join(got, "|") != strings.Join(want, "|") {
				t.Errorf("node%d tells %q, want %q", from, got, want)
			}
			wantValue(t, n.get(key, kv.LevelAll), "abcdefghij")
		}
		long := strings.Repeat("k", 101)
		for i := range 20 {
			if key := fmt.Sprint(long, i); c.ownersOf(key)[0] != 2 && c.ownersOf(key)[1] != 2 {
				wantOp(t, c.nodes[2].do(incrOp(key), 0), kv.ErrRefused)
			}
		}
	})
}

// The primary's answer is lost after it has added. It is asked once more, and the sum counts once.
// If that answer is lost too, the outcome is unknown, and what a run has found is not known either.
func TestSumWhoseAnswerIsLost(t *testing.T) { bubble(t, testSumLost) }

func testSumLost(t *testing.T) {
	c := newCluster(t, clusterOptions{nodes: 3, replicas: 2})
	n := c.nodes[2]
	for lost, want := range []error{nil, nil, kv.ErrUnknownOutcome} {
		for _, gets := range []int{0, 1} {
			key := c.keyOwnedBy(2*lost+gets, 0, 1)
			n.mustPut(t, key, "41", kv.LevelAll)
			c.net.Between("node2", "node0", memnet.OnBatches(memnet.LoseReply(lost)))
			asked := []kv.Op{incrOp(key), op(kv.OpGet, key, "")}
			ops := n.together(kv.LevelOne, kv.LevelOne, asked[:1+gets]...)
			for i := range ops {
				known := want
				if gets > 0 && lost > 0 {
					known = kv.ErrUnknownOutcome
				}
				if wantOp(t, ops[i], known); known == nil && string(ops[i].Value) != "42" {
					t.Errorf("%d answers lost: the sum is %q", lost, ops[i].Value)
				}
			}
			if !c.nodes[0].has(key, "42") {
				t.Errorf("%d answers lost: the primary holds %q", lost, c.nodes[0].held(key).Value)
			}
			poll.True(t, "node0 is up and in sync", func() bool { return n.peer(0).Up() && n.peer(0).InSync() })
			if lost < 2 {
				poll.True(t, "node1 has the sum", func() bool { return c.nodes[1].has(key, "42") })
			}
		}
	}
}

// Reads that ask several owners wait for what is before them in their call, and what is behind them
// waits for the reads: each finds what was made just before it.
func TestReadsOfSeveralOwnersAreStages(t *testing.T) { bubble(t, testStages) }

func testStages(t *testing.T) {
	c := newCluster(t, clusterOptions{nodes: 4, replicas: 3, probeEvery: 100 * time.Millisecond})
	c.shaky()
	for from, n := range c.nodes {
		for _, level := range []kv.Level{kv.LevelQuorum, kv.LevelAll} {
			key, other := c.keyOwnedBy(from*2+int(-level)%2, 0, 1, 2), c.keyOwnedBy(from*2+int(-level)%2, 1, 2, 3)
			get := op(kv.OpGet, key, "")
			ops := n.together(kv.LevelQuorum, level, get, incrOp(key), get, incrOp(key), updateOp(kv.OpAppend, key, "0", 0), incrOp(other), get,
				op(kv.OpDelete, key, ""), get, op(kv.OpPut, key, "x"), condOp(key, "y", kv.IfAbsent), get, op(kv.OpGet, other, ""))
			absent := kv.ErrNotFound.Error()
			want := []string{absent, "1", "1", "2", "#2", "1", "20", "", absent, "", kv.ErrConditionFailed.Error(), "x", "1"}
			if got := toldOf(ops); strings.Join(got, "|") != strings.Join(want, "|") {
				t.Errorf("node%d at level %d tells %q, want %q", from, level, got, want)
			}
			if o := &ops[2]; o.Acks < o.Required || o.Required < 2 {
				t.Errorf("node%d at level %d: %d owners of %d answered the read", from, level, o.Acks, o.Required)
			}
		}
	}
}

// What was decided goes on to the other owners when its primary has answered, whatever else the
// call still waits for.
func TestDecidedOperationGoesOn(t *testing.T) { bubble(t, testGoesOn) }

func testGoesOn(t *testing.T) {
	c := newCluster(t, clusterOptions{nodes: 4, replicas: 2, probeEvery: 100 * time.Millisecond})
	slow, quick := c.keyOwnedBy(0, 0, 1), c.keyOwnedBy(0, 1, 2)
	hold := memnet.NewGate(t)
	c.net.Between("node3", "node0", memnet.OnBatches(hold.Hold))
	done := make(chan []kv.Op, 1)
	go func() {
		done <- c.nodes[3].together(kv.LevelAll, kv.LevelAll, incrOp(slow), incrOp(quick), op(kv.OpGet, quick, ""), incrOp(quick))
	}()
	poll.True(t, "node2 has what was decided, stage after stage", func() bool { return c.nodes[2].has(quick, "2") })
	select {
	case ops := <-done:
		t.Fatalf("the call is over: %q", toldOf(ops))
	default:
	}
	hold.Open()
	if got := toldOf(<-done); strings.Join(got, "|") != "1|1|1|2" {
		t.Errorf("it is told %q", got)
	}
}

// The deadline comes while a read waits for owners. What was done before it counts, and what waits
// for the read is never begun.
func TestDeadlineInAStage(t *testing.T) { bubble(t, testStageDeadline) }

func testStageDeadline(t *testing.T) {
	c := newCluster(t, clusterOptions{nodes: 3, replicas: 2})
	key := c.keyOwnedBy(0, 0, 1)
	hold := memnet.NewGate(t)
	c.net.Between("node2", "node1", memnet.OnBatches(hold.Hold))
	call := kv.Call{Ops: []kv.Op{incrOp(key), op(kv.OpGet, key, ""), incrOp(key), op(kv.OpGet, key, "")},
		Write: kv.LevelOne, Read: kv.LevelAll, Deadline: time.Now().Add(time.Second)}
	start := time.Now()
	c.nodes[2].Do(&call)
	if took := time.Since(start); took != time.Second {
		t.Errorf("it took %v", took)
	}
	hold.Open()
	for i, want := range []error{nil, kv.ErrTimeout, kv.ErrTimeout, kv.ErrTimeout} {
		if call.Ops[i].Err != want {
			t.Errorf("operation %d: %v, want %v", i, call.Ops[i].Err, want)
		}
	}
	poll.True(t, "node1 has the first sum", func() bool { return c.nodes[1].has(key, "1") })
	time.Sleep(patience)
	wantValue(t, c.nodes[0].get(key, kv.LevelAll), "1")
}

// A primary that has no memory for what comes of a run does none of it. What needs no more is done.
func TestFullPrimaryDoesNothingOfARun(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, clusterOptions{nodes: 3, replicas: 2, maxBytes: map[int]int64{0: 4 << 20}})
		key := c.keyOwnedBy(0, 0, 1)
		c.nodes[0].mustPut(t, key, "41", kv.LevelAll)
		for from, n := range c.nodes {
			ops := n.together(kv.LevelLive, kv.LevelOne, incrOp(key), updateOp(kv.OpSetRange, key, "far", 7<<20), op(kv.OpGet, key, ""))
			for i := range ops {
				if ops[i].Err != kv.ErrNoMemory {
					t.Errorf("node%d, operation %d: %v", from, i, ops[i].Err)
				}
			}
			if sum := n.do(incrOp(key), kv.LevelLive); string(sum.Value) != fmt.Sprint(42+from) {
				t.Errorf("node%d: %q, %v", from, sum.Value, sum.Err)
			}
		}
	})
}

// Clients add to counters while a node joins, and gets its share. Nothing is lost, nor counted
// twice.
func TestCountersWhileTheRingChanges(t *testing.T) { bubble(t, testCountersMoving) }

func testCountersMoving(t *testing.T) {
	o := clusterOptions{nodes: 4, replicas: 2, members: []int{0, 1, 2}, probeEvery: 100 * time.Millisecond}
	c, keys := withKeys(t, o)
	keys = keys[:40]
	for _, key := range keys {
		c.nodes[0].mustPut(t, key, "0", kv.LevelAll)
	}
	var all sync.WaitGroup
	var mu sync.Mutex
	acknowledged, unknown, stop := make(map[string]int), make(map[string]int), make(chan struct{})
	for i := range 6 {
		all.Go(func() {
			for k := i; ; k++ {
				select {
				case <-stop:
					return
				case <-time.After(time.Millisecond):
				}
				key := keys[k%len(keys)]
				ops := c.nodes[i%3].together(kv.LevelLive, kv.LevelOne, incrOp(key), op(kv.OpGet, key, ""))
				mu.Lock()
				if ops[0].Err == nil {
					acknowledged[key]++
				} else {
					unknown[key]++
				}
				mu.Unlock()
			}
		})
	}
	time.Sleep(100 * time.Millisecond)
	o.members = nil
	c.boot(3, 103, o)
	for _, n := range c.nodes {
		n.set(t, c.members())
	}
	for _, n := range c.nodes {
		poll.True(t, n.name+" goes by the ring that is to be", func() bool {
			now, next := n.Topology.Rings()
			return n.Board.InSync() && now != nil && now.Fingerprint() == next.Fingerprint() && len(now.Nodes()) == 4
		})
	}
	time.Sleep(100 * time.Millisecond)
	close(stop)
	all.Wait()
	for _, key := range keys {
		got := c.nodes[3].get(key, kv.LevelAll)
		sum, _ := strconv.Atoi(string(got.Value))
		if got.Err != nil || sum < acknowledged[key] || sum > acknowledged[key]+unknown[key] {
			t.Errorf("%s is %q (%v) after %d and %d of unknown outcome", key, got.Value, got.Err, acknowledged[key], unknown[key])
		}
		if acknowledged[key] == 0 {
			t.Errorf("nothing was added to %s", key)
		}
	}
}

// A value of megabytes is added to, and given an expiry: all owners have all of it.
func TestUpdatesOfLargeValues(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, clusterOptions{nodes: 3, replicas: 2})
		large, more := bytes.Repeat([]byte("large"), 600<<10), strings.Repeat("more", 300<<10)
		for from, n := range c.nodes {
			key := c.keyOwnedBy(from, 0, 1)
			put := op(kv.OpPut, key, string(large))
			put.Meta = []byte("a/b")
			wantOp(t, n.do(put, kv.LevelAll), nil)
			expire := updateOp(kv.OpExpire, key, "", 0)
			expire.Expires = time.Now().Add(time.Hour).UnixMilli()
			if o := n.do(updateOp(kv.OpAppend, key, more, 0), kv.LevelAll); o.Err != nil || int(o.Number) != len(large)+len(more) || o.Acks != 2 {
				t.Errorf("node%d: %v, %d bytes, %d acks", from, o.Err, o.Number, o.Acks)
			}
			wantOp(t, n.do(expire, kv.LevelAll), nil)
			for i := range 2 {
				if e := c.nodes[i].held(key); string(e.Value) != string(large)+more || string(e.Meta) != "a/b" || e.Expires != expire.Expires {
					t.Errorf("by node%d, node%d holds %d bytes, %q, %d", from, i, len(e.Value), e.Meta, e.Expires)
				}
			}
			ops := n.together(kv.LevelAll, kv.LevelOne, updateOp(kv.OpSetRange, key, "L", 0), incrOp(key), op(kv.OpGet, key, ""), op(kv.OpGet, key, ""))
			if got := string(ops[2].Value); ops[2].Err != nil || got != "L"+string(large[1:])+more {
				t.Errorf("node%d finds %d bytes, %v", from, len(got), ops[2].Err)
			}
			if ops[0].Err != nil || ops[1].Err != kv.ErrNotInteger || ops[3].Err != kv.ErrAnswerFull { // two do not fit into an answer
				t.Errorf("node%d tells %v, %v and %v", from, ops[0].Err, ops[1].Err, ops[3].Err)
			}
		}
	})
}

// Gets of a run are bounded like all gets of a call. What the run writes is done.
func TestGetsOfRunsAreBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, clusterOptions{nodes: 3, replicas: 2})
		for from, n := range c.nodes {
			key, other := c.keyOwnedBy(from, 0, 1), c.keyOwnedBy(from, 1, 0)
			call := kv.Call{Ops: []kv.Op{updateOp(kv.OpAppend, key, "12345678", 0), op(kv.OpGet, key, ""), incrOp(key), op(kv.OpGet, key, ""),
				incrOp(other), op(kv.OpGet, other, "")}, MaxBytes: 12, Deadline: time.Now().Add(patience)}
			n.Do(&call)
			fulls := 0
			for i := range call.Ops {
				switch o := &call.Ops[i]; {
				case o.Err == kv.ErrAnswerFull && o.Kind == kv.OpGet:
					fulls++
				case o.Err != nil:
					t.Errorf("node%d, operation %d: %v", from, i, o.Err)
				}
			}
			if fulls == 0 || cmp.Or(string(c.nodes[0].held(key).Value), "") != "12345679" || !c.nodes[1].has(other, "1") {
				t.Errorf("node%d: %d of the gets are beyond the bound, and it made %q", from, fulls, c.nodes[0].held(key).Value)
			}
		}
	})
}

// More operations on a key than a run takes are carried out one run after the other. A peer that
// asks for more at once is refused.
func TestRunsAreBounded(t *testing.T) { bubble(t, testRunsAreBounded) }

func testRunsAreBounded(t *testing.T) {
	c := newCluster(t, clusterOptions{nodes: 3, replicas: 2})
	for from := range c.nodes {
		key := c.keyOwnedBy(from, 0, 1)
		call := kv.Call{Deadline: time.Now().Add(patience)}
		for range kv.MaxRun + 100 {
			add := op(kv.OpIncr, key, "")
			add.Number = 1
			call.Ops = append(call.Ops, add)
		}
		c.nodes[from].Do(&call)
		for i, o := range call.Ops {
			if wantOp(t, o, nil); string(o.Value) != fmt.Sprint(i+1) {
				t.Fatalf("node%d: sum %d is %q", from, i+1, o.Value)
			}
		}
	}
	long := make([]*kv.Op, kv.MaxRun+1)
	for i := range long {
		long[i] = &kv.Op{Kind: kv.OpGet, Record: kv.Record{Key: []byte("k")}}
	}
	if _, err := c.nodes[0].Exchange(nil, wire.AppendDecide(wire.OpenBatch(nil), 7, 1<<20, long)); !errors.Is(err, wire.ErrMalformed) {
		t.Errorf("a run that is too long: %v", err)
	}
}

// A call that asks for it has all operations on a key carried out in one step, though none of them
// needs the primary.
func TestCallsTogether(t *testing.T) { bubble(t, testTogether) }

func testTogether(t *testing.T) {
	c := newCluster(t, clusterOptions{nodes: 3, replicas: 2})
	key := c.keyOwnedBy(0, 0, 1)
	var all sync.WaitGroup
	for i := range 30 {
		all.Go(func() {
			value := fmt.Sprint(i)
			call := kv.Call{Together: true, Write: kv.LevelAll, Deadline: time.Now().Add(patience)}
			call.Ops = []kv.Op{op(kv.OpPut, key, value), op(kv.OpGet, key, "")}
			c.nodes[i%3].Do(&call)
			wantOp(t, call.Ops[0], nil)
			wantValue(t, call.Ops[1], value)
		})
	}
	all.Wait()
}
