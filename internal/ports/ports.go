// Package ports hands out TCP ports of the loopback, for tests and measurements that start nodes.
// It is the one way to a port that another process will listen on.
//
// A port belongs to the process that took it, to its end: it may listen there, stop, and listen
// again. So ports come in blocks. Who listens on the first port of a block owns the others, and the
// kernel gives the block back when that process ends, however it ends.
//
// The ports are below those that operating systems give to outgoing connections. So no such
// connection takes one while a node is down.
//
// Safe for concurrent use.
package ports

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"syscall"
	"time"
)

const (
	first     = 10_100
	blocks    = 120
	blockSize = 80
)

// pool is the blocks of a process.
type pool struct {
	mu        sync.Mutex     // guards all below
	locks     []net.Listener // on the first port of each block that it owns
	next, end int            // ports of the last block that were not handed out
}

var own pool

// Take hands out n ports in a row, fewer than a block has, and returns the first: nothing listens
// there, and nobody else is given them.
func Take(n int) (port int, err error) { return own.take(n) }

// Listen listens on a port of its own on 127.0.0.1.
func Listen() (net.Listener, error) { return own.listen() }

func (p *pool) take(n int) (port int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for row := 0; ; {
		if p.next == p.end {
			if row = 0; !p.ownLocked() {
				return 0, fmt.Errorf("no %d ports in a row are free from %d to %d", n, first, first+blocks*blockSize-1)
			}
		}
		port := p.next
		p.next++
		if row++; !free(port) {
			row = 0
		}
		if row == n {
			return port - n + 1, nil
		}
	}
}

func (p *pool) listen() (net.Listener, error) {
	port, err := p.take(1)
	if err != nil {
		return nil, err
	}
	return net.Listen("tcp", addr(port))
}

// ownLocked makes a block that nobody owns this process's.
func (p *pool) ownLocked() bool {
	from := rand.IntN(blocks)
	for i := range blocks {
		lock := first + (from+i)%blocks*blockSize
		if ln, err := net.Listen("tcp", addr(lock)); err == nil {
			p.locks = append(p.locks, ln)
			p.next, p.end = lock+1, lock+blockSize
			return true
		}
	}
	return false
}

func addr(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

// free says whether nothing listens on the port. To find out by listening would leave a listener
// for a moment in any process that is being started.
func free(port int) bool {
	conn, err := net.DialTimeout("tcp", addr(port), time.Second)
	if err == nil {
		_ = conn.Close()
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}
