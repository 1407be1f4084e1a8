package replicate

import "sync"

// together has several things done at the same time for one caller. A panic in one of them is
// raised again in the caller's goroutine, by Wait: what asks for a client is a handler, whose
// panics are counted and answered, and end nothing.
type together struct {
	group    sync.WaitGroup
	mu       sync.Mutex
	panicked any // guarded by mu
}

func (t *together) Go(f func()) {
	t.group.Go(func() {
		defer func() {
			if v := recover(); v != nil {
				t.mu.Lock()
				t.panicked = v
				t.mu.Unlock()
			}
		}()
		f()
	})
}

func (t *together) Wait() {
	t.group.Wait()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.panicked != nil {
		panic(t.panicked)
	}
}
