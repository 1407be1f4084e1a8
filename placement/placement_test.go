package placement

import (
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"httpdhs/kv"
	"httpdhs/peer"
	"httpdhs/ring"
)

const partitions = 64

// table is the ring of nodes with these numbers.
func table(t *testing.T, nodes ...int) *ring.Table {
	t.Helper()
	var all []ring.Node
	for _, i := range nodes {
		all = append(all, ring.Node{Name: fmt.Sprint("node", i), Weight: 1})
	}
	table, err := ring.New(all, ring.Settings{Partitions: partitions, Replicas: 2})
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// idle are peers that are never started.
func idle(name string) *peer.Peer {
	return peer.New(&peer.Options{Name: name, Clock: kv.NewClock(1, time.Now), Log: slog.New(slog.DiscardHandler)})
}

// The owners of a partition are those by the ring that is read, in its order, and then those by the
// other rings, each once. This node is an owner of a partition if it is one by any ring.
func TestOwnersAreThoseOfAllRings(t *testing.T) {
	reads, next := table(t, 0, 1, 2), table(t, 1, 2, 3)
	for self := range 4 {
		name := fmt.Sprint("node", self)
		v := NewView(1, 1, []*ring.Table{reads, next}, name, idle)
		for part := range partitions {
			var want []string
			for _, ring := range []*ring.Table{reads, next} {
				for _, n := range ring.Owners(part) {
					if owner := ring.NodeAt(n).Name; !slices.Contains(want, owner) {
						want = append(want, owner)
					}
				}
			}
			var got []string
			for _, n := range v.Owners(part) {
				got = append(got, v.Names[n])
				if (v.Peers[n] == nil) != (v.Names[n] == name) {
					t.Fatalf("%s: the peer of %s", name, v.Names[n])
				}
			}
			if !slices.Equal(got, want) || !slices.Equal(v.Readers(part), v.Owners(part)[:2]) {
				t.Fatalf("%s: owners of %d are %v, want %v", name, part, got, want)
			}
			if mine := slices.Contains(want, name); v.Mine(part) != mine || (v.Place(v.Owners(part)) >= 0) != mine {
				t.Fatalf("%s: mine is %v", name, v.Mine(part))
			}
		}
	}
}

// A superseded view is idle when its last operation has left it. That wakes whoever waits for it.
func TestReplacedViewLivesUntilItIsLeft(t *testing.T) {
	b := Writer{NewBoard(partitions, time.Second)}
	first := NewView(1, 1, []*ring.Table{table(t, 0, 1)}, "node0", idle)
	b.Replace(first)
	if got := b.Enter(); got != first || b.Passing(first) {
		t.Fatal("another view is entered")
	}
	second := NewView(2, 2, []*ring.Table{table(t, 0, 2)}, "node0", idle)
	if b.Replace(second) != first || !b.Passing(first) || first.Idle() {
		t.Error("the first is not on its way out")
	}
	if b.Enter() != second {
		t.Error("the first is entered still")
	}
	b.Leave(first)
	select {
	case <-b.Changed():
	default:
		t.Error("nobody is told that the first is idle")
	}
	if !first.Idle() {
		t.Error("it is not idle")
	}
}

// No operation enters a view that somebody has found idle after it was replaced.
func TestNobodyEntersAnIdleView(t *testing.T) {
	b := Writer{NewBoard(partitions, time.Second)}
	views := make([]*View, 100)
	for i := range views {
		views[i] = NewView(uint64(i), uint64(i), []*ring.Table{table(t, 0, 1)}, "node0", idle)
	}
	b.Replace(views[0])
	var all sync.WaitGroup
	idles := make([]bool, len(views)) // guarded by mu
	var mu sync.Mutex
	done := make(chan struct{})
	for range 4 {
		all.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				v := b.Enter()
				mu.Lock()
				if idles[v.Serial] {
					t.Error("an idle view was entered")
				}
				mu.Unlock()
				b.Leave(v)
			}
		})
	}
	for _, v := range views[1:] {
		old := b.Replace(v)
		for !old.Idle() {
		}
		mu.Lock()
		idles[old.Serial] = true
		mu.Unlock()
	}
	close(done)
	all.Wait()
}

// Authority is a lease: it lapses when it is not renewed, and the next renewal says for how long.
// It does not lapse where nobody could have taken this node for down.
func TestAuthorityLapses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := Writer{NewBoard(partitions, time.Second)}
		b.SetHeld([]bool{true})
		b.SetInSync(true)
		holds := func(what string, want bool) {
			t.Helper()
			if b.Holds(0) != want || b.InSync() != want || b.Lapsed() == want || b.Holds(1) {
				t.Errorf("%s: holds %v, in sync %v, lapsed %v", what, b.Holds(0), b.InSync(), b.Lapsed())
			}
		}
		time.Sleep(time.Hour)
		holds("never renewed", true)
		b.Renew()
		time.Sleep(time.Second)
		holds("just renewed", true)
		time.Sleep(time.Second)
		holds("not renewed", false)
		if pause, lapsed := b.Renew(); !lapsed || pause != 2*time.Second {
			t.Errorf("a pause of %v, lapsed %v", pause, lapsed)
		}
		holds("renewed again", true)
		time.Sleep(time.Hour)
		b.Alone(true)
		holds("alone", true)
		b.Alone(false)
		holds("not alone any more", false)
		b.Fresh()
		holds("with the first peer", true)
	})
}

// A note of a refusal counts until something as new is held, or it is forgotten; past the bound on
// notes every key counts.
func TestRefusals(t *testing.T) {
	f := newRefusals(1)
	full := kv.ErrNoMemory
	lacks := func(hash uint64, held kv.Version) bool { return f.Lacks(0, hash, held) != nil }
	if f.Any(0) || lacks(1, 0) {
		t.Error("something is lacked before anything was refused")
	}
	f.note(0, 1, 5, full)
	f.note(0, 1, 3, kv.ErrNoDisk)
	if !f.Any(0) || !lacks(1, 4) || lacks(1, 5) || lacks(2, 0) {
		t.Error("the newest version that was refused of a key is lacked, and no other key")
	}
	if why := f.Lacks(0, 1, 4); why != kv.ErrNoDisk {
		t.Errorf("the last refusal was for %v", why)
	}
	for hash := range uint64(refusalsMax) {
		f.note(0, 100+hash, 7, full)
	}
	if !lacks(4711, 6) || lacks(4711, 7) {
		t.Error("past the bound every key is lacked")
	}
	round := f.NextRound()
	f.note(0, 1, 9, full)
	f.Forget(0, round)
	if !lacks(1, 8) || lacks(100, 0) || lacks(4711, 0) {
		t.Error("notes from before the round are forgotten, and no others")
	}
	f.Forget(0, round+1)
	if f.Any(0) {
		t.Error("a note is left")
	}
}
