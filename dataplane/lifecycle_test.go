package dataplane

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"httpdhs/internal/memnet"
	"httpdhs/internal/poll"
	"httpdhs/kv"
	"httpdhs/peer"
)

// After a drain every peer that is up has all that was queued for it, with what nobody waited for.
// A drain does not wait for peers that are down, and ends with its context.
func TestDrainHandsEverythingOver(t *testing.T) { bubble(t, testDrain) }

func testDrain(t *testing.T) {
	c := newCluster(t, clusterOptions{nodes: 3, replicas: 2})
	c.net.Toward("node1", memnet.OnBatches(func(_ []byte, pass func() ([]byte, error)) ([]byte, error) {
		time.Sleep(10 * time.Millisecond)
		return pass()
	}))
	c.cut(2)
	var keys []string
	for i := range 300 {
		keys = append(keys, c.keyOwnedBy(i%40, 0, 1)+fmt.Sprint("/", i))
		c.nodes[0].mustPut(t, keys[i], string(make([]byte, 5000)), kv.LevelOne)
	}
	if err := c.nodes[0].Topology.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		for _, i := range c.ownersOf(key) {
			if i != 2 && !c.nodes[i].held(key).Exists() {
				t.Fatalf("node%d lacks %s after the drain", i, key)
			}
		}
	}
	hold := memnet.NewGate(t)
	c.net.Between("node0", "node1", memnet.OnBatches(hold.Hold))
	c.nodes[0].mustPut(t, c.keyOwnedBy(0, 0, 1), "v", kv.LevelOne)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	start := time.Now()
	if err := c.nodes[0].Topology.Drain(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
		t.Errorf("drain of a peer that hangs: %v after %v", err, time.Since(start))
	}
}

// Closing a node answers all who wait, at once, whatever its peers do, and ends
// its goroutines; calls that come later are refused. It may be closed twice.
func TestCloseAnswersAllWhoWait(t *testing.T) { bubble(t, testClose) }

func testClose(t *testing.T) {
	c := newCluster(t, clusterOptions{nodes: 3, replicas: 2})
	n := c.nodes[2]
	key := c.keyOwnedBy(0, 0, 1)
	hold := memnet.NewGate(t)
	c.net.Between("node2", "node0", hold.Hold)
	c.net.Between("node2", "node1", hold.Hold)
	var all sync.WaitGroup
	var writes, reads atomic.Int32
	for range 20 {
		all.Go(func() {
			if o := n.put(key, "v", kv.LevelAll); o.Err != nil && !errors.Is(o.Err, kv.ErrTimeout) {
				writes.Add(1)
			}
		})
		all.Go(func() {
			if o := n.get(key, kv.LevelOne); errors.Is(o.Err, kv.ErrStopping) {
				reads.Add(1)
			}
		})
		all.Go(func() {
			if o := n.get(key, kv.LevelQuorum); errors.Is(o.Err, kv.ErrStopping) {
				reads.Add(1)
			}
		})
		all.Go(func() {
			if o := n.do(condOp(key, "v", kv.IfAbsent), kv.LevelAll); o.Err != nil && !errors.Is(o.Err, kv.ErrConditionFailed) {
				writes.Add(1)
			}
		})
	}
	hold.Wait(t, 2)
	time.Sleep(time.Millisecond)
	start := time.Now()
	n.Close()
	all.Wait()
	if took := time.Since(start); took > 50*time.Millisecond {
		t.Errorf("it took %v", took)
	}
	if writes.Load() != 40 || reads.Load() != 40 {
		t.Errorf("%d of 40 writes and %d of 40 reads were answered", writes.Load(), reads.Load())
	}
	n.Close()
	wantOp(t, n.put(key, "v", kv.LevelOne), kv.ErrStopping)
	if _, err := n.List(&kv.ListRequest{Limit: 1}); !errors.Is(err, kv.ErrStopping) {
		t.Errorf("listing of a closed node: %v", err)
	}
	if err := n.Topology.Drain(t.Context()); err != nil {
		t.Errorf("drain of a closed node: %v", err)
	}
}

// A node may be closed at any moment of its start.
func TestCloseAtAnyTime(t *testing.T) {
	for after := range 20 {
		bubble(t, func(t *testing.T) {
			c := idleCluster(t, clusterOptions{nodes: 2, replicas: 2})
			c.boot(0, 1, clusterOptions{})
			n := c.boot(1, 2, clusterOptions{})
			for i := range 20 {
				go n.put(fmt.Sprint(i), "v", kv.LevelLive)
			}
			time.Sleep(time.Duration(after) * 5 * time.Millisecond)
			n.Close()
		})
	}
}

// Two nodes whose rings differ refuse each other and say why; they do not ask
// each other more often than the prober's pace.
func TestNodesOfDifferentRings(t *testing.T) { bubble(t, testDifferentRings) }

func testDifferentRings(t *testing.T) {
	a := newCluster(t, clusterOptions{nodes: 2, replicas: 1})
	b := newCluster(t, clusterOptions{nodes: 2, replicas: 2})
	b.kill(1)
	a.kill(0)
	a.net.Put("node0", b.nodes[0].Plane)
	b.net.Put("node1", a.nodes[1].Plane)
	poll.True(t, "they see each other down", func() bool {
		return a.nodes[1].peer(0).State() == peer.Down && b.nodes[0].peer(1).State() == peer.Down
	})
	var pings atomic.Int32
	a.net.Between("node1", "node0", func(_ []byte, pass func() ([]byte, error)) ([]byte, error) {
		if pings.Add(1) > 1000 {
			return nil, memnet.ErrTimeout // do not go on for ever
		}
		return pass()
	})
	const pause = 3 * time.Millisecond // ProbeEvery
	time.Sleep(100 * pause)
	if n := pings.Load(); n > 110 {
		t.Errorf("%d pings in the time of 100", n)
	}
	if reason := a.nodes[1].status(0).Reason; reason == nil || reason.Error() == "" {
		t.Error("no reason")
	}
	a.net.Put("node0", nil)
	b.net.Put("node1", nil)
}

// A node that answers at another's address is not taken for that other: it would count as two
// replicas.
func TestNodeUnderAnothersAddress(t *testing.T) { bubble(t, testAnothersAddress) }

func testAnothersAddress(t *testing.T) {
	c := newCluster(t, clusterOptions{nodes: 3, replicas: 2})
	c.kill(1)
	c.net.Put("node1", c.nodes[2].Plane)
	n := c.nodes[0]
	time.Sleep(time.Second)
	if s := n.peer(1).State(); s != peer.Down {
		t.Errorf("node2 answers as node1, which is %v", s)
	}
	wantOp(t, n.put(c.keyOwnedBy(0, 1, 2), "v", kv.LevelAll), kv.ErrUnavailable)
	c.net.Put("node1", nil)
}
