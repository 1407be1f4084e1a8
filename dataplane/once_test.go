package dataplane

import (
	"fmt"
	"testing"
	"time"

	"httpdhs/internal/memnet"
	"httpdhs/kv"
	"httpdhs/wire"
)

// A write has one place in the order of its key. A read has found it, and then a later write has
// replaced it at all owners. No quorum read finds it again, however long its coordinator takes to
// reach the owners. The coordinator succeeds too: its write was done, and then overwritten.
func TestReplacedWriteStaysReplaced(t *testing.T) {
	for _, coordinator := range []int{0, 3} { // an owner, and none
		for _, level := range []kv.Level{kv.LevelLive, kv.LevelOne, kv.LevelQuorum, kv.LevelAll} {
			for _, first := range []string{"X", ""} { // "" is a delete
				for _, second := range []string{"Y", ""} {
					for _, calls := range []int{1, 2} {
						name := fmt.Sprintf("node%d writes %q at level %d in a call of %d, then %q", coordinator, first, level, calls, second)
						t.Run(name, func(t *testing.T) {
							bubble(t, func(t *testing.T) { testReplacedWrite(t, coordinator, level, calls, first, second) })
						})
					}
				}
			}
		}
	}
}

func testReplacedWrite(t *testing.T, coordinator int, level kv.Level, calls int, first, second string) {
	const slow = 800 * time.Millisecond
	c := newCluster(t, clusterOptions{nodes: 4, replicas: 3, probeEvery: 500 * time.Millisecond})
	key := c.keyOwnedBy(0, 0, 1, 2)
	wantOp(t, c.nodes[1].put(key, "before", kv.LevelAll), nil)
	for _, owner := range []string{"node1", "node2"} {
		c.net.Between(fmt.Sprint("node", coordinator), owner, memnet.OnBatches(func(_ []byte, pass func() ([]byte, error)) ([]byte, error) {
			time.Sleep(slow)
			return pass()
		}))
	}
	done := make(chan []kv.Op, 1)
	go func() { // what is before the last in the call is replaced by it
		call := kv.Call{Write: level, Deadline: time.Now().Add(patience)}
		for range calls - 1 {
			call.Ops = append(call.Ops, op(kv.OpPut, key, "in the same call"))
		}
		call.Ops = append(call.Ops, written(key, first))
		c.nodes[coordinator].Do(&call)
		done <- call.Ops
	}()
	time.Sleep(slow / 8)
	wantRead(t, c.nodes[1].get(key, kv.LevelAll), first)
	if o := c.nodes[1].do(written(key, second), kv.LevelAll); o.Err != nil || o.Acks != 3 {
		t.Fatalf("the second write: %v, %d acks", o.Err, o.Acks)
	}
	for ops := []kv.Op(nil); ops == nil; {
		select {
		case ops = <-done:
			for _, o := range ops {
				wantOp(t, o, nil)
			}
		default:
		}
		wantEverywhere(t, c, key, second)
		time.Sleep(slow / 8)
	}
	for range 8 { // nor later
		wantEverywhere(t, c, key, second)
		time.Sleep(slow / 2)
	}
}

// written puts the value; "" deletes the key.
func written(key, value string) kv.Op {
	if value == "" {
		return op(kv.OpDelete, key, "")
	}
	return op(kv.OpPut, key, value)
}

// wantEverywhere fails unless quorum reads at all nodes find the value.
func wantEverywhere(t *testing.T, c *cluster, key, value string) {
	t.Helper()
	for _, n := range c.nodes {
		wantRead(t, n.get(key, kv.LevelQuorum), value)
	}
}

// wantRead fails unless the get found the value; "" is that there is none.
func wantRead(t *testing.T, o kv.Op, value string) {
	t.Helper()
	if value == "" {
		if wantOp(t, o, kv.ErrNotFound); o.Err == nil {
			t.Fatalf("get %s found %q, want nothing", o.Key, o.Value)
		}
		return
	}
	wantValue(t, o, value)
}

// A write that one owner has stored keeps its stamp, even if another owner, which holds something
// newer, answers first. The owner that stored it also holds something newer when its answer comes.
func TestSlowAnswerOfAnOwnerThatStoredCounts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		for _, level := range []kv.Level{kv.LevelOne, kv.LevelLive, kv.LevelAll} {
			c := newCluster(t, clusterOptions{nodes: 3, replicas: 2})
			key := c.keyOwnedBy(0, 0, 1)
			newer := kv.VersionAt(time.Now().Add(time.Second))
			c.nodes[0].plant(t, key, "newer", newer)
			c.net.Between("node2", "node1", memnet.OnBatches(func(_ []byte, pass func() ([]byte, error)) ([]byte, error) {
				answer, err := pass()
				c.nodes[1].plant(t, key, "newer", newer)
				time.Sleep(10 * time.Millisecond)
				return answer, err
			}))
			wantOp(t, c.nodes[2].put(key, "x", level), nil)
			if n := c.nodes[2].Restamps.Load(); n != 0 {
				t.Errorf("level %d: %d second stamps", level, n)
			}
			wantRead(t, c.nodes[2].get(key, kv.LevelAll), "newer")
		}
	})
}

// A write is tried again because an owner goes by a newer ring. It does not take what it stored
// before for an earlier value: whether the key existed is told as it was.
func TestTriedAgainAWriteDoesNotMeetItself(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, clusterOptions{nodes: 3, replicas: 2})
		for at, n := range c.nodes { // owners, and none
			for i, level := range []kv.Level{kv.LevelLive, kv.LevelOne, kv.LevelQuorum, kv.LevelAll} {
				for _, cond := range []kv.ConditionKind{kv.Always, kv.IfAbsent} {
					key := c.keyOwnedBy(10*i+int(cond), 0, 1)
					wantOp(t, c.nodes[0].del(key, kv.LevelAll), nil)
					for _, existed := range []bool{false, true} {
						tried := 0
						c.net.Toward("node1", memnet.OnBatches(func(_ []byte, pass func() ([]byte, error)) ([]byte, error) {
							answer, err := pass()
							if err != nil {
								return answer, err
							}
							r, _, err := wire.NextResult(answer[wire.BatchHead:])
							if err == nil && r.Code == wire.Stored && tried < 2 {
								r.Code = wire.NotOwner
								answer = wire.AppendResult(answer[:wire.BatchHead], &r)
								tried++
							}
							return answer, err
						}))
						put := op(kv.OpPut, key, "value")
						if put.Cond.Kind = cond; existed {
							put.Cond.Kind = kv.Always
						}
						o := n.do(put, level)
						c.waitDrained(at) // so no batch has two results: the gate above answers one
						c.net.Clear()
						if o.Err != nil || o.Existed != existed {
							t.Errorf("node%d, level %d, condition %d: existed %v, want %v (%v)", at, level, cond, o.Existed, existed, o.Err)
						}
					}
				}
			}
		}
	})
}
