package client

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/valyala/fasthttp"

	"httpdhs/kv"
)

// Value is what is stored under a key.
type Value struct {
	Data        []byte
	ContentType string
	ETag        string    // with its quotes, good for IfMatch
	Modified    time.Time // exact to the second
	Expires     time.Time // zero: never
}

// GetOptions of a read; nil takes the defaults.
type GetOptions struct {
	R string // one, quorum, all or a number of replicas; empty: one
}

// WriteOptions of a put or delete; nil takes the defaults.
type WriteOptions struct {
	W       string // one, quorum, all, live or a number of replicas; empty: live
	IfMatch string // an ETag: only if that is what is there
	IfNew   bool   // only if there is nothing

	// Of a put.
	TTL         time.Duration // 0: kept until it is deleted
	ContentType string        // empty: application/octet-stream
}

// Written is the answer of a put.
type Written struct {
	Created bool   // the key was new
	ETag    string // of what was written
	Acks    string // replicas that stored it of those there are, such as 2/2
}

// Get returns the value of key. A key that is not there is ErrNotFound.
func (c *Client) Get(ctx context.Context, key []byte, opts *GetOptions) (Value, error) {
	if len(key) == 0 {
		return Value{}, kv.ErrKeyEmpty
	}
	req := &request{method: fasthttp.MethodGet, safe: true}
	var query url.Values
	if opts != nil && opts.R != "" {
		query = url.Values{"r": {opts.R}}
	}
	req.target = keyTarget("/db/", key, query)
	resp, err := c.send(ctx, c.current(ctx).forKey(key), req)
	if err != nil {
		return Value{}, err
	}
	defer fasthttp.ReleaseResponse(resp)
	h := &resp.Header
	return Value{
		Data:        append([]byte(nil), resp.Body()...),
		ContentType: string(h.ContentType()),
		ETag:        string(h.Peek(fasthttp.HeaderETag)),
		Modified:    httpTime(h.Peek(fasthttp.HeaderLastModified)),
		Expires:     httpTime(h.Peek(fasthttp.HeaderExpires)),
	}, nil
}

// Put stores value under key.
func (c *Client) Put(ctx context.Context, key, value []byte, opts *WriteOptions) (Written, error) {
	if len(key) == 0 {
		return Written{}, kv.ErrKeyEmpty
	}
	req := writeRequest(fasthttp.MethodPut, key, opts)
	req.body = value
	if req.body == nil {
		req.body = []byte{}
	}
	resp, err := c.send(ctx, c.current(ctx).forKey(key), req)
	if err != nil {
		return Written{}, err
	}
	defer fasthttp.ReleaseResponse(resp)
	return Written{
		Created: resp.StatusCode() == http.StatusCreated,
		ETag:    string(resp.Header.Peek(fasthttp.HeaderETag)),
		Acks:    string(resp.Header.Peek("X-Dht-Acks")),
	}, nil
}

// Delete removes key. It is no error when there was none.
func (c *Client) Delete(ctx context.Context, key []byte, opts *WriteOptions) error {
	if len(key) == 0 {
		return kv.ErrKeyEmpty
	}
	resp, err := c.send(ctx, c.current(ctx).forKey(key), writeRequest(fasthttp.MethodDelete, key, opts))
	if err == nil {
		fasthttp.ReleaseResponse(resp)
	}
	return err
}

func writeRequest(method string, key []byte, opts *WriteOptions) *request {
	if opts == nil {
		opts = &WriteOptions{}
	}
	req := &request{method: method}
	query := url.Values{}
	if opts.W != "" {
		query.Set("w", opts.W)
	}
	if method == fasthttp.MethodPut {
		if opts.TTL != 0 {
			query.Set("ttl", opts.TTL.String())
		}
		// Never left to fasthttp, whose default for a body is a form.
		contentType := opts.ContentType
		if contentType == "" {
			contentType = "application/octet-stream"
		}
		req.header = append(req.header, header{fasthttp.HeaderContentType, contentType})
	}
	if opts.IfMatch != "" {
		req.header = append(req.header, header{fasthttp.HeaderIfMatch, opts.IfMatch})
	}
	if opts.IfNew {
		req.header = append(req.header, header{fasthttp.HeaderIfNoneMatch, "*"})
	}
	req.target = keyTarget("/db/", key, query)
	return req
}

// keyTarget is path, the escaped key and the query.
func keyTarget(path string, key []byte, query url.Values) []byte {
	target := make([]byte, 0, len(path)+len(key)+32)
	target = AppendKey(append(target, path...), key)
	if len(query) > 0 {
		target = append(append(target, '?'), query.Encode()...)
	}
	return target
}

// httpTime reads a date of HTTP; zero if there is none.
func httpTime(date []byte) time.Time {
	t, err := http.ParseTime(string(date))
	if err != nil {
		return time.Time{}
	}
	return t
}
