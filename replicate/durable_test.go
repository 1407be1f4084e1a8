package replicate

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"httpdhs/internal/memnet"
	"httpdhs/internal/poll"
	"httpdhs/kv"
	"httpdhs/wire"
)

// disk is a journal that keeps nothing. What was put is durable once the test lets it, or never.
type disk struct {
	admit, durable atomic.Pointer[error]
	hold           atomic.Pointer[memnet.Gate]
	waits          atomic.Int64
}

func (*disk) Put(int, *kv.Record) {}
func (*disk) Drop(int)            {}
func (*disk) Sync() error         { return nil }
func (d *disk) Admit(bool) error  { return said(&d.admit) }

func (d *disk) Durable(time.Time) error {
	d.waits.Add(1)
	if gate := d.hold.Load(); gate != nil {
		<-gate.Opened()
	}
	return said(&d.durable)
}

func said(err *atomic.Pointer[error]) error {
	if err := err.Load(); err != nil {
		return *err
	}
	return nil
}

// fails has every wait fail from now on.
func (d *disk) fails() { d.durable.Store(new(kv.ErrNoDisk)) }

// refuses has every change refused from now on.
func (d *disk) refuses(why error) { d.admit.Store(&why) }

// stalls has every wait last until the gate opens.
func (d *disk) stalls(t *testing.T) *memnet.Gate {
	gate := memnet.NewGate(t)
	d.hold.Store(gate)
	return gate
}

// lasting are operations whose answers say, or rest on, what an owner has stored.
func lasting(key string) map[string]kv.Op {
	cond := op(kv.OpPut, key, "conditional")
	cond.Cond.Kind = kv.IfAbsent
	sum := op(kv.OpIncr, key, "")
	sum.Number = 1
	return map[string]kv.Op{
		"a put":                  op(kv.OpPut, key, "value"),
		"a delete":               op(kv.OpDelete, key, ""),
		"an update":              sum,
		"a condition that fails": cond,
	}
}

// A write is acknowledged by this node once it is durable here, whoever decides it, and the other
// owner has it before that. So is what is said of a value that was stored a moment ago.
func TestOwnAcknowledgementWaitsForTheDisk(t *testing.T) {
	key := newCluster(t, 2, 2).keyOwnedBy(0, 1)
	for what, o := range lasting(key) {
		t.Run(what, func(t *testing.T) {
			c := newCluster(t, 2, 2)
			a, b := c.nodes[0], c.nodes[1]
			a.mustPut(t, key, "1", kv.LevelAll)
			before := a.held(key).Version
			gate, waits := a.disk.stalls(t), a.disk.waits.Load()
			done := make(chan kv.Op, 1)
			go func() { done <- a.do(o, kv.LevelAll) }()
			poll.True(t, "it waits for the disk", func() bool { return a.disk.waits.Load() > waits })
			if now := a.held(key).Version; now != before {
				poll.True(t, "the other owner has it meanwhile", func() bool { return b.held(key).Version == now })
			}
			select {
			case o := <-done:
				t.Errorf("%v, and it is not durable here", o.Err)
			default:
				gate.Open()
				<-done
			}
		})
	}
}

// An owner that is sent a batch answers once what it has stored is durable, and waits once for all
// of the batch. A batch of reads waits for nothing.
func TestBatchIsAnsweredOnceItIsDurable(t *testing.T) {
	c := newCluster(t, 2, 2)
	a, b := c.nodes[0], c.nodes[1]
	ops := benchOps(100, kv.OpPut)
	answer := func(msg []byte) <-chan []byte {
		done := make(chan []byte, 1)
		go func() {
			answer, err := b.Exchange(nil, msg)
			if err != nil {
				t.Error(err)
			}
			done <- answer
		}()
		return done
	}
	<-answer(wire.AppendRead(wire.OpenBatch(nil), ops[0].Key))
	if n := b.disk.waits.Load(); n > 0 {
		t.Errorf("a read has waited %d times", n)
	}
	gate := b.disk.stalls(t)
	key := []byte(c.keyOwnedBy(1, 0))
	sum := wire.AppendDecide(wire.OpenBatch(nil), a.clock.Now(), 1<<20, []*kv.Op{{Kind: kv.OpIncr, Number: 1, Record: kv.Record{Key: key}}})
	for what, msg := range map[string][]byte{"records": benchBatch(nil, ops, a.clock), "a decision": sum} {
		waits := b.disk.waits.Load()
		done := answer(msg)
		poll.True(t, "it waits for the disk", func() bool { return b.disk.waits.Load() > waits })
		select {
		case <-done:
			t.Errorf("%s: the answer is there before it is durable", what)
			continue
		default:
		}
		gate.Open()
		<-done
		if n := b.disk.waits.Load() - waits; n != 1 {
			t.Errorf("%s: it has waited %d times", what, n)
		}
		gate = b.disk.stalls(t)
	}
}

// A call of many operations waits for the disk once, however many there are.
func TestCallWaitsForTheDiskOnce(t *testing.T) {
	c := newCluster(t, 1, 1)
	n := c.nodes[0]
	call := kv.Call{Ops: benchOps(1000, kv.OpPut), Deadline: time.Now().Add(patience)}
	sum := op(kv.OpIncr, "a sum", "")
	sum.Number = 1
	call.Ops = append(call.Ops, sum)
	n.Do(&call)
	if got := n.disk.waits.Load(); got != 1 {
		t.Errorf("it has waited %d times", got)
	}
	waits := n.disk.waits.Load()
	if o := n.do(op(kv.OpGet, "a sum", ""), kv.LevelOne); o.Err != nil || n.disk.waits.Load() != waits {
		t.Errorf("a read: %v, after %d waits", o.Err, n.disk.waits.Load()-waits)
	}
}

// What is not durable at an owner is not acknowledged by it. Its outcome is unknown: a reader may
// see it. The other owner's acknowledgement counts.
func TestFailedSyncIsNoAcknowledgement(t *testing.T) {
	key := newCluster(t, 3, 2).keyOwnedBy(0, 1)
	for what, o := range lasting(key) {
		for _, failing := range []int{0, 1} {
			for from := range 3 {
				t.Run(fmt.Sprintf("%s through node%d, where the disk of node%d fails", what, from, failing), func(t *testing.T) {
					c := newCluster(t, 3, 2)
					c.nodes[2].mustPut(t, key, "1", kv.LevelAll)
					c.nodes[failing].disk.fails()
					got := c.nodes[from].do(o, kv.LevelAll)
					if failing == 1 && what == "a condition that fails" { // that owner was not asked
						wantOp(t, got, kv.ErrConditionFailed)
						return
					}
					if got.Err != kv.ErrNotDurable || !got.OutcomeUnknown(kv.LevelAll) || got.Acks > 1 {
						t.Errorf("%v with %d acknowledgements; its outcome is unknown: %t", got.Err, got.Acks, got.OutcomeUnknown(kv.LevelAll))
					}
				})
			}
		}
	}
}

// An owner that cannot write it because its disk is full says that too, and it is no less unknown.
func TestFullDiskIsNoAcknowledgement(t *testing.T) {
	key := newCluster(t, 3, 2).keyOwnedBy(0, 1)
	for what, o := range lasting(key) {
		for _, full := range []int{0, 1} {
			for from := range 3 {
				if full == 1 && what == "a condition that fails" {
					continue // that owner is not asked
				}
				c := newCluster(t, 3, 2)
				c.nodes[2].mustPut(t, key, "1", kv.LevelAll)
				why := fmt.Errorf("%w: no space left on device", kv.ErrDiskFull)
				c.nodes[full].disk.durable.Store(&why)
				got := c.nodes[from].do(o, kv.LevelAll)
				if got.Err != kv.ErrFilled || !errors.Is(got.Err, kv.ErrDiskFull) || !got.OutcomeUnknown(kv.LevelAll) || got.Acks > 1 {
					t.Errorf("%s through node%d, where the disk of node%d is full: %v with %d acknowledgements; its outcome is unknown: %t",
						what, from, full, got.Err, got.Acks, got.OutcomeUnknown(kv.LevelAll))
				}
			}
		}
	}
}

// In a call of many that goes for each operation by itself: those of which this node is no owner
// are acknowledged. It goes for what another owner has decided, too.
func TestFailedSyncInACallOfMany(t *testing.T) {
	for name, kind := range map[string]kv.OpKind{"puts": kv.OpPut, "sums": kv.OpIncr} {
		for replicas := 1; replicas <= 2; replicas++ {
			t.Run(fmt.Sprintf("%s, %d replicas", name, replicas), func(t *testing.T) {
				n := newCluster(t, 3, replicas).nodes[0]
				n.disk.fails()
				call := kv.Call{Deadline: time.Now().Add(patience)}
				for i := range 100 {
					o := op(kind, fmt.Sprint("key", i), "value")
					o.Number = 1
					call.Ops = append(call.Ops, o)
				}
				n.Do(&call)
				for i := range call.Ops {
					o := &call.Ops[i]
					var want error
					if n.board.View().Mine(n.board.View().Partition(o.Hash)) {
						want = kv.ErrNotDurable
					}
					if o.Err != want {
						t.Errorf("%s: %v, want %v", o.Key, o.Err, want)
					}
				}
			})
		}
	}
}

// What an owner has in memory alone may appear, whatever others refuse it for, and whenever.
func TestNotDurableSaysMost(t *testing.T) {
	var o operation
	for _, code := range []wire.Code{wire.NoMemory, wire.NotDurable, wire.DiskFull} {
		o.takeRefusal(code)
	}
	if o.refusal != kv.ErrNotDurable {
		t.Error(o.refusal)
	}
}

// What has its outcome was durable before: a disk that fails since takes nothing back of it.
func TestFailureTakesNothingBackThatEnded(t *testing.T) {
	o := operation{round: round{acks: 2, own: wire.Stored}, outcome: outcome{ended: true}}
	if o.disown(wire.NotDurable); o.acks != 2 || o.refusal != nil {
		t.Errorf("%d acknowledgements are left, %v", o.acks, o.refusal)
	}
}

// A quorum that does without the owner whose disk fails is one.
func TestQuorumWithoutTheFailedDisk(t *testing.T) {
	c := newCluster(t, 3, 3)
	key := c.keyOwnedBy(0, 1, 2)
	for i, want := range []error{nil, kv.ErrNotDurable} {
		c.nodes[i].disk.fails()
		if o := c.nodes[2].do(op(kv.OpPut, key, "value"), kv.LevelQuorum); o.Err != want {
			t.Errorf("with %d disks that fail: %v, want %v", i+1, o.Err, want)
		}
	}
}

// A write that an owner has in memory alone gets no second stamp: a reader may have seen it under
// its first.
func TestNotDurableIsNotStampedAgain(t *testing.T) {
	c := newCluster(t, 3, 2)
	key := c.keyOwnedBy(0, 1)
	c.nodes[1].plant(t, key, "of a clock that is ahead", kv.VersionAt(time.Now().Add(time.Second)))
	c.nodes[0].disk.fails()
	n := c.nodes[2]
	wantOp(t, n.do(op(kv.OpPut, key, "value"), kv.LevelOne), kv.ErrNotDurable)
	if got := n.Restamps.Load(); got != 0 {
		t.Errorf("it was stamped again %d times", got)
	}
}

// An owner that holds something newer, which is not durable there, is none that has the write.
func TestNewerThatIsNotDurable(t *testing.T) {
	for from := range 3 {
		for holds := range 2 {
			c := newCluster(t, 3, 2)
			key := c.keyOwnedBy(0, 1)
			c.nodes[holds].plant(t, key, "of a clock that is ahead", kv.VersionAt(time.Now().Add(time.Second)))
			c.nodes[holds].disk.fails()
			o := c.nodes[from].do(op(kv.OpPut, key, "value"), kv.LevelAll)
			if o.Err != kv.ErrNotDurable || o.Acks != 1 {
				t.Errorf("through node%d, where node%d holds it: %v with %d acknowledgements", from, holds, o.Err, o.Acks)
			}
		}
	}
}

// A disk that takes nothing is told as what it is, wherever the owner is. That owner is behind at
// the key: others are asked, and it decides nothing of it.
func TestRefusalOfTheDisk(t *testing.T) {
	for _, why := range []error{kv.ErrNoDisk, kv.ErrDiskFull} {
		for from := range 3 {
			t.Run(fmt.Sprintf("%v, through node%d", why, from), func(t *testing.T) {
				c := newCluster(t, 3, 2)
				key, n := c.keyOwnedBy(0, 1), c.nodes[from]
				n.mustPut(t, key, "1", kv.LevelAll)
				c.nodes[0].disk.refuses(why)
				if o := n.do(op(kv.OpIncr, key, ""), kv.LevelAll); o.Err != why || o.OutcomeUnknown(kv.LevelAll) {
					t.Errorf("a decision: %v; its outcome is unknown: %t", o.Err, o.OutcomeUnknown(kv.LevelAll))
				}
				if o := n.do(op(kv.OpPut, key, "2"), kv.LevelAll); o.Err != why || o.Acks != 1 {
					t.Errorf("a put: %v with %d acknowledgements", o.Err, o.Acks)
				}
				for i := range c.nodes {
					wantValue(t, c.nodes[i].do(op(kv.OpGet, key, ""), kv.LevelOne), "2")
				}
				c.nodes[0].disk.admit.Store(nil)
				if o := n.do(op(kv.OpIncr, key, ""), kv.LevelAll); o.Err != why {
					t.Errorf("a decision by an owner that is behind: %v", o.Err)
				}
			})
		}
	}
}

// A read of several replicas is not failed by one that cannot store what was read.
func TestRepairThatADiskRefuses(t *testing.T) {
	for from := range 3 {
		c := newCluster(t, 3, 2)
		key := c.keyOwnedBy(0, 1)
		c.nodes[1].plant(t, key, "value", kv.VersionAt(time.Now()))
		c.nodes[0].disk.refuses(kv.ErrDiskFull)
		wantValue(t, c.nodes[from].do(op(kv.OpGet, key, ""), kv.LevelAll), "value")
	}
}
