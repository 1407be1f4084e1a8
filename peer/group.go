package peer

import "sync"

// Group has several peers asked at the same time for one caller. Wait raises a panic of one of the
// askers again in the caller's goroutine. There a handler of a client's request counts and answers
// it, and the process goes on.
type Group struct {
	group    sync.WaitGroup
	mu       sync.Mutex
	panicked any // guarded by mu
}

// Go runs f, which asks one of them, in a goroutine.
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

// Wait waits until all have returned.
func (g *Group) Wait() {
	g.group.Wait()
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.panicked != nil {
		panic(g.panicked)
	}
}
