package bench

import (
	"math"
	"testing"
)

// The ranks of a zipf come up as often as the harmonic series says.
func TestZipfHasTheShapeOfItsDefinition(t *testing.T) {
	const n, draws = 1000, 1_000_000
	z, r := newZipf(n, zipfTheta), newRand(7, 0, 0)
	count := make([]float64, n)
	for range draws {
		count[z.rank(r)]++
	}
	// Ranks 0 and 1 are exact; beyond, the method approximates: compare sums
	// over the ranks up to a power of two.
	want, got := 0.0, 0.0
	for rank := range n {
		want += math.Pow(float64(rank+1), -zipfTheta) / z.zeta
		got += count[rank] / draws
		tolerance := 0.02
		if rank < 2 {
			tolerance = 0.002
		}
		if r := rank + 1; r&(r-1) == 0 && math.Abs(got-want) > tolerance {
			t.Errorf("the first %d ranks have %.4f of the draws, want %.4f", r, got, want)
		}
	}
}

// With few keys too, every rank that is drawn is that of a key.
func TestZipfOfAFew(t *testing.T) {
	for n := 1; n <= 5; n++ {
		z, r := newZipf(n, zipfTheta), newRand(1, 0, n)
		for range 10_000 {
			if rank := z.rank(r); rank < 0 || rank >= n {
				t.Fatalf("rank %d of %d", rank, n)
			}
		}
	}
}

// Every place belongs to one rank: scattering loses no key.
func TestPlacesOfAZipfAreAPermutation(t *testing.T) {
	for _, n := range []int{1, 2, 97, 1000, 65536} {
		p := newPicker(n, nil, Zipf)
		seen := make([]bool, n)
		for rank := range n {
			place := int(uint64(rank) * p.stride % uint64(n))
			if seen[place] {
				t.Fatalf("place %d of %d twice", place, n)
			}
			seen[place] = true
		}
	}
}

// The same seed draws the same keys; another seed, or another worker, draws others.
func TestSameSeedSameKeys(t *testing.T) {
	for _, dist := range []Dist{Uniform, Zipf} {
		p := newPicker(1000, nil, dist)
		draw := func(seed uint64, worker int) (places [50]int) {
			r := newRand(seed, 3, worker)
			for i := range places {
				places[i] = p.place(r)
			}
			return places
		}
		first := draw(1, 0)
		if draw(1, 0) != first {
			t.Errorf("%s: the same seed drew other keys", dist)
		}
		if first == draw(2, 0) || first == draw(1, 1) {
			t.Errorf("%s: another seed, or another worker, drew the same keys", dist)
		}
	}
}

// A place that is dealt out is in the set and the dealer's own.
func TestDealt(t *testing.T) {
	for n := 1; n < 40; n++ {
		p := newPicker(n, nil, Uniform)
		for dealers := 1; dealers <= n; dealers++ {
			total := 0
			for i := range dealers {
				total += dealtTo(n, i, dealers)
				for place := range n {
					if got := p.dealt(place, i, dealers); got < 0 || got >= n || got%dealers != i {
						t.Fatalf("place %d of %d for dealer %d of %d: %d", place, n, i, dealers, got)
					}
				}
			}
			if total != n {
				t.Fatalf("%d dealers have %d of %d places", dealers, total, n)
			}
		}
	}
}

// A number is written into all of its room, with zeros before it.
func TestPutDecimal(t *testing.T) {
	for _, test := range []struct {
		v    uint64
		size int
		want string
	}{{0, 1, "0"}, {0, 4, "0000"}, {42, 4, "0042"}, {9999, 4, "9999"}, {math.MaxUint64, 22, "0018446744073709551615"}} {
		dst := []byte("xxxxxxxxxxxxxxxxxxxxxx")[:test.size]
		if putDecimal(dst, test.v); string(dst) != test.want {
			t.Errorf("%d in %d digits: %s, want %s", test.v, test.size, dst, test.want)
		}
	}
	for keys, want := range map[int]int{1: 1, 10: 1, 11: 2, 100: 2, 101: 3, 100_000: 5} {
		if got := keySizeMin(keys); got != want {
			t.Errorf("%d keys need %d digits, want %d", keys, got, want)
		}
	}
}
