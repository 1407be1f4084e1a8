//go:build !linux

package bench

import (
	"errors"
	"net"
	"sync/atomic"
)

// socket is what the event loop keeps of a connection.
type socket struct{}

// drive needs epoll. A portable loop would measure itself: what it costs is
// more than what it would be pointed at.
func drive(*worker, []*net.TCPAddr, func() int64, *atomic.Bool) error {
	return errors.New("the load generator runs on Linux")
}
