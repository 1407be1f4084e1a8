package ring

import "math/bits"

// mix is a bijection of 64 bits in which every bit of the input reaches every bit of the output. It
// is the finaliser of Steele, Lea and Flood ("Fast Splittable Pseudorandom Number Generators",
// 2014) with Stafford's constants.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// golden is 2^64 divided by the golden ratio: multiples of it are far apart, which makes a stream
// of seeds for mix.
const golden = 0x9e3779b97f4a7c15

// permutation is a pseudo-random permutation of the numbers below a power of two. It evens out a
// node's luck: drawing without replacement, a node meets every degree of luck exactly once. So what
// it wins varies half as much as with independent draws (docs/design/ring.md).
type permutation struct {
	mul   [3]uint64 // odd
	add   [3]uint64
	mask  uint64 // size - 1
	shift uint
}

// newPermutation returns a permutation of [0, size); size is a power of two.
func newPermutation(seed uint64, size int) permutation {
	p := permutation{mask: uint64(size - 1)}
	p.shift = uint(bits.Len64(p.mask)+1)/2 | 1
	for i := range p.mul {
		p.mul[i] = mix(seed+uint64(2*i+1)*golden) | 1
		p.add[i] = mix(seed + uint64(2*i+2)*golden)
	}
	return p
}

// at returns the place of x. Each step is a bijection of the masked bits: an odd factor, an addend,
// a shift.
func (p *permutation) at(x uint64) uint64 {
	x = (x*p.mul[0] + p.add[0]) & p.mask
	x ^= x >> p.shift
	x = (x*p.mul[1] + p.add[1]) & p.mask
	x ^= x >> p.shift
	x = (x*p.mul[2] + p.add[2]) & p.mask
	return x ^ x>>p.shift
}

// stratified returns a fraction of 2^64 for x: a permutation's stratum, and within it a place by
// the low bits.
func (p *permutation) stratified(x, within uint64) uint64 {
	size := uint(bits.Len64(p.mask))
	return p.at(x)<<(64-size) | within>>size
}

// logBits is how many bits after the point the logarithms below have: 6 bits before it remain for
// up to 64.
const logBits = 57

// negLog2 returns -log2((x+1)/2^64), near enough: it falls as x rises, and is off by less than
// 2^-10 of its value. It is a table with straight lines between its points. The logarithm of
// package math may round differently on another architecture.
func negLog2(x uint64) uint64 {
	x |= 1 // 0 has no logarithm
	zeros := bits.LeadingZeros64(x)
	mantissa := x << zeros << 1 // less its leading 1
	lo, hi := log2Table[mantissa>>54], log2Table[mantissa>>54+1]
	up, _ := bits.Mul64(hi-lo, mantissa<<10)
	return uint64(zeros+1)<<logBits - (lo + up)
}

// log2Table holds log2(1 + i/1024).
var log2Table = func() (table [1025]uint64) {
	for i := range 1024 {
		table[i] = log2Mantissa(1<<63 | uint64(i)<<53)
	}
	table[1024] = 1 << logBits
	return table
}()

// log2Mantissa returns log2(m/2^63) for m in [2^63, 2^64). Squaring doubles the logarithm: its next
// bit is whether the square has reached 2.
func log2Mantissa(m uint64) (log uint64) {
	for range logBits {
		hi, lo := bits.Mul64(m, m) // m*m / 2^126 is in [1, 4)
		log <<= 1
		if hi>>63 == 1 {
			log |= 1
			m = hi
		} else {
			m = hi<<1 | lo>>63
		}
	}
	return log
}
