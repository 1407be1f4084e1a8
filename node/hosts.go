package node

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// hostsEvery is the time between two look-ups of the members' names, by which addresses that a
	// name leads to no more are forgotten.
	hostsEvery = time.Minute

	// hostsPause is how old a look-up has to be for a host that is not known to bring on another: a
	// stranger that asks again and again makes no more than these.
	hostsPause = 5 * time.Second

	// hostsPatience is how long a host that is not known is kept waiting for a look-up: less than a
	// probe waits for its answer.
	hostsPatience = 500 * time.Millisecond

	lookupTimeout = 5 * time.Second
	lookupsMax    = 8 // at a time
)

// hosts are the machines of members, by the addresses to which their names lead. In a cluster
// without a secret messages are taken from these alone.
//
// Names are looked up by one goroutine, run. A message from an address that is known waits for
// nothing. One from another waits for a look-up if the members have changed since the last, or that
// is old: a node that has just joined, or has moved, is let in by its first message.
type hosts struct {
	names   func() []string // hosts of members, with repetitions
	version func() uint64   // changes when they do
	lookup  func(ctx context.Context, host string) ([]netip.Addr, error)

	known atomic.Pointer[map[netip.Addr]bool] // replaced, never modified

	wake chan struct{} // of capacity one
	quit <-chan struct{}

	mu      sync.Mutex              // guards all below
	found   map[string][]netip.Addr // by name, when it was last found
	began   time.Time               // of the last look-up
	looked  uint64                  // the version of the members that it was for
	looking bool                    // it is under way
	over    chan struct{}           // closed when that, or the next, is over
}

func newHosts(names func() []string, version func() uint64, quit <-chan struct{}) *hosts {
	h := &hosts{
		names: names, version: version, quit: quit, wake: make(chan struct{}, 1), over: make(chan struct{}),
		lookup: func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		},
	}
	h.known.Store(new(map[netip.Addr]bool))
	return h
}

// run looks names up until quit.
func (h *hosts) run() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-h.quit:
			cancel()
		case <-ctx.Done():
		}
	}()
	for ctx.Err() == nil {
		h.look(ctx)
		select {
		case <-time.After(hostsEvery):
		case <-h.wake:
		case <-h.quit:
			return
		}
	}
}

// look looks all names up. What is found counts at once: a name that cannot be found out keeps
// nobody waiting but who goes by it. Such a name keeps what it led to.
func (h *hosts) look(ctx context.Context) {
	version := h.version() // before the names: newer ones under it do no harm
	names := h.names()
	h.mu.Lock()
	h.began, h.looked, h.looking = time.Now(), version, true
	before := h.found
	h.found = make(map[string][]netip.Addr, len(names))
	for _, name := range names {
		h.found[name] = before[name]
	}
	h.knowLocked()
	h.mu.Unlock()

	var lookups sync.WaitGroup
	slots, done := make(chan struct{}, lookupsMax), make(map[string]bool, len(names))
	for _, name := range names {
		if done[name] {
			continue
		}
		done[name] = true
		slots <- struct{}{}
		lookups.Go(func() {
			defer func() { <-slots }()
			h.find(ctx, name)
		})
	}
	lookups.Wait()

	h.mu.Lock()
	h.looking = false
	close(h.over)
	h.over = make(chan struct{})
	h.mu.Unlock()
}

// find looks one name up.
func (h *hosts) find(ctx context.Context, name string) {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	addrs, err := h.lookup(ctx, name)
	if err != nil {
		return // this node does not reach it by its name either, and says so of the peer
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.found[name] = addrs
	h.knowLocked()
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
}

// sameHost is what addresses of one host have in common here.
func sameHost(addr netip.Addr) netip.Addr {
	if addr = addr.Unmap().WithZone(""); addr.IsLoopback() {
		return netip.IPv6Loopback()
	}
	return addr
}

// has says whether a member is on the host with that address. It may wait for a look-up.
func (h *hosts) has(addr netip.Addr) bool {
	addr = sameHost(addr)
	late := time.Time{}
	for now := time.Now(); !(*h.known.Load())[addr]; now = time.Now() {
		if late.IsZero() {
			late = now.Add(hostsPatience)
		}
		over, fresh := h.next(now)
		if fresh || !now.Before(late) {
			return false
		}
		select {
		case <-over:
		case <-time.After(late.Sub(now)):
		case <-h.quit:
			return false
		}
	}
	return true
}

// next is closed at the end of a look-up, which it brings on if none is under way. Fresh says that
// there is nothing to wait for.
func (h *hosts) next(now time.Time) (over <-chan struct{}, fresh bool) {
	version := h.version()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.looked == version && (h.looking || now.Sub(h.began) < hostsPause) {
		return h.over, !h.looking
	}
	select {
	case h.wake <- struct{}{}:
	default:
	}
	return h.over, false
}
