package test

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// What a node sends to another, or to all others, gets lost without a word, and what these send to
// it arrives. For connections that is a cut. The two go on without each other. The rest goes on
// with both, or without the node whose words are all lost.
//
// At the rest no request fails, is left without an answer, or is answered wrongly, and no member is
// removed. One exception: while the cut ends, some deleted keys are answered with 503, because who
// has them cannot tell yet whether it has missed something. When the way is open again all agree.
// Every write that was acknowledged is there, also those at the two sides of the cut.
func TestOneWay(t *testing.T) {
	if testing.Short() {
		t.Skip("a cut takes its time")
	}
	t.Parallel()
	for _, row := range []struct {
		name  string
		evict string
		from  int   // whose packets are lost
		to    []int // for whom they are
		write []int // nodes that are written to at level one meanwhile, beside those of the witness
	}{
		{"one link", "3s", 0, []int{1}, []int{0, 1}},
		{"all that a node sends", "5m", 0, []int{1, 2, 3}, []int{0}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			f, l := newLAN(t, 4, "--evict-after="+row.evict, "--partitions=256")
			f.startAll()
			const some = 100
			m := make(written)
			w := newWitness(f, "oneway-", 2000, "", 2, 3) // at the nodes that reach each other
			for _, i := range row.write {
				m.over(w, i, "PUT", fmt.Sprintf("before-%d-", i), some, "before")
			}
			w.doubtful = true
			w.begin()
			w.more(soaked[int64](200, 500))
			for _, to := range row.to {
				l.deafen(row.from, to)
			}
			healed := time.Now().Add(soaked(5*time.Second, 30*time.Second))
			for _, to := range row.to {
				f.awaitDown(row.from, to)
				f.awaitDown(to, row.from)
			}
			w.more(soaked[int64](200, 500))
			refused := 0
			for _, i := range row.write {
				refused += m.over(w, i, "PUT", fmt.Sprintf("new-%d-", i), some, fmt.Sprintf("at node %d", i))
				refused += m.over(w, i, "PUT", "both-", some, fmt.Sprintf("at node %d", i))
				refused += m.over(w, i, "DELETE", fmt.Sprintf("before-%d-", i), some/2, "")
			}
			time.Sleep(time.Until(healed)) // the cut lasts so long: nothing is waited for
			for i := range 4 {
				if doc, err := f.view(i); err != nil || len(doc.Nodes) != 4 || f.logged(i, "it is removed") {
					t.Errorf("node %d has %d members, %v; it has removed one: %v", i, len(doc.Nodes), err, f.logged(i, "it is removed"))
				}
			}
			w.more(soaked[int64](200, 500))
			began := time.Now()
			for _, to := range row.to {
				l.mend(row.from, to)
			}
			f.awaitSettled(0, 1, 2, 3)
			settled := time.Since(began)
			f.eventually("all agree", func() error { return m.agreed(w, 0, 1, 2, 3) })
			agreed := time.Since(began)
			w.end()
			w.conclude(0, 0, 1, 2, 3)
			t.Logf("%d writes refused beside the cut; settled %v after it, all agree after %v; longest request at the others %v, %d in doubt",
				refused, settled, agreed, slices.Max(w.latencies[0]), w.doubts.Load())
		})
	}
}
