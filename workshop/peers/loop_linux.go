package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"syscall"
	"time"
)

// loop asks one server over some connections, one request at a time on each.
// It is one thread that waits for all connections at once, as the load
// generator for httpdhs and redis-benchmark are, so that what the load costs
// is much the same for all.
type loop struct {
	epfd  int
	conns map[int32]*conn
	ex    exchange
	next  func() (k int, ok bool) // the next key to ask for, until there is none

	busy int // connections that wait for an answer
	done int // answers
}

type conn struct {
	fd      int
	in, out []byte
}

// quiet is how long a server may say nothing at all.
const quiet = 10 * time.Second

// drive asks for random keys and returns answers/s, those of the warm-up left
// out.
func drive(ctx context.Context, addr string, warmup, duration time.Duration, ex exchange) (rate float64, err error) {
	random := rand.NewPCG(1, 1)
	l := &loop{ex: ex, next: func() (int, bool) { return int(random.Uint64() % keys), true }}
	defer l.close()
	if err := l.open(addr); err != nil {
		return 0, err
	}
	if err := l.run(ctx, time.Now().Add(warmup)); err != nil {
		return 0, err
	}
	start, before := time.Now(), l.done
	if err := l.run(ctx, start.Add(duration)); err != nil {
		return 0, err
	}
	rate = float64(l.done-before) / time.Since(start).Seconds()
	// Every answer is waited for: webdis gives those that nobody is there for
	// to whoever comes next.
	l.next = func() (int, bool) { return 0, false }
	return rate, l.run(ctx, time.Now().Add(quiet))
}

// fill asks for the keys below n once.
func fill(ctx context.Context, addr string, n int, ex exchange) error {
	at := -1
	l := &loop{ex: ex, next: func() (int, bool) { at++; return at, at < n }}
	defer l.close()
	if err := l.open(addr); err != nil {
		return err
	}
	return l.run(ctx, time.Now().Add(time.Hour))
}

func (l *loop) open(addr string) (err error) {
	if l.epfd, err = syscall.EpollCreate1(syscall.EPOLL_CLOEXEC); err != nil {
		return err
	}
	l.conns = make(map[int32]*conn)
	for range conns {
		fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		c := &conn{fd: fd}
		l.conns[int32(fd)] = c
		to := &syscall.SockaddrInet4{Port: portNumber(addr), Addr: [4]byte{127, 0, 0, 1}}
		err = errors.Join(
			syscall.Connect(fd, to),
			syscall.SetNonblock(fd, true),
			syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1),
			syscall.EpollCtl(l.epfd, syscall.EPOLL_CTL_ADD, fd, &syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(fd)}),
		)
		if err == nil {
			err = l.ask(c)
		}
		if err != nil {
			return fmt.Errorf("cannot ask: %w", err)
		}
	}
	return nil
}

func (l *loop) close() {
	for _, c := range l.conns {
		syscall.Close(c.fd)
	}
	if l.epfd > 0 {
		syscall.Close(l.epfd)
	}
}

// run goes on until then, or until nothing is left to ask for.
func (l *loop) run(ctx context.Context, until time.Time) error {
	events := make([]syscall.EpollEvent, conns)
	heard := time.Now()
	for l.busy > 0 {
		n, err := syscall.EpollWait(l.epfd, events, 100)
		if err != nil && err != syscall.EINTR {
			return err
		}
		for i := range max(n, 0) {
			if err := l.read(l.conns[events[i].Fd]); err != nil {
				return err
			}
		}
		now := time.Now()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case n > 0:
			heard = now
		case now.Sub(heard) > quiet:
			return fmt.Errorf("no answer for %s", quiet)
		}
		if now.After(until) {
			return nil
		}
	}
	return nil
}

func (l *loop) read(c *conn) error {
	at := len(c.in)
	c.in = append(c.in, make([]byte, 4096)...)
	n, err := syscall.Read(c.fd, c.in[at:])
	c.in = c.in[:at+max(n, 0)]
	switch {
	case err == syscall.EAGAIN || err == syscall.EINTR:
		return nil
	case err != nil:
		return err
	case n == 0:
		return errors.New("the server hung up")
	}
	size, err := l.ex.answer(c.in)
	switch {
	case err != nil || size == 0:
		return err
	case size != len(c.in):
		return unexpected(c.in[size:])
	}
	c.in = c.in[:0]
	l.done++
	l.busy--
	return l.ask(c)
}

// ask sends the next request of a connection. It is small, and fits into the
// buffer of the kernel, unless the server reads nothing any more.
func (l *loop) ask(c *conn) error {
	k, ok := l.next()
	if !ok {
		return nil
	}
	l.busy++
	c.out = l.ex.request(c.out[:0], k)
	n, err := syscall.Write(c.fd, c.out)
	if err == nil && n < len(c.out) {
		err = errors.New("the server does not read")
	}
	return err
}
