package test

import (
	"math/rand/v2"
	"os"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

// fate is what becomes of what one node sends to another. The zero value: it arrives at once.
type fate struct {
	cut   bool // it is lost without a word
	loss  float64
	delay time.Duration
}

// router passes packets on between the nodes of a lan, each link in each direction to its own fate.
type router struct {
	ends  []*os.File // by node: the other end of the interface by which it reaches the others
	links [][]*link  // from, to
	done  chan struct{}
	run   sync.WaitGroup
}

// link is the way from one node to another.
type link struct {
	to   *os.File
	wake chan struct{} // holds one, where there may be packets to send

	mu    sync.Mutex // guards all below
	fate  fate
	queue []packet // in the order in which they leave
	bytes int
}

type packet struct {
	due  time.Time
	data []byte
}

const (
	packetMax = 16 << 10 // MTU

	// linkMax bounds what is on the way of a link. What comes beyond it is lost, as in any router.
	linkMax = 8 << 20
)

// newRouter takes the ends of the nodes' interfaces.
func newRouter(ends []*os.File) *router {
	r := &router{ends: ends, done: make(chan struct{})}
	for range ends {
		var links []*link
		for _, to := range ends {
			links = append(links, &link{to: to, wake: make(chan struct{}, 1)})
		}
		r.links = append(r.links, links)
	}
	for i, end := range ends {
		r.run.Go(func() { r.read(end, r.links[i]) })
		for j := range ends {
			if i != j {
				r.run.Go(func() { r.links[i][j].send(r.done) })
			}
		}
	}
	return r
}

// close returns when no packet is passed on any more. The interfaces are gone with it.
func (r *router) close() {
	close(r.done)
	for _, end := range r.ends {
		_ = end.Close()
	}
	r.run.Wait()
}

// set says what becomes of what node i sends to node j from now on.
func (r *router) set(i, j int, f fate) {
	l := r.links[i][j]
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fate = f
}

// read passes on what a node sends. The addresses of nodes end with their number and 10.
func (r *router) read(from *os.File, links []*link) {
	buf := make([]byte, 2*packetMax)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		const header = 20
		if n < header || buf[0]>>4 != 4 {
			continue
		}
		if to := int(buf[header-1]) - 10; to >= 0 && to < len(links) {
			links[to].pass(buf[:n])
		}
	}
}

// pass passes a packet on, or has it wait behind those that are on the way.
func (l *link) pass(p []byte) {
	l.mu.Lock()
	f := l.fate
	lost := f.cut || f.loss > 0 && rand.Float64() < f.loss || l.bytes+len(p) > linkMax
	at := !lost && f.delay == 0 && len(l.queue) == 0
	if !lost && !at {
		l.queue = append(l.queue, packet{time.Now().Add(f.delay), append([]byte(nil), p...)})
		l.bytes += len(p)
	}
	l.mu.Unlock()
	switch {
	case at:
		_, _ = l.to.Write(p) // what does not arrive is sent again by those who care
	case !lost:
		select {
		case l.wake <- struct{}{}:
		default:
		}
	}
}

// send sends what waits, when it is due.
func (l *link) send(done <-chan struct{}) {
	for {
		p, wait, ok := l.next()
		switch {
		case ok:
			_, _ = l.to.Write(p)
			continue
		case wait < 0:
			select {
			case <-l.wake:
			case <-done:
				return
			}
		default:
			select {
			case <-time.After(wait):
			case <-done:
				return
			}
		}
	}
}

// next is the first packet that waits, if it is due, or how long it has to wait yet; less than 0:
// there is none.
func (l *link) next() (p []byte, wait time.Duration, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue) == 0 {
		return nil, -1, false
	}
	first := l.queue[0]
	if wait := time.Until(first.due); wait > 0 {
		return nil, wait, false
	}
	l.queue[0] = packet{}
	if l.queue = l.queue[1:]; len(l.queue) == 0 {
		l.queue = nil
	}
	l.bytes -= len(first.data)
	return first.data, 0, true
}

// newTUN makes a network interface whose other end is a file: what is sent by it is read from
// there, packet by packet, and what is written there arrives by it. It is gone when the file is
// closed.
func newTUN(name string) (*os.File, error) {
	fd, err := syscall.Open("/dev/net/tun", syscall.O_RDWR|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("open /dev/net/tun", err)
	}
	request := struct {
		name  [syscall.IFNAMSIZ]byte
		flags uint16
		_     [22]byte
	}{flags: syscall.IFF_TUN | syscall.IFF_NO_PI}
	copy(request.name[:], name)
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), syscall.TUNSETIFF, uintptr(unsafe.Pointer(&request))); errno != 0 {
		_ = syscall.Close(fd)
		return nil, os.NewSyscallError("TUNSETIFF", errno)
	}
	return os.NewFile(uintptr(fd), name), nil
}
