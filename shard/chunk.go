package shard

import (
	"math/bits"
	"unsafe"
)

const (
	// blockPages is a huge page: 2 MiB.
	blockPages = 512
	blockWords = blockPages / 64

	// chunkPages is how many pages are asked of the system at once: 64 MiB of addresses, which cost
	// no memory until they are written to.
	chunkPages = 32 * blockPages
)

// pages counts those of a chunk, or of all.
type pages struct {
	used   int // not free: taken or promised
	taken  int // handed out
	backed int // have memory, whoever has them
	kept   int // backed and free
}

func (p *pages) add(o pages) {
	p.used += o.used
	p.taken += o.taken
	p.backed += o.backed
	p.kept += o.kept
}

// chunk is one reservation. A page of it is free, promised or taken. With or without memory behind
// it: what was written to has some, until it is given back. A block gets its memory at once where
// the system has huge pages, so all of it is backed or nothing is. In a block that is split, and
// elsewhere, each page is backed for itself.
type chunk struct {
	data   []byte
	mapped []byte // data lies in it, aligned

	// A bit a page.
	used     []uint64 // taken or promised
	promised []uint64
	backed   []uint64

	huge   bool   // the system has huge pages
	splits []bool // of the blocks
	most   int    // no run of free pages is longer
	pages  pages
}

func newChunk(n int) *chunk {
	blocks := (n + blockPages - 1) / blockPages
	n = blocks * blockPages
	c := &chunk{huge: sysHasHuge(), splits: make([]bool, blocks), most: n}
	c.mapped, c.data = sysReserve(n*pageBytes, blockPages*pageBytes)
	sysHuge(c.data, true)
	for block := range c.splits {
		c.splits[block] = !c.huge
	}
	words := make([]uint64, 3*blocks*blockWords)
	for _, bitmap := range []*[]uint64{&c.used, &c.promised, &c.backed} {
		*bitmap, words = words[:blocks*blockWords], words[blocks*blockWords:]
	}
	return c
}

func (c *chunk) base() uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(c.data))) }

func (c *chunk) bytes(from, n int) []byte { return c.data[from*pageBytes : (from+n)*pageBytes] }

// find is the lowest run of free pages, so many at least and at most; n is 0 where there is none.
func (c *chunk) find(least, most int) (from, n int) {
	if least > c.most {
		return 0, 0
	}
	all, longest := len(c.used)*64, 0
	for from := next(c.used, 0, false); from < all; {
		to := next(c.used, from, true)
		if to-from >= least {
			return from, min(to-from, most)
		}
		longest = max(longest, to-from)
		from = next(c.used, to, false)
	}
	c.most = longest
	return 0, 0
}

// freed notes how long a run of free pages has become.
func (c *chunk) freed(from, n int) {
	to, start := next(c.used, from+n, true), from
	for start > 0 && c.used[(start-1)/64]>>((start-1)%64)&1 == 0 {
		if start%64 == 0 && c.used[start/64-1] == 0 {
			start -= 64
			continue
		}
		start--
	}
	c.most = max(c.most, to-start)
}

// parts calls fn with the parts of a run that become backed together: a block, or what lies of the
// run in one that is split.
func (c *chunk) parts(from, n int, fn func(from, n int)) {
	for end := from + n; from < end; {
		block := from / blockPages
		to := min(end, (block+1)*blockPages)
		if c.splits[block] {
			fn(from, to-from)
		} else {
			fn(block*blockPages, blockPages)
		}
		from = to
	}
}

// fresh is how many pages more will be backed when a run is written to.
func (c *chunk) fresh(from, n int) (fresh int) {
	c.parts(from, n, func(from, n int) { fresh += n - count(c.backed, from, n) })
	return fresh
}

// back notes that a run is about to be written to, and returns what changes.
func (c *chunk) back(from, n int) (p pages) {
	c.parts(from, n, func(from, n int) {
		for end := from + n; from < end; from = (from/64 + 1) * 64 {
			word, mask := from/64, maskOf(from, end)
			p.kept += bits.OnesCount64(mask &^ c.backed[word] &^ c.used[word])
			p.backed += bits.OnesCount64(mask &^ c.backed[word])
			c.backed[word] |= mask
		}
	})
	return p
}

// split changes whether a block gets its memory page by page.
func (c *chunk) split(block int, split bool) {
	c.splits[block] = split
	sysHuge(c.bytes(block*blockPages, blockPages), !split)
}

// maskOf has a bit for each page of its word from one on, up to an end.
func maskOf(from, end int) uint64 {
	return ^uint64(0) >> (64 - min(64-from%64, end-from)) << (from % 64)
}

// flip sets the bits of a run that are clear, or clears those that are set.
func flip(bitmap []uint64, from, n int, set bool) {
	for end := from + n; from < end; from = (from/64 + 1) * 64 {
		mask := maskOf(from, end)
		if old := bitmap[from/64] & mask; set && old != 0 || !set && old != mask {
			panic("BUG: shard: pages handed out or taken back twice")
		}
		bitmap[from/64] ^= mask
	}
}

// count is how many bits of a run are set.
func count(bitmap []uint64, from, n int) (set int) {
	for end := from + n; from < end; from = (from/64 + 1) * 64 {
		set += bits.OnesCount64(bitmap[from/64] & maskOf(from, end))
	}
	return set
}

// next is the first bit from a given one on that is set, or is not; without one the end.
func next(bitmap []uint64, at int, set bool) int {
	for all := len(bitmap) * 64; at < all; at = (at/64 + 1) * 64 {
		word := bitmap[at/64]
		if !set {
			word = ^word
		}
		if word >>= at % 64; word != 0 {
			return at + bits.TrailingZeros64(word)
		}
	}
	return len(bitmap) * 64
}
