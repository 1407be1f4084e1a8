package histogram

import (
	"slices"
	"sync"
	"testing"
	"time"
)

// Bounds go up in steps of 1, 2 and 5, and end where they are said to.
func TestBounds(t *testing.T) {
	for _, b := range []*Bounds{&Latencies, &Sizes} {
		if !slices.IsSorted(b[:]) || b[1] != 2*b[0] || b[2] != 5*b[0] || b[3] != 10*b[0] {
			t.Errorf("bounds %v", b)
		}
	}
	if first, last := Latencies[0], Latencies[len(Latencies)-1]; first != int64(10*time.Microsecond) || last != int64(10*time.Second) {
		t.Errorf("latencies from %d to %d", first, last)
	}
	if Sizes[0] != 1 || Sizes[len(Sizes)-1] != 1_000_000 {
		t.Errorf("sizes from %d to %d", Sizes[0], Sizes[len(Sizes)-1])
	}
}

// A value falls into the first bucket whose bound it does not exceed, and else into the last.
func TestBucketIsTheFirstThatFits(t *testing.T) {
	for _, b := range []*Bounds{&Latencies, &Sizes} {
		for i, bound := range b {
			for v, want := range map[int64]int{bound: i, bound + 1: i + 1, bound - 1: i} {
				if i > 0 && v == b[i-1] {
					want = i - 1
				}
				if got := b.bucket(v); got != want {
					t.Errorf("%d is in bucket %d, want %d", v, got, want)
				}
			}
		}
		if got := b.bucket(-1); got != 0 {
			t.Errorf("-1 is in bucket %d", got)
		}
		if got := b.bucket(1 << 62); got != Buckets-1 {
			t.Errorf("the largest is in bucket %d", got)
		}
	}
}

// Nothing that is recorded at the same time is lost, and sums of histograms have all of it.
func TestCountsAddUp(t *testing.T) {
	var all [2]Histogram
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for v := range int64(1000) {
				all[i%2].Record(&Sizes, v)
			}
		})
	}
	group.Wait()
	var c Counts
	for i := range all {
		all[i].AddTo(&c)
	}
	if c.Count() != 8000 || c.Sum != 8*999*1000/2 || c.Buckets[0] != 16 || c.Buckets[Buckets-1] != 0 {
		t.Errorf("%+v", c)
	}
}

// What counting costs an operation: a reading of the clock, and two additions.
func BenchmarkRecord(b *testing.B) {
	var h Histogram
	began := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		h.Record(&Latencies, int64(time.Since(began)))
	}
}
