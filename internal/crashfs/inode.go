package crashfs

import (
	"maps"
	"slices"
)

const (
	pageSize   = 4096
	sectorSize = 512

	// versionsMax is how many versions of a page that was not synced a power cut may choose from,
	// beside the synced one.
	versionsMax = 4
)

// page is a part of a file. It does not change once it is written: copies share it. A nil page has
// zeros.
type page [pageSize]byte

// inode is a file, whatever its name.
type inode struct{ *content }

// content is what a file has had since it was last emptied.
type content struct {
	pages []*page // what reads see
	size  int64

	kept     []*page // what is on the disk for sure
	keptSize int64
	keptAt   int // the clock at the start of the Sync that keptSize is from

	dirty   map[int][]version // pages written and not synced, by number
	failed  map[int][]*page   // versions that a Sync failed to write: they may be on the disk
	syncing int               // Syncs that run

	before *content // which is on the disk if the file's emptying is not
}

type version struct {
	at   int // the clock
	page *page
}

func newContent() *content {
	return &content{dirty: make(map[int][]version), failed: make(map[int][]*page)}
}

// empty makes the file one of no bytes.
func (n *inode) empty() {
	old := n.content
	n.content = newContent()
	n.before = old
}

// read is ReadAt up to the end of the file.
func (c *content) read(p []byte, off int64) (n int) {
	p = p[:max(0, min(int64(len(p)), c.size-off))]
	for n < len(p) {
		i, within := int((off+int64(n))/pageSize), int((off+int64(n))%pageSize)
		part := p[n:min(len(p), n+pageSize-within)]
		if q := at(c.pages, i); q != nil {
			copy(part, q[within:])
		} else {
			clear(part)
		}
		n += len(part)
	}
	return n
}

// write writes p at the time now.
func (c *content) write(p []byte, off int64, now int) {
	for len(p) > 0 {
		i, within := int(off/pageSize), int(off%pageSize)
		q := copyOf(at(c.pages, i))
		n := copy(q[within:], p)
		c.pages = set(c.pages, i, q)
		versions := append(c.dirty[i], version{now, q})
		if c.syncing == 0 && len(versions) > versionsMax {
			versions = slices.Clone(versions[1:])
		}
		c.dirty[i] = versions
		p, off = p[n:], off+int64(n)
		c.size = max(c.size, off)
	}
}

// synced is a Sync that began when the clock was upTo, and the size was size.
func (c *content) synced(upTo int, size int64) {
	for i := range c.dirty {
		if done := c.clean(i, upTo); len(done) > 0 {
			c.kept = set(c.kept, i, done[len(done)-1].page)
			delete(c.failed, i)
		}
	}
	if upTo > c.keptAt {
		c.keptSize, c.keptAt = min(size, c.size), upTo
	}
	c.before = nil
}

// syncFailed is a Sync that began when the clock was upTo. Its pages are clean all the same.
func (c *content) syncFailed(upTo int) {
	for i := range c.dirty {
		for _, v := range c.clean(i, upTo) {
			c.failed[i] = append(c.failed[i], v.page)
		}
		if extra := len(c.failed[i]) - versionsMax; extra > 0 {
			c.failed[i] = c.failed[i][extra:]
		}
	}
}

// clean takes the versions of a page out of dirty that are no newer than upTo.
func (c *content) clean(i, upTo int) []version {
	all := c.dirty[i]
	n := len(all)
	for n > 0 && all[n-1].at > upTo {
		n--
	}
	if n == len(all) {
		delete(c.dirty, i)
	} else {
		c.dirty[i] = all[n:]
	}
	return all[:n:n]
}

// evict takes pages out of memory: what reads see of them is what the disk has.
func (c *content) evict() {
	for i := range c.failed {
		if len(c.dirty[i]) == 0 {
			c.pages = set(c.pages, i, at(c.kept, i))
			delete(c.failed, i)
		}
	}
}

func (n *inode) copied(copies map[node]node) node {
	if copies[n] == nil {
		copies[n] = &inode{n.content.copied()}
	}
	return copies[n]
}

// copied has no Sync that runs: who waits for one is told that it failed.
func (c *content) copied() *content {
	if c == nil {
		return nil
	}
	o := *c
	o.pages, o.kept = slices.Clone(c.pages), slices.Clone(c.kept)
	o.dirty, o.failed = maps.Clone(c.dirty), maps.Clone(c.failed)
	for i, versions := range o.dirty {
		o.dirty[i] = slices.Clone(versions)
	}
	for i, pages := range o.failed {
		o.failed[i] = slices.Clone(pages)
	}
	o.syncing = 0
	o.before = c.before.copied()
	return &o
}

func (n *inode) settled(fate Fate) node { return &inode{n.content.settled(fate)} }

func (c *content) settled(fate Fate) *content {
	if c.before != nil && fate(2) == 0 {
		return c.before.settled(fate)
	}
	after := newContent()
	after.size = c.keptSize + int64(fate.upTo(int(c.size-c.keptSize)))
	after.pages = slices.Clone(c.kept)
	fate = fate.mood()
	for _, i := range c.open() {
		after.pages = set(after.pages, i, fate.page(c.versions(i)))
	}
	after.cut(after.size)
	after.kept, after.keptSize = slices.Clone(after.pages), after.size
	return after
}

// open are the pages whose versions on the disk are not known, in order.
func (c *content) open() []int {
	both := slices.AppendSeq(slices.Collect(maps.Keys(c.dirty)), maps.Keys(c.failed))
	slices.Sort(both)
	return slices.Compact(both)
}

// versions are what may be on the disk of a page, the newest last.
func (c *content) versions(i int) []*page {
	all := append([]*page{at(c.kept, i)}, c.failed[i]...)
	for _, v := range c.dirty[i] {
		all = append(all, v.page)
	}
	return all
}

// cut makes the file no longer than size, whatever is synced.
func (c *content) cut(size int64) {
	c.size, c.keptSize = min(c.size, size), min(c.keptSize, size)
	whole, rest := int(size/pageSize), int(size%pageSize)
	if rest > 0 {
		c.alter(whole, func(q *page) { clear(q[rest:]) })
		whole++
	}
	c.pages, c.kept = c.pages[:min(len(c.pages), whole)], c.kept[:min(len(c.kept), whole)]
	beyond := func(i int) bool { return i >= whole }
	maps.DeleteFunc(c.dirty, func(i int, _ []version) bool { return beyond(i) })
	maps.DeleteFunc(c.failed, func(i int, _ []*page) bool { return beyond(i) })
}

// alter changes a page in all versions that there are of it.
func (c *content) alter(i int, change func(*page)) {
	altered := func(q *page) *page {
		q = copyOf(q)
		change(q)
		return q
	}
	if i < len(c.pages) {
		c.pages[i] = altered(c.pages[i])
	}
	if i < len(c.kept) {
		c.kept[i] = altered(c.kept[i])
	}
	for k := range c.dirty[i] {
		c.dirty[i][k].page = altered(c.dirty[i][k].page)
	}
	for k := range c.failed[i] {
		c.failed[i][k] = altered(c.failed[i][k])
	}
}

func at(pages []*page, i int) *page {
	if i < len(pages) {
		return pages[i]
	}
	return nil
}

func set(pages []*page, i int, q *page) []*page {
	for i >= len(pages) {
		pages = append(pages, nil)
	}
	pages[i] = q
	return pages
}

func copyOf(q *page) *page {
	made := new(page)
	if q != nil {
		*made = *q
	}
	return made
}
