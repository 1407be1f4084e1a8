package crashfs

// Faults are what is wrong with a disk. Errors are as a rule syscall.EIO.
type Faults struct {
	// Capacity is how many bytes all files have room for; 0: there is no bound. Beyond it writes
	// fail with ENOSPC. A file that was removed counts while it is open.
	Capacity int64

	// ReadOnly has all calls fail with EROFS that change something, and Open.
	ReadOnly bool

	// WriteErr, SyncErr and ReadErr have WriteAt, Sync and SyncDir, and ReadAt fail. NameErr has
	// calls fail that make, rename or remove.
	WriteErr, SyncErr, ReadErr, NameErr error

	// Slow is called in each Sync and SyncDir with the path. Others use the FS meanwhile.
	Slow func(path string)

	// Only says to which paths the errors and Slow apply; nil: to all. It may not use the FS.
	Only func(path string) bool
}

// on says whether faults apply to a path.
func (f *Faults) on(name string) bool { return f.Only == nil || f.Only(name) }

// of is the error for a path.
func (f *Faults) of(name string, err error) error {
	if err == nil || !f.on(name) {
		return nil
	}
	return err
}

// Fault changes the faults, for the calls that come. A Sync that runs is still to fail.
func (fs *FS) Fault(change func(*Faults)) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	change(&fs.faults)
}

// Used is how many bytes of the capacity are used.
func (fs *FS) Used() int64 {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return fs.used()
}

func (fs *FS) used() (sum int64) {
	for n := range fs.files() {
		sum += n.size
	}
	return sum
}

// files are those that have a name, or are open.
func (fs *FS) files() map[*inode]bool {
	all := make(map[*inode]bool)
	fs.root.files(func(n *inode) { all[n] = true })
	for n := range fs.open {
		all[n] = true
	}
	return all
}

// Evict takes all pages out of the memory of the kernel that are clean. It makes a difference to
// those alone that a Sync failed to write: reads see what the disk has, which is what was there
// before.
func (fs *FS) Evict() {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	for n := range fs.files() {
		n.evict()
	}
}

// Flip flips a bit of a file, for good: on the disk and for reads.
func (fs *FS) Flip(path string, off int64, bit uint) error {
	return fs.damage(path, func(c *content) {
		if off >= 0 && off < c.size {
			c.alter(int(off/pageSize), func(q *page) { q[off%pageSize] ^= 1 << (bit % 8) })
		}
	})
}

// Zero has zeros in place of all from an offset on, for good. The size stays.
func (fs *FS) Zero(path string, from int64) error {
	return fs.damage(path, func(c *content) {
		size, keptSize := c.size, c.keptSize
		c.cut(min(max(from, 0), size))
		c.size, c.keptSize = size, keptSize
	})
}

// Truncate cuts a file off, for good.
func (fs *FS) Truncate(path string, size int64) error {
	return fs.damage(path, func(c *content) { c.cut(max(size, 0)) })
}

// Vanish removes a file, for good. Handles keep it.
func (fs *FS) Vanish(path string) error {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if _, err := fs.file("vanish", path); err != nil {
		return err
	}
	d, base, err := fs.parent("vanish", path)
	if err != nil {
		return err
	}
	d.forget(base)
	return nil
}

// damage changes a file behind the back of its user. The call is none that is counted.
func (fs *FS) damage(path string, change func(*content)) error {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	n, err := fs.file("damage", path)
	if err != nil {
		return err
	}
	n.before = nil
	change(n.content)
	return nil
}
