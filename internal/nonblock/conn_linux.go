//go:build linux && !race && !msan && !asan

// Package syscall tells the race detector that a write comes before the read that gets its bytes,
// and the sanitizers of C what a read has filled. These calls do not, so package net's are used
// there.

package nonblock

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"unsafe"
)

// maxBytes is how much a call copies at most.
const maxBytes = 256 << 10

// Conn returns a connection that reads and writes nc in this way. One that is not of TCP it returns
// as it is. At any time at most one goroutine may read, and one write.
func Conn(nc net.Conn) net.Conn {
	tcp, ok := nc.(*net.TCPConn)
	if !ok {
		return nc
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nc
	}
	c := &conn{TCPConn: tcp, raw: raw}
	c.read, c.write = c.in.read, c.out.write
	return c
}

type conn struct {
	*net.TCPConn
	raw         syscall.RawConn
	in, out     transfer
	read, write func(fd uintptr) bool // of in and out, made once since they are allocated
}

// NetConn is what lies under it.
func (c *conn) NetConn() net.Conn { return c.TCPConn }

func (c *conn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	c.in = transfer{p: p[:min(len(p), maxBytes)]}
	err := c.raw.Read(c.read)
	n, errno := c.in.n, c.in.errno
	c.in.p = nil
	switch {
	case err != nil || errno != 0:
		return n, c.failed("read", err, errno)
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}

func (c *conn) Write(p []byte) (int, error) {
	c.out = transfer{p: p}
	err := c.raw.Write(c.write)
	n, errno := c.out.n, c.out.errno
	c.out.p = nil
	if err != nil || errno != 0 {
		return n, c.failed("write", err, errno)
	}
	return n, nil
}

// failed is the error that package net would return: err is that of the raw connection, if any.
func (c *conn) failed(op string, err error, errno syscall.Errno) error {
	if err == nil {
		return &net.OpError{Op: op, Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: os.NewSyscallError(op, errno)}
	}
	var of *net.OpError
	if errors.As(err, &of) {
		of.Op = op // and not "raw-read"
	}
	return err
}

// transfer is a read or a write under way.
type transfer struct {
	p     []byte
	n     int // bytes done
	errno syscall.Errno
}

// read reads once. It says whether it is done: if not, there is nothing to read yet.
func (t *transfer) read(fd uintptr) bool {
	t.n, t.errno = call(syscall.SYS_READ, fd, t.p)
	return t.errno != syscall.EAGAIN
}

// write writes until all is written, or there is no room for more.
func (t *transfer) write(fd uintptr) bool {
	for t.n < len(t.p) {
		n, errno := call(syscall.SYS_WRITE, fd, t.p[t.n:min(len(t.p), t.n+maxBytes)])
		t.n += n
		if t.errno = errno; errno != 0 {
			return errno != syscall.EAGAIN
		}
	}
	return true
}

// call does a read or a write of at least one byte.
func call(number, fd uintptr, p []byte) (int, syscall.Errno) {
	for {
		n, _, errno := syscall.RawSyscall(number, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
		switch errno {
		case 0:
			return int(n), 0
		case syscall.EINTR:
		default:
			return 0, errno
		}
	}
}
