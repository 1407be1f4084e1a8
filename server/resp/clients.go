package resp

import (
	"cmp"
	"fmt"
	"slices"
	"sync/atomic"
	"time"
)

// card is what other connections may see of one. It is replaced, and does not change.
type card struct {
	name, libName, libVersion string
	resp3                     bool
}

// public is the part of a connection that any goroutine may read.
type public struct {
	card atomic.Pointer[card]    // nil: nothing was said yet
	last atomic.Pointer[command] // the last that was carried out; nil: none
}

// present makes a new card, after the session has changed.
func (s *session) present() {
	s.conn.card.Store(&card{name: s.name, libName: s.libName, libVersion: s.libVersion, resp3: s.resp3})
}

// clients are the connections, in the order in which they came.
func (r *room) clients() []*conn {
	var all []*conn
	r.each(func(c *conn) { all = append(all, c) })
	slices.SortFunc(all, func(a, b *conn) int { return cmp.Compare(a.session.id, b.session.id) })
	return all
}

// describe is the connection's line of CLIENT LIST. What Redis tells of its buffers is 0 here.
func (c *conn) describe() string {
	shown, last, version := c.card.Load(), "NULL", 2
	if shown == nil {
		shown = new(card)
	}
	if cmd := c.last.Load(); cmd != nil {
		last = cmd.name
	}
	if shown.resp3 {
		version = 3
	}
	idle := int64(0)
	if kind, since := unpack(c.wait.Load()); kind != waitNone {
		idle = max(c.srv.clock.Load()-since, 0) / 1000
	}
	return fmt.Sprintf("id=%d addr=%s laddr=%s fd=0 name=%s age=%d idle=%d flags=N db=0 sub=0 psub=0 ssub=0 multi=-1 "+
		"qbuf=0 qbuf-free=0 argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl=0 oll=0 omem=0 tot-mem=0 events=r cmd=%s user=%s "+
		"redir=-1 resp=%d lib-name=%s lib-ver=%s",
		c.session.id, c.RemoteAddr(), c.LocalAddr(), shown.name, int64(time.Since(c.session.created).Seconds()), idle,
		last, defaultUser, version, shown.libName, shown.libVersion)
}
