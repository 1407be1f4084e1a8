package test

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// written is what was written on the sides of a split, and may be there after it: by key the last
// value that was acknowledged, and later ones of unknown outcome. An empty value is a delete.
type written map[string][]string

// over writes or deletes keys at a node, at level one, and notes what came of it. A key that has no
// replica at the node's side is refused, as it should be, and may appear all the same.
func (m written) over(w *witness, i int, method, prefix string, keys int, value string) (refused int) {
	for k := range keys {
		key := fmt.Sprintf("%s%d", prefix, k)
		switch status, body := w.ask(i, method, "/db/"+key+"?w=one&timeout=3s", value); status {
		case 200, 201, 204:
			m[key] = []string{value}
		case 503:
			if m[key] == nil {
				m[key] = []string{""}
			}
			m[key] = append(m[key], value)
			refused++
		default:
			w.note(&w.failed, "%s %s at node %d: %d %s", method, key, i, status, body)
		}
	}
	return refused
}

// agreed says which of the written keys differ between the nodes, or are not as they may be.
func (m written) agreed(w *witness, at ...int) error {
	for key, may := range m {
		first := ""
		for n, i := range at {
			status, value := w.ask(i, "GET", "/db/"+key, "")
			switch {
			case status == 404:
				value = ""
			case status != 200:
				return fmt.Errorf("%s at node %d: %d %s", key, i, status, value)
			}
			if n == 0 {
				first = value
			}
			if value != first || !slices.Contains(may, value) {
				return fmt.Errorf("%s is %q at node %d and %q at node %d, want one of %q", key, value, i, first, at[0], may)
			}
		}
	}
	return nil
}

// The network is split: nodes reach those of their own side alone. All sides go on, with what they
// have; no side that is no majority removes a node, and a majority only one that was away for long
// enough. After the split all agree: what was written at either side is there, of two writes to the
// same key the later, and what was deleted stays deleted.
func TestSplit(t *testing.T) {
	if testing.Short() {
		t.Skip("a split takes its time")
	}
	t.Parallel()
	for _, row := range []struct {
		name    string
		sides   []int
		evict   string
		removed []int // which a majority removes
	}{
		{"two of five, for a while", []int{0, 0, 0, 1, 1}, "5m", nil},
		{"two of five, for long", []int{0, 0, 0, 1, 1}, "3s", []int{3, 4}},
		{"no majority", []int{0, 0, 1, 1, 2}, "3s", nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			f, l := newLAN(t, 5, "--evict-after="+row.evict, "--partitions=256")
			f.startAll()
			w := newWitness(f, "quiet-", 2000, "", 0, 1, 2, 3, 4) // nobody writes these: they are there throughout
			const some = 100
			m := make(written)
			for _, prefix := range []string{"gone-0-", "gone-1-", "both-"} {
				if n := m.over(w, 0, "PUT", prefix, some, "before"); n > 0 {
					t.Fatalf("%d of %d refused with all up", n, some)
				}
			}
			l.split(row.sides...)
			healed := time.Now().Add(soaked(8*time.Second, time.Minute))
			last := slices.Max(row.sides)
			for i, side := range row.sides {
				for j, other := range row.sides {
					if side != other {
						f.awaitDown(j, i)
					}
				}
			}
			first := []int{0, slices.Index(row.sides, 1)} // a node of the first two sides
			refused := 0
			for side, i := range first {
				refused += m.over(w, i, "PUT", fmt.Sprintf("new-%d-", side), some, fmt.Sprintf("at side %d", side))
				refused += m.over(w, i, "DELETE", fmt.Sprintf("gone-%d-", side), some, "")
				refused += m.over(w, i, "PUT", "both-", some, fmt.Sprintf("at side %d", side))
			}
			t.Logf("%d sides, %d writes refused", last+1, refused)
			time.Sleep(time.Until(healed)) // the split lasts so long: nothing is waited for
			for i, side := range row.sides {
				doc, err := f.view(i)
				if err != nil {
					t.Fatal(err)
				}
				if want := 5 - len(row.removed); side == 0 && len(doc.Nodes) != want || side != 0 && len(doc.Nodes) != 5 {
					t.Errorf("node %d of side %d has %d members", i, side, len(doc.Nodes))
				}
			}
			began := time.Now()
			l.heal()
			f.awaitSettled(0, 1, 2, 3, 4)
			settled := time.Since(began)
			f.eventually("all agree", func() error { return m.agreed(w, 0, 1, 2, 3, 4) })
			t.Logf("settled %v after the split, all agree after %v", settled, time.Since(began))
			w.conclude(0, 0, 1, 2, 3, 4)
		})
	}
}
