package test

import (
	"fmt"
	"math/bits"
	"slices"
	"testing"
	"time"

	"httpdhs/api"
	"httpdhs/kv"
)

// moves is how many copies have to move from one ring to another at the least: of each key one for
// each owner that it gets.
func (w *witness) moves(before, after api.Ring) (copies int64) {
	owners := func(r *api.Ring, p uint64) (names []string) {
		for _, n := range r.Owners[p] {
			names = append(names, r.Nodes[n].Name)
		}
		return names
	}
	for k := range w.state {
		p := kv.Hash([]byte(w.key(k))) >> (64 - bits.Len(uint(before.Partitions-1)))
		had := owners(&before, p)
		for _, name := range owners(&after, p) {
			if !slices.Contains(had, name) {
				copies++
			}
		}
	}
	return copies
}

// wantCopies waits until the nodes hold so many copies of each key, and nothing else: no more,
// because what moved was dropped where it was.
func (w *witness) wantCopies(copies int, nodes ...int) {
	w.f.t.Helper()
	live, uncertain := w.live()
	w.f.eventually(fmt.Sprintf("the nodes hold %d copies of each of %d keys", copies, live), func() error {
		got := int(w.f.sum("httpdhs_store_keys", nodes...))
		if got < copies*live || got > copies*(live+uncertain) {
			return fmt.Errorf("%d are held, of %d keys and %d that nobody knows of", got, live, uncertain)
		}
		return nil
	})
}

// wantShares says that no node owns more than 1.05 of its share of the partitions, which is the
// bound of package ring.
func (f *fleet) wantShares(nodes ...int) {
	f.t.Helper()
	r := f.table(nodes[0])
	owned := make([]int, len(r.Nodes))
	for _, owners := range r.Owners {
		for _, n := range owners {
			owned[n]++
		}
	}
	share := float64(r.Partitions*r.Replicas) / float64(len(nodes))
	for n, got := range owned {
		if float64(got) > 1.05*share || len(r.Nodes) != len(nodes) {
			f.t.Errorf("%s owns %d partitions, fair share %.0f", r.Nodes[n].Name, got, share)
		}
	}
}

// concludeMove is conclude where members have changed: two copies of each key, shares that are
// fair, and how much more was fetched than had to be.
func (w *witness) concludeMove(what string, before api.Ring, nodes ...int) {
	w.f.t.Helper()
	least, fetched := w.moves(before, w.f.table(0)), w.f.sum(synced, nodes...)
	w.conclude(2, nodes...)
	w.f.wantShares(nodes...)
	w.f.t.Logf("%d copies fetched, %d is the least: ratio %.2f", fetched, least, float64(fetched)/float64(least))
	w.report(what)
}

// report logs how requests went before and while something happened. It says nothing of right and
// wrong: the machine is not alone.
func (w *witness) report(what string) {
	before, n := w.p99(0)
	while, m := w.p99(1)
	w.f.t.Logf("%s: p99 %v before (%d requests), %v meanwhile (%d), ratio %.2f", what, before, n, while, m, float64(while)/float64(before))
}

const synced = "httpdhs_coordinator_synced_records_total"

// Two nodes join a cluster of three that is asked by clients all the time. No request fails, none
// is told that a key is not there that is, or an older value; afterwards each node owns its share,
// each key has two copies, and hardly more was fetched than had to be.
func TestJoinUnderLoad(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 5)
	f.startByConf(0, 1, 2)
	w := newWitness(f, "join-", soaked(4000, soakKeys()), "", 0, 1, 2)
	w.begin()
	w.more(soaked[int64](200, 100_000))
	before := f.table(0)
	w.phase.Store(1)
	began := time.Now()
	f.start(3, f.join(0, 1, 2))
	f.start(4, f.join(2))
	f.awaitSettled(0, 1, 2, 3, 4)
	took := time.Since(began)
	w.phase.Store(2)
	w.allow(3)
	w.allow(4)
	w.more(soaked[int64](200, 50_000))
	w.end()
	t.Logf("settled after %v", took)
	w.concludeMove("two nodes join", before, 0, 1, 2, 3, 4)
}

// What holds when nodes join holds when one is killed and evicted: it does not answer, and after a
// while the majority goes on without it. Its keys are copied from the replicas that are left, so
// that all have two copies again.
func TestEvictionUnderLoad(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 4, "--evict-after=3s")
	f.startAll()
	w := newWitness(f, "evict-", soaked(4000, soakKeys()), "", 0, 1, 2, 3)
	w.begin()
	w.more(soaked[int64](200, 100_000))
	before := f.table(0)
	w.withdraw(3)
	w.phase.Store(1)
	f.kill9(3)
	f.awaitSettled(0, 1, 2)
	w.phase.Store(2)
	w.more(soaked[int64](200, 50_000))
	w.end()
	w.concludeMove("one of four is killed and evicted", before, 0, 1, 2)
	for i := range 3 {
		if !f.logged(i, "peer down") {
			t.Errorf("node %d does not say that a peer is down", i)
		}
	}
}

// A node is killed and started again empty, under load, and asked from the first moment that it
// answers. It tells nobody that a key is not there that is, and the others tell it of none. When it
// is ready it has all that it owns.
func TestRestartEmptyUnderLoad(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 3)
	f.startAll()
	w := newWitness(f, "empty-", soaked(4000, soakKeys()), "", 0, 1, 2)
	w.begin()
	w.more(soaked[int64](200, 500))
	w.withdraw(2)
	f.kill9(2)
	w.more(soaked[int64](200, 500))
	f.start(2)
	began := time.Now()
	f.eventually("the node answers", func() error { _, _, err := f.get(2, "/healthz"); return err })
	w.allow(2)
	f.eventually("the node is ready", func() error { return f.isReady(2) })
	t.Logf("ready %v after its start, %d records fetched", time.Since(began), f.sum(synced, 2))
	f.awaitSettled(0, 1, 2)
	w.more(soaked[int64](200, 500))
	w.end()
	w.conclude(2, 0, 1, 2)
}

// Of three copies two are always left: nodes are killed one after the other, and each comes back
// empty and has all again before the next goes. Nothing is lost.
func TestKilledInTurn(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 3, "--replicas=3")
	f.startAll()
	w := newWitness(f, "turn-", soaked(5000, 100_000), "", 0, 1, 2)
	w.begin()
	end := time.Now().Add(5 * time.Minute)
	for n := 0; n < 3 || soak && time.Now().Before(end); n++ {
		next := time.Now().Add(20 * time.Second)
		w.more(soaked[int64](200, 500))
		w.withdraw(n % 3)
		f.kill9(n % 3)
		w.more(soaked[int64](200, 500))
		f.start(n % 3)
		f.eventually("the node answers", func() error { _, _, err := f.get(n%3, "/healthz"); return err })
		w.allow(n % 3)
		f.awaitSettled(0, 1, 2)
		if soak {
			time.Sleep(time.Until(next)) // kills are so far apart: nothing is waited for
		}
	}
	w.end()
	w.conclude(3, 0, 1, 2)
}

// All nodes are stopped in good order and started again, one by one, each ready before the next:
// the usual way to a new version. Nothing is lost, and no request fails at those that run; whether
// the nodes know each other by a file or have joined.
func TestRollingRestart(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"conf", "join"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t, 3)
			if how == "conf" {
				f.startAll()
			} else {
				for i := range 3 {
					f.start(i, f.join(0, 1, 2))
				}
				f.awaitSettled(0, 1, 2)
			}
			w := newWitness(f, "roll-", soaked(5000, 100_000), "", 0, 1, 2)
			w.begin()
			for n := range soaked(3, 9) {
				w.more(soaked[int64](200, 500))
				w.withdraw(n % 3)
				f.stop(n % 3)
				f.start(n % 3)
				f.eventually("the node answers", func() error { _, _, err := f.get(n%3, "/healthz"); return err })
				w.allow(n % 3)
				f.eventually("the node is ready", func() error { return f.isReady(n % 3) })
			}
			w.more(soaked[int64](200, 500))
			w.end()
			w.conclude(2, 0, 1, 2)
		})
	}
}
