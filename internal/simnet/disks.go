package simnet

import (
	"slices"
	"sync"
	"syscall"
	"time"

	"httpdhs/disk"
	"httpdhs/internal/crashfs"
	"httpdhs/kv"
)

// Nodes with a disk. It is a disk.Log on a file system that outlives the node, and that a power cut
// takes from what was not synced. ledger.go has what has to last, boot.go how such a node starts.

// Disks are the disks of a run.
type Disks struct {
	Sync    disk.Sync
	Segment int64 // bytes

	// Found changes a disk that a node starts with. Tests lie with it.
	Found func(fs *crashfs.FS)

	// Late has logs sync once a second that promise to sync always: a control, which must fail.
	Late bool

	// Trusting has nodes go on with what they hold, however old it is: a control, which must fail.
	Trusting bool
}

const (
	dataDir   = "/data"
	syncEvery = time.Second

	// slowSync is how long a slow disk takes for a sync.
	slowSync = 2 * time.Second

	// staleFor bounds how old a disk may be that is put back.
	staleFor = 150 * time.Second
)

// drawDisks gives the nodes of a run disks, or not. Then what crashes, crashes in one of several
// ways.
func (s *Shape) drawDisks(c chance) {
	if c.yes(0.5) {
		return
	}
	s.Disks = &Disks{Sync: pick(c, disk.SyncAlways, disk.SyncAlways, disk.SyncAlways, disk.SyncInterval, disk.SyncInterval, disk.SyncNever)}
	s.Disks.Segment = int64(1+c.IntN(6)) << 10
	if s.Members == nil {
		s.settled(c)
	}
	for _, f := range s.Faults {
		if f.Kind == Crash && c.yes(0.9) {
			f.Kind = pick(c, Killed, Killed, Powerless, Restarted)
		}
	}
	if !s.changes() && c.yes(0.25) {
		s.drawLong(c)
		return
	}
	s.drawBlows(c)
	s.drawDiskFaults(c)
}

// settled has the members of the run stay as they are, and find each other as real nodes do.
func (s *Shape) settled(c chance) {
	old := s.places()
	m := &Coming{Founding: c.yes(0.3) && !s.AtOnce} // else there are other owners at first
	for range s.Nodes {
		m.Weights, m.Zones = append(m.Weights, 1), append(m.Zones, "")
	}
	s.Members, s.Fetching = m, 0
	for _, f := range s.Faults {
		f.A, f.B = renamed(f.A, old, s.places()), renamed(f.B, old, s.places())
	}
}

// changes says whether members come and go.
func (s *Shape) changes() bool { return s.Members != nil && s.Members.Spares > 0 }

// renamed are the nodes by other names.
func renamed(nodes, from, to []string) (all []string) {
	for _, name := range nodes {
		all = append(all, to[slices.Index(from, name)])
	}
	return all
}

// drawBlows draws crashes of some nodes, or of all.
func (s *Shape) drawBlows(c chance) {
	for range c.IntN(4) {
		s.Faults = append(s.Faults, s.drawBlow(c, pick(c, Killed, Powerless, Powerless, Restarted)))
	}
}

func (s *Shape) drawBlow(c chance, kind FaultKind) *Fault {
	f := &Fault{Kind: kind, At: c.between(0, s.Span), For: c.between(time.Millisecond, 2*time.Second)}
	nodes := s.places()
	c.Shuffle(len(nodes), func(i, j int) { nodes[i], nodes[j] = nodes[j], nodes[i] })
	f.A = nodes[:pick(c, 1, 2, len(nodes), len(nodes))]
	pause := pick(c, time.Millisecond, 300*time.Millisecond, 3*time.Second)
	for range f.A {
		f.Pauses = append(f.Pauses, c.between(0, pause))
	}
	return f
}

// drawDiskFaults draws disks that do not take everything for a while. A disk is slow or fails:
// never both.
func (s *Shape) drawDiskFaults(c chance) {
	nodes := s.places()
	c.Shuffle(len(nodes), func(i, j int) { nodes[i], nodes[j] = nodes[j], nodes[i] })
	for _, name := range nodes[:c.IntN(3)] {
		kind := pick(c, Unwritable, Unsyncable, DiskFull, SlowDisk)
		for range 1 + c.IntN(2) {
			f := &Fault{Kind: kind, At: c.between(0, s.Span), For: c.between(20*time.Millisecond, 4*time.Second), A: []string{name}}
			s.Faults = append(s.Faults, f)
		}
	}
}

// drawLong makes it a run of minutes, in which tombstones are collected. Nodes are away for longer
// than that, and come back with the disk of long ago. Nothing else goes wrong: a node that is cut
// off with its memory kept, for longer than the grace, may bring back what was deleted.
func (s *Shape) drawLong(c chance) {
	s.Grace, s.Span, s.Deletes, s.Kept = c.between(50*time.Second, 80*time.Second), c.between(2*time.Minute, 4*time.Minute), 0.3, true
	s.Pause, s.AtOnce, s.Crowds, s.Faults = s.Span*time.Duration(s.Clients)/slowOps, false, nil, nil
	for i := range s.Ahead {
		s.Ahead[i] = c.between(-20*time.Millisecond, 20*time.Millisecond)
	}
	s.Leavers = 2
	for range 1 + c.IntN(5) {
		f := s.drawBlow(c, pick(c, Killed, Powerless, Stale, Stale, Stale))
		switch {
		case f.Kind == Stale:
			f.At = c.between(s.Span/8, s.Span)
			f.By, f.A = -c.between(time.Second, min(f.At, staleFor)), f.A[:pick(c, 1, 1, 1, 2, len(f.A))]
		case len(f.A) < s.Nodes && c.yes(0.5):
			f.For = c.between(s.Grace/4, 2*s.Grace)
		}
		s.Faults = append(s.Faults, f)
	}
	s.drawDiskFaults(c)
}

// drive is a node's disk, which stays when the node does not run.
type drive struct {
	fs     *crashfs.FS
	ledger *ledger
	inSync time.Duration // when the node was last in sync, as far as the disk may know
	began  time.Duration // when nothing was there
}

// slot is where a node's disk is.
type slot struct {
	mu sync.Mutex // guards all below; taken after notedStore.mu

	drive
	faults crashfs.Faults
	ill    int                  // faults of the disk that last: all of one kind
	copies map[*Fault]*snapshot // to be put back
	fates  chance
	dies   chan struct{} // closed when the node falls
}

// snapshot is a disk as it was.
type snapshot struct {
	disk   *crashfs.Snapshot
	ledger *ledger
	inSync time.Duration
	began  time.Duration
}

// replace puts a disk into a slot.
func (d *slot) replace(fs *crashfs.FS, l *ledger, inSync, began time.Duration) {
	if d.ledger != nil {
		l.trouble = d.ledger.trouble
	}
	fs.Fault(func(f *crashfs.Faults) { *f = d.faults })
	d.drive = drive{fs, l, inSync, began}
}

// note notes that the node is in sync.
func (d *slot) note(now time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.inSync = now
}

// renew puts an empty disk into a slot.
func (d *slot) renew(mode disk.Sync, now time.Duration) {
	d.replace(crashfs.New(), newLedger(mode), -1, now)
}

// snap keeps a copy of a node's disk, to be put back by a fault.
func (s *sim) snap(n *node, f *Fault) {
	d := &n.slot
	d.mu.Lock()
	defer d.mu.Unlock()
	l := d.ledger.copy()
	l.fall(s.log.now(), false)
	d.copies[f] = &snapshot{d.fs.Snapshot(), l, d.inSync, d.began}
}

// snapAll is snap of all nodes of a fault.
func (s *sim) snapAll(f *Fault) {
	for _, name := range f.A {
		s.snap(s.net.nodes[name], f)
	}
}

// putBack puts the disk of an earlier time into a node that does not run.
func (s *sim) putBack(n *node, f *Fault) {
	n.starts <- struct{}{}
	defer func() { <-n.starts }()
	if s.net.at(n.name) != nil {
		return // it was started meanwhile
	}
	d := &n.slot
	d.mu.Lock()
	defer d.mu.Unlock()
	if was := d.copies[f]; was != nil {
		s.log.add("%s gets the disk that it had %v ago", n.name, -f.By)
		d.replace(was.disk.Kill(crashfs.Lose), was.ledger.copy(), was.inSync, was.began)
		s.fell(n)
	}
}

// cutDown is a power cut where the node does not run.
func (s *sim) cutDown(n *node) {
	n.starts <- struct{}{}
	defer func() { <-n.starts }()
	if s.net.at(n.name) != nil {
		return
	}
	n.slot.mu.Lock()
	defer n.slot.mu.Unlock()
	s.fallTo(n, cut)
}

// fallTo is what becomes of the disk of a node that ends. The slot is locked.
func (s *sim) fallTo(n *node, how end) {
	d, now := &n.slot, s.log.now()
	if how == shut && d.ledger.troubled(now) {
		how = killed // it cannot write what it has
	}
	switch how {
	case wiped:
		d.renew(s.shape.Disks.Sync, now)
		s.rec.event(Event{Kind: Lost, Node: n.name})
		return
	case left:
		d.renew(s.shape.Disks.Sync, now)
		s.rec.event(Event{Kind: Gone, Node: n.name})
		return
	case killed:
		d.ledger.fall(now, false)
		d.fs = d.fs.Kill()
	case cut:
		d.ledger.fall(now, true)
		d.fs = d.fs.Crash(d.fates.IntN)
	case shut:
		if !d.ledger.down { // else it had not loaded
			d.ledger.sure, d.ledger.down = len(d.ledger.entries), true
		}
	}
	s.fell(n)
}

// fell tells what the disk has at least of each key.
func (s *sim) fell(n *node) {
	e := Event{Kind: Fell, Node: n.name, Kept: make(map[string]kv.Version)}
	if s.shape.changes() {
		e.Kind = Lost // the node may be removed before it is back
	}
	for _, key := range s.keys {
		if last := n.slot.ledger.lasts(key); last.version != 0 {
			e.Kept[key] = last.version
		}
	}
	s.rec.event(e)
}

// turnDisk begins or ends a fault of a node's disk.
func (s *sim) turnDisk(n *node, kind FaultKind, on bool) {
	d := &n.slot
	d.mu.Lock()
	defer d.mu.Unlock()
	l := d.ledger
	switch {
	case on && d.ill == 0:
		l.trouble = append(l.trouble, trouble{Span{s.log.now(), Never}, kind})
	case !on && d.ill == 1:
		l.trouble[len(l.trouble)-1].To = s.log.now()
	}
	if d.ill--; on {
		d.ill += 2
	}
	d.faults = crashfs.Faults{}
	switch {
	case d.ill == 0:
	case kind == Unwritable:
		d.faults.WriteErr = syscall.EIO
	case kind == Unsyncable:
		d.faults.SyncErr = syscall.EIO
	case kind == DiskFull:
		d.faults.Capacity = max(d.fs.Used(), 1)
	case kind == SlowDisk:
		d.faults.Slow = func(string) { d.linger() }
	}
	d.fs.Fault(func(f *crashfs.Faults) { *f = d.faults })
}

// linger is how long a slow disk takes. A node that falls does not wait for it.
func (d *slot) linger() {
	slow := time.NewTimer(slowSync)
	defer slow.Stop()
	d.mu.Lock()
	dies := d.dies
	d.mu.Unlock()
	select {
	case <-slow.C:
	case <-dies:
	}
}
