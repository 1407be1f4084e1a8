package client

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"httpdhs/kv"
)

// Level is how many replicas of a key take part in a call. A number is a level too: "2".
type Level string

const (
	LevelOne    Level = "one"    // one replica
	LevelQuorum Level = "quorum" // more than half of the key's replicas
	LevelAll    Level = "all"    // all of the key's replicas
	LevelLive   Level = "live"   // every replica that is up, at least one; of writes alone
)

// Value is what is stored under a key.
type Value struct {
	Data            []byte
	ContentType     string    // application/octet-stream, if none was kept
	CacheControl    string    // as it was put; empty: none was kept
	ContentEncoding string    // as it was put; Data is as it was put, too, and never decoded
	ETag            string    // the version, for IfMatch; with its quotes
	Modified        time.Time // to the second; only of Get
	Expires         time.Time // to the millisecond; zero: never
}

// GetOptions of a read. Nil takes the defaults.
type GetOptions struct {
	R Level // replicas that have to answer; empty: LevelOne
}

// PutOptions of a put. Nil takes the defaults.
type PutOptions struct {
	W               Level         // replicas that have to store it; empty: LevelLive
	If              Condition     // IfMatch or IfAbsent; zero: none
	TTL             time.Duration // at least a millisecond; 0: the value does not expire
	ContentEncoding string        // how the value is coded, such as gzip; nodes do not look at it

	// ContentType is the media type of the value. Empty: application/octet-stream. The types of
	// HTML forms are not kept: they become application/octet-stream, too.
	ContentType string

	// CacheControl is what caches are told with the value. Empty: they ask before they use it. A
	// no-cache or max-age=0 alone means the same, and is not kept.
	CacheControl string
}

// DeleteOptions of a delete. Nil takes the defaults.
type DeleteOptions struct {
	W  Level     // replicas that have to store the delete; empty: LevelLive
	If Condition // IfMatch, and not IfAbsent; zero: none
}

// Written is the answer to a write.
type Written struct {
	Created  bool   // of a put: the key had no value
	ETag     string // the version that was written; that of a delete matches no value
	Acks     int    // replicas that have stored it for certain,
	Replicas int    // of those that the key has
}

// checkTTL refuses a time to live that cannot be meant. Nodes count in milliseconds; fewer are a
// number without its unit.
func checkTTL(ttl time.Duration) error {
	switch {
	case ttl < 0:
		return fmt.Errorf("the TTL is %v: use a positive one, or 0 for a value that does not expire", ttl)
	case ttl > 0 && ttl < time.Millisecond:
		return fmt.Errorf("the TTL is %v, which is less than a millisecond: write it with its unit, as in %d * time.Second", ttl, ttl)
	}
	return nil
}

const defaultContentType = "application/octet-stream"

// Get returns the value of key. A key without a value is ErrNotFound.
func (c *Client) Get(ctx context.Context, key string, opts *GetOptions) (Value, error) {
	if key == "" {
		return Value{}, kv.ErrKeyEmpty
	}
	req := &request{method: fasthttp.MethodGet, safe: true, begun: time.Now()}
	var query url.Values
	if opts != nil && opts.R != "" {
		query = url.Values{"r": {string(opts.R)}}
	}
	req.target = keyTarget("/db/", key, query)
	resp, err := c.send(ctx, c.current(ctx).forKey(key), req)
	if err != nil {
		return Value{}, err
	}
	defer fasthttp.ReleaseResponse(resp)
	h := &resp.Header
	return Value{
		Data:            bytes.Clone(resp.Body()),
		ContentType:     string(h.ContentType()),
		CacheControl:    putCacheControl(string(h.Peek(fasthttp.HeaderCacheControl))),
		ContentEncoding: string(h.ContentEncoding()),
		ETag:            string(h.Peek(fasthttp.HeaderETag)),
		Modified:        httpTime(h.Peek(fasthttp.HeaderLastModified)),
		Expires:         expiry(h),
	}, nil
}

// putCacheControl is the Cache-Control that a value was put with. A node answers with one of two
// for a value that was put without.
func putCacheControl(answered string) string {
	switch answered {
	case "no-cache, no-transform", "private, no-cache, no-transform":
		return ""
	}
	return answered
}

// Put stores value under key, in place of what is there. The old value's TTL, content type and the
// like go with it. Put does not keep value.
func (c *Client) Put(ctx context.Context, key string, value []byte, opts *PutOptions) (Written, error) {
	if opts == nil {
		opts = &PutOptions{}
	}
	req, err := putRequest(key, value, opts)
	if err != nil {
		return Written{}, err
	}
	resp, err := c.send(ctx, c.current(ctx).forKey(key), req)
	if err != nil {
		return Written{}, err
	}
	defer fasthttp.ReleaseResponse(resp)
	w := Written{
		Created: resp.StatusCode() == http.StatusCreated,
		ETag:    string(resp.Header.Peek(fasthttp.HeaderETag)),
	}
	acks, replicas, _ := strings.Cut(string(resp.Header.Peek("X-Dht-Acks")), "/")
	w.Acks, _ = strconv.Atoi(acks)
	w.Replicas, _ = strconv.Atoi(replicas)
	return w, nil
}

// Delete removes key. It is no error if the key has no value, unless there is a condition.
func (c *Client) Delete(ctx context.Context, key string, opts *DeleteOptions) error {
	if opts == nil {
		opts = &DeleteOptions{}
	}
	req, err := writeRequest(fasthttp.MethodDelete, key, opts.W, opts.If, nil)
	if err != nil {
		return err
	}
	resp, err := c.send(ctx, c.current(ctx).forKey(key), req)
	if err == nil {
		fasthttp.ReleaseResponse(resp)
	}
	return err
}

func putRequest(key string, value []byte, opts *PutOptions) (*request, error) {
	fields := kv.Fields{ContentType: []byte(opts.ContentType), CacheControl: []byte(opts.CacheControl),
		ContentEncoding: []byte(opts.ContentEncoding)}
	if _, err := fields.Append(nil); err != nil {
		return nil, err // fasthttp would send it, changed
	}
	if err := checkTTL(opts.TTL); err != nil {
		return nil, err
	}
	query := url.Values{}
	if opts.TTL != 0 {
		query.Set("ttl", opts.TTL.String())
	}
	req, err := writeRequest(fasthttp.MethodPut, key, opts.W, opts.If, query)
	if err != nil {
		return nil, err
	}
	// What is not kept is not sent: of a form the node would decode the value. Without a type
	// fasthttp sends that of a form.
	req.addHeader(fasthttp.HeaderContentType, cmp.Or(string(fields.ContentType), defaultContentType))
	req.addHeader(fasthttp.HeaderCacheControl, string(fields.CacheControl))
	req.addHeader(fasthttp.HeaderContentEncoding, string(fields.ContentEncoding))
	if req.body = value; value == nil {
		req.body = []byte{}
	}
	return req, nil
}

func writeRequest(method, key string, w Level, cond Condition, query url.Values) (*request, error) {
	if key == "" {
		return nil, kv.ErrKeyEmpty
	}
	kind := OpPut
	if method == fasthttp.MethodDelete {
		kind = OpDelete
	}
	if err := cond.check(kind); err != nil {
		return nil, err
	}
	if w != "" {
		if query == nil {
			query = url.Values{}
		}
		query.Set("w", string(w))
	}
	req := &request{method: method, target: keyTarget("/db/", key, query), begun: time.Now()}
	req.addHeader(cond.header, cond.value)
	return req, nil
}

// keyTarget is path, the escaped key and the query.
func keyTarget(path, key string, query url.Values) []byte {
	target := make([]byte, 0, len(path)+len(key)+32)
	target = appendKey(append(target, path...), key)
	if len(query) > 0 {
		target = append(append(target, '?'), query.Encode()...)
	}
	return target
}

// expiry reads when a value expires; zero: never. The Expires of HTTP, which a node of an older
// version has alone, is up to a second early.
func expiry(h *fasthttp.ResponseHeader) time.Time {
	if at, err := time.Parse(time.RFC3339, string(h.Peek("X-Dht-Expires"))); err == nil {
		return at.UTC()
	}
	return httpTime(h.Peek(fasthttp.HeaderExpires))
}

// httpTime reads a date of HTTP; zero if there is none.
func httpTime(date []byte) time.Time {
	t, err := http.ParseTime(string(date))
	if err != nil {
		return time.Time{}
	}
	return t
}
