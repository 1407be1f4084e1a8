package shard

import "slices"

// idlePasses is for how many passes of the sweeper pages are kept that nobody needs. So what is
// freed is back with the system after twice as many: within a minute.
const idlePasses = 5

// keptShare is the part of what is taken up to which pages are kept, however long nobody needed
// them, in blocks that are in use: to give them back would cost huge pages.
const keptShare = 64

// giveBack ends a pass. After several it gives back as many pages as were free throughout, but for
// keptShare: whole blocks, then the longest runs, and the last of them first, since the first are
// handed out first. Only the sweeper calls it, one pass at a time.
func (a *arena) giveBack() {
	a.mu.Lock()
	a.passes++
	idle, taken, few := a.low, a.sum.taken, 0
	if a.limit > 0 {
		a.yield(a.sum.backed - a.limit)
	}
	a.mu.Unlock()
	if a.passes < idlePasses {
		return
	}
	for _, least := range []int{blockPages, 64, 8, 1} {
		for gone := 1; gone > 0 && idle-few >= least; idle -= gone {
			gone = a.discard(least, idle-few)
		}
		few = taken / keptShare
	}
	for _, c := range a.unused() {
		sysRelease(c.mapped)
	}
}

// unused begins the next passes and takes out the chunks that nobody uses, but for one.
func (a *arena) unused() (gone []*chunk) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.passes, a.low = 0, a.sum.kept
	a.chunks = slices.DeleteFunc(a.chunks, func(c *chunk) bool {
		if c == a.chunks[0] || c.pages != (pages{}) {
			return false
		}
		gone = append(gone, c)
		return true
	})
	a.placed = slices.DeleteFunc(a.placed, func(c *chunk) bool { return slices.Contains(gone, c) })
	return gone
}

// discard gives back a run of free pages of one block, so many at least and at most, and says how
// many. They are promised to nobody while the system is at it, so that nobody has to wait.
func (a *arena) discard(least, most int) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, c := range slices.Backward(a.chunks) {
		from, n := c.spare(least, most, false)
		if n == 0 {
			continue
		}
		a.count(c, c.unback(from, n))
		a.promise(c, from, n)
		a.mu.Unlock()
		sysDiscard(c.bytes(from, n))
		a.mu.Lock()
		a.free(c, from, n)
		c.mend(from / blockPages)
		return n
	}
	return 0
}

// yield gives back so many pages, if there are, which are free or else promised. It is the one
// place where a write may have to wait for the system: the limit is met, and what is kept lies
// where it is of no use.
func (a *arena) yield(most int) {
	for _, promised := range []bool{false, true} {
		for _, c := range slices.Backward(a.chunks) {
			for most > 0 {
				from, n := c.spare(1, blockPages, promised)
				if n == 0 {
					break
				}
				a.count(c, c.unback(from, n))
				sysDiscard(c.bytes(from, n))
				most -= n
			}
		}
	}
}

// spare is a run of a block that is backed and free, or promised, so long at least and at most. It
// is of the highest block that has one.
func (c *chunk) spare(least, most int, promised bool) (from, n int) {
	if p := c.pages; p.kept == 0 && (!promised || p.backed == p.taken) {
		return 0, 0
	}
	for block := range slices.Backward(c.splits) {
		var spare [blockWords]uint64
		for i := range spare {
			word := block*blockWords + i
			spare[i] = c.backed[word] &^ c.used[word]
			if promised {
				spare[i] |= c.backed[word] & c.promised[word]
			}
		}
		for from := next(spare[:], 0, true); from < blockPages; {
			to := next(spare[:], from, false)
			if n := min(to-from, most); n >= least {
				return block*blockPages + to - n, n
			}
			from = next(spare[:], to, true)
		}
	}
	return 0, 0
}

// unback notes that a run of a block is given back, and returns what changes. Where it is a part of
// the block, the rest is no huge page any more, and does not become one.
func (c *chunk) unback(from, n int) pages {
	if block := from / blockPages; n < blockPages && !c.splits[block] {
		c.split(block, true)
	}
	flip(c.backed, from, n, false)
	return pages{backed: -n, kept: count(c.used, from, n) - n}
}

// mend makes a block whole again, if all of it is free and without memory.
func (c *chunk) mend(block int) {
	from := block * blockPages
	if c.huge && c.splits[block] && count(c.used, from, blockPages)+count(c.backed, from, blockPages) == 0 {
		c.split(block, false)
	}
}
