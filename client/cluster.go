package client

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/valyala/fasthttp"

	"httpdhs/internal/api"
)

// The documents of /cluster; their fields are described in docs/http-api.md.
type (
	Cluster  = api.Cluster
	Node     = api.Node
	Ring     = api.Ring
	RingNode = api.RingNode
	Key      = api.Key
	KeyOwner = api.KeyOwner
)

// Cluster asks who is in the cluster and how they are.
func (c *Client) Cluster(ctx context.Context) (*Cluster, error) {
	doc := new(Cluster)
	return doc, c.getJSON(ctx, c.routes.Load().forAny(), "/cluster", doc)
}

// Ring fetches the partition table; the client routes by it from then on.
func (c *Client) Ring(ctx context.Context) (*Ring, error) {
	c.refreshing.Lock()
	defer c.refreshing.Unlock()
	return c.refresh(ctx)
}

// Key asks where a key lives and what each of its owners holds.
func (c *Client) Key(ctx context.Context, key []byte) (*Key, error) {
	doc := new(Key)
	target := keyTarget("/cluster/key/", key, nil)
	return doc, c.getJSON(ctx, c.current(ctx).forKey(key), string(target), doc)
}

// getJSON reads a document.
func (c *Client) getJSON(ctx context.Context, candidates []*endpoint, target string, doc any) error {
	resp, err := c.send(ctx, candidates, &request{method: fasthttp.MethodGet, target: []byte(target), safe: true})
	if err != nil {
		return err
	}
	defer fasthttp.ReleaseResponse(resp)
	if err := json.Unmarshal(resp.Body(), doc); err != nil {
		return fmt.Errorf("cannot read the answer to %s: %w", target, err)
	}
	return nil
}
