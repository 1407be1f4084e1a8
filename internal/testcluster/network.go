package testcluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// linkState is how two nodes are connected.
type linkState int32

const (
	open   linkState = iota
	cut              // connections are refused
	silent           // connections are there, and nothing arrives
)

var errCut = errors.New("testcluster: the nodes are cut off from each other")

// network is the links between nodes: one for each pair, for both directions.
type network struct {
	mu    sync.RWMutex // guards names and links, which grow
	names []string
	links map[[2]int]*link

	open sync.WaitGroup // dials that wait for a link
}

// link connects two nodes. A connection that lost bytes to silence is closed
// when the silence ends: what follows on it would make no sense.
type link struct {
	state atomic.Int32
	delay atomic.Int64 // time.Duration

	mu      sync.Mutex // guards all below
	conns   map[*linkConn]struct{}
	changed chan struct{} // closed when the state changes
}

func (n *network) init(names []string) {
	n.links = make(map[[2]int]*link)
	for _, name := range names {
		n.add(name)
	}
}

// add connects one more node to all others.
func (n *network) add(name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	i := len(n.names)
	n.names = append(n.names, name)
	for j := range i {
		n.links[[2]int{j, i}] = &link{conns: make(map[*linkConn]struct{}), changed: make(chan struct{})}
	}
}

func (n *network) link(i, j int) *link {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.links[[2]int{min(i, j), max(i, j)}]
}

func (n *network) connected(i, j int) bool {
	return i == j || linkState(n.link(i, j).state.Load()) == open
}

// linksOf are all links of node i.
func (n *network) linksOf(i int) (all []*link) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	for pair, l := range n.links {
		if pair[0] == i || pair[1] == i {
			all = append(all, l)
		}
	}
	return all
}

// set changes all links of node i.
func (n *network) set(i int, s linkState) {
	for _, l := range n.linksOf(i) {
		l.set(s)
	}
}

func (n *network) delay(i int, by time.Duration) {
	for _, l := range n.linksOf(i) {
		l.delay.Store(int64(by))
	}
}

func (n *network) healAll() {
	n.mu.RLock()
	defer n.mu.RUnlock()
	for _, l := range n.links {
		l.set(open)
	}
}

// index is the number of the node of that name; -1: there is none.
func (n *network) index(name string) int {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return slices.Index(n.names, name)
}

// wait returns when no dial is under way.
func (n *network) wait(ctx context.Context) {
	done := make(chan struct{})
	go func() { n.open.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// dialer opens the connections that node i makes.
func (n *network) dialer(i int) func(addr string, timeout time.Duration) (net.Conn, error) {
	return func(addr string, timeout time.Duration) (net.Conn, error) {
		n.open.Add(1)
		defer n.open.Done()
		if j := n.index(addr); j >= 0 && j != i {
			return n.link(i, j).dial(addr, timeout)
		}
		return net.DialTimeout("tcp", addr, timeout)
	}
}

func (l *link) set(s linkState) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if linkState(l.state.Swap(int32(s))) == s {
		return
	}
	close(l.changed)
	l.changed = make(chan struct{})
	for c := range l.conns {
		if s == cut || c.lost.Load() {
			_ = c.Conn.Close()
		}
	}
}

func (l *link) dial(addr string, timeout time.Duration) (net.Conn, error) {
	deadline := time.NewTimer(timeout)
	defer deadline.Stop()
	for {
		l.mu.Lock()
		changed := l.changed
		l.mu.Unlock()
		switch linkState(l.state.Load()) {
		case cut:
			return nil, errCut
		case open:
			conn, err := net.DialTimeout("tcp", addr, timeout)
			if err != nil {
				return nil, err
			}
			return l.add(conn)
		}
		select {
		case <-changed:
		case <-deadline.C:
			return nil, fmt.Errorf("dial %s: %w", addr, os.ErrDeadlineExceeded)
		}
	}
}

func (l *link) add(conn net.Conn) (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if linkState(l.state.Load()) == cut {
		_ = conn.Close()
		return nil, errCut
	}
	c := &linkConn{Conn: conn, link: l}
	l.conns[c] = struct{}{}
	return c, nil
}

// linkConn is a connection over a link, as the node that dialled has it. In
// silence it takes what is written, and loses it and what is read.
type linkConn struct {
	net.Conn
	link *link
	lost atomic.Bool
}

func (c *linkConn) losing() bool {
	if linkState(c.link.state.Load()) != silent {
		return false
	}
	c.lost.Store(true)
	// If the silence has ended meanwhile, whoever ended it may not have seen
	// the mark: then nothing is lost.
	return linkState(c.link.state.Load()) == silent
}

func (c *linkConn) Read(p []byte) (int, error) {
	for {
		n, err := c.Conn.Read(p)
		if err != nil || !c.losing() {
			return n, err
		}
	}
}

func (c *linkConn) Write(p []byte) (int, error) {
	if c.losing() {
		return len(p), nil
	}
	if by := time.Duration(c.link.delay.Load()); by > 0 {
		time.Sleep(by) // so long does a message take: nothing is waited for
	}
	return c.Conn.Write(p)
}

func (c *linkConn) Close() error {
	c.link.mu.Lock()
	delete(c.link.conns, c)
	c.link.mu.Unlock()
	return c.Conn.Close()
}
