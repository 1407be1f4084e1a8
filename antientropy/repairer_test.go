package antientropy

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"httpdhs/internal/memnet"
	"httpdhs/internal/poll"
	"httpdhs/kv"
	"httpdhs/peer"
	"httpdhs/placement"
	"httpdhs/ring"
	"httpdhs/shard"
	"httpdhs/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testPartitions = 16

// node is a repairer over a real store, and its own topology: rings do not change, and it claims
// nothing but what a test has it claim.
type node struct {
	*Repairer
	store *shard.Store
	disk  *disk
	peers []*peer.Peer // by node; nil: itself
	clock *kv.Clock
	boots map[string]uint64 // of peers that were restarted
	waits atomic.Bool       // it cannot claim
}

func (n *node) Advance()                 {}
func (n *node) Claiming() bool           { return false }
func (n *node) Boot(p *peer.Peer) uint64 { return bootOf(p.Name()) + n.boots[p.Name()] }
func (n *node) Target() *ring.Table      { return n.board.View().Read }

func (n *node) Claim(placement.Puller) error {
	if n.waits.Load() {
		return placement.ErrNotInSync
	}
	return nil
}

func bootOf(name string) uint64 { return kv.Hash([]byte(name)) }

// verdicts takes nobody for down.
type verdicts struct{}

func (verdicts) Broke(error) {}
func (verdicts) CameUp()     {}

// pair is two owners of everything, and a third node that owns nothing.
func newNodes(t *testing.T) (net *memnet.Network, nodes []*node) {
	t.Helper()
	net = memnet.New()
	names := []string{"node0", "node1", "node2"}
	table, err := ring.New([]ring.Node{{Name: names[0], Weight: 1}, {Name: names[1], Weight: 1}}, ring.Settings{Partitions: testPartitions, Replicas: 2})
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range names {
		n := &node{disk: new(disk), boots: map[string]uint64{}, clock: kv.NewClock(uint16(i), time.Now), peers: make([]*peer.Peer, len(names))}
		n.store, err = shard.Open(shard.Options{Partitions: testPartitions, Grace: kv.Grace{Keep: time.Hour}, SweepEvery: -1, Journal: n.disk})
		if err != nil {
			t.Fatal(err)
		}
		for j, other := range names {
			if i == j {
				continue
			}
			n.peers[j] = peer.New(&peer.Options{
				Name: other, Transport: net.Link(name, other), QueueBytes: 1 << 20, Clock: n.clock,
				Log: slog.New(slog.DiscardHandler), Detector: verdicts{},
			})
			n.peers[j].MarkBack(true)
			n.peers[j].SetInSync(true)
		}
		board := placement.NewBoard(testPartitions, time.Hour)
		writer := placement.Writer{Board: board}
		writer.Replace(placement.NewView(1, 1, []*ring.Table{table}, name, func(other string) *peer.Peer {
			for j := range names {
				if names[j] == other {
					return n.peers[j]
				}
			}
			return nil
		}))
		n.Repairer = New(&Options{
			Name: name, Boot: bootOf(name), Board: board, Store: n.store, Clock: n.clock, Topology: n,
			Grace: kv.Grace{Keep: time.Hour}, Log: slog.New(slog.DiscardHandler),
		})
		net.Put(name, n)
		nodes = append(nodes, n)
	}
	t.Cleanup(func() {
		net.Clear()
		for _, n := range nodes {
			n.Stop()
			for _, p := range n.peers {
				if p != nil {
					p.Close()
				}
			}
			n.Close()
			_ = n.store.Close()
		}
		net.Wait()
	})
	return net, nodes
}

// Exchange answers what repairers ask, and merges batches.
func (n *node) Exchange(dst, msg []byte) ([]byte, error) {
	kind, body, err := wire.Split(msg)
	switch {
	case err != nil:
		return dst, err
	case kind == wire.KindDigests:
		return n.ServeDigests(dst, body)
	case kind == wire.KindPull:
		return n.ServePull(dst, body)
	case kind != wire.KindBatch:
		return dst, errors.New("no such message")
	}
	_, body, err = wire.SplitClock(body)
	dst = wire.OpenBatch(dst)
	for len(body) > 0 && err == nil {
		var it wire.Item
		if it, body, err = wire.NextItem(body); err != nil {
			return dst, err
		}
		r := wire.Result{Code: wire.Stored}
		if _, err := n.store.Apply(kv.Hash(it.Record.Key), &it.Record); err != nil {
			r.Code = wire.RefusalOf(err)
		}
		dst = wire.AppendResult(dst, &r)
	}
	return dst, err
}

// put stores records at a node alone.
func (n *node) put(t *testing.T, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		r := kv.Record{Key: fmt.Appendf(nil, "key%d", i), Entry: kv.Entry{Version: n.clock.Now(), Value: make([]byte, 1000)}}
		if _, err := n.store.Apply(kv.Hash(r.Key), &r); err != nil {
			t.Fatal(err)
		}
	}
}

// differ is how many partitions differ.
func differ(a, b *node) (n int) {
	for part := range testPartitions {
		if a.own.digest(part) != b.own.digest(part) {
			n++
		}
	}
	return n
}

// all are all partitions.
func all() (partitions []int) {
	for part := range testPartitions {
		partitions = append(partitions, part)
	}
	return partitions
}

// A pull fetches what differs and nothing else, over many answers, and repeats nothing.
func TestPullFetchesWhatDiffers(t *testing.T) {
	_, nodes := newNodes(t)
	a, b := nodes[0], nodes[1]
	b.put(t, 0, 2000)
	if err := a.puller.pullFrom(a.remote(a.peers[1], false), all()); err != nil {
		t.Fatal(err)
	}
	if n := differ(a, b); n > 0 || a.Pulled.Load() != 2000 {
		t.Errorf("%d partitions differ after %d records", n, a.Pulled.Load())
	}
	b.put(t, 2000, 2001)
	if err := a.puller.pullFrom(a.remote(a.peers[1], false), all()); err != nil {
		t.Fatal(err)
	}
	if n := a.Pulled.Load() - 2000; differ(a, b) > 0 || n > 20 {
		t.Errorf("for one record that differed %d came", n)
	}
}

// A source that was to have authority and says that it has not is no source; nor is one that
// was restarted.
func TestSourcesHaveToBeWhatTheyWere(t *testing.T) {
	_, nodes := newNodes(t)
	a, b := nodes[0], nodes[1]
	err := a.puller.pullFrom(a.remote(a.peers[1], true), all())
	if !errors.Is(err, errNoAuthority) {
		t.Errorf("of a source without authority: %v", err)
	}
	held := make([]bool, testPartitions)
	for i := range held {
		held[i] = true
	}
	placement.Writer{Board: b.board}.SetHeld(held)
	if err := a.puller.pullFrom(a.remote(a.peers[1], true), all()); err != nil {
		t.Errorf("of a source with authority: %v", err)
	}
	b.board.Refuse(0, 5, kv.ErrNoMemory)
	if err := a.puller.pullFrom(a.remote(a.peers[1], true), all()); !errors.Is(err, errNoAuthority) {
		t.Errorf("of a source that has refused something: %v", err)
	}
	b.opt.Boot++
	if err := a.puller.pullFrom(a.remote(a.peers[1], false), all()); !errors.Is(err, placement.ErrNotInSync) {
		t.Errorf("of a source that was restarted: %v", err)
	}
}

// A claim's pull says which partitions are in doubt, and tells how far it is. It ends when the ring
// is not wanted any more.
func TestPullOfAClaim(t *testing.T) {
	_, nodes := newNodes(t)
	a, b := nodes[0], nodes[1]
	b.put(t, 0, 100)
	wanted := true
	task := placement.Pull{
		Ring: "r", From: []placement.Source{{Peer: a.peers[1], Sure: true, Partitions: all()}},
		Wanted: func() bool {
			if m := a.Moving(); m == nil || m.Partitions != testPartitions {
				t.Errorf("moving is %+v", m)
			}
			return wanted
		},
		Had: func([]int) bool { return true },
	}
	doubtful, err := a.puller.pull(&task)
	if err != nil || len(doubtful) != testPartitions || differ(a, b) > 0 {
		t.Errorf("%d are in doubt, %v, %d differ", len(doubtful), err, differ(a, b))
	}
	if a.Moving() != nil {
		t.Error("it moves still")
	}
	wanted = false
	if _, err := a.puller.pull(&task); !errors.Is(err, placement.ErrNotInSync) {
		t.Errorf("of a ring that nobody wants: %v", err)
	}
}

// What a node holds and does not own is given to all owners, and dropped once they have it; while
// one does not take it, it stays.
func TestHandOver(t *testing.T) {
	net, nodes := newNodes(t)
	from := nodes[2]
	from.put(t, 0, 500)
	net.Between("node2", "node1", memnet.FailWith(memnet.ErrReset))
	if left := from.giver.handOver(); left != testPartitions || from.HandingOver() != testPartitions {
		t.Errorf("%d partitions are left while an owner is not reached", left)
	}
	net.Clear()
	if left := from.giver.handOver(); left != 0 || from.Leaving() != 0 {
		t.Errorf("%d partitions are left", left)
	}
	if n := differ(nodes[0], nodes[1]); n > 0 || from.HandedOver.Load() < 1000 {
		t.Errorf("%d partitions differ at the owners, after %d records", n, from.HandedOver.Load())
	}
}

// The loop finds what one owner lacks, and what was refused, with time.
func TestTheLoopRepairs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, nodes := newNodes(t)
		a, b := nodes[0], nodes[1]
		b.put(t, 0, 100)
		a.board.Refuse(kv.Hash([]byte("key0")), b.clock.Now(), kv.ErrNoMemory)
		placement.Writer{Board: a.board}.SetStable(true)
		a.Start()
		poll.True(t, "nothing differs", func() bool { return differ(a, b) == 0 })
		poll.True(t, "what was refused is forgotten", func() bool {
			return !a.board.Refused.Any(a.board.View().Partition(kv.Hash([]byte("key0"))))
		})
		b.put(t, 100, 200)
		began := time.Now()
		placement.Writer{Board: a.board}.Restart() // as after a peer was restarted
		a.board.Wake()
		poll.True(t, "nothing differs", func() bool { return differ(a, b) == 0 })
		if took := time.Since(began); took > time.Second {
			t.Errorf("it took %v to look at all peers", took)
		}
	})
}

// A node that waits for an owner, and so is not in sync, fetches what owners have that are. They
// may forget deletes before it has ceased to wait. It asks nobody who is not in sync.
func TestWhoWaitsKeepsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, nodes := newNodes(t)
		a, b := nodes[0], nodes[1]
		a.waits.Store(true)
		a.peers[1].SetInSync(false)
		a.Start()
		b.put(t, 0, 100)
		time.Sleep(5 * driftEvery)
		if a.Pulled.Load() > 0 {
			t.Error("it asks a peer that is not in sync")
		}
		a.peers[1].SetInSync(true)
		for range 3 {
			b.put(t, 0, 100)
			time.Sleep(2 * driftEvery)
			if n := differ(a, b); n > 0 {
				t.Errorf("%d partitions differ", n)
			}
		}
	})
}

// A peer that was restarted is looked at when it is in sync, whomever chance picks. What it has on
// its disk, nobody else may have.
func TestWhoWasRestartedIsLookedAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, nodes := newNodes(t)
		a, b := nodes[0], nodes[1]
		a.opt.Random = func() float64 { return 0.99 } // never b
		table, err := ring.New([]ring.Node{{Name: "node0", Weight: 1}, {Name: "node1", Weight: 1}, {Name: "node2", Weight: 1}}, ring.Settings{Partitions: testPartitions, Replicas: 3})
		if err != nil {
			t.Fatal(err)
		}
		writer := placement.Writer{Board: a.board}
		writer.Replace(placement.NewView(2, 1, []*ring.Table{table}, "node0", func(other string) *peer.Peer {
			return a.peers[slices.IndexFunc(nodes, func(n *node) bool { return n.opt.Name == other })]
		}))
		writer.SetStable(true)
		a.peers[1].SetInSync(false)
		writer.Restart()
		a.Start()
		poll.True(t, "it has looked at the others", func() bool { return !a.board.Restarted() })
		b.put(t, 0, 100)
		time.Sleep(5 * driftEvery) // b is slow to get in sync
		if n := differ(a, b); n == 0 {
			t.Error("one that is not in sync is looked at")
		}
		a.peers[1].SetInSync(true)
		began := time.Now()
		poll.True(t, "nothing differs", func() bool { return differ(a, b) == 0 })
		if took := time.Since(began); took > driftEvery+time.Second {
			t.Errorf("it took %v to look at who was restarted", took)
		}
		b.put(t, 100, 200)
		time.Sleep(5 * driftEvery) // it is looked at once
		if differ(a, b) == 0 {
			t.Error("it is looked at more than once")
		}
	})
}

// The pace bounds what is fetched.
func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		quit := make(chan struct{})
		p := newPace(1<<20, quit)
		began := time.Now()
		for range 10 {
			if err := p.pay(1 << 20); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(began); took < 9*time.Second || took > 10*time.Second {
			t.Errorf("10 MiB at a MiB a second took %v", took)
		}
		close(quit)
		if err := p.pay(10 << 20); !errors.Is(err, kv.ErrStopping) {
			t.Errorf("while it stops: %v", err)
		}
	})
}
