package main

import (
	"errors"
	"io"
	"math"
	"testing"
	"time"
)

// A pass yields every key once, whatever their number is, and sizes that sum up
// to what it should store.
func TestPassYieldsEachKeyOnce(t *testing.T) {
	h := &house{ctx: t.Context()}
	for _, n := range []int{1, 2, 1000, 7_368_787 / 1000, 65_536} {
		for number := range 3 {
			seen, bytes := map[string]bool{}, int64(0)
			p := h.pass(n, number)
			for {
				rec, err := p.Next()
				if err == io.EOF {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				seen[string(rec.Key)] = true
				bytes += int64(len(rec.Key) + len(rec.Value))
			}
			if len(seen) != n || p.at != n || bytes != dataOf(number, 0, n) {
				t.Errorf("pass %d of %d: %d keys in %d records, %d bytes, want %d", number, n, len(seen), p.at, bytes, dataOf(number, 0, n))
			}
		}
	}
	if p := newScatter(2 * 7_368_787); gcd(p.step, p.n) != 1 {
		t.Error("a multiple of the step has no permutation")
	}
}

// Sizes are within their bounds, reach both, and are others in the next pass.
func TestSizesChangeFromPassToPass(t *testing.T) {
	least, most, same := sizeMost, sizeLeast, 0
	const n = 10_000
	for k := range n {
		least, most = min(least, sizeIn(1, k)), max(most, sizeIn(1, k))
		if sizeIn(1, k) == sizeIn(2, k) {
			same++
		}
		if sizeIn(0, k) != valueBytes {
			t.Fatalf("key %d has %d bytes in pass 0", k, sizeIn(0, k))
		}
	}
	if least != sizeLeast || most != sizeMost || same > n/20 {
		t.Errorf("sizes from %d to %d, %d stay the same", least, most, same)
	}
}

// A load that is held to a time ends with it, and one in a circle comes back to
// the keys that it began with, with other sizes.
func TestPassInCircle(t *testing.T) {
	p := (&house{ctx: t.Context()}).pass(paceEvery, 1)
	p.rate, p.until, p.circle = 1e9, time.Now().Add(time.Hour), true
	sizes := map[string]int{}
	changed := 0
	for i := range 2 * paceEvery {
		rec, err := p.Next()
		if err != nil {
			t.Fatal(err)
		}
		size, seen := sizes[string(rec.Key)]
		if seen != (i >= paceEvery) {
			t.Fatalf("record %d: seen %v", i, seen)
		}
		if seen && size != len(rec.Value) {
			changed++
		}
		sizes[string(rec.Key)] = len(rec.Value)
	}
	if changed < paceEvery/2 {
		t.Errorf("%d of %d sizes changed", changed, paceEvery)
	}
	p.until = time.Now().Add(-time.Second)
	if _, err := p.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("past its time: %v", err)
	}
}

// Keys are those of the load generator, which measures them later.
func TestKeysAreThoseOfTheLoadGenerator(t *testing.T) {
	if got := string(keyOf(1234567)); got != "0000000001234567" {
		t.Errorf("got %q", got)
	}
}

// The most popular key takes its share of Zipf's distribution, and popular keys
// are not neighbours.
func TestReaderIsZipf(t *testing.T) {
	const n, draws = 1000, 200_000
	r := newReader(n)
	count := make([]int, n)
	for range draws {
		count[r.key()]++
	}
	sum := 0.0
	for i := range n {
		sum += math.Pow(float64(i+1), -0.99)
	}
	for rank, want := range []float64{1 / sum, math.Pow(2, -0.99) / sum, math.Pow(3, -0.99) / sum} {
		if got := float64(count[r.order.at(rank)]) / draws; got < 0.95*want || got > 1.05*want {
			t.Errorf("rank %d: a share of %.4f, want %.4f", rank, got, want)
		}
	}
	if a, b := r.order.at(0), r.order.at(1); b == a+1 {
		t.Errorf("the first two are %d and %d", a, b)
	}
}
