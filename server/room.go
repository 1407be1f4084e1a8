package server

import (
	"bytes"
	"cmp"
	"fmt"
	"net"
	"slices"
	"sort"
	"time"

	"github.com/valyala/fasthttp"
)

// Who may be connected. Options.MaxConns bounds the connections of clients; those of nodes are beside
// them. For a client beyond the bound another connection is closed, of those that wait for their client:
//
//	idle     between two requests
//	begun    nothing came yet, or a head that is not complete
//	stalled  a body that has stopped coming, or an answer that has stopped being taken, for a second
//
// Of these three the one that has the most members loses the one that has waited longest: who makes
// a crowd of connections closes its own. Nothing else is closed: neither a request that is under way
// nor a connection of a node.
//
// A connection is a node's once it has carried a message of one. So that one may begin when all
// places are taken and nothing can be closed, some connections are let in beyond the bound. Of these a
// client gets a 503.
const (
	waitsIdle = iota
	waitsBegun
	waitsStalled
	waitKinds
)

const (
	// peerShare and extraShare are the parts of MaxConns that nodes may have beside it, and that are let in beyond it.
	peerShare, extraShare = 8, 32

	// stalledAfter is how long a client does nothing before its request counts as stalled, in milliseconds.
	stalledAfter = 1000

	// victimsFor is how long what a search has found is gone by, in milliseconds, and batchShare the part of
	// MaxConns that one search finds: looking at all connections for each that is accepted would leave no time to
	// accept them.
	victimsFor, batchShare = 1000, 8

	// searchEvery is how long after a search that has found nothing the next one is, in milliseconds.
	searchEvery = 10
)

// crowd is the connections that there are. Guarded by Server.mu.
type crowd struct {
	max      int // of clients
	conns    map[*conn]struct{}
	peers    int // of conns, those of nodes
	accepted uint64

	victims  []victim // that the last search found and that are there still, the next one first
	all      []victim // memory for a search
	searched int64    // when the last one was
	found    bool     // it found some
}

// victim is a connection that waits for its client.
type victim struct {
	c     *conn
	kind  int
	since int64
}

func newCrowd(maxConns int) crowd {
	return crowd{max: maxConns, conns: make(map[*conn]struct{}), searched: -searchEvery}
}

func (k *crowd) clients() int  { return len(k.conns) - k.peers }
func (k *crowd) maxPeers() int { return max(k.max/peerShare, 1) }
func (k *crowd) maxExtra() int { return max(k.max/extraShare, 1) }

// FilesOf is how many files a server may have open for connections, given its MaxConns.
func FilesOf(maxConns int) int {
	k := crowd{max: maxConns}
	return maxConns + k.maxPeers() + k.maxExtra()
}

// ConnsWithin is the default of MaxConns, or, if that is less, the most with which a server has no more than these
// files open for connections.
func ConnsWithin(files int) int {
	return sort.Search(defaultMaxConns, func(n int) bool { return FilesOf(n+1) > files })
}

// accept starts the goroutine of a connection, or turns it away.
func (s *Server) accept(nc net.Conn) {
	s.tick()
	c := &conn{Conn: nc, srv: s}
	c.setPhase(phaseNew)
	c.setWait(waitNext)
	s.mu.Lock()
	gone := s.makeRoomLocked(s.mu.max - 1)
	full, stopping := s.mu.clients() >= s.mu.max+s.mu.maxExtra(), s.stopping.Load()
	if !full && !stopping {
		s.wg.Add(1)
		c.extra = s.mu.clients() >= s.mu.max
		s.mu.add(c)
	}
	s.mu.Unlock()
	s.closeAll(gone)
	if full || stopping {
		s.turnAway(nc, full)
		return
	}
	go s.serveConn(c)
}

const tooManyConns = "HTTP/1.1 503 Service Unavailable\r\nServer: httpdhs\r\nConnection: close\r\n" +
	"Retry-After: 1\r\nX-Dht-Node: %s\r\nContent-Type: application/json\r\n\r\n" +
	`{"error":"too many connections; close some or try later"}` + "\n"

func (s *Server) turnAway(nc net.Conn, full bool) {
	defer nc.Close()
	if !full {
		return
	}
	s.stats.rejectedConns.Add(1)
	// Writing to a TLS connection would shake hands first, in the accept loop.
	if tcp, ok := nc.(*net.TCPConn); ok {
		_ = tcp.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
		_, _ = fmt.Fprintf(tcp, tooManyConns, s.opts.Name)
	}
}

// seat finds a place for a connection that was let in beyond the bound and has sent a request. One that may become a
// node's needs none. A client's has one if there is by now; else it is answered with a 503.
func (s *Server) seat(c *conn, ctx *fasthttp.RequestCtx) bool {
	if path, _ := splitTarget(ctx.Request.Header.RequestURI()); bytes.HasPrefix(path, internalPrefix) {
		return true
	}
	s.tick()
	s.mu.Lock()
	gone := s.makeRoomLocked(s.mu.max)
	c.extra = s.mu.clients() > s.mu.max
	s.mu.Unlock()
	s.closeAll(gone)
	if c.extra {
		s.stats.rejectedConns.Add(1)
		s.fail(ctx, errConns)
		ctx.Response.Header.Set(fasthttp.HeaderRetryAfter, "1")
	}
	return !c.extra
}

// keepPeer makes the connection a node's, after it has carried a message of one.
func (s *Server) keepPeer(c *conn) {
	if c.peer {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, open := s.mu.conns[c]; open && s.mu.peers < s.mu.maxPeers() {
		c.peer, c.extra = true, false
		s.mu.peers++
	}
}

func (k *crowd) add(c *conn) {
	c.order = k.accepted
	k.accepted++
	k.conns[c] = struct{}{}
}

// drop takes a connection out, unless it is already.
func (k *crowd) drop(c *conn) {
	if _, open := k.conns[c]; open && c.peer {
		k.peers--
	}
	delete(k.conns, c)
}

// closeOne closes a connection that waits for its client, if there is one: the process is out of files.
func (s *Server) closeOne() bool {
	s.tick()
	s.mu.Lock()
	gone := s.makeRoomLocked(s.mu.clients() - 1)
	s.mu.Unlock()
	s.closeAll(gone)
	return len(gone) > 0
}

// makeRoomLocked takes connections out until there are no more than most of clients, or none is left that can be
// closed. The caller closes them, without the lock: that waits for their goroutines.
func (s *Server) makeRoomLocked(most int) (gone []*conn) {
	for s.mu.clients() > most {
		c := s.mu.nextVictim(s.clock.Load())
		if c == nil {
			break
		}
		s.mu.drop(c)
		gone = append(gone, c)
	}
	return gone
}

func (s *Server) closeAll(gone []*conn) {
	for _, c := range gone {
		s.stats.evictedConns.Add(1)
		nc := c.Conn
		if t, ok := nc.(interface{ NetConn() net.Conn }); ok {
			nc = t.NetConn() // TLS says goodbye, and may wait for that
		}
		if phase, _ := unpack(c.phase.Load()); phase != phaseIdle {
			// There is no answer on its way: nothing is left behind, in the kernel either.
			if tcp, ok := nc.(*net.TCPConn); ok {
				_ = tcp.SetLinger(0)
			}
		}
		_ = nc.Close()
	}
}

// nextVictim picks the connection to close, and ends its wait; nil if there is none.
func (k *crowd) nextVictim(now int64) *conn {
	for range 2 {
		if now-k.searched >= victimsFor {
			k.victims = k.victims[:0]
		}
		for len(k.victims) > 0 {
			v := k.victims[0]
			k.victims = k.victims[1:]
			if v.c.giveUp(v, now) {
				return v.c
			}
		}
		if !k.search(now) {
			return nil
		}
	}
	return nil
}

// search finds the next victims.
func (k *crowd) search(now int64) bool {
	if !k.found && now-k.searched < searchEvery {
		return false
	}
	all, counts := k.all[:0], [waitKinds]int{}
	for c := range k.conns {
		if v, _ := c.waitsFor(now); v.kind >= 0 && !c.peer {
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
	k.victims = all[:min(len(all), max(k.max/batchShare, 1))]
	k.searched, k.found = now, len(all) > 0
	return k.found
}

// waitsFor says what the connection waits for, if it can be closed; else its kind is -1. The word is that of the wait.
func (c *conn) waitsFor(now int64) (v victim, word int64) {
	word = c.wait.Load()
	wait, waiting := unpack(word)
	phase, since := unpack(c.phase.Load())
	v = victim{c: c, kind: -1}
	switch wait {
	case waitNext, waitHead, waitClose:
		v.kind, v.since = waitsBegun, since
		if wait == waitClose || phase == phaseIdle {
			v.kind = waitsIdle
		}
	case waitRead, waitWrite:
		if now-waiting >= stalledAfter {
			v.kind, v.since = waitsStalled, waiting
		}
	}
	return v, word
}

// giveUp ends the wait of a connection that is to be closed, unless what it waited for has come.
func (c *conn) giveUp(v victim, now int64) bool {
	still, word := c.waitsFor(now)
	return still == v && c.wait.CompareAndSwap(word, waitGone)
}
