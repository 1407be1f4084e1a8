package client

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"httpdhs/api"
)

// UpdateOptions of an update. Nil takes the defaults.
type UpdateOptions struct {
	W  Level     // replicas that have to store what comes of it; empty: LevelLive
	If Condition // IfMatch or IfAbsent; zero: none
}

// Add adds to the decimal integer that is there, and returns the sum. A key without a value counts
// as 0. The key's primary adds, so of many at once none is lost. A *StatusError with status 409
// says that the value is no such integer, or that the sum is beyond 64 bits. After
// ErrOutcomeUnknown it may have been done: if it is called again, it may be done twice.
func (c *Client) Add(ctx context.Context, key string, by int64, opts *UpdateOptions) (sum int64, err error) {
	return c.update(ctx, key, url.Values{"incr": {strconv.FormatInt(by, 10)}}, nil, opts)
}

// Append puts tail behind the value, and returns the length that it has then. A key without a value
// counts as an empty one. The value's content type, and its TTL, stay. After ErrOutcomeUnknown it
// may have been done, as with Add.
func (c *Client) Append(ctx context.Context, key string, tail []byte, opts *UpdateOptions) (length int64, err error) {
	if tail == nil {
		tail = []byte{}
	}
	return c.update(ctx, key, url.Values{"append": {""}}, tail, opts)
}

// Expire gives the value another TTL, from now on. A key without a value is ErrNotFound.
func (c *Client) Expire(ctx context.Context, key string, ttl time.Duration, opts *UpdateOptions) error {
	if err := checkTTL(ttl); err != nil {
		return err
	}
	if ttl == 0 {
		return errors.New("the TTL is 0: use a positive one")
	}
	_, err := c.update(ctx, key, url.Values{"ttl": {ttl.String()}}, nil, opts)
	return err
}

// update sends an update, and reads the number that it is answered with, if there is one.
func (c *Client) update(ctx context.Context, key string, query url.Values, body []byte, opts *UpdateOptions) (int64, error) {
	if opts == nil {
		opts = &UpdateOptions{}
	}
	req, err := writeRequest(fasthttp.MethodPost, key, opts.W, opts.If, query)
	if err != nil {
		return 0, err
	}
	if body != nil {
		req.body = body
		req.addHeader(fasthttp.HeaderContentType, defaultContentType)
	}
	resp, err := c.send(ctx, c.current(ctx).forKey(key), req)
	if err != nil {
		return 0, err
	}
	defer fasthttp.ReleaseResponse(resp)
	if len(resp.Body()) == 0 {
		return 0, nil
	}
	n, err := strconv.ParseInt(string(resp.Body()), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("the update was done, and its answer is %.40q: want a number", resp.Body())
	}
	return n, nil
}

// DeletePrefix deletes the keys that begin with prefix, all keys if it is empty, and returns how
// many there were. Keys that are written meanwhile may stay. After an error what was deleted stays
// so, and it may be called again.
func (c *Client) DeletePrefix(ctx context.Context, prefix string, opts *DeletePrefixOptions) (deleted int64, err error) {
	query := url.Values{"prefix": {prefix}}
	if opts != nil && opts.W != "" {
		query.Set("w", string(opts.W))
	}
	// A node stops before the time of the request is over, and says from where to go on.
	query.Set("timeout", min(c.opts.Timeout/2, clearTime).String())
	for {
		req := &request{method: fasthttp.MethodDelete, target: []byte("/db?" + query.Encode()), safe: true, writes: true}
		done, err := readJSON[api.Cleared](ctx, c, c.current(ctx).forAny(), req)
		if err != nil {
			return deleted, err
		}
		if deleted += done.Deleted; done.Cursor == "" {
			return deleted, nil
		}
		query.Set("cursor", done.Cursor)
	}
}

// clearTime is the longest that a node is asked to delete for, at a time.
const clearTime = 10 * time.Second

// DeletePrefixOptions of a DeletePrefix. Nil takes the defaults.
type DeletePrefixOptions struct {
	W Level // replicas that have to store each delete; empty: LevelLive
}
