package antientropy

import (
	"errors"
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"httpdhs/internal/memnet"
	"httpdhs/kv"
	"httpdhs/placement"
	"httpdhs/wire"
)

// disk is a journal that says of each record whether it is on the disk.
type disk struct {
	drops  int
	onDrop func(partition int)

	mu     sync.Mutex      // guards all below
	put    map[string]bool // by key: the store has told of it
	synced map[string]bool
	syncs  int
	fails  error // of Sync
	full   error // of Admit
}

func (d *disk) Put(_ int, r *kv.Record) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.put == nil {
		d.put, d.synced = map[string]bool{}, map[string]bool{}
	}
	d.put[string(r.Key)] = true
}

func (d *disk) Drop(partition int) {
	d.drops++
	if d.onDrop != nil {
		d.onDrop(partition)
	}
}

func (d *disk) Admit(bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.full
}

func (d *disk) Durable(time.Time) error { return nil } // as with an interval

func (d *disk) Sync() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.syncs++
	if d.fails == nil {
		maps.Copy(d.synced, d.put)
	}
	return d.fails
}

// refuses has the store take no change, or take them again.
func (d *disk) refuses(why error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.full = why
}

// has says whether a record stays if the machine loses its power.
func (d *disk) has(key string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.synced[key]
}

// Before a partition is dropped all that its owners took it over with is on their disks, also where
// they had it already. While a disk fails the partition stays.
func TestHandOverWaitsForTheDisksOfOwners(t *testing.T) {
	for _, already := range []bool{false, true} {
		_, nodes := newNodes(t)
		from, a, b := nodes[2], nodes[0], nodes[1]
		from.put(t, 0, 500)
		if already {
			for _, owner := range nodes[:2] {
				if err := owner.puller.pullFrom(owner.remote(owner.peers[2], false), all()); err != nil {
					t.Fatal(err)
				}
			}
			if n := a.disk.syncs + b.disk.syncs + from.disk.syncs; n > 0 {
				t.Errorf("%d syncs for a pull", n)
			}
		}
		b.disk.fails = kv.ErrNoDisk
		if left := from.giver.handOver(); left != testPartitions || from.disk.drops > 0 {
			t.Errorf("%d partitions are left while the disk of an owner fails, %d were dropped", left, from.disk.drops)
		}
		b.disk.fails = nil
		from.disk.onDrop = func(partition int) {
			for i := range 500 {
				key := fmt.Sprint("key", i)
				ofIt := from.board.View().Partition(kv.Hash([]byte(key))) == partition
				if ofIt && !(a.disk.has(key) && b.disk.has(key)) {
					t.Errorf("%s is dropped, and an owner may lose it", key)
				}
			}
		}
		if left := from.giver.handOver(); left != 0 || from.disk.drops != testPartitions {
			t.Errorf("%d partitions are left, %d were dropped", left, from.disk.drops)
		}
	}
}

// An owner that was restarted meanwhile may have lost what it had acknowledged: nothing is dropped.
func TestHandOverIsToOneProcess(t *testing.T) {
	net, nodes := newNodes(t)
	from, owner := nodes[2], nodes[1]
	from.put(t, 0, 1)
	net.Between("node2", "node1", memnet.OnBatches(func(_ []byte, pass func() ([]byte, error)) ([]byte, error) {
		answer, err := pass()
		owner.opt.Boot++
		from.boots["node1"]++
		return answer, err
	}))
	if left := from.giver.handOver(); left != 1 || from.disk.drops > 0 {
		t.Errorf("%d partitions are left, %d were dropped", left, from.disk.drops)
	}
	net.Clear()
	if left := from.giver.handOver(); left != 0 || from.disk.drops != 1 {
		t.Errorf("of an owner that stays: %d partitions are left, %d were dropped", left, from.disk.drops)
	}
}

// What a disk does not take is noted as refused and keeps nothing else from coming, like what has
// no room in memory. It is fetched when the disk takes it.
func TestPullOntoADiskThatRefuses(t *testing.T) {
	for _, why := range []error{kv.ErrDiskFull, kv.ErrNoDisk} {
		_, nodes := newNodes(t)
		a, b := nodes[0], nodes[1]
		b.put(t, 0, 50)
		a.disk.refuses(why)
		if err := a.puller.pullFrom(a.remote(a.peers[1], false), all()); !errors.Is(err, why) || !kv.NoRoom(err) {
			t.Errorf("a pull: %v, want %v", err, why)
		}
		part := a.board.View().Partition(kv.Hash([]byte("key0")))
		if got := a.board.Refused.Lacks(part, kv.Hash([]byte("key0")), 0); got != why {
			t.Errorf("it was refused for %v, want %v", got, why)
		}
		claim := placement.Pull{
			From:   []placement.Source{{Peer: a.peers[1], Partitions: all()}},
			Wanted: func() bool { return true }, Had: func([]int) bool { return false },
		}
		if _, err := a.puller.pull(&claim); !errors.Is(err, placement.ErrNoRoom) {
			t.Errorf("a claim: %v", err)
		}
		if _, full := a.compareWithOwners(part); !full {
			t.Error("it does not say that there is no room")
		}
		a.disk.refuses(nil)
		a.catchUp()
		if n := differ(a, b); n > 0 {
			t.Errorf("%d partitions differ after it has caught up", n)
		}
	}
}

// Digests that are asked for in a comparison are answered whatever the disk does; those of a
// hand-over are not.
func TestOnlyAHandOverSyncs(t *testing.T) {
	_, nodes := newNodes(t)
	a := nodes[0]
	a.disk.fails = kv.ErrDiskFull
	for _, level := range []wire.Level{wire.WholePartitions, wire.EachBucket, wire.OnDisk} {
		_, body, err := wire.Split(wire.AppendDigests(nil, level, []int{1, 2}))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := a.ServeDigests([]byte("before"), body)
		if want := level == wire.OnDisk; errors.Is(err, kv.ErrDiskFull) != want || (string(answer) == "before") != want {
			t.Errorf("level %d: %d bytes, %v", level, len(answer), err)
		}
	}
	if a.disk.syncs != 1 {
		t.Errorf("%d syncs", a.disk.syncs)
	}
}
