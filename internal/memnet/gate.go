package memnet

import (
	"sync"
	"time"
)

// patience bounds the wait for a message: only a test that fails takes so long.
const patience = time.Minute

// T is a *testing.T, a *testing.B or a *testing.F.
type T interface {
	Helper()
	Cleanup(func())
	Fatalf(format string, args ...any)
}

// Gate holds what comes by until it is opened.
type Gate struct {
	arrived chan struct{} // a token for each message that is held
	opened  chan struct{}
	once    sync.Once
}

// NewGate makes a gate, which is opened when the test ends at the latest.
func NewGate(t T) *Gate {
	g := &Gate{arrived: make(chan struct{}, 1000), opened: make(chan struct{})}
	t.Cleanup(g.Open)
	return g
}

// Open lets all pass from now on.
func (g *Gate) Open() { g.once.Do(func() { close(g.opened) }) }

// Opened is closed when the gate is open.
func (g *Gate) Opened() <-chan struct{} { return g.opened }

// Hold is the hook.
func (g *Gate) Hold(_ []byte, pass func() ([]byte, error)) ([]byte, error) {
	g.arrived <- struct{}{}
	<-g.opened
	return pass()
}

// Wait waits until so many messages are held.
func (g *Gate) Wait(t interface {
	Helper()
	Fatalf(format string, args ...any)
}, messages int) {
	t.Helper()
	for range messages {
		select {
		case <-g.arrived:
		case <-time.After(patience):
			t.Fatalf("no message came to the gate")
		}
	}
}
