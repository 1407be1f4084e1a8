package ring

import (
	"math"
	"testing"
)

// A permutation of every size has each number once.
func TestPermutation(t *testing.T) {
	for size := 1; size <= MaxPartitions; size *= 2 {
		p := newPermutation(uint64(size), size)
		seen := make([]bool, size)
		for x := range uint64(size) {
			y := p.at(x)
			if y >= uint64(size) || seen[y] {
				t.Fatalf("size %d: %d is met twice or out of range", size, y)
			}
			seen[y] = true
		}
	}
}

// The logarithm falls, without exception, and is near that of package math over the whole range.
func TestNegLog2(t *testing.T) {
	previous := negLog2(0)
	for exponent := range 64 {
		for step := range uint64(3000) {
			x := uint64(1)<<exponent + step*(uint64(1)<<exponent/3000)
			got := negLog2(x)
			if got > previous {
				t.Fatalf("it rises at %d", x)
			}
			previous = got
			want := 64 - math.Log2(float64(x|1))
			if off := float64(got)/(1<<logBits) - want; math.Abs(off) > want/1000+1e-12 {
				t.Fatalf("%d: got %v, want %v", x, float64(got)/(1<<logBits), want)
			}
		}
	}
}
