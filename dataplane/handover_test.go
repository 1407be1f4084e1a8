package dataplane

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"httpdhs/internal/memnet"
	"httpdhs/internal/poll"
	"httpdhs/kv"
)

// A node drops nothing of what it holds for others before each owner has it: one that is down, that
// has no room for a record, or that says that it is no owner keeps it there.
func TestHandOverDropsNothingThatAnOwnerHasNot(t *testing.T) { bubble(t, testHandOverKeeps) }

func testHandOverKeeps(t *testing.T) {
	const bound = 4 << 20
	c := newCluster(t, clusterOptions{nodes: 3, replicas: 2, maxBytes: map[int]int64{1: bound}})
	key := c.keyOwnedBy(0, 0, 1)
	hash := kv.Hash([]byte(key))
	record := kv.Record{Key: []byte(key), Entry: kv.Entry{Version: c.nodes[2].clock.Now(), Value: bytes.Repeat([]byte{'x'}, bound)}}
	if _, err := c.nodes[2].store.Apply(hash, &record); err != nil {
		t.Fatal(err)
	}
	keeps := func(why string) {
		t.Helper()
		for range 3 {
			c.nodes[2].Board.Wake()
			time.Sleep(time.Second)
		}
		if left := c.nodes[2].Repairer.HandingOver(); left != 1 {
			t.Errorf("%s: %d partitions are left to be handed over, want 1", why, left)
		}
		if _, _, ok := c.nodes[2].store.Get(nil, hash, record.Key); !ok {
			t.Fatalf("%s: it is dropped", why)
		}
	}
	_, err := c.nodes[1].store.Apply(hash, &record)
	if !errors.Is(err, kv.ErrNoMemory) {
		t.Fatalf("the owner has room: %v", err)
	}
	keeps("an owner has no room")

	c.net.Between("node2", "node1", memnet.OnBatches(func([]byte, func() ([]byte, error)) ([]byte, error) { return nil, memnet.ErrReset }))
	keeps("an owner is not reached")
	c.net.Clear()
	c.cut(1)
	keeps("an owner is down")
	c.heal(1)

	record.Value = record.Value[:10]
	record.Version = c.nodes[2].clock.Now()
	if _, err := c.nodes[2].store.Apply(hash, &record); err != nil {
		t.Fatal(err)
	}
	poll.True(t, "all is handed over", func() bool { return c.nodes[2].Repairer.HandingOver() == 0 })
	if _, _, ok := c.nodes[2].store.Get(nil, hash, record.Key); ok {
		t.Error("it is not dropped once all owners have it")
	}
	for i := range 2 {
		if e, _, ok := c.nodes[i].store.Get(nil, hash, record.Key); !ok || e.Version != record.Version {
			t.Errorf("owner %d has %v, %v", i, e.Version, ok)
		}
	}
}
