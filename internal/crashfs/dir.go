package crashfs

import (
	"maps"
	"slices"
)

// node is a file or a directory.
type node interface {
	// copied is a copy that shares nothing that changes. A node that is there twice is copied once.
	copied(copies map[node]node) node

	// settled is what a power cut leaves.
	settled(fate Fate) node
}

// dir is a directory.
type dir struct {
	now  map[string]node // what is seen
	kept map[string]node // what is on the disk for sure
	log  [][]entry       // the changes from kept to now, in order; each happens as a whole
	past int             // changes that left the log
}

// entry is a name and what it is for; nil: nothing.
type entry struct {
	name string
	node node
}

func newDir() *dir { return &dir{now: make(map[string]node), kept: make(map[string]node)} }

// change makes one change.
func (d *dir) change(entries ...entry) {
	apply(d.now, entries)
	d.log = append(d.log, entries)
}

// forget removes a name, as if there had been no changes of it.
func (d *dir) forget(name string) {
	delete(d.now, name)
	delete(d.kept, name)
	for i, entries := range d.log {
		d.log[i] = slices.DeleteFunc(entries, func(e entry) bool { return e.name == name })
	}
}

// changes is how many changes there were.
func (d *dir) changes() int { return d.past + len(d.log) }

// synced makes the first changes last, as many as there were when the call began.
func (d *dir) synced(upTo int) {
	for d.past < upTo {
		apply(d.kept, d.log[0])
		d.log = d.log[1:]
		d.past++
	}
}

func apply(names map[string]node, entries []entry) {
	for _, e := range entries {
		if e.node == nil {
			delete(names, e.name)
		} else {
			names[e.name] = e.node
		}
	}
}

func (d *dir) copied(copies map[node]node) node {
	if done := copies[d]; done != nil {
		return done
	}
	c := newDir()
	copies[d] = c
	for name, n := range d.now {
		c.now[name] = n.copied(copies)
	}
	for name, n := range d.kept {
		c.kept[name] = n.copied(copies)
	}
	for _, entries := range d.log {
		entries = slices.Clone(entries)
		for i, e := range entries {
			if e.node != nil {
				entries[i].node = e.node.copied(copies)
			}
		}
		c.log = append(c.log, entries)
	}
	return c
}

func (d *dir) settled(fate Fate) node {
	names := maps.Clone(d.kept)
	for _, entries := range d.log[:fate.upTo(len(d.log))] {
		apply(names, entries)
	}
	after := newDir()
	for _, name := range slices.Sorted(maps.Keys(names)) {
		after.now[name] = names[name].settled(fate)
	}
	after.kept = maps.Clone(after.now)
	return after
}

// files calls see with each file that has a name.
func (d *dir) files(see func(*inode)) {
	for _, n := range d.now {
		switch n := n.(type) {
		case *dir:
			n.files(see)
		case *inode:
			see(n)
		}
	}
}
