package membership

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"

	"httpdhs/wire"
)

// Place is where a hello goes.
type Place struct {
	Addr string // host:port

	// Name is the NAME:PORT of dns:NAME:PORT that Addr is an address of. What secures the
	// connection has to be for this name, since nothing secures what led from it to Addr. Empty: it
	// is Addr's.
	Name string
}

// At is the place of an address, or of a member.
func At(addr string) Place { return Place{Addr: addr} }

func (p Place) String() string {
	if p.Name == "" {
		return p.Addr
	}
	return fmt.Sprintf("%s (%s)", p.Addr, p.Name)
}

// addresses are the joins that are no names.
func addresses(joins []string) (addrs []string) {
	for _, join := range joins {
		if addr, named := wire.CutName(join); !named {
			addrs = append(addrs, addr)
		}
	}
	return addrs
}

// places is what a join leads to: itself, or every address that the name has now.
type places struct {
	join string
	all  []Place
	err  error // the name cannot be looked up
}

// lookUp finds what joins lead to, all at once.
func (a *asker) lookUp(ctx context.Context, joins []string) []places {
	found := make([]places, len(joins))
	ctx, cancel := context.WithTimeout(ctx, a.o.pace.hello)
	defer cancel()
	var all sync.WaitGroup
	for i, join := range joins {
		found[i].join = join
		addr, named := wire.CutName(join)
		if !named {
			found[i].all = []Place{At(addr)}
			continue
		}
		all.Go(func() { found[i].all, found[i].err = a.addressesOf(ctx, addr) })
	}
	all.Wait()
	return found
}

// addressesOf looks a NAME:PORT up. It returns as many places as may be tried, at most.
func (a *asker) addressesOf(ctx context.Context, name string) (all []Place, err error) {
	host, port, err := net.SplitHostPort(name)
	if err != nil {
		return nil, err
	}
	hosts, err := a.o.Lookup(ctx, host)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s cannot be looked up: %w", host, err)
	case len(hosts) == 0:
		return nil, fmt.Errorf("%s has no address", host)
	}
	hosts = slices.Compact(slices.Sorted(slices.Values(hosts)))
	for _, host := range hosts[:min(len(hosts), wire.JoinMax)] {
		all = append(all, Place{Addr: wire.CanonicalAddr(net.JoinHostPort(host, port)), Name: name})
	}
	return all, nil
}
