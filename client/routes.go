package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/bits"
	"net/http"
	"slices"
	"time"

	"github.com/valyala/fasthttp"

	"httpdhs/api"
	"httpdhs/kv"
)

const (
	// ringMaxAge is when the ring is asked for again although nothing went
	// wrong; an unchanged one costs a 304.
	ringMaxAge = 30 * time.Second

	// ringRetry is the least time between two looks at the ring, so that a
	// cluster in trouble is not asked for it with every failing request.
	ringRetry = time.Second

	// ringTimeout bounds the look: the ring is a shortcut, not worth a wait.
	ringTimeout = 2 * time.Second
)

// routes is an immutable view of where to send what. It is replaced as a
// whole; endpoints live on from one to the next.
type routes struct {
	ring  *api.Ring   // nil: not known yet
	shift int         // hash >> shift is the partition
	nodes []*endpoint // of ring.Nodes, in its order
	seeds []*endpoint // of Options.Addrs
	all   []*endpoint // nodes and seeds, each once

	due time.Time // when to look at the ring again
}

// seedRoutes is what a client starts with: the addresses that it was given.
func (c *Client) seedRoutes(hosts []string) *routes {
	r := &routes{}
	for _, host := range hosts {
		r.seeds = append(r.seeds, r.endpoint(c, host))
	}
	return r
}

// endpoint finds the endpoint of addr or makes it.
func (r *routes) endpoint(c *Client, addr string) *endpoint {
	for _, e := range r.all {
		if e.addr == addr {
			return e
		}
	}
	e := c.newEndpoint(addr)
	r.all = append(r.all, e)
	return e
}

// with is the view after ring was fetched.
func (r *routes) with(c *Client, ring *api.Ring, due time.Time) *routes {
	next := &routes{ring: ring, due: due, seeds: r.seeds}
	next.shift = 64 - bits.TrailingZeros(uint(ring.Partitions))
	// Looking an endpoint up must find those of the old view first, so they
	// are all taken over and the ones that left are sorted out after.
	next.all = append(next.all, r.all...)
	for _, n := range ring.Nodes {
		next.nodes = append(next.nodes, next.endpoint(c, n.Name))
	}
	next.all = distinct(next.nodes, next.seeds)
	return next
}

// dropped are the endpoints of r that next has no more use for.
func (r *routes) dropped(next *routes) []*endpoint {
	kept := make(map[*endpoint]bool, len(next.all))
	for _, e := range next.all {
		kept[e] = true
	}
	var gone []*endpoint
	for _, e := range r.all {
		if !kept[e] {
			gone = append(gone, e)
		}
	}
	return gone
}

func distinct(lists ...[]*endpoint) []*endpoint {
	var out []*endpoint
	seen := map[*endpoint]bool{}
	for _, list := range lists {
		for _, e := range list {
			if !seen[e] {
				seen[e] = true
				out = append(out, e)
			}
		}
	}
	return out
}

// partition of a key; only with a ring.
func (r *routes) partition(hash uint64) int { return int(hash >> r.shift) }

// candidatesMax bounds how many nodes are asked about one key.
const candidatesMax = 8

// forKey is the order in which nodes are asked about a key: its owners, then the addresses that
// were given, then others. Without a ring, keys are spread over the addresses.
func (r *routes) forKey(key string) []*endpoint {
	if len(r.seeds) == 1 && r.ring == nil {
		return r.seeds
	}
	hash := kv.HashString(key)
	if r.ring == nil {
		first := int(hash % uint64(len(r.seeds)))
		return slices.Concat(r.seeds[first:], r.seeds[:first])
	}
	partition := r.partition(hash)
	list := make([]*endpoint, 0, candidatesMax)
	for _, o := range r.ring.Owners[partition] {
		list = appendNew(list, r.nodes[o])
	}
	for _, e := range r.seeds {
		list = appendNew(list, e)
	}
	// Others from a place that depends on the partition: what an owner that is
	// down leaves behind is spread over the cluster.
	for i := range r.nodes {
		if len(list) >= candidatesMax {
			break
		}
		list = appendNew(list, r.nodes[(partition+i)%len(r.nodes)])
	}
	return list
}

func appendNew(list []*endpoint, e *endpoint) []*endpoint {
	if slices.Contains(list, e) {
		return list
	}
	return append(list, e)
}

// forAny is the order for what is not about a key: the addresses that were
// given come first, since whoever names a node wants that node's answer.
func (r *routes) forAny() []*endpoint { return distinct(r.seeds, r.nodes) }

// current returns the view to route by and looks at the ring first if that is
// due. Only one request at a time does; the others go by what is known.
func (c *Client) current(ctx context.Context) *routes {
	r := c.routes.Load()
	if c.opts.NoRouting || c.now().Before(r.due) {
		return r
	}
	select {
	case c.refreshing <- struct{}{}:
	default:
		return r
	}
	defer func() { <-c.refreshing }()
	if r = c.routes.Load(); c.now().Before(r.due) {
		return r
	}
	if _, err := c.refresh(ctx); err != nil && ctx.Err() != context.Canceled {
		stale := *r
		stale.due = c.now().Add(ringRetry)
		c.routes.Store(&stale)
	}
	return c.routes.Load()
}

// suspect makes the next request look at the ring: something that it led to
// did not answer.
func (c *Client) suspect(r *routes) {
	soon := c.now().Add(ringRetry)
	if r.due.Before(soon) {
		return
	}
	next := *r
	next.due = soon
	c.routes.CompareAndSwap(r, &next)
}

// refresh fetches the ring and, unless Options.NoRouting says otherwise, routes by it from now on.
// The caller has its place in c.refreshing.
func (c *Client) refresh(ctx context.Context) (*api.Ring, error) {
	r := c.routes.Load()
	req := &request{method: fasthttp.MethodGet, target: []byte("/cluster/ring"), safe: true}
	// At most half of the time: the request that looks at the ring has to be sent, too.
	req.timeout = max(1, min(c.ringTimeout, time.Until(c.deadline(ctx, req))/2))
	if r.ring != nil {
		req.header = append(req.header, header{"If-None-Match", `"` + r.ring.Fingerprint + `"`})
	}
	due := c.now().Add(ringMaxAge)
	resp, err := c.send(ctx, r.forAny(), req)
	var status *StatusError
	if errors.As(err, &status) && status.Status == http.StatusNotModified && r.ring != nil {
		same := *r
		same.due = due
		c.routes.Store(&same)
		return r.ring, nil
	}
	if err != nil {
		return nil, err
	}
	defer fasthttp.ReleaseResponse(resp)
	ring := new(api.Ring)
	if err := json.Unmarshal(resp.Body(), ring); err != nil {
		return nil, fmt.Errorf("cannot read the ring: %w", err)
	}
	if err := checkRing(ring); err != nil {
		return nil, err
	}
	if c.opts.NoRouting {
		return ring, nil
	}
	if len(ring.Nodes) == 0 {
		// A node that is part of no cluster, yet or any more, knows no ring: what is known is
		// better.
		waiting := *r
		waiting.due = c.now().Add(ringRetry)
		c.routes.Store(&waiting)
		return ring, nil
	}
	next := r.with(c, ring, due)
	c.routes.Store(next)
	for _, e := range r.dropped(next) {
		e.host.CloseIdleConnections()
	}
	return ring, nil
}

// checkRing refuses a document that would lead astray or out of a slice.
func checkRing(ring *api.Ring) error {
	switch {
	case ring.Hash != "xxh3-64":
		return fmt.Errorf("the ring hashes by %q, which this client does not know", ring.Hash)
	case ring.Partitions < 1 || bits.OnesCount(uint(ring.Partitions)) != 1:
		return fmt.Errorf("the ring has %d partitions, want a power of two", ring.Partitions)
	case len(ring.Owners) != ring.Partitions:
		return fmt.Errorf("the ring has owners for %d of %d partitions", len(ring.Owners), ring.Partitions)
	}
	for _, owners := range ring.Owners {
		for _, o := range owners {
			if int(o) >= len(ring.Nodes) {
				return fmt.Errorf("the ring names node %d of %d", o, len(ring.Nodes))
			}
		}
	}
	for _, n := range ring.Nodes {
		if err := checkHostPort(n.Name, n.Name); err != nil {
			return fmt.Errorf("the ring has a node that cannot be reached: %w", err)
		}
	}
	return nil
}
