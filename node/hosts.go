package node

import (
	"context"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// hostsEvery is the time between two look-ups of the members' names. They forget addresses that
	// a name leads to no more.
	hostsEvery = time.Minute

	// hostsPause is how old a look-up has to be for a host that is not known to bring on another: a
	// stranger that asks again and again makes no more than these.
	hostsPause = 5 * time.Second

	// hostsPatience is how long a host that is not known is kept waiting: less than a probe waits
	// for its answer.
	hostsPatience = 500 * time.Millisecond

	// hostsWaiting is how many are kept waiting at once: each has a connection, which cannot be
	// closed meanwhile to make room.
	hostsWaiting = 8

	lookupTimeout = 5 * time.Second
	lookupsMax    = 64 // at a time
)

// hosts are the machines of members, by the addresses to which their names lead. In a cluster
// without a secret messages are taken from these alone.
//
// Names are looked up by one goroutine, run: when the members change, now and then, and for a host
// that is not known. What comes from such a host waits for a moment, unless as many wait as may:
// all of them may be strangers. So a node that has moved, or has just joined and that this node is
// about to hear of, is let in. Its first message does it, or one that it sends again.
type hosts struct {
	names  func() []string // hosts of members, with repetitions
	lookup func(ctx context.Context, host string) ([]netip.Addr, error)

	known atomic.Pointer[map[netip.Addr]bool] // replaced, never modified

	slots   chan struct{} // of the look-ups that are made at a time
	waiting chan struct{} // of those that wait for a host to become known
	wake    chan struct{} // of capacity one
	quit    <-chan struct{}

	mu    sync.Mutex              // guards all below
	found map[string][]netip.Addr // by name, when it was last found
	busy  map[string]bool         // names that are being looked up
	began time.Time               // of the last look at all names
	news  chan struct{}           // closed, and replaced, when something was found
}

func newHosts(names func() []string, lookup func(context.Context, string) ([]netip.Addr, error), quit <-chan struct{}) *hosts {
	h := &hosts{lookup: lookup,
		names: names, quit: quit, wake: make(chan struct{}, 1),
		slots: make(chan struct{}, lookupsMax), waiting: make(chan struct{}, hostsWaiting),
		busy: make(map[string]bool), news: make(chan struct{}),
	}
	h.known.Store(new(map[netip.Addr]bool))
	return h
}

// run looks names up until quit.
func (h *hosts) run() {
	ctx, cancel := context.WithCancel(context.Background())
	var lookups sync.WaitGroup
	defer lookups.Wait()
	defer cancel()
	for {
		h.look(ctx, &lookups)
		select {
		case <-time.After(hostsEvery):
		case <-h.wake:
		case <-h.quit:
			return
		}
	}
}

// look begins to look all names up, but for those that are being looked up.
func (h *hosts) look(ctx context.Context, lookups *sync.WaitGroup) {
	names := h.names()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.began = time.Now()
	before := h.found
	h.found = make(map[string][]netip.Addr, len(names))
	for _, name := range names {
		h.found[name] = before[name]
		if !h.busy[name] {
			h.busy[name] = true
			lookups.Go(func() { h.find(ctx, name) })
		}
	}
	h.knowLocked()
}

// find looks one name up. What is found counts at once. A name that cannot be looked up leads where
// it led before.
func (h *hosts) find(ctx context.Context, name string) {
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
	case <-ctx.Done():
		return
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	addrs, err := h.lookup(ctx, name)
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.busy, name)
	if _, wanted := h.found[name]; err == nil && wanted {
		h.found[name] = addrs
		h.knowLocked()
	} // else this node does not reach it by its name either, and says so of the peer
}

// knowLocked works out the addresses that are known. An address of the loopback stands for all of
// them: any may be the source of what is sent to another.
func (h *hosts) knowLocked() {
	known := make(map[netip.Addr]bool)
	for _, addrs := range h.found {
		for _, addr := range addrs {
			known[sameHost(addr)] = true
		}
	}
	h.known.Store(&known)
	close(h.news)
	h.news = make(chan struct{})
}

// sameHost is what addresses of one host have in common here.
func sameHost(addr netip.Addr) netip.Addr {
	if addr = addr.Unmap().WithZone(""); addr.IsLoopback() {
		return netip.IPv6Loopback()
	}
	return addr
}

// changed says that the members have.
func (h *hosts) changed() {
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// has says whether a member is on the host with that address. With patience it waits for what may
// become known of it in a moment.
func (h *hosts) has(addr netip.Addr, patience bool) bool {
	addr = sameHost(addr)
	return h.knows(addr) || patience && h.await(addr)
}

func (h *hosts) knows(addr netip.Addr) bool { return (*h.known.Load())[addr] }

// await waits until the address is known, in vain if false. With many that wait it does not.
func (h *hosts) await(addr netip.Addr) bool {
	select {
	case h.waiting <- struct{}{}:
		defer func() { <-h.waiting }()
	default:
		h.next() // for when it asks again
		return h.knows(addr)
	}
	late := time.NewTimer(hostsPatience)
	defer late.Stop()
	for {
		news := h.next()
		if h.knows(addr) {
			return true
		}
		select {
		case <-news:
		case <-late.C:
			return h.knows(addr)
		case <-h.quit:
			return false
		}
	}
}

// next is closed when more is known. It brings on a look at all names if the last was long ago.
func (h *hosts) next() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	if time.Since(h.began) >= hostsPause {
		h.changed()
	}
	return h.news
}
