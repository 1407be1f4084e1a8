package test

import (
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"testing"
	"time"

	"httpdhs/api"
	"httpdhs/kv"
)

// owns says whether a node is an owner of a key, by a ring.
func (f *fleet) owns(r *api.Ring, node int, key string) bool {
	p := kv.Hash([]byte(key)) >> (64 - bits.Len(uint(r.Partitions-1)))
	return slices.ContainsFunc(r.Owners[p], func(n uint16) bool { return r.Nodes[n].Name == f.name(node) })
}

// without leaves the clients the keys that a node does not own.
func (w *witness) without(node int) {
	r := w.f.table(0)
	w.only = make([][]int, clients)
	for k := range w.state {
		if !w.f.owns(&r, node, w.key(k)) {
			w.only[k%clients] = append(w.only[k%clients], k)
		}
	}
}

// rate is how many requests a second are answered, over some time.
func (w *witness) rate(over time.Duration) float64 {
	done, began := w.done.Load(), time.Now()
	time.Sleep(over) // nothing is waited for: it is measured
	return float64(w.done.Load()-done) / time.Since(began).Seconds()
}

const queueMax = 64 << 20 // node.Config.HintBytes

// One of four nodes is sick towards the others: it takes what they send and says nothing, or
// answers 500, or garbage, or very late. At the others no request fails or is left without an
// answer, and nothing that is answered is wrong. What they keep for it stays within its bound. When
// it is well again it has all.
func TestSickPeer(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 4)
	p := f.behindProxy(3)
	f.startAll()
	w := newWitness(f, "sick-", soaked(4000, 50_000), "", 0, 1, 2)
	w.begin()
	span := soaked(500*time.Millisecond, 10*time.Second)
	for n, m := range []mood{mute, failing, raving, slow} {
		w.more(200)
		healthy := w.rate(span)
		w.phase.Store(int32(n + 1))
		p.become(m)
		if m != slow {
			f.awaitDown(3, 0, 1, 2)
		}
		sick := w.rate(span)
		for i := range 3 {
			if kept := f.metrics(i)[fmt.Sprintf("httpdhs_peer_queue_bytes{peer=%q}", f.name(3))]; kept > queueMax {
				t.Errorf("node %d keeps %.0f bytes for a node that is %s", i, kept, moods[m])
			}
		}
		if m == mute {
			w.fill(0, 3)
		}
		p.become(honest)
		w.phase.Store(0)
		f.awaitSettled(0, 1, 2, 3)
		t.Logf("%s: %.0f requests/s before, %.0f when known, ratio %.2f", moods[m], healthy, sick, sick/healthy)
	}
	w.end()
	for n, m := range []mood{mute, failing, raving, slow} {
		p99, _ := w.p99(n + 1)
		t.Logf("%s: p99 %v, longest %v; p99 %v otherwise", moods[m], p99, slices.Max(w.latencies[n+1]), first(w.p99(0)))
	}
	w.conclude(0, 0, 1, 2, 3)
}

func first(d time.Duration, _ int) time.Duration { return d }

// fill writes more at node i than is kept for node j, which is down.
func (w *witness) fill(i, j int) {
	w.f.t.Helper()
	const size = 4 << 20
	r, value := w.f.table(i), strings.Repeat("x", size)
	for n, written := 0, 0; written < queueMax+2*size; n++ {
		key := fmt.Sprintf("fill-%d", n)
		if !w.f.owns(&r, j, key) {
			continue
		}
		written += size
		if status, body := w.ask(i, "PUT", "/db/"+key, value); status/100 != 2 {
			w.note(&w.failed, "PUT of 4 MiB at node %d: %d %s", i, status, body)
		}
	}
	m := w.f.metrics(i)
	kept, dropped := m[fmt.Sprintf("httpdhs_peer_queue_bytes{peer=%q}", w.f.name(j))], m[fmt.Sprintf("httpdhs_peer_dropped_records_total{peer=%q}", w.f.name(j))]
	if kept > queueMax || dropped == 0 {
		w.f.t.Errorf("node %d keeps %.0f bytes, bound %d, and has dropped %.0f records", i, kept, queueMax, dropped)
	}
}

// A node that is very slow holds up those who write its keys, and nobody else: the rate of requests
// for other keys is logged, with and without.
func TestSlowPeerHoldsUpItsOwnKeysAlone(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 4)
	p := f.behindProxy(3)
	f.startAll()
	w := newWitness(f, "slow-", 4000, "", 0, 1, 2)
	w.without(3)
	w.begin()
	w.more(soaked[int64](200, 500))
	span := soaked(500*time.Millisecond, 10*time.Second)
	var ratios []float64
	for range 3 {
		healthy := w.rate(span)
		p.become(slow)
		ratios = append(ratios, w.rate(span)/healthy)
		p.become(honest)
	}
	w.end()
	t.Logf("rate for the keys of others while one node is slow, to that before: %.2f", ratios)
	w.nothingFailed()
	w.nothingWrong()
}

// A node that is stopped for two seconds as it is, or starved of the processor for a while, is not
// removed, and no request at the others fails. One that is killed is soon seen to be down by all.
func TestPausedNode(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 4, "--evict-after=3s")
	f.startAll()
	w := newWitness(f, "pause-", 4000, "", 0, 1, 2)
	w.begin()
	w.more(soaked[int64](200, 500))
	f.pause(3)
	time.Sleep(2 * time.Second) // so long is it stopped: nothing is waited for
	f.resume(3)
	w.more(soaked[int64](200, 500))
	for range 10 { // a tenth of the time is its own
		f.pause(3)
		time.Sleep(270 * time.Millisecond) // nothing is waited for
		f.resume(3)
		time.Sleep(30 * time.Millisecond) // nothing is waited for
	}
	f.awaitSettled(0, 1, 2, 3)
	for i := range 4 {
		if f.logged(i, "it is removed") {
			t.Errorf("node %d has removed a member", i)
		}
		t.Logf("node %d: found one down: %v", i, f.logged(i, "no answer to 4 probes"))
	}
	f.kill9(3)
	began := time.Now()
	f.awaitDown(3, 0, 1, 2)
	t.Logf("all see that a node was killed after %v", time.Since(began))
	w.end()
	w.nothingFailed()
	w.nothingWrong()
}
