//go:build unix

package server

import (
	"net"
	"syscall"
)

// hasSent says whether the kernel has bytes of the client that were not read yet.
func hasSent(nc net.Conn) (sent bool) {
	onSocket(nc, func(fd int) {
		var b [1]byte
		n, _, err := syscall.Recvfrom(fd, b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		sent = n > 0 && err == nil
	})
	return sent
}

// takeSent drops what the kernel has of a request whose connection is about to be closed.
func takeSent(nc net.Conn) {
	onSocket(nc, func(fd int) {
		var b [4 << 10]byte
		_, _, _ = syscall.Recvfrom(fd, b[:], syscall.MSG_DONTWAIT)
	})
}

// onSocket calls f with the socket of a connection, if it has one that is open.
func onSocket(nc net.Conn, f func(fd int)) {
	if socket, ok := bareConn(nc).(syscall.Conn); ok {
		if raw, err := socket.SyscallConn(); err == nil {
			_ = raw.Control(func(fd uintptr) { f(int(fd)) })
		}
	}
}
