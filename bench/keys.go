package bench

import (
	"math/bits"
	"math/rand/v2"
)

// A key is a number in [0, keys) written in decimal, padded with zeros to the
// size of a key: so that a request is a template with digits to patch, and
// needs no escaping anywhere.

// putDecimal writes v into all of dst.
func putDecimal(dst []byte, v uint64) {
	i := len(dst)
	for ; i > 0 && v > 0; i-- {
		dst[i-1] = byte('0' + v%10)
		v /= 10
	}
	for ; i > 0; i-- {
		dst[i-1] = '0'
	}
}

// keySizeMin is how many digits the last of so many keys has.
func keySizeMin(keys int) int {
	n := 1
	for keys--; keys >= 10; keys /= 10 {
		n++
	}
	return n
}

// picker draws keys from a set: all of them, or those that one node owns. It
// does not change once made; many goroutines may draw from it, each with a
// source of its own.
type picker struct {
	n     int
	owned []uint32 // the keys of the set; nil: 0 to n-1
	zipf  *zipf    // nil: uniform

	// Popular keys are neighbours neither in the space of keys nor at the
	// residues that verify deals them out by: rank r is at place r*stride
	// mod n, which is a permutation, since n and stride have no divisor in
	// common.
	stride uint64
}

func newPicker(n int, owned []uint32, dist Dist) *picker {
	p := &picker{n: n, owned: owned}
	if dist == Zipf {
		p.zipf = newZipf(n, zipfTheta)
		p.stride = 2654435761 // a prime, near the golden section of 32 bits
		for gcd(p.stride, uint64(n)) != 1 {
			p.stride += 2
		}
	}
	return p
}

// place draws a place in the set.
func (p *picker) place(r *rand.PCG) int {
	if p.zipf == nil {
		// Multiply and shift (Lemire 2019), without its rejection: the bias is
		// n/2^64.
		place, _ := bits.Mul64(r.Uint64(), uint64(p.n))
		return int(place)
	}
	place := uint64(p.zipf.rank(r)) * p.stride // fits: both are of 32 bits
	return int(place % uint64(p.n))
}

// key is the key at a place.
func (p *picker) key(place int) uint32 {
	if p.owned != nil {
		return p.owned[place]
	}
	return uint32(place)
}

// dealt moves a place to the nearest one of dealer i of n, who alone writes
// what is there. There is one if the set has n places or more.
func (p *picker) dealt(place, i, n int) int {
	place += i - place%n
	if place >= p.n {
		place -= n
	}
	return place
}

func gcd(a, b uint64) uint64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
