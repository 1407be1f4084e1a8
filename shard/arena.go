package shard

import (
	"cmp"
	"math/bits"
	"slices"
	"sync"
	"unsafe"
)

const (
	// pageBytes is the unit in which memory is handed out and taken back.
	pageBytes = 4096

	// chunkPages is how many pages are asked of the system at once: 64 MiB of
	// addresses, which cost no memory until they are written to.
	chunkPages = 16384
)

// arena hands out runs of pages to the engines of one store. They lie outside of the Go heap, so
// the garbage collector neither scans them nor lets the heap grow to twice their size. (On systems
// without sysReserve's means they lie in large pointer-free objects on it.) A page takes memory
// from its first write until it is freed. What is handed out reads as zero.
//
// It is first fit, by address, of a few chunks that are searched. Freed pages are given back to the
// system at once, so what fragmentation leaves over is addresses and not memory.
type arena struct {
	mu     sync.Mutex // guards all below, never held across another lock
	chunks []*chunk   // by address
	newest *chunk     // of these; nil: it was given back
}

// searchesMax is how many chunks are searched in vain for a run of pages before it is taken from
// the newest, or from a new one. To search one that is all holes takes 60 µs, and there is a chunk
// for each 64 MiB.
const searchesMax = 4

// chunk is one reservation.
type chunk struct {
	data  []byte
	taken []uint64 // a bit a page
	free  int      // pages
	most  int      // no run of free pages is longer
}

func (c *chunk) base() uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(c.data))) }

// pagesFor is the number of pages that hold so many bytes.
func pagesFor(bytes int) int { return (bytes + pageBytes - 1) / pageBytes }

// roundToPages is the bytes of the pages that hold so many bytes.
func roundToPages(bytes int) int { return pagesFor(bytes) * pageBytes }

// alloc hands out zeroed memory of at least so many bytes, more than none, in
// whole pages. Like the Go runtime it panics when the system has no addresses
// left.
func (a *arena) alloc(bytes int) []byte {
	n := pagesFor(bytes)
	a.mu.Lock()
	defer a.mu.Unlock()
	searches := 0
	for _, c := range a.chunks {
		if n > c.most {
			continue
		}
		if b := c.take(n); b != nil {
			return b
		}
		if searches++; searches == searchesMax {
			break // these are known now, and not searched again
		}
	}
	if a.newest != nil {
		if b := a.newest.take(n); b != nil {
			return b
		}
	}
	c := newChunk(max(n, chunkPages))
	at, _ := slices.BinarySearchFunc(a.chunks, c.base(), compareBase)
	a.chunks = slices.Insert(a.chunks, at, c)
	a.newest = c
	return c.take(n)
}

// release takes back what alloc handed out.
func (a *arena) release(b []byte) {
	sysDiscard(b) // the slow part, before anyone else can have it
	a.mu.Lock()
	defer a.mu.Unlock()
	address := uintptr(unsafe.Pointer(unsafe.SliceData(b)))
	at, exact := slices.BinarySearchFunc(a.chunks, address, compareBase)
	if !exact {
		at--
	}
	c := a.chunks[at]
	c.give(int(address-c.base())/pageBytes, len(b)/pageBytes)
	if c.free == len(c.data)/pageBytes && len(a.chunks) > 1 {
		a.chunks = slices.Delete(a.chunks, at, at+1)
		if a.newest == c {
			a.newest = nil
		}
		sysRelease(c.data)
	}
}

// close gives everything back to the system. Whatever was handed out is
// invalid from then on.
func (a *arena) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, c := range a.chunks {
		sysRelease(c.data)
	}
	a.chunks, a.newest = nil, nil
}

func compareBase(c *chunk, address uintptr) int { return cmp.Compare(c.base(), address) }

func newChunk(pages int) *chunk {
	words := (pages + 63) / 64
	pages = words * 64
	return &chunk{data: sysReserve(pages * pageBytes), taken: make([]uint64, words), free: pages, most: pages}
}

// take returns the lowest run of n free pages, or nil.
func (c *chunk) take(n int) []byte {
	if n > c.most {
		return nil
	}
	pages, longest := len(c.data)/pageBytes, 0
	for from := c.next(0, false); from < pages; {
		to := c.next(from, true)
		if to-from >= n {
			c.mark(from, n, true)
			return c.data[from*pageBytes : (from+n)*pageBytes : (from+n)*pageBytes]
		}
		longest = max(longest, to-from)
		from = c.next(to, false)
	}
	c.most = longest
	return nil
}

func (c *chunk) give(from, n int) {
	c.mark(from, n, false)
	// The run may join its neighbours: what it can be at most is enough.
	to, start := c.next(from, true), from
	for start > 0 && c.taken[(start-1)/64]>>((start-1)%64)&1 == 0 {
		if start%64 == 0 && c.taken[start/64-1] == 0 {
			start -= 64
			continue
		}
		start--
	}
	c.most = max(c.most, to-start)
}

// next is the first page from a given one on that is taken, or is not.
func (c *chunk) next(page int, taken bool) int {
	for pages := len(c.taken) * 64; page < pages; page = (page/64 + 1) * 64 {
		word := c.taken[page/64]
		if !taken {
			word = ^word
		}
		if word >>= page % 64; word != 0 {
			return page + bits.TrailingZeros64(word)
		}
	}
	return len(c.taken) * 64
}

func (c *chunk) mark(from, n int, taken bool) {
	for page := from; page < from+n; {
		bit := page % 64
		width := min(64-bit, from+n-page)
		mask := (^uint64(0) >> (64 - width)) << bit
		if old := c.taken[page/64] & mask; taken && old != 0 || !taken && old != mask {
			panic("BUG: shard: pages handed out or taken back twice")
		}
		c.taken[page/64] ^= mask
		page += width
	}
	if taken {
		c.free -= n
	} else {
		c.free += n
	}
}
