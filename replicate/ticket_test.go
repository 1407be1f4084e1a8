package replicate

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"httpdhs/kv"
)

// tickets are handed to a peer past Do, so that what becomes of each can be
// counted.
type tickets struct {
	p     *pending
	total int
}

// handOut gives the peer a record, a read and a conditional write, with a
// ticket each.
func handOut(t *testing.T, p *Peer, rounds int) *tickets {
	t.Helper()
	ts := &tickets{p: acquirePending(3 * rounds), total: 3 * rounds}
	for i := range rounds {
		r := kv.Record{Key: fmt.Appendf(nil, "key%d", i), Entry: kv.Entry{Version: 1 << 30, Value: []byte("v")}}
		next := opState{phase: phaseWrite, waiting: 1, required: 1}
		if !p.apply(&r, ts.p.begin(3*i, next), false, false) {
			t.Fatal("the record's ticket was not taken")
		}
		next.phase = phaseReadOne
		if !p.read(r.Key, ts.p.begin(3*i+1, next), false) {
			t.Fatal("the read's ticket was not taken")
		}
		next.phase = phaseDecide
		if !p.cond(&kv.Condition{Kind: kv.IfAbsent}, &r, ts.p.begin(3*i+2, next), false) {
			t.Fatal("the conditional write's ticket was not taken")
		}
	}
	return ts
}

// resolved says whether every ticket was resolved once: a ticket that was
// resolved twice gives back one reference more.
func (ts *tickets) resolved(t *testing.T) bool {
	t.Helper()
	ts.p.mu.Lock()
	defer ts.p.mu.Unlock()
	if ts.p.refs < 1 {
		t.Fatalf("%d references: some of %d tickets were resolved twice", ts.p.refs, ts.total)
	}
	if ts.p.refs > 1 {
		return false
	}
	for i := range ts.p.ops {
		if n := ts.p.ops[i].waiting; n != 0 {
			t.Fatalf("operation %d waits for %d", i, n)
		}
	}
	return true
}

// Every ticket that a peer takes is resolved exactly once, whatever becomes of
// the peer: it answers, breaks the connection, answers nonsense, refuses,
// hangs until the prober finds it down, is down and at its bound, or this node
// closes.
func TestEveryTicketIsResolvedOnce(t *testing.T) {
	fates := map[string]func(t *testing.T, c *cluster, hold *gate){
		"answers": func(t *testing.T, c *cluster, hold *gate) { hold.open() },
		"goes down": func(t *testing.T, c *cluster, hold *gate) {
			c.net.set("node0", "node1", failWith(errReset))
		},
		"hangs": func(t *testing.T, c *cluster, hold *gate) { // pings hang as well
			forever := newGate(t)
			c.net.set("node0", "node1", forever.hold)
		},
		"batch hangs": func(t *testing.T, c *cluster, hold *gate) {}, // until its timeout
		"closes":      func(t *testing.T, c *cluster, hold *gate) { c.nodes[0].Close() },
		"restarts": func(t *testing.T, c *cluster, hold *gate) {
			c.kill(1)
			c.boot(1, 999, clusterOptions{})
			hold.open()
		},
		"refuses": func(t *testing.T, c *cluster, hold *gate) {
			c.net.set("node0", "node1", onBatches(failWith(ErrRefused)))
			c.nodes[0].peer(1).transport.Abort()
		},
		"nonsense": func(t *testing.T, c *cluster, hold *gate) {
			c.net.set("node0", "node1", onBatches(answerWith([]byte("no answer"))))
			c.nodes[0].peer(1).transport.Abort()
		},
		"many downs": func(t *testing.T, c *cluster, hold *gate) {
			for range 20 {
				c.nodes[0].peer(1).markDown(errReset)
				time.Sleep(time.Millisecond)
			}
		},
	}
	for name, fate := range fates {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newCluster(t, clusterOptions{nodes: 2, replicas: 2})
				hold := newGate(t)
				c.net.set("node0", "node1", onBatches(hold.hold))
				flying := handOut(t, c.nodes[0].peer(1), 1)
				hold.wait(t, 1)
				waiting := handOut(t, c.nodes[0].peer(1), 50)
				fate(t, c, hold)
				eventually(t, "all that was in flight is resolved", func() bool { return flying.resolved(t) })
				eventually(t, "all that waited is resolved", func() bool { return waiting.resolved(t) })
			})
		})
	}
}

// Tickets of records that are dropped at the bound of the queue of a peer that
// recovers are resolved too.
func TestTicketsDroppedAtTheBoundAreResolved(t *testing.T) { bubble(t, testTicketsDropped) }

func testTicketsDropped(t *testing.T) {
	c := newCluster(t, clusterOptions{nodes: 2, replicas: 2, queueBytes: 1 << 20})
	c.cut(1)
	value := make([]byte, 10000)
	for i := range 90 {
		c.nodes[0].mustPut(t, fmt.Sprint(i), string(value), kv.LevelLive)
	}
	hold := newGate(t)
	c.net.set("node0", "node1", onBatches(hold.hold))
	hold.wait(t, 1)
	p := c.nodes[0].peer(1)
	if p.State() != Recovering {
		t.Fatalf("the peer is %v", p.State())
	}
	ts := handOut(t, p, 1)
	for i := range 200 { // enough to drop them
		c.nodes[0].mustPut(t, fmt.Sprint(i), string(value), kv.LevelLive)
	}
	if !ts.resolved(t) {
		t.Fatal("the tickets were dropped and not resolved")
	}
	hold.open()
}

// A waiter that gives up gets its answer at its deadline, and an answer that
// comes later has no effect: neither on it nor on another call that has taken
// over its memory.
func TestAnswersThatComeTooLate(t *testing.T) { bubble(t, testAnswersThatComeTooLate) }

func testAnswersThatComeTooLate(t *testing.T) {
	c := newCluster(t, clusterOptions{nodes: 3, replicas: 2})
	n := c.nodes[2]
	keys := make([]string, 20)
	for i := range keys {
		keys[i] = c.keyOwnedBy(i, 0, 1)
		n.mustPut(t, keys[i], "value of "+keys[i], kv.LevelAll)
	}
	var all sync.WaitGroup
	for round := range 20 {
		hold := newGate(t)
		c.net.set("node2", "node0", onBatches(hold.hold))
		for i, key := range keys {
			all.Go(func() {
				o := op(kv.OpGet, key, "")
				if i%2 == 0 {
					o = op(kv.OpPut, key, "value of "+key)
				}
				call := kv.Call{Ops: []kv.Op{o}, Write: kv.LevelAll, Deadline: time.Now().Add(time.Millisecond)}
				start := time.Now()
				n.Do(&call)
				if err := call.Ops[0].Err; err != kv.ErrTimeout || time.Since(start) != time.Millisecond {
					t.Errorf("round %d: %v after %v, want a timeout at the deadline", round, err, time.Since(start))
				}
			})
		}
		all.Wait()
		hold.open()
		c.net.set("node2", "node0", nil)
		for _, key := range keys { // while the late answers arrive
			all.Go(func() {
				if o := n.get(key, kv.LevelQuorum); o.Err != nil || string(o.Value) != "value of "+key {
					t.Errorf("round %d: get %s: %q, %v", round, key, o.Value, o.Err)
				}
			})
		}
		all.Wait()
	}
	if got := n.Counters().Timeouts; got != 20*20 {
		t.Errorf("%d timeouts counted, want %d", got, 20*20)
	}
}
