package client

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"net/url"
	"strconv"
	"time"
)

// KeysOptions of a listing. Nil takes the defaults.
type KeysOptions struct {
	Prefix string // only keys that begin so; empty: all
	Values bool   // fetch the values too
	Page   int    // keys a request, at most 10000; 0: 1000
}

const defaultPage = 1000

var errPage = errors.New("KeysOptions.Page is negative: use 1 to 10000, or 0 for the default")

// Item is a key of a listing.
type Item struct {
	Key   string
	Value Value // only with KeysOptions.Values
}

// Keys lists the cluster's keys, page by page while it is ranged over. They come in the order of
// their hashes, which looks random. A key that exists throughout is listed exactly once, whatever
// else changes meanwhile. An error ends the listing.
//
// With a prefix, the nodes still look at all their keys.
func (c *Client) Keys(ctx context.Context, opts *KeysOptions) iter.Seq2[Item, error] {
	if opts == nil {
		opts = &KeysOptions{}
	}
	return func(yield func(Item, error) bool) {
		if opts.Page < 0 {
			yield(Item{}, errPage)
			return
		}
		cursor := ""
		for {
			page, err := c.keysPage(ctx, opts, cursor)
			if err != nil {
				yield(Item{}, err)
				return
			}
			for _, item := range page.Keys {
				if !yield(Item(item), nil) {
					return
				}
			}
			switch page.Cursor {
			case "":
				return
			case cursor:
				yield(Item{}, errors.New("the listing does not get on: the node returned the cursor that it was given"))
				return
			}
			cursor = page.Cursor
		}
	}
}

// keysPage is the document of GET /db.
type keysPage struct {
	Keys   []listedItem `json:"keys"`
	Cursor string       `json:"cursor"`
}

func (c *Client) keysPage(ctx context.Context, opts *KeysOptions, cursor string) (*keysPage, error) {
	query := url.Values{"limit": {strconv.Itoa(orDefault(opts.Page, defaultPage))}}
	if opts.Prefix != "" {
		query.Set("prefix", opts.Prefix)
	}
	if opts.Values {
		query.Set("values", "1")
	}
	if cursor != "" {
		query.Set("cursor", cursor)
	}
	return getJSON[keysPage](ctx, c, c.current(ctx).forAny(), "/db?"+query.Encode())
}

// listedItem reads a key of a page: a string, or an object where the value comes with it, or where
// the key is not UTF-8 and so cannot be a string.
type listedItem Item

func (i *listedItem) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		return json.Unmarshal(data, &i.Key)
	}
	var doc struct {
		Key       *string `json:"key"`
		KeyBase64 []byte  `json:"key_base64"`
		valueDoc
	}
	if err := json.Unmarshal(data, &doc); err != nil {
		return err
	}
	if i.Key = string(doc.KeyBase64); doc.Key != nil {
		i.Key = *doc.Key
	}
	if doc.Value != nil || doc.ValueBase64 != nil {
		i.Value = doc.value()
	}
	return nil
}

// valueDoc is a value in the JSON of a listing and of a batch. Bytes that are not UTF-8 come in
// base64.
type valueDoc struct {
	Value           *string   `json:"value"`
	ValueBase64     []byte    `json:"value_base64"`
	ContentType     string    `json:"content_type"`
	CacheControl    string    `json:"cache_control"`
	ContentEncoding string    `json:"content_encoding"`
	ETag            string    `json:"etag"`
	Expires         time.Time `json:"expires"`
}

func (d *valueDoc) value() Value {
	v := Value{
		Data: d.ValueBase64, ContentType: d.ContentType, CacheControl: d.CacheControl,
		ContentEncoding: d.ContentEncoding, ETag: d.ETag, Expires: d.Expires,
	}
	if d.Value != nil {
		v.Data = []byte(*d.Value)
	}
	if v.ContentType == "" {
		v.ContentType = defaultContentType
	}
	return v
}
