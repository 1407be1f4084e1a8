package dataplane

import (
	"sync/atomic"
	"testing"
	"time"

	"httpdhs/internal/poll"
	"httpdhs/kv"
	"httpdhs/shard"
)

// disk is a journal that keeps nothing, and takes nothing while it refuses.
type disk struct{ refuses atomic.Pointer[error] }

func (*disk) Put(int, *kv.Record)     {}
func (*disk) Drop(int)                {}
func (*disk) Durable(time.Time) error { return nil }
func (*disk) Sync() error             { return nil }

func (d *disk) Admit(bool) error {
	if why := d.refuses.Load(); why != nil {
		return *why
	}
	return nil
}

// A replica whose disk takes nothing is like one that is full: it fails no read, nobody is answered
// with what it held before, and it decides nothing of what it has refused. It has all of it again
// when its disk does.
func TestReplicaWithoutADiskFailsNoRead(t *testing.T) {
	for _, why := range []error{kv.ErrNoDisk, kv.ErrDiskFull} {
		t.Run(why.Error(), func(t *testing.T) { bubble(t, func(t *testing.T) { testWithoutADisk(t, why) }) })
	}
}

func testWithoutADisk(t *testing.T, why error) {
	d := new(disk)
	c := newCluster(t, clusterOptions{nodes: 4, replicas: 3, probeEvery: time.Second, journals: map[int]shard.Journal{0: d}})
	levels := []kv.Level{kv.LevelOne, kv.LevelQuorum, kv.LevelAll}
	key, sum, gone := c.keyOwnedBy(0, 0, 1, 2), c.keyOwnedBy(1, 0, 1, 2), c.keyOwnedBy(2, 1, 0, 2)
	for _, k := range []string{key, sum, gone} {
		c.nodes[1].mustPut(t, k, "1", kv.LevelAll)
	}
	d.refuses.Store(&why)
	for _, n := range c.nodes {
		o := n.put(key, n.name, kv.LevelLive)
		if o.Err != why || o.Acks != 2 || !o.OutcomeUnknown(kv.LevelLive) {
			t.Errorf("a put through %s: %v with %d acknowledgements", n.name, o.Err, o.Acks)
		}
		c.readable(t, key, n.name, levels...)
		if o := n.del(gone, kv.LevelQuorum); o.Err != nil {
			t.Errorf("a delete through %s: %v", n.name, o.Err)
		}
		c.readable(t, gone, "", kv.LevelQuorum, kv.LevelAll)
		if o := n.do(incrOp(sum), kv.LevelAll); o.Err != why || o.OutcomeUnknown(kv.LevelAll) {
			t.Errorf("a sum through %s: %v", n.name, o.Err)
		}
	}
	c.readable(t, sum, "1", levels...)
	if !c.nodes[0].has(key, "1") || !c.nodes[0].behindAnywhere() {
		t.Error("the replica does not hold what it held before, or takes itself for whole")
	}
	d.refuses.Store(nil)
	poll.True(t, "the replica is whole", func() bool {
		return c.nodes[0].has(key, c.nodes[3].name) && c.nodes[0].held(gone).Tombstone && !c.nodes[0].behindAnywhere()
	})
	wantOp(t, c.nodes[0].do(incrOp(sum), kv.LevelAll), nil)
	c.readable(t, sum, "2", levels...)
}
