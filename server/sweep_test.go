package server

import (
	"net"
	"runtime"
	"sync"
	"testing"
	"time"
)

// deadlineConn notes whether its reading was ended.
type deadlineConn struct {
	net.Conn
	ended bool
}

func (c *deadlineConn) SetReadDeadline(time.Time) error { c.ended = true; return nil }

// A connection that goes on while the sweep looks at it is not judged by a mix of two moments. The
// wait for a request that has come is no wait for the body that streams after it. A connection that
// still waits is ended.
func TestSweepJudgesOneMoment(t *testing.T) {
	s := &Server{room: room{limits: defaultTimeouts()}}
	s.clock.now = s.clock.Load
	nc := new(deadlineConn)
	c := newConn(s, nc)
	c.setPhase(phaseIdle)
	idle, _ := c.setWait(waitNext)
	const now = 100 * time.Second // longer than a stream may be silent, and shorter than a connection may be idle
	if s.limits.overdue(c, idle, now) {
		t.Fatal("an idle connection is overdue")
	}
	s.clock.Store(now.Milliseconds())
	c.wait.CompareAndSwap(idle, waitNone) // the request comes between two looks
	c.setPhase(phaseStream)
	body, _ := c.setWait(waitRead)
	if s.limits.overdue(c, idle, now) && c.endWait(idle) || nc.ended {
		t.Error("a body that has just begun was ended")
	}
	if later := now + s.limits.stream + time.Second; !s.limits.overdue(c, body, later) || !c.endWait(body) || !nc.ended {
		t.Error("a body that is silent was not ended")
	}
}

// What does not fit into a budget keeps nothing out that does.
func TestBudgetRefusesWhatDoesNotFit(t *testing.T) {
	b := budget{max: 10}
	stop := make(chan struct{})
	var greedy sync.WaitGroup
	greedy.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			for range 1000 {
				if b.take(11, 0) {
					t.Error("11 of 10 bytes were taken")
				}
			}
		}
	})
	for range 50 {
		runtime.Gosched() // to whatever the other is at
		if !b.take(10, 0) {
			t.Error("10 of 10 bytes were refused")
			break
		}
		b.give(10)
	}
	close(stop)
	greedy.Wait()
}
