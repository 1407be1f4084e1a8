package shard

import (
	"math/bits"
	"unsafe"
)

// ghost remembers which keys were evicted from the small queue lately: 16 bits
// of the hash of each, in buckets of eight, the latest first. A bucket is a FIFO
// of its own, so nothing has to be written down but the order. Of keys that
// were never there one in 8,000 is taken for one.
type ghost struct {
	buckets []ghostBucket // in memory of the arena
}

type ghostBucket [ghostWays]uint16

const (
	ghostWays        = 8
	ghostBucketBytes = 2 * ghostWays
)

// ghostBytes is what a ghost for as many keys as a shard has takes: 2 bytes a
// key, in pages.
func ghostBytes(n int) int { return roundToPages((n + ghostWays) / ghostWays * ghostBucketBytes) }

// resize empties the ghost and makes it one for n keys.
func (g *ghost) resize(a *arena, n int) {
	g.free(a)
	memory := a.alloc(ghostBytes(n))
	g.buckets = unsafe.Slice((*ghostBucket)(unsafe.Pointer(unsafe.SliceData(memory))), len(memory)/ghostBucketBytes)
}

func (g *ghost) free(a *arena) {
	if g.buckets != nil {
		a.release(unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(g.buckets))), g.bytes()))
	}
	g.buckets = nil
}

func (g *ghost) bytes() int { return len(g.buckets) * ghostBucketBytes }

// find is the bucket and the mark of a hash without its partition's bits; the
// mark is of bits that choose neither bucket nor partition. 0 is no mark.
func (g *ghost) find(x uint64) (*ghostBucket, uint16) {
	at, _ := bits.Mul64(x, uint64(len(g.buckets)))
	return &g.buckets[at], max(uint16(x>>16), 1)
}

func (g *ghost) has(x uint64) bool {
	if g.buckets == nil {
		return false
	}
	bucket, mark := g.find(x)
	for _, m := range bucket {
		if m == mark {
			return true
		}
	}
	return false
}

// add remembers a key that was evicted; the oldest of its bucket is forgotten.
func (g *ghost) add(x uint64) {
	if g.buckets == nil {
		return
	}
	bucket, mark := g.find(x)
	copy(bucket[1:], bucket[:ghostWays-1])
	bucket[0] = mark
}
