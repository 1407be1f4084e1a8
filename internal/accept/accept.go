// Package accept takes the connections of a listener, for each server of a node.
//
// It starts no goroutine and keeps nothing: a Loop runs in the goroutine of whoever serves.
package accept

import (
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"
)

// Between two attempts, while connections cannot be accepted.
const (
	pauseMin = 5 * time.Millisecond // doubles from here
	pauseMax = time.Second

	pauseRoom = time.Millisecond // where room was made
)

// Loop gives each connection of a listener to take, in turn. It returns nil when Accept fails and
// stop is closed, or in a pause when stop is. The error is of a listener that fails for good.
//
// Where the process has no files or memory left, connections that are closed make room. So Loop
// tries again after a pause. Before it, failed is told why, and says whether it has made room.
func Loop(ln net.Listener, stop <-chan struct{}, take func(net.Conn), failed func(error) (madeRoom bool)) error {
	for pause := time.Duration(0); ; {
		nc, err := ln.Accept()
		if err == nil {
			pause = 0
			take(nc)
			continue
		}
		select {
		case <-stop:
			return nil
		default:
		}
		if !passes(err) {
			return fmt.Errorf("cannot accept connections on %s: %w", ln.Addr(), err)
		}
		pause = min(max(2*pause, pauseMin), pauseMax)
		if failed(err) {
			pause = pauseRoom
		}
		select {
		case <-time.After(pause):
		case <-stop:
			return nil
		}
	}
}

// passes says whether a later Accept may do better.
func passes(err error) bool {
	for _, errno := range []syscall.Errno{
		syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM,
		syscall.ECONNABORTED, syscall.ECONNRESET, syscall.EINTR,
	} {
		if errors.Is(err, errno) {
			return true
		}
	}
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}
