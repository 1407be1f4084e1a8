// Package memnet carries messages between nodes of one process, for tests. A hook may stand between
// two nodes: it answers in the place of one, holds messages up, or breaks the way.
//
// Concurrency: all methods are safe. Each round trip but those of a short link runs in a goroutine.
// Wait waits for it, also when whoever sent the message has given up.
package memnet

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"httpdhs/wire"
)

// Node is what messages are for.
type Node interface {
	Exchange(dst, message []byte) ([]byte, error)
}

// Hook stands between two nodes: it may answer in the peer's place, or pass the message on and do
// as it likes with the answer.
type Hook func(msg []byte, pass func() ([]byte, error)) ([]byte, error)

// Errors of a round trip.
var (
	ErrReset   = errors.New("connection reset")
	ErrTimeout = error(timeout{})
)

type timeout struct{}

func (timeout) Error() string { return "no answer in time" }
func (timeout) Timeout() bool { return true }

// Network carries messages between the nodes of one process.
type Network struct {
	Deaf atomic.Bool // aborts are not heard

	moves sync.WaitGroup // round trips under way, also those given up

	mu    sync.Mutex
	nodes map[string]Node    // guarded by mu: those that run
	hooks map[[2]string]Hook // guarded by mu: by from and to
}

// New makes a network without nodes.
func New() *Network {
	return &Network{nodes: make(map[string]Node), hooks: make(map[[2]string]Hook)}
}

// Put makes a node reachable; nil: it is not any more.
func (n *Network) Put(name string, node Node) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if node == nil {
		delete(n.nodes, name)
	} else {
		n.nodes[name] = node
	}
}

// Between has h stand between two nodes; nil clears the way.
func (n *Network) Between(from, to string, h Hook) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hooks[[2]string{from, to}] = h
}

// Toward has h stand on all ways to a node.
func (n *Network) Toward(to string, h Hook) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for from := range n.nodes {
		n.hooks[[2]string{from, to}] = h
	}
}

// Clear takes all hooks away.
func (n *Network) Clear() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.hooks)
}

// Wait waits until no message is under way.
func (n *Network) Wait() { n.moves.Wait() }

func (n *Network) look(from, to string) (Hook, Node) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.hooks[[2]string{from, to}], n.nodes[to]
}

// Link is one node's transport to another: a peer.Transport.
type Link struct {
	Short atomic.Bool // the peer answers in the caller's goroutine, whatever the hooks

	net      *Network
	from, to string

	mu    sync.Mutex
	abort chan struct{} // guarded by mu: closed by Abort and replaced
}

// Link makes a transport.
func (n *Network) Link(from, to string) *Link {
	return &Link{net: n, from: from, to: to, abort: make(chan struct{})}
}

// Abort breaks all round trips under way.
func (l *Link) Abort() {
	if l.net.Deaf.Load() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.abort)
	l.abort = make(chan struct{})
}

// CloseIdle does nothing: there are no connections.
func (l *Link) CloseIdle() {}

// RoundTrip carries a message there and its answer back.
func (l *Link) RoundTrip(dst, message []byte, deadline time.Time) ([]byte, error) {
	if l.Short.Load() {
		_, node := l.net.look(l.from, l.to)
		return node.Exchange(dst, message)
	}
	l.mu.Lock()
	abort := l.abort
	l.mu.Unlock()
	type reply struct {
		answer []byte
		err    error
	}
	done := make(chan reply, 1)
	msg := bytes.Clone(message)
	l.net.moves.Go(func() {
		h, node := l.net.look(l.from, l.to)
		pass := func() ([]byte, error) {
			if node == nil {
				return nil, fmt.Errorf("connection refused by %s", l.to)
			}
			return node.Exchange(nil, msg)
		}
		var r reply
		if h == nil {
			r.answer, r.err = pass()
		} else {
			r.answer, r.err = h(msg, pass)
		}
		done <- r
	})
	late := time.NewTimer(time.Until(deadline))
	defer late.Stop()
	select {
	case r := <-done:
		return append(dst, r.answer...), r.err
	case <-abort:
		return dst, ErrReset
	case <-late.C:
		return dst, ErrTimeout
	}
}

// OnBatches lets all but batches pass.
func OnBatches(h Hook) Hook { return on(wire.KindBatch, h) }

// OnLists lets all but listings pass.
func OnLists(h Hook) Hook { return on(wire.KindList, h) }

func on(kind wire.Kind, h Hook) Hook {
	return func(msg []byte, pass func() ([]byte, error)) ([]byte, error) {
		if wire.KindOf(msg) != kind {
			return pass()
		}
		return h(msg, pass)
	}
}

// FailWith breaks the way.
func FailWith(err error) Hook {
	return func([]byte, func() ([]byte, error)) ([]byte, error) { return nil, err }
}

// AnswerWith answers in the peer's place.
func AnswerWith(answer []byte) Hook {
	return func([]byte, func() ([]byte, error)) ([]byte, error) { return answer, nil }
}

// LoseReply has the peer carry the message out, and breaks the connection before its answer; so
// often.
func LoseReply(times int) Hook {
	var left atomic.Int64
	left.Store(int64(times))
	return func(_ []byte, pass func() ([]byte, error)) ([]byte, error) {
		answer, err := pass()
		if left.Add(-1) >= 0 {
			return nil, ErrReset
		}
		return answer, err
	}
}
