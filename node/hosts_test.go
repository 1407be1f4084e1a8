package node

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// fakeNames are members and the domain name system.
type fakeNames struct {
	mu      sync.Mutex
	members []string
	hosts   *hosts
	leads   map[string]string // name to addresses, with spaces; "": the look-up fails
	slow    map[string]time.Duration
	lookups atomic.Int64
}

func (f *fakeNames) set(name, addrs string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.leads[name] = addrs
}

// join makes names members' hosts, beside those that are.
func (f *fakeNames) join(names ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.members = append(f.members, names...)
	f.hosts.changed()
}

func (f *fakeNames) lookup(ctx context.Context, host string) (all []netip.Addr, err error) {
	f.lookups.Add(1)
	f.mu.Lock()
	addrs, slow := f.leads[host], f.slow[host]
	f.mu.Unlock()
	select {
	case <-time.After(slow):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	for _, addr := range strings.Fields(addrs) {
		all = append(all, netip.MustParseAddr(addr))
	}
	if len(all) == 0 {
		return nil, errors.New("no such host")
	}
	return all, nil
}

// withHosts runs a test, in a bubble, of hosts that look names up.
func withHosts(t *testing.T, test func(t *testing.T, f *fakeNames, has func(addr string, want bool))) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f := &fakeNames{leads: make(map[string]string), slow: make(map[string]time.Duration)}
		quit := make(chan struct{})
		h := newHosts(
			func() []string { f.mu.Lock(); defer f.mu.Unlock(); return slices.Clone(f.members) },
			f.lookup, quit)
		f.hosts = h
		var run sync.WaitGroup
		run.Go(h.run)
		test(t, f, func(addr string, want bool) {
			t.Helper()
			if got := h.has(netip.MustParseAddr(addr), true); got != want {
				t.Errorf("%s is a member's: %t, want %t", addr, got, want)
			}
		})
		close(quit)
		run.Wait()
	})
}

// The addresses of members' names are known, however they are written; the loopback is where a
// member is on it.
func TestHostsOfMembersAreKnown(t *testing.T) {
	withHosts(t, func(t *testing.T, f *fakeNames, has func(string, bool)) {
		f.set("a", "10.0.0.1 2001:db8::1")
		f.set("10.0.0.2", "10.0.0.2")
		f.join("a", "10.0.0.2", "a")
		has("10.0.0.1", true)
		has("::ffff:10.0.0.1", true)
		has("2001:db8::1", true)
		has("10.0.0.2", true)
		has("10.0.0.3", false)
		has("127.0.0.1", false)
		f.set("localhost", "127.0.0.1")
		f.set("local", "fe80::1%eth0")
		f.join("localhost", "local")
		has("127.0.1.1", true)
		has("::1", true)
		has("fe80::1%eth1", true)
	})
}

// A host whose node has just joined, or has just moved, is let in by its first message. A host that
// no name leads to any more is forgotten, unless its name cannot be looked up.
func TestHostsFollowTheMembers(t *testing.T) {
	withHosts(t, func(t *testing.T, f *fakeNames, has func(string, bool)) {
		f.set("a", "10.0.0.1")
		f.set("b", "10.0.0.2")
		f.join("a")
		has("10.0.0.2", false)
		f.join("b")
		has("10.0.0.2", true)
		f.set("b", "10.0.0.3")
		time.Sleep(hostsPause)
		has("10.0.0.3", true)
		has("10.0.0.2", false)
		f.set("a", "")
		time.Sleep(hostsEvery)
		has("10.0.0.1", true)
	})
}

// A node is about to hear of a host, since that host's node has just joined another. What comes
// from the host waits for that. Who says hello waits for nothing.
func TestHostsThatAreHeardOfSoon(t *testing.T) {
	withHosts(t, func(t *testing.T, f *fakeNames, has func(string, bool)) {
		f.set("a", "10.0.0.1")
		synctest.Wait()
		time.AfterFunc(hostsPatience/2, func() { f.join("a") })
		began := time.Now()
		if f.hosts.has(netip.MustParseAddr("10.0.0.1"), false) || time.Since(began) != 0 {
			t.Errorf("it is known after %s", time.Since(began))
		}
		has("10.0.0.1", true)
	})
}

// However often strangers ask, names are looked up seldom, and who is known does not wait for it.
func TestStrangersMakeFewLookups(t *testing.T) {
	withHosts(t, func(t *testing.T, f *fakeNames, has func(string, bool)) {
		f.set("a", "10.0.0.1")
		f.join("a")
		has("10.0.0.1", true)
		before, began := f.lookups.Load(), time.Now()
		for i := range 100 {
			has(fmt.Sprintf("10.1.0.%d", i), false)
			time.Sleep(100 * time.Millisecond)
		}
		if n, most := f.lookups.Load()-before, int64(time.Since(began)/hostsPause)+1; n > most {
			t.Errorf("%d look-ups, want %d at most", n, most)
		}
		f.slow["a"] = time.Hour
		time.Sleep(hostsPause)
		began = time.Now()
		has("10.1.0.1", false)
		if waited := time.Since(began); waited != hostsPatience {
			t.Errorf("a stranger is kept waiting for %s, want %s", waited, hostsPatience)
		}
		began = time.Now()
		has("10.0.0.1", true)
		if waited := time.Since(began); waited != 0 {
			t.Errorf("a member is kept waiting for %s", waited)
		}
	})
}

// However many strangers ask at once, few of them are kept waiting, and so have a connection that
// cannot be closed. A node that has just joined is let in when it asks again.
func TestFewStrangersWait(t *testing.T) {
	withHosts(t, func(t *testing.T, f *fakeNames, has func(string, bool)) {
		var waiting atomic.Int64
		var strangers sync.WaitGroup
		for i := range 200 {
			waiting.Add(1)
			strangers.Go(func() {
				has(fmt.Sprintf("10.1.0.%d", i), false)
				waiting.Add(-1)
			})
		}
		synctest.Wait()
		if n := waiting.Load(); n > 8 {
			t.Errorf("%d strangers are kept waiting at once", n)
		}
		f.set("a", "10.0.0.1")
		has("10.0.0.1", false)
		f.join("a")
		synctest.Wait()
		has("10.0.0.1", true)
		strangers.Wait()
	})
}

// One name that is slow to look up keeps no other waiting.
func TestSlowNamesHoldUpNobody(t *testing.T) {
	withHosts(t, func(t *testing.T, f *fakeNames, has func(string, bool)) {
		f.slow["dead"] = time.Hour
		f.set("a", "10.0.0.1")
		f.join("dead", "a")
		began := time.Now()
		has("10.0.0.1", true)
		f.set("b", "10.0.0.2")
		f.join("b")
		has("10.0.0.2", true)
		if waited := time.Since(began); waited != 0 {
			t.Errorf("they are kept waiting for %s", waited)
		}
	})
}
