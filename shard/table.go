package shard

import (
	"math/bits"
	"slices"
	"unsafe"
)

// The index of a shard is a table of 8-byte slots, kept in the order of the
// hashes: ordered linear probing (Amble, Knuth, "Ordered hash tables", 1974)
// without wrapping around. With x for the hash without the partition's bits:
//
//	slot   bits 63..42  tag: bits [skip, skip+22) of x, counted from the top
//	       bits 41..40  how often it was used, up to 3, where records are evicted
//	       bits 39..0   location of the record: segment, place in it
//
//	home(x) = x · homes / 2^64, for x cut off below its tag
//
// home rises with x, so slots can be both near their homes and sorted by x.
// Hence a search ends at the first larger tag, a scan in the order of hashes
// is a walk, and homes may be any number: tables grow by an eighth and are
// never much emptier than they have to be.
//
// A tag together with the place of its slot gives back all of x down to the
// tag's last bit (prefix): a slot moves to a table of another size without its
// record being read. For that, and for tags to be compared modulo 2^22, no slot
// may be further than reachMax behind its home. A slot that would be does not
// go into the table; see spill.
const (
	tagBits  = 22
	tagShift = 64 - tagBits
	tagMask  = (1<<tagBits - 1) << tagShift

	locationBits = 40
	locationMask = uint64(1)<<locationBits - 1

	useOne = uint64(1) << locationBits
	useMax = 3 * useOne

	slotBytes    = 8
	slotsPerPage = pageBytes / slotBytes

	// tailSlots are behind the last home, for what is pushed past it.
	tailSlots = 64

	reachMax = 127

	// A table is grown when it is filled to fillMax and made so large that it
	// is filled to fillNew; it is shrunk below fillMin. In per mille of homes.
	// Searches, of what is there or not, look at about 1/(2(1-fill)) slots.
	fillMax = 900
	fillNew = 800
	fillMin = 600
)

// table is zero, without a slot, or made by newTable.
type table struct {
	slots []uint64 // in memory of the arena; 0 is empty
	homes uint64
	skip  uint

	// gone is the slots at the start whose memory was given back already. From clean on they have
	// none yet: nobody looks there.
	gone, clean int
}

// tableSlots is the size of a table for n slots, and its homes.
func tableSlots(n int) (slots int, homes uint64) {
	slots = roundToPages((n*1000/fillNew+1+tailSlots)*slotBytes) / slotBytes
	return slots, uint64(slots - tailSlots)
}

// newTable makes an empty table for n slots, of which a page can be used.
func newTable(a *arena, n int) table {
	slots, homes := tableSlots(n)
	memory := a.alloc(pageBytes, slots*slotBytes, slots*slotBytes)
	clear(memory)
	return table{
		slots: unsafe.Slice((*uint64)(unsafe.Pointer(unsafe.SliceData(memory))), slots),
		homes: homes,
		skip:  skipFor(homes),
		clean: slotsPerPage,
	}
}

// open makes the slots before end usable. So a page is first written to when it is about to be
// filled.
func (t *table) open(a *arena, end int) {
	if end = roundToPages(min(end, len(t.slots))*slotBytes) / slotBytes; end > t.clean {
		a.extend(t.memory(0, t.clean), end*slotBytes)
		clear(t.slots[t.clean:end])
		t.clean = end
	}
}

// behind is a place that no search for a hash up to x looks at, while there are none above it. That
// x may be cut as in a table with other tags: it changes a home by one at most.
func (t *table) behind(x uint64) int { return t.home(t.cut(x)) + reachMax + 3 }

// memory is that of a part of the slots. Its capacity is what was promised to the table.
func (t *table) memory(from, to int) []byte {
	part := t.slots[from:to]
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(part))), cap(part)*slotBytes)[:len(part)*slotBytes]
}

// free gives the table's memory back and makes it zero.
func (t *table) free(a *arena) {
	if t.slots != nil {
		a.release(t.memory(t.gone, t.clean))
	}
	*t = table{}
}

// shed gives back the memory of the slots before end, a number of pages.
func (t *table) shed(a *arena, end int) {
	a.release(slices.Clip(t.memory(t.gone, end)))
	t.gone = end
}

func (t *table) bytes() int { return (len(t.slots) - t.gone) * slotBytes }

// full says whether n slots are as many as the table should have.
func (t *table) full(n int) bool { return uint64(n)*1000 > t.homes*fillMax }

// sparse says whether n slots are so few that a smaller table should have them.
func (t *table) sparse(n int) bool {
	return len(t.slots) > slotsPerPage && uint64(n)*1000 < t.homes*fillMin
}

// skipFor is how many bits of x are above the tag. Up to 2^16 homes none are:
// then the tag has six bits and more to tell slots of one home apart. It is
// the same for 2^8 times as many homes, since records have to be read when it
// changes. For tags to be unique within reach, homes >= 2^(skip+1) · (reachMax+1).
func skipFor(homes uint64) uint {
	const step, fine = 8, 6
	skip := uint(0)
	for homes > 1<<(skip+tagBits-fine) {
		skip += step
	}
	return skip
}

// cut is x without what is below its tag.
func (t *table) cut(x uint64) uint64 { return x >> (tagShift - t.skip) << (tagShift - t.skip) }

func (t *table) tag(x uint64) uint64 { return x << t.skip & tagMask }

func (t *table) home(cut uint64) int {
	hi, _ := bits.Mul64(cut, t.homes)
	return int(hi)
}

// beside is the cut x of a slot that is within reach of that of another.
func (t *table) beside(cut, slot uint64) uint64 {
	return cut + uint64(int64(slot&tagMask-t.tag(cut))>>t.skip)
}

// prefix is the cut x of the slot at p.
func (t *table) prefix(p int) uint64 {
	below := t.slots[p] & tagMask >> t.skip
	if t.skip == 0 {
		return below
	}
	// The largest x that may be at p is the last whose home is p.
	last := ^uint64(0)
	if end := uint64(p) + 1; end < t.homes {
		quotient, rest := bits.Div64(end, 0, t.homes)
		if rest == 0 {
			quotient--
		}
		last = quotient
	}
	period := 64 - t.skip
	return (last-below)>>period<<period + below
}

// seek is the first place at or behind the home of x whose slot is empty or
// not below x: where x is, or where it belongs.
func (t *table) seek(x uint64) int {
	cut, tag := t.cut(x), t.tag(x)
	p := t.home(cut)
	for ; p < len(t.slots); p++ {
		if w := t.slots[p]; w == 0 || int64(w&tagMask-tag) >= 0 {
			break
		}
	}
	return p
}

// matches says whether there is a slot at p with the tag of x.
func (t *table) matches(p int, tag uint64) bool {
	return p < len(t.slots) && t.slots[p] != 0 && t.slots[p]&tagMask == tag
}

// insert puts a slot for x behind those with the same tag. It says no, and
// changes nothing, where that would push a slot out of reach of its home.
func (t *table) insert(x, word uint64) bool {
	tag := t.tag(x)
	p := t.seek(x)
	for t.matches(p, tag) {
		p++
	}
	end := p
	for end < len(t.slots) && t.slots[end] != 0 {
		end++
	}
	cut := t.cut(x)
	if end == len(t.slots) || p-t.home(cut) > reachMax {
		return false
	}
	// What is pushed belongs at or behind the home of x.
	if end-t.home(cut) > reachMax {
		for i, near := p, cut; i < end; i++ {
			near = t.beside(near, t.slots[i])
			if i+1-t.home(near) > reachMax {
				return false
			}
		}
	}
	copy(t.slots[p+1:end+1], t.slots[p:end])
	t.slots[p] = tag | word&^tagMask
	return true
}

// remove takes the slot at p out and moves those behind it nearer home.
func (t *table) remove(p int) {
	near, end := t.prefix(p), p+1
	for ; end < len(t.slots) && t.slots[end] != 0; end++ {
		near = t.beside(near, t.slots[end])
		if t.home(near) == end {
			break
		}
	}
	copy(t.slots[p:], t.slots[p+1:end])
	t.slots[end-1] = 0
}
