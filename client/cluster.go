package client

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/valyala/fasthttp"

	"httpdhs/api"
	"httpdhs/kv"
)

// The documents of /cluster; their fields are described in docs/http-api.md.
type (
	Cluster  = api.Cluster
	Node     = api.Node
	Memory   = api.Memory
	Ring     = api.Ring
	RingNode = api.RingNode
	Key      = api.Key
	KeyOwner = api.KeyOwner
	Moving   = api.Moving
	Leaving  = api.Leaving
)

// Cluster asks who is in the cluster and how they are.
func (c *Client) Cluster(ctx context.Context) (*Cluster, error) {
	doc := new(Cluster)
	return doc, c.getJSON(ctx, c.routes.Load().forAny(), "/cluster", doc)
}

// Ring fetches the partition table; the client routes by it from then on.
func (c *Client) Ring(ctx context.Context) (*Ring, error) {
	select {
	case c.refreshing <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-c.refreshing }()
	return c.refresh(ctx)
}

// Key asks where a key lives and what each of its owners holds.
func (c *Client) Key(ctx context.Context, key []byte) (*Key, error) {
	if len(key) == 0 {
		return nil, kv.ErrKeyEmpty
	}
	doc := new(Key)
	target := keyTarget("/cluster/key/", key, nil)
	return doc, c.getJSON(ctx, c.current(ctx).forKey(key), string(target), doc)
}

// Leave asks the node at the first of Options.Addrs, and no other, to leave the cluster. It answers at once, and again when it is asked
// again; that it has left shows in [Client.Cluster] of another node, which does not list it any more. A *StatusError with status 409 says
// why it cannot.
func (c *Client) Leave(ctx context.Context) (*Leaving, error) {
	doc := new(Leaving)
	req := &request{method: fasthttp.MethodPost, target: []byte("/cluster/leave"), safe: true}
	return doc, c.readJSON(ctx, c.routes.Load().seeds[:1], req, doc)
}

// Remove takes a member that is down off the ring. A *StatusError with status 404 says that there is no such member, one with 409 that it
// is up.
func (c *Client) Remove(ctx context.Context, name string) error {
	target := keyTarget("/cluster/nodes/", []byte(name), nil)
	resp, err := c.send(ctx, c.routes.Load().forAny(), &request{method: fasthttp.MethodDelete, target: target, safe: true})
	if err == nil {
		fasthttp.ReleaseResponse(resp)
	}
	return err
}

// getJSON reads a document.
func (c *Client) getJSON(ctx context.Context, candidates []*endpoint, target string, doc any) error {
	return c.readJSON(ctx, candidates, &request{method: fasthttp.MethodGet, target: []byte(target), safe: true}, doc)
}

// readJSON reads the document that answers a request.
func (c *Client) readJSON(ctx context.Context, candidates []*endpoint, req *request, doc any) error {
	resp, err := c.send(ctx, candidates, req)
	if err != nil {
		return err
	}
	defer fasthttp.ReleaseResponse(resp)
	if err := json.Unmarshal(resp.Body(), doc); err != nil {
		return fmt.Errorf("cannot read the answer to %s: %w", req.target, err)
	}
	return nil
}
