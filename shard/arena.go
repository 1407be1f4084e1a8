package shard

import (
	"cmp"
	"slices"
	"sync"
	"unsafe"
)

// pageBytes is the unit in which memory is handed out and taken back.
const pageBytes = 4096

// searchesMax is how many chunks are searched in vain for a run of pages before it is taken from
// the newest, or from a new one. To search one that is all holes takes 60 µs, and there is a chunk
// for each 64 MiB.
const searchesMax = 4

// arena hands out runs of pages to the engines of one store. They lie outside of the Go heap, so
// the garbage collector neither scans them nor lets the heap grow to twice their size. (On systems
// without sysReserve's means they lie in large pointer-free objects on it.)
//
// It is first fit, by age and address, of a few chunks that are searched. What is handed out is not
// zero: a page that is taken back keeps its memory, for whoever gets it next. No system call is
// made for it. What nobody needed for a while goes back to the system in giveBack, in the other
// order.
//
// With a limit, pages that are kept give way to those that are handed out.
type arena struct {
	mu     sync.Mutex // guards all below, never held across another lock
	chunks []*chunk   // the oldest first
	placed []*chunk   // the same by address

	sum    pages // over all chunks
	limit  int   // of sum.backed, while pages are kept; 0: none
	low    int   // the least that sum.kept was since the passes began
	passes int   // of the sweeper
}

// pagesFor is the number of pages that hold so many bytes.
func pagesFor(bytes int) int { return (bytes + pageBytes - 1) / pageBytes }

// roundToPages is the bytes of the pages that hold so many bytes.
func roundToPages(bytes int) int { return pagesFor(bytes) * pageBytes }

// alloc hands out memory of at least so many bytes, more than none, in whole pages. Its capacity is
// at least least and at most most, where that is more: what is beyond its length is promised to it,
// and had by extend. Like the Go runtime it panics when the system has no addresses left.
func (a *arena) alloc(bytes, least, most int) []byte {
	n := pagesFor(bytes)
	a.mu.Lock()
	defer a.mu.Unlock()
	c, from, span := a.find(pagesFor(max(bytes, least)), pagesFor(max(bytes, most)))
	a.promise(c, from, span)
	a.hand(c, from, n)
	return c.data[from*pageBytes : (from+n)*pageBytes : (from+span)*pageBytes]
}

// extend hands out more of what was promised to b, to a length of so many bytes at least.
func (a *arena) extend(b []byte, bytes int) []byte {
	bytes = roundToPages(bytes)
	a.mu.Lock()
	defer a.mu.Unlock()
	c, from := a.place(b)
	had := len(b) / pageBytes
	a.hand(c, from+had, bytes/pageBytes-had)
	return b[:bytes]
}

// release takes back what alloc and extend handed out, and what was promised beyond it.
func (a *arena) release(b []byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	c, from := a.place(b)
	n, span := len(b)/pageBytes, cap(b)/pageBytes
	flip(c.promised, from, n, true)
	a.count(c, pages{taken: -n})
	a.free(c, from, span)
}

// free ends a promise.
func (a *arena) free(c *chunk, from, n int) {
	flip(c.promised, from, n, false)
	flip(c.used, from, n, false)
	c.freed(from, n)
	a.count(c, pages{used: -n, kept: count(c.backed, from, n)})
}

// promise takes free pages, which are handed out later.
func (a *arena) promise(c *chunk, from, n int) {
	flip(c.promised, from, n, true)
	flip(c.used, from, n, true)
	a.count(c, pages{used: n, kept: -count(c.backed, from, n)})
}

// hand hands out pages that were promised.
func (a *arena) hand(c *chunk, from, n int) {
	flip(c.promised, from, n, false)
	if a.limit > 0 && a.sum.backed+c.fresh(from, n) > a.limit {
		c.parts(from, n, func(from, n int) {
			if block := from / blockPages; !c.splits[block] && c.backed[from/64] == 0 {
				c.split(block, true) // a huge page would be more than is needed
			}
		})
		a.yield(a.sum.backed + c.fresh(from, n) - a.limit)
	}
	a.count(c, c.back(from, n))
	a.count(c, pages{taken: n})
}

// find is the first run of free pages, so many at least and at most, in the chunks that are
// searched.
func (a *arena) find(least, most int) (c *chunk, from, n int) {
	searches := 0
	for _, c := range a.chunks {
		if least > c.most {
			continue
		}
		if from, n = c.find(least, most); n > 0 {
			return c, from, n
		}
		if searches++; searches == searchesMax {
			break // these are known now, and not searched again
		}
	}
	if all := len(a.chunks); all > 0 {
		if from, n = a.chunks[all-1].find(least, most); n > 0 {
			return a.chunks[all-1], from, n
		}
	}
	c = newChunk(max(most, chunkPages))
	a.chunks = append(a.chunks, c)
	at, _ := slices.BinarySearchFunc(a.placed, c.base(), compareBase)
	a.placed = slices.Insert(a.placed, at, c)
	return c, 0, most
}

// place is where memory that was handed out lies.
func (a *arena) place(b []byte) (c *chunk, page int) {
	address := uintptr(unsafe.Pointer(unsafe.SliceData(b)))
	at, exact := slices.BinarySearchFunc(a.placed, address, compareBase)
	if !exact {
		at--
	}
	return a.placed[at], int(address-a.placed[at].base()) / pageBytes
}

func compareBase(c *chunk, address uintptr) int { return cmp.Compare(c.base(), address) }

func (a *arena) count(c *chunk, p pages) {
	c.pages.add(p)
	a.sum.add(p)
	a.low = min(a.low, a.sum.kept)
}

// close gives everything back to the system. Whatever was handed out is invalid from then on.
func (a *arena) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, c := range a.chunks {
		sysRelease(c.mapped)
	}
	a.chunks, a.placed, a.sum = nil, nil, pages{}
}
