package peer

import "sync"

// Group has several peers asked at the same time for one caller. A panic in one of the askers is
// raised again in the caller's goroutine, by Wait: what asks for a client is a handler, whose
// panics are counted and answered, and end nothing.
type Group struct {
	group    sync.WaitGroup
	mu       sync.Mutex
	panicked any // guarded by mu
}

// Go does one of them.
func (g *Group) Go(f func()) {
	g.group.Go(func() {
		defer func() {
			if v := recover(); v != nil {
				g.mu.Lock()
				g.panicked = v
				g.mu.Unlock()
			}
		}()
		f()
	})
}

// Wait waits for all.
func (g *Group) Wait() {
	g.group.Wait()
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.panicked != nil {
		panic(g.panicked)
	}
}
