package server

import (
	"cmp"
	"container/list"
	"math"
	"slices"
	"sort"
)

// Who may be connected. Options.MaxConns bounds the connections of clients; those of nodes are
// beside them. For a client beyond the bound another connection is closed. It is one that waits for
// its client, with nothing of it in the kernel either:
//
//	idle     between two requests
//	begun    nothing came yet, or a head that is not complete
//	stalled  a body that has stopped coming, or an answer that has stopped being taken
//
// Of these three kinds the largest loses the connection that has waited longest. So whoever makes a
// crowd of connections closes its own. Nothing else is closed: neither a request that is under way
// nor a connection of a node.
//
// A connection is a node's once it has carried a message of one. Where its places beside the
// clients are taken it keeps that of a client, and is not closed for another. A node's may begin
// when all places are taken and nothing can be closed, so some connections are let in at the door.
// A client at the door gets a 503. The connection that has stood there longest goes when the door
// is full.
const (
	waitsIdle = iota
	waitsBegun
	waitsStalled
	waitKinds
)

const (
	// besideShare is the part of MaxConns that nodes may have beside it, and as many may stand
	// at the door.
	besideShare = 8

	// guestsShare is how many quarters of MaxConns nodes may have where those places do not do.
	guestsShare = 3

	// stalledAfter is how long a client does nothing before its request counts as stalled, in
	// milliseconds: longer than a packet takes round the world.
	stalledAfter = 250

	// What a search has found is used for victimsFor, in milliseconds. One search finds batchShare
	// of MaxConns: looking at all connections for each that is accepted would leave no time to
	// accept them.
	victimsFor, batchShare = 1000, 8

	// searchRate bounds how many connections are looked at in a millisecond by searches that do not
	// find a batch: about a seventh of a processor goes into it.
	searchRate = 1000
)

// crowd is the connections that there are. Guarded by room.mu.
type crowd struct {
	max      int // of clients
	conns    map[*conn]struct{}
	peers    int       // of conns, those of nodes
	guests   int       // of conns, those of nodes that have places of clients
	toldFull bool      // that there were too few places for nodes
	door     list.List // of *conn; of conns, those at the door, as they came
	accepted uint64

	victims  []victim // that the last search found and that are there still, the next one first
	all      []victim // memory for a search
	searched int64    // when the last one was
	more     bool     // it found more than a batch
}

// victim is a connection that waits for its client.
type victim struct {
	c     *conn // nil: there is none
	kind  int
	since int64

	// mute says that no answer can be on its way: there is none, or it is not taken.
	mute bool
}

func newCrowd(maxConns int) crowd {
	return crowd{max: maxConns, conns: make(map[*conn]struct{}), searched: math.MinInt32}
}

// clients are the connections that MaxConns bounds.
func (k *crowd) clients() int { return len(k.conns) - k.peers - k.door.Len() }

// maxBeside bounds the connections of nodes, and those at the door.
func (k *crowd) maxBeside() int { return max(k.max/besideShare, 1) }

// maxGuests bounds the connections of nodes that have places of clients, where those beside them
// are taken. So few files may be open then that a client has to wait sooner than a node: to others
// a node that is turned away looks like one that is down.
func (k *crowd) maxGuests() int { return k.max * guestsShare / 4 }

// FilesOf is how many files a server may have open for connections, given its MaxConns.
func FilesOf(maxConns int) int {
	k := crowd{max: maxConns}
	return maxConns + 2*k.maxBeside()
}

// ConnsWithin is the default of MaxConns, or the most connections with which a server has no more
// than these files open, if that is less.
func ConnsWithin(files int) int {
	return sort.Search(defaultMaxConns, func(n int) bool { return FilesOf(n+1) > files })
}

// letIn takes a connection in, and another one out to make room for it, if it has to. The caller
// closes that other one, without the lock, since closing waits for its goroutine.
func (k *crowd) letIn(c *conn, now int64) (gone victim, in bool) {
	if k.clients() >= k.max {
		gone = k.makeRoom(now)
	}
	if c.extra = k.clients() >= k.max; c.extra {
		if k.door.Len() >= k.maxBeside() {
			gone = k.sendAway()
		}
		if k.door.Len() >= k.maxBeside() {
			return gone, false
		}
		c.place = k.door.PushBack(c)
	}
	c.order = k.accepted
	k.accepted++
	k.conns[c] = struct{}{}
	return gone, true
}

// drop takes a connection out, unless it is already.
func (k *crowd) drop(c *conn) {
	if _, open := k.conns[c]; !open {
		return
	}
	delete(k.conns, c)
	switch {
	case c.guest:
		k.guests--
	case c.peer:
		k.peers--
	}
	k.fromDoor(c)
}

// fromDoor notes that the connection does not stand at the door, if it did.
func (k *crowd) fromDoor(c *conn) {
	if c.place != nil {
		k.door.Remove(c.place)
		c.place = nil
	}
}

// sendAway takes out the connection that has stood at the door longest and waits for its client,
// if one does.
func (k *crowd) sendAway() victim {
	for e := k.door.Front(); e != nil; e = e.Next() {
		c := e.Value.(*conn)
		if word := c.wait.Load(); waits(word) && c.end(word) {
			k.drop(c)
			wait, _ := unpack(word)
			return victim{c: c, mute: wait != waitClose}
		}
	}
	return victim{}
}

// waits says whether a word is of a wait that can be ended.
func waits(word int64) bool {
	switch kind, _ := unpack(word); kind {
	case waitNone, waitLate, waitGone:
		return false
	}
	return true
}

// makeRoom takes out the connection that is to be closed for another, if one can be, and ends its
// wait.
func (k *crowd) makeRoom(now int64) victim {
	for range 2 {
		if now-k.searched >= victimsFor {
			k.victims = k.victims[:0]
		}
		for len(k.victims) > 0 {
			v := k.victims[0]
			k.victims = k.victims[1:]
			if !v.c.extra && !v.c.peer && v.c.giveUp(v, now) {
				k.drop(v.c)
				return v
			}
		}
		if !k.search(now) {
			return victim{}
		}
	}
	return victim{}
}

// search finds the next victims.
func (k *crowd) search(now int64) bool {
	if !k.more && now-k.searched < int64(len(k.conns)/searchRate) {
		return false
	}
	all, counts := k.all[:0], [waitKinds]int{}
	for c := range k.conns {
		if c.peer || c.extra {
			continue
		}
		if v, _ := c.waitsFor(now); v.kind >= 0 {
			all = append(all, v)
			counts[v.kind]++
		}
	}
	k.all = all
	most := waitsIdle
	for kind, n := range counts {
		if n > counts[most] {
			most = kind
		}
	}
	all = slices.DeleteFunc(all, func(v victim) bool { return v.kind != most })
	slices.SortFunc(all, func(a, b victim) int {
		return cmp.Or(cmp.Compare(a.since, b.since), cmp.Compare(a.c.order, b.c.order))
	})
	batch := max(k.max/batchShare, 1)
	k.victims = all[:min(len(all), batch)]
	k.searched, k.more = now, len(all) > batch
	return len(all) > 0
}

// waitsFor says what the connection waits for, if it can be closed; else its kind is -1. The
// word is that of the wait.
func (c *conn) waitsFor(now int64) (v victim, word int64) {
	word = c.wait.Load()
	wait, waiting := unpack(word)
	phase, since := unpack(c.phase.Load())
	v = victim{c: c, kind: -1}
	switch wait {
	case waitNext, waitHead, waitClose:
		v.kind, v.since = waitsBegun, since
		v.mute = phase == phaseNew || phase == phaseFirst
		if wait == waitClose || phase == phaseIdle {
			v.kind = waitsIdle
		}
	case waitRead, waitWrite:
		if now-waiting >= stalledAfter {
			v.kind, v.since, v.mute = waitsStalled, waiting, true
		}
	}
	return v, word
}

// end ends a wait, unless what is waited for has come. It may be in the kernel, where the
// connection's goroutine has not looked yet.
func (c *conn) end(word int64) bool {
	kind, _ := unpack(word)
	return (kind == waitWrite || !hasSent(c.Conn)) && c.wait.CompareAndSwap(word, waitGone)
}

// giveUp ends the wait of a connection that is to be closed, unless what it waited for has come.
func (c *conn) giveUp(v victim, now int64) bool {
	still, word := c.waitsFor(now)
	return still == v && c.end(word)
}
