//go:build unix

package server

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// hasWaiting says whether the kernel has a connection that was not accepted from the listener yet.
func hasWaiting(ln net.Listener) (waiting bool) {
	socket, ok := ln.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return false
	}
	_ = raw.Control(func(fd uintptr) {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(fds, 0)
		waiting = n == 1 && err == nil && fds[0].Revents == unix.POLLIN
	})
	return waiting
}
