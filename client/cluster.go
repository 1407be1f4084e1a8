package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"

	"github.com/valyala/fasthttp"

	"httpdhs/api"
	"httpdhs/kv"
)

// Cluster asks who is in the cluster and how they are.
func (c *Client) Cluster(ctx context.Context) (*api.Cluster, error) {
	return getJSON[api.Cluster](ctx, c, c.routes.Load().forAny(), "/cluster")
}

// Ring fetches the partition table. The client routes by it from then on.
func (c *Client) Ring(ctx context.Context) (*api.Ring, error) {
	select {
	case c.refreshing <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-c.refreshing }()
	ring, err := c.refresh(ctx)
	if err != nil {
		return nil, err
	}
	// The caller may change what it gets, and the client goes on to route by its own.
	own := *ring
	own.Nodes, own.Owners = slices.Clone(ring.Nodes), make([][]uint16, len(ring.Owners))
	for p, owners := range ring.Owners {
		own.Owners[p] = slices.Clone(owners)
	}
	return &own, nil
}

// Locate asks where a key lives, and what each of its owners holds.
func (c *Client) Locate(ctx context.Context, key string) (*api.Key, error) {
	if key == "" {
		return nil, kv.ErrKeyEmpty
	}
	target := keyTarget("/cluster/key/", key, nil)
	return getJSON[api.Key](ctx, c, c.current(ctx).forKey(key), string(target))
}

// Leave asks the node at the first of Options.Addrs, and no other, to leave the cluster. It answers
// at once, and again when it is asked again. The node has left when Cluster, asked of another node,
// does not list it any more. A *StatusError with status 409 says why it cannot leave. After
// ErrOutcomeUnknown it may be leaving.
func (c *Client) Leave(ctx context.Context) (*api.Leaving, error) {
	req := &request{method: fasthttp.MethodPost, target: []byte("/cluster/leave"), safe: true, writes: true}
	return readJSON[api.Leaving](ctx, c, c.routes.Load().seeds[:1], req)
}

// Recover asks the node at the first of Options.Addrs, and no other, to go on without the members
// that are down, whatever is lost with them. The answer says who was removed. Without acceptLoss
// nothing is done, and a *StatusError with status 400 says what would be. To ask again does no
// harm.
func (c *Client) Recover(ctx context.Context, acceptLoss bool) (*api.Recovery, error) {
	req := &request{
		method: fasthttp.MethodPost, target: fmt.Appendf(nil, "/cluster/recover?accept_loss=%t", acceptLoss),
		safe: true, writes: acceptLoss,
	}
	return readJSON[api.Recovery](ctx, c, c.routes.Load().seeds[:1], req)
}

// SafeToStop asks whether nodes can be stopped now, all at once, by their names. Without any, the
// node at the first of Options.Addrs is asked about itself. It is safe if no key loses its last
// copy that is up and in sync. With quorum, no key may lose the quorum of replicas that it has
// either. A name that is no member's is ErrNotFound. The answer reserves nothing.
func (c *Client) SafeToStop(ctx context.Context, nodes []string, quorum bool) (*api.SafeToStop, error) {
	req := &request{
		method: fasthttp.MethodGet, target: fmt.Appendf(nil, "/cluster/safe-to-stop?quorum=%t", quorum),
		safe: true, answers: fasthttp.StatusConflict,
	}
	candidates := c.routes.Load().seeds[:1]
	for i, name := range nodes {
		if name == "" {
			return nil, errNoStop
		}
		if i == 0 {
			candidates = c.routes.Load().forAny()
			req.target = append(req.target, "&nodes="...)
		} else {
			req.target = append(req.target, ',')
		}
		req.target = append(req.target, url.QueryEscape(name)...)
	}
	return readJSON[api.SafeToStop](ctx, c, candidates, req)
}

var errNoStop = errors.New("name the nodes to stop as Cluster has them, host:port")

var errNoName = errors.New("name the node to remove as Cluster has it, host:port")

// Remove takes a member that is down off the ring. A name that is no member's is ErrNotFound. A
// *StatusError with status 409 says that the member is up. After ErrOutcomeUnknown it may be
// removed: to remove it again does no harm.
func (c *Client) Remove(ctx context.Context, name string) error {
	if name == "" {
		return errNoName
	}
	req := &request{method: fasthttp.MethodDelete, target: keyTarget("/cluster/nodes/", name, nil), safe: true, writes: true}
	resp, err := c.send(ctx, c.routes.Load().forAny(), req)
	if err == nil {
		fasthttp.ReleaseResponse(resp)
	}
	return err
}

// getJSON reads a document.
func getJSON[Doc any](ctx context.Context, c *Client, candidates []*endpoint, target string) (*Doc, error) {
	req := &request{method: fasthttp.MethodGet, target: []byte(target), safe: true}
	return readJSON[Doc](ctx, c, candidates, req)
}

// readJSON reads the document that answers a request.
func readJSON[Doc any](ctx context.Context, c *Client, candidates []*endpoint, req *request) (*Doc, error) {
	resp, err := c.send(ctx, candidates, req)
	if err != nil {
		return nil, err
	}
	defer fasthttp.ReleaseResponse(resp)
	doc := new(Doc)
	if err := json.Unmarshal(resp.Body(), doc); err != nil {
		return nil, fmt.Errorf("cannot read the answer to %s: %w", req.target, err)
	}
	return doc, nil
}
