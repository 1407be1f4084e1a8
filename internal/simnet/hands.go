package simnet

import "sync"

// hands are goroutines that do one thing after the other. To grow the stack of a new goroutine
// would take as long as what it does.
type hands struct {
	all sync.WaitGroup

	mu   sync.Mutex // guards idle
	idle []chan job
}

type job struct {
	what  func()
	group *sync.WaitGroup
}

// do has one of them do something, as part of a group.
func (h *hands) do(group *sync.WaitGroup, what func()) {
	group.Add(1)
	h.mu.Lock()
	defer h.mu.Unlock()
	if last := len(h.idle) - 1; last >= 0 {
		h.idle[last] <- job{what, group} // it has room, and takes it
		h.idle = h.idle[:last]
		return
	}
	hand := make(chan job, 1)
	hand <- job{what, group}
	h.all.Go(func() { h.work(hand) })
}

func (h *hands) work(hand chan job) {
	for j := range hand {
		j.what()
		h.mu.Lock()
		h.idle = append(h.idle, hand)
		h.mu.Unlock()
		j.group.Done()
	}
}

// end ends them, when all groups are done.
func (h *hands) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, hand := range h.idle {
		close(hand)
	}
	h.idle = nil
	h.all.Wait()
}
