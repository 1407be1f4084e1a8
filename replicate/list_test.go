package replicate

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"httpdhs/kv"
)

// mergePage orders what the sources found. It cuts at the limit, but never between equal hashes. It
// leaves out what is past the point where one source was cut short.
func TestMergePage(t *testing.T) {
	var all []kv.Record
	for i := range 20 {
		all = append(all, kv.Record{Key: fmt.Appendf(nil, "%d", i)})
	}
	sorted := slices.Clone(all)
	hash := func(r kv.Record) uint64 { return kv.Hash(r.Key) }
	slices.SortFunc(sorted, func(a, b kv.Record) int {
		if hash(a) < hash(b) {
			return -1
		}
		return 1
	})
	check := func(what string, got kv.Page, want []kv.Record, next uint64, more bool) {
		t.Helper()
		same := slices.EqualFunc(got.Records, want, func(a, b kv.Record) bool { return bytes.Equal(a.Key, b.Key) })
		if !same || got.More != more || (more && got.Next != next) {
			t.Errorf("%s: %d records, next %x, more %v; want %d, %x, %v", what, len(got.Records), got.Next, got.More, len(want), next, more)
		}
	}
	check("all", mergePage(all, 20, 0, false, false), sorted, 0, false)
	check("limit", mergePage(all, 5, 0, false, false), sorted[:5], hash(sorted[5]), true)
	check("limit at the end of a window", mergePage(all, 20, 77, true, false), sorted, 77, true)
	check("cut short", mergePage(all, 20, hash(sorted[7]), true, true), sorted[:7], hash(sorted[7]), true)
	check("limit before the cut", mergePage(all, 5, hash(sorted[7]), true, true), sorted[:5], hash(sorted[5]), true)
	check("cut before the limit", mergePage(all, 7, hash(sorted[7]), true, true), sorted[:7], hash(sorted[7]), true)
	check("nothing", mergePage(nil, 5, 9, true, false), nil, 9, true)

	// The same key twice stands for two keys of one hash.
	twins := append(slices.Clone(sorted[:5]), sorted[4], sorted[4], sorted[5])
	check("equal hashes at the limit", mergePage(twins, 5, 0, false, false), twins[:7], hash(sorted[5]), true)
	check("equal hashes before the limit", mergePage(twins, 6, 0, false, false), twins[:7], hash(sorted[5]), true)
	check("equal hashes at the end", mergePage(twins[:7], 5, 0, false, false), twins[:7], 0, false)
}

// A peer that was taken for down is not asked for a listing, whatever it would say. A peer that
// came to be in sync a moment ago, and has not said so yet, is asked: its answer says whether it
// is.
func TestListingAsksWhoIsComplete(t *testing.T) { bubble(t, testListingComplete) }

func testListingComplete(t *testing.T) {
	c := newCluster(t, 3, 2)
	n := c.nodes[0]
	req := kv.ListRequest{Limit: 10, Deadline: time.Now().Add(time.Second)}
	for _, p := range n.peers[1:] {
		p.SetInSync(false)
	}
	if _, err := n.List(&req); err != nil {
		t.Errorf("with peers that have not said yet that they are in sync: %v", err)
	}
	n.incomplete = true
	if _, err := n.List(&req); err != kv.ErrAbsenceUnknown {
		t.Errorf("with peers that were taken for down: %v", err)
	}
}
