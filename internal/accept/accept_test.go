package accept

import (
	"errors"
	"net"
	"os"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// script is a listener whose Accept has these outcomes, one after the other; nil: a connection. It
// blocks at the end until it is closed.
type script struct {
	net.Listener
	outcomes []error
	at       []time.Time // when Accept was called
	closed   chan struct{}
}

func (s *script) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

func (s *script) Accept() (net.Conn, error) {
	s.at = append(s.at, time.Now())
	if len(s.outcomes) == 0 {
		<-s.closed
		return nil, net.ErrClosed
	}
	err := s.outcomes[0]
	if s.outcomes = s.outcomes[1:]; err != nil {
		return nil, err
	}
	return &net.TCPConn{}, nil
}

// pauses are those between the calls of Accept.
func (s *script) pauses() (all []time.Duration) {
	for i := range len(s.at) - 1 {
		all = append(all, s.at[i+1].Sub(s.at[i]))
	}
	return all
}

// opErr is an error as package net has it.
func opErr(err error) error {
	return &net.OpError{Op: "accept", Net: "tcp", Err: os.NewSyscallError("accept4", err)}
}

// What passes is waited for, longer each time, up to a second. A connection ends that. Where room
// was made, the wait is short. Every connection is taken, and every failure told.
func TestWhatPassesIsWaitedFor(t *testing.T) {
	full := opErr(syscall.EMFILE)
	for what, test := range map[string]struct {
		room     bool
		outcomes []error
		want     []time.Duration
	}{
		"longer each time": {false, []error{full, full, full, nil, full}, []time.Duration{5e6, 10e6, 20e6, 0, 5e6}},
		"other failures":   {false, []error{opErr(syscall.ECONNABORTED), opErr(syscall.ENOMEM), os.ErrDeadlineExceeded}, []time.Duration{5e6, 10e6, 20e6}},
		"up to a second":   {false, slices.Repeat([]error{full}, 10), []time.Duration{5e6, 10e6, 20e6, 40e6, 80e6, 160e6, 320e6, 640e6, 1e9, 1e9}},
		"room is made":     {true, []error{full, full, nil}, []time.Duration{1e6, 1e6, 0}},
	} {
		synctest.Test(t, func(t *testing.T) {
			wrong := 0
			for _, err := range test.outcomes {
				if err != nil {
					wrong++
				}
			}
			right := len(test.outcomes) - wrong
			ln, stop, over := &script{outcomes: test.outcomes, closed: make(chan struct{})}, make(chan struct{}), make(chan error)
			go func() {
				over <- Loop(ln, stop, func(net.Conn) { right-- }, func(error) bool { wrong--; return test.room })
			}()
			time.Sleep(time.Minute)
			close(stop)
			close(ln.closed)
			if err := <-over; err != nil {
				t.Errorf("%s: it ends with %v", what, err)
			}
			if got := ln.pauses(); !slices.Equal(got, test.want) {
				t.Errorf("%s: it waits %v, want %v", what, got, test.want)
			}
			if right != 0 || wrong != 0 {
				t.Errorf("%s: %d connections are not taken, %d failures not told", what, right, wrong)
			}
		})
	}
}

// A listener that fails for good is an error that names it, at once. A stop ends a wait.
func TestEndOfALoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, stop := time.Now(), make(chan struct{})
		no := func(error) bool { t.Error("it is told of"); return false }
		err := Loop(&script{outcomes: []error{opErr(syscall.EINVAL)}}, stop, nil, no)
		if !errors.Is(err, syscall.EINVAL) || err.Error() != "cannot accept connections on 127.0.0.1:1: accept tcp: accept4: invalid argument" {
			t.Error(err)
		}
		err = Loop(&script{outcomes: []error{opErr(syscall.EMFILE)}}, stop, nil, func(error) bool { close(stop); return false })
		if err != nil || time.Since(began) != 0 {
			t.Errorf("%v, after %s", err, time.Since(began))
		}
	})
}
