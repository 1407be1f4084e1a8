// Package histogram counts how often what is measured fell between bounds.
//
// The bounds are fixed, twenty buckets in steps of 1, 2 and 5. So the counts of several histograms,
// and of several nodes, can be added.
//
// Concurrency: all methods are safe. A histogram costs who records two additions to its memory. For
// these to be cheap, few goroutines share one: whoever counts much keeps several and adds them up
// with AddTo when they are read.
package histogram

import (
	"sync/atomic"
	"time"
)

// Buckets is the number of buckets. The last has all that is beyond the last bound.
const Buckets = 20

// Bounds are the upper bounds of all buckets but the last. What is on a bound is below it.
type Bounds [Buckets - 1]int64

const microsecond = int64(time.Microsecond)

// Latencies are bounds from 10 µs to 10 s, in nanoseconds.
var Latencies = series(10 * microsecond)

// Sizes are bounds from 1 to a million.
var Sizes = series(1)

// series are bounds from the first on.
func series(first int64) (b Bounds) {
	factors := [...]int64{1, 2, 5}
	for i := range b {
		b[i] = first * factors[i%len(factors)]
		if i%len(factors) == len(factors)-1 {
			first *= 10
		}
	}
	return b
}

// bucket is where v belongs.
func (b *Bounds) bucket(v int64) int {
	low, high := 0, len(b)
	for low < high {
		if mid := (low + high) / 2; v > b[mid] {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low
}

// Histogram counts values by its bounds. The zero value is empty.
type Histogram struct {
	sum     atomic.Int64
	buckets [Buckets]atomic.Int64
}

// Record counts a value. All values of one histogram are recorded by the same bounds.
func (h *Histogram) Record(by *Bounds, v int64) {
	h.buckets[by.bucket(v)].Add(1)
	h.sum.Add(v)
}

// AddTo adds what was counted so far.
func (h *Histogram) AddTo(c *Counts) {
	for i := range h.buckets {
		c.Buckets[i] += h.buckets[i].Load()
	}
	c.Sum += h.sum.Load()
}

// Counts are what histograms have counted.
type Counts struct {
	Sum     int64 // of all values
	Buckets [Buckets]int64
}

// Count is how many values there were.
func (c *Counts) Count() (n int64) {
	for _, in := range c.Buckets {
		n += in
	}
	return n
}
