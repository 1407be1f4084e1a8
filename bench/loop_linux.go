package bench

import (
	"fmt"
	"net"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

// socket is what the event loop keeps of a connection.
type socket struct {
	fd      int // -1: none
	since   int64
	again   int64 // when to connect, if there is no fd
	wantOut bool  // it asked to be told of room to write
}

const (
	// readBytes is read at once, into a buffer that all connections share: it
	// stays in the cache, and what an answer leaves over is rare.
	readBytes = 256 << 10

	// tick is how often timeouts, connections and the end are looked after.
	tick = int64(20 * time.Millisecond)

	eventsMax = 256
)

// epollLoop drives a worker: one thread that waits for all of its connections
// at once (epoll), reads and writes without blocking and allocates nothing. A
// goroutine a connection would cost a switch of goroutines and a turn through
// the runtime's poller for every answer, on the cores that are being measured.
type epollLoop struct {
	w     *worker
	addrs []*net.TCPAddr // of the nodes
	clock func() int64
	stop  *atomic.Bool

	epfd   int
	buf    []byte
	events []syscall.EpollEvent
	noNano bool // the kernel has no epoll_pwait2
}

// drive runs w until it is finished or stop is set. addrs are the addresses of
// the nodes.
func drive(w *worker, addrs []*net.TCPAddr, clock func() int64, stop *atomic.Bool) error {
	epfd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return fmt.Errorf("cannot make an event loop: %w", err)
	}
	defer syscall.Close(epfd)
	// The thread is not given back: it ends with the goroutine, and what was
	// set on it too.
	runtime.LockOSThread()
	sharpenTimers()
	l := &epollLoop{
		w: w, addrs: addrs, clock: clock, stop: stop, epfd: epfd,
		buf: make([]byte, readBytes), events: make([]syscall.EpollEvent, eventsMax),
	}
	for _, c := range w.conns {
		c.sock.fd = -1
	}
	err = l.run()
	for _, c := range w.conns {
		l.hangUp(c)
		w.abandon(c)
	}
	w.close()
	return err
}

func (l *epollLoop) run() error {
	now := l.clock()
	l.w.lastUp = now
	for next := now; ; {
		if now >= next {
			l.lookAfter(now)
			next = now + tick
			if l.stop.Load() {
				return nil
			}
		}
		l.w.dispatch(now)
		l.flush(now)
		if l.w.finished(now) {
			return nil
		}
		until := next
		if l.w.pace.open && l.w.ready.size > 0 {
			until = min(until, l.w.pace.due())
		}
		n, err := l.wait(until - now)
		if err != nil {
			return fmt.Errorf("cannot wait for answers: %w", err)
		}
		for i := range l.events[:n] {
			now = l.clock()
			l.handle(l.w.conns[l.events[i].Fd], l.events[i].Events, now)
			l.w.dispatch(now)
			l.flush(now)
		}
		now = l.clock()
	}
}

// wait returns when there are events, or after so many nanoseconds.
func (l *epollLoop) wait(nanos int64) (int, error) {
	nanos = max(nanos, 0)
	for !l.noNano {
		ts := syscall.NsecToTimespec(nanos)
		n, _, errno := syscall.Syscall6(sysEpollPwait2, uintptr(l.epfd), uintptr(unsafe.Pointer(&l.events[0])),
			uintptr(len(l.events)), uintptr(unsafe.Pointer(&ts)), 0, 0)
		switch errno {
		case 0:
			return int(n), nil
		case syscall.EINTR:
			return 0, nil
		}
		l.noNano = true // Linux before 5.11, or a sandbox
	}
	n, err := syscall.EpollWait(l.epfd, l.events, int((nanos+int64(time.Millisecond)-1)/int64(time.Millisecond)))
	if err == syscall.EINTR {
		return 0, nil
	}
	return n, err
}

// lookAfter is what is done now and then.
func (l *epollLoop) lookAfter(now int64) {
	for _, c := range l.w.conns {
		s := &c.sock
		switch {
		case s.fd < 0 && now >= s.again && !l.w.pace.over(now):
			l.connect(c, now)
		case s.fd >= 0 && !c.up && now-s.since > l.w.timeout:
			l.refused(c, now)
		case l.w.overdue(c, now):
			l.drop(c, errTimeout, now)
		}
	}
	l.w.rec.publish()
}

func (l *epollLoop) connect(c *conn, now int64) {
	fd, err := dial(l.addrs[c.node])
	if err == nil {
		c.sock = socket{fd: fd, since: now, wantOut: true}
		ev := syscall.EpollEvent{Events: syscall.EPOLLIN | syscall.EPOLLOUT, Fd: int32(c.index)}
		err = syscall.EpollCtl(l.epfd, syscall.EPOLL_CTL_ADD, fd, &ev)
	}
	if err != nil {
		l.refused(c, now)
	}
}

func (l *epollLoop) refused(c *conn, now int64) {
	l.hangUp(c)
	c.sock.again = l.w.refused(c, now)
}

// drop ends a connection that has worked. It is made again at once.
func (l *epollLoop) drop(c *conn, reason error, now int64) {
	l.hangUp(c)
	l.w.drop(c, reason, now)
	c.sock.again = now
}

func (l *epollLoop) hangUp(c *conn) {
	if c.sock.fd >= 0 {
		syscall.Close(c.sock.fd)
		c.sock.fd = -1
	}
}

func (l *epollLoop) handle(c *conn, events uint32, now int64) {
	if c.sock.fd < 0 {
		return // dropped since
	}
	if !c.up {
		errno, err := syscall.GetsockoptInt(c.sock.fd, syscall.SOL_SOCKET, syscall.SO_ERROR)
		if err != nil || errno != 0 || events&(syscall.EPOLLERR|syscall.EPOLLHUP) != 0 {
			l.refused(c, now)
			return
		}
		l.w.opened(c, now)
	}
	if events&syscall.EPOLLOUT != 0 {
		l.write(c, now)
	}
	if events&^uint32(syscall.EPOLLOUT) != 0 {
		l.read(c, now)
	}
}

// read takes what there is, at most once a turn, so that every connection gets
// its own.
func (l *epollLoop) read(c *conn, now int64) {
	if c.sock.fd < 0 {
		return
	}
	dst, have := l.buf, len(c.in)
	own := have > 0 || c.need > len(l.buf)
	if own {
		if want := max(c.need, have+readBytes/4); cap(c.in) < want {
			c.in = append(make([]byte, 0, want), c.in...)
		}
		dst = c.in[have:cap(c.in)]
	}
	n, err := syscall.Read(c.sock.fd, dst)
	switch {
	case err == syscall.EAGAIN, err == syscall.EINTR:
		return
	case err != nil, n <= 0:
		l.drop(c, errClosed, now)
		return
	}
	data := dst[:n]
	if own {
		data = c.in[:have+n]
	}
	used, err := l.w.receive(c, data, now)
	if err != nil {
		l.drop(c, err, now)
		return
	}
	c.in = append(c.in[:0], data[used:]...)
}

// flush writes what dispatch has made.
func (l *epollLoop) flush(now int64) {
	for _, c := range l.w.dirty {
		c.dirty = false
		if c.up {
			l.write(c, now)
		}
	}
	l.w.dirty = l.w.dirty[:0]
}

func (l *epollLoop) write(c *conn, now int64) {
	if len(c.out) > 0 {
		n, err := syscall.Write(c.sock.fd, c.out)
		switch {
		case err == syscall.EAGAIN, err == syscall.EINTR:
		case err != nil:
			l.drop(c, errClosed, now)
			return
		default:
			c.out = c.out[:copy(c.out, c.out[n:])]
		}
	}
	if want := len(c.out) > 0; want != c.sock.wantOut {
		c.sock.wantOut = want
		ev := syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(c.index)}
		if want {
			ev.Events |= syscall.EPOLLOUT
		}
		if err := syscall.EpollCtl(l.epfd, syscall.EPOLL_CTL_MOD, c.sock.fd, &ev); err != nil {
			l.drop(c, errClosed, now)
		}
	}
}

// dial begins to connect to addr.
func dial(addr *net.TCPAddr) (int, error) {
	family := syscall.AF_INET6
	var to syscall.Sockaddr
	if ip := addr.IP.To4(); ip != nil {
		family = syscall.AF_INET
		to = &syscall.SockaddrInet4{Port: addr.Port, Addr: [4]byte(ip)}
	} else {
		to = &syscall.SockaddrInet6{Port: addr.Port, Addr: [16]byte(addr.IP.To16())}
	}
	fd, err := syscall.Socket(family, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	if err = syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1); err == nil {
		if err = syscall.Connect(fd, to); err == syscall.EINPROGRESS {
			err = nil
		}
	}
	if err != nil {
		syscall.Close(fd)
		return -1, err
	}
	return fd, nil
}

const (
	sysEpollPwait2  = 441 // on every architecture; not in package syscall
	prSetTimerslack = 29
	timerSlackNanos = 1000
)

// sharpenTimers makes the thread wake when it asked for, not up to 50 µs later:
// an open loop would count those as latency.
func sharpenTimers() {
	_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, prSetTimerslack, timerSlackNanos, 0)
}
