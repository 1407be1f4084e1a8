package node

import (
	"math"
	"testing"
	"time"

	"httpdhs/shard"
	"httpdhs/wire"
)

// partitions is a store that counts what a test says.
type partitions []shard.Traffic

func (p partitions) count(dst []shard.Traffic) []shard.Traffic { return append(dst, p...) }

// The hottest partitions come first, as many as fit, and each with what it had a second. Those
// without traffic are none.
func TestHottestPartitions(t *testing.T) {
	var traffic traffic
	now := time.Now()
	store := make(partitions, 100)
	store[90].Reads, store[99].Writes = math.MaxUint32-4, 1_000_000 // before anybody asked
	if hot := traffic.hottest(now, store.count); hot != nil {
		t.Fatalf("at the first look: %+v", hot)
	}
	for i := range 20 {
		store[i].Reads, store[i].Writes = uint32(10*i), uint32(10*i)
	}
	store[90].Reads += 1000 // which goes round
	hot := traffic.hottest(now.Add(2*time.Second), store.count)
	if len(hot) != wire.HotMax || hot[0] != (wire.PartitionRate{Partition: 90, Reads: 500}) || hot[1] != (wire.PartitionRate{Partition: 19, Reads: 95, Writes: 95}) {
		t.Errorf("%+v", hot)
	}
	for i := 1; i < len(hot); i++ {
		if hot[i].Reads+hot[i].Writes > hot[i-1].Reads+hot[i-1].Writes || hot[i].Partition == 99 {
			t.Errorf("%d: %+v", i, hot)
		}
	}
}

// Lately is the last seconds: what was hot before that is not, and after a minute without a
// question nothing is known.
func TestHotIsLately(t *testing.T) {
	var traffic traffic
	now := time.Now()
	store := make(partitions, 4)
	traffic.hottest(now, store.count)
	store[1].Reads = 1000
	for range 2 * int(2*trafficEvery/time.Second) {
		now = now.Add(time.Second / 2)
		traffic.hottest(now, store.count)
	}
	store[2].Writes = 20
	now = now.Add(time.Second)
	if hot := traffic.hottest(now, store.count); len(hot) != 1 || hot[0].Partition != 2 || hot[0].Writes > 20/trafficEvery.Seconds() {
		t.Errorf("%+v", hot)
	}
	if hot := traffic.hottest(now.Add(time.Second/2), make(partitions, 0).count); len(hot) != 1 {
		t.Errorf("a second question at once: %+v", hot)
	}
	if hot := traffic.hottest(now.Add(2*trafficForget), store.count); hot != nil {
		t.Errorf("after a long silence: %+v", hot)
	}
}
