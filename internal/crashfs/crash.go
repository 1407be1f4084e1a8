package crashfs

import "slices"

// Fate draws what was not synced and is there all the same. It answers a number below n: 0 is that
// nothing is there, n-1 that everything is. (*rand.Rand).IntN is one.
type Fate func(n int) int

// Lose is the fate in which nothing is there that was not synced.
func Lose(int) int { return 0 }

// Keep is the fate in which everything is there.
func Keep(n int) int { return n - 1 }

// upTo draws a number up to n, often one of the ends.
func (f Fate) upTo(n int) int {
	switch f(4) {
	case 0:
		return 0
	case 3:
		return n
	}
	return f(n + 1)
}

// mood is the fate of all pages of a file. Often they share one: the disk was quick, or was slow.
func (f Fate) mood() Fate {
	switch f(4) {
	case 0:
		return Lose
	case 3:
		return Keep
	}
	return f
}

// page draws a version, or a page that is torn between two.
func (f Fate) page(versions []*page) *page {
	drawn := f(2*len(versions) - 1)
	q := versions[drawn/2]
	if drawn%2 == 0 {
		return q
	}
	q, next := copyOf(q), copyOf(versions[drawn/2+1])
	for off := 0; off < pageSize; off += sectorSize {
		if f(2) == 1 {
			copy(q[off:off+sectorSize], next[off:])
		}
	}
	return q
}

// Crash cuts the power. It returns what is found when it is back. Handles and locks of the old FS
// fail from now on, and so does the old FS. Faults stay as they are, since the disk is the same
// one; the hook of Before is gone. An FS that was stopped may be cut off several times.
func (fs *FS) Crash(fate Fate) *FS { return fs.end().Crash(fate) }

// Kill ends the process, as kill -9 does. It returns what the next one finds: all that was written,
// as much or as little synced as it was. The rest is as with Crash.
func (fs *FS) Kill() *FS { return fs.end().Kill(Lose) }

func (fs *FS) end() *Snapshot {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.gone = true
	return fs.snapshot(nil)
}

// Snapshot is the file system as it is, which goes on.
func (fs *FS) Snapshot() *Snapshot {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return fs.snapshot(nil)
}

// Snapshot is a file system at an instant. It does not change: each call returns an FS of its own.
type Snapshot struct {
	root   *dir
	clock  int
	faults Faults
	half   *half
}

// half is a write that may be half done when the process ends.
type half struct {
	node *inode
	data []byte
	off  int64
}

func (fs *FS) snapshot(h *half) *Snapshot {
	copies := make(map[node]node)
	s := &Snapshot{root: fs.root.copied(copies).(*dir), clock: fs.clock, faults: fs.faults}
	if h != nil && copies[h.node] != nil {
		s.half = &half{copies[h.node].(*inode), slices.Clone(h.data), h.off}
	}
	return s
}

// Crash is what is found if the power was cut at that instant.
func (s *Snapshot) Crash(fate Fate) *FS { return s.fs(s.root.settled(fate)) }

// Kill is what is found if the process was killed at that instant. If it was about to write, some
// pages of that may be written: the first ones, as the kernel does it.
func (s *Snapshot) Kill(fate Fate) *FS {
	copies := make(map[node]node)
	fs := s.fs(s.root.copied(copies))
	if h := s.half; h != nil && len(h.data) > 0 {
		within := int(h.off % pageSize)
		last := (within + len(h.data) + pageSize - 1) / pageSize
		n := fate.upTo(last)*pageSize - within
		copies[h.node].(*inode).write(h.data[:min(max(n, 0), len(h.data))], h.off, fs.clock)
	}
	return fs
}

func (s *Snapshot) fs(root node) *FS {
	fs := newFS(root.(*dir))
	fs.clock, fs.faults = s.clock, s.faults
	return fs
}
