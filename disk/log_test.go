package disk_test

import (
	"cmp"
	"fmt"
	"testing"
	"time"

	"go.uber.org/goleak"

	"httpdhs/disk"
	"httpdhs/kv"
	"httpdhs/shard"
)

const (
	testPartitionBits = 6
	testPartitions    = 1 << testPartitionBits
)

var testID = disk.Identity{Node: "a:1", Partitions: testPartitions, Settings: "--replicas=2"}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// node is a store and its log.
type node struct {
	t     testing.TB
	opt   disk.Options
	log   *disk.Log
	store *shard.Store
	grace time.Duration // of tombstones; 0: an hour
}

func start(t testing.TB, o disk.Options) *node {
	t.Helper()
	n := &node{t: t, opt: o}
	if n.opt.Dir == "" {
		n.opt.Dir = t.TempDir()
	}
	n.opt.Identity = testID
	n.open()
	return n
}

func (n *node) open() {
	n.t.Helper()
	var err error
	if n.log, err = disk.Open(n.opt); err != nil {
		n.t.Fatal(err)
	}
	n.store = newStore(n.t, n.log, cmp.Or(n.grace, time.Hour))
	if err := n.log.Load(n.t.Context(), n.store); err != nil {
		n.t.Fatal(err)
	}
}

func (n *node) close() {
	n.t.Helper()
	if err := n.log.Close(); err != nil {
		n.t.Error(err)
	}
	_ = n.store.Close()
}

func (n *node) put(key, value string, v kv.Version) {
	n.t.Helper()
	r := kv.Record{Key: []byte(key), Entry: kv.Entry{Version: v, Value: []byte(value)}}
	if _, err := n.store.Apply(kv.HashString(key), &r); err != nil {
		n.t.Fatal(err)
	}
}

// What is closed in good order holds the same when it is opened again, however it is synced.
func TestRoundTrip(t *testing.T) {
	for _, mode := range []disk.Sync{disk.SyncInterval, disk.SyncAlways, disk.SyncNever} {
		n := start(t, disk.Options{Sync: mode, SegmentBytes: 1 << 16})
		for i := range 20000 {
			n.put(fmt.Sprint("k", i%3000), fmt.Sprint("value", i), kv.Version(i+1)<<10)
		}
		if err := n.store.Durable(time.Time{}); err != nil {
			t.Fatal(err)
		}
		before := n.store.Stats()
		n.close()
		n.open()
		after := n.store.Stats()
		t.Log(mode, before.Keys, after.Keys, n.log.Stats())
		for p := range testPartitions {
			_ = p
		}
		if before.Keys != after.Keys {
			t.Errorf("%d keys, had %d", after.Keys, before.Keys)
		}
		n.close()
	}
}

func newStore(t testing.TB, journal shard.Journal, grace time.Duration) *shard.Store {
	t.Helper()
	store, err := shard.Open(shard.Options{Partitions: testPartitions, Grace: kv.Grace{Keep: grace}, SweepEvery: -1, Journal: journal})
	if err != nil {
		t.Fatal(err)
	}
	return store
}
