package shard

import (
	"math/bits"
	"slices"
	"unsafe"
)

// ghost remembers which keys were evicted from the small queue lately: 16 bits
// of the hash of each, in buckets of eight, the latest first. A bucket is a FIFO
// of its own, so nothing has to be written down but the order. Of keys that
// were never there one in 8,000 is taken for one.
type ghost struct {
	buckets []ghostBucket // in memory of the arena
	clean   int           // so many buckets are in use: those behind them are not cleared yet
}

type ghostBucket [ghostWays]uint16

const (
	ghostWays        = 8
	ghostBucketBytes = 2 * ghostWays
)

// ghostBytes is what a ghost for as many keys as a shard has takes: 2 bytes a
// key, in pages.
func ghostBytes(n int) int { return roundToPages((n + ghostWays) / ghostWays * ghostBucketBytes) }

// resize makes the ghost one for n keys, none of whose buckets is in use.
func (g *ghost) resize(a *arena, n int) {
	g.free(a)
	memory := a.alloc(ghostBytes(n), 0, 0)
	g.buckets = unsafe.Slice((*ghostBucket)(unsafe.Pointer(unsafe.SliceData(memory))), len(memory)/ghostBucketBytes)
}

func (g *ghost) free(a *arena) {
	if g.buckets != nil {
		a.release(unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(g.buckets))), g.bytes()))
	}
	*g = ghost{}
}

// open brings a part of the buckets into use.
func (g *ghost) open(part, of int) {
	end := len(g.buckets) * part / of
	clear(g.buckets[g.clean:end])
	g.clean = end
}

func (g *ghost) bytes() int { return len(g.buckets) * ghostBucketBytes }

// find is the bucket and the mark of a hash without its partition's bits, if that bucket is in use.
// The mark is of bits that choose neither bucket nor partition. 0 is no mark.
func (g *ghost) find(x uint64) (bucket *ghostBucket, mark uint16, ok bool) {
	at, _ := bits.Mul64(x, uint64(len(g.buckets)))
	if at >= uint64(g.clean) {
		return nil, 0, false
	}
	return &g.buckets[at], max(uint16(x>>16), 1), true
}

func (g *ghost) has(x uint64) bool {
	bucket, mark, ok := g.find(x)
	return ok && slices.Contains(bucket[:], mark)
}

// add remembers a key that was evicted; the oldest of its bucket is forgotten.
func (g *ghost) add(x uint64) {
	if bucket, mark, ok := g.find(x); ok {
		copy(bucket[1:], bucket[:ghostWays-1])
		bucket[0] = mark
	}
}
