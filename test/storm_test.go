package test

import (
	"fmt"
	"net/http"
	"testing"
)

// Changes overlap and fail. A node joins and is killed while it fetches, and comes back empty.
// Another joins by it alone before it is part of the cluster. One of the old ones is stopped and
// started in the middle. No request fails at those that run, nothing is wrong, and at last all is
// as if it had been done one by one.
func TestChangesOverlap(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 5, "--sync-rate="+soaked("256KiB", "1MiB")) // so that a change is not over before the next
	f.startByConf(0, 1, 2)
	w := newWitness(f, "storm-", soaked(5000, 200_000), "", 0, 1, 2)
	w.begin()
	w.more(soaked[int64](200, 500))
	for range soaked(2, 10) {
		f.start(3, f.join(0, 1, 2))
		f.eventually("the node fetches", func() error {
			if n := f.count(3, "httpdhs_store_keys"); n < 500 {
				return fmt.Errorf("%v keys so far", n)
			}
			return nil
		})
		f.kill9(3)
		w.more(200)
	}
	f.start(3)
	f.start(4, f.join(3))
	f.eventually("the node answers", func() error { _, _, err := f.get(4, "/healthz"); return err })
	w.more(200)
	w.withdraw(1)
	f.stop(1)
	f.start(1)
	f.awaitSettled(0, 1, 2, 3, 4)
	w.allow(1)
	w.allow(3)
	w.allow(4)
	w.more(soaked[int64](200, 500))
	w.end()
	w.conclude(2, 0, 1, 2, 3, 4)
}

// count is a metric of a node; 0 while it does not answer.
func (f *fleet) count(i int, name string) float64 {
	if _, _, err := f.get(i, "/healthz"); err != nil {
		return 0
	}
	return f.metrics(i)[name]
}

// A node leaves: it is asked to the end, hands over what it holds, and ends by itself. Nothing is
// lost, no request fails, and hardly more is fetched by the others than has to be.
func TestLeaveUnderLoad(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 4)
	f.startAll()
	w := newWitness(f, "leave-", soaked(4000, soakKeys()), "", 0, 1, 2, 3)
	w.begin()
	w.more(soaked[int64](200, 100_000))
	before := f.table(0)
	w.withdraw(3) // its listener closes when it has left
	w.phase.Store(1)
	w.leave(3)
	f.awaitLeft(3)
	f.awaitSettled(0, 1, 2)
	w.phase.Store(2)
	w.more(soaked[int64](200, 500))
	w.end()
	w.concludeMove("one of four leaves", before, 0, 1, 2)
}

// leave has a node hand all over and end.
func (w *witness) leave(i int) {
	w.f.t.Helper()
	switch status, body := w.ask(i, http.MethodPost, "/cluster/leave", ""); {
	case status == 404 || status == 405:
		w.f.t.Skip("this version has no /cluster/leave")
	case status/100 != 2:
		w.f.t.Fatalf("leave of node %d: %d %s", i, status, body)
	}
}

func (f *fleet) awaitLeft(i int) {
	f.t.Helper()
	p := f.proc(i)
	f.eventually("the node has left", func() error {
		if p.running() {
			return fmt.Errorf("node %d runs", i)
		}
		return nil
	})
	if status, err := p.wait(); err != nil || status != 0 {
		f.t.Errorf("a node that has left ends with %d, %v", status, err)
	}
}

// Two nodes leave while a third is joining, and one of those that stay is killed and comes back
// empty. Nothing is lost, and nothing is wrong: one memory is lost between two states at rest, and
// there are two copies.
func TestLeavesOverlap(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 6, "--sync-rate="+soaked("256KiB", "1MiB"))
	f.startByConf(0, 1, 2, 3, 4)
	w := newWitness(f, "leaves-", soaked(3000, 100_000), "", 0, 1, 2)
	w.begin()
	w.more(soaked[int64](200, 500))
	w.leave(3)
	f.start(5, f.join(0, 1))
	w.leave(4)
	w.more(200)
	w.withdraw(1)
	f.kill9(1)
	w.more(200)
	f.start(1, f.join(0, 2)) // its file names members that have left meanwhile
	f.awaitLeft(3)
	f.awaitLeft(4)
	f.awaitSettled(0, 1, 2, 5)
	w.allow(1)
	w.allow(5)
	w.more(soaked[int64](200, 500))
	w.end()
	w.conclude(2, 0, 1, 2, 5)
}
